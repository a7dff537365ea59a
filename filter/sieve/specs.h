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
extern const struct sieve_spec SIEVE_VACATION_SPECS[];   /* ext_vacation.c */
extern const struct sieve_spec SIEVE_REJECT_SPECS[];     /* ext_reject.c: reject ereject */
extern const struct sieve_spec SIEVE_NOTIFY_SPECS[];     /* ext_notify.c */
extern const struct sieve_spec SIEVE_DATE_SPECS[];       /* ext_date.c: date currentdate */
extern const struct sieve_spec SIEVE_EDITHEADER_SPECS[]; /* ext_editheader.c */
extern const struct sieve_spec SIEVE_DUPLICATE_SPECS[];  /* ext_duplicate.c */
extern const struct sieve_spec SIEVE_SPAMTEST_SPECS[];   /* ext_spamtest.c: spamtest virustest */
extern const struct sieve_spec SIEVE_FOREVERYPART_SPECS[]; /* ext_foreverypart.c: and break */
extern const struct sieve_spec SIEVE_EXTRACTTEXT_SPECS[];  /* ext_extracttext.c */
extern const struct sieve_spec SIEVE_REPLACE_SPECS[];      /* ext_replace.c: replace enclose */
extern const struct sieve_spec SIEVE_INCLUDE_SPECS[];     /* ext_include.c: include return global */
extern const struct sieve_spec SIEVE_MAILBOX_SPECS[];     /* ext_mailbox.c: mailboxexists … */
extern const struct sieve_spec SIEVE_DEBUG_SPECS[];       /* ext_debug.c: debug_log */
extern const struct sieve_spec SIEVE_REPORT_SPECS[];      /* ext_report.c */
extern const struct sieve_spec SIEVE_ENVIRONMENT_SPECS[]; /* ext_environment.c */

extern const struct sieve_namespace SIEVE_ENV_NAMESPACE; /* ext_environment.c */

#endif
