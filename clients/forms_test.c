#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/cms.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/mem.h"
#include "clients/forms.h"
#include "clients/markup.h"

#define ANN     ((struct clients_user){ "example.org", "ann@example.org", "Ann \"A\" <Smith> & Co" })
#define ANYBODY ((struct clients_user){ "example.org", NULL, NULL })

static void
facts_of(const char *text, struct clients_facts *facts)
{
	struct buf errors = { 0 };
	char *whole = mem_printf("[server]\nhostname = mail.example.org\n%s", text);
	struct config *config = config_parse("test", str_from(whole), &errors);

	if (config == NULL)
		fail_msg("%s", buf_cstr(&errors));
	clients_facts_read(config, facts);
	config_free(config);
	free(whole);
	buf_free(&errors);
}

/* --- facts -------------------------------------------------------------------------------------- */

static void
test_facts(void **state)
{
	static const struct {
		const char *config;
		enum clients_service service;
		const char *host;
		unsigned port;
	} CASES[] = {
		{ "", CLIENTS_IMAPS, "mail.example.org", 993 },
		{ "", CLIENTS_IMAP, "mail.example.org", 143 },
		{ "", CLIENTS_SUBMISSIONS, "mail.example.org", 465 },
		{ "", CLIENTS_SUBMISSION, "mail.example.org", 587 },
		{ "", CLIENTS_SIEVE, "mail.example.org", 4190 },
		{ "", CLIENTS_WEB, NULL, 0 },
		{ "[imapd]\nlisten_tls =\n", CLIENTS_IMAPS, NULL, 0 },
		{ "[imapd]\nlisten_tls = *:20001\n", CLIENTS_IMAPS, "mail.example.org", 20001 },
		/* what only this machine reaches is not for clients, unless there is nothing else */
		{ "[imapd]\nlisten_tls = 127.0.0.1:10993\nlisten_tls = 192.0.2.1:1993\n",
		    CLIENTS_IMAPS, "mail.example.org", 1993 },
		{ "[imapd]\nlisten_tls = 127.0.0.1:10993\n", CLIENTS_IMAPS, "mail.example.org",
		    10993 },
		{ "[imapd]\nlisten_tls = *:1993\nlisten_tls = *:993\n", CLIENTS_IMAPS,
		    "mail.example.org", 993 },
		{ "[imapd]\nlisten_tls = /run/imap\n", CLIENTS_IMAPS, NULL, 0 },
		{ "[clients]\nimaps = imap.example.net\n", CLIENTS_IMAPS, "imap.example.net", 993 },
		{ "[clients]\nimaps = imap.example.net:9993\n", CLIENTS_IMAPS, "imap.example.net",
		    9993 },
		{ "[clients]\nimaps = [2001:db8::1]\n", CLIENTS_IMAPS, "2001:db8::1", 993 },
		{ "[clients]\nimaps = [2001:db8::1]:94\n", CLIENTS_IMAPS, "2001:db8::1", 94 },
		{ "[clients]\nimap =\n", CLIENTS_IMAP, NULL, 0 },
		{ "[clients]\nweb = www.example.org\n", CLIENTS_WEB, "www.example.org", 443 },
		{ "[statusd]\nlisten_public = *:443\n", CLIENTS_WEB, "mail.example.org", 443 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct clients_facts facts;
		const struct clients_endpoint *at = &facts.at[CASES[i].service];

		facts_of(CASES[i].config, &facts);
		if (at->port != CASES[i].port || (at->host == NULL) != (CASES[i].host == NULL) ||
		    (at->host != NULL && strcmp(at->host, CASES[i].host) != 0))
			fail_msg("case %zu: %s:%u", i, at->host != NULL ? at->host : "-", at->port);
		assert_int_equal(clients_offers(&facts, CASES[i].service), CASES[i].host != NULL);
		clients_facts_free(&facts);
	}
}

static void
test_web_url(void **state)
{
	static const struct {
		const char *config, *url;
	} CASES[] = {
		{ "", NULL },
		{ "[statusd]\nlisten_public = *:443\n", "https://mail.example.org" },
		{ "[statusd]\nlisten_public = *:8443\n", "https://mail.example.org:8443" },
		{ "[clients]\nweb = [2001:db8::1]:8443\n", "https://[2001:db8::1]:8443" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct clients_facts facts;
		char *url;

		facts_of(CASES[i].config, &facts);
		url = clients_web_url(&facts);
		if (CASES[i].url == NULL)
			assert_null(url);
		else
			assert_string_equal(url, CASES[i].url);
		free(url);
		clients_facts_free(&facts);
	}
}

/* --- markup ------------------------------------------------------------------------------------- */

static void
test_markup(void **state)
{
	static const struct {
		const char *text, *markup;
	} CASES[] = {
		{ "plain", "plain" },
		{ "<a href=\"x\">'&'", "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;" },
		{ "Jos\xc3\xa9", "Jos\xc3\xa9" },
		{ "a\x01z", "a\xef\xbf\xbdz" },
		{ "a\xffz", "a\xef\xbf\xbdz" },
		{ "a\xef\xbf\xbez", "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz" }, /* U+FFFE */
		{ "two\nlines", "two\nlines" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct buf out = { 0 };

		markup_text(&out, CASES[i].text);
		assert_string_equal(buf_cstr(&out), CASES[i].markup);
		buf_free(&out);
	}
}

/* --- forms -------------------------------------------------------------------------------------- */

typedef void form_fn(const struct clients_facts *, const struct clients_user *, struct buf *);

/* Each line of `wanted` is somewhere in the form, in this order. */
static void
expect(form_fn *form, const char *config, const struct clients_user *user,
    const char *const *wanted, const char *never)
{
	struct clients_facts facts;
	struct buf out = { 0 };
	const char *at;

	facts_of(config, &facts);
	form(&facts, user, &out);
	at = buf_cstr(&out);
	for (; *wanted != NULL; wanted++) {
		const char *found = strstr(at, *wanted);

		if (found == NULL)
			fail_msg("no %s in\n%s", *wanted, buf_cstr(&out));
		else
			at = found + strlen(*wanted);
	}
	if (never != NULL && strstr(buf_cstr(&out), never) != NULL)
		fail_msg("%s in\n%s", never, buf_cstr(&out));
	buf_free(&out);
	clients_facts_free(&facts);
}

static void
test_autoconfig(void **state)
{
	static const char *const ANYBODYS[] = { "<clientConfig version=\"1.1\">",
		"<emailProvider id=\"example.org\">", "<domain>example.org</domain>",
		"<displayName>Mail &amp; more</displayName>", "<incomingServer type=\"imap\">",
		"<hostname>mail.example.org</hostname>", "<port>993</port>",
		"<socketType>SSL</socketType>", "<username>%EMAILADDRESS%</username>",
		"<incomingServer type=\"imap\">", "<port>143</port>",
		"<socketType>STARTTLS</socketType>", "<outgoingServer type=\"smtp\">",
		"<port>465</port>", "<outgoingServer type=\"smtp\">", "<port>587</port>",
		"<documentation url=\"https://mail.example.org/\">", "</clientConfig>", NULL };
	static const char *const ANNS[] = { "<port>993</port>",
		"<username>ann@example.org</username>", NULL };

	(void)state;
	expect(clients_autoconfig,
	    "[clients]\nname = Mail & more\n[statusd]\nlisten_public = *:443\n", &ANYBODY, ANYBODYS,
	    NULL);
	expect(clients_autoconfig, "[imapd]\nlisten_starttls =\n[clients]\nsubmission =\n", &ANN,
	    ANNS, "STARTTLS");
}

static void
test_autodiscover(void **state)
{
	static const char *const ANNS[] = {
		"<DisplayName>Ann &quot;A&quot; &lt;Smith&gt; &amp; Co</DisplayName>",
		"<Type>IMAP</Type>", "<Server>mail.example.org</Server>", "<Port>993</Port>",
		"<LoginName>ann@example.org</LoginName>", "<Encryption>SSL</Encryption>",
		"<Type>SMTP</Type>", "<Port>465</Port>", "</Autodiscover>", NULL
	};
	static const char *const STARTTLS[] = { "<Type>IMAP</Type>", "<Port>143</Port>",
		"<Encryption>TLS</Encryption>", "<Type>SMTP</Type>", "<Port>465</Port>",
		"<Encryption>SSL</Encryption>", NULL };

	(void)state;
	expect(clients_autodiscover, "", &ANN, ANNS, "<Port>143</Port>");
	expect(clients_autodiscover, "[clients]\nimaps =\n", &ANYBODY, STARTTLS, "LoginName");
}

static void
test_mobileconfig(void **state)
{
	static const char *const ANNS[] = { "<key>EmailAccountName</key>\n",
		"<string>Ann &quot;A&quot; &lt;Smith&gt; &amp; Co<",
		"<key>EmailAddress</key>\n\t\t\t<string>ann@example.org</string>",
		"<key>IncomingMailServerPortNumber</key>\n\t\t\t<integer>993</integer>",
		"<key>IncomingMailServerUsername</key>\n\t\t\t<string>ann@example.org</string>",
		"<key>OutgoingMailServerPortNumber</key>\n\t\t\t<integer>465</integer>",
		"<string>org.example.mail.mail.ann@example.org</string>",
		"<string>org.example.mail.profile.ann@example.org</string>", "</plist>", NULL };
	static const char *const ANYBODYS[] = { "<string>org.example.mail.mail.example.org<",
		NULL };

	(void)state;
	expect(clients_mobileconfig, "", &ANN, ANNS, NULL);
	expect(clients_mobileconfig, "", &ANYBODY, ANYBODYS, "Username");
}

/* Whoever installs a profile again must replace the first, and nobody else's. */
static void
test_profile_identity(void **state)
{
	struct clients_facts facts;
	struct clients_user bob = ANN;
	struct buf first = { 0 }, again = { 0 }, other = { 0 };

	(void)state;
	bob.address = "bob@example.org";
	facts_of("", &facts);
	clients_mobileconfig(&facts, &ANN, &first);
	clients_mobileconfig(&facts, &ANN, &again);
	clients_mobileconfig(&facts, &bob, &other);
	assert_string_equal(buf_cstr(&first), buf_cstr(&again));
	assert_string_not_equal(
	    strstr(buf_cstr(&first), "PayloadUUID"), strstr(buf_cstr(&other), "PayloadUUID"));
	buf_free(&first);
	buf_free(&again);
	buf_free(&other);
	clients_facts_free(&facts);
}

static void
test_text(void **state)
{
	static const char *const ANNS[] = { "Mail of ann@example.org at The Works",
		"User name      ann@example.org", "Incoming mail (IMAP)\n",
		"Server       mail.example.org", "Port         993", "SSL/TLS",
		"Outgoing mail (SMTP)\n", "Port         465",
		"New password: https://mail.example.org/password", NULL };

	(void)state;
	expect(clients_text,
	    "[clients]\nname = The Works\n[statusd]\nlisten_public = *:443\npassword_change = "
	    "yes\n",
	    &ANN, ANNS, NULL);
}

static void
test_srv(void **state)
{
	static const struct {
		const char *config, *record;
	} CASES[] = {
		{ "", "_imaps._tcp.example.org. 3600 IN SRV 0 1 993 mail.example.org.\n" },
		{ "", "_imap._tcp.example.org. 3600 IN SRV 10 1 143 mail.example.org.\n" },
		{ "", "_submissions._tcp.example.org. 3600 IN SRV 0 1 465 mail.example.org.\n" },
		{ "", "_submission._tcp.example.org. 3600 IN SRV 10 1 587 mail.example.org.\n" },
		{ "", "_sieve._tcp.example.org. 3600 IN SRV 0 1 4190 mail.example.org.\n" },
		{ "", "_pop3s._tcp.example.org. 3600 IN SRV 0 0 0 .\n" },
		{ "[clients]\nimap =\n", "_imap._tcp.example.org. 3600 IN SRV 0 0 0 .\n" },
		{ "[clients]\nimaps = 192.0.2.1\n",
		    "; _imaps._tcp.example.org. needs a host name" },
		{ "",
		    "; no autoconfig and autodiscover names: statusd.listen_public is not set\n" },
		{ "[clients]\nweb = www.example.net:8443\n",
		    "_autodiscover._tcp.example.org. 3600 IN SRV 0 1 8443 www.example.net.\n" },
		{ "[clients]\nweb = www.example.net:8443\n", "not 8443\n" },
		{ "[clients]\nweb = www.example.net\n",
		    "autoconfig.example.org. 3600 IN CNAME www.example.net.\n" },
		{ "[clients]\nweb = 192.0.2.1\n",
		    "autodiscover.example.org. 3600 IN A 192.0.2.1\n" },
		{ "[clients]\nweb = [2001:db8::1]\n",
		    "autodiscover.example.org. 3600 IN AAAA 2001:db8::1\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct clients_facts facts;
		struct buf out = { 0 }, single = { 0 };

		facts_of(CASES[i].config, &facts);
		clients_srv(&facts, "example.org", &out);
		for (size_t j = 0; j < out.len; j++) /* columns are for people */
			if (out.data[j] != ' ' || single.len == 0 ||
			    single.data[single.len - 1] != ' ')
				buf_addc(&single, out.data[j]);
		if (strstr(buf_cstr(&single), CASES[i].record) == NULL)
			fail_msg("case %zu: no %s in\n%s", i, CASES[i].record, buf_cstr(&single));
		buf_free(&out);
		buf_free(&single);
		clients_facts_free(&facts);
	}
}

/* --- signing ------------------------------------------------------------------------------------ */

static void
make_certificate(const char *path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
	    (const unsigned char *)"mail.example.org", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509_set_pubkey(cert, key);
	X509_sign(cert, key, EVP_sha256());
	PEM_write_X509(f, cert);
	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void
test_sign(void **state)
{
	char path[] = "/tmp/sanger-clients-XXXXXX";
	struct buf profile = { 0 }, out = { 0 };
	const unsigned char *der;
	CMS_ContentInfo *cms;
	BIO *content = BIO_new(BIO_s_mem());
	char *text;

	(void)state;
	close(mkstemp(path));
	make_certificate(path);
	buf_adds(&profile, "<plist>\n</plist>\n");
	assert_true(clients_sign(path, path, &profile, &out, NULL));
	der = (const unsigned char *)out.data;
	cms = d2i_CMS_ContentInfo(NULL, &der, (long)out.len);
	assert_non_null(cms);
	assert_int_equal(
	    CMS_verify(cms, NULL, NULL, NULL, content, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY), 1);
	assert_int_equal(BIO_get_mem_data(content, &text), (long)profile.len);
	assert_memory_equal(text, profile.data, profile.len);
	unlink(path);
	buf_reset(&out);
	assert_false(clients_sign(path, path, &profile, &out, NULL));
	assert_int_equal(out.len, 0);
	CMS_ContentInfo_free(cms);
	BIO_free(content);
	buf_free(&profile);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_web_url),
		cmocka_unit_test(test_markup),
		cmocka_unit_test(test_autoconfig),
		cmocka_unit_test(test_autodiscover),
		cmocka_unit_test(test_mobileconfig),
		cmocka_unit_test(test_profile_identity),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_srv),
		cmocka_unit_test(test_sign),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
