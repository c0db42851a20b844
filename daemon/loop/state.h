/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The inside of the daemon, for the files of this folder. Who calls whom: setup.c makes everything
 * and connects events with watch.c, children.c, stop.c, resolv.c and reload.c, which change facts and
 * wake; update.c is the step, which calls children.c, next.c, stop.c, apply.c and say.c.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "common/plan/token.h"
#include "common/supervise/carry.h"
#include "common/supervise/refusal.h"
#include "common/supervise/repairs.h"
#include "daemon/firewalld/bus.h"
#include "daemon/load/generation.h"
#include "daemon/netfilter/redirect.h"
#include "daemon/netfilter/reserve.h"
#include "daemon/netfilter/watch.h"
#include "daemon/operator/control.h"
#include "daemon/operator/relay.h"
#include "daemon/os/file_watch.h"
#include "daemon/probe/probe.h"
#include "daemon/process/proc.h"
#include "daemon/process/sweep.h"

/* Which event goes first when several came at once. A reaped process must be known dead before
 * anything may signal it; the step comes after all that change facts; and whoever floods the control
 * socket, or writes much, holds up nothing but answers and what children say. */
enum {
	PRIORITY_CHILD = PROC_PRIORITY_EXIT,
	PRIORITY_SIGNAL = -5,
	PRIORITY_STEP = 5,
	PRIORITY_REEXEC_LATE = 6, /* nor the one that replaces us */
	PRIORITY_WORDS = 10,
	/* Who is replaced by another binary has done all that there was to do. */
	PRIORITY_REEXEC = 20,
};

enum timer {
	TIMER_PROBE,    /* the next round of probes */
	TIMER_DEADLINE, /* next_deadline() */
	TIMER_RETRY,    /* of an apply */
	TIMER_DRAIN,    /* the next look at redirected connections */
	TIMER_CORE_DNS, /* our coredns had its time to end */
	TIMER_SWEEP,    /* the next round of the sweep */
	TIMER_DRIFT,    /* the next look at the rules, where others may have changed them */
	TIMER_TABLES,   /* and at nf_tables */
	TIMER_RELOAD,   /* whoever asked for a reload is told how far it is */
	TIMER_CONFIRM,  /* a reload was not confirmed */
	TIMER_COUNT,
};

#define RESERVE_NAME "ports"                      /* of reserved ports in systemd's store */
#define EXTEND_USEC  ((uint64_t)15 * 1000 * 1000) /* asked of systemd for a start or stop */

struct daemon;

/* The daemon's hands: what a test of the loop replaces. */
struct daemon_ops {
	uint64_t (*now)(struct daemon *d);  /* CLOCK_MONOTONIC */
	uint64_t (*wall)(struct daemon *d); /* CLOCK_REALTIME, in seconds */
	/* The step runs when this turn's events are done. */
	void (*wake)(struct daemon *d);
	void (*arm)(struct daemon *d, enum timer timer, uint64_t usec); /* USEC_NEVER: never */
	/* Starts a round; daemon_probed() is called at its end. */
	int (*probe)(struct daemon *d, const struct probe_target *target, struct error *err);
	void (*hurry)(struct daemon *d); /* the round under way ends soon, whatever has answered */
	/* Calls daemon_envoy_ended() when the process ends. */
	int (*watch_envoy)(struct daemon *d, pid_t pid);
	int (*signal_envoy)(struct daemon *d, int sig); /* the one that is watched */
	int (*connections)(const uint16_t *ports, size_t n, uid_t uid, size_t *ret,
			   struct error *err);
	int (*sweep)(uid_t uid, pid_t session, struct error *err);
	/* Writes what a child is given, into a work directory without a former one's files. */
	int (*files)(struct daemon *d, enum child_id id, struct error *err);
	/* What the children said last, for a sentence about a failure. */
	void (*quote)(struct daemon *d, struct strbuf *out);
	/* What kumactl has put into nf_tables; whom: who has changed them, or NULL. Returns whether
	 * there was anything. */
	bool (*take_over)(const char *whom);
	/* Whether nat rules of others are in nf_tables; and how early: see host_nft_nat_first(). */
	bool (*foreign)(void);
	int (*foreign_first)(void);
	uint64_t (*cpu)(struct daemon *d); /* what this thread has used of it, in microseconds */
	/* Before rules go in; when none is in and none will be: see daemon/netfilter/reserve.h. */
	void (*reserve)(struct daemon *d, const struct plan *plan);
	/* After the rules of another plan are gone. */
	void (*keep_reserved)(struct daemon *d, const struct plan *plan);
	void (*unreserve)(struct daemon *d);
	/* Whether systemd ends us to start us again. */
	bool (*starts_again)(void);
	/* Gives systemd what the rules live by, or has it forget that. */
	void (*store)(struct daemon *d, bool stored);
	void (*listen_again)(struct daemon *d); /* to what was lost; called now and then */
	/* Reads everything again; see generation_again(). */
	int (*load)(struct daemon *d, const struct generation *former, struct generation **ret,
		    struct error *err);
	/* Answers whoever asked for the reload; takes the answer. */
	void (*reply)(struct daemon *d, json_t *answer);
	/* Watches what the current generation depends on. */
	void (*follow)(struct daemon *d);
	void (*exit)(struct daemon *d, int status);
};

