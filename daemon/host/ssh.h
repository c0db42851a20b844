/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The one judge of what an SSH server is. A port counts where a socket of root's listens, not on
 * loopback alone, that
 *   - a process holds which root runs and whose program is sshd, dropbear or tinysshd, or that was
 *     given the name of one to start (inetd's kind); whatever its unit;
 *   - or that systemd made for an SSH server's socket unit. Control groups tell, those that root
 *     owns.
 * The port of an open session counts too: a connection that such a process holds. What users run or
 * listen on never counts, whatever it is called.
 *
 * Processes of root can only be looked into with all privileges: in the unit's sandbox the answer
 * is the one that `tproxyd prepare` has handed over, in a file that is root's alone and names the
 * start (INVOCATION_ID) it was made for.
 */

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/plan/facts.h"
#include "common/supervise/command.h"
#include "daemon/os/sock_diag.h"

#define SSH_HANDED_OVER RUNTIME_DIR "/ssh-ports"

/* Finds facts->ssh_ports and ssh_unseen among the sockets. Where root listens on port 22, or on the
 * port of the session we are called from (SSH_CONNECTION), and nothing tells with what, the port is
 * among them as unknown. */
void ssh_ports_find(struct arena *arena, const struct tcp_socket_list *sockets,
		    struct facts *facts);

/* Takes facts->ssh_ports from the file at path. False where there is none, it is another start's,
 * or somebody besides root could have written it. */
bool ssh_ports_take(struct arena *arena, const char *path, struct facts *facts);

/* Writes what ssh_ports_find() finds to the file at path, for ssh_ports_take() in the same start of
 * the unit. Does nothing outside of a unit, or where it has no runtime directory. */
int ssh_ports_hand_over(struct arena *arena, const char *path, struct error *err) _must_check_;
