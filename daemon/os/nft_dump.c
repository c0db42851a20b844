/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/nft_dump.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common/base/cleanup.h"
#include "daemon/os/fd.h"

#define BUFFER_SIZE ((size_t)64 * 1024)

/* Splits the first attribute off; false at the end, or where the rest makes no sense. */
static bool split(struct nft_payload *list, uint16_t *ret_type, struct nft_payload *ret)
{
	struct nlattr head;
	size_t step;

	if (list->len < sizeof(head))
		return false;
	memcpy(&head, list->data, sizeof(head));
	if (head.nla_len < sizeof(head) || head.nla_len > list->len)
		return false;
	*ret_type = (uint16_t)(head.nla_type & NLA_TYPE_MASK);
	*ret = (struct nft_payload){ list->data + sizeof(head), head.nla_len - sizeof(head) };
	step = NLA_ALIGN(head.nla_len);
	if (step > list->len)
		step = list->len;
	list->data += step;
	list->len -= step;
	return true;
}

struct nft_payload nft_attribute(struct nft_payload in, uint16_t type)
{
	struct nft_payload found;
	uint16_t found_type;

	while (split(&in, &found_type, &found))
		if (found_type == type)
			return found;
	return (struct nft_payload){ 0 };
}

bool nft_next(struct nft_payload *list, struct nft_payload *ret)
{
	uint16_t type;

	return split(list, &type, ret);
}

const char *nft_text(struct nft_payload in, uint16_t type)
{
	struct nft_payload found = nft_attribute(in, type);

	return found.data && memchr(found.data, 0, found.len) ? found.data : "";
}

uint32_t nft_number(struct nft_payload in, uint16_t type, uint32_t fallback)
{
	struct nft_payload found = nft_attribute(in, type);
	uint32_t value;

	if (found.len < sizeof(value))
		return fallback;
	memcpy(&value, found.data, sizeof(value));
	return ntohl(value);
}

int nft_open(void)
{
	static const struct timeval timeout = { .tv_sec = 5 };
	_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return -errno;
	return take_fd(&fd);
}

/* Works through one datagram. Returns 1 at the end of the dump, 0 when more is to come, or a
 * negative errno. */
static int read_datagram(const char *buf, size_t len, nft_message_t *on_message, void *userdata)
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
			on_message(userdata, generic.nfgen_family,
				   (struct nft_payload){ buf + NLMSG_SPACE(sizeof(generic)),
							 head.nlmsg_len -
								 NLMSG_SPACE(sizeof(generic)) });
		}
		step = NLMSG_ALIGN(head.nlmsg_len);
		if (step > len)
			break;
		buf += step;
		len -= step;
	}
	return r;
}

static int read_answer(int fd, nft_message_t *on_message, void *userdata)
{
	_free_ char *buf = malloc(BUFFER_SIZE);
	int r;

	if (!buf)
		return -ENOMEM;
	do {
		ssize_t n = recv(fd, buf, BUFFER_SIZE, 0);

		if (n < 0 && errno == EINTR) {
			r = 0;
			continue;
		}
		if (n < 0)
			return -errno;
		r = read_datagram(buf, (size_t)n, on_message, userdata);
	} while (r == 0);
	return r < 0 ? r : 0;
}

struct request {
	struct nlmsghdr head;
	struct nfgenmsg generic;
	char attributes[512];
};

static void request_init(struct request *request, uint16_t kind, uint8_t family)
{
	*request = (struct request){
		.head = { .nlmsg_len = NLMSG_LENGTH(sizeof(request->generic)),
			  .nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | kind),
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.generic = { .nfgen_family = family, .version = NFNETLINK_V0 },
	};
}

/* False where it has no room: no name in nf_tables is as long. */
static bool request_add(struct request *request, uint16_t type, const char *text)
{
	size_t at = NLMSG_ALIGN(request->head.nlmsg_len) - offsetof(struct request, attributes);
	size_t len = sizeof(struct nlattr) + strlen(text) + 1;
	struct nlattr head = { .nla_len = (uint16_t)len, .nla_type = type };

	len = (len + NLA_ALIGNTO - 1) & ~((size_t)NLA_ALIGNTO - 1);
	if (at + len > sizeof(request->attributes))
		return false;
	memcpy(request->attributes + at, &head, sizeof(head));
	memcpy(request->attributes + at + sizeof(head), text, strlen(text) + 1);
	request->head.nlmsg_len = (uint32_t)(offsetof(struct request, attributes) + at + len);
	return true;
}

static int dump_kind(int fd, uint16_t kind, nft_message_t *on_message, void *userdata)
{
	struct request request;

	request_init(&request, kind, AF_UNSPEC);
	if (send(fd, &request, request.head.nlmsg_len, 0) < 0)
		return -errno;
	return read_answer(fd, on_message, userdata);
}

int nft_dump_rules(int fd, nft_message_t *on_chain, nft_message_t *on_rule, void *userdata)
{
	int r = dump_kind(fd, NFT_MSG_GETCHAIN, on_chain, userdata);

	return r < 0 ? r : dump_kind(fd, NFT_MSG_GETRULE, on_rule, userdata);
}

int nft_dump_set(int fd, const struct nft_set *set, nft_message_t *on_message, void *userdata)
{
	struct request request;

	request_init(&request, NFT_MSG_GETSETELEM, set->family);
	if (!request_add(&request, NFTA_SET_ELEM_LIST_TABLE, set->table) ||
	    !request_add(&request, NFTA_SET_ELEM_LIST_SET, set->name))
		return -ENAMETOOLONG;
	if (send(fd, &request, request.head.nlmsg_len, 0) < 0)
		return -errno;
	return read_answer(fd, on_message, userdata);
}