/* A reload whose outcome is awaited. */
struct reload {
	unsigned needs;      /* enum change_need; what has to come true */
	unsigned generation; /* 0: none is awaited */
	uint64_t until_usec; /* when it is told that it has not come true yet */
	json_t *answer;      /* if it does */
	bool asked;          /* somebody waits for the answer */
	unsigned ticket;     /* for control_reply() */
};

struct child {
	struct proc proc;
	struct relay *relay; /* of its output; NULL: it has our stderr */
	int sweeps;          /* rounds of the sweep of what the former one left */
	char why[400];       /* it was given up; "": it ended by itself */
};

struct daemon {
	const struct daemon_ops *ops;
	struct carry carry;

	/* What is wanted; whose rules are in, where that is another one, else NULL; what waits until
	 * a proxy serves, or NULL. */
	struct generation *current, *applied, *next;
	struct reload reload;
	struct redirect redirect;
	struct child child[CHILD_COUNT];
	size_t n_children; /* 1 or 2 */

	struct {
		struct probe_result last;
		struct probe *prober;
		uint64_t begun_usec; /* the round under way, or the last one */
		uint64_t
			pause_usec; /* to the next round while something is missed; 0: the longest */
		bool dns_asked;     /* the round under way asks DNS */
		bool stale;         /* and has begun before a process came or went */
		bool lazy;          /* and lasts as long as the pause to the next one */
		unsigned misses;    /* see probe_verdict() */
		unsigned rounds;
		unsigned steps; /* that the proxy has come on since it was started, or served */
		pid_t envoy;    /* 0: not known */
	} probe;

	/* A reload that is to be confirmed. */
	struct {
		struct generation *former; /* comes back if it is not; NULL: none is to be */
		uint64_t usec;             /* the time for it, once it has come true */
		uint64_t until_usec;       /* USEC_NEVER: it has not */
	} confirm;

	/* Of the token that kuma-dp was given. */
	struct {
		uint64_t expires_sec; /* of the one that told is about */
		enum token_age told;
		bool replaced; /* its file has another one */
		struct file_watch *watch;
	} token;

	/* Of the proxy to the control plane, as Envoy sees it. */
	struct {
		enum probe_control_plane state;
		uint64_t since_usec; /* CLOCK_MONOTONIC: when it was found so */
		struct refusal refusal;
		bool still; /* Envoy was stopped until the refusal is over */
	} control_plane;

	/* An apply that failed or found the rules busy. */
	struct trouble {
		uint64_t since_usec; /* of the first of several in a row; 0: none failed */
		uint64_t again_usec; /* not before this time, unless another level is wanted */
		enum level wanted;
		bool busy; /* others were at it */
		uint64_t told_usec;
		char why[200]; /* "": no reason to tell */
	} trouble;

