/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Questions to the kernel by netlink(7), through libmnl; nf_tables' by libnftnl. */

#include <stdbool.h>
#include <stdint.h>

#include <libmnl/libmnl.h>

#include "common/base/attr.h"

/* mnl_attr_for_each(), without its conversions. */
#define netlink_for_each(attr, message, head)                                              \
	for ((attr) = mnl_nlmsg_get_payload_offset((message), (head));                     \
	     mnl_attr_ok((attr), (int)((const char *)mnl_nlmsg_get_payload_tail(message) - \
				       (const char *)(attr)));                             \
	     (attr) = mnl_attr_next(attr))

/* Whether the attribute lies in the one that holds others. */
static inline bool netlink_is_in(const struct nlattr *attr, const struct nlattr *holder)
{
	return mnl_attr_ok(attr,
			   (int)((const char *)holder + holder->nla_len - (const char *)attr));
}

/* The attribute of that type in a message of netfilter's; in one that holds others, if there is one (NULL is
 * taken for none). NULL: there is none. */
const struct nlattr *netlink_attribute(const struct nlmsghdr *message, unsigned type);
const struct nlattr *netlink_nested(const struct nlattr *holder, unsigned type);

/* Others keep changing what is listed: so often a listing is begun anew. */
#define NETLINK_TRIES 5

/* Sends the request (mnl_nlmsg_put_header() and what belongs to it; flags and type are the caller's),
 * and calls on_message for each message of the answer; a socket to netfilter is kept for the next one.
 * Returns 0, what the kernel refused it with, -EINTR where others have changed what was being listed
 * (on_message was called for all that came; some may be missing or there twice), or NETLINK_LOST where the
 * answer did not come. on_message returns MNL_CB_OK, or MNL_CB_STOP where no more comes. */
#define NETLINK_LOST 1
int netlink_ask(int protocol, struct nlmsghdr *request, mnl_cb_t on_message, void *userdata)
	_must_check_;

/* So often at most a read may fail with ENOBUFS: each tells of answers that were lost since the one before. */
#define NETLINK_OVERRUNS_MAX 16

/* The port (netlink(7)) of a socket of ours, by which the kernel tells others who it was; 0: it has none. */
uint32_t netlink_port(int fd);

/* Reads what nobody waits for any more. */
void netlink_drain(int fd);

/* Whether a question to nf_tables was refused so because this kernel has no nfnetlink, or no nf_tables behind
 * it. */
bool netlink_nft_is_absent(int r);

/* Lists nf_tables' chains or rules of all families (NFT_MSG_GETCHAIN, NFT_MSG_GETRULE); the same
 * answers. */
int netlink_list_nft(uint16_t what, mnl_cb_t on_message, void *userdata) _must_check_;

/* The same for the elements of a set, of which family, table and name are given; they are put into
 * it. */
struct nftnl_set;
int netlink_fill_nft_set(struct nftnl_set *set) _must_check_;
