/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/rules/print_firewalld.h"
#include "common/rules/print_restore.h"
#include "daemon/fd.h"
#include "daemon/firewalld.h"
#include "daemon/generation.h"
#include "daemon/instance.h"
#include "daemon/log.h"
#include "daemon/redirect.h"
#include "daemon/takeover.h"
#include "daemon/verbs/verbs.h"

/* As kumactl shows it: behind two empty lines, with one behind it. */
static void print_stored(const struct ruleset *rules, struct strbuf *out)
{
	struct firewalld_entries entries;
	struct arena arena = { 0 };

	firewalld_entries(&arena, rules, &entries);
	strbuf_add(out, "\n\n");
	print_firewalld(&entries, out);
	strbuf_addc(out, '\n');
	out->failed = out->failed || arena.failed;
	arena_done(&arena);
}

static int print(const struct generation *g, struct error *err)
{
	_strbuf_ struct strbuf text = { 0 };

	print_dry_run(&g->rules[LEVEL_FULL], &text);
	if (g->plan.store_firewalld)
		print_stored(&g->rules[LEVEL_FULL], &text);
	if (text.failed)
		return error_sys(err, -ENOMEM, "print the rules");
	if (fwrite(text.text, 1, text.len, stdout) != text.len || fflush(stdout) != 0)
		return error_sys(err, -errno, "write the rules");
	return 0;
}

static int redirect(const struct generation *g, struct error *err)
{
	uint64_t wait_usec = (uint64_t)g->options.loaded.config.wait * 1000000;
	struct redirect redirect;
	int r = redirect_open(&redirect, &backend_xt, RECORD_INSTALL, err);

	if (r == NETFILTER_ABSENT)
		return error_wrap(err, -EOPNOTSUPP, "this host has no legacy netfilter tables");
	if (r < 0)
		return r;
	r = redirect_apply_wait(&redirect, &g->rules[LEVEL_FULL], SCOPE_RECOGNISED, wait_usec, err);
	redirect_done(&redirect);
	return r;
}

static int apply(const struct generation *g, struct error *err)
{
	_firewalld_change_ struct firewalld_change stored = { 0 };
	_close_ int instance = -EBADF;
	pid_t pid = 0;
	uid_t uid = 0;
	int r = instance_acquire(&instance, &pid, &uid, err);

	if (r == INSTANCE_TAKEN)
		return instance_refuse(pid, uid, err);
	/* Whatever can go wrong with the file does before a rule is touched. */
	if (r == 0 && g->plan.store_firewalld)
		r = firewalld_stage(FIREWALLD_DIR, &g->rules[LEVEL_FULL], &stored, err);
	if (r == 0)
		r = redirect(g, err);
	if (r == 0)
		takeover_now();
	return r < 0 ? r : firewalld_commit(&stored, err);
}

int verb_install(int argc, char *argv[], struct error *err)
{
	_cleanup_(generation_freep) struct generation *g = NULL;
	int r = generation_new(argc, argv, GENERATION_INSTALL, NULL, 0, &g, err);

	if (r == GENERATION_HELP)
		return 0;
	if (r == GENERATION_USAGE)
		return verb_usage("install", err);
	if (r < 0)
		return r;
	if (!g->options.loaded.config.dry_run) {
		r = verb_needs_root("install");
		if (r)
			return r;
	}
	options_print_diags(&g->options.diags);
	r = generation_exit_status(g);
	if (r)
		return r;
	r = g->plan.dry_run ? print(g, err) : apply(g, err);
	return r < 0 ? r : EXIT_SUCCESS;
}
