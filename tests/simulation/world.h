/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A world for the daemon's loop: processes that live and die, a kernel that holds rules, others who
 * edit them, a control plane, an operator, and time. It stands where the daemon's hands are
 * (daemon/loop/state.h: daemon_ops, proc_ops, the backend) and knows nothing of how the loop decides.
 *
 * Everything that will happen is a slot with a time. Time goes from one to the next; what is due at
 * once is delivered in the order of the event loop's priorities, and then the step runs.
 *
 *   simulation.c  histories, one after the other; what is printed
 *   events.c      what happens by chance
 *   time.c        slots: what is due, and its delivery
 *   processes.c   kuma-dp, Envoy, coredns, what they leave; the control plane; probes
 *   kernel.c      the backend: rules, the lock, others; the ::6 address and the record
 *   generations.c what a configuration leads to
 *   daemon.c      one life of the daemon after the other
 *   status.c      the operator asks for the status
 *   oracle.c, oracle_deeds.c  what has to be true, from the design's sentences
 */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/loop/state.h"

#define MSEC   ((uint64_t)1000)
#define SECOND ((uint64_t)1000000)

enum process_id {
	P_KUMA_DP = CHILD_KUMA_DP,
	P_CORE_DNS = CHILD_CORE_DNS, /* the daemon's own */
	P_ENVOY,
	P_ORPHAN, /* and those behind it: Envoys and others whose kuma-dp has ended */
	P_COUNT = P_ORPHAN + 4,
};

/* Times of what is going to happen: first what happens whether the daemon runs or not, then what it
 * is told, in the order of priorities. */
enum slot {
	SLOT_ENDS,
	SLOT_TOLD = SLOT_ENDS + P_COUNT,
	SLOT_SIGNAL = SLOT_TOLD + CHILD_COUNT,
	SLOT_TIMER,
	SLOT_PROC_TIMER = SLOT_TIMER + TIMER_COUNT,
	SLOT_PROBED = SLOT_PROC_TIMER + CHILD_COUNT,
	SLOT_ENVOY_TOLD,
	SLOT_REFUSED, /* Envoy says so */
	SLOT_EDIT_TOLD,
	SLOT_TABLES_TOLD,
	SLOT_COUNT,
};

struct process {
	pid_t pid; /* 0: none */
	pid_t session;
	bool envoy;   /* it is one */
	bool stopped; /* SIGSTOP: it hears nothing but SIGKILL */
	bool mute;    /* it loops: it answers nothing */
	bool deaf;    /* and hears no SIGTERM */
	bool renewed; /* it was asked to end so that another command comes in its place */
	unsigned terms;
	bool killed;
	uint64_t serves_usec; /* from when on; USEC_NEVER: not yet known */
	unsigned command;     /* with which it was started */
};

enum edit {
	EDIT_NONE,
	EDIT_GONE, /* all of ours: nothing is redirected */
	EDIT_SOME, /* a rule of ours is another: the rest redirects */
};

enum failing {
	REFUSE_BEFORE, /* an apply fails and has changed nothing */
	REFUSE_AFTER,  /* it fails and has done everything */
	REFUSE_EITHER, /* one or the other */
};

struct kernel {
	enum level level; /* what we have put in; see edit */
	unsigned rules;   /* whose */
	enum edit edit;
	uint64_t sizes;
	uint64_t busy_until, fails_until, blind_until; /* the lock; applies; looks */
	enum failing refusal;
	bool leftovers;     /* of kumactl, in nf_tables */
	bool address;       /* ::6 */
	bool address_known; /* to the record on disk */
};

/* Since when something is true without a break. Time in which the daemon did not run does not count. */
struct span {
	bool on;
	uint64_t since_usec, stalled_usec;
	unsigned discarded;
};

struct setup {
	bool core_dns; /* one of our own */
	bool dns;      /* is redirected where there are servers */
	bool v6;
	bool refuses;       /* the control plane: a node that has just left, for 10 s */
	uint64_t hold_usec; /* USEC_NEVER: infinite */
	uint64_t drain_usec, readiness_usec, interval_usec, confirm_usec, delay_usec,
		max_delay_usec;
	/* What differs has another number; that of rules is odd where they redirect DNS. */
	unsigned rules, command[CHILD_COUNT], uid;
};

/* What the oracle remembers. */
struct memory {
	struct span down;     /* nothing of ours serves at the redirect ports */
	struct span known;    /* and the daemon was told of the end of a process that did */
	struct span dns_down; /* a DNS query gets no answer */
	struct span well;     /* nothing is wrong at all */
	struct span up;       /* something serves, and kuma-dp lives */
	struct span edited;   /* others have changed the rules */
	struct span expired;  /* the time to confirm the redirect */
	struct span lies;     /* and the daemon says that it redirects */
	struct span doubled;  /* there is a redirect of kumactl's in nf_tables */
	struct span stopping;
	struct span hurried;              /* by a second request */
	struct span unhindered;           /* since then, by a lock or by a kernel that refuses */
	struct span missing[CHILD_COUNT]; /* no process, and none was tried to start */
	struct span useless[CHILD_COUNT]; /* a process that does not do its work */
	struct span asked;                /* a reload, whose answer is awaited */
	struct span idle;                 /* well, said so, and not disturbed */
	unsigned wakeups;                 /* timers and ends of rounds in that time */
	uint64_t good_usec;    /* when the last answers were given that said: the proxy serves, */
	uint64_t whole_usec;   /* and DNS answers */
	uint64_t certain_usec; /* the same, where nobody can doubt it */
	uint64_t trouble_usec; /* when an apply last failed or found the rules busy */
	uint64_t doubt_usec;   /* when answers were last lost, or late */
	uint64_t unasked_usec; /* when a round last could not begin */
	uint64_t reached_usec; /* when FULL was reached first */
	bool stale;            /* the round under way has begun before a process ended */
	bool released;         /* what is in was to go, and nothing was put in since */
	bool vague;            /* and the daemon did not run meanwhile: who knows when they came */
	uint64_t gap_usec;     /* when it ran again */
	unsigned discarded;    /* such rounds, of which nothing can be concluded */
	bool unswept;          /* a sweep has failed */
	bool drains;           /* since the stop something has kept kuma-dp */
	bool keeps;            /* and what a second request does not end */
	unsigned generation;
	bool reached; /* FULL, in this life of the daemon */
	bool confirmed;
};

