/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/nft/owner.h"

#include <errno.h>
#include <string.h>

#include <linux/netlink.h>

#include "daemon/netfilter/netfilter.h"
#include "daemon/os/holder.h"

int nft_owner_refuse(enum family family, const struct nft_seen *seen, struct error *err)
{
	(void)error_set(err, -EBUSY,
			"the %s table " NFT_TABLE
			" of nf_tables belongs to another program (netlink port %u)",
			family_name(family), seen->owner);
	return NETFILTER_BUSY;
}

static void tell(uint32_t port, struct strbuf *out)
{
	struct holder holder;

	if (holder_find(NETLINK_NETFILTER, port, &holder) < 0)
		return;
	if (holder.pid == 1 && strcmp(holder.name, "systemd") == 0)
		strbuf_addf(out, "; systemd keeps netlink port %u in its fd store", port);
	else
		strbuf_addf(out, "; netlink port %u is that of %s (process %d)", port, holder.name,
			    (int)holder.pid);
}

void nft_owner_tell(struct strbuf *out)
{
	struct arena arena = { 0 };
	struct nft_look found = { 0 };
	int r = nft_look(&arena, &found, NULL);
	const struct nft_seen *v4 = &found.family[FAMILY_V4], *v6 = &found.family[FAMILY_V6];

	if (r == 0 && v4->owned)
		tell(v4->owner, out);
	if (r == 0 && v6->owned && !(v4->owned && v4->owner == v6->owner))
		tell(v6->owner, out);
	arena_done(&arena);
}
