/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What a successor of this daemon has to know, besides what its descriptors are and what its generations
 * were made of. Times are those of CLOCK_MONOTONIC, which goes on. Left out is what is found out anew:
 * the round of probes under way, when the loop was woken, and what others have done to the rules in
 * the meantime.
 */

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "daemon/loop/reexec.h"
#include "daemon/loop/state.h"
#include "daemon/operator/log.h"
#include "daemon/os/crossing.h"

#define NUMBER(name, field, max) HANDOVER_NUMBER(name, daemon, field, max)
#define FLAG(name, field)        NUMBER(name, field, 1)
#define COUNT(name, field)       NUMBER(name, field, INT_MAX)
#define USEC(name, field)        NUMBER(name, field, UINT64_MAX)
#define TEXT(name, field)        HANDOVER_TEXT(name, daemon, field)
#define REPAIRS(name, field)                                                     \
	COUNT(name ".count", field.n), USEC(name ".last-usec", field.last_usec), \
		USEC(name ".bout-1-usec", field.bout_usec[0]),                   \
		USEC(name ".bout-2-usec", field.bout_usec[1]),                   \
		USEC(name ".bout-3-usec", field.bout_usec[2]),                   \
		USEC(name ".bout-4-usec", field.bout_usec[3]),                   \
		USEC(name ".bout-5-usec", field.bout_usec[4]),                   \
		USEC(name ".pause-usec", field.pause_usec)
#define TIMER(name, timer) \
	FLAG("timer." name ".armed", armed[timer]), USEC("timer." name ".due-usec", due_usec[timer])

_Static_assert(REPAIR_BOUTS == 5, "the bouts of repairs have a line each");
_Static_assert(TIMER_COUNT == 10, "each timer has its lines");

/* clang-format off */
static const struct handover_fact facts[] = {
	COUNT("probe.misses",             probe.misses),
	NUMBER("probe.rounds",            probe.rounds, UINT_MAX),
	COUNT("probe.envoy",              probe.envoy),
	FLAG("probe.admin",               probe.last.admin),
	FLAG("probe.alive", probe.last.alive),
	FLAG("probe.listeners",           probe.last.listeners),
	FLAG("probe.dns",                 probe.last.dns),
	FLAG("probe.core-dns",            probe.last.core_dns),
	FLAG("probe.kuma-dp",             probe.last.kuma_dp),
	NUMBER("probe.control-plane",     probe.last.control_plane, CONTROL_PLANE_LOST),
	TEXT("probe.missing",             probe.last.missing),
	USEC("confirm.usec",              confirm.usec),
	USEC("confirm.until-usec",        confirm.until_usec),
	USEC("token.expires-sec",         token.expires_sec),
	NUMBER("token.told",              token.told, TOKEN_EXPIRED),
	FLAG("token.replaced",            token.replaced),
	NUMBER("control-plane.state",     control_plane.state, CONTROL_PLANE_LOST),
	USEC("control-plane.since-usec",  control_plane.since_usec),
	USEC("refusal.crash-usec",        control_plane.refusal.crash_usec),
	USEC("refusal.start-usec",        control_plane.refusal.start_usec),
	FLAG("refusal.started",           control_plane.refusal.started),
	FLAG("refusal.waits",             control_plane.refusal.waits),
	FLAG("refusal.still",             control_plane.still),
	USEC("trouble.since-usec",        trouble.since_usec),
	USEC("trouble.again-usec",        trouble.again_usec),
	NUMBER("trouble.wanted",          trouble.wanted, LEVEL_UNKNOWN),
	FLAG("trouble.busy",              trouble.busy),
	USEC("trouble.told-usec",         trouble.told_usec),
	TEXT("trouble.why",               trouble.why),
	REPAIRS("repairs",                drift.repairs),
	REPAIRS("takeovers",              drift.takeovers),
	FLAG("drift.suspected",           drift.suspected),
	FLAG("drift.blind",               drift.blind),
	USEC("drift.look-usec",           drift.look_usec),
	USEC("drift.idle-usec",           drift.idle_usec),
	USEC("drift.sizes-usec",          drift.sizes_usec),
	USEC("drift.sizes",               drift.sizes),
	USEC("drift.since-usec",          drift.since_usec),
	TEXT("drift.found",               drift.found),
	TEXT("drift.whom",                drift.whom),
	FLAG("drift.tables",              drift.tables),
	TEXT("drift.writer",              drift.writer),
	USEC("drift.tables-usec",         drift.tables_usec),
	FLAG("drift.told-foreign",        drift.told_foreign),
	FLAG("drift.told-ipv6",           drift.told_ipv6),
	FLAG("stop.told",                 stop.told),
	FLAG("stop.asked",                stop.asked),
	FLAG("stop.again",                stop.again),
	USEC("stop.late-usec",            stop.late_usec),
	COUNT("stop.sweeps",              stop.sweeps),
	USEC("stop.sweep-usec",           stop.sweep_usec),
	FLAG("stop.ended",                stop.ended),
	COUNT("drain.idle",               drain.idle),
	FLAG("drain.blind",               drain.blind),
	NUMBER("phase.is",                phase.is, PHASE_COUNT),
	USEC("phase.since-usec",          phase.since_usec),
	USEC("phase.since-sec",           phase.since_sec),
	NUMBER("reload.needs",            reload.needs, UINT_MAX),
	NUMBER("reload.generation",       reload.generation, UINT_MAX),
	USEC("reload.until-usec",         reload.until_usec),
	FLAG("reload.asked",              reload.asked),
	NUMBER("reload.ticket",           reload.ticket, UINT_MAX),
	FLAG("begun",                     begun),
	FLAG("told-unreserved",           told_unreserved),
	FLAG("told-unstored",             told_unstored),
	TIMER("probe",                    TIMER_PROBE),
	TIMER("deadline",                 TIMER_DEADLINE),
	TIMER("retry",                    TIMER_RETRY),
	TIMER("drain",                    TIMER_DRAIN),
	TIMER("coredns",                  TIMER_CORE_DNS),
	TIMER("sweep",                    TIMER_SWEEP),
	TIMER("drift",                    TIMER_DRIFT),
	TIMER("tables",                   TIMER_TABLES),
	TIMER("reload",                   TIMER_RELOAD),
	TIMER("confirm",                  TIMER_CONFIRM),
	USEC("ran-usec",                  ran_usec),
	USEC("ran-before-usec",           ran_before_usec),
	USEC("absent-usec",               absent_usec),
	USEC("alive-usec",                alive_usec),
	TEXT("status",                    status),
	TEXT("failure",                   failure),
	NUMBER("exit-status",             exit_status, 255),
	TEXT("kuma-dp.why",               child[CHILD_KUMA_DP].why),
	COUNT("kuma-dp.sweeps",           child[CHILD_KUMA_DP].sweeps),
	TEXT("coredns.why",               child[CHILD_CORE_DNS].why),
	COUNT("coredns.sweeps",           child[CHILD_CORE_DNS].sweeps),
};
/* clang-format on */

