/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/plan_fixture.h"

#define USER "kumaDPUser"

TestSuite(user, .init = fixture_init, .fini = fixture_done);

static void nobody(void)
{
	fx.facts.asked = (struct facts_user){ 0 };
	fx.facts.uid_5678_name = NULL;
}

static void somebody(const char *name, uid_t uid)
{
	fx.facts.asked = (struct facts_user){ .found = true, .name = name, .uid = uid };
	fx.facts.uid_5678_name = uid == 5678 ? name : NULL;
}

static void forget(void)
{
	fx.diags.n = fx.diags.n_errors = 0;
}

Test(user, is_kuma_dp_by_default)
{
	build_run("");
	expect_accepted();
	cr_expect(fx.plan.user.found);
	cr_expect_eq(fx.plan.user.uid, 5678);
}

Test(user, may_have_another_uid_under_its_name)
{
	somebody("kuma-dp", 998);
	build_run("");
	expect_accepted();
	cr_expect_eq(fx.plan.user.uid, 998);
}

Test(user, that_is_missing_is_created_by_prepare)
{
	nobody();
	build_run("");
	expect_accepted();
	expect_said(SEVERITY_NOTICE, USER, "user 'kuma-dp' does not exist yet");
	expect_said(SEVERITY_NOTICE, USER, "`tproxyd prepare` creates it");
	cr_expect_not(fx.plan.user.found);
}

Test(user, with_a_name_of_its_own_is_created_too)
{
	nobody();
	build_run("kumaDPUser: mesh\n");
	expect_accepted();
	expect_said(SEVERITY_NOTICE, USER, "user 'mesh' does not exist yet");
}

Test(user, that_is_missing_is_refused_where_none_may_be_created)
{
	nobody();
	build_run("user: {create: false}\n");
	expect_refused(USER, "user 'kuma-dp' does not exist, and user.create is false");
	cr_expect(diag_has_error(&fx.diags, true));
}

Test(user, given_as_a_number_must_exist)
{
	nobody();
	build_run("kumaDPUser: 4321\n");
	expect_refused(USER, "no user has UID 4321");
}

Test(user, is_promised_only_where_prepare_makes_it)
{
	nobody();
	build_run("kumaDPUser: \"+5678\"\n");
	expect_refused(USER, "no user has UID +5678 (sign and zeros are no part of a UID)");
	forget();
	build_run("kumaDPUser: 4294967296\n");
	expect_refused(USER, "no user has UID 4294967296: name one that exists");
	forget();
	build_run("kumaDPUser: an-ordinary-name-of-40-letters-or-so-xxx\n");
	expect_refused(USER, "cannot be created: a name to create has at most 31 letters");
}

Test(user, given_as_5678_is_created_as_kuma_dp)
{
	nobody();
	build_run("kumaDPUser: 5678\n");
	expect_accepted();
	expect_said(SEVERITY_NOTICE, USER, "user 'kuma-dp' does not exist yet");
}

Test(user, cannot_be_created_where_its_uid_is_taken)
{
	nobody();
	fx.facts.uid_5678_name = "bob";
	build_run("kumaDPUser: kuma-dp\n");
	expect_refused(USER, "'kuma-dp' cannot be created: UID 5678 belongs to 'bob'");
}

Test(user, cannot_be_root)
{
	somebody("root", 0);
	build_run("kumaDPUser: root\n");
	expect_refused(USER, "'root' has UID 0");
	cr_expect(diag_has_error(&fx.diags, false));
	cr_expect_eq(present(find_said(SEVERITY_ERROR, USER, ""))->origin.line, 2);
}

Test(user, is_not_whoever_has_uid_5678_unless_named)
{
	somebody("bob", 5678);
	build_run("");
	expect_refused(USER, "UID 5678 belongs to 'bob', not to 'kuma-dp'");
}

Test(user, may_be_whoever_is_named)
{
	somebody("bob", 5678);
	build_run("kumaDPUser: bob\n");
	expect_accepted();
}

Test(user, given_as_a_number_is_not_the_name_of_another_uid)
{
	somebody("1234", 77);
	build_run("kumaDPUser: 1234\n");
	expect_refused(USER, "'1234' is no UID of this host but the name of a user with UID 77");
}

Test(user, given_as_a_number_that_no_uid_can_be_is_not_a_name_either)
{
	somebody("4294967296", 77);
	build_run("kumaDPUser: 4294967296\n");
	expect_refused(USER, "'4294967296' is no UID of this host but the name of a user");
}

Test(user, must_exist_for_install)
{
	nobody();
	build_install("");
	expect_refused(USER,
		       "no UID or username provided, and user with the default UID ('5678') or "
		       "username ('kuma-dp') could not be found");
}

Test(user, that_was_named_must_exist_for_install)
{
	nobody();
	build_install("kumaDPUser: mesh\n");
	expect_refused(USER,
		       "the specified UID or username ('mesh') does not refer to a valid user "
		       "on the host");
}

Test(user, may_be_anybody_for_install)
{
	somebody("root", 0);
	build_install("kumaDPUser: root\n");
	expect_accepted();
}
