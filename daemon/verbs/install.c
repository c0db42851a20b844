/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/rules/print_firewalld.h"
#include "daemon/os/fd.h"
#include "daemon/firewalld/firewalld.h"
#include "daemon/load/generation.h"
#include "daemon/netfilter/instance.h"
#include "daemon/operator/log.h"
#include "daemon/netfilter/redirect.h"
#include "daemon/netfilter/backends/backends.h"
#include "daemon/netfilter/leftovers/takeover.h"
#include "daemon/verbs/verbs.h"

#define WAIT_MAX_USEC ((uint64_t)300 * 1000 * 1000) /* as long as kumactl waits "without limit" */

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

/* Beside what was printed. */
static void judge(const struct generation *g)
{
	const struct netfilter_backend *backend = netfilter_backends[g->plan.backend];
	_strbuf_ struct strbuf whose = { 0 };
	struct error why;
	int r = backend->validate ? backend->validate(&g->rules[LEVEL_FULL], &why)
				  : NETFILTER_ABSENT;

	if (r == NETFILTER_ABSENT)
		return;
	if (r == NETFILTER_BUSY)
		backend->whose(&whose);
	if (r == 0)
		log_info("The kernel takes these rules");
	else
		log_warning("The kernel does not take these rules: %s%s", why.text,
			    strbuf_text(&whose));
}

static int print(const struct generation *g, struct error *err)
{
	_strbuf_ struct strbuf text = { 0 };

	netfilter_backends[g->plan.backend]->print(&g->rules[LEVEL_FULL], &text);
	if (g->plan.store_firewalld)
		print_stored(&g->rules[LEVEL_FULL], &text);
	if (text.failed)
		return error_sys(err, -ENOMEM, "print the rules");
	if (fwrite(text.text, 1, text.len, stdout) != text.len || fflush(stdout) != 0)
		return error_sys(err, -errno, "write the rules");
	judge(g);
	return 0;
}

/* Tries as often as is set while it is busy: nothing else goes away by waiting. */
static int apply_patiently(const struct generation *g, struct redirect *redirect, struct error *err)
{
	const struct config *config = &g->options.loaded.config;
	const struct netfilter_wish wish = {
		.rules = &g->rules[LEVEL_FULL],
		.scope = SCOPE_RECOGNISED,
	};
	const struct redirect_patience patience = {
		.timeout_usec = config->wait ? (uint64_t)config->wait * 1000000 : WAIT_MAX_USEC,
		.interval_usec = config->wait_interval,
	};
	int64_t sleep_nsec = config->retry.sleep_between_retries;
	const struct timespec pause = { .tv_sec = sleep_nsec > 0 ? sleep_nsec / 1000000000 : 0,
					.tv_nsec = sleep_nsec > 0 ? sleep_nsec % 1000000000 : 0 };

	for (uint32_t tried = 0;; tried++) {
		int r = redirect_apply_wait(redirect, &wish, &patience, NULL, err);

		if (r != NETFILTER_BUSY || tried >= config->retry.max_retries)
			return r;
		log_warning("%s; trying again (%u of %u)", err->text, tried + 1,
			    config->retry.max_retries);
		(void)nanosleep(&pause, NULL);
	}
}

static int redirect(const struct generation *g, struct error *err)
{
	struct redirect redirect;
	int r = redirect_open(&redirect, netfilter_backends[g->plan.backend], RECORD_INSTALL, err);

	if (r == 0) {
		redirect.all = netfilter_backends;
		r = apply_patiently(g, &redirect, err);
		redirect_done(&redirect);
	}
	return r == 0 ? 0 : err->code; /* busy to the end, or absent */
}

static int apply(const struct generation *g, struct error *err)
{
	_firewalld_change_ struct firewalld_change stored = { 0 };
	_close_ int instance = -EBADF;
	int r = instance_acquire(&instance, err);

	/* Whatever can go wrong with the file does before a rule is touched. */
	if (r == 0 && g->plan.store_firewalld)
		r = firewalld_stage(FIREWALLD_DIR, &g->rules[LEVEL_FULL], &stored, err);
	if (r == 0)
		r = redirect(g, err);
	if (r < 0)
		return r;
	(void)takeover_now(NULL);
	r = firewalld_commit(&stored, err);
	return r < 0 ? error_wrap(err, r, "the new rules are in; store them for firewalld") : 0;
}

int verb_install(int argc, char *argv[], struct error *err)
{
	_cleanup_(generation_freep) struct generation *g = NULL;
	int r = generation_new(argc, argv, GENERATION_INSTALL, &g, err);

	if (r != 0)
		return verb_end("install", r, err);
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
