/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

#include <string.h>

#include "common/plan/token.h"

#define PROGRAM_DIRS "/usr/local/bin, /usr/bin, /opt/kuma/bin"

static const char *text_or_null(const char *text)
{
	return *text ? text : NULL;
}

/* Judges a program that the kuma-dp user is to run; kuma-dp itself would silently run another envoy
 * or coredns, from its own folder or PATH. */
static const char *judge_program(struct planner *p, const char *setting, const char *name,
				 const struct facts_program *program)
{
	if (!program->path)
		say(p, HOST_ERROR, setting,
		    "no %s is found in " PROGRAM_DIRS ": install it or name its path", name);
	else if (program->file.problem)
		say(p, HOST_ERROR, setting, "%s", program->file.problem);
	else
		return program->path;
	return NULL;
}

static void judge_kuma_dp_version(struct planner *p)
{
	const struct facts_program *kuma_dp = &p->facts->kuma_dp;

	if (kuma_dp->version_problem) {
		/* It is asked as the kuma-dp user, who may be yet to be created. */
		if (p->plan->user.found)
			say(p, HOST_ERROR, "kumaDP.path", "the version of %s cannot be told: %s",
			    kuma_dp->path, kuma_dp->version_problem);
		return;
	}
	if (!planner_kuma_dp_is(p, 2, 10))
		say(p, HOST_ERROR, "kumaDP.path", "%s is version %u.%u.%u: 2.10 or later is needed",
		    kuma_dp->path, kuma_dp->major, kuma_dp->minor, kuma_dp->patch);
	else if (kuma_dp->major && planner_kuma_dp_is(p, 2, 15))
		say(p, HOST_NOTICE, "kumaDP.path",
		    "%s is version %u.%u.%u: newer than any this tproxyd was tried with",
		    kuma_dp->path, kuma_dp->major, kuma_dp->minor, kuma_dp->patch);
	p->plan->children.major = kuma_dp->major;
	p->plan->children.minor = kuma_dp->minor;
	p->plan->children.patch = kuma_dp->patch;
}

static void judge_programs(struct planner *p)
{
	struct plan_children *children = &p->plan->children;

	children->kuma_dp = judge_program(p, "kumaDP.path", "kuma-dp", &p->facts->kuma_dp);
	if (children->kuma_dp)
		judge_kuma_dp_version(p);
	children->envoy = judge_program(p, "kumaDP.envoyPath", "envoy", &p->facts->envoy);
}

/* Whether a file that is needed can be read, by the kuma-dp user or by us. */
static bool judge_file(struct planner *p, const char *setting, const char *path,
		       const struct facts_file *file)
{
	/* What is wrong with another path the check of the configuration has said. */
	if (path[0] == '/' && file->problem)
		say(p, HOST_ERROR, setting, "%s", file->problem);
	return path[0] == '/' && !file->problem;
}

/* What kuma-dp prefers to the flags that tproxyd makes of settings. */
static const struct {
	const char *variable, *setting;
} overriding[] = {
	{ "KUMA_CONTROL_PLANE_URL", "kumaDP.cpAddress" },
	{ "KUMA_CONTROL_PLANE_CA_CERT", "kumaDP.caCertFile" },
	{ "KUMA_CONTROL_PLANE_CA_CERT_FILE", "kumaDP.caCertFile" },
	{ "KUMA_DATAPLANE_DRAIN_TIME", "kumaDP.drainTime" },
	{ "KUMA_DATAPLANE_MESH", "kumaDP.mesh" },
	{ "KUMA_DATAPLANE_NAME", "kumaDP.name" },
	{ "KUMA_DATAPLANE_RUNTIME_BINARY_PATH", "kumaDP.envoyPath" },
	{ "KUMA_DATAPLANE_RUNTIME_RESOURCE", "kumaDP.dataplaneFile" },
	{ "KUMA_DATAPLANE_RUNTIME_RESOURCE_PATH", "kumaDP.dataplaneFile" },
	{ "KUMA_DATAPLANE_RUNTIME_TOKEN", "kumaDP.tokenFile" },
	{ "KUMA_DATAPLANE_RUNTIME_TOKEN_PATH", "kumaDP.tokenFile" },
	{ "KUMA_DNS_CORE_DNS_BINARY_PATH", "coreDNS.path" },
	{ "KUMA_DNS_CORE_DNS_PORT", "redirect.dns.port" },
	{ "KUMA_DNS_ENABLED", "coreDNS.mode" },
	{ "KUMA_DNS_PROXY_PORT", "coreDNS.mode" },
};

static void judge_env(struct planner *p)
{
	const struct pair_list *env = &p->config->kuma_dp.env;

	for (size_t i = 0; i < env->n; i++)
		for (size_t j = 0; j < ELEMENTS(overriding); j++)
			if (strcmp(env->items[i].key, overriding[j].variable) == 0)
				say(p, CONFIG_WARNING, "kumaDP.env",
				    "%s beats %s: kuma-dp prefers its environment",
				    overriding[j].variable, overriding[j].setting);
}