	/* What others do to the rules. */
	struct {
		struct repairs repairs;
		bool suspected;      /* that they have changed something */
		bool blind;          /* the last look failed */
		uint64_t look_usec;  /* all rules are not looked at before, */
		uint64_t idle_usec;  /* and then even if nothing is suspected */
		uint64_t sizes_usec; /* sizes are not compared before */
		uint64_t sizes;      /* at the last look */
		uint64_t since_usec; /* when the change was noticed that found is about */
		char found[600];     /* what is not as expected; "": all is */
		char whom[80];       /* who may have done it; "": not known */

		bool tables;              /* nf_tables were changed, */
		char writer[80];          /* by whom; "": not known */
		uint64_t tables_usec;     /* they are not looked at before */
		struct repairs takeovers; /* of what was found there */
		bool told_foreign;        /* that nat rules of others are there */
		bool told_ipv6;           /* that IPv6 has come since the start */
	} drift;

	struct {
		bool told;           /* systemd, that we are stopping, and why */
		bool asked;          /* kuma-dp got its first SIGTERM */
		bool again;          /* we were asked again: nothing is drained */
		uint64_t late_usec;  /* when our coredns is swept, if it has not ended */
		int sweeps;          /* rounds of the sweep */
		uint64_t sweep_usec; /* when the next round is due */
		bool ended;          /* the loop was told to end */
	} stop;

	struct drain {
		unsigned idle; /* looks in a row that found no redirected connection */
		bool blind;    /* it was said that connections cannot be counted */
	} drain;

	/* The phase that it is, and since when: CLOCK_MONOTONIC, and Unix time as it was then. */
	struct {
		enum phase is;
		uint64_t since_usec, since_sec;
	} phase;

	/* The binary that is to take our place. */
	struct {
		char program[PATH_MAX]; /* which it is: where we were executed from */
		int instance;           /* the lock; borrowed */
		unsigned ticket;        /* of who asked for it */
		/* of the one that is tried: its process, its output, the end of its time */
		sd_event_source *child, *timer, *go;
		int output;
	} reexec;

	struct reserve reserve;
	bool begun;              /* the children were started */
	bool told_unreserved;    /* which ports could not be reserved */
	bool stores;             /* there is a systemd that keeps descriptors */
	bool told_unstored;      /* that what is in will not outlive us */
	bool armed[TIMER_COUNT]; /* a timer that has not fired */
	uint64_t due_usec[TIMER_COUNT];
	/* when the loop was seen to run; when before the last pause; since when it had not then */
	uint64_t ran_usec, ran_before_usec, absent_usec;
	uint64_t alive_usec; /* when systemd was told that it does */
	char status[256];    /* the last STATUS= */
	char failure[1024];  /* what ended us, for systemd; "": nothing did */
	int exit_status;

	/* The real hands. */
	sd_event *event;
	sd_event_source *timer[TIMER_COUNT], *signal[3], *step, *envoy_exit;
	struct control *control;
	struct {
		struct file_watch *watch; /* NULL: DNS does not depend on it */
		char path[PATH_MAX];
	} resolv;
	struct netfilter_watch *rules_watch;
	struct firewalld_bus *firewalld;
	bool has_files; /* the work directory, or a part of it */
};

static inline struct situation *situation_of(struct daemon *d)
{
	return &d->carry.situation;
}

static inline struct proc *proc_of(struct daemon *d, enum child_id id)
{
	return &d->child[id].proc;
}

static inline bool child_lives(const struct daemon *d, enum child_id id)
{
	return d->carry.child[id].pid > 0;
}

static inline void daemon_arm(struct daemon *d, enum timer timer, uint64_t usec)
{
	d->armed[timer] = usec != USEC_NEVER;
	d->due_usec[timer] = usec;
	d->ops->arm(d, timer, usec);
}

