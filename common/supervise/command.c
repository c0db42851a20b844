/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/digest.h"
#include "common/base/parse.h"
#include "common/base/strbuf.h"
#include "common/plan/mustache.h"

#define CHILD_PATH      "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PROMETHEUS_PORT "19153"

/* What files are to a reader. */
#define TOKEN     "the token"
#define DATAPLANE "the Dataplane"
#define COREFILE  "the Corefile"

/* What kuma-dp can be told, from this release on; cobra refuses a flag that a release does not
 * have. 2.10 to 2.13 and 3.0 were read, 2.14 was run. Without coredns the embedded DNS is told by
 * --dns-proxy-port. */
static const struct release {
	unsigned major, minor;
	bool core_dns;      /* runs coredns: --dns-coredns-path, --dns-envoy-port and the like */
	bool redirect_file; /* --transparent-proxy-config */
	bool work_dir;      /* --work-dir; before that --config-dir and the sockets' directory */
	bool embedded_dns;  /* KUMA_DNS_PROXY_PORT */
} releases[] = {
	{ 2, 10, .core_dns = true },
	{ 2, 11, .core_dns = true, .redirect_file = true, .embedded_dns = true },
	{ 2, 12, .core_dns = true, .redirect_file = true, .embedded_dns = true, .work_dir = true },
	{ 3, 0, .redirect_file = true, .embedded_dns = true, .work_dir = true },
};

const char corefile_template[] =
	"# SPDX-License-Identifier: GPL-2.0-or-later\n"
	"# What coredns serves where coreDNS.mode is tproxyd, and a template for coreDNS.corefile.\n"
	"#\n"
	"# .CoreDNSPort, .EnvoyDNSPort and .PrometheusPort are filled in, here and by kuma-dp (mode\n"
	"# kuma-dp). Sections are tproxyd's alone: .alternate is on for Kuma's build of coredns,\n"
	"# .loopback where queries come from this host only, .ipv6 where IPv6 is redirected.\n"
	"#\n"
	"# Envoy knows the mesh's names; what it does not answer is for the host's own servers.\n"
	".:{{ .CoreDNSPort }} {\n"
	"{{#.loopback}}\n"
	"\tbind 127.0.0.1{{#.ipv6}} ::1{{/.ipv6}}\n"
	"{{/.loopback}}\terrors\n"
	"\tforward . 127.0.0.1:{{ .EnvoyDNSPort }} {\n"
	"\t\tprefer_udp\n"
	"\t\tmax_fails 0\n"
	"{{^.alternate}}\n"
	"\t\tnext NOTIMP FORMERR NXDOMAIN SERVFAIL REFUSED\n"
	"{{/.alternate}}\t}\n"
	"{{^.alternate}}\n"
	"\tforward . /etc/resolv.conf\n"
	"{{/.alternate}}{{#.alternate}}\n"
	"\talternate NOTIMP,FORMERR,NXDOMAIN,SERVFAIL,REFUSED . /etc/resolv.conf\n"
	"{{/.alternate}}}\n";

struct builder {
	struct arena *arena;
	const struct plan *plan;
	const struct release *release;
	struct diag_list *diags;
	struct command *command;
};

static void arg(struct builder *b, const char *fmt, ...) _printf_(2, 3);

static void arg(struct builder *b, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	array_push(b->arena, &b->command->argv, arena_vprintf(b->arena, fmt, args));
	va_end(args);
}

/* Sets a variable, instead of an earlier value: of two the first would count. */
static void env(struct builder *b, const char *name, const char *value)
{
	const char *text = arena_printf(b->arena, "%s=%s", name, value);
	struct string_list *list = &b->command->environ;
	size_t len = strlen(name) + 1;

	for (size_t i = 0; text && i < list->n; i++)
		if (list->items[i] && strncmp(list->items[i], text, len) == 0) {
			list->items[i] = text;
			return;
		}
	array_push(b->arena, list, text);
}

/* Adds a file in the work directory and returns its path. */
static const char *file(struct builder *b, const char *name, const char *text, const char *what)
{
	struct command_file file = { arena_printf(b->arena, WORK_DIR "/%s", name), text, what };

	array_push(b->arena, &b->command->files, file);
	return file.path ? file.path : "";
}

