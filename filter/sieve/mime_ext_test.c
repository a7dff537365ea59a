/* RFC 5703: mime, foreverypart, extracttext, replace, enclose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "filter/sieve/sieve_test_tool.h"

#define REQUIRE                                                                                    \
	"require [\"mime\", \"foreverypart\", \"extracttext\", \"replace\", \"enclose\", "         \
	"\"variables\", \"fileinto\", \"relational\", \"comparator-i;ascii-numeric\", "            \
	"\"editheader\", \"copy\"];\n"

static const char PARTS[] = "From: a@example.org\n"
			    "To: b@example.org\n"
			    "Subject: outer\n"
			    "MIME-Version: 1.0\n"
			    "Content-Type: multipart/mixed; boundary=X\n"
			    "\n"
			    "pre\n"
			    "--X\n"
			    "Content-Type: text/plain; charset=iso-8859-1\n"
			    "Content-Transfer-Encoding: quoted-printable\n"
			    "\n"
			    "caf=E9\n"
			    "--X\n"
			    "Content-Type: message/rfc822\n"
			    "\n"
			    "Subject: inner\n"
			    "MIME-Version: 1.0\n"
			    "Content-Type: multipart/alternative; boundary=Y\n"
			    "\n"
			    "--Y\n"
			    "Content-Type: text/plain\n"
			    "\n"
			    "in plain\n"
			    "--Y\n"
			    "Content-Type: text/html\n"
			    "Content-Disposition: attachment; filename*=utf-8''x%C3%A9.html\n"
			    "\n"
			    "<b>html</b>\n"
			    "--Y--\n"
			    "--X--\n";

static const char PLAIN[] = "From: a@example.org\n"
			    "To: b@example.org\n"
			    "Date: Sat, 21 Nov 2026 10:00:00 +0000\n"
			    "Subject: plain\n"
			    "\n"
			    "text\n";

static const struct sieve_test LOOPS[] = {
	{ .script = REQUIRE
	    "set \"all\" \"\";"
	    "foreverypart { if header :mime :contenttype :matches \"Content-Type\" \"*\" {"
	    "  set \"all\" \"${all}|${1}\"; } }"
	    "fileinto \"${all}\";",
	    .message = PARTS,
	    .expect = "fileinto \"|multipart/mixed|text/plain|message/rfc822|multipart/alternative|"
		      "text/plain|text/html\"" },
	{ .script = REQUIRE
	    "foreverypart { foreverypart { set \"n\" \"${n}x\"; } set \"n\" \"${n}.\"; }"
	    "fileinto \"${n}\";",
	    .message = PARTS,
	    .expect = "fileinto \"xxxxx..xxx.xx...\"" },
	{ .script = REQUIRE "foreverypart { set \"n\" \"${n}x\"; break; } fileinto \"${n}\";",
	    .message = PARTS,
	    .expect = "fileinto \"x\"" },
	{ .script = REQUIRE "foreverypart :name \"a\" { foreverypart :name \"b\" {"
			    "  set \"n\" \"${n}x\"; break :name \"a\"; } set \"n\" \"no\"; }"
			    "fileinto \"${n}\";",
	    .message = PARTS,
	    .expect = "fileinto \"x\"" },
	{ .script = REQUIRE "foreverypart { foreverypart { set \"n\" \"${n}x\"; break; }"
			    "set \"n\" \"${n}.\"; } fileinto \"${n}\";",
	    .message = PARTS,
	    .expect = "fileinto \"x..x.x...\"" },
	{ .script = REQUIRE "foreverypart { stop; } fileinto \"no\";",
	    .message = PARTS,
	    .expect = "keep implicit" },
	{ .script = REQUIRE "break;", .expect = "compile error line 2: ", .error_begins = true },
	{ .script = REQUIRE "foreverypart :name \"a\" { break :name \"b\"; }",
	    .expect = "compile error line 2: ",
	    .error_begins = true },
	{ .script = REQUIRE "extracttext \"x\";",
	    .expect = "compile error line 2: ",
	    .error_begins = true },
	{ .script =
		"require [\"foreverypart\", \"extracttext\"]; foreverypart { extracttext \"x\"; }",
	    .expect = "compile error line 1: ",
	    .error_begins = true },
};

static const struct sieve_test TESTS[] = {
	{ .script = REQUIRE
	    "if header :mime :type \"Content-Type\" \"multipart\" { keep; stop; } discard;",
	    .message = PARTS,
	    .expect = "keep" },
	{ .script = REQUIRE
	    "if header :mime :anychild :subtype \"Content-Type\" \"html\" { keep; stop; } discard;",
	    .message = PARTS,
	    .expect = "keep" },
	{ .script = REQUIRE "if header :mime :anychild :param \"filename\" :matches "
			    "\"Content-Disposition\" \"*\" { fileinto \"${1}\"; }",
	    .message = PARTS,
	    .expect = "fileinto \"xé.html\"" },
	{ .script = REQUIRE "if header :mime :anychild :type :count \"eq\" :comparator "
			    "\"i;ascii-numeric\" \"Content-Type\" \"6\" { keep; stop; } discard;",
	    .message = PARTS,
	    .expect = "keep" },
	{ .script = REQUIRE
	    "if header :mime :contenttype :is \"Subject\" \"\" { keep; stop; } discard;",
	    .message = PARTS,
	    .expect = "keep" },
	{ .script = REQUIRE
	    "if exists :mime :anychild \"Content-Disposition\" { keep; stop; } discard;",
	    .message = PARTS,
	    .expect = "keep" },
	{ .script = REQUIRE "if exists :mime \"Content-Disposition\" { keep; stop; } discard;",
	    .message = PARTS,
	    .expect = "discard" },
	{ .script = REQUIRE
	    "if address :mime :anychild :is \"From\" \"a@example.org\" { keep; stop; } discard;",
	    .message = PARTS,
	    .expect = "keep" },
	{ .script = REQUIRE "if header :anychild \"a\" \"b\" { keep; }",
	    .expect = "compile error line 2: ",
	    .error_begins = true },
	{ .script = REQUIRE "if header :mime :type :subtype \"a\" \"b\" { keep; }",
	    .expect = "compile error line 2: ",
	    .error_begins = true },
	{ .script = REQUIRE "foreverypart { if header :mime :type \"Content-Type\" \"text\" {"
			    "extracttext :first 4 :upper \"x\"; set \"all\" \"${all}${x}|\"; } }"
			    "fileinto \"${all}\";",
	    .message = PARTS,
	    .expect = "fileinto \"CAFé|IN P|HTML|\"" },
};

static const struct sieve_test REPLACES[] = {
	{ .script = REQUIRE "replace \"gone\"; keep;",
	    .message = PLAIN,
	    .edited = true,
	    .expect = "keep edited\n"
		      "> From: a@example.org\n"
		      "> To: b@example.org\n"
		      "> Date: Sat, 21 Nov 2026 10:00:00 +0000\n"
		      "> Subject: plain\n"
		      "> MIME-Version: 1.0\n"
		      "> Content-Type: text/plain; charset=utf-8\n"
		      "> Content-Transfer-Encoding: 8bit\n"
		      "| gone" },
	{ .script = REQUIRE "replace :subject \"été\" :from \"c@example.org\" \"gone\";",
	    .message = PLAIN,
	    .edited = true,
	    .expect = "keep implicit edited\n"
		      "> To: b@example.org\n"
		      "> Date: Sat, 21 Nov 2026 10:00:00 +0000\n"
		      "> MIME-Version: 1.0\n"
		      "> Content-Type: text/plain; charset=utf-8\n"
		      "> Content-Transfer-Encoding: 8bit\n"
		      "> Original-Subject: plain\n"
		      "> Subject: =?utf-8?B?w6l0w6k=?=\n"
		      "> Original-From: a@example.org\n"
		      "> From: c@example.org\n"
		      "| gone" },
	{ .script = REQUIRE "replace :from \"nobody\" \"x\";",
	    .expect = "compile error line 2: ",
	    .error_begins = true },
	{ .script = REQUIRE "replace :mime \"no entity\";",
	    .expect = "compile error line 2: ",
	    .error_begins = true },
	{ .script = REQUIRE "foreverypart { if header :mime :subtype \"Content-Type\" \"html\" {"
			    "replace \"[removed]\"; } }"
			    "foreverypart { extracttext \"x\"; set \"all\" \"${all}${x}|\"; }"
			    "fileinto \"${all}\";",
	    .message = PARTS,
	    .expect = "fileinto \"|café|||in plain|[removed]|\" edited" },
	{ .script = REQUIRE
	    "foreverypart { if header :mime :type \"Content-Type\" \"message\" {"
	    "replace \"one\"; } elsif header :mime :type \"Content-Type\" \"text\" {"
	    "set \"n\" \"${n}t\"; replace \"two\"; extracttext \"x\"; set \"n\" \"${n}${x}\"; } }"
	    "foreverypart { extracttext \"x\"; set \"all\" \"${all}${x}|\"; }"
	    "fileinto \"${n}/${all}\";",
	    .message = PARTS,
	    .expect = "fileinto \"ttwo/|two|one|\" edited" },
	{ .script = REQUIRE
	    "foreverypart { if header :mime :type \"Content-Type\" \"message\" {"
	    "replace :mime text:\nContent-Type: multipart/mixed; "
	    "boundary=N\n\n--N\n\nq\n--N\n\nr\n--N--\n.\n;"
	    "foreverypart { if header :mime :type \"Content-Type\" \"multipart\" {} else {"
	    "extracttext \"x\"; if string \"${x}\" \"r\" { replace \"new\"; } } } } }"
	    "foreverypart { extracttext \"x\"; set \"all\" \"${all}${x}|\"; }"
	    "fileinto \"${all}\";",
	    .message = PARTS,
	    .expect = "fileinto \"|café||q|new|\" edited" },
};

/* A NUL in a body cuts nothing: what was tested is what is used. */
#define NUL_BODY(base64)                                                                           \
	"Subject: nul\nMIME-Version: 1.0\nContent-Type: text/plain\n"                              \
	"Content-Transfer-Encoding: base64\n\n" base64 "\n"

