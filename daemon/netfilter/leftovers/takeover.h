/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What kumactl has left in nf_tables through iptables-nft, where it installs on most distributions.
 * (What is in the legacy tables goes in the commit that brings ours.) A look over netlink tells
 * whether there is anything at all; only then the host's own tools are run, at most two for each
 * family: iptables-nft-save, and iptables-nft-restore --noflush with deletes of single rules and
 * of chains that are ours by name. They are the only tools ever run for rules: nobody else can
 * delete what they have written without knowing how they encode it.
 *
 * It blocks, for 50 to 100 ms where there is something and in the worst case for the deadline: the
 * daemon calls it before READY=1, right after its own rules are in, so that no packet passes
 * beside both. Each table is one transaction of nf_tables: all of it is gone or none.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "daemon/netfilter/netfilter.h"

/* Adds to the report what has gone (with dry_run: would go) and what had to stay, also on an error
 * (a tool is missing or failed). */
int takeover_nft(bool dry_run, uint64_t timeout_usec, struct netfilter_report *report,
		 struct error *err) _must_check_;

/* For whoever has rules of our own in: nothing that goes wrong here undoes them, so it is logged. whom
 * is the program that has changed nf_tables, or NULL. Returns whether there was anything to do. */
bool takeover_now(const char *whom);