struct world {
	struct daemon d;            /* first: see world_of() */
	struct setup setup;         /* that was taken last */
	struct setup bounds;        /* the longest times of this life of the daemon */
	struct setup read;          /* by the next reload */
	bool invalid;               /* it is */
	uint64_t now, stalled_usec; /* in all */
	int64_t wall_offset_sec;
	uint64_t due[SLOT_COUNT];
	uint64_t random;
	bool woken, ended, alive; /* the daemon */
	int status;               /* of its end */
	siginfo_t exits[CHILD_COUNT];
	struct process process[P_COUNT];
	pid_t last_pid, watched;
	struct kernel kernel;
	struct memory memory;
	struct probe_result answers; /* of the round under way */
	uint64_t sampled_usec;       /* when they were given */
	bool probing, sample_late, dns_asked, plane_asked;
	uint64_t lost_until, late_until, unasked_until; /* answers; rounds that cannot start */
	uint64_t spawn_fails_until, files_fail_until, disk_fails_until, uncountable_until;
	uint64_t refuses_until, plane_down_until, dns_down_until;
	size_t connections;
	bool reserved;
	unsigned last_number, taken;
	bool trace;
	uint64_t steps, *counts; /* how often each event happened */
	unsigned phases;         /* a bit each: those that were said */
};

/* The world there is: for hands that are not told whose they are. */
extern struct world *the_world;

static inline struct world *world_of(struct daemon *d)
{
	return (struct world *)d;
}

/* Chance: numbers from 0 to n - 1; true in so many of a hundred cases; a time between 0 and max, as
 * often short as long. */
uint32_t below(struct world *w, uint32_t n);
bool chance(struct world *w, uint32_t percent);
uint64_t some_time(struct world *w, uint64_t max_usec);

/* A line of the story, where it is told. */
void tell(struct world *w, const char *fmt, ...) _printf_(2, 3);
/* Something is true that must not be: the end of this history. */
_Noreturn void fail(struct world *w, const char *fmt, ...) _printf_(2, 3);

/* time.c: lets it pass; the daemon does not run meanwhile; everything stands still but the clock. */
void pass(struct world *w, uint64_t usec);
void stall(struct world *w, uint64_t usec);
void freeze(struct world *w, uint64_t usec);

/* processes.c */
pid_t process_start(struct world *w, enum process_id id);
void process_end(struct world *w, enum process_id id, uint64_t after_usec);
void process_signal(struct world *w, enum process_id id, int sig);
void process_hears(struct world *w, enum process_id id); /* the SIGTERMs that it has got */
void process_ended(struct world *w, enum process_id id);
int processes_sweep(struct world *w, pid_t session);
bool proxy_is_renewed(const struct world *w);
bool proxy_serves_truly(const struct world *w);
bool dns_answers_truly(const struct world *w);
void plane_returns(struct world *w);
void probe_begins(struct world *w, uint64_t lazy_usec); /* 0: it ends with the last answer */
void probe_ends(struct world *w);
const char *process_name(enum process_id id);

/* kernel.c */
extern const struct netfilter_backend model_backend;
bool kernel_redirects(const struct world *w);

/* daemon.c */
void daemon_born(struct world *w);
void daemon_dies(struct world *w); /* by SIGKILL */
void daemon_buried(struct world *w);
void daemon_replaced(struct world *w); /* by itself, as an upgrade does */
void daemon_steps(struct world *w);

/* generations.c: makes one; what a reload reads; rules and their numbers. */
struct generation *generation_made(struct world *w, const struct setup *setup);
int generation_read(struct world *w, struct generation **ret, struct error *err);
unsigned generations_in_use(void);
unsigned rules_number(const struct ruleset *rules);
unsigned rules_next(struct world *w, bool dns);
void generation_taken(struct world *w); /* looks whether another is wanted */

/* events.c */
extern const size_t n_events;
const char *event_name(size_t event);
void event_happens(struct world *w);

/* oracle.c: before and after each step; an apply, a start and a signal that the daemon asks for. */
void span_is(struct world *w, struct span *span, bool on);
void oracle_notes(struct world *w);
void oracle_time(struct world *w);
void oracle_words(struct world *w);
void oracle_apply(struct world *w, enum level level);
void oracle_applied(struct world *w, enum level level);
void oracle_start(struct world *w, enum process_id id);
void oracle_signal(struct world *w, enum process_id id, int sig);
void oracle_told(struct world *w, bool proxy);
void oracle_born(struct world *w);
void oracle_reloaded(struct world *w);
void oracle_replied(struct world *w, bool ok, bool note);
void oracle_end(struct world *w);
void oracle_status(struct world *w); /* status.c: asks, and holds it against what there is */
