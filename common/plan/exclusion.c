/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/exclusion.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "common/base/parse.h"

#define SLOTS_MAX     15 /* XT_MULTI_PORTS: ports of one multiport match, a range takes two */
#define IFACE_LEN_MAX 15 /* IFNAMSIZ without the NUL */
#define UID_LAST      (UINT32_MAX - 1) /* UINT32_MAX is "no user" */
#define PARTS_MAX     3

#define UIDS_FORMAT "expected [<protocols>:][<ports>:]<uids>, as in tcp:22,8000-8080:1000-1005"

static const char blanks[] = " \t";

/* A copy of text[0..len) without the blanks around it. */
static char *trimmed(struct arena *arena, const char *text, size_t len)
{
	while (len && strchr(blanks, *text)) {
		text++;
		len--;
	}
	while (len && strchr(blanks, text[len - 1]))
		len--;
	return arena_strndup(arena, text, len);
}

/* The next item of a comma list; NULL at the end (or when the arena has failed). */
static char *next_item(struct arena *arena, const char **list)
{
	const char *text = *list;
	size_t len;

	if (!text)
		return NULL;
	len = strcspn(text, ",");
	*list = text[len] ? text + len + 1 : NULL;
	return arena_strndup(arena, text, len);
}

/* A plain decimal number. iptables reads a leading zero as octal, kumactl's check does not. */
static bool parse_number(const char *text, uint64_t max, uint64_t *ret)
{
	return (text[0] != '0' || !text[1]) && parse_decimal(text, max, ret);
}

/* "N" or "LO-HI". Returns false where it is neither. */
static bool parse_range(struct arena *arena, const char *text, uint64_t max, uint64_t *ret_lo,
			uint64_t *ret_hi)
{
	const char *dash = strchr(text, '-');
	const char *lo;

	if (!dash) {
		if (!parse_number(text, max, ret_lo))
			return false;
		*ret_hi = *ret_lo;
		return true;
	}
	lo = arena_strndup(arena, text, (size_t)(dash - text));
	return lo && parse_number(lo, max, ret_lo) && parse_number(dash + 1, max, ret_hi);
}

/* As the reference prints it. */
static const char *with_colons(struct arena *arena, const char *text)
{
	char *copy = arena_strdup(arena, text);

	for (char *p = copy; p && *p; p++)
		if (*p == '-')
			*p = ':';
	return copy;
}

struct port_ranges {
	struct port_range *items;
	size_t n;
};

static int parse_ports(struct arena *arena, const char *entry, const char *text,
		       struct port_ranges *ret, struct error *err)
{
	const char *rest = text, *item;
	size_t slots = 0;

	while ((item = next_item(arena, &rest))) {
		uint64_t lo, hi;
		bool range = strchr(item, '-');

		if (!parse_range(arena, item, UINT16_MAX, &lo, &hi))
			return error_set(err, -EINVAL,
					 "'%s': '%s' is not a port or a range of ports: expected "
					 "numbers from 0 to 65535 without leading zeros",
					 entry, item);
		if (range && lo >= hi)
			return error_set(err, -EINVAL,
					 "'%s': the range of ports '%s' does not run upwards",
					 entry, item);
		slots += range ? 2 : 1;
		array_push(arena, ret,
			   (struct port_range){ .lo = (uint16_t)lo, .hi = (uint16_t)hi });
	}
	if (slots > SLOTS_MAX)
		return error_set(err, -EINVAL,
				 "'%s': %zu ports, where one rule takes at most %d and a range "
				 "counts as two: split the entry",
				 entry, slots, SLOTS_MAX);
	return 0;
}

static int parse_uids(struct arena *arena, const char *entry, const char *text,
		      struct uid_exclusion *ret, struct error *err)
{
	uint64_t lo, hi;

