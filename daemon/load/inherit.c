/* SPDX-License-Identifier: GPL-2.0-or-later */

/* How a generation gets from one binary to the next: as what it was made of. */

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "common/base/digest.h"
#include "common/rules/print_restore.h"
#include "daemon/load/generation.h"

#define FILES_MAX 1000 /* of a configuration */

/* Facts of a generation that are plain numbers. */
#define NUMBER(name, field, max) HANDOVER_NUMBER(name, generation, field, max)
#define PROGRAM(name, field)                                                      \
	NUMBER(name ".device", field.identity.device, UINT64_MAX),                \
		NUMBER(name ".inode", field.identity.inode, UINT64_MAX),          \
		NUMBER(name ".size", field.identity.size, UINT64_MAX),            \
		NUMBER(name ".changed", field.identity.changed_nsec, UINT64_MAX), \
		NUMBER(name ".major", field.major, UINT_MAX),                     \
		NUMBER(name ".minor", field.minor, UINT_MAX),                     \
		NUMBER(name ".patch", field.patch, UINT_MAX),                     \
		NUMBER(name ".alternate", field.has_alternate, 1)

/* clang-format off */
static const struct handover_fact facts[] = {
	NUMBER("number",           number,                        UINT_MAX),
	NUMBER("from-stdin",       options.from_stdin,            1),
	NUMBER("read-sec",         facts.now_sec,                 UINT64_MAX),
	NUMBER("backend",          plan.backend,                  BACKEND_COUNT - 1),
	NUMBER("uid",              plan.user.uid,                 UINT_MAX),
	NUMBER("gid",              plan.user.gid,                 UINT_MAX),
	NUMBER("kuma-dp.digest-1", digest[CHILD_KUMA_DP][0],      UINT64_MAX),
	NUMBER("kuma-dp.digest-2", digest[CHILD_KUMA_DP][1],      UINT64_MAX),
	NUMBER("coredns.digest-1", digest[CHILD_CORE_DNS][0],     UINT64_MAX),
	NUMBER("coredns.digest-2", digest[CHILD_CORE_DNS][1],     UINT64_MAX),
	PROGRAM("kuma-dp",         facts.kuma_dp),
	PROGRAM("envoy",           facts.envoy),
	PROGRAM("coredns",         facts.core_dns),
};
/* clang-format on */

static const struct handover_table table = { facts, ELEMENTS(facts) };

static const struct {
	const char *name;
	size_t offset;
} texts[] = {
	{ "token.", offsetof(struct facts, token) },
	{ "dataplane.", offsetof(struct facts, dataplane) },
	{ "ca-cert.", offsetof(struct facts, ca_cert) },
	{ "corefile.", offsetof(struct facts, corefile) },
	{ "resolv-conf.", offsetof(struct facts, resolv_conf) },
	{ "mesh-resolv-conf.", offsetof(struct facts, mesh_resolv_conf) },
};

/* Of what the rules are, at the levels that may be in. */
static struct digest digest_rules(const struct generation *g, struct strbuf *out)
{
	struct digest digest = DIGEST_INIT;

	for (enum level level = LEVEL_DRAIN; level <= LEVEL_FULL; level++) {
		struct ruleset rules = g->rules[level];

		rules.verbose = false;
		print_dry_run(&rules, out);
		strbuf_addf(out, "%d %s\n", rules.loopback_v6,
			    rules.loopback_v6 ? rules.loopback : "");
	}
	digest_add(&digest, strbuf_text(out), out->len);
	return digest;
}

static void add_optional_text(struct strbuf *out, const char *prefix, const char *name,
			      const char *text)
{
	if (text)
		handover_add_text(out, prefix, name, text);
}

static void add_file(struct strbuf *out, const char *prefix, const char *name,
		     const struct facts_file *file)
{
	char whole[64];

	(void)snprintf(whole, sizeof(whole), "%s%s", prefix, name);
	handover_add_number(out, whole, "exists", file->exists);
	handover_add_number(out, whole, "readable", file->readable_by_user);
	add_optional_text(out, whole, "problem", file->problem);
	add_optional_text(out, whole, "text", file->text);
}

static void add_files(struct strbuf *out, const char *prefix, const struct layer_file_list *files)
{
	char whole[64];

	handover_add_number(out, prefix, "files", files->n);
	for (size_t i = 0; i < files->n; i++) {
		(void)snprintf(whole, sizeof(whole), "%sfile-%zu.", prefix, i);
		handover_add_text(out, whole, "name", files->items[i].name);
		handover_add_text(out, whole, "text", files->items[i].text);
	}
}

void generation_add_inputs(const struct generation *generation, const char *prefix,
			   struct strbuf *out)
{
	const struct facts *known = &generation->facts;
	_strbuf_ struct strbuf rules = { 0 };
	struct digest digest = digest_rules(generation, &rules);

	handover_add_facts(out, prefix, &table, generation);
	handover_add_number(out, prefix, "rules-1", digest.a);
	handover_add_number(out, prefix, "rules-2", digest.b);
	add_optional_text(out, prefix, "cause", generation->cause);
	add_optional_text(out, prefix, "kuma-dp.path", known->kuma_dp.path);
	add_optional_text(out, prefix, "coredns.path", known->core_dns.path);
	add_files(out, prefix, &generation->options.files);
	for (size_t i = 0; i < ELEMENTS(texts); i++)
		add_file(out, prefix, texts[i].name,
			 (const void *)((const char *)known + texts[i].offset));
	out->failed |= rules.failed;
}

/* What is read goes into the generation's own arena, which outlives the handover. */
struct source {
	struct handover *handover;
	struct arena *arena;
};