static const struct handover_table table = { facts, ELEMENTS(facts) };

static const char *const prefixes[CHILD_COUNT] = { "kuma-dp.", "coredns." };

static unsigned number_of(const struct generation *generation)
{
	return generation ? generation->number : 0;
}

static void add_answer(const struct daemon *d, struct strbuf *out)
{
	_free_ char *text = d->reload.answer ? json_dumps(d->reload.answer, JSON_COMPACT) : NULL;

	if (text)
		handover_add_text(out, "", "reload.answer", text);
	out->failed |= d->reload.answer && !text;
}

void daemon_add_facts(const struct daemon *d, struct strbuf *out)
{
	carry_print(&d->carry, out);
	handover_add_facts(out, "", &table, d);
	for (size_t i = 0; i < d->n_children && i < CHILD_COUNT; i++)
		proc_add_facts(&d->child[i].proc, prefixes[i], out);
	add_answer(d, out);
	handover_add_number(out, "", "log-level", log_get_level());
	handover_add_number(out, "roles.", "current", number_of(d->current));
	handover_add_number(out, "roles.", "applied", number_of(d->applied));
	handover_add_number(out, "roles.", "next", number_of(d->next));
	handover_add_number(out, "roles.", "former", number_of(d->confirm.former));
}

static int take_answer(struct daemon *d, struct handover *handover, struct error *err)
{
	const char *text = handover_take_text(handover, "", "reload.answer");

	d->reload.answer = text ? json_loads(text, 0, NULL) : NULL;
	if (!json_is_object(d->reload.answer) && (text || d->reload.generation))
		return error_set(err, -EBADMSG, "the state has no answer for the reload");
	return 0;
}

