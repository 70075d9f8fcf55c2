/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "store/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void accepted(const char *text, enum name_kind kind)
{
	struct error err = {0};
	struct name name = {0};
	if (name_parse(text, &name, &err) != 0)
		fail_msg("%s: %s", text, err.text);
	assert_int_equal(name.kind, kind);
	assert_string_equal(name.text, text);
}

static void refused(const char *text, const char *reason)
{
	struct error err = {0};
	struct name name = {0};
	assert_int_equal(name_parse(text, &name, &err), -EINVAL);
	if (!strstr(err.text, reason))
		fail_msg("'%s' lacks '%s'", err.text, reason);
}

static void names_have_their_kinds(void **state)
{
	(void)state;
	accepted("app.example.com", NAME_DNS);
	accepted("1.2.example", NAME_DNS);
	accepted("xn--bcher-kva.example", NAME_DNS);
	accepted("xn--i-7iq.example", NAME_DNS);
	accepted("a-b.example.com", NAME_DNS);
	accepted("intranet", NAME_LOCAL);
	accepted("192.0.2.1", NAME_IP);
	accepted("2001:db8::1", NAME_IP);
	accepted("::1", NAME_IP);
	accepted("wildcard_.example.com", NAME_WILDCARD);
	accepted("fallback", NAME_FALLBACK);
	accepted("fallback.example.com", NAME_DNS);
}

static void upper_case_names_the_lower_case_form(void **state)
{
	(void)state;
	refused("App.Example.COM", "use app.example.com");
	refused("2001:DB8::1", "use 2001:db8::1");
}

static void u_label_names_its_a_label(void **state)
{
	(void)state;
	refused("b\xc3\xbc"
		"cher.example",
		"use xn--bcher-kva.example");
	refused("wildcard_.b\xc3\xbc"
		"cher.example",
		"use wildcard_.xn--bcher-kva.example");
}

static void broken_utf8_is_refused_in_whole_words(void **state)
{
	(void)state;
	refused("b\xff.example", "'b?.example'");
	refused("a\nb.example", "'a?b.example'");
}

static void a_label_that_does_not_decode_is_refused(void **state)
{
	(void)state;
	refused("xn--.example", "hyphen");
	refused("xn--ls8h=.example", "character");
	refused("xn--99999999.example", "A-label");
	refused("xn--a.example", "control character");
	/* Decodes to an upper-case U-label, whose A-label is another one. */
	refused("xn--bcher-2pa.example", "use xn--bcher-kva");
}

static void host_name_syntax_is_kept(void **state)
{
	(void)state;
	refused("my_app.example.com", "underscore");
	refused("app..example.com", "empty label");
	refused("-app.example.com", "hyphen");
	refused("app-.example.com", "hyphen");
	refused("app.example.com.", "ends with a dot");
	refused("app example.com", "character");
	refused("app/example.com", "character");
	refused("", "1 to 253");
	refused(".hidden", "begins with a dot");
	refused("..", "begins with a dot");
}

static void lengths_are_those_of_the_dns(void **state)
{
	(void)state;
	char text[512];
	memset(text, 'a', sizeof(text));
	text[63] = '\0';
	accepted(text, NAME_LOCAL);
	text[63] = 'a';
	text[64] = '\0';
	refused(text, "63");
	/* Labels of 49 and a dot: five of them are 249 characters. */
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 50 == 49 ? '.' : 'a';
	text[253] = '\0';
	accepted(text, NAME_DNS);
	text[253] = 'a';
	text[254] = '\0';
	refused(text, "253");
	text[254] = 'a';
	text[511] = '\0';
	refused(text, "253");
}

static void ip_address_is_canonical(void **state)
{
	(void)state;
	refused("2001:db8:0:0:0:0:0:1", "use 2001:db8::1");
	refused("2001:0db8::1", "use 2001:db8::1");
	refused("192.0.2.256", "neither an IP address nor a domain name");
	refused("192.0.2.01", "neither an IP address nor a domain name");
	refused("2001:db8::g", "IPv6");
	refused("[2001:db8::1]", "IPv6");
}

