/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/check.h"

#include <ctype.h>
#include <string.h>

#include "common/base/parse.h"
#include "common/base/strbuf.h"
#include "common/config/quote.h"
#include "common/config/value.h"

#define CHAIN_PREFIX "KUMA_MESH_"
#define CHAIN_MAX    28 /* bytes of a chain's full name; the kernel keeps 29 with the NUL */

enum purposes {
	FOR_RUN = 1 << CHECK_RUN,
	FOR_INSTALL = 1 << CHECK_INSTALL,
	FOR_BOTH = FOR_RUN | FOR_INSTALL,
};

static bool no_cp_address(const struct config *c)
{
	return !*c->kuma_dp.cp_address;
}

static bool no_token(const struct config *c)
{
	return !*c->kuma_dp.token_file;
}

static bool no_dataplane(const struct config *c)
{
	return !*c->kuma_dp.dataplane_file && !*c->kuma_dp.name;
}

static bool two_dataplanes(const struct config *c)
{
	return *c->kuma_dp.dataplane_file && *c->kuma_dp.name;
}

static bool name_without_mesh(const struct config *c)
{
	return *c->kuma_dp.name && !*c->kuma_dp.mesh;
}

static bool mesh_with_file(const struct config *c)
{
	return *c->kuma_dp.dataplane_file && !*c->kuma_dp.name &&
	       strcmp(c->kuma_dp.mesh, "default") != 0;
}

static bool vars_without_file(const struct config *c)
{
	return c->kuma_dp.dataplane_vars.n && !*c->kuma_dp.dataplane_file;
}

static bool inbound_uids(const struct config *c)
{
	return c->redirect.inbound.exclude_ports_for_uids.n;
}

static bool inbound_include_and_exclude(const struct config *c)
{
	return c->redirect.inbound.include_ports.n && c->redirect.inbound.exclude_ports.n;
}

static bool outbound_include_and_exclude(const struct config *c)
{
	return c->redirect.outbound.include_ports.n && c->redirect.outbound.exclude_ports.n;
}

static bool log_level_too_high(const struct config *c)
{
	return c->log.level > 7;
}

static bool dry_run(const struct config *c)
{
	return c->dry_run;
}

static bool dns(const struct config *c)
{
	return c->redirect.dns.enabled || c->redirect.dns.capture_all;
}

static bool nothing_redirected(const struct config *c)
{
	return !c->redirect.inbound.enabled && !c->redirect.outbound.enabled && !dns(c);
}

static bool dns_without_server(const struct config *c)
{
	return dns(c) && c->core_dns.mode == CORE_DNS_OFF;
}

static bool server_without_dns(const struct config *c)
{
	return !dns(c) &&
	       (c->core_dns.mode == CORE_DNS_TPROXYD || c->core_dns.mode == CORE_DNS_KUMA_DP);
}

static bool corefile_unused(const struct config *c)
{
	return *c->core_dns.corefile &&
	       (c->core_dns.mode == CORE_DNS_EMBEDDED || c->core_dns.mode == CORE_DNS_OFF);
}

static bool connections_unsafe(const struct config *c)
{
	return c->safety.keep_connections == AUTO_BOOL_FALSE;
}

static bool ssh_unsafe(const struct config *c)
{
	return c->safety.protect_ssh == AUTO_BOOL_FALSE;
}

static bool drain_time_wrong(const struct config *c)
{
	return c->kuma_dp.drain_time <= 0;
}

static bool timeout_wrong(const struct config *c)
{
	return c->readiness.timeout <= 0;
}

static bool interval_wrong(const struct config *c)
{
	return c->readiness.interval <= 0;
}

static bool interval_beyond_timeout(const struct config *c)
{
	return c->readiness.timeout > 0 && c->readiness.interval > c->readiness.timeout;
}

static bool delay_wrong(const struct config *c)
{
	return c->restart.delay <= 0;
}

static bool delay_beyond_max(const struct config *c)
{
	return c->restart.delay > c->restart.max_delay;
}