	if (!*text)
		return error_set(err, -EINVAL, "'%s': no UID is given: " UIDS_FORMAT, entry);
	if (strcmp(text, "*") == 0)
		return error_set(err, -EINVAL,
				 "'%s': '*' would exempt every user: name a UID or a range", entry);
	if (strchr(text, ','))
		return error_set(err, -EINVAL,
				 "'%s': '%s' is more than one UID: expected a single one or a "
				 "range, write an entry for each",
				 entry, text);
	if (!parse_range(arena, text, UID_LAST, &lo, &hi))
		return error_set(err, -EINVAL,
				 "'%s': '%s' is not a UID or a range of UIDs: expected numbers "
				 "from 0 to %u without leading zeros",
				 entry, text, UID_LAST);
	if (lo > hi)
		return error_set(err, -EINVAL, "'%s': the range of UIDs '%s' runs backwards", entry,
				 text);
	ret->uid_lo = (uint32_t)lo;
	ret->uid_hi = (uint32_t)hi;
	return 0;
}

struct protocols {
	uint8_t items[8];
	size_t n;
};

/* The protocols in the order given, duplicates kept; none and "*" are both. */
static int parse_protocols(struct arena *arena, const char *entry, const char *text,
			   struct protocols *ret, struct error *err)
{
	const char *rest = text, *item;

	*ret = (struct protocols){ 0 };
	if (!*text || strcmp(text, "*") == 0) {
		*ret = (struct protocols){ { IPPROTO_TCP, IPPROTO_UDP }, 2 };
		return 0;
	}
	while ((item = next_item(arena, &rest))) {
		bool tcp;

		item = trimmed(arena, item, strlen(item));
		if (!item || !*item)
			continue;
		tcp = strcasecmp(item, "tcp") == 0;
		if (!tcp && strcasecmp(item, "udp") != 0)
			return error_set(err, -EINVAL,
					 "'%s': '%s' is not a protocol: expected tcp or udp", entry,
					 item);
		if (ret->n == ELEMENTS(ret->items))
			return error_set(err, -EINVAL, "'%s': more than %zu protocols", entry,
					 ret->n);
		ret->items[ret->n++] = tcp ? IPPROTO_TCP : IPPROTO_UDP;
	}
	if (!ret->n)
		return error_set(err, -EINVAL, "'%s': no protocol is given: expected tcp or udp",
				 entry);
	return 0;
}

/* Splits at colons into protocols, ports, uids; parts that are not there are "". */
static bool split_uids(struct arena *arena, const char *entry, const char *ret[static PARTS_MAX])
{
	const char *parts[PARTS_MAX];
	size_t n = 0;

	for (const char *p = entry;; n++) {
		size_t len = strcspn(p, ":");

		if (n == PARTS_MAX)
			return false;
		parts[n] = arena_strndup(arena, p, len);
		if (!p[len]) {
			n++;
			break;
		}
		p += len + 1;
	}
	for (size_t i = 0; i < PARTS_MAX; i++)
		ret[i] = i < PARTS_MAX - n ? "" : parts[i - (PARTS_MAX - n)];
	return true;
}

int exclusion_parse_uids(struct arena *arena, const char *entry, struct uid_exclusion_list *ret,
			 struct error *err)
{
	const char *parts[PARTS_MAX], *ports;
	struct uid_exclusion exclusion = { 0 };
	struct port_ranges ranges = { 0 };
	struct protocols protocols;
	int r;

