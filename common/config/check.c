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

struct check {
	const struct loaded *loaded;
	const struct config *config;
	enum check_purpose purpose;
	struct diag_list *diags;
};

static void complain(struct check *c, const char *setting, const char *fmt, ...) _printf_(3, 4);

static void complain(struct check *c, const char *setting, const char *fmt, ...)
{
	struct diag diag = { .origin = *loaded_origin(c->loaded, setting), .setting = setting };
	va_list args;

	va_start(args, fmt);
	diag_vadd(c->diags, diag, fmt, args);
	va_end(args);
}

bool check_has_unread(const struct diag_list *diags)
{
	for (size_t i = 0; i < diags->n; i++)
		if (diags->items[i].severity == SEVERITY_ERROR && !diags->items[i].setting &&
		    diags->items[i].origin.kind == ORIGIN_FILE)
			return true;
	return false;
}

/* Whether there is a part of a file that could not be understood, or this setting's value could not:
 * what follows from the default would then only distract. */
static bool is_unknown(const struct diag_list *diags, const char *setting)
{
	for (size_t i = 0; i < diags->n; i++)
		if (diags->items[i].severity == SEVERITY_ERROR && diags->items[i].setting &&
		    strcmp(diags->items[i].setting, setting) == 0)
			return true;
	return check_has_unread(diags);
}

/* A rule between settings, or about one value: when it is broken, and what is then said about
 * which setting. */
struct rule {
	bool broken;
	enum severity severity;
	const char *setting, *text;
};

