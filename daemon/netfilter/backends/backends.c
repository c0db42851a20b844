/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/backends/backends.h"

#include "daemon/netfilter/nft/backend.h"
#include "daemon/netfilter/xt/backend.h"

const struct netfilter_backend *const netfilter_backends[BACKEND_COUNT] = {
	[BACKEND_IPTABLES] = &backend_xt,
	[BACKEND_NFTABLES] = &backend_nft,
};

int netfilter_probe(enum check_purpose purpose, struct facts *facts, struct error *err)
{
	int r = 0;

	for (enum backend_choice i = BACKEND_IPTABLES; i < BACKEND_COUNT; i++)
		for (enum family f = 0; f < FAMILY_COUNT && r == 0; f++)
			r = netfilter_backends[i]->probe(purpose, f, &facts->family[f], err);
	return r;
}

int netfilter_prepare(struct error *err)
{
	int r = 0;

	for (enum backend_choice i = BACKEND_IPTABLES; i < BACKEND_COUNT && r == 0; i++)
		r = netfilter_backends[i]->prepare(err);
	return r;
}