static bool hold_wrong(const struct config *c)
{
	return c->failure.hold_rules < 0;
}

static bool nftables(const struct config *c)
{
	return c->backend == BACKEND_NFTABLES;
}

static bool stores(const struct config *c)
{
	return c->store_firewalld;
}

/* Neither has any effect, but kumactl's mistakes are mistakes here. */
static bool ebpf_without_ip(const struct config *c)
{
	return c->ebpf.enabled && !*c->ebpf.instance_ip;
}

static const struct rule_row {
	bool (*broken)(const struct config *config);
	enum severity severity;
	unsigned purposes;
	const char *setting; /* whose origin is quoted */
	const char *text;
} rules[] = {
	{ no_cp_address, SEVERITY_ERROR, FOR_RUN, "kumaDP.cpAddress",
	  "is needed: the URL of the control plane, https://HOST:PORT" },
	{ no_token, SEVERITY_ERROR, FOR_RUN, "kumaDP.tokenFile",
	  "is needed: the file with the data plane token" },
	{ no_dataplane, SEVERITY_ERROR, FOR_RUN, "kumaDP.dataplaneFile",
	  "is needed: the file with the Dataplane resource (or kumaDP.name, for one that the "
	  "control plane has already)" },
	{ two_dataplanes, SEVERITY_ERROR, FOR_RUN, "kumaDP.name",
	  "and kumaDP.dataplaneFile are both set; only one of them can be" },
	{ name_without_mesh, SEVERITY_ERROR, FOR_RUN, "kumaDP.mesh",
	  "is empty; with kumaDP.name it has to name the mesh" },
	{ mesh_with_file, SEVERITY_WARNING, FOR_RUN, "kumaDP.mesh",
	  "has no effect with kumaDP.dataplaneFile: the resource names its mesh" },
	{ vars_without_file, SEVERITY_WARNING, FOR_RUN, "kumaDP.dataplaneVars",
	  "has no effect without kumaDP.dataplaneFile" },
	{ inbound_uids, SEVERITY_ERROR, FOR_BOTH, "redirect.inbound.excludePortsForUIDs",
	  "cannot be used: an inbound packet has no user, and iptables would exclude everything; "
	  "redirect.outbound.excludePortsForUIDs can" },
	{ inbound_include_and_exclude, SEVERITY_WARNING, FOR_BOTH, "redirect.inbound.excludePorts",
	  "has no effect: redirect.inbound.includePorts is set" },
	{ outbound_include_and_exclude, SEVERITY_WARNING, FOR_BOTH,
	  "redirect.outbound.excludePorts",
	  "has no effect: redirect.outbound.includePorts is set" },
	{ log_level_too_high, SEVERITY_ERROR, FOR_BOTH, "log.level",
	  "is more than 7; 0 (emergency) to 7 (debug) can be used" },
	{ dry_run, SEVERITY_ERROR, FOR_RUN, "dryRun",
	  "cannot be used by the service; \"tproxyd install --dry-run\" prints the rules" },
	{ nothing_redirected, SEVERITY_WARNING, FOR_BOTH, "redirect.outbound.enabled",
	  "nothing is redirected: redirect.inbound.enabled, redirect.outbound.enabled and "
	  "redirect.dns.enabled are all false" },
	{ dns_without_server, SEVERITY_ERROR, FOR_RUN, "coreDNS.mode",
	  "is off while redirect.dns.enabled (or captureAll) is true: nobody would answer" },
	{ server_without_dns, SEVERITY_WARNING, FOR_RUN, "coreDNS.mode",
	  "starts a DNS server that nothing is redirected to: redirect.dns.enabled is false" },
	{ corefile_unused, SEVERITY_ERROR, FOR_RUN, "coreDNS.corefile",
	  "can be used only where coreDNS.mode is auto, kuma-dp or tproxyd" },
	{ connections_unsafe, SEVERITY_WARNING, FOR_RUN, "safety.keepConnections",
	  "is false: open TCP connections may be reset when the redirect is switched on" },
	{ ssh_unsafe, SEVERITY_WARNING, FOR_RUN, "safety.protectSSH",
	  "is false: SSH goes through the proxy, and a proxy that fails locks you out" },
	{ drain_time_wrong, SEVERITY_ERROR, FOR_RUN, "kumaDP.drainTime",
	  "has to be longer than 0s" },
	{ timeout_wrong, SEVERITY_ERROR, FOR_RUN, "readiness.timeout", "has to be longer than 0s" },
	{ interval_wrong, SEVERITY_ERROR, FOR_RUN, "readiness.interval",
	  "has to be longer than 0s" },
	{ interval_beyond_timeout, SEVERITY_ERROR, FOR_RUN, "readiness.interval",
	  "is longer than readiness.timeout" },
	{ delay_wrong, SEVERITY_ERROR, FOR_RUN, "restart.delay", "has to be longer than 0s" },
	{ delay_beyond_max, SEVERITY_ERROR, FOR_RUN, "restart.delay",
	  "is longer than restart.maxDelay" },
	{ hold_wrong, SEVERITY_ERROR, FOR_RUN, "failure.holdRules", "cannot be negative" },
	{ stores, SEVERITY_NOTICE, FOR_RUN, "storeFirewalld",
	  "has no effect in the service, which puts the rules in whenever it starts; direct rules "
	  "would make firewalld flush all tables of iptables at every reload, these rules too" },
	{ ebpf_without_ip, SEVERITY_ERROR, FOR_BOTH, "ebpf.instanceIP",
	  "is needed where ebpf.enabled is true" },
	{ nftables, SEVERITY_ERROR, FOR_BOTH, "backend",
	  "nftables is not built yet; auto and iptables can be used" },
};

