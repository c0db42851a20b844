/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/host_nft.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common/base/arena.h"
#include "common/base/array.h"
#include "common/base/cleanup.h"
#include "common/plan/plan.h"
#include "common/rules/recognise.h"
#include "common/rules/ruleset.h"
#include "daemon/fd.h"

#define BUFFER_SIZE  ((size_t)64 * 1024)
#define DUMP_TRIES   5 /* others may change the tables while they are listed (NLM_F_DUMP_INTR) */
#define KUMA_COMMENT "kuma/mesh/transparent/proxy"

/* A base chain of type nat. */
struct nat_chain {
	uint8_t family;
	const char *table, *name;
};

struct nat_chains {
	struct nat_chain *items;
	size_t n;
};

struct scan {
	struct arena *arena;
	struct nat_chains chains;
	bool foreign;
	bool mesh[FAMILY_COUNT]; /* something of kumactl's is in a table of iptables-nft */
};

/* One attribute's payload; NULL where it is absent. */
struct payload {
	const char *data;
	size_t len;
};

typedef void on_message_t(struct scan *scan, uint8_t family, struct payload attributes);

/* The first attribute of that type. */
static struct payload attribute(struct payload in, uint16_t type)
{
	while (in.len >= sizeof(struct nlattr)) {
		struct nlattr head;
		size_t step;

		memcpy(&head, in.data, sizeof(head));
		if (head.nla_len < sizeof(head) || head.nla_len > in.len)
			break;
		if ((head.nla_type & NLA_TYPE_MASK) == type)
			return (struct payload){ in.data + sizeof(head),
						 head.nla_len - sizeof(head) };
		step = NLA_ALIGN(head.nla_len);
		if (step > in.len)
			break;
		in.data += step;
		in.len -= step;
	}
	return (struct payload){ 0 };
}

/* The attribute as text, "" where it is absent or has no end. */
static const char *text_attribute(struct payload in, uint16_t type)
{
	struct payload found = attribute(in, type);

	return found.data && memchr(found.data, 0, found.len) ? found.data : "";
}

/* Notes what kumactl has put where iptables-nft puts it. */
static void note_mesh(struct scan *scan, uint8_t family, const char *table)
{
	for (enum table t = 0; t < TABLE_COUNT; t++)
		if (strcmp(table, table_name(t)) == 0 && family == NFPROTO_IPV4)
			scan->mesh[FAMILY_V4] = true;
		else if (strcmp(table, table_name(t)) == 0 && family == NFPROTO_IPV6)
			scan->mesh[FAMILY_V6] = true;
}

static void on_chain(struct scan *scan, uint8_t family, struct payload attributes)
{
	if (recognise_name(text_attribute(attributes, NFTA_CHAIN_NAME)))
		note_mesh(scan, family, text_attribute(attributes, NFTA_CHAIN_TABLE));
	if (strcmp(text_attribute(attributes, NFTA_CHAIN_TYPE), "nat") != 0)
		return;
	array_push(scan->arena, &scan->chains,
		   (struct nat_chain){
			   .family = family,
			   .table = arena_strdup(scan->arena,
						 text_attribute(attributes, NFTA_CHAIN_TABLE)),
			   .name = arena_strdup(scan->arena,
						text_attribute(attributes, NFTA_CHAIN_NAME)),
		   });
}

/* Tables of a Kuma redirect in native nftables, whoever made it. */
static bool is_mesh_table(const char *table)
{
	return strncasecmp(table, "kuma_mesh", 9) == 0 || strncasecmp(table, "tproxyd", 7) == 0;
}

/* Jumps and comments stand in a rule as plain bytes, whatever expression holds them. */
static bool mentions(struct payload rule, const char *text)
{
	return rule.data && memmem(rule.data, rule.len, text, strlen(text));
}

static void on_rule(struct scan *scan, uint8_t family, struct payload attributes)
{
	const char *table = text_attribute(attributes, NFTA_RULE_TABLE);
	const char *chain = text_attribute(attributes, NFTA_RULE_CHAIN);
	struct payload body = attribute(attributes, NFTA_RULE_EXPRESSIONS);

	if (mentions(body, KUMA_COMMENT))
		note_mesh(scan, family, table);
	if (is_mesh_table(table) || mentions(body, KUMA_MESH_PREFIX) ||
	    mentions(body, KUMA_COMMENT))
		return;
	for (size_t i = 0; i < scan->chains.n; i++) {
		const struct nat_chain *nat = &scan->chains.items[i];

		if (nat->family == family && strcmp(nat->table, table) == 0 &&
		    strcmp(nat->name, chain) == 0)
			scan->foreign = true;
	}
}

