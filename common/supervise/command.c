/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/parse.h"
#include "common/base/strbuf.h"
#include "common/plan/mustache.h"
#include "common/supervise/corefile.h"

#define RESOLV_CONF     "/etc/resolv.conf" /* what coredns and the embedded proxy read */
#define PROMETHEUS_PORT "19153"
#define SECRET_MODE     0400

/* What kuma-dp can be told, from this release on; cobra refuses a flag that a release does not
 * have. 2.10 to 2.13 and 3.0 were read, 2.14 was run. */
static const struct release {
	unsigned major, minor;
	bool core_dns;      /* runs coredns: --dns-coredns-path, --dns-envoy-port and the like */
	bool redirect_file; /* --transparent-proxy-config */
	bool work_dir;      /* --work-dir; before that --config-dir and the sockets' directory */
	bool proxy_env;     /* embedded DNS, by KUMA_DNS_PROXY_PORT */
	bool proxy_flag;    /* the same, by --dns-proxy-port */
} releases[] = {
	{ 2, 10, .core_dns = true },
	{ 2, 11, .core_dns = true, .redirect_file = true, .proxy_env = true },
	{ 2, 12, .core_dns = true, .redirect_file = true, .proxy_env = true, .work_dir = true },
	{ 2, 13, .core_dns = true, .redirect_file = true, .proxy_env = true, .work_dir = true },
	{ 2, 14, .core_dns = true, .redirect_file = true, .proxy_env = true, .work_dir = true },
	{ 3, 0, .redirect_file = true, .work_dir = true, .proxy_flag = true },
};

struct files {
	struct command_file *items;
	size_t n;
};

struct builder {
	struct arena *arena;
	const struct plan *plan;
	const struct command_dirs *dirs;
	const struct release *release;
	struct diag_list *diags;
	struct string_list argv, environ, digested;
	struct files files;
};

static void arg(struct builder *b, const char *fmt, ...) _printf_(2, 3);

static void arg(struct builder *b, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	array_push(b->arena, &b->argv, arena_vprintf(b->arena, fmt, args));
	va_end(args);
}

/* Sets a variable, instead of an earlier value: of two the first would count. */
static void env(struct builder *b, const char *name, const char *value)
{
	const char *text = arena_printf(b->arena, "%s=%s", name, value);
	size_t len = strlen(name) + 1;

	for (size_t i = 0; text && i < b->environ.n; i++)
		if (b->environ.items[i] && strncmp(b->environ.items[i], text, len) == 0) {
			b->environ.items[i] = text;
			return;
		}
	array_push(b->arena, &b->environ, text);
}

/* Adds a file below the runtime directory and returns its path. */
static const char *file(struct builder *b, const char *name, const char *text)
{
	struct command_file file = {
		.path = arena_printf(b->arena, "%s/%s", b->dirs->runtime, name),
		.text = text,
		.len = text ? strlen(text) : 0,
		.mode = SECRET_MODE,
	};

	array_push(b->arena, &b->files, file);
	return file.path ? file.path : "";
}

static void finish(struct builder *b, const char *name, const char *path, struct command *ret)
{
	array_push(b->arena, &b->argv, NULL);
	array_push(b->arena, &b->environ, NULL);
	*ret = (struct command){
		.name = name,
		.path = path,
		.argv = b->argv.items,
		.environ = b->environ.items,
		.files = b->files.items,
		.n_files = b->files.n,
		.digested = b->digested.items,
		.n_digested = b->digested.n,
	};
}

/* The last row that is not newer; NULL where the major version is none that is known. An unknown
 * version is an error of the plan already. */
static const struct release *find_release(const struct plan_children *children)
{
	unsigned major = children->major ? children->major : 2;
	unsigned minor = children->major ? children->minor : 14;
	const struct release *found = NULL;

	for (size_t i = 0; i < ELEMENTS(releases); i++)
		if (releases[i].major == major && releases[i].minor <= minor)
			found = &releases[i];
	return found;
}

