/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/backends/backends.h"

#include "daemon/netfilter/nft/backend.h"
#include "daemon/netfilter/xt/backend.h"

const struct netfilter_backend *const netfilter_backends[BACKEND_COUNT] = {
	[BACKEND_IPTABLES] = &backend_xt,
	[BACKEND_NFTABLES] = &backend_nft,
};

/* The first is always asked, for what it may find besides. Another one takes 10 ms to answer. */
static bool may_be_used(enum backend_choice backend, const struct config *config,
			const struct facts *facts)
{
	bool lacks = facts->nft_nat_foreign || facts->backend == backend;

	if (backend == BACKEND_IPTABLES || config->backend != BACKEND_AUTO)
		return backend == BACKEND_IPTABLES || backend == config->backend;
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		const struct facts_abilities *have = &facts->family[f].ability[BACKEND_IPTABLES];

		lacks = lacks || have->no_redirect || have->no_zones || have->no_drop_invalid;
	}
	return lacks;
}

int netfilter_probe(const struct config *config, enum check_purpose purpose, struct facts *facts,
		    struct error *err)
{
	int r = 0;

	for (enum backend_choice i = BACKEND_IPTABLES; i < BACKEND_COUNT; i++)
		for (enum family f = 0; f < FAMILY_COUNT && r == 0 && may_be_used(i, config, facts);
		     f++)
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
