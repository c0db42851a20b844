/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/load/generation.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "common/config/check.h"
#include "common/config/difference.h"
#include "common/config/order.h"
#include "common/plan/plan_build.h"
#include "common/rules/print_restore.h"
#include "daemon/host/host.h"
#include "daemon/load/config_files.h"

static void build_rules(struct generation *g)
{
	for (unsigned level = 0; level < LEVEL_COUNT; level++)
		ruleset_build(&g->arena, &g->plan, (enum level)level, &g->rules[level]);
}

/* A file that another one has taken the place of is another program; when it was touched does not
 * matter. */
static struct facts_identity content_of(const struct facts_program *program)
{
	struct facts_identity identity = program->identity;

	identity.changed_nsec = 0;
	return identity;
}

static void add_program(uint64_t ret[static 2], const struct facts_program *program)
{
	const struct facts_identity identity = content_of(program);
	struct digest digest = { ret[0], ret[1] };

	digest_add(&digest, &identity, sizeof(identity));
	ret[0] = digest.a;
	ret[1] = digest.b;
}

static const struct {
	size_t offset; /* in struct facts */
	const char *word;
} programs[] = {
	{ offsetof(struct facts, kuma_dp), "the program kuma-dp is another file" },
	{ offsetof(struct facts, envoy), "the program envoy is another file" },
	{ offsetof(struct facts, core_dns), "the program coredns is another file" },
};

static const struct facts_program *program_of(const struct generation *g, size_t i)
{
	return (const void *)((const char *)&g->facts + programs[i].offset);
}

/* Of which child it is a part: kuma-dp runs the two others, unless coredns is ours. */
static enum child_id child_of(const struct generation *g, size_t i)
{
	bool ours = g->command[CHILD_CORE_DNS].path != NULL;

	return program_of(g, i) == &g->facts.core_dns && ours ? CHILD_CORE_DNS : CHILD_KUMA_DP;
}

/* A child is another one too where its program is. */
static void add_programs(struct generation *g)
{
	for (size_t i = 0; i < ELEMENTS(programs); i++)
		add_program(g->digest[child_of(g, i)], program_of(g, i));
}

/* What runs is the one that was there then, whatever has come in its place. */
static void take_program(struct facts_program *program, const struct facts_program *given)
{
	program->identity = given->identity;
	program->major = given->major;
	program->minor = given->minor;
	program->patch = given->patch;
	program->has_alternate = given->has_alternate;
	program->version_problem = NULL;
}

/* What was read once stays what it was. */
static void take_given(struct facts *facts, const struct facts *given)
{
	facts->now_sec = given->now_sec;
	facts->token = given->token;
	facts->dataplane = given->dataplane;
	facts->ca_cert = given->ca_cert;
	facts->corefile = given->corefile;
	facts->resolv_conf = given->resolv_conf;
	facts->mesh_resolv_conf = given->mesh_resolv_conf;
	take_program(&facts->kuma_dp, &given->kuma_dp);
	take_program(&facts->envoy, &given->envoy);
	take_program(&facts->core_dns, &given->core_dns);
}

/* Whether `check` goes on to the host; says why where it does not. */
static bool judges_host(struct diag_list *diags)
{
	const char *why = NULL;

	if (geteuid() != 0)
		why = "only the configuration was judged: judging this host needs root";
	else if (check_has_unread(diags))
		why = "only the configuration was judged, as far as it could be read";
	if (why)
		diag_add_host(diags, SEVERITY_NOTICE, NULL, NULL, "%s", why);
	return !why;
}

/* Config -> facts -> plan -> rules and commands; stops at the first step
 * that has errors to show. */
