/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the table of settings says of a reload is an upper bound of what a change of the setting does:
 * each setting is changed alone, on several configurations, on a host that fits. */

#include "common/config/check.h"
#include "daemon/load/generation.h"
#include "tests/unit/plan_fixture.h"

struct value {
	const char *path, *text;
};

/* Where no other value of the type would do. */
static const struct value values[] = {
	{ "kumaDP.cpAddress", "https://cp.example:5679" },
	{ "kumaDP.tokenFile", "/other/token" },
	{ "kumaDP.dataplaneFile", "/other/dp.yaml" },
	{ "kumaDP.caCertFile", "/other/ca.pem" },
	{ "kumaDP.path", "/other/kuma-dp" },
	{ "kumaDP.envoyPath", "/other/envoy" },
	{ "coreDNS.path", "/other/coredns" },
	{ "coreDNS.corefile", "/other/Corefile" },
	{ "kumaDP.env", "KEY=other" },
	{ "redirect.dns.resolvConfigPath", "/other/resolv.conf" },
	{ "redirect.outbound.excludePortsForUIDs", "tcp:80:1000" },
	{ "redirect.inbound.excludePortsForIPs", "203.0.113.0/24" },
	{ "redirect.outbound.excludePortsForIPs", "203.0.113.0/24" },
	{ "redirect.vnet.networks", "docker0:172.17.0.0/16" },
	{ "redirect.inbound.chainName", "OTHER" },
	{ "redirect.inbound.redirectChainName", "OTHER_REDIRECT" },
	{ "redirect.outbound.chainName", "OTHER" },
	{ "redirect.outbound.redirectChainName", "OTHER_REDIRECT" },
	{ "kumaDPUser", "other" },
	{ "kumaDP.dataplaneVars", "variable=value" },
	{ "iptablesExecutables", "iptables:/usr/sbin/iptables" },
	{ "ebpf.instanceIP", "192.0.2.1" },
};

/* For no Dataplane in particular. */
#define ANY_TOKEN "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjIwMDAwMDAwMDB9.c2lnbmF0dXJl"

#define NAMED_YAML \
	"kumaDP: {cpAddress: 'https://cp.example:5678', tokenFile: /t/token, name: web}\n"

/* All that DNS can be, directions that are off, a Dataplane that the control plane has. */
static const char *const bases[] = {
	RUN_YAML,
	NAMED_YAML,
	RUN_YAML "redirect: {dns: {enabled: true}}\n",
	RUN_YAML "redirect: {dns: {enabled: true}}\ncoreDNS: {mode: tproxyd}\n",
	RUN_YAML "redirect: {dns: {captureAll: true}}\ncoreDNS: {mode: embedded}\n",
	RUN_YAML
	"redirect: {inbound: {enabled: false}, dns: {enabled: true}}\nipFamilyMode: ipv4\n",
	RUN_YAML "redirect: {outbound: {enabled: false}}\nlog: {enabled: true}\n",
	RUN_YAML "safety: {protectSSH: false, strictInbound: true}\n",
};

static const char *text_for(const struct setting *setting, const char *now, size_t n)
{
	size_t i = 0;

	for (size_t k = 0; k < ELEMENTS(values); k++)
		if (strcmp(values[k].path, setting->path) == 0)
			return n == 0 ? values[k].text : NULL;
	if (setting->type == SETTING_ENUM) {
		while (i < n && setting->names[i])
			i++;
		return setting->names[i];
	}
	if (n > 0)
		return NULL;
	switch (setting->type) {
	case SETTING_BOOL:
		return strcmp(now, "true") == 0 ? "false" : "true";
	case SETTING_DURATION:
	case SETTING_HOLD:
		return "7s";
	case SETTING_UINT16:
	case SETTING_UINT32:
		return "3";
	case SETTING_PORT:
	case SETTING_PORTS:
		return "17777";
	case SETTING_STRING:
	case SETTING_STRINGS:
	case SETTING_PAIRS:
	case SETTING_EXECUTABLES:
	case SETTING_ENUM:
	case SETTING_TYPE_COUNT:
		break;
	}
	return "other";
}

/* What the host has at the places that the configuration names. */
static void find_on_host(const struct config *config, struct facts *facts)
{
	bool other_user = strcmp(config->kuma_dp_user, "other") == 0;

	fixture_init();
	*facts = fx.facts;
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		facts->family[f].ability[BACKEND_NFTABLES] = (struct facts_abilities){ 0 };
	facts->token = file_with(ANY_TOKEN);
	if (*config->kuma_dp.path)
		facts->kuma_dp.path = config->kuma_dp.path;
	if (*config->kuma_dp.envoy_path)
		facts->envoy.path = config->kuma_dp.envoy_path;
	/* The Corefile for a stock coredns depends on more settings than that for Kuma's build. */
	facts->core_dns.has_alternate = config->core_dns.mode != CORE_DNS_TPROXYD;
	if (*config->core_dns.path)
		facts->core_dns.path = config->core_dns.path;
	if (*config->kuma_dp.ca_cert_file)
		facts->ca_cert = file_with("other");
	if (strcmp(config->kuma_dp.dataplane_file, "/other/dp.yaml") == 0)
		facts->dataplane = file_with(DATAPLANE(
			"  inbound:\n  - port: 8081\n    tags: {kuma.io/service: web}\n"));
	if (strcmp(config->redirect.dns.resolv_config_path, "/other/resolv.conf") == 0)
		facts->resolv_conf = file_with("nameserver 192.0.2.54\n");
	if (other_user)
		facts->asked = (struct facts_user){
			.found = true, .name = "other", .uid = 1234, .gid = 1234
		};
}

