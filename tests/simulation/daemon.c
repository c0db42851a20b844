/* SPDX-License-Identifier: GPL-2.0-or-later */

/* One life of the daemon after the other, as a service manager starts it; and its hands. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/loop/reexec.h"
#include "tests/simulation/world.h"

struct world *the_world;

static uint64_t hand_now(struct daemon *d)
{
	return world_of(d)->now;
}

static void hand_wake(struct daemon *d)
{
	world_of(d)->woken = true;
}

static void hand_arm(struct daemon *d, enum timer timer, uint64_t usec)
{
	world_of(d)->due[SLOT_TIMER + timer] = usec;
}

static int hand_probe(struct daemon *d, const struct probe_target *target, struct error *err)
{
	struct world *w = world_of(d);

	if (w->probing)
		fail(w, "a second round of probes beside the first");
	if (w->now < w->unasked_until) {
		w->memory.doubt_usec = w->memory.unasked_usec = w->now;
		w->memory.discarded += 2;
		return error_set(err, -EMFILE, "no descriptor");
	}
	w->dns_asked = target->dns_port && target->dns_family[FAMILY_V4];
	w->plane_asked = target->control_plane;
	probe_begins(w, target->lazy ? target->timeout_usec : 0);
	return 0;
}

static void hand_hurry(struct daemon *d)
{
	struct world *w = world_of(d);

	if (w->probing)
		w->due[SLOT_PROBED] = w->now;
}

static int hand_watch_envoy(struct daemon *d, pid_t pid)
{
	struct world *w = world_of(d);

	for (size_t i = P_ENVOY; i < P_COUNT; i++) {
		if (w->process[i].pid != pid)
			continue;
		w->watched = pid;
		w->due[SLOT_ENVOY_TOLD] = USEC_NEVER;
		return 0;
	}
	return -ESRCH;
}

/* Its tries come when they come. */
static int hand_signal_envoy(_unused_ struct daemon *d, _unused_ int sig)
{
	return 0;
}

static int hand_connections(_unused_ const uint16_t *ports, _unused_ size_t n, _unused_ uid_t uid,
			    size_t *ret, struct error *err)
{
	if (the_world->now < the_world->uncountable_until)
		return error_set(err, -ENOBUFS, "no buffers");
	*ret = the_world->connections;
	return 0;
}

static int hand_sweep(_unused_ uid_t uid, pid_t session, struct error *err)
{
	if (the_world->now < the_world->files_fail_until) {
		the_world->memory.unswept = true;
		return error_set(err, -EMFILE, "no descriptor");
	}
	return processes_sweep(the_world, session);
}

static int hand_files(struct daemon *d, enum child_id id, struct error *err)
{
	struct world *w = world_of(d);

	oracle_start(w, (enum process_id)id);
	return w->now < w->files_fail_until ? error_set(err, -ENOSPC, "no space") : 0;
}

static void hand_quote(_unused_ struct daemon *d, struct strbuf *out)
{
	strbuf_add(out, "; envoy said: no");
}

static uint64_t hand_wall(struct daemon *d)
{
	return (uint64_t)((int64_t)(world_of(d)->now / SECOND) + world_of(d)->wall_offset_sec);
}

static bool hand_take_over(_unused_ const char *whom)
{
	bool found = the_world->kernel.leftovers;

	the_world->kernel.leftovers = false;
	return found;
}

static bool hand_foreign(void)
{
	return chance(the_world, 10);
}

static int hand_foreign_first(void)
{
	return chance(the_world, 10) ? -100 : 0;
}

static void hand_listen_again(_unused_ struct daemon *d)
{
}

static uint64_t hand_cpu(struct daemon *d)
{
	return world_of(d)->steps * 40;
}

static void hand_reserve(struct daemon *d, _unused_ const struct plan *plan)
{
	world_of(d)->reserved = true;
}

static void hand_keep_reserved(struct daemon *d, _unused_ const struct plan *plan)
{
	if (!world_of(d)->reserved)
		fail(world_of(d), "keeps ports that are not reserved");
}

static int hand_load(struct daemon *d, _unused_ const struct generation *former,
		     struct generation **ret, struct error *err)
{
	return generation_read(world_of(d), ret, err);
}

static void hand_reply(struct daemon *d, json_t *answer)
{
	oracle_replied(world_of(d), json_is_true(json_object_get(answer, "ok")),
		       json_object_get(answer, "note"));
	json_decref(answer);
}

