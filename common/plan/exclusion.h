/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The entries of excludePortsForUIDs, excludePortsForIPs and vnet.networks: text to values. What
 * kumactl takes and iptables would refuse, or understand differently, is refused here. The sentences
 * do not name the entry.
 */

#include "common/base/error.h"
#include "common/plan/plan.h"

/* "[PROTOCOLS:][PORTS:]UIDS": appends one exclusion per protocol. */
int exclusion_parse_uids(struct arena *arena, const char *entry, struct uid_exclusion_list *ret,
			 struct error *err) _must_check_;

/* "ADDRESS[/LENGTH],…": appends each to the list of its family. */
int exclusion_parse_nets(struct arena *arena, const char *entry,
			 struct net_list ret[static FAMILY_COUNT], struct error *err) _must_check_;

/* "INTERFACE:ADDRESS/LENGTH"; the family is the address's. */
int exclusion_parse_vnet(struct arena *arena, const char *entry, struct vnet *ret,
			 struct error *err) _must_check_;