static void load(struct generation *g, const char *base, const char *variable)
{
	struct layer_file file = { .name = "t.yaml", .text = base, .len = strlen(base) };
	char *environ[] = { (char *)(uintptr_t)variable, NULL };
	struct layers layers = { .files = &file, .n_files = 1, .environ = environ };
	struct diag_list *diags = &g->options.diags;

	diags->arena = &g->arena;
	cr_assert_eq(layers_load(&g->arena, &layers, &g->options.loaded, diags), 0);
	check_config(&g->options.loaded, CHECK_RUN, diags);
}

static void derive(struct generation *g)
{
	struct diag_list *diags = &g->options.diags;

	find_on_host(&g->options.loaded.config, &g->facts);
	cr_assert_eq(
		plan_build(&g->arena, &g->options.loaded, &g->facts, CHECK_RUN, &g->plan, diags),
		0);
	if (diags->n_errors)
		return;
	for (enum level level = 0; level < LEVEL_COUNT; level++)
		ruleset_build(&g->arena, &g->plan, level, &g->rules[level]);
	command_kuma_dp(&g->arena, &g->plan, &g->command[CHILD_KUMA_DP], diags);
	if (g->plan.children.dns_mode == CORE_DNS_TPROXYD)
		command_core_dns(&g->arena, &g->plan, &g->command[CHILD_CORE_DNS], diags);
}

/* As the table says it. */
static unsigned effects(const struct change *change)
{
	unsigned ret = 0;

	if (change->refusal)
		return AFFECTS_START;
	ret |= change->needs & CHANGE_RULES ? AFFECTS_RULES : 0;
	ret |= change->needs & CHANGE_KUMA_DP ? AFFECTS_KUMA_DP : 0;
	ret |= change->needs & CHANGE_CORE_DNS ? AFFECTS_CORE_DNS : 0;
	return ret | (change->needs & CHANGE_DAEMON ? AFFECTS_DAEMON : 0);
}

/* What a change of the setting to that value brings about on that base; 0 where it is not valid. */
static unsigned effects_of(const struct setting *setting, const char *base, const char *text)
{
	struct generation before = { 0 }, after = { 0 };
	struct change change = { 0 };
	unsigned ret = 0;

	load(&before, base, "UNUSED=");
	load(&after, base, arena_printf(&after.arena, "%s=%s", setting->env, text));
	derive(&before);
	cr_assert_eq(before.options.diags.n_errors, 0, "%s", base);
	if (!after.options.diags.n_errors)
		derive(&after);
	if (!after.options.diags.n_errors) {
		generation_compare(&before, &after, &change);
		ret = effects(&change);
	}
	arena_done(&before.arena);
	arena_done(&after.arena);
	return ret;
}

/* All of them together, over all bases and values. */
static unsigned all_effects(const struct setting *setting)
{
	unsigned ret = 0;

	for (size_t base = 0; base < ELEMENTS(bases); base++) {
		const char *text;

		for (size_t n = 0; (text = text_for(setting, setting->dflt, n)); n++) {
			unsigned found = effects_of(setting, bases[base], text);

			cr_expect_eq(found & ~setting->affects, 0,
				     "%s=%s on \"%s\" does %x, the table says %x", setting->path,
				     text, bases[base], found, setting->affects);
			ret |= found;
		}
	}
	return ret;
}

/* What the table says beyond what is seen here: each with its reason. */
static const struct {
	const char *path;
	unsigned affects;
} unseen[] = {
	/* no part of what is compared; install reads them, or the daemon when it needs them */
	{ "wait", AFFECTS_DAEMON },
	{ "waitInterval", AFFECTS_DAEMON },
	{ "retry.maxRetries", AFFECTS_DAEMON },
	{ "retry.sleepBetweenRetries", AFFECTS_DAEMON },
	/* no value is valid */
	{ "redirect.inbound.excludePortsForUIDs", AFFECTS_RULES },
	/* a port may stand in the resource as a variable */
	{ "kumaDP.dataplaneVars", AFFECTS_RULES },
};

static unsigned unseen_of(const char *path)
{
	for (size_t i = 0; i < ELEMENTS(unseen); i++)
		if (strcmp(unseen[i].path, path) == 0)
			return unseen[i].affects;
	return 0;
}

Test(reload_effects, are_those_of_the_table)
{
	for (size_t i = 0; i < n_settings; i++) {
		const struct setting *setting = &settings[i];
		unsigned found = all_effects(setting);

		cr_expect_eq(setting->affects & ~found & ~unseen_of(setting->path), 0,
			     "%s: the table says %x, but %x is all that is seen", setting->path,
			     setting->affects, found);
	}
}
