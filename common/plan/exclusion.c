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
#define PROTOCOLS_MAX 8

#define UIDS_FORMAT "expected [<protocols>:][<ports>:]<uids>, as in tcp:22,8000-8080:1000-1005"

/* A plain decimal number. iptables reads a leading zero as octal, kumactl's check does not. */
static bool parse_number(const char *text, uint64_t max, uint64_t *ret)
{
	return (text[0] != '0' || !text[1]) && parse_decimal(text, max, ret);
}

/* "N" or "LO-HI". Returns false where it is neither. */
static bool parse_range(const char *text, uint64_t max, uint64_t *ret_lo, uint64_t *ret_hi)
{
	size_t len = strcspn(text, "-");
	char lo[16]; /* more digits than any number has */

	if (len >= sizeof(lo))
		return false;
	memcpy(lo, text, len);
	lo[len] = 0;
	return parse_number(lo, max, ret_lo) &&
	       parse_number(text[len] ? text + len + 1 : lo, max, ret_hi);
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

static int parse_ports(struct arena *arena, const char *text, struct uid_exclusion *ret,
		       struct error *err)
{
	struct {
		struct port_range *items;
		size_t n;
	} ranges = { 0 };
	char *rest = arena_strdup(arena, text), *item;
	size_t slots = 0;

	while ((item = strsep(&rest, ","))) {
		uint64_t lo, hi;
		bool range = strchr(item, '-');

		if (!parse_range(item, UINT16_MAX, &lo, &hi))
			return error_set(err, -EINVAL,
					 "'%s' is not a port or a range of ports: expected numbers "
					 "from 0 to 65535 without leading zeros",
					 item);
		if (range && lo >= hi)
			return error_set(err, -EINVAL,
					 "the range of ports '%s' does not run upwards", item);
		slots += range ? 2 : 1;
		array_push(arena, &ranges, (struct port_range){ (uint16_t)lo, (uint16_t)hi });
	}
	if (slots > SLOTS_MAX)
		return error_set(err, -EINVAL,
				 "%zu ports, where one rule takes at most %d and a range counts as "
				 "two: split the entry",
				 slots, SLOTS_MAX);
	ret->ports = ranges.items;
	ret->n_ports = ranges.n;
	ret->ports_text = with_colons(arena, text);
	return 0;
}

static int parse_uids(struct arena *arena, const char *text, struct uid_exclusion *ret,
		      struct error *err)
{
	uint64_t lo, hi;

	if (!*text)
		return error_set(err, -EINVAL, "no UID is given: " UIDS_FORMAT);
	if (strcmp(text, "*") == 0)
		return error_set(err, -EINVAL,
				 "'*' would exempt every user: name a UID or a range");
	if (strchr(text, ','))
		return error_set(err, -EINVAL,
				 "'%s' is more than one UID: expected a single one or a range, "
				 "write an entry for each",
				 text);
	if (!parse_range(text, UID_LAST, &lo, &hi))
		return error_set(err, -EINVAL,
				 "'%s' is not a UID or a range of UIDs: expected numbers from 0 to "
				 "%u without leading zeros",
				 text, UID_LAST);
	if (lo > hi)
		return error_set(err, -EINVAL, "the range of UIDs '%s' runs backwards", text);
	ret->uid_lo = (uint32_t)lo;
	ret->uid_hi = (uint32_t)hi;
	ret->uids_text = with_colons(arena, text);
	return 0;
}

/* Appends one for each protocol, in the order given, duplicates kept. */
static int push_protocols(struct arena *arena, char *protocols, struct uid_exclusion *exclusion,
			  struct uid_exclusion_list *ret, struct error *err)
{
	size_t before = ret->n;
	char *item;

	while ((item = strsep(&protocols, ","))) {
		item = trim(item, " \t");
		if (!*item)
			continue;
		exclusion->proto = strcasecmp(item, "tcp") == 0 ? IPPROTO_TCP : IPPROTO_UDP;
		if (exclusion->proto == IPPROTO_UDP && strcasecmp(item, "udp") != 0)
			return error_set(err, -EINVAL,
					 "'%s' is not a protocol: expected tcp or udp", item);
		if (ret->n - before == PROTOCOLS_MAX)
			return error_set(err, -EINVAL, "more than %d protocols", PROTOCOLS_MAX);
		array_push(arena, ret, *exclusion);
	}
	if (ret->n == before)
		return error_set(err, -EINVAL, "no protocol is given: expected tcp or udp");
	return 0;
}

static bool is_any(const char *part)
{
	return !*part || strcmp(part, "*") == 0;
}

int exclusion_parse_uids(struct arena *arena, const char *entry, struct uid_exclusion_list *ret,
			 struct error *err)
{
	char *rest = arena_strdup(arena, entry), *parts[PARTS_MAX], *part;
	char both[] = "tcp,udp", all[] = "1-65535";
	struct uid_exclusion exclusion = { 0 };
	size_t n = 0;
	int r;

	while ((part = strsep(&rest, ":"))) {
		if (n == PARTS_MAX)
			return error_set(err, -EINVAL, "too many parts: " UIDS_FORMAT);
		parts[n++] = part;
	}
	if (!n)
		return error_sys(err, -ENOMEM, "read it");
	r = parse_uids(arena, parts[n - 1], &exclusion, err);
	if (r == 0)
		r = parse_ports(arena, n < 2 || is_any(parts[n - 2]) ? all : parts[n - 2],
				&exclusion, err);
	if (r < 0)
		return r;
	return push_protocols(arena, n < 3 || is_any(parts[0]) ? both : parts[0], &exclusion, ret,
			      err);
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
	char *rest = arena_strdup(arena, entry), *item;
	size_t n = 0;

	while ((item = strsep(&rest, ","))) {
		char *text = arena_strdup(arena, item);
		struct net net;

		if (!text)
			break;
		text = trim(text, " \t");
		if (!*text)
			continue;
		if (!ip_prefix_parse(text, &net.prefix))
			return error_set(err, -EINVAL,
					 "'%s' is not an address: expected <ip> or <ip>/<length>, "
					 "as in 10.0.0.1, 172.16.0.0/16, fe80::1, fe80::/10",
					 text);
		if (is_mapped(text, &net.prefix))
			return error_set(err, -EINVAL, "'%s' " MAPPED, text);
		/* The reference prints the spaces around it too. */
		net.text = strchr(item, '\t') ? text : item;
		array_push(arena, &ret[net.prefix.addr.family], net);
		n++;
	}
	if (!n)
		return error_set(err, -EINVAL,
				 "no address is given: expected <ip> or <ip>/<length>");
	return 0;
}

int exclusion_parse_vnet(struct arena *arena, const char *entry, struct vnet *ret,
			 struct error *err)
{
	char *net = arena_strdup(arena, entry);
	struct vnet vnet = { .iface = strsep(&net, ":") };

	if (!net)
		return error_set(err, -EINVAL,
				 "expected <interface>:<ip>/<length>, as in docker0:172.17.0.0/16");
	if (!*vnet.iface || strlen(vnet.iface) > IFACE_LEN_MAX ||
	    strpbrk(vnet.iface, " \t\r\n/\"'\\"))
		return error_set(err, -EINVAL,
				 "'%s' is not an interface's name: expected 1 to %d characters, no "
				 "blanks, slashes or quotes",
				 vnet.iface, IFACE_LEN_MAX);
	if (!strchr(net, '/') || !ip_prefix_parse(net, &vnet.net.prefix))
		return error_set(err, -EINVAL,
				 "'%s' is not a network: expected <ip>/<length>, as in "
				 "172.17.0.0/16",
				 net);
	if (is_mapped(net, &vnet.net.prefix))
		return error_set(err, -EINVAL, "'%s' " MAPPED, net);
	vnet.net.text = net;
	*ret = vnet;
	return 0;
}
