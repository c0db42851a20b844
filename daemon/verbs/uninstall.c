/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/base/cleanup.h"
#include "daemon/control.h"
#include "daemon/fd.h"
#include "daemon/firewalld.h"
#include "daemon/instance.h"
#include "daemon/log.h"
#include "daemon/options.h"
#include "daemon/redirect.h"
#include "daemon/verbs/verbs.h"

#define LOCK_WAIT_USEC ((uint64_t)10 * 1000 * 1000)
#define ANSWER_USEC    ((uint64_t)1000 * 1000)

struct request {
	bool recorded; /* only what the daemon's record lists */
	bool quiet;
	bool dry_run;
};

/* Takes out what the record at path (or, recognised, anybody's name and shape) says is ours. */
static int remove_rules(const char *path, enum scope scope, const struct request *request,
			struct error *err)
{
	static const struct ruleset nothing = { .level = LEVEL_NONE };
	struct snapshot snapshot;
	struct redirect redirect;
	int r = redirect_open(&redirect, &backend_xt, path, err);

	if (r == NETFILTER_ABSENT)
		return 0; /* no tables, no rules */
	if (r < 0)
		return r;
	if (request->dry_run) {
		r = redirect.backend->read(redirect.nf, &nothing, &redirect.record, &snapshot, err);
		for (unsigned f = 0; r >= 0 && f < FAMILY_COUNT; f++)
			for (unsigned t = 0; t < TABLE_COUNT; t++)
				if (snapshot.table[f][t].rules)
					printf("%s %s: %u rules\n", family_name((enum family)f),
					       table_name((enum table)t),
					       snapshot.table[f][t].rules);
	} else {
		r = redirect_apply_wait(&redirect, &nothing, scope, LOCK_WAIT_USEC, err);
	}
	redirect_done(&redirect);
	return r;
}

/* Anybody can have taken the name of the instance when a daemon was killed, but only root can
 * listen on the control socket. */
static bool daemon_lives(void)
{
	_free_ char *reply = NULL;

	return control_call(CONTROL_SOCKET, "status", ANSWER_USEC, &reply, NULL) != CONTROL_NOBODY;
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

static int uninstall(const struct request *request, struct error *err)
{
	_close_ int instance = -EBADF;
	pid_t pid = 0;
	uid_t uid = 0;
	int r = instance_acquire(&instance, &pid, &uid, err);

	if (r == INSTANCE_TAKEN && request->recorded) {
		if ((uid == 0 && pid != 0) || daemon_lives())
			return 0; /* a live daemon takes care of its rules */
	} else if (r == INSTANCE_TAKEN) {
		return instance_refuse(pid, uid, err);
	} else if (r < 0) {
		return r;
	}
	if (request->recorded)
		return remove_rules(RECORD_RUN, SCOPE_RECORDED, request, err);
	if (!request->dry_run) {
		r = remove_rules(RECORD_RUN, SCOPE_RECORDED, request, err);
		if (r < 0)
			return r;
	}
	r = remove_rules(RECORD_INSTALL, SCOPE_RECOGNISED, request, err);
	return r < 0 ? r : remove_stored(request, err);
}

int verb_uninstall(int argc, char *argv[], struct error *err)
{
	struct request request = { 0 };
	const struct option_row rows[] = {
		{ "recorded", &request.recorded, NULL,
		  "Remove exactly what the daemon's record lists; nothing without one." },
		{ "quiet", &request.quiet, NULL, "Say nothing but errors." },
	};
	struct arena arena = { 0 };
	struct options options = { 0 };
	int r = options_load(&arena, argc, argv, OPTIONS_KUMACTL_UNINSTALL, rows, ELEMENTS(rows),
			     &options, err);

	if (r == -EINVAL) {
		r = verb_usage("uninstall", err);
	} else if (r == 0 && !options.help) {
		request.dry_run = options.loaded.config.dry_run;
		r = verb_needs_root("uninstall");
		if (r == 0)
			r = uninstall(&request, err);
		if (r == 0 && !request.quiet && !request.dry_run)
			log_info("Nothing of the transparent proxy is left in the legacy tables");
	}
	arena_done(&arena);
	return r;
}