static void add_base_env(struct builder *b)
{
	env(b, "PATH", b->dirs->path);
	env(b, "HOME", b->dirs->work);
	env(b, "TMPDIR", b->dirs->work);
	env(b, "LANG", "C.UTF-8");
}

/* pflag takes the text as it is where it has one "=", and as a line of CSV where it has more. */
static void add_dataplane_var(struct builder *b, const struct pair *var)
{
	const char *text = arena_printf(b->arena, "%s=%s", var->key, var->value);
	_strbuf_ struct strbuf quoted = { 0 };
	size_t len = text ? strlen(text) : 0;

	if (!text)
		return;
	if (strchr(text, '=') == strrchr(text, '=')) {
		if (text[0] == '"' || text[len - 1] == '"')
			diag_add(b->diags, SEVERITY_ERROR, NULL, "kumaDP.dataplaneVars",
				 "'%s': kuma-dp would drop a double quote at the beginning or end",
				 text);
		arg(b, "--dataplane-var=%s", text);
		return;
	}
	for (const char *p = text; *p; p++) {
		strbuf_addc(&quoted, *p);
		if (*p == '"')
			strbuf_addc(&quoted, '"');
	}
	arg(b, "--dataplane-var=\"%s\"", strbuf_text(&quoted));
}

static void add_identity(struct builder *b)
{
	const struct plan_children *children = &b->plan->children;

	if (children->cp_address)
		arg(b, "--cp-address=%s", children->cp_address);
	if (children->ca_cert_file) {
		arg(b, "--ca-cert-file=%s", children->ca_cert_file);
		array_push(b->arena, &b->digested, children->ca_cert_file);
	}
	if (children->token_private_copy) {
		arg(b, "--dataplane-token-file=%s", file(b, "token", children->token));
	} else if (children->token_file) {
		arg(b, "--dataplane-token-file=%s", children->token_file);
		array_push(b->arena, &b->digested, children->token_file);
	}
	if (!children->dataplane_file) {
		if (children->name)
			arg(b, "--name=%s", children->name);
		if (children->mesh)
			arg(b, "--mesh=%s", children->mesh);
		return;
	}
	if (children->dataplane_private_copy) {
		arg(b, "--dataplane-file=%s", file(b, "dataplane.yaml", children->resource));
	} else {
		arg(b, "--dataplane-file=%s", children->dataplane_file);
		array_push(b->arena, &b->digested, children->dataplane_file);
	}
	for (size_t i = 0; i < children->dataplane_vars.n; i++)
		add_dataplane_var(b, &children->dataplane_vars.items[i]);
}

/* kuma-dp reads of kumactl's settings what matters to it. Its dns section is a statement only: the
 * DNS flags replace it. */
static const char *redirect_text(struct builder *b)
{
	const struct plan *plan = b->plan;
	_strbuf_ struct strbuf out = { 0 };
	bool vnets = false;

	strbuf_addf(&out, "ipFamilyMode: %s\nredirect:\n",
		    plan->children.ipv4_only ? "ipv4" : "dualstack");
	strbuf_addf(&out, "  inbound:\n    enabled: %s\n    port: %u\n",
		    plan->inbound.enabled ? "true" : "false", plan->inbound.port);
	strbuf_addf(&out, "  outbound:\n    enabled: %s\n    port: %u\n",
		    plan->outbound.enabled ? "true" : "false", plan->outbound.port);
	strbuf_addf(&out, "  dns:\n    enabled: %s\n    port: %u\n",
		    plan->children.dns_mode != CORE_DNS_OFF ? "true" : "false", plan->dns_port);
	for (unsigned family = 0; family < FAMILY_COUNT; family++) {
		const struct vnet_list *list = &plan->family[family].vnets;

		for (size_t i = 0; plan->family[family].enabled && i < list->n; i++) {
			strbuf_addf(&out, "%s    - \"%s:%s\"\n",
				    vnets ? "" : "  vnet:\n    networks:\n", list->items[i].iface,
				    list->items[i].net.text);
			vnets = true;
		}
	}
	if (out.failed)
		b->arena->failed = true;
	return arena_strdup(b->arena, strbuf_text(&out));
}

