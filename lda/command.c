#include "lda/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lda/delivery_record.h"
#include "lda/lda.h"
#include "lda/message_log.h"
#include "lda/reply.h"
#include "net/smtp_parse.h"
#include "service/service.h"

struct options {
	const char *config, *rcpt, *sender, *mailbox;
};

static void
usage(FILE *to)
{
	fputs("usage: lda [-c FILE] -d ADDRESS [-f SENDER] [-m MAILBOX] < message\n"
	      "       lda [-c FILE]\n"
	      "The first form delivers one message; exit status as in sysexits.h.  The second is\n"
	      "the daemon that takes LMTP, and SMTP from the relay.\n"
	      "  -c FILE     configuration, default " CONFIG_DEFAULT_PATH "\n"
	      "  -d ADDRESS  recipient\n"
	      "  -f SENDER   envelope sender; empty or <> is the null sender (default)\n"
	      "  -m MAILBOX  deliver there instead of where the filter says\n",
	    to);
}

static bool
parse_options(int argc, char **argv, struct options *o)
{
	int opt;

	*o = (struct options){ .sender = "" };
	while ((opt = getopt(argc, argv, "c:d:f:m:")) != -1) {
		switch (opt) {
		case 'c': o->config = optarg; break;
		case 'd': o->rcpt = optarg; break;
		case 'f': o->sender = optarg; break;
		case 'm': o->mailbox = optarg; break;
		default: return false;
		}
	}
	return optind == argc && o->rcpt != NULL;
}

/* Also takes a leading "From " line of mbox away, which some callers put there. */
static int
read_message(struct lda *l, uint64_t max_bytes, struct content *content)
{
	char bytes[CONTENT_COPY_BYTES];
	const char *from, *lf;
	bool first = true;
	ssize_t got;

	while ((got = read(STDIN_FILENO, bytes, sizeof(bytes))) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return EX_NOINPUT;
		from = bytes;
		lf = memchr(bytes, '\n', (size_t)got);
		if (first && got > 5 && memcmp(bytes, "From ", 5) == 0 && lf != NULL)
			from = lf + 1;
		first = false;
		if (content_write(content, store_root_fd(l->root), from,
			(size_t)(bytes + got - from)) != STORE_OK)
			return EX_TEMPFAIL;
		if (content->size_bytes > max_bytes)
			return EX_DATAERR;
	}
	return EX_OK;
}

static int
deliver(struct lda *l, const struct options *o, const struct smtp_path *to, const char *sender)
{
	char id[MESSAGE_LOG_ID_BYTES];
	struct lda_envelope envelope = {
		.sender = sender, .mailbox = o->mailbox, .id = id, .answers_alone = true
	};
	char refusal[LDA_REFUSAL_BYTES] = "";
	struct content content;
	struct arena arena = { 0 };
	struct lda_rcpt rcpt;
	enum lda_verdict v;
	int status = EX_OK;

	message_log_id(id);
	content_init(&content);
	v = lda_resolve(l, &arena, to->local, to->domain, to->address, &rcpt);
	if (v != LDA_OK)
		delivery_record_refused(l, &envelope, to->address, v, NULL);
	if (v == LDA_OK)
		v = lda_check_resources(l);
	if (v == LDA_OK)
		status =
		    read_message(l, config_size(l->sv->config, "store.message_size_max"), &content);
	if (status == EX_DATAERR)
		fputs("lda: the message is larger than store.message_size_max\n", stderr);
	else if (status != EX_OK)
		fprintf(stderr, "lda: cannot take the message in: %s\n", strerror(errno));
	if (v == LDA_OK && status == EX_OK)
		message_log_received(l->sv->log, &envelope, &content, 1);
	if (v == LDA_OK && status == EX_OK)
		v = lda_deliver(l, &rcpt, &envelope, &content, refusal);
	if (v != LDA_OK) {
		fprintf(stderr, "lda: <%s> %s\n", to->address,
		    v == LDA_REFUSED ? refusal : reply_text(v));
		status = reply_exit_code(v, l->quota_permanent);
	}
	content_reset(&content);
	arena_free(&arena);
	return status;
}

static int
run(struct service *sv, const struct options *o)
{
	struct smtp_path to, from = { .address = "" };
	struct arena arena = { 0 };
	struct lda lda;
	int status = EX_USAGE;

	if (!smtp_parse_address(str_from(o->rcpt), &arena, &to)) {
		fprintf(stderr, "lda: not an address: %s\n", o->rcpt);
	} else if (*o->sender != '\0' && strcmp(o->sender, "<>") != 0 &&
		   !smtp_parse_address(str_from(o->sender), &arena, &from)) {
		fprintf(stderr, "lda: not an address: %s\n", o->sender);
	} else if (!service_drop_root(sv->config)) {
		fprintf(stderr, "lda: cannot become %s: %s\n",
		    config_string(sv->config, "server.user"), strerror(errno));
		status = EX_NOPERM;
	} else if (!service_open_stores(sv) || !lda_open(&lda, sv)) {
		fputs("lda: the mail store is not to be had; see the log\n", stderr);
		status = EX_TEMPFAIL;
	} else {
		status = deliver(&lda, o, &to, from.address);
		lda_close(&lda);
	}
	arena_free(&arena);
	return status;
}

int
lda_command(int argc, char **argv, const struct service_spec *spec)
{
	struct options o;
	struct service sv;
	int status;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		usage(stdout);
		return EX_OK;
	}
	if (!parse_options(argc, argv, &o)) {
		usage(stderr);
		return EX_USAGE;
	}
	if (service_open(&sv, spec, o.config, &status))
		status = run(&sv, &o);
	service_close(&sv);
	return status;
}
