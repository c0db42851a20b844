/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A daemon whose hands are of paper: backend, processes, probe, clock and timers. What it does goes
 * into a book, a word an act: "apply:full", "start:kuma-dp", "TERM:kuma-dp", "sweep", "exit:0".
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "daemon/loop/reexec.h"
#include "daemon/loop/state.h"

#define MSEC   ((uint64_t)1000)
#define SECOND ((uint64_t)1000000)

#define KUMA_DP_PID 100
#define ENVOY_PID   200

struct world {
	struct daemon d;
	int64_t wall_offset; /* what the wall clock says beyond `now`, in seconds */
	uint64_t now, timer[TIMER_COUNT], proc_timer[CHILD_COUNT];
	bool woken, probing, ended, reserved;
	uint16_t dns_port;     /* where the last round asks; 0: it does not */
	bool hurried;          /* the round under way */
	uint64_t timeout_usec; /* and the longest that it may take */
	unsigned wakeups;      /* timers that fired, and ends of rounds */
	uint64_t round_usec;   /* when it ends by itself; 0: when all have answered */
	int status;            /* of the end */
	char book[2000];

	/* How the world answers. */
	int apply_results[64]; /* of the next applies; then 0 */
	size_t n_apply_results, n_applied;
	int apply_always;         /* if not 0: of every apply */
	unsigned last_generation; /* whose rules were applied last */
	char last_rules[16];      /* the name of their chain */
	enum level kernel;        /* the level that is in */
	size_t connections;
	int connections_result, spawn_result;
	const char *difference; /* what others have changed; NULL: nothing */
	int differs_result;     /* of a look at the rules */
	uint64_t sizes;         /* of the tables */
	uint64_t cpu;           /* used by each look */
	unsigned looks;
	bool starts_again, stored; /* systemd will start us again; has what the rules live by */
	bool leftovers, foreign;   /* kumactl's, and nat rules of others, in nf_tables */
	unsigned asked_foreign, asked_first;
	struct generation *loaded; /* what a reload reads; NULL: it cannot */
	json_t *answer;            /* to a reload that was asked for */
	int left; /* processes that a round of the sweep finds; one less each round */
	uint32_t random;
};

struct world_setup {
	bool core_dns; /* one of our own */
	bool no_dns;   /* DNS is not redirected */
	int64_t hold_nsec;
	int64_t drain_nsec;
	int64_t confirm_nsec;
};

static inline void note(struct world *w, const char *what, const char *name)
{
	size_t len = strlen(w->book);

	(void)snprintf(w->book + len, sizeof(w->book) - len, "%s%s%s", len ? " " : "", what, name);
}

static inline struct world *world_of(struct daemon *d)
{
	return (struct world *)d; /* it is the first member */
}

static inline uint64_t paper_now(struct daemon *d)
{
	return world_of(d)->now;
}

static inline uint64_t paper_wall(struct daemon *d)
{
	return (uint64_t)((int64_t)(world_of(d)->now / SECOND) + world_of(d)->wall_offset);
}

static inline void paper_wake(struct daemon *d)
{
	world_of(d)->woken = true;
}

static inline void paper_arm(struct daemon *d, enum timer timer, uint64_t usec)
{
	world_of(d)->timer[timer] = usec;
}

static inline int paper_probe(struct daemon *d, const struct probe_target *target,
			      struct error *err)
{
	struct world *w = world_of(d);

	(void)err;
	cr_assert_not(w->probing, "a second round at once");
	w->probing = true;
	w->dns_port = target->dns_family[FAMILY_V4] ? target->dns_port : 0;
	w->timeout_usec = target->timeout_usec;
	w->round_usec = target->lazy ? w->now + target->timeout_usec : 0;
	return 0;
}

static inline void paper_hurry(struct daemon *d)
{
	world_of(d)->hurried = world_of(d)->probing;
}

static inline int paper_watch_envoy(struct daemon *d, pid_t pid)
{
	(void)d;
	return pid == ENVOY_PID ? 0 : -ESRCH;
}

static inline int paper_signal_envoy(struct daemon *d, int sig)
{
	note(world_of(d), sig == SIGSTOP ? "STOP:" : "CONT:", "envoy");
	return 0;
}