struct check {
	const struct loaded *loaded;
	const struct config *config;
	enum check_purpose purpose;
	struct diag_list *diags;
};

static void complain(struct check *c, const char *setting, const char *fmt, ...) _printf_(3, 4);

static void complain(struct check *c, const char *setting, const char *fmt, ...)
{
	va_list args;
	const char *text;

	va_start(args, fmt);
	text = arena_vprintf(c->diags->arena, fmt, args);
	va_end(args);
	diag_add(c->diags, SEVERITY_ERROR, loaded_origin(c->loaded, setting), setting, "%s",
		 text ? text : fmt);
}

/* Whether install's result depends on it at all. */
static bool counts(const struct check *c, const struct setting *setting)
{
	return c->purpose == CHECK_RUN || (setting->flags & SETTING_KUMACTL) ||
	       strcmp(setting->path, "backend") == 0 ||
	       strncmp(setting->path, "safety.", strlen("safety.")) == 0;
}

static void check_flags(struct check *c)
{
	for (size_t i = 0; i < n_settings; i++) {
		const struct setting *setting = &settings[i];
		const struct origin *origin = &c->loaded->origins[i];

		if (!counts(c, setting) || origin->kind == ORIGIN_DEFAULT)
			continue;
		if (setting->flags & SETTING_IGNORED)
			diag_add(c->diags, SEVERITY_NOTICE, origin, setting->path,
				 "is accepted because kumactl knows it; it has no effect here");
		else if ((setting->flags & SETTING_DEFAULT_ONLY) &&
			 !value_is_default(setting, c->config))
			complain(c, setting->path,
				 "is not implemented yet; only %s, the default, can be used",
				 setting->dflt);
	}
}

static bool is_host_char(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '-' || c == '_';
}

