/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>

#include "common/base/parse.h"

Test(decimal, takes_digits_alone)
{
	uint64_t value = 1;

	cr_assert(parse_decimal("0", 10, &value));
	cr_assert_eq(value, 0);
	cr_assert(parse_decimal("007", 10, &value));
	cr_assert_eq(value, 7);
	cr_assert(parse_decimal("18446744073709551615", UINT64_MAX, &value));
	cr_assert_eq(value, UINT64_MAX);
	cr_assert_not(parse_decimal("18446744073709551616", UINT64_MAX, &value));
	cr_assert_not(parse_decimal("11", 10, &value));
	cr_assert_not(parse_decimal("", 10, &value));
	cr_assert_not(parse_decimal("+1", 10, &value));
	cr_assert_not(parse_decimal(" 1", 10, &value));
	cr_assert_not(parse_decimal("1 ", 10, &value));
	cr_assert_eq(value, UINT64_MAX, "a failure leaves the result alone");
}

Test(uint, takes_the_bases_of_go)
{
	static const struct {
		const char *text;
		uint64_t value;
	} rows[] = {
		{ "0", 0 },
		{ "5", 5 },
		{ "0x1F", 31 },
		{ "0X1f", 31 },
		{ "0o17", 15 },
		{ "0O17", 15 },
		{ "017", 15 },
		{ "0b101", 5 },
		{ "1_000", 1000 },
		{ "0x_1f", 31 },
		{ "0_17", 15 },
		{ "00", 0 },
		{ "0xffff_ffff", 0xffffffff },
	};

	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		uint64_t value;

		cr_assert(parse_uint(rows[i].text, UINT64_MAX, &value), "%s", rows[i].text);
		cr_assert_eq(value, rows[i].value, "%s", rows[i].text);
	}
}

Test(uint, refuses_what_go_refuses)
{
	static const char *const wrong[] = { "",     "-1",  "+1",  "0x",   "0b",  "0o",
					     "08",   "0b2", "0xg", "1__0", "_1",  "1_",
					     "0x1_", "1.0", "1e3", " 1",   "0x_", "0_" };
	uint64_t value;

	for (size_t i = 0; i < ELEMENTS(wrong); i++)
		cr_assert_not(parse_uint(wrong[i], UINT64_MAX, &value), "%s", wrong[i]);
	cr_assert_not(parse_uint("256", 255, &value));
	cr_assert_not(parse_uint("0x1ffffffffffffffff", UINT64_MAX, &value));
}

Test(port, is_from_1_to_65535)
{
	uint16_t port;

	cr_assert(parse_port("1", &port));
	cr_assert_eq(port, 1);
	cr_assert(parse_port("0065535", &port));
	cr_assert_eq(port, 65535);
	cr_assert_not(parse_port("0", &port));
	cr_assert_not(parse_port("65536", &port));
	cr_assert_not(parse_port("-1", &port));
	cr_assert_not(parse_port("0x50", &port));
	cr_assert_not(parse_port("", &port));
}

Test(bool_words, are_those_of_go)
{
	static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True" };
	static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False" };
	static const char *const wrong[] = { "", "yes", "on", "tRUE", "2", " true", "n" };
	bool value;

	for (size_t i = 0; i < ELEMENTS(yes); i++) {
		value = false;
		cr_assert(parse_bool(yes[i], &value));
		cr_assert(value);
		cr_assert(parse_bool(no[i], &value));
		cr_assert_not(value);
	}
	for (size_t i = 0; i < ELEMENTS(wrong); i++)
		cr_assert_not(parse_bool(wrong[i], &value), "%s", wrong[i]);
}

static const struct {
	const char *text;
	int64_t nsec;
	const char *printed;
} durations[] = {
	{ "0", 0, "0s" },
	{ "-0", 0, "0s" },
	{ "1ns", 1, "1ns" },
	{ "1us", 1000, "1\xc2\xb5s" },
	{ "1\xc2\xb5s", 1000, "1\xc2\xb5s" },
	{ "1\xce\xbcs", 1000, "1\xc2\xb5s" },
	{ "250ms", 250000000, "250ms" },
	{ "1.5ms", 1500000, "1.5ms" },
	{ ".5s", 500000000, "500ms" },
	{ "1.s", 1000000000, "1s" },
	{ "30s", INT64_C(30000000000), "30s" },
	{ "90s", INT64_C(90000000000), "1m30s" },
	{ "1m30s", INT64_C(90000000000), "1m30s" },
	{ "1.5h", INT64_C(5400000000000), "1h30m0s" },
	{ "1h1ms", INT64_C(3600001000000), "1h0m0.001s" },
	{ "+5s", INT64_C(5000000000), "5s" },
	{ "-5s", -INT64_C(5000000000), "-5s" },
	{ "9223372036854775807ns", INT64_MAX, "2562047h47m16.854775807s" },
};

Test(duration, reads_and_prints_as_go_does)
{
	for (size_t i = 0; i < ELEMENTS(durations); i++) {
		char printed[32];
		int64_t nsec;

		cr_assert(parse_duration(durations[i].text, &nsec), "%s", durations[i].text);
		cr_assert_eq(nsec, durations[i].nsec, "%s", durations[i].text);
		print_duration(nsec, printed);
		cr_assert_str_eq(printed, durations[i].printed);
		cr_assert(parse_duration(printed, &nsec));
		cr_assert_eq(nsec, durations[i].nsec, "%s", printed);
	}
}

Test(duration, refuses_what_has_no_unit_or_no_number)
{
	static const char *const wrong[] = { "",        "5",     "s",
					     "1x",      "1 s",   " 1s",
					     "1s ",     "--1s",  "1s-",
					     ".s",      "1e3s",  "1sm",
					     "+",       "1..5s", "9223372036854775808ns",
					     "3000000h" };
	int64_t nsec;

	for (size_t i = 0; i < ELEMENTS(wrong); i++)
		cr_assert_not(parse_duration(wrong[i], &nsec), "%s", wrong[i]);
}

Test(duration, prints_the_smallest_number)
{
	char printed[32];

	print_duration(INT64_MIN, printed);
	cr_assert_str_eq(printed, "-2562047h47m16.854775808s");
}

Test(edit_distance, counts_single_edits_without_regard_to_case)
{
	cr_assert_eq(edit_distance("port", "PORT", 2), 0);
	cr_assert_eq(edit_distance("port", "prt", 2), 1);
	cr_assert_eq(edit_distance("port", "ports", 2), 1);
	cr_assert_eq(edit_distance("port", "part", 2), 1);
	cr_assert_eq(edit_distance("port", "prot", 2), 1, "neighbours that swapped");
	cr_assert_eq(edit_distance("inbound", "inboudn", 2), 1);
	cr_assert_eq(edit_distance("abc", "", 5), 3);
	cr_assert_eq(edit_distance("", "", 5), 0);
	cr_assert_eq(edit_distance("port", "wxyz", 2), 3, "no more than limit + 1");
}

Test(edit_distance, gives_up_on_long_words)
{
	char word[100];

	memset(word, 'a', sizeof(word));
	word[99] = 0;
	cr_assert_eq(edit_distance(word, word, 2), 3);
}