static void add_directories(struct builder *b)
{
	const char *work = b->dirs->work;

	if (b->release->work_dir) {
		arg(b, "--work-dir=%s", work);
	} else {
		/* Without this one the others leave it empty, and sockets get relative names. */
		arg(b, "--config-dir=%s", work);
		env(b, "KUMA_DATAPLANE_RUNTIME_SOCKET_DIR", work);
	}
	if (b->release->core_dns)
		arg(b, "--dns-server-config-dir=%s", work);
}

/* Up to 2.14: Envoy serves the mesh's names on its DNS port also when kuma-dp's DNS is off. */
static void add_dns_with_core_dns(struct builder *b)
{
	const struct plan *plan = b->plan;
	const struct plan_children *children = &plan->children;
	char port[8] = "0";

	switch (children->dns_mode) {
	case CORE_DNS_EMBEDDED:
		(void)snprintf(port, sizeof(port), "%u", plan->dns_port);
		array_push(b->arena, &b->digested, RESOLV_CONF);
		break;
	case CORE_DNS_KUMA_DP:
		arg(b, "--dns-coredns-path=%s", children->core_dns ? children->core_dns : "");
		arg(b, "--dns-coredns-port=%u", plan->dns_port);
		arg(b, "--dns-envoy-port=%u", children->envoy_dns_port);
		if (children->corefile)
			arg(b, "--dns-coredns-config-template-path=%s",
			    file(b, "Corefile.template", children->corefile));
		break;
	case CORE_DNS_TPROXYD:
		arg(b, "--dns-enabled=false");
		arg(b, "--dns-envoy-port=%u", children->envoy_dns_port);
		break;
	case CORE_DNS_AUTO:
	case CORE_DNS_OFF:
		arg(b, "--dns-enabled=false");
		break;
	}
	if (b->release->proxy_env)
		env(b, "KUMA_DNS_PROXY_PORT", port);
}

/* 3.0: the embedded proxy is the only one; ours then stands in front of it. */
static void add_dns_embedded_only(struct builder *b)
{
	const struct plan_children *children = &b->plan->children;
	uint16_t port;

	switch (children->dns_mode) {
	case CORE_DNS_TPROXYD:
	case CORE_DNS_EMBEDDED:
		port = children->dns_mode == CORE_DNS_EMBEDDED ? b->plan->dns_port
							       : children->envoy_dns_port;
		arg(b, "--dns-proxy-port=%u", port);
		array_push(b->arena, &b->digested, RESOLV_CONF);
		break;
	case CORE_DNS_KUMA_DP:
	case CORE_DNS_AUTO:
	case CORE_DNS_OFF:
		arg(b, "--dns-enabled=false");
		break;
	}
}

static void refuse_impossible_mode(struct builder *b)
{
	const struct plan_children *children = &b->plan->children;
	const struct release *release = b->release;
	const char *problem = NULL;

	if (children->dns_mode == CORE_DNS_EMBEDDED && !release->proxy_env && !release->proxy_flag)
		problem = "cannot answer DNS itself";
	if (children->dns_mode == CORE_DNS_KUMA_DP && !release->core_dns)
		problem = "runs no coredns";
	if (problem)
		diag_add_host(b->diags, SEVERITY_ERROR, NULL, "coreDNS.mode", "kuma-dp %u.%u %s",
			      children->major, children->minor, problem);
}

void command_kuma_dp(struct arena *arena, const struct plan *plan, const struct command_dirs *dirs,
		     struct command *ret, struct diag_list *diags)
{
	const struct plan_children *children = &plan->children;
	struct builder b = {
		.arena = arena,
		.plan = plan,
		.dirs = dirs,
		.release = find_release(children),
		.diags = diags,
	};
	char text[32];