/* The last that was read, whose children and times are wanted at once. */
static inline struct generation *latest_of(const struct daemon *d)
{
	return d->next ? d->next : d->current;
}

/* The hold time of the plan, as situation_probed() takes it. */
static inline uint64_t daemon_hold_usec(const struct daemon *d)
{
	int64_t nsec = latest_of(d)->plan.hold_nsec;

	return nsec == DURATION_INFINITY ? USEC_NEVER : (uint64_t)nsec / 1000;
}

/* kuma-dp has the time of a start, counted from then. */
static inline void daemon_give_time(struct daemon *d, uint64_t since_usec)
{
	situation_started(situation_of(d), PART_KUMA_DP, plan_readiness_usec(&latest_of(d)->plan),
			  since_usec);
}

/* The whole seconds until then, a part of one counted too; 0: it is over, or never comes. */
static inline uint64_t daemon_seconds_until(struct daemon *d, uint64_t usec)
{
	uint64_t now = d->ops->now(d);

	return usec == USEC_NEVER || usec <= now ? 0 : (usec - now + 999999) / 1000000;
}

/* update.c: the step. Only the event loop calls it, and a test in its place. */
void daemon_update(struct daemon *d);

/* setup.c: the parts of daemon_new() that a test needs too, in this order. The generation is taken;
 * children are added in the order of enum child_id, with ops NULL for real ones. */
void daemon_init(struct daemon *d, struct generation *generation, const struct daemon_ops *ops);
int daemon_add_child(struct daemon *d, const struct proc_ops *ops, struct error *err) _must_check_;
void daemon_start(struct daemon *d);

/* hands.c: the real ones, and their timers. What a timer that fired brings about. */
extern const struct daemon_ops daemon_system_ops;
int daemon_watch_envoy(struct daemon *d, int pidfd) _must_check_; /* takes it, unless it fails */
int daemon_make_timers(struct daemon *d, struct error *err) _must_check_;
void daemon_timer(struct daemon *d, enum timer timer);

/* apply.c: brings the kernel to what is wanted, where it is time to. */
void daemon_apply(struct daemon *d);

/* drift.c: somebody (NULL: nobody knows who) may have changed the rules; the part of the step that
 * looks whether it is so; what is in was just put in; how an apply makes it so. */
void daemon_disturbed(struct daemon *d, const char *whom);
void daemon_tables_changed(struct daemon *d, const char *whom); /* those of nf_tables */
void daemon_look(struct daemon *d);
void daemon_repaired(struct daemon *d);
struct netfilter_wish daemon_wish(const struct daemon *d, const struct generation *generation,
				  enum level level);

/* listen.c: connects drift.c with what tells of changes. What cannot be had is told and done without. */
void daemon_listen(struct daemon *d);
void daemon_listen_again(struct daemon *d);

/* say.c */
void say_phase(struct daemon *d);
void say_level(struct daemon *d, enum level before);

/* What a start waits for, and what has to happen before a proxy serves again, in words. */
void say_missing(const struct daemon *d, char *ret, size_t size);
void say_wait(const struct daemon *d, char *ret, size_t size);

/* Gives up: everything is undone, the exit status is 1. The sentence is logged, under a message id
 * where there is one (else NULL), and said to systemd once the step has seen to the rules. */
void daemon_fail(struct daemon *d, const char *id, const char *fmt, ...) _printf_(3, 4);

/* next.c: from one generation to the next. One that is taken waits until it can be adopted, in place
 * of one that waits already; the two others are parts of the step. */
void daemon_take(struct daemon *d, struct generation *next);
void daemon_adopt(struct daemon *d);
void daemon_renew_children(struct daemon *d);

/* The children are started again after the pauses of the latest. */
void daemon_set_pauses(struct daemon *d);

/* Whether the child that runs, or ran last, was started with that generation's command. */
bool daemon_child_is_of(const struct daemon *d, enum child_id id, const struct generation *g);

/* watch.c: a round of probes begins; what it reports; what it will say is of no use, for a process has
 * come or gone. */
