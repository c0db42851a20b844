/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * AF_UNIX sockets whose other end is somebody else's. Whoever may write to one may send a descriptor
 * along: it is not taken, and so it is closed by whoever reads, or closes the socket; the end of a TCP
 * socket with SO_LINGER lasts as long as its owner likes. These calls wait for no more than a moment.
 */

#include <sys/socket.h>
#include <sys/types.h>

/* As recvmsg(2), recv(2) and close(2); the first two never block. */
ssize_t peer_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t peer_recv(int fd, void *buf, size_t size);
void peer_close(int fd);
