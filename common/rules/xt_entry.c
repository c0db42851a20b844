/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/xt_entry.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#define LAYOUT(type, ip)                                                                           \
	.head = sizeof(type), .src = offsetof(type, ip.src), .dst = offsetof(type, ip.dst),        \
	.src_mask = offsetof(type, ip.smsk), .dst_mask = offsetof(type, ip.dmsk),                  \
	.iif = offsetof(type, ip.iniface), .oif = offsetof(type, ip.outiface),                     \
	.iif_mask = offsetof(type, ip.iniface_mask), .oif_mask = offsetof(type, ip.outiface_mask), \
	.proto = offsetof(type, ip.proto), .flags = offsetof(type, ip.flags),                      \
	.inverted = offsetof(type, ip.invflags), .counters = offsetof(type, counters),             \
	.target_offset = offsetof(type, target_offset),                                            \
	.next_offset = offsetof(type, next_offset), .comefrom = offsetof(type, comefrom),          \
	.nfcache = offsetof(type, nfcache)

_Static_assert(IPT_INV_SRCIP == IP6T_INV_SRCIP && IPT_INV_DSTIP == IP6T_INV_DSTIP &&
		       IPT_INV_VIA_IN == IP6T_INV_VIA_IN && IPT_INV_VIA_OUT == IP6T_INV_VIA_OUT,
	       "one set of bits for both families");

const struct xt_layout xt_layouts[FAMILY_COUNT] = {
	[FAMILY_V4] = { .address = 4, LAYOUT(struct ipt_entry, ip) },
	[FAMILY_V6] = { .address = 16,
			.proto_flag = IP6T_F_PROTO,
			LAYOUT(struct ip6t_entry, ipv6) },
};

static uint16_t read16(const void *entry, size_t offset)
{
	uint16_t value;

	memcpy(&value, (const unsigned char *)entry + offset, sizeof(value));
	return value;
}

uint16_t xt_entry_size(enum family family, const void *entry)
{
	return read16(entry, xt_layouts[family].next_offset);
}

static uint16_t target_offset(enum family family, const void *entry)
{
	return read16(entry, xt_layouts[family].target_offset);
}

const struct xt_entry_target *xt_entry_target(enum family family, const void *entry)
{
	return (const void *)((const unsigned char *)entry + target_offset(family, entry));
}

const struct xt_entry_match *xt_entry_match(enum family family, const void *entry,
					    const struct xt_entry_match *previous)
{
	const unsigned char *first = entry;
	const unsigned char *at = previous
					  ? (const unsigned char *)previous + previous->u.match_size
					  : first + xt_layouts[family].head;

	return at < first + target_offset(family, entry) ? (const void *)at : NULL;
}

/* What follows a name's NUL is whatever was in libiptc's buffer. */
static void clean_name(char *name, size_t size)
{
	size_t len = strnlen(name, size);

	memset(name + len, 0, size - len);
}

void xt_entry_normalise(enum family family, void *entry, const char *target_name)
{
	const struct xt_layout *layout = &xt_layouts[family];
	unsigned char *bytes = entry;
	struct xt_entry_target *target = (void *)(bytes + target_offset(family, entry));

	memset(bytes + layout->counters, 0, sizeof(struct xt_counters));
	memset(bytes + layout->comefrom, 0, sizeof(unsigned));
	memset(bytes + layout->nfcache, 0, sizeof(unsigned));
	for (size_t at = layout->head; at < target_offset(family, entry);) {
		struct xt_entry_match *match = (void *)(bytes + at);

		clean_name(match->u.user.name, sizeof(match->u.user.name));
		at += match->u.match_size;
	}
	clean_name(target->u.user.name, sizeof(target->u.user.name));
	if (target->u.user.name[0] == '\0') {
		memset(target->data, 0, target->u.target_size - sizeof(*target));
		memcpy(target->u.user.name, target_name,
		       strnlen(target_name, sizeof(target->u.user.name) - 1));
	}
}
