/* Sieve's tokens, RFC 5228 §8.1. */
#ifndef FILTER_SIEVE_LEXER_H
#define FILTER_SIEVE_LEXER_H

#include "base/mem.h"
#include "base/text.h"
#include "filter/filter.h"

enum sieve_token {
	SIEVE_TOKEN_END,
	SIEVE_TOKEN_IDENTIFIER,  /* text */
	SIEVE_TOKEN_TAG,         /* text without the colon */
	SIEVE_TOKEN_NUMBER,      /* number */
	SIEVE_TOKEN_TEXT,        /* text: a string's value, escapes undone; lines end in CRLF */
	SIEVE_TOKEN_PUNCTUATION, /* punctuation: one of ( ) [ ] { } , ; */
	SIEVE_TOKEN_ERROR,       /* error says what */
};

struct sieve_lexer {
	struct cursor in;
	struct arena *arena; /* of texts */
	unsigned line;       /* where `in` is */
	/* the token at hand */
	enum sieve_token token;
	unsigned token_line; /* where it starts */
	char punctuation;
	uint64_t number;
	struct str text;
	struct filter_error *error;
};

/* At the first token then. */
void sieve_lexer_open(
    struct sieve_lexer *lx, struct str text, struct arena *arena, struct filter_error *error_out);
void sieve_lexer_next(struct sieve_lexer *lx);

#endif
