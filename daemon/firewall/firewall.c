/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/firewall/firewall.h"

void host_firewall(struct arena *arena, struct facts_firewall *ret)
{
	*ret = (struct facts_firewall){ 0 };
	host_firewall_legacy(arena, ret);
	host_firewall_nft(arena, ret);
}