static void hand_follow(_unused_ struct daemon *d)
{
}

static void hand_unreserve(struct daemon *d)
{
	struct world *w = world_of(d);

	if (w->kernel.level != LEVEL_NONE)
		fail(w, "the ports are given up while %s is in", level_name(w->kernel.level));
	w->reserved = false;
}

static void hand_exit(struct daemon *d, int status)
{
	world_of(d)->ended = true;
	world_of(d)->status = status;
}

static const struct daemon_ops hands = {
	.now = hand_now,
	.wall = hand_wall,
	.wake = hand_wake,
	.arm = hand_arm,
	.probe = hand_probe,
	.hurry = hand_hurry,
	.watch_envoy = hand_watch_envoy,
	.signal_envoy = hand_signal_envoy,
	.connections = hand_connections,
	.sweep = hand_sweep,
	.files = hand_files,
	.quote = hand_quote,
	.take_over = hand_take_over,
	.foreign = hand_foreign,
	.foreign_first = hand_foreign_first,
	.listen_again = hand_listen_again,
	.cpu = hand_cpu,
	.reserve = hand_reserve,
	.keep_reserved = hand_keep_reserved,
	.unreserve = hand_unreserve,
	.load = hand_load,
	.reply = hand_reply,
	.follow = hand_follow,
	.exit = hand_exit,
};

static size_t index_of(const struct proc *proc)
{
	struct world *w = proc->userdata;

	return proc == &w->d.child[0].proc ? CHILD_KUMA_DP : CHILD_CORE_DNS;
}

static int proc_spawn(struct proc *proc, const struct exec_spec *spec, struct error *err)
{
	struct world *w = proc->userdata;
	enum process_id id = (enum process_id)index_of(proc);

	if (proc->process->pid || w->process[id].pid)
		fail(w, "a second %s", proc->name);
	if (w->now < w->spawn_fails_until)
		return error_set(err, -EAGAIN, "no process can be made");
	proc->process->pid = process_start(w, id);
	w->process[id].command = (unsigned)atoi(spec->argv[1]);
	w->memory.useless[id].on = false;
	w->memory.stale = true;
	return 0;
}

static int proc_signal(struct proc *proc, int sig)
{
	struct world *w = proc->userdata;
	enum process_id id = (enum process_id)index_of(proc);

	if (!proc->process->pid)
		fail(w, "a signal to a %s that is known to have ended", proc->name);
	if (!w->process[id].pid)
		return -ESRCH;
	oracle_signal(w, id, sig);
	process_signal(w, id, sig);
	return 0;
}

static void proc_arm(struct proc *proc, uint64_t delay_usec)
{
	struct world *w = proc->userdata;

	w->due[SLOT_PROC_TIMER + index_of(proc)] =
		delay_usec > USEC_NEVER - w->now ? USEC_NEVER : w->now + delay_usec;
}

static uint64_t proc_now(struct proc *proc)
{
	return ((struct world *)proc->userdata)->now;
}

static uint32_t proc_random(struct proc *proc)
{
	return below(proc->userdata, 100000);
}

static int proc_adopt(struct proc *proc, _unused_ struct error *err)
{
	struct world *w = proc->userdata;
	size_t id = index_of(proc);

	if (proc->process->pid != w->process[id].pid && w->due[SLOT_TOLD + id] == USEC_NEVER)
		fail(w, "adopts a %s that is not there", proc->name);
	return 0;
}

static const struct proc_ops proc_hands = { proc_spawn, proc_signal, proc_arm,
					    proc_now,   proc_random, proc_adopt };

void daemon_born(struct world *w)
{
	struct error err = { 0 };
	struct daemon *d = &w->d;

	memset(d, 0, sizeof(*d));
	for (size_t i = SLOT_TOLD; i < SLOT_COUNT; i++)
		w->due[i] = USEC_NEVER;
	w->alive = true;
	w->ended = w->probing = false;
	w->watched = 0;
	tell(w, "tproxyd is started");
	daemon_init(d, generation_made(w, &w->setup), &hands);
	d->redirect.backend = &model_backend;
	d->redirect.record.address = w->kernel.address_known;
	(void)snprintf(d->redirect.record.address_iface, sizeof(d->redirect.record.address_iface),
		       "lo");
	for (size_t i = 0; i < (w->setup.core_dns ? CHILD_COUNT : 1); i++) {
		if (daemon_add_child(d, &proc_hands, &err) < 0)
			fail(w, "%s", err.text);
	}
	daemon_start(d);
	w->bounds = w->setup;
	w->taken = d->current->number;
	oracle_born(w);
	w->woken = true;
}