/* The world that is under test, for hands that are not told whose they are. */
static struct world *the_world;

static inline int paper_connections(const uint16_t *ports, size_t n, uid_t uid, size_t *ret,
				    struct error *err)
{
	cr_expect_eq(n, 2);
	(void)ports;
	(void)uid;
	*ret = the_world->connections;
	if (the_world->connections_result < 0)
		return error_set(err, the_world->connections_result, "no sock_diag");
	return 0;
}

/* The sweep before a start finds what there is in the session of the former process. */
static inline int paper_sweep(uid_t uid, pid_t session, struct error *err)
{
	(void)uid;
	(void)err;
	if (session)
		cr_expect(session == KUMA_DP_PID || session == KUMA_DP_PID + 1);
	note(the_world, session ? "sweep-session" : "sweep", "");
	return the_world->left > 0 ? the_world->left-- : 0;
}

static inline int paper_files(struct daemon *d, enum child_id id, struct error *err)
{
	(void)d;
	(void)id;
	(void)err;
	return 0;
}

static inline void paper_quote(struct daemon *d, struct strbuf *out)
{
	(void)d;
	strbuf_add(out, "; envoy said: no");
}

static inline bool paper_take_over(const char *whom)
{
	bool found = the_world->leftovers;

	note(the_world, "take-over", whom ? whom : "");
	the_world->leftovers = false;
	return found;
}

static inline bool paper_foreign(void)
{
	the_world->asked_foreign++;
	return the_world->foreign;
}

static inline int paper_foreign_first(void)
{
	the_world->asked_first++;
	return the_world->foreign ? -100 : 0;
}

static inline void paper_listen_again(struct daemon *d)
{
	(void)d;
}

static inline uint64_t paper_cpu(struct daemon *d)
{
	struct world *w = world_of(d);

	return w->looks * w->cpu;
}

static inline void paper_reserve(struct daemon *d, const struct plan *plan)
{
	(void)plan;
	world_of(d)->reserved = true;
}

static inline void paper_keep_reserved(struct daemon *d, const struct plan *plan)
{
	cr_expect(world_of(d)->reserved);
	cr_expect_eq(plan, &d->current->plan);
}

/* Rules may have been in that were not of this daemon. */
static inline void paper_unreserve(struct daemon *d)
{
	cr_expect_eq(world_of(d)->kernel, LEVEL_NONE, "ports are given up while rules are in");
	world_of(d)->reserved = false;
}

static inline int paper_load(struct daemon *d, const struct generation *former,
			     struct generation **ret, struct error *err)
{
	struct world *w = world_of(d);

	if (!w->loaded)
		return error_set(err, -ESPIPE, "nothing can be read");
	w->loaded->number = former->number + 1;
	*ret = take_ptr(w->loaded);
	return 0;
}

static inline void paper_reply(struct daemon *d, json_t *answer)
{
	json_decref(world_of(d)->answer);
	world_of(d)->answer = answer;
	note(world_of(d), "reply:", json_is_true(json_object_get(answer, "ok")) ? "yes" : "no");
}

static inline void paper_follow(struct daemon *d)
{
	(void)d;
}

static inline bool paper_starts_again(void)
{
	return the_world->starts_again;
}

static inline void paper_store(struct daemon *d, bool stored)
{
	struct world *w = world_of(d);

	/* What systemd has, the record claims. */
	if (stored)
		cr_expect_neq(d->redirect.record.stored, LEVEL_NONE);
	note(w, stored ? "store" : "unstore", "");
	w->stored = stored;
}

static inline void paper_exit(struct daemon *d, int status)
{
	char number[12];

	(void)snprintf(number, sizeof(number), "%d", status);
	note(world_of(d), "exit:", number);
	world_of(d)->ended = true;
	world_of(d)->status = status;
}