/* What is wrong with HOST[:PORT][/PATH], or NULL. */
static const char *authority_fault(const char *text)
{
	const char *host = text;
	char port[8] = { 0 };
	uint16_t value;
	size_t len;

	if (*text == '[') {
		text += strspn(text, "[0123456789abcdefABCDEF:.");
		if (text == host + 1 || *text++ != ']')
			return "the address in brackets is no IPv6 address";
	} else {
		while (is_host_char(*text))
			text++;
		if (text == host)
			return "there is no host in it";
	}
	if (*text == ':') {
		len = strcspn(++text, "/");
		if (len < sizeof(port))
			memcpy(port, text, len);
		if (len >= sizeof(port) || !parse_port(port, &value))
			return "its port is not one from 1 to 65535";
		text += len;
	}
	if (*text && *text != '/')
		return "behind the host only :PORT and a path can follow";
	return strpbrk(text, " ?#") ? "its path cannot have blanks, ? or #" : NULL;
}

static void check_cp_address(struct check *c)
{
	static const char scheme[] = "https://";
	const char *url = c->config->kuma_dp.cp_address, *fault;

	if (c->purpose != CHECK_RUN || !*url)
		return;
	if (strncmp(url, scheme, strlen(scheme)) != 0)
		fault = "it does not begin with https:// (the token would travel unprotected)";
	else
		fault = authority_fault(url + strlen(scheme));
	if (fault)
		complain(c, "kumaDP.cpAddress", "%s is not a URL as https://HOST:PORT: %s",
			 quote_text(c->diags->arena, url), fault);
}

static void check_paths(struct check *c)
{
	const struct {
		const char *setting, *value;
	} rows[] = {
		{ "kumaDP.path", c->config->kuma_dp.path },
		{ "kumaDP.envoyPath", c->config->kuma_dp.envoy_path },
		{ "kumaDP.caCertFile", c->config->kuma_dp.ca_cert_file },
		{ "kumaDP.tokenFile", c->config->kuma_dp.token_file },
		{ "kumaDP.dataplaneFile", c->config->kuma_dp.dataplane_file },
		{ "coreDNS.path", c->config->core_dns.path },
		{ "coreDNS.corefile", c->config->core_dns.corefile },
		{ "redirect.dns.resolvConfigPath", c->config->redirect.dns.resolv_config_path },
	};

	for (size_t i = 0; c->purpose == CHECK_RUN && i < ELEMENTS(rows); i++)
		if (*rows[i].value && *rows[i].value != '/')
			complain(c, rows[i].setting,
				 "%s is not an absolute path: it has to begin with /",
				 quote_text(c->diags->arena, rows[i].value));
	if (!*c->config->redirect.dns.resolv_config_path)
		complain(c, "redirect.dns.resolvConfigPath",
			 "is empty; it has to name a file, as /etc/resolv.conf");
}

/* Blames of two settings the one whose value came later: somebody has set it. */
static void complain_of_two(struct check *c, const char *a, const char *b, const char *value,
			    const char *rule)
{
	bool a_is_later = loaded_origin(c->loaded, a)->kind > loaded_origin(c->loaded, b)->kind;

	complain(c, a_is_later ? a : b, "is %s, as %s; %s of its own", value, a_is_later ? b : a,
		 rule);
}

static void check_ports(struct check *c)
{
	const struct {
		const char *setting;
		bool enabled;
		uint16_t port;
	} rows[] = {
		{ "redirect.inbound.port", c->config->redirect.inbound.enabled,
		  c->config->redirect.inbound.port },
		{ "redirect.outbound.port", c->config->redirect.outbound.enabled,
		  c->config->redirect.outbound.port },
		{ "redirect.dns.port", dns(c->config), c->config->redirect.dns.port },
	};

	for (size_t i = 0; i < ELEMENTS(rows); i++)
		for (size_t j = 0; j < i; j++)
			if (rows[i].enabled && rows[j].enabled && rows[i].port == rows[j].port)
				complain_of_two(c, rows[j].setting, rows[i].setting,
						arena_printf(c->diags->arena, "%u", rows[i].port),
						"each needs a port");
}