static char *facts_of(const struct daemon *d)
{
	struct strbuf out = { 0 };

	handover_begin(&out);
	daemon_add_facts(d, &out);
	handover_end(&out);
	return strbuf_take(&out);
}

static struct generation *role_of(const struct daemon *d, unsigned number)
{
	struct generation *const all[] = { d->current, d->applied, d->next, d->confirm.former };

	for (size_t i = 0; i < ELEMENTS(all); i++)
		if (all[i] && all[i]->number == number)
			return all[i];
	return NULL;
}

/* What the former knew is the text alone; the generations are read again, and are the same. */
static int succeed(struct world *w, const struct daemon *former, struct handover *handover,
		   struct error *err)
{
	struct daemon *d = &w->d;
	struct roles roles;
	int r = daemon_take_roles(handover, &roles, err);

	if (r < 0)
		return r;
	memset(d, 0, sizeof(*d));
	daemon_init(d, role_of(former, roles.current), &hands);
	d->applied = role_of(former, roles.applied);
	d->next = role_of(former, roles.next);
	d->confirm.former = role_of(former, roles.former);
	d->redirect = former->redirect;
	for (size_t i = 0; r == 0 && i < former->n_children; i++)
		r = daemon_add_child(d, &proc_hands, err);
	if (r == 0)
		r = daemon_take_facts(d, handover, err);
	if (r == 0)
		r = handover_all_taken(handover, err);
	d->drift.suspected = d->drift.tables = true;
	return r < 0 ? r : daemon_resume(d, err);
}

void daemon_replaced(struct world *w)
{
	_free_ char *text = facts_of(&w->d);
	const struct daemon former = w->d;
	struct handover handover = { 0 };
	struct error err = { 0 };

	if (!text || handover_parse(text, strlen(text), &handover, &err) < 0)
		fail(w, "what a successor has to know is no text: %s", err.text);
	for (size_t i = SLOT_TIMER; i < SLOT_COUNT; i++)
		if (i != SLOT_ENVOY_TOLD && i != SLOT_REFUSED)
			w->due[i] = USEC_NEVER;
	json_decref(former.reload.answer);
	/* A round that is lost may have had almost two seconds. */
	if (w->probing)
		w->memory.discarded += 2;
	w->probing = false;
	if (succeed(w, &former, &handover, &err) < 0)
		fail(w, "a successor cannot go on: %s", err.text);
	handover_done(&handover);
	w->woken = true;
}

void daemon_steps(struct world *w)
{
	w->woken = false;
	w->steps++;
	daemon_update(&w->d);
	generation_taken(w);
	w->phases |= 1U << w->d.carry.said;
	oracle_words(w);
}

static void forget(struct world *w)
{
	json_decref(w->d.reload.answer);
	generation_free(w->d.next);
	generation_free(w->d.confirm.former);
	generation_free(w->d.applied);
	generation_free(w->d.current);
	w->alive = w->ended = w->woken = w->probing = false;
	w->watched = 0;
	for (size_t i = SLOT_TOLD; i < SLOT_COUNT; i++)
		w->due[i] = USEC_NEVER;
	if (generations_in_use())
		fail(w, "%u generations are left over", generations_in_use());
}

/* What the unit's ExecStopPost= does: by the record, whatever it takes. */
static void cleaned(struct world *w)
{
	w->kernel.level = LEVEL_NONE;
	w->kernel.edit = EDIT_NONE;
	if (w->kernel.address_known)
		w->kernel.address = w->kernel.address_known = false;
	if (w->kernel.address)
		fail(w, "::6 is left, and no record tells of it");
}

/* With its control group. */
static void all_end(struct world *w)
{
	for (size_t i = 0; i < P_COUNT; i++) {
		w->process[i] = (struct process){ 0 };
		w->due[SLOT_ENDS + i] = USEC_NEVER;
	}
}

void daemon_buried(struct world *w)
{
	tell(w, "tproxyd ends with status %d", w->status);
	oracle_end(w);
	forget(w);
	all_end(w);
	cleaned(w);
}

void daemon_dies(struct world *w)
{
	forget(w);
	all_end(w);
	/* In a container without a service manager nobody cleans up but the next one. */
	if (chance(w, 70))
		cleaned(w);
}