static const struct daemon_ops paper_ops = {
	.now = paper_now,
	.wall = paper_wall,
	.wake = paper_wake,
	.arm = paper_arm,
	.probe = paper_probe,
	.hurry = paper_hurry,
	.watch_envoy = paper_watch_envoy,
	.signal_envoy = paper_signal_envoy,
	.connections = paper_connections,
	.sweep = paper_sweep,
	.files = paper_files,
	.quote = paper_quote,
	.take_over = paper_take_over,
	.foreign = paper_foreign,
	.foreign_first = paper_foreign_first,
	.listen_again = paper_listen_again,
	.cpu = paper_cpu,
	.reserve = paper_reserve,
	.keep_reserved = paper_keep_reserved,
	.unreserve = paper_unreserve,
	.starts_again = paper_starts_again,
	.store = paper_store,
	.load = paper_load,
	.reply = paper_reply,
	.follow = paper_follow,
	.exit = paper_exit,
};

static inline int paper_spawn(struct proc *proc, const struct exec_spec *spec, struct error *err)
{
	struct world *w = proc->userdata;

	(void)spec;
	cr_assert_eq(proc->process->pid, 0, "a second %s", proc->name);
	note(w, "start:", proc->name);
	if (w->spawn_result < 0)
		return error_sys(err, w->spawn_result, "start %s", proc->name);
	proc->process->pid = KUMA_DP_PID + (proc != &w->d.child[0].proc);
	return 0;
}

static inline int paper_signal(struct proc *proc, int sig)
{
	char what[16];

	cr_assert_gt(proc->process->pid, 0, "a signal to nobody");
	(void)snprintf(what, sizeof(what), "%s:", sigabbrev_np(sig));
	note(proc->userdata, what, proc->name);
	return 0;
}

static inline void paper_proc_arm(struct proc *proc, uint64_t delay_usec)
{
	struct world *w = proc->userdata;

	w->proc_timer[proc != &w->d.child[0].proc] =
		delay_usec > USEC_NEVER - w->now ? USEC_NEVER : w->now + delay_usec;
}

static inline uint64_t paper_proc_now(struct proc *proc)
{
	return ((struct world *)proc->userdata)->now;
}

static inline uint32_t paper_random(struct proc *proc)
{
	return ((struct world *)proc->userdata)->random;
}

static inline int paper_adopt(struct proc *proc, struct error *err)
{
	(void)err;
	cr_assert_gt(proc->process->pid, 0, "nobody to adopt");
	return 0;
}

static const struct proc_ops paper_proc_ops = { paper_spawn,    paper_signal, paper_proc_arm,
						paper_proc_now, paper_random, paper_adopt };

static inline unsigned generation_of(const struct world *w, const struct ruleset *rules)
{
	const struct generation *const all[] = { w->d.current, w->d.applied };

	for (size_t i = 0; i < ELEMENTS(all); i++)
		if (all[i] && rules >= all[i]->rules && rules < all[i]->rules + LEVEL_COUNT)
			return all[i]->number;
	cr_assert_fail("rules of nobody");
	return 0;
}

static inline const char *rules_name(const struct ruleset *rules)
{
	return rules->family[FAMILY_V4].table[TABLE_NAT].chains->name;
}

static inline int paper_apply(const struct netfilter_wish *wish, struct record *record,
			      struct netfilter_report *report, struct error *err)
{
	struct world *w = (void *)((char *)record - offsetof(struct world, d.redirect.record));
	const struct ruleset *rules = wish->rules;
	int r = 0;

	(void)report;
	cr_expect(rules->level == LEVEL_NONE || w->reserved, "rules without reserved ports");
	cr_expect_eq(wish->scope, rules->level == LEVEL_FULL || w->d.carry.situation.disturbed
					  ? SCOPE_RECOGNISED
					  : SCOPE_RECORDED);
	cr_expect_eq(wish->trusted, w->d.carry.situation.disturbed);
	if (w->n_applied < w->n_apply_results)
		r = w->apply_results[w->n_applied++];
	if (w->apply_always)
		r = w->apply_always;
	note(w,
	     r == 0                ? "apply:"
	     : r == NETFILTER_BUSY ? "busy:"
				   : "fail:",
	     level_name(rules->level));
	if (r == NETFILTER_BUSY)
		(void)error_set(err, -EBUSY, "others are at it");
	if (r < 0)
		return error_set(err, r, "the kernel says no");
	if (r == 0) {
		w->kernel = rules->level;
		w->difference = NULL;
		w->last_generation = generation_of(w, rules);
		(void)snprintf(w->last_rules, sizeof(w->last_rules), "%s", rules_name(rules));
	}
	return r;
}