/* A copy of a text that may be missing. */
static const char *take_text(const struct source *from, const char *prefix, const char *name)
{
	const char *text = handover_take_text(from->handover, prefix, name);

	return text ? arena_strdup(from->arena, text) : NULL;
}

static int take_file(const struct source *from, const char *prefix, struct facts_file *ret)
{
	uint64_t exists, readable;

	if (handover_take_number(from->handover, prefix, "exists", 1, &exists) < 0 ||
	    handover_take_number(from->handover, prefix, "readable", 1, &readable) < 0)
		return -EBADMSG;
	ret->exists = exists;
	ret->readable_by_user = readable;
	ret->problem = take_text(from, prefix, "problem");
	ret->text = take_text(from, prefix, "text");
	ret->len = ret->text ? strlen(ret->text) : 0;
	return 0;
}

static int take_files(const struct source *from, const char *prefix, struct layer_file_list *ret)
{
	uint64_t n;

	if (handover_take_number(from->handover, prefix, "files", FILES_MAX, &n) < 0)
		return -EBADMSG;
	for (uint64_t i = 0; i < n; i++) {
		char whole[64];
		struct layer_file file = { 0 };

		(void)snprintf(whole, sizeof(whole), "%sfile-%u.", prefix, (unsigned)i);
		file.name = take_text(from, whole, "name");
		file.text = take_text(from, whole, "text");
		if (!file.name || !file.text)
			return -EBADMSG;
		file.len = strlen(file.text);
		array_push(from->arena, ret, file);
	}
	return 0;
}

/* Reads all that was handed over of it; *known are its numbers. */
static int take_inputs(const struct source *from, const char *prefix, struct generation *known,
		       struct given_inputs *given, struct error *err)
{
	int r = handover_take_facts(from->handover, prefix, &table, known, err);

	if (r < 0)
		return r;
	given->facts = known->facts;
	given->facts.kuma_dp.path = take_text(from, prefix, "kuma-dp.path");
	given->facts.core_dns.path = take_text(from, prefix, "coredns.path");
	known->cause = take_text(from, prefix, "cause");
	r = take_files(from, prefix, &given->files);
	for (size_t i = 0; r == 0 && i < ELEMENTS(texts); i++) {
		char whole[64];

		(void)snprintf(whole, sizeof(whole), "%s%s", prefix, texts[i].name);
		r = take_file(from, whole, (void *)((char *)&given->facts + texts[i].offset));
	}
	return r < 0 ? error_set(err, r, "the state lacks a part of the configuration") : 0;
}

/* What keeps it from being what it was. */
static int judge(const struct generation *g, const struct generation *known, struct error *err)
{
	for (size_t i = 0; i < g->options.diags.n; i++) {
		_strbuf_ struct strbuf text = { 0 };

		if (g->options.diags.items[i].severity != SEVERITY_ERROR)
			continue;
		diag_print(&g->options.diags.items[i], &text);
		return error_set(err, -EINVAL, "%s", strbuf_text(&text));
	}
	if (g->plan.backend != known->plan.backend)
		return error_set(err, -EINVAL,
				 "the rules would be made by another backend: restart the service");
	if (g->plan.user.uid != known->plan.user.uid || g->plan.user.gid != known->plan.user.gid)
		return error_set(err, -EINVAL,
				 "the proxy runs as UID %u and GID %u, and its user is UID %u and "
				 "GID %u now",
				 known->plan.user.uid, known->plan.user.gid, g->plan.user.uid,
				 g->plan.user.gid);
	return 0;
}

static int same_rules(const struct generation_heir *heir, struct handover *handover,
		      const struct generation *g, bool *ret, struct error *err)
{
	_strbuf_ struct strbuf text = { 0 };
	struct digest digest = digest_rules(g, &text);
	uint64_t a, b;

	if (handover_take_number(handover, heir->prefix, "rules-1", UINT64_MAX, &a) < 0 ||
	    handover_take_number(handover, heir->prefix, "rules-2", UINT64_MAX, &b) < 0)
		return error_set(err, -EBADMSG, "the state does not tell the rules");
	if (text.failed)
		return error_sys(err, -ENOMEM, "print the rules");
	*ret = digest.a == a && digest.b == b;
	return 0;
}

int generation_inherit(const struct generation_heir *heir, struct handover *handover,
		       struct inheritance *ret, struct error *err)
{
	_cleanup_(generation_freep) struct generation *g = generation_make(0);
	_free_ struct generation *known = calloc(1, sizeof(*known));
	struct source from = { handover, g ? &g->arena : NULL };
	struct given_inputs given = { 0 };
	int r;

	if (!g || !known)
		return error_sys(err, -ENOMEM, "take over the configuration");
	r = take_inputs(&from, heir->prefix, known, &given, err);
	if (r < 0)
		return r;
	g->number = known->number;
	g->argc = heir->argc;
	g->argv = heir->argv;
	g->facts.kuma_dp = given.facts.kuma_dp;
	g->facts.core_dns = given.facts.core_dns;
	g->facts.backend = known->plan.backend;
	r = generation_fill(g, GENERATION_RUN, &given, err);
	if (r > 0)
		return error_wrap(err, -EINVAL, "the command line is not understood");
	if (r == 0)
		r = judge(g, known, err);
	if (r == 0)
		r = same_rules(heir, handover, g, &ret->same_rules, err);
	if (r < 0)
		return r;
	g->options.from_stdin = known->options.from_stdin;
	g->cause = known->cause;
	memcpy(ret->digest, known->digest, sizeof(ret->digest));
	ret->generation = take_ptr(g);
	return 0;
}