static void judge_ca_cert(struct planner *p)
{
	const char *path = p->config->kuma_dp.ca_cert_file;

	if (!*path)
		return;
	p->plan->children.ca_cert_file = path;
	p->plan->children.ca_cert = p->facts->ca_cert.text;
	(void)judge_file(p, "kumaDP.caCertFile", path, &p->facts->ca_cert);
}

/* The daemon tells of what comes later, and needs to know what was told here. */
static void judge_expiry(struct planner *p, const char *path, uint64_t expires_sec)
{
	uint64_t now = p->facts->now_sec;
	_strbuf_ struct strbuf when = { 0 };

	p->plan->children.token_expires_sec = expires_sec;
	if (token_age(expires_sec, now) == TOKEN_FRESH)
		return;
	token_print_expiry(expires_sec, now, &when);
	say(p, HOST_WARNING, "kumaDP.tokenFile", "%s %s", path, strbuf_text(&when));
}

static void judge_token(struct planner *p)
{
	const char *path = p->config->kuma_dp.token_file;
	const struct facts_file *file = &p->facts->token;
	struct plan_children *children = &p->plan->children;
	const struct dataplane *dataplane = &children->dataplane;
	struct token_bearer bearer = {
		.now_sec = p->facts->now_sec,
		.mesh = children->dataplane_file ? dataplane->mesh : children->mesh,
		.name = children->dataplane_file ? dataplane->name : children->name,
		.tags = dataplane->name ? &dataplane->tags : NULL,
	};
	uint64_t expires_sec = 0;
	struct error err;
	int r;

	if (!*path)
		return;
	children->token_file = path;
	children->token = file->text;
	if (!judge_file(p, "kumaDP.tokenFile", path, file))
		return;
	children->token_private_copy = !file->readable_by_user;
	r = token_check(file->text, file->len, &bearer, &expires_sec, &err);
	if (r == TOKEN_NOT_YET)
		say(p, HOST_WARNING, "kumaDP.tokenFile", "%s cannot be used yet: %s", path,
		    err.text);
	else if (r < 0)
		say(p, HOST_ERROR, "kumaDP.tokenFile", "%s cannot be used: %s", path, err.text);
	if (r >= 0)
		judge_expiry(p, path, expires_sec);
}

static void judge_corefile(struct planner *p)
{
	const char *path = p->config->core_dns.corefile;

	if (*path && judge_file(p, "coreDNS.corefile", path, &p->facts->corefile))
		p->plan->children.corefile = p->facts->corefile.text;
}

static void judge_core_dns(struct planner *p)
{
	plan_dns_mode(p);
	if (!p->plan->children.envoy_dns_port)
		return;
	p->plan->children.core_dns =
		judge_program(p, "coreDNS.path", "coredns", &p->facts->core_dns);
	judge_corefile(p);
}

/* What others send to a control plane on this host arrives at the proxy,
 * which knows nothing of it. */
static void judge_control_plane(struct planner *p)
{
	const struct ip_list *addresses = &p->facts->cp_addresses;

	for (size_t i = 0; i < addresses->n; i++) {
		if (!ip_is_loopback(&addresses->items[i]) &&
		    !planner_is_own(p, &addresses->items[i]))
			continue;
		say(p, HOST_WARNING, "kumaDP.cpAddress",
		    "%s is this host: what other hosts send to the control plane is redirected "
		    "into the proxy, and refused under strict mTLS, and its own connections are "
		    "redirected too; exclude its ports with redirect.inbound.excludePorts and its "
		    "user with redirect.outbound.excludePortsForUIDs",
		    p->config->kuma_dp.cp_address);
		return;
	}
}

void plan_children(struct planner *p)
{
	struct plan_children *children = &p->plan->children;
	const struct config *config = p->config;

	children->cp_address = text_or_null(config->kuma_dp.cp_address);
	children->env = config->kuma_dp.env;
	children->extra_args = config->kuma_dp.extra_args;
	children->drain_time_nsec = config->kuma_dp.drain_time;
	children->resolv_conf = p->facts->mesh_resolv_conf.text;
	children->ipv4_only = !p->plan->family[FAMILY_V6].enabled;
	judge_env(p);
	judge_programs(p);
	judge_core_dns(p);
	judge_control_plane(p);
	judge_ca_cert(p);
	if (*config->kuma_dp.dataplane_file) {
		children->dataplane_file = config->kuma_dp.dataplane_file;
		children->dataplane_vars = config->kuma_dp.dataplane_vars;
		if (judge_file(p, "kumaDP.dataplaneFile", children->dataplane_file,
			       &p->facts->dataplane)) {
			children->dataplane_private_copy = !p->facts->dataplane.readable_by_user;
			plan_dataplane(p);
		}
	} else {
		children->name = text_or_null(config->kuma_dp.name);
		children->mesh = text_or_null(config->kuma_dp.mesh);
	}
	judge_token(p);
}
