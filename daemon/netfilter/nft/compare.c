/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/nft/compare.h"

#include <endian.h>
#include <string.h>

#include <linux/netfilter/nf_tables.h>

#include "common/base/attr.h"
#include "daemon/os/netlink.h"

static bool same_payload(const struct nlattr *a, const struct nlattr *b)
{
	uint16_t len = mnl_attr_get_payload_len(a);

	return len == mnl_attr_get_payload_len(b) &&
	       memcmp(mnl_attr_get_payload(a), mnl_attr_get_payload(b), len) == 0;
}

/* Whether `have` has everything that is in `want`. */
static bool has_all(const struct nlattr *have, const struct nlattr *want)
{
	const struct nlattr *w, *h;

	for (w = mnl_attr_get_payload(want); netlink_is_in(w, want); w = mnl_attr_next(w)) {
		h = netlink_nested(have, mnl_attr_get_type(w));
		if (!h || !(w->nla_type & NLA_F_NESTED ? has_all(h, w) : same_payload(h, w)))
			return false;
	}
	return true;
}

static bool is_counter(const struct nlattr *expression)
{
	const struct nlattr *name = netlink_nested(expression, NFTA_EXPR_NAME);

	return name && mnl_attr_validate(name, MNL_TYPE_NUL_STRING) >= 0 &&
	       strcmp(mnl_attr_get_str(name), "counter") == 0;
}

/* What has been counted is no difference. */
static bool same_expressions(const struct nlattr *have, const struct nlattr *want)
{
	const struct nlattr *h = mnl_attr_get_payload(have), *w = mnl_attr_get_payload(want);

	for (; netlink_is_in(h, have) && netlink_is_in(w, want);
	     h = mnl_attr_next(h), w = mnl_attr_next(w))
		if (!(is_counter(w) ? is_counter(h) : has_all(h, w)))
			return false;
	return !netlink_is_in(h, have) && !netlink_is_in(w, want);
}

static bool same_attribute(const struct nft_message *have, const struct nft_message *want,
			   unsigned type)
{
	const struct nlattr *h = netlink_attribute(have->message, type);
	const struct nlattr *w = netlink_attribute(want->message, type);

	if (!h || !w)
		return h == w;
	return w->nla_type & NLA_F_NESTED ? has_all(h, w) : same_payload(h, w);
}

static bool same_rule(const struct nft_message *have, const struct nft_message *want)
{
	const struct nlattr *h = netlink_attribute(have->message, NFTA_RULE_EXPRESSIONS);
	const struct nlattr *w = netlink_attribute(want->message, NFTA_RULE_EXPRESSIONS);

	if (!h || !w)
		return h == w;
	return same_expressions(h, w) && same_attribute(have, want, NFTA_RULE_USERDATA);
}

/* The next rule of the chain from *at on, which is set behind it; NULL: there is none. */
static const struct nft_message *next_rule(const struct nft_message_list *rules, const char *chain,
					   size_t *at)
{
	while (*at < rules->n && strcmp(rules->items[*at].name, chain) != 0)
		(*at)++;
	return *at < rules->n ? &rules->items[(*at)++] : NULL;
}

static bool same_chain(const struct nft_seen *have, const struct nft_seen *want, const char *name)
{
	const struct nft_message *h = nft_message_find(&have->chains, name),
				 *w = nft_message_find(&want->chains, name);
	size_t h_at = 0, w_at = 0;

	if (!h || !w || !same_attribute(h, w, NFTA_CHAIN_HOOK) ||
	    !same_attribute(h, w, NFTA_CHAIN_TYPE) || !same_attribute(h, w, NFTA_CHAIN_POLICY))
		return false;
	do {
		h = next_rule(&have->rules, name, &h_at);
		w = next_rule(&want->rules, name, &w_at);
		if (!h || !w)
			return h == w;
	} while (same_rule(h, w));
	return false;
}

static bool same_elements(const struct nft_seen *have, const struct nft_seen *want)
{
	for (size_t i = 0; i < want->elements.n && have->elements.n == want->elements.n; i++) {
		const struct nft_element *h = &have->elements.items[i];
		const struct nft_element *w = &want->elements.items[i];

		if (strcmp(h->set, w->set) != 0 || h->end != w->end ||
		    memcmp(h->key, w->key, sizeof(h->key)) != 0)
			return false;
	}
	return have->elements.n == want->elements.n;
}

static bool same_sets(const struct nft_seen *have, const struct nft_seen *want)
{
	for (size_t i = 0; i < want->sets.n; i++) {
		const struct nft_message *w = &want->sets.items[i];
		const struct nft_message *h = nft_message_find(&have->sets, w->name);

		if (!h || !same_attribute(h, w, NFTA_SET_FLAGS) ||
		    !same_attribute(h, w, NFTA_SET_KEY_TYPE) ||
		    !same_attribute(h, w, NFTA_SET_KEY_LEN))
			return false;
	}
	return have->sets.n == want->sets.n && same_elements(have, want);
}

