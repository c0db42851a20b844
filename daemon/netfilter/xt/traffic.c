/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/traffic.h"

#include "common/base/attr.h"

static void add_redirected(struct snapshot_traffic *traffic, uint16_t port, uint64_t n)
{
	for (size_t i = 0; i < ELEMENTS(traffic->redirected); i++) {
		if (traffic->redirected[i].port != 0 && traffic->redirected[i].port != port)
			continue;
		traffic->redirected[i].port = port;
		traffic->redirected[i].n += n;
		return;
	}
}

static void add_chain(const struct xt_chain *now, const struct xt_chain *want,
		      struct snapshot_traffic *traffic)
{
	size_t at = 0;

	/* Where rules are missing, or there are others between them, the order is the same. */
	for (size_t i = 0; i < want->n; i++) {
		const struct xt_rule *rule = &want->items[i];
		size_t found = at;

		while (found < now->n && !xt_rule_equal(&now->items[found], rule))
			found++;
		if (found == now->n)
			continue;
		at = found + 1;
		if (rule->redirects_to)
			add_redirected(traffic, rule->redirects_to,
				       now->items[found].counters.pcnt);
		else if (rule->excludes)
			traffic->excluded += now->items[found].counters.pcnt;
	}
}

void xt_add_traffic(const struct xt_state *now, const struct xt_state *want,
		    struct snapshot_traffic *traffic)
{
	for (size_t i = 0; i < want->n; i++) {
		const struct xt_chain *chain = xt_state_find(now, want->items[i].name);

		if (chain)
			add_chain(chain, &want->items[i], traffic);
	}
}