static void give(struct builder *b, const char *path, const char *text, const char *what)
{
	array_push(b->arena, &b->command->given, (struct command_file){ path, text, what });
}

static void finish(struct builder *b)
{
	array_push(b->arena, &b->command->argv, NULL);
	array_push(b->arena, &b->command->environ, NULL);
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

static void begin(struct builder *b, const char *name, const char *path)
{
	*b->command = (struct command){ .name = name, .path = path };
	arg(b, "%s", name);
	env(b, "PATH", CHILD_PATH);
	env(b, "HOME", WORK_DIR);
	env(b, "TMPDIR", WORK_DIR);
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

/* A file of the user's, where there is one: what is in it matters too. */
static void add_users_file(struct builder *b, const char *flag, struct command_file file)
{
	if (!file.path)
		return;
	arg(b, "%s=%s", flag, file.path);
	array_push(b->arena, &b->command->given, file);
}

static void add_identity(struct builder *b)
{
	const struct plan_children *children = &b->plan->children;

	if (children->cp_address)
		arg(b, "--cp-address=%s", children->cp_address);
	add_users_file(b, "--ca-cert-file",
		       (struct command_file){ children->ca_cert_file, children->ca_cert,
					      "the CA certificate" });
	if (children->token_private_copy)
		arg(b, "--dataplane-token-file=%s", file(b, "token", children->token, TOKEN));
	else
		add_users_file(
			b, "--dataplane-token-file",
			(struct command_file){ children->token_file, children->token, TOKEN });
	if (!children->dataplane_file) {
		if (children->name)
			arg(b, "--name=%s", children->name);
		if (children->mesh)
			arg(b, "--mesh=%s", children->mesh);
		return;
	}
	if (children->dataplane_private_copy)
		arg(b, "--dataplane-file=%s",
		    file(b, "dataplane.yaml", children->resource, DATAPLANE));
	else
		add_users_file(b, "--dataplane-file",
			       (struct command_file){ children->dataplane_file, children->resource,
						      DATAPLANE });
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
	if (b->release->work_dir) {
		arg(b, "--work-dir=" WORK_DIR);
	} else {
		/* Without this one the others leave it empty, and sockets get relative names. */
		arg(b, "--config-dir=" WORK_DIR);
		env(b, "KUMA_DATAPLANE_RUNTIME_SOCKET_DIR", WORK_DIR);
	}
	if (b->release->core_dns)
		arg(b, "--dns-server-config-dir=" WORK_DIR);
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
		give(b, RESOLV_CONF, children->resolv_conf, RESOLV_CONF);
		break;
	case CORE_DNS_KUMA_DP:
		arg(b, "--dns-coredns-path=%s", children->core_dns ? children->core_dns : "");
		arg(b, "--dns-coredns-port=%u", plan->dns_port);
		arg(b, "--dns-envoy-port=%u", children->envoy_dns_port);
		if (children->corefile)
			arg(b, "--dns-coredns-config-template-path=%s",
			    file(b, "Corefile.template", children->corefile, COREFILE));
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
	if (b->release->embedded_dns)
		env(b, "KUMA_DNS_PROXY_PORT", port);
}

/* 3.0: the embedded proxy is the only one; ours then stands in front of it. */
static void add_dns_embedded_only(struct builder *b)
{
	const struct plan_children *children = &b->plan->children;
	bool alone = children->dns_mode == CORE_DNS_EMBEDDED;
	unsigned port = alone ? b->plan->dns_port : children->envoy_dns_port;

	if (!alone && children->dns_mode != CORE_DNS_TPROXYD) {
		arg(b, "--dns-enabled=false");
		return;
	}
	arg(b, "--dns-proxy-port=%u", port);
	give(b, RESOLV_CONF, children->resolv_conf, RESOLV_CONF);
}

static void refuse_impossible_mode(struct builder *b)
{
	const struct plan_children *children = &b->plan->children;
	const char *problem = NULL;

	if (children->dns_mode == CORE_DNS_EMBEDDED && !b->release->embedded_dns)
		problem = "cannot answer DNS itself";
	if (children->dns_mode == CORE_DNS_KUMA_DP && !b->release->core_dns)
		problem = "runs no coredns";
	if (problem)
		diag_add_host(b->diags, SEVERITY_ERROR, NULL, "coreDNS.mode", "kuma-dp %u.%u %s",
			      children->major, children->minor, problem);
}

void command_kuma_dp(struct arena *arena, const struct plan *plan, struct command *ret,
		     struct diag_list *diags)
{
	const struct plan_children *children = &plan->children;
	struct builder b = {
		.arena = arena,
		.plan = plan,
		.release = find_release(children),
		.diags = diags,
		.command = ret,
	};
	char text[32];

	if (!b.release) {
		diag_add_host(diags, SEVERITY_ERROR, NULL, "kumaDP.path",
			      "kuma-dp %u.%u is no version whose flags are known", children->major,
			      children->minor);
		b.release = &releases[ELEMENTS(releases) - 1];
	}
	refuse_impossible_mode(&b);
	begin(&b, "kuma-dp", children->kuma_dp);
	(void)snprintf(text, sizeof(text), "%d", KUMA_READINESS_PORT);
	env(&b, "KUMA_READINESS_PORT", text);
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
		    file(&b, "transparent-proxy.yaml", redirect_text(&b),
			 "what kuma-dp is told of the redirect"));
	for (size_t i = 0; i < children->env.n; i++)
		env(&b, children->env.items[i].key, children->env.items[i].value);
	for (size_t i = 0; i < children->extra_args.n; i++)
		arg(&b, "%s", children->extra_args.items[i]);
	finish(&b);
}

static void set_var(struct arena *arena, struct pair_list *vars, const char *key, const char *value)
{
	array_push(arena, vars, (struct pair){ key, value });
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

	set_var(arena, &vars, ".CoreDNSPort", arena_printf(arena, "%u", plan->dns_port));
	set_var(arena, &vars, ".EnvoyDNSPort", arena_printf(arena, "%u", children->envoy_dns_port));
	set_var(arena, &vars, ".PrometheusPort", PROMETHEUS_PORT);
	if (children->core_dns_alternate)
		set_var(arena, &vars, ".alternate", "");
	/* Kuma's build has no `bind`; a virtual network's queries arrive at
	 * the bridge's address. */
	if (!children->core_dns_alternate && !vnets)
		set_var(arena, &vars, ".loopback", "");
	if (plan->family[FAMILY_V6].enabled)
		set_var(arena, &vars, ".ipv6", "");
	if (arena->failed)
		return NULL;
	return mustache_render(arena, &template, diags);
}

void command_core_dns(struct arena *arena, const struct plan *plan, struct command *ret,
		      struct diag_list *diags)
{
	struct builder b = { .arena = arena, .plan = plan, .diags = diags, .command = ret };

	begin(&b, "coredns", plan->children.core_dns);
	arg(&b, "-conf");
	arg(&b, "%s", file(&b, "Corefile", corefile(arena, plan, diags), COREFILE));
	arg(&b, "-quiet");
	give(&b, RESOLV_CONF, plan->children.resolv_conf, RESOLV_CONF);
	finish(&b);
}

static void add_text(struct digest *digest, const char *text)
{
	digest_add(digest, text ? text : "", text ? strlen(text) + 1 : 0);
}

static void add_list(struct digest *digest, const struct string_list *list)
{
	digest_add(digest, &list->n, sizeof(list->n));
	for (size_t i = 0; i < list->n; i++)
		add_text(digest, list->items[i]);
}

static void add_files(struct digest *digest, const struct command_file_list *list)
{
	digest_add(digest, &list->n, sizeof(list->n));
	for (size_t i = 0; i < list->n; i++) {
		add_text(digest, list->items[i].path);
		add_text(digest, list->items[i].text);
	}
}

void command_digest(const struct command *command, uint64_t ret[static 2])
{
	struct digest digest = DIGEST_INIT;

	add_text(&digest, command->path);
	add_list(&digest, &command->argv);
	add_list(&digest, &command->environ);
	add_files(&digest, &command->files);
	add_files(&digest, &command->given);
	ret[0] = digest.a;
	ret[1] = digest.b;
}

bool command_equal(const struct command *a, const struct command *b)
{
	uint64_t of_a[2], of_b[2];

	command_digest(a, of_a);
	command_digest(b, of_b);
	return of_a[0] == of_b[0] && of_a[1] == of_b[1];
}