static int derive(struct generation *g, enum generation_purpose purpose,
		  const struct given_inputs *given, struct error *err)
{
	enum check_purpose check = purpose == GENERATION_INSTALL ? CHECK_INSTALL : CHECK_RUN;
	struct diag_list *diags = &g->options.diags;
	int r;

	check_config(&g->options.loaded, check, diags);
	if (diags->n_errors && purpose != GENERATION_CHECK)
		return 0;
	if (purpose == GENERATION_CHECK && !judges_host(diags))
		return 0;
	r = host_facts(&g->arena, &g->options.loaded.config, check, &g->facts, err);
	if (r < 0)
		return r;
	if (given)
		take_given(&g->facts, &given->facts);
	r = plan_build(&g->arena, &g->options.loaded, &g->facts, check, &g->plan, diags);
	if (r < 0)
		return error_sys(err, r, "build the plan");
	if (purpose == GENERATION_RUN && !diags->n_errors && !g->plan.user.found)
		diag_add_host(
			diags, SEVERITY_ERROR, NULL, "kumaDPUser",
			"there is no such user yet: run 'tproxyd prepare', which the unit does first");
	if (diags->n_errors)
		return 0;
	build_rules(g);
	if (purpose == GENERATION_INSTALL)
		return 0;
	command_kuma_dp(&g->arena, &g->plan, &g->command[CHILD_KUMA_DP], diags);
	if (g->plan.children.dns_mode == CORE_DNS_TPROXYD)
		command_core_dns(&g->arena, &g->plan, &g->command[CHILD_CORE_DNS], diags);
	for (unsigned i = 0; i < CHILD_COUNT; i++)
		command_digest(&g->command[i], g->digest[i]);
	add_programs(g);
	return 0;
}

/* Where nothing is configured, how to begin. */
static void say_no_file(struct options *options)
{
	const struct origin origin = { .kind = ORIGIN_FILE, .name = CONFIG_FILE };

	if (!options->files.n && options->diags.n_errors && !check_has_unread(&options->diags))
		diag_add(&options->diags, SEVERITY_NOTICE, &origin, NULL,
			 "is not there; `tproxyd describe yaml >" CONFIG_FILE "` makes one, with "
			 "the values that are needed to be filled in at its head");
}

struct generation *generation_make(unsigned number)
{
	struct generation *g = calloc(1, sizeof(*g));

	if (g) {
		g->number = number;
		g->references = 1;
	}
	return g;
}

int generation_fill(struct generation *g, enum generation_purpose purpose,
		    const struct given_inputs *given, struct error *err)
{
	const struct command_line line = {
		.argc = g->argc,
		.argv = g->argv,
		.source = purpose == GENERATION_INSTALL ? OPTIONS_NAMED : OPTIONS_SYSTEM,
	};
	int r = options_load_given(&g->arena, &line, given ? &given->files : NULL, &g->options,
				   err);

	if (r == OPTIONS_LOADED)
		r = derive(g, purpose, given, err);
	if (r == 0 && purpose != GENERATION_INSTALL)
		say_no_file(&g->options);
	order_diags(&g->options.diags, &g->options.files);
	if (r == 0 && g->arena.failed)
		return error_sys(err, -ENOMEM, "load the configuration");
	return r;
}

int generation_new(int argc, char *argv[], enum generation_purpose purpose, struct generation **ret,
		   struct error *err)
{
	_cleanup_(generation_freep) struct generation *g = generation_make(1);
	int r;

	if (!g)
		return error_sys(err, -ENOMEM, "load the configuration");
	g->argc = argc;
	g->argv = argv;
	r = generation_fill(g, purpose, NULL, err);
	if (r == 0)
		*ret = take_ptr(g);
	return r;
}

int generation_follow(struct generation *former, struct generation **ret, struct error *err)
{
	_cleanup_(generation_freep) struct generation *g = generation_make(former->number + 1);
	struct generation *base = former->loaded_by;
	struct diag_list *diags;
	int r;

	if (!g)
		return error_sys(err, -ENOMEM, "follow resolv.conf");
	g->loaded_by = base = base ? base : former;
	base->references++;
	g->argc = base->argc;
	g->argv = base->argv;
	g->options = base->options;
	g->options.diags = (struct diag_list){ .arena = &g->arena };
	g->facts = base->facts;
	memcpy(g->command, base->command, sizeof(g->command));
	memcpy(g->digest, base->digest, sizeof(g->digest));
	g->cause = arena_printf(&g->arena, "The name servers in %s have changed",
				g->options.loaded.config.redirect.dns.resolv_config_path);
	diags = &g->options.diags;
	host_resolv_conf(&g->arena, &g->options.loaded.config, &g->facts);
	r = plan_build(&g->arena, &g->options.loaded, &g->facts, CHECK_RUN, &g->plan, diags);
	if (r < 0)
		return error_sys(err, r, "follow resolv.conf");
	if (!diags->n_errors)
		build_rules(g);
	if (g->arena.failed)
		return error_sys(err, -ENOMEM, "follow resolv.conf");
	*ret = take_ptr(g);
	return 0;
}

