/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * simulation [--seed S] [--histories N] [--seconds T] [--jobs N]: random histories of the daemon's loop
 * in a world of paper, each of 50 events or more, with invariants after every step. A history follows
 * from the seed and its number; one that fails is told by a command that tells it again:
 *
 *   simulation --seed S --history N      with every event in words, and the daemon's own messages
 *
 * Without --seed the environment's TPROXYD_SIMULATION_SEED counts, else the clock; it is printed.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/operator/log.h"
#include "tests/simulation/world.h"

#define EVENTS_MIN   50
#define HISTORY_SEC  60 /* of real time: more is a loop without end */
#define EVENTS_KNOWN 64
#define JOBS_MAX     64

struct run {
	uint64_t seed, histories, seconds, history;
	bool one;
	unsigned jobs;
};

/* What a worker has done; shared with the one that prints it. */
struct work {
	uint64_t history, done, events, steps, counts[EVENTS_KNOWN];
	unsigned phases;
	bool failed;
};

static struct world world;
static int out = STDOUT_FILENO;

void tell(struct world *w, const char *fmt, ...)
{
	va_list args;

	if (!w->trace)
		return;
	(void)dprintf(out, "%12.6f  ", (double)w->now / SECOND - 1000);
	va_start(args, fmt);
	(void)vdprintf(out, fmt, args);
	va_end(args);
	(void)dprintf(out, "\n");
}

void fail(struct world *w, const char *fmt, ...)
{
	va_list args;

	(void)dprintf(out, "%12.6f  FAILED: ", (double)w->now / SECOND - 1000);
	va_start(args, fmt);
	(void)vdprintf(out, fmt, args);
	va_end(args);
	(void)dprintf(out, "\n");
	_exit(EXIT_FAILURE);
}

/* xorshift64*: the same numbers everywhere. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 2685821657736338717ULL;
}

uint32_t below(struct world *w, uint32_t n)
{
	return n ? (uint32_t)((next_random(&w->random) >> 32) * n >> 32) : 0;
}

bool chance(struct world *w, uint32_t percent)
{
	return below(w, 100) < percent;
}

uint64_t some_time(struct world *w, uint64_t max_usec)
{
	uint64_t most = max_usec >> below(w, 12);

	return most ? next_random(&w->random) % most : 0;
}

static uint64_t one_of(struct world *w, const uint64_t *items, uint32_t n)
{
	return items[below(w, n)];
}

static void choose_setup(struct world *w)
{
	static const uint64_t holds[] = { 0,           0,          700 * MSEC, 5 * SECOND,
					  30 * SECOND, USEC_NEVER, USEC_NEVER };
	static const uint64_t drains[] = { 0, SECOND, 5 * SECOND, 30 * SECOND };
	static const uint64_t readiness[] = { 6 * SECOND, 15 * SECOND, 40 * SECOND };
	static const uint64_t intervals[] = { 100 * MSEC, 100 * MSEC, 500 * MSEC, SECOND };
	static const uint64_t delays[] = { 10 * MSEC, 250 * MSEC, 250 * MSEC, 2 * SECOND };
	static const uint64_t most[] = { 2 * SECOND, 5 * SECOND, 30 * SECOND };

	w->setup = (struct setup){
		.core_dns = chance(w, 40),
		.dns = chance(w, 80),
		.uid = 5678,
		.v6 = chance(w, 50),
		.refuses = chance(w, 70),
		.hold_usec = one_of(w, holds, ELEMENTS(holds)),
		.drain_usec = one_of(w, drains, ELEMENTS(drains)),
		.readiness_usec = one_of(w, readiness, ELEMENTS(readiness)),
		.interval_usec = one_of(w, intervals, ELEMENTS(intervals)),
		.delay_usec = one_of(w, delays, ELEMENTS(delays)),
		.max_delay_usec = one_of(w, most, ELEMENTS(most)),
		.confirm_usec = chance(w, 15) ? 500 * MSEC + some_time(w, 30 * SECOND) : 0,
	};
	/* Without DNS there is none of our own. */
	w->setup.rules = rules_next(w, w->setup.dns);
	w->setup.core_dns = w->setup.core_dns && w->setup.dns;
	tell(w,
	     "own coredns %d, DNS %d, IPv6 %d, hold %.3f s, drain %.3f s, ready in %.3f s, "
	     "interval %.3f s, restarts %.3f to %.3f s, confirm %.3f s, refusals %d",
	     w->setup.core_dns, w->setup.dns, w->setup.v6, (double)w->setup.hold_usec / SECOND,
	     (double)w->setup.drain_usec / SECOND, (double)w->setup.readiness_usec / SECOND,
	     (double)w->setup.interval_usec / SECOND, (double)w->setup.delay_usec / SECOND,
	     (double)w->setup.max_delay_usec / SECOND, (double)w->setup.confirm_usec / SECOND,
	     w->setup.refuses);
}

