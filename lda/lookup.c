#include "lda/lookup.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lda/lda.h"
#include "lda/lookup_session.h"
#include "service/service.h"
#include "store/account_aliases.h"

#define CACHE_SLOTS 512

struct answer {
	char *question; /* "MAP KEY"; NULL: the slot is free */
	enum lookup_result result;
	char *text;
};

struct lookup {
	struct lda *lda;
	struct lookup_sessions sessions; /* the loop's */
	pthread_mutex_t mutex;
	uint64_t generation; /* of the account database when the answers were given */
	struct answer answers[CACHE_SLOTS];
};

struct lookup *
lookup_open(struct lda *lda)
{
	struct lookup *l = mem_zalloc(sizeof(*l));

	l->lda = lda;
	l->sessions.lookup = l;
	l->sessions.service = lda->sv;
	pthread_mutex_init(&l->mutex, NULL);
	return l;
}

static void
forget_answers(struct lookup *l)
{
	for (size_t i = 0; i < CACHE_SLOTS; i++) {
		free(l->answers[i].question);
		free(l->answers[i].text);
		l->answers[i] = (struct answer){ 0 };
	}
}

void
lookup_close(struct lookup *l)
{
	if (l == NULL)
		return;
	forget_answers(l);
	pthread_mutex_destroy(&l->mutex);
	free(l);
}

void
lookup_accept(struct lookup *l, struct net_stream *st)
{
	lookup_session_start(&l->sessions, st);
}

void
lookup_drain(struct lookup *l)
{
	lookup_sessions_drain(&l->sessions);
}

/* --- the maps ----------------------------------------------------------------------------------- */

/* As at RCPT, so that both always say the same. */
static enum lookup_result
find_recipient(struct lda *lda, const char *key, char **text_out)
{
	const char *at = strrchr(key, '@');
	struct arena arena = { 0 };
	struct lda_rcpt rcpt;
	enum lda_verdict v = LDA_NO_USER;

	if (at != NULL && at != key)
		v = lda_resolve(lda, &arena, arena_strndup(&arena, key, (size_t)(at - key)), at + 1,
		    key, &rcpt);
	if (v == LDA_OK)
		*text_out = mem_printf("%s@%s", rcpt.localpart, rcpt.domain);
	arena_free(&arena);
	return v == LDA_OK          ? LOOKUP_FOUND
	       : v == LDA_TEMPORARY ? LOOKUP_TEMPORARY
				    : LOOKUP_NOT_FOUND;
}

static enum lookup_result
find_domain(struct lda *lda, const char *key, char **text_out)
{
	struct account_alias *aliases = NULL;
	size_t count = 0;
	enum store_err err = account_db_has_domain(lda->sv->accounts, str_from(key));

	if (err == STORE_NOT_FOUND) {
		err = account_alias_list(lda->sv->accounts, 0, key, &aliases, &count);
		if (err == STORE_OK && count == 0)
			err = STORE_NOT_FOUND;
		account_aliases_free(aliases, count);
	}
	if (err == STORE_OK)
		*text_out = mem_strdup(key);
	return err == STORE_OK                                  ? LOOKUP_FOUND
	       : err == STORE_NOT_FOUND || err == STORE_INVALID ? LOOKUP_NOT_FOUND
								: LOOKUP_TEMPORARY;
}

static const struct {
	const char *name;
	enum lookup_result (*find)(struct lda *lda, const char *key, char **text_out);
} MAPS[] = {
	{ "recipients", find_recipient },
	{ "domains", find_domain },
};

static enum lookup_result
find(struct lda *lda, const char *map, const char *key, char **text_out)
{
	static const char *const WHY[] = { [LOOKUP_FOUND] = "",
		[LOOKUP_NOT_FOUND] = "not found",
		[LOOKUP_TEMPORARY] = "the account database cannot be read now",
		[LOOKUP_REFUSED] = "no such map" };
	enum lookup_result result = LOOKUP_REFUSED;

	*text_out = NULL;
	for (size_t i = 0; i < ARRAY_LEN(MAPS); i++)
		if (strcmp(MAPS[i].name, map) == 0)
			result = MAPS[i].find(lda, key, text_out);
	if (*text_out == NULL)
		*text_out = mem_strdup(WHY[result]);
	return result;
}

/* --- the cache ---------------------------------------------------------------------------------- */

static struct answer *
slot_of(struct lookup *l, const char *question)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (const char *p = question; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	return &l->answers[hash % CACHE_SLOTS];
}

/* What the database said when it was of this generation. */
static bool
recall(struct lookup *l, uint64_t generation, const char *question, enum lookup_result *result_out,
    char **text_out)
{
	const struct answer *a = slot_of(l, question);
	bool known;

	pthread_mutex_lock(&l->mutex);
	known = generation != UINT64_MAX && generation == l->generation && a->question != NULL &&
		strcmp(a->question, question) == 0;
	if (known) {
		*result_out = a->result;
		*text_out = mem_strdup(a->text);
	}
	pthread_mutex_unlock(&l->mutex);
	return known;
}

static void
remember(struct lookup *l, uint64_t generation, const char *question, enum lookup_result result,
    const char *text)
{
	struct answer *a = slot_of(l, question);

	if (generation == UINT64_MAX || result == LOOKUP_TEMPORARY)
		return;
	pthread_mutex_lock(&l->mutex);
	if (generation != l->generation)
		forget_answers(l);
	l->generation = generation;
	free(a->question);
	free(a->text);
	*a = (struct answer){ mem_strdup(question), result, mem_strdup(text) };
	pthread_mutex_unlock(&l->mutex);
}

enum lookup_result
lookup_answer(struct lookup *l, const struct lookup_request *request, char **text_out)
{
	const char *map = request->map;
	uint64_t generation = account_db_generation(l->lda->sv->accounts);
	enum lookup_result result;
	char *question;

	if (request->protocol == LOOKUP_TCP_TABLE)
		map = strchr(request->key, '@') != NULL ? "recipients" : "domains";
	question = mem_printf("%s %s", map, request->key);
	if (!recall(l, generation, question, &result, text_out)) {
		result = find(l->lda, map, request->key, text_out);
		remember(l, generation, question, result, *text_out);
	}
	free(question);
	return result;
}
