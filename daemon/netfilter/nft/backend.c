/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/nft/backend.h"

#include <errno.h>

#include "common/base/attr.h"
#include "common/rules/print_nft.h"

#define NOT_BUILT "nftables is not built yet"

static int backend_probe(_unused_ enum check_purpose purpose, _unused_ enum family family,
			 struct facts_family *ret, _unused_ struct error *err)
{
	ret->ability[BACKEND_NFTABLES] = (struct facts_abilities){ .no_redirect = NOT_BUILT };
	return 0;
}

static void backend_print(const struct ruleset *rules, struct strbuf *out)
{
	struct arena arena = { 0 };
	struct nft_ruleset lowered;

	lower_nft(&arena, rules, &lowered);
	print_nft(&lowered, out);
	out->failed = out->failed || arena.failed;
	arena_done(&arena);
}

static int backend_prepare(_unused_ struct error *err)
{
	return 0;
}

static int backend_find(struct error *err)
{
	(void)error_set(err, -EOPNOTSUPP, NOT_BUILT);
	return NETFILTER_ABSENT;
}

const struct netfilter_backend backend_nft = {
	.name = "nftables",
	.probe = backend_probe,
	.print = backend_print,
	.prepare = backend_prepare,
	.find = backend_find,
};