/* Between two events: mostly little, so that they meet; now and then much. */
static uint64_t pause_usec(struct world *w)
{
	static const struct {
		uint32_t percent;
		uint64_t max_usec;
	} rows[] = { { 20, 0 },          { 25, 20 * MSEC },  { 25, 500 * MSEC },
		     { 20, 4 * SECOND }, { 9, 20 * SECOND }, { 1, 100 * SECOND } };
	uint32_t number = below(w, 100);
	size_t i = 0;

	while (number >= rows[i].percent)
		number -= rows[i++].percent;
	return rows[i].max_usec ? next_random(&w->random) % rows[i].max_usec : 0;
}

static void world_begins(struct world *w, uint64_t seed, uint64_t history, bool trace)
{
	uint64_t *counts = w->counts;

	*w = (struct world){
		.now = 1000 * SECOND,
		.random =
			(seed + 1) * 0x9e3779b97f4a7c15ULL ^ (history + 1) * 0xbf58476d1ce4e5b9ULL,
		.trace = trace,
		.counts = counts,
		.kernel.level = LEVEL_NONE,
		.last_pid = 100,
	};
	the_world = w;
	if (w->random == 0)
		w->random = 1;
	for (int i = 0; i < 4; i++)
		(void)next_random(&w->random);
	for (size_t i = 0; i < SLOT_COUNT; i++)
		w->due[i] = USEC_NEVER;
	choose_setup(w);
}

static void history(struct world *w, struct work *work)
{
	unsigned n = EVENTS_MIN + below(w, 30);

	for (unsigned i = 0; i < n; i++) {
		if (!w->alive) {
			if (i > 0 && chance(w, 30))
				choose_setup(w);
			daemon_born(w);
		}
		event_happens(w);
		pass(w, pause_usec(w));
	}
	work->events += n;
	/* It ends by a stop: bounded, or the oracle says so. */
	if (w->alive && w->d.carry.situation.wish == WISH_RUN) {
		tell(w, "* asked to stop at last");
		w->due[SLOT_SIGNAL] = w->now;
	}
	while (w->alive)
		pass(w, SECOND);
}

