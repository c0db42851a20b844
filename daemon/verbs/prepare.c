/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <sysexits.h>

#include "common/base/cleanup.h"
#include "common/config/check.h"
#include "daemon/operator/log.h"
#include "daemon/load/options.h"
#include "daemon/netfilter/instance.h"
#include "daemon/netfilter/backends/backends.h"
#include "daemon/host/ssh.h"
#include "daemon/host/user.h"
#include "daemon/verbs/verbs.h"

/* Makes the user where it is missing and may be made. Whether an existing one will do is judged by
 * the plan, in check and run. */
static int user_prepare(struct arena *arena, const struct config *config, struct error *err)
{
	const char *asked = config->kuma_dp_user;
	const char *name_5678;
	struct facts_user user;
	struct new_user wanted;
	int r;

	r = user_lookup(arena, asked, &user, &name_5678, err);
	if (r < 0 || user.found || !config->user.create)
		return r;
	r = new_user_judge(asked, name_5678, &wanted, err);
	if (r == 0)
		r = user_create(&wanted, err);
	if (r == 0)
		r = user_lookup(arena, asked, &user, &name_5678, err);
	if (r < 0)
		return r;
	if (!user.found)
		return error_set(err, -ENOENT, "the user was created, but NSS does not find it");
	log_notice("Created user %s with UID %u and GID %u", user.name, (unsigned)user.uid,
		   (unsigned)user.gid);
	return 0;
}

int verb_prepare(int argc, char *argv[], struct error *err)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	bool quiet = false;
	const struct option_row rows[] = {
		{ "quiet", &quiet,
		  "Do and say nothing where the configuration is not valid: run says it." },
	};
	const struct command_line line = { argc, argv, OPTIONS_SYSTEM, rows, ELEMENTS(rows), NULL };
	struct options options;
	int r = options_load(&arena, &line, &options, err);

	if (r != 0)
		return verb_end("prepare", r, err);
	r = verb_needs_root("prepare");
	if (r != 0)
		return r;
	check_config(&options.loaded, CHECK_RUN, &options.diags);
	if (options.diags.n_errors && quiet)
		return 0;
	if (options.diags.n_errors) {
		options_print_diags(&options.diags);
		return EX_CONFIG;
	}
	r = user_prepare(&arena, &options.loaded.config, err);
	if (r == 0)
		r = instance_prepare(err);
	if (r == 0)
		r = netfilter_prepare(err);
	return r < 0 ? r : ssh_ports_hand_over(&arena, SSH_HANDED_OVER, err);
}
