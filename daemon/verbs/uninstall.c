/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "daemon/operator/control.h"
#include "daemon/os/fd.h"
#include "daemon/os/io.h"
#include "daemon/firewalld/firewalld.h"
#include "daemon/netfilter/instance.h"
#include "daemon/operator/log.h"
#include "daemon/load/options.h"
#include "daemon/netfilter/redirect.h"
#include "daemon/netfilter/backends/backends.h"
#include "daemon/netfilter/leftovers/takeover.h"
#include "daemon/verbs/verbs.h"

/* For the lock of others. The unit gives a stop 60 s in all; what is not done then is
 * tproxyd-cleanup.service's. */
#define LOCK_WAIT_USEC          ((uint64_t)10 * 1000 * 1000)
#define ANSWER_USEC             ((uint64_t)1000 * 1000)
#define LOCK_WAIT_RECORDED_USEC ((uint64_t)45 * 1000 * 1000)

struct request {
	bool recorded;   /* only what the daemon's record lists */
	bool until_done; /* with recorded: try again until it is done or a daemon does it */
	bool quiet;
	bool dry_run;
};

/* Says what is gone on standard output, and what had to stay; frees the report. */
static void tell(const struct request *request, struct netfilter_report *report)
{
	for (size_t i = 0; i < report->removed.n && !request->quiet; i++)
		io_print_line(stdout, report->removed.items[i]);
	for (size_t i = 0; i < report->left.n; i++)
		log_warning("%s", report->left.items[i]);
	netfilter_report_done(report);
}

static uint64_t patience_of(const struct request *request)
{
	if (request->until_done)
		return 0;
	return request->recorded ? LOCK_WAIT_RECORDED_USEC : LOCK_WAIT_USEC;
}

/* What the daemon's record lists and nothing else, or everything that is recognisable. */
static int remove_rules(const struct request *request, struct error *err)
{
	const struct redirect_removal removal = {
		.all = netfilter_backends,
		.record = RECORD_RUN,
		.record_installed = RECORD_INSTALL,
		.scope = request->recorded ? SCOPE_RECORDED : SCOPE_RECOGNISED,
		.dry_run = request->dry_run,
		.patience.timeout_usec = patience_of(request),
	};
	struct netfilter_report report;
	int r = redirect_remove(&removal, &report, err);

	tell(request, &report);
	return r == 0 ? 0 : err->code;
}

static int remove_nft(const struct request *request, struct error *err)
{
	struct netfilter_report report = { 0 };
	int r = takeover_nft(request->dry_run, LOCK_WAIT_USEC, &report, err);

	tell(request, &report);
	return r;
}

/* Takes out what "install --store-firewalld" has stored. */
static int remove_stored(const struct request *request, struct error *err)
{
	size_t n;
	int r = firewalld_remove(FIREWALLD_DIR, request->dry_run, &n, err);

	if (r < 0 || n == 0)
		return r;
	if (request->dry_run)
		printf("%s/direct.xml: %zu entries\n", FIREWALLD_DIR, n);
	else if (!request->quiet)
		log_info("%zu entries are gone from %s/direct.xml; a firewalld that runs forgets "
			 "them with \"firewall-cmd --reload\"",
			 n, FIREWALLD_DIR);
	return 0;
}

/* One that fails keeps none of the others from being done: each leaves less behind. */
static int remove_all(const struct request *request, struct error *err)
{
	static int (*const steps[])(const struct request *request, struct error *err) = {
		remove_rules,
		remove_nft,
		remove_stored,
	};
	struct error first = { 0 };

	for (size_t i = 0; i < ELEMENTS(steps); i++) {
		struct error why = { 0 }, before = first;

		if (steps[i](request, &why) >= 0)
			continue;
		if (first.code == 0)
			first = why;
		else
			(void)error_set(&first, before.code, "%.240s; %.240s", before.text,
					why.text);
	}
	return first.code == 0 ? 0 : error_set(err, first.code, "%s", first.text);
}

/* The lock may be that of a one-shot verb. */
static bool daemon_lives(void)
{
	_free_ char *reply = NULL;

	return control_call(CONTROL_SOCKET, "status", ANSWER_USEC, &reply, NULL) != CONTROL_NOBODY;
}

static int uninstall(const struct request *request, struct error *err)
{
	_close_ int instance = -EBADF;
	int r;

	if (request->recorded && access(RECORD_RUN, F_OK) < 0 && errno == ENOENT)
		return 0;
	r = instance_acquire(&instance, err);
	if (r == -EBUSY && request->recorded && daemon_lives())
		return 0; /* it takes care of its rules */
	if (r < 0)
		return r;
	return request->recorded ? remove_rules(request, err) : remove_all(request, err);
}

/* Between two tries nothing is held, so that a daemon can start and do it. */
static int uninstall_until_done(const struct request *request, struct error *err)
{
	int r;

	while ((r = uninstall(request, err)) == -EBUSY)
		(void)sleep(1);
	return r;
}

int verb_uninstall(int argc, char *argv[], struct error *err)
{
	struct request request = { 0 };
	const struct option_row rows[] = {
		{ "recorded", &request.recorded,
		  "Remove exactly what the daemon's record lists; nothing without one." },
		{ "until-done", &request.until_done,
		  "With --recorded: try until the rules are gone or a daemon runs." },
		{ "quiet", &request.quiet, "Say nothing but errors." },
	};
	const struct command_line line = { argc, argv,           OPTIONS_KUMACTL_UNINSTALL,
					   rows, ELEMENTS(rows), NULL };
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct options options;
	int r = options_load(&arena, &line, &options, err);

	if (r != 0)
		return verb_end("uninstall", r, err);
	if (options.diags.n_errors) {
		options_print_diags(&options.diags);
		return EX_CONFIG;
	}
	request.dry_run = options.loaded.config.dry_run;
	r = verb_needs_root("uninstall");
	if (r == 0)
		r = request.until_done ? uninstall_until_done(&request, err)
				       : uninstall(&request, err);
	if (r == 0 && !request.quiet && !request.dry_run)
		log_info("All that is recognisable of a transparent proxy is gone");
	return r;
}