static void check_chains(struct check *c)
{
	const struct config_direction *in = &c->config->redirect.inbound;
	const struct config_direction *out = &c->config->redirect.outbound;
	const struct {
		const char *setting, *name;
	} rows[] = {
		{ "redirect.inbound.chainName", in->chain_name },
		{ "redirect.inbound.redirectChainName", in->redirect_chain_name },
		{ "redirect.outbound.chainName", out->chain_name },
		{ "redirect.outbound.redirectChainName", out->redirect_chain_name },
	};

	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		const char *name = rows[i].name, *p = name;
		const char *quoted = quote_text(c->diags->arena, name);

		while (isalnum((unsigned char)*p) || *p == '_' || *p == '-')
			p++;
		if (!*name)
			complain(c, rows[i].setting, "is empty; a chain needs a name");
		else if (*p)
			complain(c, rows[i].setting,
				 "%s is no chain name: letters, digits, _ and - can be used",
				 quoted);
		else if (strlen(CHAIN_PREFIX) + strlen(name) > CHAIN_MAX)
			complain(c, rows[i].setting,
				 "%s is too long: at most %zu characters can follow " CHAIN_PREFIX,
				 quoted, CHAIN_MAX - strlen(CHAIN_PREFIX));
		for (size_t j = 0; j < i; j++)
			if (strcmp(name, rows[j].name) == 0)
				complain_of_two(c, rows[j].setting, rows[i].setting, quoted,
						"each chain needs a name");
	}
}

static bool is_variable_name(const char *name)
{
	if (!isalpha((unsigned char)*name) && *name != '_')
		return false;
	while (isalnum((unsigned char)*name) || *name == '_')
		name++;
	return !*name;
}

static void check_handed_over(struct check *c)
{
	const struct pair_list *env = &c->config->kuma_dp.env;
	const struct pair_list *vars = &c->config->kuma_dp.dataplane_vars;
	const struct string_list *args = &c->config->kuma_dp.extra_args;

	if (c->purpose != CHECK_RUN)
		return;
	for (size_t i = 0; i < env->n; i++)
		if (!is_variable_name(env->items[i].key))
			complain(c, "kumaDP.env",
				 "%s is no name of a variable: letters, digits and _ can be used, "
				 "not beginning with a digit",
				 quote_text(c->diags->arena, env->items[i].key));
	for (size_t i = 0; i < vars->n; i++)
		if (strpbrk(vars->items[i].key, "= \t{}"))
			complain(c, "kumaDP.dataplaneVars",
				 "%s is no name of a variable: it cannot have =, braces or blanks",
				 quote_text(c->diags->arena, vars->items[i].key));
	for (size_t i = 0; i < args->n; i++)
		if (!*args->items[i])
			complain(c, "kumaDP.extraArgs", "item %zu is empty", i + 1);
}

/* Whether a file could not be understood as a whole, or this setting's value could not: what
 * follows from the default would then only distract. */
static bool is_unknown(const struct diag_list *diags, const char *setting)
{
	for (size_t i = 0; i < diags->n; i++) {
		const struct diag *diag = &diags->items[i];

		if (diag->severity != SEVERITY_ERROR)
			continue;
		if (diag->setting ? strcmp(diag->setting, setting) == 0
				  : diag->origin.kind == ORIGIN_FILE)
			return true;
	}
	return false;
}

void check_config(const struct loaded *loaded, enum check_purpose purpose, struct diag_list *diags)
{
	struct check c = {
		.loaded = loaded, .config = &loaded->config, .purpose = purpose, .diags = diags
	};

	for (size_t i = 0; i < ELEMENTS(rules); i++)
		if ((rules[i].purposes & (1U << purpose)) && rules[i].broken(c.config) &&
		    !is_unknown(diags, rules[i].setting))
			diag_add(diags, rules[i].severity, loaded_origin(loaded, rules[i].setting),
				 rules[i].setting, "%s", rules[i].text);
	check_flags(&c);
	check_cp_address(&c);
	check_paths(&c);
	check_ports(&c);
	check_chains(&c);
	check_handed_over(&c);
}