	if (!b.release) {
		diag_add_host(diags, SEVERITY_ERROR, NULL, "kumaDP.path",
			      "kuma-dp %u.%u is no version whose flags are known", children->major,
			      children->minor);
		b.release = &releases[ELEMENTS(releases) - 1];
	}
	refuse_impossible_mode(&b);
	add_base_env(&b);
	(void)snprintf(text, sizeof(text), "%d", KUMA_READINESS_PORT);
	env(&b, "KUMA_READINESS_PORT", text);
	arg(&b, "kuma-dp");
	arg(&b, "run");
	add_identity(&b);
	arg(&b, "--binary-path=%s", children->envoy ? children->envoy : "");
	print_duration(children->drain_time_nsec, text);
	arg(&b, "--drain-time=%s", text);
	add_directories(&b);
	if (b.release->core_dns)
		add_dns_with_core_dns(&b);
	else
		add_dns_embedded_only(&b);
	if (b.release->redirect_file)
		arg(&b, "--transparent-proxy-config=%s",
		    file(&b, "transparent-proxy.yaml", redirect_text(&b)));
	for (size_t i = 0; i < children->env.n; i++)
		env(&b, children->env.items[i].key, children->env.items[i].value);
	for (size_t i = 0; i < children->extra_args.n; i++)
		arg(&b, "%s", children->extra_args.items[i]);
	finish(&b, "kuma-dp", children->kuma_dp, ret);
}

static const char *corefile(struct arena *arena, const struct plan *plan, struct diag_list *diags)
{
	const struct plan_children *children = &plan->children;
	const char *text = children->corefile ? children->corefile : corefile_template;
	bool vnets = plan->family[FAMILY_V4].vnets.n || plan->family[FAMILY_V6].vnets.n;
	struct pair_list vars = { 0 };
	struct mustache template = {
		.path = "coreDNS.corefile",
		.text = text,
		.len = strlen(text),
		.vars = &vars,
		.unknown = SEVERITY_ERROR,
	};

	array_push(arena, &vars,
		   (struct pair){ ".CoreDNSPort", arena_printf(arena, "%u", plan->dns_port) });
	array_push(arena, &vars,
		   (struct pair){ ".EnvoyDNSPort",
				  arena_printf(arena, "%u", children->envoy_dns_port) });
	array_push(arena, &vars, (struct pair){ ".PrometheusPort", PROMETHEUS_PORT });
	if (children->core_dns_alternate)
		array_push(arena, &vars, (struct pair){ ".alternate", "" });
	/* Kuma's build has no `bind`; a virtual network's queries arrive at
	 * the bridge's address. */
	if (!children->core_dns_alternate && !vnets)
		array_push(arena, &vars, (struct pair){ ".loopback", "" });
	if (plan->family[FAMILY_V6].enabled)
		array_push(arena, &vars, (struct pair){ ".ipv6", "" });
	if (arena->failed)
		return NULL;
	return mustache_render(arena, &template, diags);
}

const char *command_corefile(struct arena *arena, const struct plan *plan)
{
	struct diag_list ignored = { .arena = arena };

	return corefile(arena, plan, &ignored);
}

void command_core_dns(struct arena *arena, const struct plan *plan, const struct command_dirs *dirs,
		      struct command *ret, struct diag_list *diags)
{
	struct builder b = { .arena = arena, .plan = plan, .dirs = dirs, .diags = diags };

	add_base_env(&b);
	arg(&b, "coredns");
	arg(&b, "-conf");
	arg(&b, "%s", file(&b, "Corefile", corefile(arena, plan, diags)));
	arg(&b, "-quiet");
	array_push(arena, &b.digested, RESOLV_CONF);
	finish(&b, "coredns", plan->children.core_dns, ret);
}