static void wildcard_stands_over_two_labels(void **state)
{
	(void)state;
	refused("wildcard_.com", "two labels");
	refused("wildcard_.192.0.2.1", "two labels");
	refused("wildcard_.", "empty label");
	refused("wildcard_.wildcard_.example.com", "underscore");
	refused("*.example.com", "wildcard_.example.com");
}

static void identifier_is_as_a_certificate_spells_it(void **state)
{
	(void)state;
	static const struct {
		const char *text, *identifier;
	} known[] = {{"app.example.com", "app.example.com"},
		     {"wildcard_.example.com", "*.example.com"},
		     {"2001:db8::1", "2001:db8::1"},
		     {"intranet", "intranet"}};
	char out[NAME_MAX_TEXT];
	struct name name;
	struct error err;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		assert_int_equal(name_parse(known[i].text, &name, &err), 0);
		assert_true(name_identifier(&name, out));
		assert_string_equal(out, known[i].identifier);
	}
	assert_int_equal(name_parse("fallback", &name, &err), 0);
	assert_false(name_identifier(&name, out));
}

static void star_covers_one_label(void **state)
{
	(void)state;
	assert_true(name_matches("app.example.com", "app.example.com"));
	assert_true(name_matches("APP.Example.com", "app.example.com"));
	assert_true(name_matches("*.example.com", "app.example.com"));
	assert_true(name_matches("*.EXAMPLE.com", "app.example.com"));
	assert_true(name_matches("*.example.com", "*.example.com"));
	assert_false(name_matches("*.example.com", "example.com"));
	assert_false(name_matches("*.example.com", ".example.com"));
	assert_false(name_matches("*.example.com", "a.b.example.com"));
	assert_false(name_matches("*.com", "*.example.com"));
	assert_false(name_matches("a*.example.com", "app.example.com"));
	assert_false(name_matches("*", "intranet"));
	assert_false(name_matches("app.*.com", "app.example.com"));
	assert_false(name_matches("example.com", "app.example.com"));
	assert_false(name_matches("", "app.example.com"));
}

static void wildcard_above_needs_two_labels(void **state)
{
	(void)state;
	struct name name, above;
	struct error err;
	assert_int_equal(name_parse("app.example.com", &name, &err), 0);
	assert_true(name_wildcard_above(&name, &above));
	assert_int_equal(above.kind, NAME_WILDCARD);
	assert_string_equal(above.text, "wildcard_.example.com");
	static const char *const none[] = {"example.com", "intranet", "192.0.2.1",
					   "wildcard_.a.example.com", "fallback"};
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		assert_int_equal(name_parse(none[i], &name, &err), 0);
		assert_false(name_wildcard_above(&name, &above));
	}
}

static void reserved_names_are_not_public(void **state)
{
	(void)state;
	static const char *const no[] = {
	    "intranet",  "fallback",  "a.local",     "a.internal", "wildcard_.a.test",
	    "a.example", "a.invalid", "a.localhost", "a.onion",    "1.in-addr.arpa"};
	static const char *const yes[] = {"example.com", "app.example.com",
					  "wildcard_.example.com", "198.41.0.4",
					  "localhost.example.com"};
	struct name name;
	struct error err;
	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++) {
		const char *why = NULL;
		assert_int_equal(name_parse(no[i], &name, &err), 0);
		assert_false(name_public(&name, &why));
		assert_non_null(why);
	}
	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++) {
		const char *why = NULL;
		assert_int_equal(name_parse(yes[i], &name, &err), 0);
		assert_true(name_public(&name, &why));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_have_their_kinds),
	    cmocka_unit_test(upper_case_names_the_lower_case_form),
	    cmocka_unit_test(u_label_names_its_a_label),
	    cmocka_unit_test(broken_utf8_is_refused_in_whole_words),
	    cmocka_unit_test(a_label_that_does_not_decode_is_refused),
	    cmocka_unit_test(host_name_syntax_is_kept),
	    cmocka_unit_test(lengths_are_those_of_the_dns),
	    cmocka_unit_test(ip_address_is_canonical),
	    cmocka_unit_test(wildcard_stands_over_two_labels),
	    cmocka_unit_test(identifier_is_as_a_certificate_spells_it),
	    cmocka_unit_test(star_covers_one_label),
	    cmocka_unit_test(wildcard_above_needs_two_labels),
	    cmocka_unit_test(reserved_names_are_not_public),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
