/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "daemon/load/generation.h"
#include "daemon/loop/daemon.h"
#include "daemon/os/crossing.h"
#include "daemon/os/fd.h"
#include "daemon/os/retreat.h"
#include "daemon/netfilter/instance.h"
#include "daemon/operator/log.h"
#include "daemon/operator/messages.h"
#include "daemon/operator/notify.h"
#include "daemon/verbs/verbs.h"

/* Blocked for the loop. SIGTERM and SIGINT end us as they end anybody until there is something to undo:
 * loading may take its time. Writing where nobody reads, or beyond LimitFSIZE=, is an error like others. */
static int block_signals(int one, int other, struct error *err)
{
	sigset_t set;

	if (sigemptyset(&set) < 0 || sigaddset(&set, one) < 0 || sigaddset(&set, other) < 0 ||
	    sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
	    signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
		return error_sys(err, -errno, "block signals");
	return 0;
}

/* The line of `systemctl status`: the first of the mistakes that decide, with its place, and how many
 * there are in all. */
static void notify_mistakes(const struct diag_list *diags, bool host)
{
	_strbuf_ struct strbuf text = { 0 };
	size_t i = 0;

	if (diags->n_errors > 1)
		strbuf_addf(&text,
			    "%zu mistakes, see the journal; the first is: ", diags->n_errors);
	while (diags->items[i].severity != SEVERITY_ERROR || diags->items[i].host != host)
		i++;
	diag_print(&diags->items[i], &text);
	notify_failed(EINVAL, strbuf_text(&text));
}

/* Logs what is wrong or worth knowing; returns the exit status that follows. */
static int report(const struct generation *g)
{
	static const char *const fields[] = { "TPROXYD_FAMILY=IPv6", NULL };
	int status = generation_exit_status(g);

	for (size_t i = 0; i < g->options.diags.n; i++)
		log_diag(&g->options.diags.items[i]);
	if (status) {
		log_event(LOG_LEVEL_ERROR, MSG_CONFIG_REJECTED, NULL,
			  status == EXIT_FAILURE
				  ? "This host cannot do what the configuration asks for; "
				    "nothing was changed"
				  : "The configuration is not valid; nothing was changed");
		notify_mistakes(&g->options.diags, status == EXIT_FAILURE);
	}
	if (!status && g->options.loaded.config.ip_family_mode == IP_FAMILY_DUALSTACK &&
	    !g->plan.family[FAMILY_V6].enabled)
		log_event(LOG_LEVEL_NOTICE, MSG_FAMILY_SKIPPED, fields,
			  "IPv6 traffic of this host is not redirected");
	return status;
}

/* Takes the generation once the instance is ours. */
static int supervise(struct generation **g, struct error *err)
{
	_close_ int instance = -EBADF;
	_cleanup_(daemon_freep) struct daemon *d = NULL;
	int r = instance_acquire(&instance, err);

	if (r < 0)
		return r;
	r = daemon_new(take_ptr(*g), instance, &d, err);
	return r < 0 ? r : daemon_run(d, err);
}

static int read_state(int fd, struct strbuf *text, struct daemon_heir *heir, struct error *err)
{
	int r = crossing_read(fd, text, err);

	heir->text = strbuf_text(text);
	heir->len = text->len;
	return r;
}

/* In the place of the binary that has executed us. */
static int succeed(int argc, char *argv[], struct error *err)
{
	_close_ int state = crossing_number(RETREAT_STATE);
	const char *told = getenv(RETREAT_WHY);
	_free_ char *why = told ? strdup(told) : NULL;
	_strbuf_ struct strbuf text = { 0 };
	struct daemon_heir heir = { .argc = argc, .argv = argv, .why = why };
	_cleanup_(daemon_freep) struct daemon *d = NULL;
	int r = block_signals(SIGTERM, SIGINT, err);

	(void)unsetenv(RETREAT_STATE);
	(void)unsetenv(RETREAT_WHY);
	/* Who was executed by its descriptor has that one's number as its name. */
	(void)prctl(PR_SET_NAME, program_invocation_short_name, 0, 0, 0);
	if (r >= 0 && state < 0)
		r = error_set(err, -EINVAL, RETREAT_STATE " is no descriptor");
	if (r >= 0)
		r = read_state(state, &text, &heir, err);
	if (r < 0)
		daemon_give_back(err);
	else
		r = daemon_inherit(&heir, &d, err);
	crossing_close();
	(void)alarm(0);
	(void)close(take_fd(&state));
	strbuf_done(&text);
	if (r >= 0)
		return daemon_run(d, err);
	notify_failed(r, err->text);
	return r;
}

/* Whether we could do that: asked by the one that runs, which reads our answer. */
static int try_to_succeed(int argc, char *argv[], struct error *err)
{
	struct daemon_heir heir = { .argc = argc, .argv = argv };
	_strbuf_ struct strbuf text = { 0 };
	int r = read_state(STDIN_FILENO, &text, &heir, err);

	if (r >= 0)
		r = daemon_could_inherit(&heir, err);
	if (r >= 0)
		puts(REEXEC_READY TPROXYD_VERSION);
	return r;
}

int verb_run(int argc, char *argv[], struct error *err)
{
	_cleanup_(generation_freep) struct generation *g = NULL;
	int r = block_signals(SIGHUP, SIGCHLD, err);

	if (r < 0)
		return r;
	if (strcmp(argv[argc - 1], REEXEC_CHECK) == 0)
		return try_to_succeed(argc - 1, argv, err);
	if (getenv(RETREAT_STATE))
		return succeed(argc, argv, err);
	r = generation_new(argc, argv, GENERATION_RUN, &g, err);
	if (r != 0)
		return verb_end("run", r, err);
	log_set_level(g->options.loaded.config.log_level);
	r = report(g);
	if (r)
		return r;
	r = verb_needs_root("run");
	if (r)
		return r;
	r = block_signals(SIGTERM, SIGINT, err);
	if (r >= 0)
		r = supervise(&g, err);
	if (r < 0)
		notify_failed(r, err->text);
	return r;
}