static inline int paper_differs(const struct netfilter_wish *wish, const struct record *record,
				struct strbuf *difference, struct error *err)
{
	struct world *w = the_world;

	(void)record;
	cr_expect_eq(wish->rules->level, w->kernel, "held against what is in");
	if (w->kernel != LEVEL_NONE)
		cr_expect_str_eq(rules_name(wish->rules), w->last_rules);
	cr_expect_eq(wish->scope, SCOPE_RECOGNISED);
	cr_expect(wish->trusted);
	w->looks++;
	if (w->differs_result < 0)
		return error_set(err, w->differs_result, "the kernel does not tell");
	if (w->difference)
		strbuf_add(difference, w->difference);
	return 0;
}

static inline int paper_sizes(const struct record *record, uint64_t *ret, struct error *err)
{
	(void)record;
	(void)err;
	*ret = the_world->sizes;
	return 0;
}

static const struct netfilter_backend paper_backend = {
	.name = "paper",
	.apply = paper_apply,
	.differs = paper_differs,
	.sizes = paper_sizes,
};

/* Its rules are those of its number. */
static inline struct generation *paper_generation(const struct world_setup *setup, unsigned number)
{
	struct generation *g = calloc(1, sizeof(*g));
	struct plan *plan = &g->plan;
	struct chain *chain;

	g->number = number;
	g->references = 1;
	g->cause = "It was read again";
	g->options.diags.arena = &g->arena;
	cr_assert_eq(layers_load(&g->arena, &(struct layers){ 0 }, &g->options.loaded,
				 &g->options.diags),
		     0);
	plan->user.uid = 5678;
	plan->family[FAMILY_V4].enabled = true;
	plan->family[FAMILY_V4].dns = !setup->no_dns;
	plan->inbound.enabled = plan->outbound.enabled = true;
	plan->hold_nsec = setup->hold_nsec;
	plan->readiness_timeout_nsec = 180LL * 1000000000;
	plan->readiness_interval_nsec = 100LL * 1000000;
	plan->confirm_nsec = setup->confirm_nsec;
	plan->restart_delay_nsec = 250LL * 1000000;
	plan->restart_max_delay_nsec = 30LL * 1000000000;
	plan->children.drain_time_nsec = setup->drain_nsec;
	g->command[CHILD_KUMA_DP] = (struct command){
		.name = "kuma-dp",
		.path = "/kuma-dp",
	};
	if (setup->core_dns) {
		g->command[CHILD_CORE_DNS] = g->command[CHILD_KUMA_DP];
		g->command[CHILD_CORE_DNS].name = "coredns";
	}
	chain = arena_alloc(&g->arena, sizeof(*chain));
	*chain = (struct chain){ .name = arena_printf(&g->arena, "OURS_%u", number) };
	for (enum level level = 0; level < LEVEL_COUNT; level++) {
		g->rules[level].level = level;
		g->rules[level].family[FAMILY_V4].enabled = true;
		g->rules[level].family[FAMILY_V4].table[TABLE_NAT] =
			(struct table_rules){ chain, level != LEVEL_NONE };
	}
	return g;
}

static inline char *paper_facts(const struct daemon *d)
{
	struct strbuf out = { 0 };

	handover_begin(&out);
	daemon_add_facts(d, &out);
	handover_end(&out);
	cr_assert_not(out.failed);
	return strbuf_take(&out);
}

static inline struct generation *paper_role(const struct daemon *d, unsigned number)
{
	struct generation *const all[] = { d->current, d->applied, d->next, d->confirm.former };

	for (size_t i = 0; i < ELEMENTS(all); i++)
		if (all[i] && all[i]->number == number)
			return all[i];
	cr_assert_eq(number, 0, "the generation of nobody");
	return NULL;
}

/* The daemon ends, and one that knows nothing but its text goes on: with no other timers, and the same
 * text. */
