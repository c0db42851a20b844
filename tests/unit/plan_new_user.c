/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/new_user.h"

#include <string.h>

#include <criterion/criterion.h>

static void expect_made(const char *asked, const char *name, bool uid_5678)
{
	struct new_user user;
	struct error err = { 0 };

	cr_assert_eq(new_user_judge(asked, NULL, &user, &err), 0, "%s: %s", asked, err.text);
	cr_expect_str_eq(user.name, name);
	cr_expect_eq(user.uid_5678, uid_5678, "%s", asked);
}

static void expect_refused(const char *asked, const char *words)
{
	struct new_user user;
	struct error err = { 0 };

	cr_expect_lt(new_user_judge(asked, NULL, &user, &err), 0, "%s", asked);
	cr_expect(strstr(err.text, words), "%s: '%s' has no '%s'", asked, err.text, words);
}

Test(new_user, is_kuma_dp_with_uid_5678_or_whoever_is_named)
{
	expect_made("", "kuma-dp", true);
	expect_made("5678", "kuma-dp", true);
	expect_made("kuma-dp", "kuma-dp", true);
	expect_made("mesh_proxy-2", "mesh_proxy-2", false);
	expect_made("_Mesh", "_Mesh", false);
	expect_made("a-name-of-thirty-one-characters", "a-name-of-thirty-one-characters", false);
}

Test(new_user, is_never_made_of_a_number)
{
	static const char *const numbers[] = {
		"1",          "4321",       "05678",
		"+5678",      "-1",         "00",
		"4294967295", "4294967296", "99999999999999999999999999999999999999999",
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		expect_refused(numbers[i], "no user has UID ");
	expect_refused("4294967296", "UID 4294967296: name one that exists");
	expect_refused("+5678", "sign and zeros are no part of a UID");
	expect_refused("05678", "sign and zeros are no part of a UID");
}

Test(new_user, has_a_name_that_all_tools_take)
{
	static const char *const names[] = {
		"--root",
		"-",
		"+",
		"a b",
		"a:b",
		"a/b",
		"a\nb",
		"1a",
		"a.b",
		".",
		"..",
		"~a",
		"m\xc3\xbcller",
		"a$",
		"a-name-of-thirty-two-characters-",
		"%u",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		expect_refused(names[i], "cannot be created: a name to create has at most 31 ");
}

Test(new_user, is_not_made_over_somebody_who_has_5678)
{
	struct new_user user;
	struct error err = { 0 };

	cr_expect_lt(new_user_judge("", "bob", &user, &err), 0);
	cr_expect_str_eq(err.text, "user 'kuma-dp' cannot be created: UID 5678 belongs to 'bob'");
	cr_expect_eq(new_user_judge("mesh", "bob", &user, &err), 0);
}
