/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/base/parse.h"
#include "common/base/utf8.h"
#include "daemon/load/generation.h"
#include "daemon/loop/daemon.h"
#include "daemon/os/crossing.h"
#include "daemon/os/fd.h"
#include "daemon/netfilter/instance.h"
#include "daemon/netfilter/redirect.h"
#include "daemon/netfilter/backends/backends.h"
#include "daemon/operator/log.h"
#include "daemon/operator/messages.h"
#include "daemon/operator/notify.h"
#include "daemon/verbs/verbs.h"

#define LAST_TRY_USEC ((uint64_t)5 * 1000 * 1000) /* for rules that others keep busy */

/* Blocked for the loop. SIGTERM and SIGINT end us as they end anybody until there is something to undo:
 * loading may take its time. */
static int block_signals(int one, int other, struct error *err)
{
	sigset_t set;

	if (sigemptyset(&set) < 0 || sigaddset(&set, one) < 0 || sigaddset(&set, other) < 0 ||
	    sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
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

/* Without us nobody watches the proxy, whose end is ours: the rules go first. */
static void take_rules_out(void)
{
	const struct redirect_removal removal = {
		.all = netfilter_backends,
		.record = RECORD_RUN,
		.scope = SCOPE_RECORDED,
		.patience = { .timeout_usec = LAST_TRY_USEC },
	};
	struct netfilter_report report;
	struct error err = { 0 };

	if (redirect_remove(&removal, &report, &err) != 0)
		log_error(&err, "Cannot take the rules out");
	netfilter_report_done(&report);
}

static int read_state(int fd, struct strbuf *text, struct daemon_heir *heir, struct error *err)
{
	int r = crossing_read(fd, text, err);

	heir->text = strbuf_text(text);
	heir->len = text->len;
	return r;
}

/* The descriptor that the variable tells, which is nobody else's, nor a child's; -1: none. */
static int take_number(const char *variable)
{
	const char *text = getenv(variable);
	uint64_t number;
	int fd = text && parse_decimal(text, INT_MAX, &number) ? (int)number : -1;

	(void)unsetenv(variable);
	return fd;
}

/* Executes the former one again, which has all that it had: nothing was touched yet. Returns where that
 * cannot be. */
static void give_back(const struct daemon_heir *heir, int state, int former, const char *why)
{
	_free_ char **argv = calloc((size_t)heir->argc + 2, sizeof(*argv));
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", former);
	if (!argv)
		return;
	argv[0] = program_invocation_name;
	memcpy(argv + 1, heir->argv, (size_t)heir->argc * sizeof(*argv));
	if (crossing_hand_on(REEXEC_VARIABLE, state) && setenv(REEXEC_WHY, why, 1) == 0 &&
	    fcntl(former, F_SETFD, FD_CLOEXEC) == 0 && lseek(state, 0, SEEK_SET) == 0)
		(void)execve(path, argv, environ);
	(void)unsetenv(REEXEC_VARIABLE);
	(void)unsetenv(REEXEC_WHY);
}

/* Takes the state; where that cannot be, the former one goes on with it. */
static int inherit(struct daemon_heir *heir, int state, int former, struct daemon **ret,
		   struct error *err)
{
	_strbuf_ struct strbuf text = { 0 };
	char why[LOG_TEXT_MAX];
	int r = read_state(state, &text, heir, err);

	if (r >= 0 && former >= 0)
		r = daemon_could_inherit(heir, err);
	if (r < 0 && former >= 0) {
		utf8_print(why, sizeof(why), "tproxyd %s cannot take over: %s", TPROXYD_VERSION,
			   err->text);
		give_back(heir, state, former, why);
	}
	crossing_close();
	return r < 0 ? r : daemon_inherit(heir, ret, err);
}

/* In the place of the binary that has executed us. */
static int succeed(int argc, char *argv[], struct error *err)
{
	const struct itimerval none = { 0 };
	_close_ int state = take_number(REEXEC_VARIABLE), former = take_number(REEXEC_FORMER);
	const char *told = getenv(REEXEC_WHY);
	_free_ char *why = told ? strdup(told) : NULL;
	struct daemon_heir heir = { .argc = argc, .argv = argv, .why = why };
	_cleanup_(daemon_freep) struct daemon *d = NULL;
	int r = block_signals(SIGTERM, SIGINT, err);

	(void)unsetenv(REEXEC_WHY);
	if (r >= 0 && state < 0)
		r = error_set(err, -EINVAL, REEXEC_VARIABLE " is no descriptor");
	if (r >= 0)
		r = inherit(&heir, state, former, &d, err);
	(void)setitimer(ITIMER_REAL, &none, NULL);
	(void)close(take_fd(&state));
	if (former >= 0)
		(void)close(take_fd(&former));
	if (r >= 0)
		return daemon_run(d, err);
	take_rules_out();
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
	if (getenv(REEXEC_VARIABLE))
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