	if (!split_uids(arena, entry, parts))
		return error_set(err, -EINVAL, "'%s': too many parts: " UIDS_FORMAT, entry);
	if (arena->failed)
		return error_sys(err, -ENOMEM, "read '%s'", entry);
	r = parse_uids(arena, entry, parts[2], &exclusion, err);
	if (r < 0)
		return r;
	ports = !*parts[1] || strcmp(parts[1], "*") == 0 ? "1-65535" : parts[1];
	r = parse_ports(arena, entry, ports, &ranges, err);
	if (r < 0)
		return r;
	r = parse_protocols(arena, entry, parts[0], &protocols, err);
	if (r < 0)
		return r;
	exclusion.ports = ranges.items;
	exclusion.n_ports = ranges.n;
	exclusion.ports_text = with_colons(arena, ports);
	exclusion.uids_text = with_colons(arena, parts[2]);
	for (size_t i = 0; i < protocols.n; i++) {
		exclusion.proto = protocols.items[i];
		array_push(arena, ret, exclusion);
	}
	return arena->failed ? error_sys(err, -ENOMEM, "read '%s'", entry) : 0;
}

#define MAPPED "is an IPv4 address in the notation of IPv6, which iptables cannot read"

/* "::ffff:10.0.0.1" is IPv4 to the reference, which then prints a rule that iptables refuses. */
static bool is_mapped(const char *text, const struct ip_prefix *prefix)
{
	return prefix->addr.family == FAMILY_V4 && strchr(text, ':');
}

int exclusion_parse_nets(struct arena *arena, const char *entry,
			 struct net_list ret[static FAMILY_COUNT], struct error *err)
{
	size_t n = 0;

	for (const char *rest = entry; rest && *rest;) {
		size_t len = strcspn(rest, ",");
		const char *item = trimmed(arena, rest, len);
		struct net net;

		if (!item)
			return error_sys(err, -ENOMEM, "read '%s'", entry);
		if (*item) {
			if (!ip_prefix_parse(item, &net.prefix))
				return error_set(err, -EINVAL,
						 "'%s': '%s' is not an address: expected <ip> or "
						 "<ip>/<length>, as in 10.0.0.1, 172.16.0.0/16, "
						 "fe80::1, fe80::/10",
						 entry, item);
			if (is_mapped(item, &net.prefix))
				return error_set(err, -EINVAL, "'%s': '%s' " MAPPED, entry, item);
			/* The reference prints the spaces around it too. */
			net.text = memchr(rest, '\t', len) ? item : arena_strndup(arena, rest, len);
			array_push(arena, &ret[net.prefix.addr.family], net);
			n++;
		}
		rest = rest[len] ? rest + len + 1 : NULL;
	}
	if (!n)
		return error_set(err, -EINVAL,
				 "'%s': no address is given: expected <ip> or "
				 "<ip>/<length>",
				 entry);
	return 0;
}

int exclusion_parse_vnet(struct arena *arena, const char *entry, struct vnet *ret,
			 struct error *err)
{
	const char *colon = strchr(entry, ':');
	size_t len = colon ? (size_t)(colon - entry) : 0;
	struct vnet vnet;

	if (!colon)
		return error_set(err, -EINVAL,
				 "'%s': expected <interface>:<ip>/<length>, as in "
				 "docker0:172.17.0.0/16",
				 entry);
	vnet.iface = arena_strndup(arena, entry, len);
	vnet.net.text = arena_strdup(arena, colon + 1);
	if (arena->failed)
		return error_sys(err, -ENOMEM, "read '%s'", entry);
	if (!len || len > IFACE_LEN_MAX || strpbrk(vnet.iface, " \t\r\n/\"'\\"))
		return error_set(err, -EINVAL,
				 "'%s': '%s' is not an interface's name: expected 1 to %d "
				 "characters, no blanks, slashes or quotes",
				 entry, vnet.iface, IFACE_LEN_MAX);
	if (!strchr(vnet.net.text, '/') || !ip_prefix_parse(vnet.net.text, &vnet.net.prefix))
		return error_set(err, -EINVAL,
				 "'%s': '%s' is not a network: expected <ip>/<length>, as in "
				 "172.17.0.0/16",
				 entry, vnet.net.text);
	if (is_mapped(vnet.net.text, &vnet.net.prefix))
		return error_set(err, -EINVAL, "'%s': '%s' " MAPPED, entry, vnet.net.text);
	*ret = vnet;
	return 0;
}
