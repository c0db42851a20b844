/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/nft/transport.h"

#include <errno.h>
#include <sys/socket.h>

#include <linux/netlink.h>

#include "daemon/os/fd.h"
#include "daemon/os/netlink.h"

/* A batch has to fit into the socket's buffer as a whole, with what the kernel takes besides. How much it
 * holds unasked is the host's setting (net.core.wmem_default). */
#define SPARE_BYTES 200000

int nft_channel_open(struct netfilter_channel *channel, struct error *err)
{
	const struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	_close_ int fd = -EBADF;

	if (channel->fd >= 0) {
		netlink_drain(channel->fd);
		return 0;
	}
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0 || bind(fd, (const void *)&address, sizeof(address)) < 0)
		return error_sys(err, -errno, "open a socket to nf_tables");
	channel->fd = take_fd(&fd);
	return 0;
}

/* An error comes unasked; the last message but the end is answered in any case. */
static int read_answers(int fd, const struct nft_batch *batch, struct error *err)
{
	_strbuf_ struct strbuf subject = { 0 };
	struct {
		struct nlmsghdr head;
		struct nlmsgerr body;
	} answer; /* the rest is what was sent */
	bool taken = false, lost = false;
	int r = 0, overruns = 0;

	for (;;) {
		ssize_t n = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			break;
		lost = lost || n < 0;
		if (n < 0 && errno != EINTR &&
		    (errno != ENOBUFS || overruns++ == NETLINK_OVERRUNS_MAX))
			break;
		if (n < (ssize_t)sizeof(answer) || answer.head.nlmsg_type != NLMSG_ERROR)
			continue;
		taken = taken || answer.body.error == 0;
		if (r < 0 || answer.body.error == 0)
			continue;
		r = answer.body.error;
		nft_subject_print(batch, answer.body.msg.nlmsg_seq - batch->first_seq, &subject);
	}
	if (r < 0)
		return error_sys(err, r, "%s", strbuf_text(&subject));
	if (taken && !lost)
		return 0;
	(void)error_set(err, -EIO, "nf_tables has not answered");
	return NFT_UNANSWERED;
}

int nft_transact(struct netfilter_channel *channel, const struct nft_batch *batch, size_t len,
		 struct error *err)
{
	const int size = (int)len + SPARE_BYTES;

	if (batch->failed)
		return error_sys(err, -ENOMEM, "encode the rules");
	/* In a user namespace the host's limit holds (net.core.wmem_max); where that does not do,
	 * sending says so. */
	if (setsockopt(channel->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(channel->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (send(channel->fd, batch->bytes.text, len, 0) < 0)
		return error_sys(err, -errno, "send the rules to nf_tables");
	/* The kernel is done when it returns. */
	return read_answers(channel->fd, batch, err);
}