/* Works through one datagram. Returns 1 at the end of the dump, 0 when more is to come, or a
 * negative errno (-EINTR: the tables changed meanwhile). */
static int datagram_read(struct scan *scan, const char *buf, size_t len, on_message_t *on_message)
{
	int r = 0;

	while (len >= sizeof(struct nlmsghdr)) {
		struct nlmsghdr head;
		struct nfgenmsg generic;
		size_t step;

		memcpy(&head, buf, sizeof(head));
		if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > len)
			return -EBADMSG;
		if (head.nlmsg_flags & NLM_F_DUMP_INTR)
			r = -EINTR;
		if (head.nlmsg_type == NLMSG_DONE)
			return r < 0 ? r : 1;
		if (head.nlmsg_type == NLMSG_ERROR) {
			struct nlmsgerr answer = { .error = -EBADMSG };

			if (head.nlmsg_len >= NLMSG_LENGTH(sizeof(answer)))
				memcpy(&answer, buf + NLMSG_HDRLEN, sizeof(answer));
			return answer.error < 0 ? answer.error : -EBADMSG;
		}
		if (head.nlmsg_len >= NLMSG_LENGTH(sizeof(generic))) {
			memcpy(&generic, buf + NLMSG_HDRLEN, sizeof(generic));
			on_message(
				scan, generic.nfgen_family,
				(struct payload){ buf + NLMSG_SPACE(sizeof(generic)),
						  head.nlmsg_len - NLMSG_SPACE(sizeof(generic)) });
		}
		step = NLMSG_ALIGN(head.nlmsg_len);
		if (step > len)
			break;
		buf += step;
		len -= step;
	}
	return r;
}

/* Asks for everything of one kind, in all families. */
static int dump(int fd, uint16_t kind, struct scan *scan, on_message_t *on_message)
{
	struct {
		struct nlmsghdr head;
		struct nfgenmsg generic;
	} request = {
		.head = { .nlmsg_len = sizeof(request),
			  .nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | kind),
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.generic = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 },
	};
	_free_ char *buf = malloc(BUFFER_SIZE);
	int r;

	if (!buf)
		return -ENOMEM;
	if (send(fd, &request, sizeof(request), 0) < 0)
		return -errno;
	do {
		ssize_t n = recv(fd, buf, BUFFER_SIZE, 0);

		if (n < 0 && errno == EINTR) {
			r = 0;
			continue;
		}
		if (n < 0)
			return -errno;
		r = datagram_read(scan, buf, (size_t)n, on_message);
	} while (r == 0);
	return r < 0 ? r : 0;
}

/* One listing of chains and rules, on a socket of its own: what an interrupted dump has left over
 * goes with the socket. */
static int scan_once(struct scan *scan)
{
	static const struct timeval timeout = { .tv_sec = 5 };
	_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	int r;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return -errno;
	r = dump(fd, NFT_MSG_GETCHAIN, scan, on_chain);
	if (r < 0)
		return r;
	return dump(fd, NFT_MSG_GETRULE, scan, on_rule);
}

static int scan_all(struct scan *ret, struct error *err)
{
	struct arena arena = { 0 };
	int r = -EINTR;

	for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
		*ret = (struct scan){ .arena = &arena };
		r = scan_once(ret);
		if (r == 0 && arena.failed)
			r = -ENOMEM;
		arena_done(&arena);
	}
	return r < 0 ? error_sys(err, r, "list the rules of nf_tables") : 0;
}

int host_nft_nat_foreign(bool *ret, struct error *err)
{
	struct scan scan;
	int r = scan_all(&scan, err);

	if (r == 0)
		*ret = scan.foreign;
	return r;
}

int host_nft_leftovers(bool ret[static FAMILY_COUNT], struct error *err)
{
	struct scan scan = { 0 };
	int r = scan_all(&scan, err);

	/* A kernel without nfnetlink, or without nf_tables behind it. */
	if (r == -EPROTONOSUPPORT || r == -EINVAL || r == -EOPNOTSUPP)
		scan = (struct scan){ 0 };
	else if (r < 0)
		return r;
	memcpy(ret, scan.mesh, sizeof(scan.mesh));
	return 0;
}
