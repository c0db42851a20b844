/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/xt.h"

#include <errno.h>
#include <string.h>

#include <libiptc/libip6tc.h>

/* The two libraries have the same functions with their own names and entry types. */
#define DEFINE_CALLS(lib)                                                                        \
	static const void *lib##_first(const char *chain, struct xtc_handle *handle)             \
	{                                                                                        \
		return lib##_first_rule(chain, handle);                                          \
	}                                                                                        \
	static const void *lib##_next(const void *entry, struct xtc_handle *handle)              \
	{                                                                                        \
		return lib##_next_rule(entry, handle);                                           \
	}                                                                                        \
	static const char *lib##_target(const void *entry, struct xtc_handle *handle)            \
	{                                                                                        \
		return lib##_get_target(entry, handle);                                          \
	}                                                                                        \
	static int lib##_insert(const xt_chainlabel chain, const void *entry, unsigned position, \
				struct xtc_handle *handle)                                       \
	{                                                                                        \
		return lib##_insert_entry(chain, entry, position, handle);                       \
	}                                                                                        \
	static int lib##_append(const xt_chainlabel chain, const void *entry,                    \
				struct xtc_handle *handle)                                       \
	{                                                                                        \
		return lib##_append_entry(chain, entry, handle);                                 \
	}                                                                                        \
	struct calls_of_##lib##_need_a_semicolon

DEFINE_CALLS(iptc);
DEFINE_CALLS(ip6tc);

#define CALLS(lib)                                                                  \
	.ops = &lib##_ops, .first_rule = lib##_first, .next_rule = lib##_next,      \
	.get_target = lib##_target, .insert = lib##_insert, .append = lib##_append, \
	.delete_at = lib##_delete_num_entry, .delete_chain = lib##_delete_chain
#define LAYOUT(type)                                                                      \
	.head = sizeof(type), .target_offset = offsetof(type, target_offset),             \
	.next_offset = offsetof(type, next_offset), .counters = offsetof(type, counters), \
	.comefrom = offsetof(type, comefrom), .nfcache = offsetof(type, nfcache)

const struct xt_family xt_families[FAMILY_COUNT] = {
	[FAMILY_V4] = {
		.name = "IPv4",
		.module = "ip_tables",
		.names_path = "/proc/self/net/ip_tables_names",
		CALLS(iptc),
		LAYOUT(struct ipt_entry),
	},
	[FAMILY_V6] = {
		.name = "IPv6",
		.module = "ip6_tables",
		.names_path = "/proc/self/net/ip6_tables_names",
		CALLS(ip6tc),
		LAYOUT(struct ip6t_entry),
	},
};

static uint16_t read16(const void *entry, size_t offset)
{
	uint16_t value;

	memcpy(&value, (const unsigned char *)entry + offset, sizeof(value));
	return value;
}

uint16_t xt_target_offset(const struct xt_family *f, const void *entry)
{
	return read16(entry, f->target_offset);
}

uint16_t xt_length(const struct xt_family *f, const void *entry)
{
	return read16(entry, f->next_offset);
}

const struct xt_entry_target *xt_target(const struct xt_family *f, const void *entry)
{
	return (const void *)((const unsigned char *)entry + xt_target_offset(f, entry));
}

const struct xt_entry_match *xt_match(const struct xt_family *f, const void *entry,
				      const struct xt_entry_match *previous)
{
	const unsigned char *first = entry;
	const unsigned char *at = previous
					  ? (const unsigned char *)previous + previous->u.match_size
					  : first + f->head;

	return at < first + xt_target_offset(f, entry) ? (const void *)at : NULL;
}

/* What follows a name's NUL is whatever was in libiptc's buffer. */
static void clean_name(char *name, size_t size)
{
	size_t len = strnlen(name, size);

	memset(name + len, 0, size - len);
}

static void normalise(const struct xt_family *f, unsigned char *entry, const char *name)
{
	struct xt_entry_target *target = (void *)(entry + xt_target_offset(f, entry));

	memset(entry + f->counters, 0, sizeof(struct xt_counters));
	memset(entry + f->comefrom, 0, sizeof(unsigned));
	memset(entry + f->nfcache, 0, sizeof(unsigned));
	for (size_t at = f->head; at < xt_target_offset(f, entry);) {
		struct xt_entry_match *match = (void *)(entry + at);

		clean_name(match->u.user.name, sizeof(match->u.user.name));
		at += match->u.match_size;
	}
	clean_name(target->u.user.name, sizeof(target->u.user.name));
	/* The kernel has verdicts and jumps as numbers under an empty name. */
	if (target->u.user.name[0] == '\0') {
		memset(target->data, 0, target->u.target_size - sizeof(*target));
		memcpy(target->u.user.name, name, strnlen(name, sizeof(target->u.user.name) - 1));
	}
}

void xt_rule_init(const struct xt_family *f, struct arena *arena, const void *entry,
		  const char *target, struct xt_rule *ret)
{
	size_t len = xt_length(f, entry);
	unsigned char *copy = arena_alloc(arena, len);

	*ret = (struct xt_rule){ .entry = copy, .len = len };
	if (!copy)
		return;
	memcpy(copy, entry, len);
	memcpy(&ret->counters, copy + f->counters, sizeof(ret->counters));
	normalise(f, copy, target);
}

int xt_errno(void)
{
	/* libiptc fails with errno 0 ("version error") and with codes of its own below 0. */
	return errno > 0 ? -errno : -EPROTO;
}