static const struct sieve_test NULS[] = {
	{ .script = REQUIRE "foreverypart { extracttext \"x\"; } fileinto \"${x}\";",
	    .message = NUL_BODY("YQBi"), /* a NUL b */
	    .expect = "fileinto \"a\xef\xbf\xbd"
		      "b\"" },
	{ .script = REQUIRE "foreverypart { extracttext \"x\"; }"
			    "if string :matches \"${x}\" \"*@example.org\" { redirect \"${x}\"; }",
	    .message =
		NUL_BODY("ZUBldmlsLm5ldABAZXhhbXBsZS5vcmc="), /* e@evil.net NUL @example.org */
	    .expect = "run error line ",
	    .error_begins = true },
	{ .script = "require [\"duplicate\", \"variables\", \"foreverypart\", \"extracttext\"];"
		    "foreverypart { extracttext \"x\"; } if duplicate :uniqueid \"${x}\" { stop; }",
	    .message = NUL_BODY("YQBi"),
	    .expect = "keep implicit\n"
		      "remember \"0::a\xef\xbf\xbd"
		      "b\" seconds=604800" },
};

static const struct sieve_test ENCLOSES[] = {
	{ .script = REQUIRE "enclose :subject \"New\" :headers [\"From\", \"Date\"] \"See below\";"
			    "deleteheader \"Message-ID\"; redirect :copy \"c@example.org\"; keep;",
	    .message = PLAIN,
	    .edited = true,
	    .expect = "redirect \"c@example.org\"\n"
		      "keep edited\n"
		      "> From: a@example.org\n"
		      "> Date: Sat, 21 Nov 2026 10:00:00 +0000\n"
		      "> Subject: New\n"
		      "> MIME-Version: 1.0\n"
		      "> Content-Type: multipart/mixed; boundary=\"=_enclosed_0\"\n"
		      "| --=_enclosed_0\n"
		      "| Content-Type: text/plain; charset=utf-8\n"
		      "| Content-Transfer-Encoding: 8bit\n"
		      "| \n"
		      "| See below\n"
		      "| --=_enclosed_0\n"
		      "| Content-Type: message/rfc822\n"
		      "| Content-Disposition: attachment\n"
		      "| \n"
		      "| From: a@example.org\n"
		      "| To: b@example.org\n"
		      "| Date: Sat, 21 Nov 2026 10:00:00 +0000\n"
		      "| Subject: plain\n"
		      "| \n"
		      "| text\n"
		      "| \n"
		      "| --=_enclosed_0--" },
	{ .script = REQUIRE
	    "enclose \"a\"; enclose \"b\";"
	    "foreverypart { if header :mime :contenttype :matches \"Content-Type\" \"*\" {"
	    "set \"all\" \"${all}${1}|\"; } }"
	    "if header \"Subject\" \"plain\" { fileinto \"${all}\"; }",
	    .message = PLAIN,
	    .expect =
		"fileinto \"multipart/mixed|text/plain|message/rfc822|multipart/mixed|text/plain|"
		"message/rfc822|\" edited" },
};

#define TABLE_TEST(name, table)                                                                    \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		sieve_test_expect_all(table, ARRAY_LEN(table));                                    \
	}

TABLE_TEST(loops, LOOPS)
TABLE_TEST(tests_of_parts, TESTS)
TABLE_TEST(replaces, REPLACES)
TABLE_TEST(nuls, NULS)
TABLE_TEST(encloses, ENCLOSES)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loops),
		cmocka_unit_test(tests_of_parts),
		cmocka_unit_test(replaces),
		cmocka_unit_test(nuls),
		cmocka_unit_test(encloses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
