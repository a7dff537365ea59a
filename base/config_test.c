#include "base/config.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/settings.h"

static struct config *
parse_ok(const char *text)
{
	struct buf errors = { 0 };
	struct config *cfg = config_parse("t.conf", str_from(text), &errors);

	if (cfg == NULL)
		fail_msg("%s", buf_cstr(&errors));
	assert_int_equal(errors.len, 0);
	buf_free(&errors);
	return cfg;
}

static void
test_defaults(void **state)
{
	struct config *cfg = parse_ok("");

	(void)state;
	assert_string_equal(config_string(cfg, "store.mail_root"), "/var/lib/sanger/mail");
	assert_null(config_string(cfg, "store.index_root"));
	assert_int_equal(config_size(cfg, "store.message_size_max"), 50 << 20);
	assert_int_equal(config_duration_s(cfg, "imapd.autologout"), 1800);
	assert_int_equal(config_count(cfg, "lda.relay_networks"), 2);
	assert_int_equal(config_count(cfg, "submitd.relay"), 0);
	assert_int_equal(config_address_at(cfg, "imapd.listen_tls", 0)->port, 993);
	assert_null(config_address_at(cfg, "imapd.listen_tls", 0)->host);
	assert_true(config_bool(cfg, "server.sandbox"));
	assert_false(config_is_set(cfg, "log.level"));
	assert_string_equal(config_string(cfg, "log.level"), "info");
	assert_int_equal(config_enum(cfg, "log.level"), 2);
	config_free(cfg);
}

static void
test_values(void **state)
{
	struct config *cfg = parse_ok("# a comment\n"
				      "[submitd]\r\n"
				      "  relay = a.example\t\n"
				      "relay=[2001:db8::1]:2525 ; the second\n"
				      "\trelay: 192.0.2.7:25\n"
				      "relay_tls = verify\n"
				      "listen_starttls =\n"
				      "retry_max = 1h30m\n"
				      "; another comment\n"
				      "[lda]\n"
				      "listen_lmtp = /run/x.sock\n"
				      "detail_delimiter =\n"
				      "quota_at_rcpt = On\n"
				      "quota_warning = 75 \t80  95\n"
				      "quota_warning = 100\n"
				      "[submitd]\n"
				      "recipients_max = 7");
	const struct config_address *a;

	(void)state;
	assert_int_equal(config_count(cfg, "submitd.relay"), 3);
	a = config_address_at(cfg, "submitd.relay", 0);
	assert_string_equal(a->host, "a.example");
	assert_int_equal(a->port, 25);
	a = config_address_at(cfg, "submitd.relay", 1);
	assert_string_equal(a->host, "2001:db8::1");
	assert_string_equal(a->text, "[2001:db8::1]:2525");
	assert_int_equal(a->port, 2525);
	assert_int_equal(config_enum(cfg, "submitd.relay_tls"), 3);
	assert_int_equal(config_count(cfg, "submitd.listen_starttls"), 0);
	assert_int_equal(config_count(cfg, "lda.quota_warning"), 4);
	assert_int_equal(config_integer_at(cfg, "lda.quota_warning", 0), 75);
	assert_int_equal(config_integer_at(cfg, "lda.quota_warning", 2), 95);
	assert_int_equal(config_integer_at(cfg, "lda.quota_warning", 3), 100);
	assert_int_equal(config_duration_s(cfg, "submitd.retry_max"), 5400);
	assert_int_equal(config_integer(cfg, "submitd.recipients_max"), 7);
	assert_string_equal(config_address_at(cfg, "lda.listen_lmtp", 0)->path, "/run/x.sock");
	assert_null(config_string(cfg, "lda.detail_delimiter"));
	assert_true(config_bool(cfg, "lda.quota_at_rcpt"));
	assert_int_equal(config_line(cfg, "submitd.recipients_max"), 17);
	assert_int_equal(config_line(cfg, "submitd.relay"), 3);
	config_free(cfg);
}

static void
test_networks(void **state)
{
	static const struct {
		int family;
		uint8_t address[16];
		unsigned prefix_bits;
	} NETWORKS[] = {
		{ AF_INET, { 10, 1, 2 }, 23 },
		{ AF_INET, { 192, 0, 2, 1 }, 32 },
		{ AF_INET6, { 0x20, 0x01, 0x0d, 0xb8, 0x80 }, 33 },
		{ AF_INET, { 0 }, 0 },
	};
	struct config *cfg = parse_ok("[lda]\nrelay_networks = 10.1.2.0/23\n"
				      "relay_networks = 192.0.2.1\n"
				      "relay_networks = 2001:db8:8000::/33\n"
				      "relay_networks = 0.0.0.0/0\n");

	(void)state;
	assert_int_equal(config_count(cfg, "lda.relay_networks"), ARRAY_LEN(NETWORKS));
	for (size_t i = 0; i < ARRAY_LEN(NETWORKS); i++) {
		const struct config_network *n = config_network_at(cfg, "lda.relay_networks", i);

		assert_int_equal(n->family, NETWORKS[i].family);
		assert_int_equal(n->prefix_bits, NETWORKS[i].prefix_bits);
		assert_memory_equal(n->address, NETWORKS[i].address, n->family == AF_INET ? 4 : 16);
	}
	config_free(cfg);
}

