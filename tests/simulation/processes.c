/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * kuma-dp with its Envoy (and its coredns, where the daemon has none of its own), the daemon's coredns,
 * and what they leave behind. By what was seen of the real ones: kuma-dp sleeps its drain time after a
 * SIGTERM, a second one ends that; it follows its Envoy, mostly soon; the control plane refuses a node
 * that has just left for 10 s, and Envoy's next tries are ever later.
 */

#include <stdlib.h>

#include "tests/simulation/world.h"

#define REFUSED_USEC (10 * SECOND)
#define ROUND_USEC   SECOND /* the longest that a round of probes takes */

static const char *const names[] = { "kuma-dp", "coredns", "Envoy" };

const char *process_name(enum process_id id)
{
	return id < P_ORPHAN ? names[id] : "an orphan";
}

/* When it reaches the control plane: tries whose pauses double, up to half a minute. */
static void envoy_connects(struct world *w, struct process *envoy)
{
	uint64_t at = w->now + 50 * MSEC + some_time(w, 800 * MSEC);

	w->due[SLOT_REFUSED] = at < w->refuses_until ? at : USEC_NEVER;
	for (unsigned n = 0; at < w->refuses_until || at < w->plane_down_until; n++)
		at += MSEC + below(w, (uint32_t)(n < 6 ? 500 * MSEC << n : 30 * SECOND));
	envoy->serves_usec = at + some_time(w, 200 * MSEC);
}

pid_t process_start(struct world *w, enum process_id id)
{
	struct process *p = &w->process[id], *envoy = &w->process[P_ENVOY];

	*p = (struct process){ .pid = ++w->last_pid };
	p->session = p->pid;
	/* A few do not get anywhere. */
	p->serves_usec = chance(w, 3) ? USEC_NEVER : w->now + some_time(w, 500 * MSEC);
	tell(w, "%s is started (%d)", process_name(id), (int)p->pid);
	if (id != P_KUMA_DP)
		return p->pid;
	*envoy = (struct process){ .pid = ++w->last_pid, .session = p->pid, .envoy = true };
	envoy_connects(w, envoy);
	if (p->serves_usec == USEC_NEVER)
		envoy->serves_usec = USEC_NEVER;
	return p->pid;
}

void process_end(struct world *w, enum process_id id, uint64_t after_usec)
{
	uint64_t *due = &w->due[SLOT_ENDS + id];

	if (w->now + after_usec < *due)
		*due = w->now + after_usec;
}

void plane_returns(struct world *w)
{
	struct process *envoy = &w->process[P_ENVOY];

	if (envoy->pid && envoy->serves_usec > w->now && envoy->serves_usec != USEC_NEVER)
		envoy_connects(w, envoy);
}

/* Its kuma-dp has ended without it. */
static void envoy_orphaned(struct world *w, bool asked)
{
	struct process *envoy = &w->process[P_ENVOY];
	size_t i = P_ORPHAN;

	if (!envoy->pid)
		return;
	while (i < P_COUNT && w->process[i].pid)
		i++;
	if (i == P_COUNT || (!envoy->stopped && chance(w, asked ? 95 : 50))) {
		w->due[SLOT_ENDS + P_ENVOY] = USEC_NEVER;
		process_ended(w, P_ENVOY);
		return;
	}
	tell(w, "Envoy (%d) stays behind", (int)envoy->pid);
	w->process[i] = *envoy;
	w->due[SLOT_ENDS + i] = w->due[SLOT_ENDS + P_ENVOY];
	w->due[SLOT_ENDS + P_ENVOY] = USEC_NEVER;
	*envoy = (struct process){ 0 };
	if (chance(w, 30))
		process_end(w, (enum process_id)i, some_time(w, SECOND));
}

static void child_told(struct world *w, enum process_id id, const struct process *was)
{
	siginfo_t *si = &w->exits[id];

	*si = (siginfo_t){ .si_signo = SIGCHLD };
	si->si_pid = was->pid;
	si->si_code = was->killed ? CLD_KILLED : CLD_EXITED;
	si->si_status = was->killed ? SIGKILL : (int)below(w, 2);
	w->due[SLOT_TOLD + id] = w->now;
}