void daemon_probe(struct daemon *d);
void daemon_probe_anew(struct daemon *d);
void daemon_probed(const struct probe_result *result, void *userdata);

/* control_plane.c: what a round has found about it; its refusal shows in what Envoy says; the proxy's
 * connection has gone with its process; the part of the step that keeps an Envoy still which was
 * refused: returns until when, USEC_NEVER: it need not be; whether nobody knows which process that is. */
void daemon_control_plane_probed(struct daemon *d, const struct probe_result *result);
void daemon_refused(void *userdata);
void daemon_disconnected(struct daemon *d);
uint64_t daemon_keep_envoy_still(struct daemon *d);
bool daemon_seeks_envoy(struct daemon *d);

/* Something happens that was due then: where it comes much too late, we were stopped or frozen. */
void daemon_was_due(struct daemon *d, uint64_t due_usec);

/* children.c: their lives and ends, Envoy's too; those that have had their time; a round of the sweep
 * of a session (0: of everything): returns the microseconds after which the next one is due, or 0
 * where none is left, or they would not end. */
extern const struct proc_owner daemon_owner;
void daemon_envoy_ended(struct daemon *d);
void daemon_give_up_overdue(struct daemon *d);
int daemon_sweep(struct daemon *d, pid_t session, int *rounds);

/* stop.c: asked to stop, once or again; the part of the step that ends things. */
void daemon_stop(struct daemon *d);
void daemon_advance_stop(struct daemon *d);

/* drain.c: kuma-dp was asked to end, for good or to be started again; its timer. */
void daemon_drain(struct daemon *d);
void daemon_drain_look(struct daemon *d);

/* How many seconds the drain may go on; 0 where it is being ended. */
uint64_t daemon_drain_sec(struct daemon *d);

/* confirm.c: the redirect is in, and is to be confirmed where that is set. A reload that is to be
 * confirmed within usec goes from the former generation to the next; it has come true, or has had its
 * time; the part of the step that goes back. How many seconds are left to confirm, 0: none, or nothing
 * is waited for. The answer to the request, and the part of the status. */
void daemon_ask_confirmation(struct daemon *d);
void daemon_guard_reload(struct daemon *d, struct generation *former, uint64_t usec);
void daemon_reload_ended(struct daemon *d);
void daemon_confirm_look(struct daemon *d);
uint64_t daemon_confirm_sec(struct daemon *d);
json_t *confirm_answer(struct daemon *d);
json_t *confirm_status(struct daemon *d);

/* token.c: the part of the step; makes the watch on the file, in place of a former one; what was read
 * there (NULL: nothing), which becomes known once soon; its part of the status. */
void daemon_token_look(struct daemon *d);
int daemon_watch_token(struct daemon *d, struct error *err) _must_check_;
void daemon_token_read(struct daemon *d, const char *text);
void daemon_look_at_token(struct daemon *d);
json_t *token_status(struct daemon *d);

/* resolv.c: watches the file where the rules depend on it, or another one than before. */
int daemon_watch_resolv(struct daemon *d, struct error *err) _must_check_;
void daemon_resolv_changed(void *userdata);

/* reload.c */
enum reload_kind {
	RELOAD_DRY,     /* says what would happen */
	RELOAD_ASKED,   /* somebody waits for the outcome */
	RELOAD_GUARDED, /* and will confirm it, whatever is set */
	RELOAD_SIGNAL,  /* nobody does */
};

/* Reads the configuration again. Returns whether the answer comes later, by ops->reply(); else
 * *ret is it (owned by the caller; NULL where memory is exhausted). */
bool daemon_reload(struct daemon *d, enum reload_kind kind, json_t **ret);

/* The part of the step that tells the outcome; nothing while none is awaited. */
void daemon_reload_look(struct daemon *d);

/* status.c: a control_answer_t, for status, reload, confirm and log-level. userdata is the daemon. */
json_t *status_answer(const char *request, const char *argument, void *userdata);