static void
test_errors(void **state)
{
	static const struct {
		const char *text, *error;
	} CASES[] = {
		{ "[imapd]\nbogus = 1\n",
		    "t.conf:2: unknown key bogus in [imapd]; there are: listen_tls" },
		{ "\n[imap]\nworkers = 1\n",
		    "t.conf:2: unknown section [imap]; there are: server log" },
		{ "[empty]\n", "t.conf:1: unknown section [empty]" },
		{ "workers = 1\n", "t.conf:1: workers stands before the first [section]" },
		{ "[imapd]\nworkers = 257\n", "t.conf:2: imapd.workers = 257 is not possible; "
					      "allowed is a number from 0 to 256" },
		{ "[imapd]\nworkers = 1\nworkers = 2\n",
		    "t.conf:3: imapd.workers was set in line 2 already" },
		{ "[imapd]\nworkers = -1\n", "t.conf:2: imapd.workers = -1" },
		{ "[imapd]\nworkers =\n", "t.conf:2: imapd.workers =" },
		{ "[imapd]\nworkers = 1 # one\n", "t.conf:2: imapd.workers = 1 # one" },
		{ "[imapd]\nautologout = 5x\n", "allowed is a duration" },
		{ "[imapd]\nautologout = 1h30\n", "t.conf:2:" },
		{ "[imapd]\nautologout = 1s\n", "from 10s to 1d" },
		{ "[store]\nmessage_size_max = 3G\n", "from 64K to 2147483647" },
		{ "[store]\nmail_root = mail\n", "allowed is an absolute path" },
		{ "[log]\nlevel = loud\n", "one of: error warn info debug" },
		{ "[server]\nsandbox = maybe\n", "yes or no" },
		{ "[imapd]\nlisten_tls = 993\n", "HOST:PORT" },
		{ "[imapd]\nlisten_tls = *:0\n", "HOST:PORT" },
		{ "[imapd]\nlisten_tls = *:65536\n", "HOST:PORT" },
		{ "[imapd]\nlisten_tls = ::1:993\n", "HOST:PORT" },
		{ "[imapd]\nlisten_tls = [::1:993\n", "HOST:PORT" },
		{ "[submitd]\nrelay = *:25\n", "HOST, HOST:PORT" },
		{ "[lda]\nrelay_networks = 10.0.0.0/33\n", "ADDRESS or ADDRESS/BITS" },
		{ "[lda]\nrelay_networks = example.org\n", "ADDRESS or ADDRESS/BITS" },
		{ "[lda]\nrelay_networks = 10.0.0.0/\n", "ADDRESS or ADDRESS/BITS" },
		{ "[lda]\nrelay_networks = /8\n", "ADDRESS or ADDRESS/BITS" },
		{ "[lda]\nrelay_networks = 10.1.0.0/8\n", "no bit set behind BITS" },
		{ "[lda]\nrelay_networks = 2001:db8:8000::/32\n", "no bit set behind BITS" },
		{ "[imapd]\nworkers\n", "t.conf:2: neither" },
		{ "[imapd\nworkers = 1\n", "t.conf:1: neither" },
		{ "[submitd]\nretry_first = 2h\n", "submitd.retry_first (2h) is longer than" },
		{ "[log]\nlevel = \xff\n", "is not UTF-8" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct buf errors = { 0 };

		assert_null(config_parse("t.conf", str_from(CASES[i].text), &errors));
		if (strstr(buf_cstr(&errors), CASES[i].error) == NULL)
			fail_msg("%s gives %s", CASES[i].text, buf_cstr(&errors));
		buf_free(&errors);
	}
}

static void
test_all_errors_at_once(void **state)
{
	struct buf errors = { 0 };

	(void)state;
	assert_null(config_parse(
	    "t.conf", STR("[imapd]\nworkers = x\nfoo = 1\n[lda]\nthreads = 1\n"), &errors));
	assert_non_null(strstr(buf_cstr(&errors), "t.conf:2: "));
	assert_non_null(strstr(buf_cstr(&errors), "t.conf:3: "));
	assert_non_null(strstr(buf_cstr(&errors), "t.conf:5: "));
	buf_free(&errors);
}

static void
test_long_and_nul(void **state)
{
	struct buf errors = { 0 }, text = { 0 };

	(void)state;
	buf_adds(&text, "[store]\nmail_root = /");
	for (int i = 0; i < 300; i++)
		buf_addc(&text, 'x');
	assert_null(config_parse("t.conf", (struct str){ text.data, text.len }, &errors));
	assert_non_null(strstr(buf_cstr(&errors), "t.conf:2: line of 313 bytes"));
	assert_null(config_parse("t.conf", (struct str){ "[log]\n\0", 7 }, &errors));
	assert_null(config_load("/nonexistent/sanger.conf", &errors));
	assert_non_null(strstr(buf_cstr(&errors), "cannot be read: No such file"));
	buf_free(&errors);
	buf_free(&text);
}

/* Each row of the table is whole, and written so that people can look it up. */
static void
test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < SETTINGS_COUNT; i++) {
		const struct setting *s = &SETTINGS[i];
		char *name = mem_printf("%s.%s", s->section, s->key);

		assert_ptr_equal(setting_find(name), s);
		assert_non_null(s->help);
		assert_int_equal(s->help[strlen(s->help) - 1], '.');
		assert_true(s->least <= s->most);
		assert_true((s->type == SETTING_ENUM) == (s->choices != NULL));
		free(name);
	}
	assert_null(setting_find("imapd"));
	assert_null(setting_find("imapd.nothing"));
}

