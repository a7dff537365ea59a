/* The tables of commands that table.c puts together, each ended by a row without a name. */
#ifndef FILTER_SIEVE_SPECS_H
#define FILTER_SIEVE_SPECS_H

#include "filter/sieve/spec.h"

extern const struct sieve_spec SIEVE_CONTROL_SPECS[];    /* control.c: require if stop … */
extern const struct sieve_spec SIEVE_LOGIC_SPECS[];      /* test_logic.c: allof anyof not … */
extern const struct sieve_spec SIEVE_HEADER_SPECS[];     /* test_header.c: header exists */
extern const struct sieve_spec SIEVE_ADDRESS_SPECS[];    /* test_address.c: address envelope */
extern const struct sieve_spec SIEVE_SIZE_SPECS[];       /* test_size.c */
extern const struct sieve_spec SIEVE_STORE_SPECS[];      /* action_store.c: keep fileinto discard */
extern const struct sieve_spec SIEVE_REDIRECT_SPECS[];   /* action_redirect.c */
extern const struct sieve_spec SIEVE_VARIABLES_SPECS[];  /* ext_variables.c: set string */
extern const struct sieve_spec SIEVE_IMAP4FLAGS_SPECS[]; /* ext_imap4flags.c */
extern const struct sieve_spec SIEVE_BODY_SPECS[];       /* ext_body.c */
extern const struct sieve_spec SIEVE_IHAVE_SPECS[];      /* ext_ihave.c */

#endif