int generation_again(const struct generation *former, struct generation **ret, struct error *err)
{
	_cleanup_(generation_freep) struct generation *g = generation_make(former->number + 1);
	int r;

	if (!g)
		return error_sys(err, -ENOMEM, "load the configuration");
	if (former->options.from_stdin)
		return error_set(err, -ESPIPE,
				 "the configuration came from standard input, which cannot be read "
				 "again: restart the service");
	g->argc = former->argc;
	g->argv = former->argv;
	g->cause = "The configuration was read again";
	/* Asking a program for its version takes longer than all the rest, while the loop waits. */
	g->facts.kuma_dp = former->facts.kuma_dp;
	g->facts.core_dns = former->facts.core_dns;
	g->facts.backend = former->plan.backend;
	r = generation_fill(g, GENERATION_RUN, NULL, err);
	/* The command line is what it was when it was understood. */
	if (r != 0)
		return r < 0 ? r : -EINVAL;
	*ret = take_ptr(g);
	return 0;
}

bool generation_same_rules(const struct generation *a, const struct generation *b)
{
	for (unsigned level = 0; level < LEVEL_COUNT; level++) {
		struct ruleset one = a->rules[level], other = b->rules[level];

		/* How they would be printed is nothing to the kernel. */
		one.verbose = other.verbose = false;
		if (!ruleset_equal(&one, &other))
			return false;
	}
	return true;
}

static void compare_programs(const struct generation *former, struct generation *next,
			     struct change *ret)
{
	static const unsigned needs[CHILD_COUNT] = {
		[CHILD_KUMA_DP] = CHANGE_KUMA_DP,
		[CHILD_CORE_DNS] = CHANGE_CORE_DNS,
	};

	for (size_t i = 0; i < ELEMENTS(programs); i++) {
		const struct facts_identity was = content_of(program_of(former, i)),
					    is = content_of(program_of(next, i));

		if (memcmp(&was, &is, sizeof(was)) == 0)
			continue;
		ret->needs |= needs[child_of(next, i)];
		array_push(&next->arena, &ret->words, programs[i].word);
	}
}

void generation_compare(const struct generation *former, struct generation *next,
			struct change *ret)
{
	const struct config *before = &former->options.loaded.config;
	const struct config *after = &next->options.loaded.config;
	const struct change_side sides[] = { { &former->plan, former->command },
					     { &next->plan, next->command } };
	struct string_list words = { 0 };

	change_decide(&next->arena, &sides[0], &sides[1], generation_same_rules(former, next), ret);
	if (before->log_level != after->log_level)
		ret->needs |= CHANGE_DAEMON;
	compare_programs(former, next, ret);
	difference_of_configs(&next->arena, before, after, &words);
	for (size_t i = 0; i < ret->words.n; i++)
		array_push(&next->arena, &words, ret->words.items[i]);
	if (ret->needs && !words.n)
		array_push(&next->arena, &words, "this host is not what it was");
	ret->words = words;
}

struct generation *generation_repeat(struct generation *former, unsigned number, const char *cause)
{
	struct generation *g = generation_make(number);

	if (!g)
		return NULL;
	*g = *former;
	g->arena = (struct arena){ 0 };
	g->number = number;
	g->references = 1;
	g->loaded_by = former;
	g->cause = cause;
	former->references++;
	return g;
}

void generation_free(struct generation *g)
{
	while (g && --g->references == 0) {
		struct generation *loaded_by = g->loaded_by;
		struct arena arena = g->arena;

		arena_done(&arena);
		free(g);
		g = loaded_by;
	}
}

int generation_exit_status(const struct generation *g)
{
	if (diag_has_error(&g->options.diags, false))
		return EX_CONFIG;
	return diag_has_error(&g->options.diags, true) ? EXIT_FAILURE : 0;
}