#define MANUAL "doc/man/sanger.conf.5"

static void
read_manual(struct buf *out)
{
	FILE *f = fopen(MANUAL, "r");
	size_t n;

	assert_non_null(f); /* tests run in the top directory */
	do {
		buf_reserve(out, 4096);
		n = fread(out->data + out->len, 1, 4096, f);
		out->len += n;
	} while (n > 0);
	fclose(f);
}

/* As mdoc(7) wants it: a new sentence on a new line. */
static void
add_sentences(struct buf *out, const char *text)
{
	for (size_t i = 0; text[i] != '\0'; i++) {
		char next = text[i + 1];
		bool ends =
		    text[i] == ' ' && i > 0 && text[i - 1] == '.' && next != ascii_lower(next);

		buf_addc(out, ends ? '\n' : text[i]);
	}
}

/* What sanger.conf(5) says of a setting, word for word. */
static void
describe(const struct setting *s, struct buf *out)
{
	buf_printf(out, ".It Ic %s\n", s->key);
	setting_allowed(s, out);
	buf_printf(out, "%s; default: %s.\n.br\n", s->list ? "; may stand several times" : "",
	    s->def != NULL && *s->def != '\0' ? s->def : "not set");
	add_sentences(out, s->help);
	buf_addc(out, '\n');
}

static void
test_manual(void **state)
{
	struct buf manual = { 0 };

	(void)state;
	read_manual(&manual);
	for (size_t i = 0; i < SETTINGS_COUNT; i++) {
		struct buf want = { 0 };
		char *heading = mem_printf(".Ss [%s]\n", SETTINGS[i].section);
		const char *section = strstr(buf_cstr(&manual), heading), *at, *next;

		describe(&SETTINGS[i], &want);
		assert_non_null(section);
		at = strstr(section, buf_cstr(&want));
		next = strstr(section + 1, "\n.S");
		if (at == NULL || next == NULL || at > next)
			fail_msg("%s under %s lacks:\n%s", MANUAL, heading, buf_cstr(&want));
		free(heading);
		buf_free(&want);
	}
	buf_free(&manual);
}

/* Whose sources must read a section's settings: a tool's own, or the daemons. */
static const char *
readers(const char *section)
{
	static const char *const TOOLS[] = { "publish", "backup", "cleanup", "standby" };

	for (size_t i = 0; i < ARRAY_LEN(TOOLS); i++)
		if (strcmp(section, TOOLS[i]) == 0)
			return "admin";
	return "service clients imapd submitd lda managesieved statusd filter";
}

/* A setting that nothing reads is a lie: each stands by its name in a daemon's sources, or by its key
 * where the section is the daemon's own name. */
static void
test_all_are_read(void **state)
{
	static const char *const BY_KEY[] = { "workers", "threads", "max_connections",
		"proxy_listen" };

	(void)state;
	for (size_t i = 0; i < SETTINGS_COUNT; i++) {
		const struct setting *s = &SETTINGS[i];
		char *name = mem_printf("%s.%s", s->section, s->key);
		char *shell;

		for (size_t k = 0; k < ARRAY_LEN(BY_KEY); k++)
			if (strcmp(s->key, BY_KEY[k]) == 0) {
				free(name);
				name = mem_strdup(s->key);
			}
		shell =
		    mem_printf("grep -qFr --include=*.c '\"%s\"' %s", name, readers(s->section));
		if (system(shell) != 0)
			fail_msg("nobody reads %s.%s", s->section, s->key);
		free(shell);
		free(name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_all_errors_at_once),
		cmocka_unit_test(test_long_and_nul),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_manual),
		cmocka_unit_test(test_all_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
