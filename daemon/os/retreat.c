/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/retreat.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/attr.h"
#include "daemon/os/crossing.h"

#define READY_SEC 5
/* Then SIGALRM ends the former one, too, if it does not get going. */
#define FORMER_SEC 30
#define STACK_MIN  ((size_t)64 * 1024)

/* What ends a program by a fault of its own, and SIGALRM, when its time is over. */
static const struct {
	int number;
	const char *why;
} signals[] = {
	{ SIGALRM, "was not ready within 5 s" },
	{ SIGSEGV, "was ended by SIGSEGV while it took over" },
	{ SIGBUS, "was ended by SIGBUS while it took over" },
	{ SIGILL, "was ended by SIGILL while it took over" },
	{ SIGFPE, "was ended by SIGFPE while it took over" },
	{ SIGABRT, "was ended by SIGABRT while it took over" },
	{ SIGTRAP, "was ended by SIGTRAP while it took over" },
	{ SIGSYS, "was ended by SIGSYS while it took over" },
};

/* All that a signal handler needs, made before. */
static struct {
	bool open;
	int state, former;
	char **argv, **envp;
	char why[700]; /* "TPROXYD_WHY=…", of envp */
	sigset_t mask; /* as it was handed on, but for these signals */
	struct sigaction actions[ELEMENTS(signals)];
	stack_t stack, stack_before;
} way_back;

static void add(const char *text)
{
	size_t len = strlen(way_back.why), room = sizeof(way_back.why) - 1 - len;
	size_t n = strnlen(text, room);

	memcpy(way_back.why + len, text, n);
	way_back.why[len + n] = '\0';
}

/* Makes only calls that a signal handler may make. Returns where the former one cannot be executed. */
static void go(const char *why)
{
	way_back.open = false;
	(void)alarm(FORMER_SEC);
	/* What comes now, or is pending, counts no more; a fault in here is the end. */
	for (size_t i = 0; i < ELEMENTS(signals); i++) {
		(void)signal(signals[i].number, SIG_IGN);
		(void)signal(signals[i].number, SIG_DFL);
	}
	add(why);
	(void)lseek(way_back.state, 0, SEEK_SET);
	(void)sigprocmask(SIG_SETMASK, &way_back.mask, NULL);
	(void)fexecve(way_back.former, way_back.argv, way_back.envp);
}

static void on_signal(int sig)
{
	size_t i = 0;

	while (i + 1 < ELEMENTS(signals) && signals[i].number != sig)
		i++;
	go(signals[i].why);
	(void)raise(sig);
}

void retreat(const struct error *err)
{
	if (!way_back.open)
		return;
	add("cannot take over: ");
	go(err->text);
}

static void on_exit_call(void)
{
	if (way_back.open)
		go("has exited while it took over");
}

/* A stack that has run over is one of the faults. */
static bool make_stack(void)
{
	long needed = sysconf(_SC_SIGSTKSZ);
	size_t size = needed > (long)STACK_MIN ? (size_t)needed : STACK_MIN;

	way_back.stack = (stack_t){ .ss_sp = malloc(size), .ss_size = size };
	return way_back.stack.ss_sp && sigaltstack(&way_back.stack, &way_back.stack_before) == 0;
}

static char **copy(char *const *items, size_t n, char *last)
{
	char **all = calloc(n + 2, sizeof(*all));

	if (!all)
		return NULL;
	memcpy(all, items, n * sizeof(*all));
	all[n] = last;
	return all;
}

/* What the former one is executed with: the strings last as long as the process. */
static bool make_words(int argc, char *argv[])
{
	size_t n = 0;

	while (environ[n])
		n++;
	way_back.argv = copy(argv, (size_t)argc, NULL);
	way_back.envp = copy(environ, n, way_back.why);
	add(RETREAT_WHY "=tproxyd " TPROXYD_VERSION " ");
	return way_back.argv && way_back.envp;
}

static bool catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	int failed = sigfillset(&action.sa_mask) | sigprocmask(SIG_SETMASK, NULL, &way_back.mask);

	for (size_t i = 0; i < ELEMENTS(signals); i++) {
		failed |= sigdelset(&way_back.mask, signals[i].number);
		failed |= sigaction(signals[i].number, &action, &way_back.actions[i]);
	}
	failed |= sigprocmask(SIG_SETMASK, &way_back.mask, NULL);
	return failed == 0;
}

void retreat_prepare(int argc, char *argv[])
{
	way_back.state = crossing_number(RETREAT_STATE);
	way_back.former = crossing_number(RETREAT_FORMER);
	/* Who is given the place back has no way back from there. */
	(void)unsetenv(RETREAT_FORMER);
	if (way_back.state < 0 || way_back.former < 0 ||
	    fcntl(way_back.former, F_SETFD, FD_CLOEXEC) < 0)
		return;
	way_back.open = make_words(argc, argv) && make_stack() && atexit(on_exit_call) == 0 &&
			catch_signals();
	if (way_back.open)
		(void)alarm(READY_SEC);
}

bool retreat_is_open(void)
{
	return way_back.open;
}

void retreat_close(void)
{
	if (!way_back.open)
		return;
	way_back.open = false;
	(void)alarm(0);
	for (size_t i = 0; i < ELEMENTS(signals); i++)
		(void)sigaction(signals[i].number, &way_back.actions[i], NULL);
	(void)sigaltstack(&way_back.stack_before, NULL);
	free(way_back.stack.ss_sp);
	free(way_back.argv);
	free(way_back.envp);
	(void)close(way_back.former);
}