static inline void replaced(struct world *w)
{
	_free_ char *text = paper_facts(&w->d), *again = NULL;
	const struct daemon former = w->d;
	struct handover handover = { 0 };
	struct error err = { 0 };
	struct roles roles;
	uint64_t timer[TIMER_COUNT], proc_timer[CHILD_COUNT], round_usec = w->round_usec;
	bool was_probing = w->probing;

	memcpy(timer, w->timer, sizeof(timer));
	memcpy(proc_timer, w->proc_timer, sizeof(proc_timer));
	memset(w->timer, 0xff, sizeof(w->timer));
	memset(w->proc_timer, 0xff, sizeof(w->proc_timer));
	w->d = (struct daemon){ 0 };
	cr_assert_eq(handover_parse(text, strlen(text), &handover, &err), 0, "%s", err.text);
	cr_assert_eq(daemon_take_roles(&handover, &roles, &err), 0, "%s", err.text);
	daemon_init(&w->d, paper_role(&former, roles.current), &paper_ops);
	w->d.applied = paper_role(&former, roles.applied);
	w->d.next = paper_role(&former, roles.next);
	w->d.confirm.former = paper_role(&former, roles.former);
	w->d.redirect = former.redirect;
	w->d.stores = former.stores;
	json_decref(former.reload.answer);
	for (size_t i = 0; i < former.n_children; i++)
		cr_assert_eq(daemon_add_child(&w->d, &paper_proc_ops, &err), 0, "%s", err.text);
	cr_assert_eq(daemon_take_facts(&w->d, &handover, &err), 0, "%s", err.text);
	cr_assert_eq(handover_all_taken(&handover, &err), 0, "%s", err.text);
	again = paper_facts(&w->d);
	cr_assert_str_eq(text, again);
	handover_done(&handover);
	/* The round under way is asked once more. */
	w->probing = false;
	cr_assert_eq(daemon_resume(&w->d, &err), 0, "%s", err.text);
	cr_expect_eq(memcmp(timer, w->timer, sizeof(timer)), 0, "other timers");
	for (size_t i = 0; i < CHILD_COUNT; i++)
		cr_expect_eq(w->proc_timer[i], proc_timer[i] > w->now ? proc_timer[i] : w->now,
			     "another timer of a child");
	/* It began when the former one did. */
	cr_expect(w->probing || !was_probing || former.carry.situation.wish == WISH_STOP);
	w->probing = was_probing;
	w->round_usec = round_usec;
	w->d.probe.lazy = former.probe.lazy;
	w->d.probe.begun_usec = former.probe.begun_usec;
	w->d.probe.stale = former.probe.stale;
	w->d.probe.dns_asked = former.probe.dns_asked;
	w->d.probe.rounds = former.probe.rounds;
}

static inline void round_ends(struct world *w, const struct probe_result *result)
{
	cr_assert(w->probing, "nobody asks");
	w->probing = w->hurried = false;
	w->wakeups++;
	daemon_probed(result, &w->d);
}

/* Runs the step as often as it is woken for, as the loop would. */
static inline void turn(struct world *w)
{
	/* What it has found was true before. */
	if (w->hurried)
		round_ends(w, &(struct probe_result){
				      .admin = true,
				      .alive = true,
				      .listeners = true,
				      .dns = true,
				      .core_dns = true,
				      .kuma_dp = true,
			      });
	for (int n = 0; w->woken && !w->ended; n++) {
		cr_assert_lt(n, 10, "the step wakes itself without end");
		w->woken = false;
		daemon_update(&w->d);
	}
#ifdef LOOP_REPLACED
	if (!w->ended)
		replaced(w);
#endif
}

