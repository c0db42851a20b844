/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A host on which everything is as it should be, and a configuration that suits it; tests spoil one
 * thing at a time. Each test runs in a process of its own, so that one fixture is enough. */

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/strbuf.h"
#include "common/plan/plan_build.h"
#include "tests/present.h"

#define TOKEN                                                                       \
	"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJOYW1lIjoid2ViIiwiZXhwIjoyMDAwMDAw" \
	"MDAwfQ.c2lnbmF0dXJl"
#define DATAPLANE(networking) \
	"type: Dataplane\nmesh: default\nname: web\nnetworking:\n  address: 192.0.2.10\n" networking
#define INBOUND "  inbound:\n  - port: 8080\n    tags: {kuma.io/service: web}\n"

#define RUN_YAML                                                              \
	"kumaDP: {cpAddress: 'https://cp.example:5678', tokenFile: /t/token," \
	" dataplaneFile: /t/dp.yaml}\n"

struct fixture {
	struct arena arena;
	struct diag_list diags;
	struct loaded loaded;
	struct facts facts;
	struct plan plan;
	struct ip_addr addresses[4], cp_addresses[1];
	struct facts_socket listeners[4];
	struct facts_ssh_port ssh_ports[2];
};

static struct fixture fx;

static inline struct ip_addr address(const char *text)
{
	struct ip_addr addr = { 0 };

	cr_assert(ip_parse(text, &addr), "%s", text);
	return addr;
}

static inline struct facts_file file_with(const char *text)
{
	return (struct facts_file){
		.exists = true,
		.readable_by_user = true,
		.text = text,
		.len = text ? strlen(text) : 0,
	};
}

static inline void fixture_init(void)
{
	static const char *const addresses[] = { "127.0.0.1", "::1", "192.0.2.10", "2001:db8::10" };
	struct facts *facts = &fx.facts;

	fx = (struct fixture){ .diags.arena = &fx.arena };
	for (size_t i = 0; i < ELEMENTS(addresses); i++)
		fx.addresses[i] = address(addresses[i]);
	*facts = (struct facts){
		.asked = { .found = true, .name = "kuma-dp", .uid = 5678, .gid = 5678 },
		.uid_5678_name = "kuma-dp",
		.loopback = "lo",
		.ipv6 = true,
		.ipv6_loopback = true,
		.addresses = { fx.addresses, ELEMENTS(addresses) },
		.resolv_conf = file_with("nameserver 192.0.2.53\nnameserver 2001:db8::53\n"),
		.mesh_resolv_conf = file_with("nameserver 192.0.2.53\nnameserver 2001:db8::53\n"),
		.kuma_dp = { .path = "/usr/bin/kuma-dp",
			     .file = file_with(NULL),
			     .major = 2,
			     .minor = 14,
			     .patch = 3 },
		.envoy = { .path = "/usr/bin/envoy", .file = file_with(NULL) },
		.core_dns = { .path = "/usr/bin/coredns",
			      .file = file_with(NULL),
			      .major = 1,
			      .minor = 14,
			      .patch = 2,
			      .has_alternate = true },
		.token = file_with(TOKEN),
		.dataplane = file_with(DATAPLANE(INBOUND)),
		.ca_cert = file_with("pem"),
		.corefile = file_with("text"),
		.now_sec = 1800000000,
	};
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		facts->family[f].ability[BACKEND_NFTABLES].no_redirect = "no nf_tables";
	/* Of the warnings that a healthy host gets, these two are tested on their own. */
	fx.listeners[0] = (struct facts_socket){ .addr = address("::"), .port = 22 };
	fx.ssh_ports[0] = (struct facts_ssh_port){ .port = 22, .why = "sshd listens there" };
	facts->ssh_ports.items = fx.ssh_ports;
	facts->ssh_ports.n = 1;
	facts->listeners.items = fx.listeners;
	facts->listeners.n = 1;
}

static inline void fixture_done(void)
{
	arena_done(&fx.arena);
}

static inline void build_for(enum check_purpose purpose, const char *yaml)
{
	struct layer_file file = { .name = "test.yaml", .text = yaml, .len = strlen(yaml) };
	struct layers layers = { .files = &file, .n_files = 1 };

	cr_assert_eq(layers_load(&fx.arena, &layers, &fx.loaded, &fx.diags), 0);
	cr_assert_eq(fx.diags.n, 0, "%s", fx.diags.items[0].text);
	cr_assert_eq(plan_build(&fx.arena, &fx.loaded, &fx.facts, purpose, &fx.plan, &fx.diags), 0);
}

/* RUN_YAML and what is given. */
static inline void build_run(const char *yaml)
{
	_strbuf_ struct strbuf text = { 0 };

	strbuf_add(&text, RUN_YAML);
	strbuf_add(&text, yaml);
	build_for(CHECK_RUN, arena_strdup(&fx.arena, strbuf_text(&text)));
}

static inline void build_install(const char *yaml)
{
	build_for(CHECK_INSTALL, yaml);
}

/* The first diagnostic of that kind about the setting (NULL: about none) that holds the words. */
static inline const struct diag *find_said(enum severity severity, const char *setting,
					   const char *words)
{
	for (size_t i = 0; i < fx.diags.n; i++) {
		const struct diag *diag = &fx.diags.items[i];

		if (diag->severity == severity && strstr(diag->text, words) &&
		    (setting && diag->setting ? strcmp(setting, diag->setting) == 0
					      : !setting == !diag->setting))
			return diag;
	}
	return NULL;
}

static inline const char *all_said(void)
{
	_strbuf_ struct strbuf text = { 0 };

	for (size_t i = 0; i < fx.diags.n; i++) {
		diag_print(&fx.diags.items[i], &text);
		strbuf_addc(&text, '\n');
	}
	return arena_strdup(&fx.arena, strbuf_text(&text));
}

static inline void expect_said(enum severity severity, const char *setting, const char *words)
{
	cr_expect(find_said(severity, setting, words), "'%s' is not in:\n%s", words, all_said());
}

/* One error, that one. */
static inline void expect_refused(const char *setting, const char *words)
{
	expect_said(SEVERITY_ERROR, setting, words);
	cr_expect_eq(fx.diags.n_errors, 1, "%s", all_said());
}

static inline void expect_accepted(void)
{
	cr_expect_eq(fx.diags.n_errors, 0, "%s", all_said());
}

static inline void expect_silent(enum severity severity, const char *words)
{
	for (size_t i = 0; i < fx.diags.n; i++)
		cr_expect_not(fx.diags.items[i].severity == severity &&
				      strstr(fx.diags.items[i].text, words),
			      "%s", all_said());
}