int daemon_take_facts(struct daemon *d, struct handover *handover, struct error *err)
{
	uint64_t level;
	int r = carry_take(handover, &d->carry, err);

	if (r == 0)
		r = handover_take_facts(handover, "", &table, d, err);
	for (size_t i = 0; r == 0 && i < d->n_children && i < CHILD_COUNT; i++)
		r = proc_take_facts(&d->child[i].proc, prefixes[i], handover, err);
	if (r == 0)
		r = take_answer(d, handover, err);
	if (r < 0)
		return r;
	if (handover_take_number(handover, "", "log-level", LOG_LEVEL_DEBUG, &level) < 0)
		return error_set(err, -EBADMSG, "the state lacks log-level");
	log_set_level((enum log_level)level);
	return 0;
}

static int take_role(struct handover *handover, const char *name, unsigned *ret, struct error *err)
{
	uint64_t number;

	if (handover_take_number(handover, "roles.", name, UINT_MAX, &number) < 0)
		return error_set(err, -EBADMSG, "the state lacks roles.%s", name);
	*ret = (unsigned)number;
	return 0;
}

int daemon_take_roles(struct handover *handover, struct roles *ret, struct error *err)
{
	int r = take_role(handover, "current", &ret->current, err);

	if (r == 0)
		r = take_role(handover, "applied", &ret->applied, err);
	if (r == 0)
		r = take_role(handover, "next", &ret->next, err);
	if (r == 0)
		r = take_role(handover, "former", &ret->former, err);
	return r;
}

/* A round of probes that was under way is lost: another one takes its place. */
static void probe_again(struct daemon *d)
{
	if (d->begun && situation_of(d)->wish == WISH_RUN && !d->armed[TIMER_PROBE])
		daemon_probe(d);
}

int daemon_resume(struct daemon *d, struct error *err)
{
	int r = 0;

	daemon_set_pauses(d);
	situation_of(d)->now_usec = d->ops->now(d);
	for (size_t i = 0; r == 0 && i < d->n_children; i++)
		r = proc_resume(&d->child[i].proc, err);
	for (enum timer timer = 0; r == 0 && timer < TIMER_COUNT; timer++)
		if (d->armed[timer])
			daemon_arm(d, timer, d->due_usec[timer]);
	if (r == 0)
		probe_again(d);
	return r;
}

static void add_generations(const struct daemon *d, struct strbuf *out)
{
	const struct generation *const all[GENERATIONS_MAX] = { d->current, d->applied, d->next,
								d->confirm.former };
	char prefix[24];
	unsigned n = 0;

	for (size_t i = 0; i < ELEMENTS(all); i++) {
		size_t before = 0;

		while (before < i && all[before] != all[i])
			before++;
		if (!all[i] || before < i)
			continue;
		(void)snprintf(prefix, sizeof(prefix), "generation-%u.", n++);
		generation_add_inputs(all[i], prefix, out);
	}
	handover_add_number(out, "", "generations", n);
}

static void add_descriptors(const struct daemon *d, struct strbuf *out)
{
	char name[24];

	crossing_add_fd(out, "", "instance", d->reexec.instance);
	/* The tables of nf_tables go with it. */
	if (d->redirect.channel.fd >= 0)
		crossing_add_fd(out, "", "nftables", d->redirect.channel.fd);
	control_add_facts(d->control, out);
	if (d->child[CHILD_KUMA_DP].relay)
		relay_add_facts(d->child[CHILD_KUMA_DP].relay, RELAY_KUMA_DP, out);
	if (d->child[CHILD_CORE_DNS].relay)
		relay_add_facts(d->child[CHILD_CORE_DNS].relay, RELAY_CORE_DNS, out);
	if (d->probe.envoy && d->envoy_exit)
		crossing_add_fd(out, "", "envoy", sd_event_source_get_io_fd(d->envoy_exit));
	handover_add_number(out, "reserved.", "count", d->reserve.n);
	for (size_t i = 0; i < d->reserve.n; i++) {
		(void)snprintf(name, sizeof(name), "%zu", i);
		crossing_add_fd(out, "reserved.", name, d->reserve.items[i].fd);
	}
}

void daemon_add_handover(const struct daemon *d, struct strbuf *out)
{
	handover_begin(out);
	handover_add_text(out, "", "version", TPROXYD_VERSION);
	handover_add_number(out, "", "asked", d->reexec.ticket);
	daemon_add_facts(d, out);
	add_generations(d, out);
	add_descriptors(d, out);
	handover_end(out);
}
