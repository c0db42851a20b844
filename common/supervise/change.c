/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/change.h"

#include <string.h>

#include "common/base/attr.h"

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Files are compared as they were given: one that only we can read is handed over as a copy. */
static void compare_files(struct arena *arena, const struct command_file_list *former,
			  const struct command_file_list *next, struct string_list *words)
{
	for (size_t i = 0; i < next->n; i++)
		for (size_t j = 0; j < former->n; j++)
			if (strcmp(next->items[i].path, former->items[j].path) == 0 &&
			    !same_text(next->items[i].text, former->items[j].text))
				array_push(arena, words, next->items[i].what);
}

static bool runs(const struct command *command)
{
	return command->path != NULL;
}

static void compare_commands(struct arena *arena, const struct command *former,
			     const struct command *next, struct change *ret)
{
	static const enum change_need needs[CHILD_COUNT] = {
		[CHILD_KUMA_DP] = CHANGE_KUMA_DP,
		[CHILD_CORE_DNS] = CHANGE_CORE_DNS,
	};

	for (enum child_id i = 0; i < CHILD_COUNT; i++) {
		if (command_equal(&former[i], &next[i]))
			continue;
		ret->needs |= needs[i];
		compare_files(arena, &former[i].files, &next[i].files, &ret->words);
		compare_files(arena, &former[i].given, &next[i].given, &ret->words);
	}
}

static bool same_addresses(const struct ip_list *a, const struct ip_list *b)
{
	size_t i = 0;

	while (i < a->n && i < b->n && ip_equal(&a->items[i], &b->items[i]))
		i++;
	return i == a->n && i == b->n;
}

static bool same_ports(const struct port_list *a, const struct port_list *b)
{
	return a->n == b->n &&
	       (a->n == 0 || memcmp(a->items, b->items, a->n * sizeof(*a->items)) == 0);
}

/* What the host itself has brought about. */
static void compare_host(struct arena *arena, const struct plan *former, const struct plan *next,
			 struct string_list *words)
{
	const struct plan_children *a = &former->children, *b = &next->children;
	bool servers = false;

	for (enum family f = 0; f < FAMILY_COUNT; f++)
		servers |= !same_addresses(&former->family[f].dns_servers,
					   &next->family[f].dns_servers);
	if (servers)
		array_push(arena, words, "the name servers");
	if (!same_ports(&former->ssh_ports, &next->ssh_ports))
		array_push(arena, words, "the ports of SSH");
	if (former->family[FAMILY_V6].enabled != next->family[FAMILY_V6].enabled)
		array_push(arena, words,
			   next->family[FAMILY_V6].enabled ? "IPv6 is redirected too"
							   : "IPv6 is not redirected any more");
	if (a->major != b->major || a->minor != b->minor || a->patch != b->patch)
		array_push(arena, words,
			   arena_printf(arena, "kuma-dp is version %u.%u.%u now", b->major,
					b->minor, b->patch));
}

static bool same_times(const struct plan *a, const struct plan *b)
{
	return a->readiness_timeout_nsec == b->readiness_timeout_nsec &&
	       a->readiness_interval_nsec == b->readiness_interval_nsec &&
	       a->hold_nsec == b->hold_nsec && a->confirm_nsec == b->confirm_nsec &&
	       a->restart_delay_nsec == b->restart_delay_nsec &&
	       a->restart_max_delay_nsec == b->restart_max_delay_nsec &&
	       a->children.drain_time_nsec == b->children.drain_time_nsec;
}

static const char *refusal(struct arena *arena, const struct change_side *former,
			   const struct change_side *next)
{
	const struct facts_user *was = &former->plan->user, *is = &next->plan->user;
	const struct command *core_dns = &next->command[CHILD_CORE_DNS];

	if (former->plan->backend != next->plan->backend)
		return "backend: it is chosen when the service starts: restart the service";
	if (was->uid != is->uid || was->gid != is->gid)
		return arena_printf(arena,
				    "kumaDPUser: the proxy runs as UID %u and GID %u, which would "
				    "be UID %u and GID %u: restart the service",
				    was->uid, was->gid, is->uid, is->gid);
	if (runs(core_dns) != runs(&former->command[CHILD_CORE_DNS]))
		return arena_printf(arena,
				    "coreDNS.mode: tproxyd %s a coredns of its own, and kuma-dp "
				    "would want its port at the same time: restart the service",
				    runs(core_dns) ? "would run" : "runs");
	return NULL;
}

void change_decide(struct arena *arena, const struct change_side *former,
		   const struct change_side *next, bool same_rules, struct change *ret)
{
	*ret = (struct change){ .refusal = refusal(arena, former, next) };
	if (!same_rules)
		ret->needs |= CHANGE_RULES;
	if (!same_times(former->plan, next->plan))
		ret->needs |= CHANGE_DAEMON;
	compare_commands(arena, former->command, next->command, ret);
	compare_host(arena, former->plan, next->plan, &ret->words);
}

void change_print(const struct change *change, struct strbuf *out)
{
	static const struct {
		enum change_need need;
		const char *text;
	} parts[] = {
		{ CHANGE_RULES, "the rules change" },
		{ CHANGE_KUMA_DP, "kuma-dp restarts" },
		{ CHANGE_CORE_DNS, "our own coredns restarts" },
		{ CHANGE_DAEMON, "tproxyd takes over its own settings" },
	};
	const char *separator = "";

	for (size_t i = 0; i < ELEMENTS(parts); i++)
		if (change->needs & parts[i].need) {
			strbuf_addf(out, "%s%s", separator, parts[i].text);
			separator = ", ";
		}
	if (!change->needs)
		strbuf_add(out, "nothing changes");
}