void process_ended(struct world *w, enum process_id id)
{
	struct process was = w->process[id];

	if (!was.pid)
		return;
	tell(w, "%s (%d) ends", process_name(id), (int)was.pid);
	w->process[id] = (struct process){ 0 };
	w->due[SLOT_ENDS + id] = USEC_NEVER;
	if (id == P_ENVOY)
		w->due[SLOT_REFUSED] = USEC_NEVER;
	if (was.pid == w->watched) {
		w->watched = 0;
		w->due[SLOT_ENVOY_TOLD] = w->now;
	}
	if (id < P_ENVOY && w->alive)
		child_told(w, id, &was);
	if ((id == P_KUMA_DP || was.envoy) && was.terms == 0 && w->setup.refuses)
		w->refuses_until = w->now + REFUSED_USEC;
	if (id == P_KUMA_DP)
		envoy_orphaned(w, was.terms > 0 && !was.killed);
	/* One in ten does not follow by itself. */
	else if (id == P_ENVOY && w->process[P_KUMA_DP].pid && !w->process[P_KUMA_DP].stopped &&
		 chance(w, 90))
		process_end(w, P_KUMA_DP, some_time(w, chance(w, 80) ? 300 * MSEC : 5 * SECOND));
}

void process_hears(struct world *w, enum process_id id)
{
	struct process *p = &w->process[id];

	if (p->stopped || p->deaf)
		return;
	if (id == P_KUMA_DP && p->terms == 1)
		process_end(w, id, w->setup.drain_usec + some_time(w, 300 * MSEC));
	else
		process_end(w, id, some_time(w, id == P_KUMA_DP ? 500 * MSEC : 2 * SECOND));
}

void process_signal(struct world *w, enum process_id id, int sig)
{
	struct process *p = &w->process[id];

	tell(w, "%s (%d) gets SIG%s", process_name(id), (int)p->pid, sigabbrev_np(sig));
	if (sig == SIGKILL) {
		p->killed = true;
		process_end(w, id, some_time(w, chance(w, 95) ? 5 * MSEC : SECOND));
	} else if (sig == SIGCONT) {
		p->stopped = false;
		if (p->terms)
			process_hears(w, id);
	} else if (sig == SIGSTOP) {
		p->stopped = true;
		if (!p->killed)
			w->due[SLOT_ENDS + id] = USEC_NEVER;
	} else {
		p->terms++;
		process_hears(w, id);
	}
}

/* Few of them are long in a system call, and even fewer longer than the sweep. */
int processes_sweep(struct world *w, pid_t session)
{
	int n = 0;

	for (size_t i = session ? P_ORPHAN : 0; i < P_COUNT; i++) {
		struct process *p = &w->process[i];

		if (!p->pid || (session && p->session != session))
			continue;
		n++;
		if (p->killed)
			continue;
		p->killed = true;
		process_end(w, (enum process_id)i,
			    some_time(w, chance(w, 85)   ? 5 * MSEC
					 : chance(w, 80) ? SECOND
							 : 5 * SECOND));
	}
	if (n)
		tell(w, "a round of the sweep finds %d", n);
	return n;
}

static bool answers(const struct process *p)
{
	return p->pid && !p->stopped && !p->mute;
}

static bool works(const struct world *w, const struct process *p)
{
	return answers(p) && w->now >= p->serves_usec;
}

/* Which Envoy has the ports: that of kuma-dp, or one that stayed behind. */
static const struct process *envoy_of(const struct world *w)
{
	for (size_t i = P_ENVOY; i < P_COUNT; i++)
		if (w->process[i].pid && w->process[i].envoy)
			return &w->process[i];
	return NULL;
}

/* What was asked to end, to be started again, counts as long as it listens. */
bool proxy_is_renewed(const struct world *w)
{
	const struct process *envoy = &w->process[P_ENVOY];

	return w->process[P_KUMA_DP].renewed && envoy->pid && w->now >= envoy->serves_usec;
}