static inline void world_init(struct world *w, const struct world_setup *setup)
{
	struct error err = { 0 };

	*w = (struct world){ .now = 1000 * SECOND, .kernel = LEVEL_NONE };
	the_world = w;
	for (size_t i = 0; i < TIMER_COUNT; i++)
		w->timer[i] = USEC_NEVER;
	for (size_t i = 0; i < CHILD_COUNT; i++)
		w->proc_timer[i] = USEC_NEVER;
	daemon_init(&w->d, paper_generation(setup, 1), &paper_ops);
	w->d.redirect = (struct redirect){ .backend = &paper_backend };
	for (size_t i = 0; i < (setup->core_dns ? 2 : 1); i++)
		cr_assert_eq(daemon_add_child(&w->d, &paper_proc_ops, &err), 0, "%s", err.text);
	daemon_start(&w->d);
	w->woken = true;
}

static inline void world_done(struct world *w)
{
	json_decref(w->answer);
	json_decref(w->d.reload.answer);
	generation_free(w->loaded);
	generation_free(w->d.confirm.former);
	generation_free(w->d.next);
	generation_free(w->d.applied);
	generation_free(w->d.current);
}

/* Lets time pass; what is due happens in its order. */
static inline void advance(struct world *w, uint64_t usec)
{
	uint64_t end = w->now + usec;

	while (!w->ended) {
		uint64_t next = USEC_NEVER;
		size_t which = 0;

		for (size_t i = 0; i < TIMER_COUNT + w->d.n_children; i++) {
			uint64_t due =
				i < TIMER_COUNT ? w->timer[i] : w->proc_timer[i - TIMER_COUNT];

			if (due < next) {
				next = due;
				which = i;
			}
		}
		if (next > end)
			break;
		w->now = next > w->now ? next : w->now;
		w->wakeups++;
		if (which < TIMER_COUNT) {
			w->timer[which] = USEC_NEVER;
			daemon_timer(&w->d, (enum timer)which);
		} else {
			w->proc_timer[which - TIMER_COUNT] = USEC_NEVER;
			proc_timeout(&w->d.child[which - TIMER_COUNT].proc);
		}
		turn(w);
	}
	w->now = end;
	/* Rounds would have followed one another: the one under way is the last of them. */
	if (usec > 0)
		w->d.probe.begun_usec = end;
}

/* When the round under way can end, or the next one begins. */
static inline uint64_t round_due(const struct world *w)
{
	if (!w->probing)
		return w->timer[TIMER_PROBE];
	return w->round_usec > w->now ? w->round_usec : w->now;
}

/* The round under way ends; where none is, it is awaited. */
static inline void answered(struct world *w, const struct probe_result *result)
{
	if (!w->probing || round_due(w) > w->now)
		advance(w, round_due(w) - w->now);
	round_ends(w, result);
	turn(w);
}

static inline void probed(struct world *w, bool proxy, bool dns)
{
	struct probe_result result = { .admin = proxy,
				       .alive = proxy,
				       .listeners = proxy,
				       .dns = dns,
				       .core_dns = dns,
				       .kuma_dp = true,
				       .control_plane = proxy ? CONTROL_PLANE_CONNECTED
							      : CONTROL_PLANE_UNKNOWN,
				       .envoy = proxy ? ENVOY_PID : 0,
				       .missing = "something" };

	answered(w, &result);
}

static inline void child_exits(struct world *w, enum child_id id, int status)
{
	siginfo_t si = { .si_signo = SIGCHLD };

	si.si_code = CLD_EXITED;
	si.si_status = status;
	si.si_pid = w->d.carry.child[id].pid;
	proc_exited(&w->d.child[id].proc, &si);
	turn(w);
}

static inline void envoy_ends(struct world *w)
{
	daemon_envoy_ended(&w->d);
	turn(w);
}

static inline void asked_to_stop(struct world *w)
{
	daemon_stop(&w->d);
	turn(w);
}

/* What was done since the last look. */
static inline void did(struct world *w, const char *expected)
{
	cr_expect_str_eq(w->book, expected, "did \"%s\", not \"%s\"", w->book, expected);
	w->book[0] = '\0';
}

static inline enum phase phase_of(struct world *w)
{
	return w->d.carry.said;
}

/* Everything up: children started, both serve, FULL. */
static inline void world_up(struct world *w, const struct world_setup *setup)
{
	world_init(w, setup);
	turn(w);
	probed(w, true, true);
	cr_assert_eq(phase_of(w), PHASE_REDIRECTING);
	w->book[0] = '\0';
}