/* A table: all its lines are alike. */
static void check_rules(struct check *c)
{
	const bool run = c->purpose == CHECK_RUN;
	const struct config *config = c->config;
	const bool named = *config->kuma_dp.name, file = *config->kuma_dp.dataplane_file;
	const bool other_mesh = strcmp(config->kuma_dp.mesh, "default") != 0;
	const struct config_direction *in = &config->redirect.inbound;
	const struct config_direction *out = &config->redirect.outbound;
	const enum core_dns_mode mode = config->core_dns.mode;
	const bool runs_coredns = mode == CORE_DNS_TPROXYD || mode == CORE_DNS_KUMA_DP;
	const bool runs_none = mode == CORE_DNS_EMBEDDED || mode == CORE_DNS_OFF;
	const int64_t timeout = config->readiness.timeout, interval = config->readiness.interval;
	const int64_t delay = config->restart.delay;
	/* clang-format off */
	const struct rule rules[] = {
		{ run && !*config->kuma_dp.cp_address, SEVERITY_ERROR, "kumaDP.cpAddress",
		  "is needed: the URL of the control plane, https://HOST:PORT" },
		{ run && !*config->kuma_dp.token_file, SEVERITY_ERROR, "kumaDP.tokenFile",
		  "is needed: the file with the data plane token" },
		{ run && !file && !named, SEVERITY_ERROR, "kumaDP.dataplaneFile",
		  "is needed: the file with the Dataplane resource (or kumaDP.name, for one that the control plane has already)" },
		{ run && file && named, SEVERITY_ERROR, "kumaDP.name",
		  "and kumaDP.dataplaneFile are both set; only one of them can be" },
		{ run && named && !*config->kuma_dp.mesh, SEVERITY_ERROR, "kumaDP.mesh",
		  "is empty; with kumaDP.name it has to name the mesh" },
		{ run && file && !named && other_mesh, SEVERITY_WARNING, "kumaDP.mesh",
		  "has no effect with kumaDP.dataplaneFile: the resource names its mesh" },
		{ run && config->kuma_dp.dataplane_vars.n && !file, SEVERITY_WARNING, "kumaDP.dataplaneVars",
		  "has no effect without kumaDP.dataplaneFile" },
		{ run && config->kuma_dp.drain_time <= 0, SEVERITY_ERROR, "kumaDP.drainTime",
		  "has to be longer than 0s" },
		{ in->exclude_ports_for_uids.n, SEVERITY_ERROR, "redirect.inbound.excludePortsForUIDs",
		  "cannot be used: an inbound packet has no user, and iptables would exclude everything; redirect.outbound.excludePortsForUIDs can" },
		{ in->include_ports.n && in->exclude_ports.n, SEVERITY_WARNING, "redirect.inbound.excludePorts",
		  "has no effect: redirect.inbound.includePorts is set" },
		{ out->include_ports.n && out->exclude_ports.n, SEVERITY_WARNING, "redirect.outbound.excludePorts",
		  "has no effect: redirect.outbound.includePorts is set" },
		{ config->log.level > 7, SEVERITY_ERROR, "log.level",
		  "is more than 7; 0 (emergency) to 7 (debug) can be used" },
		{ !in->enabled && !out->enabled && !config_redirects_dns(config), SEVERITY_WARNING, "redirect.outbound.enabled",
		  "nothing is redirected: redirect.inbound.enabled, redirect.outbound.enabled and redirect.dns.enabled are all false" },
		/* Without any effect, but kumactl's mistakes are mistakes here. */
		{ config->ebpf.enabled && !*config->ebpf.instance_ip, SEVERITY_ERROR, "ebpf.instanceIP",
		  "is needed where ebpf.enabled is true" },
		{ config->backend == BACKEND_NFTABLES && !run && config->store_firewalld, SEVERITY_ERROR, "storeFirewalld",
		  "cannot be used with backend: nftables: what firewalld stores are rules of iptables" },
		{ run && config->dry_run, SEVERITY_ERROR, "dryRun",
		  "cannot be used by the service; \"tproxyd install --dry-run\" prints the rules" },
		{ run && config_redirects_dns(config) && mode == CORE_DNS_OFF, SEVERITY_ERROR, "coreDNS.mode",
		  "is off while redirect.dns.enabled (or captureAll) is true: nobody would answer" },
		{ run && !config_redirects_dns(config) && runs_coredns, SEVERITY_WARNING, "coreDNS.mode",
		  "starts a DNS server that nothing is redirected to: redirect.dns.enabled is false" },
		{ run && *config->core_dns.corefile && runs_none, SEVERITY_ERROR, "coreDNS.corefile",
		  "can be used only where coreDNS.mode is auto, kuma-dp or tproxyd" },
		{ run && config->safety.keep_connections == AUTO_BOOL_FALSE, SEVERITY_WARNING, "safety.keepConnections",
		  "is false: open TCP connections may be reset when the redirect is switched on" },
		{ run && config->safety.protect_ssh == AUTO_BOOL_FALSE, SEVERITY_WARNING, "safety.protectSSH",
		  "is false: SSH goes through the proxy, and a proxy that fails locks you out" },
		{ run && timeout <= 0, SEVERITY_ERROR, "readiness.timeout",
		  "has to be longer than 0s" },
		{ run && interval <= 0, SEVERITY_ERROR, "readiness.interval",
		  "has to be longer than 0s" },
		{ run && timeout > 0 && interval > timeout, SEVERITY_ERROR, "readiness.interval",
		  "is longer than readiness.timeout" },
		{ run && delay <= 0, SEVERITY_ERROR, "restart.delay",
		  "has to be longer than 0s" },
		{ run && delay > config->restart.max_delay, SEVERITY_ERROR, "restart.delay",
		  "is longer than restart.maxDelay" },
		{ run && config->failure.hold_rules < 0, SEVERITY_ERROR, "failure.holdRules",
		  "cannot be negative" },
		{ run && config->safety.confirm < 0, SEVERITY_ERROR, "safety.confirm",
		  "cannot be negative" },
		{ run && config->store_firewalld, SEVERITY_NOTICE, "storeFirewalld",
		  "has no effect in the service, which puts the rules in whenever it starts; direct rules would make firewalld flush all tables of iptables at every reload, these rules too" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ELEMENTS(rules); i++)
		if (rules[i].broken && !is_unknown(c->diags, rules[i].setting))
			diag_add(c->diags, rules[i].severity,
				 loaded_origin(c->loaded, rules[i].setting), rules[i].setting, "%s",
				 rules[i].text);
}

static void check_flags(struct check *c)
{
	for (size_t i = 0; i < n_settings; i++) {
		const struct setting *setting = &settings[i];
		const struct origin *origin = &c->loaded->origins[i];

		if (origin->kind == ORIGIN_DEFAULT ||
		    (c->purpose == CHECK_INSTALL && !setting->kumactl &&
		     !(setting->flags & SETTING_INSTALL)))
			continue;
		if (setting->flags & SETTING_IGNORED)
			diag_add(c->diags, SEVERITY_NOTICE, origin, setting->path,
				 "is accepted because kumactl knows it; it has no effect here");
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

	if (!*url)
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
		{ "redirect.dns.port", config_redirects_dns(c->config),
		  c->config->redirect.dns.port },
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

void check_config(const struct loaded *loaded, enum check_purpose purpose, struct diag_list *diags)
{
	struct check c = {
		.loaded = loaded, .config = &loaded->config, .purpose = purpose, .diags = diags
	};

	check_rules(&c);
	check_flags(&c);
	check_paths(&c);
	check_ports(&c);
	check_chains(&c);
	if (purpose == CHECK_RUN) {
		check_cp_address(&c);
		check_handed_over(&c);
	}
}