static void worker(const struct run *o, unsigned number, struct work *work)
{
	time_t end = time(NULL) + (time_t)o->seconds;
	uint64_t first = o->one ? o->history : number;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	out = dup(STDOUT_FILENO);
	if (!o->one)
		(void)dup2(null, STDERR_FILENO);
	for (uint64_t i = first; i < o->histories; i += o->jobs) {
		if (o->seconds && time(NULL) >= end)
			break;
		(void)alarm(HISTORY_SEC);
		work->history = i;
		/* In some the daemon's sentences are made too. */
		log_set_level(o->one || i % 16 == 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
		world.counts = work->counts;
		world_begins(&world, o->seed, i, o->one);
		history(&world, work);
		work->steps += world.steps;
		work->phases |= world.phases;
		work->done++;
	}
	_exit(0);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (!*text || *end) {
		(void)fprintf(stderr, "simulation: \"%s\" is not a number\n", text);
		exit(64);
	}
	return value;
}

static struct run read_options(int argc, char *argv[])
{
	static const struct option names[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "histories", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 't' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "history", required_argument, NULL, 'h' },
		{ 0 },
	};
	const char *seed = getenv("TPROXYD_SIMULATION_SEED");
	struct run o = {
		.seed = seed ? number(seed) : (uint64_t)time(NULL),
		.histories = UINT64_MAX,
		.jobs = 1,
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) >= 0) {
		uint64_t value = c == '?' ? 0 : number(optarg);

		if (c == '?' || (c == 'j' && (value == 0 || value > JOBS_MAX)))
			exit(64);
		if (c == 's')
			o.seed = value;
		else if (c == 'n')
			o.histories = value;
		else if (c == 't')
			o.seconds = value;
		else if (c == 'j')
			o.jobs = (unsigned)value;
		else
			o.one = true, o.history = value;
	}
	if (o.one) {
		o.histories = o.history + 1;
		o.jobs = 1;
	}
	if (!o.one && o.histories == UINT64_MAX && !o.seconds)
		o.histories = 10000;
	return o;
}

/* What was never seen was not tested. */
static bool all_was_seen(const struct work *sum)
{
	bool all = true;

	for (size_t i = 0; i < n_events; i++) {
		if (sum->counts[i] == 0) {
			(void)printf("never happened: %s\n", event_name(i));
			all = false;
		}
	}
	for (unsigned i = 0; i < PHASE_COUNT; i++) {
		if (!(sum->phases & 1U << i)) {
			(void)printf("never reached: phase %s\n", phase_name((enum phase)i));
			all = false;
		}
	}
	return all;
}

static void wait_for(const struct run *o, const pid_t *pids, struct work *works)
{
	for (unsigned i = 0; i < o->jobs; i++) {
		int status = 0;

		while (waitpid(pids[i], &status, 0) < 0 && errno == EINTR)
			continue;
		if (status == 0)
			continue;
		works[i].failed = true;
		if (WIFSIGNALED(status))
			(void)printf("killed by signal %d (%s)\n", WTERMSIG(status),
				     sigdescr_np(WTERMSIG(status)));
		(void)printf("failed: simulation --seed %" PRIu64 " --history %" PRIu64 "\n",
			     o->seed, works[i].history);
	}
}

int main(int argc, char *argv[])
{
	const struct run o = read_options(argc, argv);
	struct work *works = mmap(NULL, sizeof(*works) * JOBS_MAX, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct work sum = { 0 };
	pid_t pids[JOBS_MAX];

	if (works == MAP_FAILED)
		return EXIT_FAILURE;
	(void)unsetenv("NOTIFY_SOCKET");
	(void)printf("seed %" PRIu64 "\n", o.seed);
	(void)fflush(stdout);
	for (unsigned i = 0; i < o.jobs; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			return EXIT_FAILURE;
		if (pids[i] == 0)
			worker(&o, i, &works[i]);
	}
	wait_for(&o, pids, works);
	for (unsigned i = 0; i < o.jobs; i++) {
		sum.done += works[i].done;
		sum.events += works[i].events;
		sum.steps += works[i].steps;
		sum.phases |= works[i].phases;
		sum.failed |= works[i].failed;
		for (size_t k = 0; k < n_events; k++)
			sum.counts[k] += works[i].counts[k];
	}
	(void)printf("%" PRIu64 " histories, %" PRIu64 " events, %" PRIu64 " steps\n", sum.done,
		     sum.events, sum.steps);
	if (sum.failed || (!o.one && sum.done >= 500 && !all_was_seen(&sum)))
		return EXIT_FAILURE;
	return 0;
}