bool nft_seen_equal(const struct nft_seen *have, const struct nft_seen *want)
{
	bool same = have->exists == want->exists && have->dormant == want->dormant &&
		    have->chains.n == want->chains.n && have->rules.n == want->rules.n &&
		    same_sets(have, want);

	for (size_t i = 0; i < want->chains.n && same; i++)
		same = same_chain(have, want, want->chains.items[i].name);
	return same;
}

void nft_seen_differs(enum family family, const struct nft_seen *have, const struct nft_seen *want,
		      struct strbuf *out)
{
	size_t begun;

	if (nft_seen_equal(have, want))
		return;
	strbuf_addf(out, "%s%s nf_tables: ", out->len ? "; " : "", family_name(family));
	if (!have->exists || !want->exists) {
		strbuf_addf(out, "table " NFT_TABLE " is %s",
			    want->exists ? "gone" : "there again");
		return;
	}
	begun = out->len;
	if (have->dormant)
		strbuf_add(out, "table " NFT_TABLE " is dormant");
	for (size_t i = 0; i < want->chains.n; i++) {
		const char *name = want->chains.items[i].name;

		if (!same_chain(have, want, name))
			strbuf_addf(out, "%schain %s is %s", out->len > begun ? ", " : "", name,
				    nft_message_find(&have->chains, name) ? "not as it was"
									  : "gone");
	}
	for (size_t i = 0; i < have->chains.n; i++)
		if (!nft_message_find(&want->chains, have->chains.items[i].name))
			strbuf_addf(out, "%schain %s has come", out->len > begun ? ", " : "",
				    have->chains.items[i].name);
	if (!same_sets(have, want))
		strbuf_addf(out, "%ssets are not as they were", out->len > begun ? ", " : "");
}

static uint64_t counted(const struct nft_message *rule, unsigned type)
{
	const struct nlattr *list = netlink_attribute(rule->message, NFTA_RULE_EXPRESSIONS), *e;

	for (e = list ? mnl_attr_get_payload(list) : NULL; e && netlink_is_in(e, list);
	     e = mnl_attr_next(e)) {
		const struct nlattr *data = netlink_nested(e, NFTA_EXPR_DATA);
		const struct nlattr *value =
			data && is_counter(e) ? netlink_nested(data, type) : NULL;

		if (value && mnl_attr_validate(value, MNL_TYPE_U64) >= 0)
			return be64toh(mnl_attr_get_u64(value));
	}
	return 0;
}

static void add_traffic(struct snapshot_traffic *traffic, const struct nft_rule *rule, uint64_t n)
{
	size_t i = 0;

	if (rule->excludes)
		traffic->excluded += n;
	if (rule->action != NFT_ACTION_REDIRECT && rule->action != NFT_ACTION_DNAT)
		return;
	while (i < ELEMENTS(traffic->redirected) && traffic->redirected[i].port != 0 &&
	       traffic->redirected[i].port != rule->number)
		i++;
	if (i == ELEMENTS(traffic->redirected))
		return;
	traffic->redirected[i].port = rule->number;
	traffic->redirected[i].n += n;
}

static void add_chain(const struct nft_chain *chain, const struct nft_seen *have,
		      const struct nft_seen *want, struct snapshot_table *ret,
		      struct snapshot_traffic *traffic)
{
	size_t h_at = 0, w_at = 0;

	ret->exists = ret->exists || nft_message_find(&have->chains, chain->name);
	ret->equal = ret->equal && same_chain(have, want, chain->name);
	ret->expected += (unsigned)chain->n;
	for (size_t i = 0; i < chain->n; i++) {
		const struct nft_message *w = next_rule(&want->rules, chain->name, &w_at);
		const struct nft_message *h = next_rule(&have->rules, chain->name, &h_at);
		const struct nft_rule *rule = &chain->items[i];

		if (!h || !w || !same_rule(h, w))
			continue;
		if (rule->action == NFT_ACTION_REDIRECT) {
			ret->packets += counted(h, NFTA_COUNTER_PACKETS);
			ret->bytes += counted(h, NFTA_COUNTER_BYTES);
		}
		add_traffic(traffic, rule, counted(h, NFTA_COUNTER_PACKETS));
	}
	for (h_at = 0; next_rule(&have->rules, chain->name, &h_at);)
		ret->rules++;
}

void nft_snapshot(const struct nft_table *rules, const struct nft_seen *have,
		  const struct nft_seen *want, struct snapshot_table ret[static TABLE_COUNT],
		  struct snapshot_traffic *traffic)
{
	size_t known = 0;

	for (enum table t = 0; t < TABLE_COUNT; t++)
		ret[t].equal = true;
	for (size_t i = 0; i < rules->chains.n; i++)
		add_chain(rules->chains.items[i], have, want, &ret[rules->chains.items[i]->table],
			  traffic);
	for (enum table t = 0; t < TABLE_COUNT; t++) {
		known += ret[t].rules;
		ret[t].equal = ret[t].equal && have->dormant == want->dormant;
	}
	/* What is in no chain of ours redirects, if anything. */
	ret[TABLE_NAT].rules += (unsigned)(have->rules.n - known);
	ret[TABLE_NAT].equal = ret[TABLE_NAT].equal && have->rules.n == known &&
			       have->chains.n == want->chains.n && same_sets(have, want);
}
