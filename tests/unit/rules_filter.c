/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Inbounds that are closed at addresses that the mesh does not cover. */

#include "tests/unit/rules_plans.h"

static uint16_t ports[] = { 8080, 8443 };
static struct endpoint endpoints[] = {
	{ { FAMILY_V4, { 192, 0, 2, 10 } }, 8080 },
	{ { FAMILY_V4, { 192, 0, 2, 11 } }, 8443 },
};

static struct plan plan_strict(void)
{
	struct plan plan = plan_default();

	plan.comments = false;
	plan.strict_ports = (struct port_list){ ports, ELEMENTS(ports) };
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		plan.family[f].strict = true;
	plan.family[FAMILY_V4].inbounds = (struct endpoint_list){ endpoints, ELEMENTS(endpoints) };
	return plan;
}

static void expect_filter(const struct plan *plan, enum level level, enum family family,
			  const char *want)
{
	_arena_ struct arena arena = { 0 };
	_strbuf_ struct strbuf text = { 0 };
	struct ruleset rules;
	const char *filter;

	ruleset_build(&arena, plan, level, &rules);
	print_restore(&rules, family, &text);
	filter = strstr(strbuf_text(&text), "* filter\n");
	cr_expect_str_eq(filter ? filter : "", want);
}

Test(filter, closes_what_is_redirected_and_what_is_not)
{
	const struct plan plan = plan_strict();

	expect_filter(
		&plan, LEVEL_FULL, FAMILY_V4,
		"* filter\n"
		"-N KUMA_MESH_STRICT_INBOUND\n"
		"-I INPUT 1 -p tcp --syn -j KUMA_MESH_STRICT_INBOUND\n"
		"-A KUMA_MESH_STRICT_INBOUND -i lo -j RETURN\n"
		"-A KUMA_MESH_STRICT_INBOUND -p tcp --dport 15006 -m conntrack --ctorigdst 192.0.2.10 "
		"--ctorigdstport 8080 -j RETURN\n"
		"-A KUMA_MESH_STRICT_INBOUND -p tcp --dport 15006 -m conntrack --ctorigdst 192.0.2.11 "
		"--ctorigdstport 8443 -j RETURN\n"
		"-A KUMA_MESH_STRICT_INBOUND -p tcp --dport 15006 -m conntrack --ctorigdstport 8080 "
		"-j REJECT --reject-with tcp-reset\n"
		"-A KUMA_MESH_STRICT_INBOUND -p tcp --dport 15006 -m conntrack --ctorigdstport 8443 "
		"-j REJECT --reject-with tcp-reset\n"
		"-A KUMA_MESH_STRICT_INBOUND -d 192.0.2.10 -p tcp --dport 8080 -j RETURN\n"
		"-A KUMA_MESH_STRICT_INBOUND -d 192.0.2.11 -p tcp --dport 8443 -j RETURN\n"
		"-A KUMA_MESH_STRICT_INBOUND -p tcp --dport 8080 -j REJECT --reject-with tcp-reset\n"
		"-A KUMA_MESH_STRICT_INBOUND -p tcp --dport 8443 -j REJECT --reject-with tcp-reset\n"
		"COMMIT\n");
}

Test(filter, closes_a_family_that_is_not_redirected_and_does_nothing_else_there)
{
	_arena_ struct arena arena = { 0 };
	_strbuf_ struct strbuf text = { 0 };
	struct plan plan = plan_strict();
	struct ruleset rules;

	plan.family[FAMILY_V6].enabled = false;
	ruleset_build(&arena, &plan, LEVEL_FULL, &rules);
	print_restore(&rules, FAMILY_V6, &text);
	cr_expect_str_eq(
		strbuf_text(&text),
		"* filter\n"
		"-N KUMA_MESH_STRICT_INBOUND\n"
		"-I INPUT 1 -p tcp --syn -j KUMA_MESH_STRICT_INBOUND\n"
		"-A KUMA_MESH_STRICT_INBOUND -i lo -j RETURN\n"
		"-A KUMA_MESH_STRICT_INBOUND -p tcp --dport 8080 -j REJECT --reject-with tcp-reset\n"
		"-A KUMA_MESH_STRICT_INBOUND -p tcp --dport 8443 -j REJECT --reject-with tcp-reset\n"
		"COMMIT\n");
}

Test(filter, is_there_at_full_alone_and_only_where_it_is_asked_for)
{
	struct plan plan = plan_strict();

	for (enum level level = LEVEL_NONE; level < LEVEL_FULL; level++)
		expect_filter(&plan, level, FAMILY_V4, "");
	plan.family[FAMILY_V4].strict = false;
	expect_filter(&plan, LEVEL_FULL, FAMILY_V4, "");
}