bool proxy_serves_truly(const struct world *w)
{
	for (size_t i = P_ENVOY; i < P_COUNT; i++)
		if (w->process[i].envoy && works(w, &w->process[i]))
			return true;
	return false;
}

static bool core_dns_answers(const struct world *w)
{
	const struct process *p = &w->process[w->setup.core_dns ? P_CORE_DNS : P_KUMA_DP];

	/* kuma-dp's coredns is a process of its own: it goes on where kuma-dp is stopped. */
	return p->pid && w->now >= p->serves_usec && w->now >= w->dns_down_until &&
	       (!w->setup.core_dns || works(w, p));
}

bool dns_answers_truly(const struct world *w)
{
	return core_dns_answers(w) && proxy_serves_truly(w);
}

static bool lost(struct world *w)
{
	if (w->now >= w->lost_until || chance(w, 50))
		return false;
	w->memory.doubt_usec = w->now;
	return true;
}

static void sample(struct world *w)
{
	const struct process *envoy = envoy_of(w), *kuma_dp = &w->process[P_KUMA_DP];
	struct probe_result *a = &w->answers;

	*a = (struct probe_result){ .missing = "", .kuma_dp = true };
	if (envoy) {
		/* It says that it is ready without listeners, too; and not from the first SIGTERM on. */
		a->alive = answers(envoy) && !lost(w);
		a->admin = a->alive && kuma_dp->terms == 0;
		a->envoy = a->alive ? envoy->pid : 0;
		a->listeners = w->now >= envoy->serves_usec;
	}
	if (w->plane_asked && a->admin)
		a->control_plane = a->listeners && w->now >= w->plane_down_until
					   ? CONTROL_PLANE_CONNECTED
					   : CONTROL_PLANE_LOST;
	a->kuma_dp = answers(kuma_dp) && !lost(w);
	a->core_dns = !w->dns_asked || (core_dns_answers(w) && !lost(w));
	a->dns = !w->dns_asked || (a->core_dns && dns_answers_truly(w) && a->listeners);
	if (!a->admin || !a->listeners || !a->dns || !a->kuma_dp)
		(void)snprintf(a->missing, sizeof(a->missing), "something");
	w->sampled_usec = w->now;
}

void probe_begins(struct world *w, uint64_t lazy_usec)
{
	uint64_t usec = 200 + some_time(w, 10 * MSEC);
	bool slow = false;

	w->probing = true;
	w->memory.stale = false;
	w->memory.vague = w->now == w->memory.gap_usec;
	if (w->now < w->late_until) {
		usec = some_time(w, ROUND_USEC);
		w->memory.doubt_usec = w->now;
	}
	for (size_t i = 0; i < P_ORPHAN; i++)
		slow |= w->process[i].stopped || w->process[i].mute;
	if (slow || w->now < w->lost_until || w->now < w->dns_down_until)
		usec = ROUND_USEC;
	if (lazy_usec)
		usec = lazy_usec;
	w->sample_late = chance(w, 50);
	if (!w->sample_late)
		sample(w);
	w->due[SLOT_PROBED] = w->now + usec;
}

void probe_ends(struct world *w)
{
	const struct probe_result *a = &w->answers;

	if (w->sample_late)
		sample(w);
	w->probing = false;
	w->memory.wakeups++;
	tell(w, "a round ends: admin %d, listeners %d, dns %d, coredns %d (as of %+.3f s)",
	     a->admin, a->listeners, a->dns, a->core_dns,
	     ((double)w->sampled_usec - (double)w->now) / 1000000);
	w->memory.discarded += w->memory.stale || w->memory.vague;
	if (!w->memory.stale && w->d.carry.child[CHILD_KUMA_DP].pid &&
	    (a->admin || (a->alive && w->process[P_KUMA_DP].terms)) && a->listeners) {
		w->memory.good_usec = w->sampled_usec;
		if (a->dns)
			w->memory.whole_usec = w->sampled_usec;
		if (a->dns && a->admin && a->kuma_dp && !w->memory.vague)
			w->memory.certain_usec = w->sampled_usec;
	}
	daemon_probed(a, &w->d);
}
