/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/carry.h"

#include <limits.h>

#define FACT(name, field, max) HANDOVER_NUMBER(name, carry, field, max)
#define CHILD_FACTS(name, id)                                                   \
	FACT(name ".pid", child[id].pid, INT_MAX),                              \
		FACT(name ".start-ticks", child[id].start_ticks, UINT64_MAX),   \
		FACT(name ".started-usec", child[id].started_usec, UINT64_MAX), \
		FACT(name ".starts", child[id].starts, UINT_MAX),               \
		FACT(name ".digest-1", child[id].digest[0], UINT64_MAX),        \
		FACT(name ".digest-2", child[id].digest[1], UINT64_MAX)

/* clang-format off */
static const struct handover_fact facts[] = {
	FACT("wish",                  situation.wish,                WISH_STOP),
	FACT("proxy-alive",           situation.proxy_alive,         1),
	FACT("proxy-serving",         situation.proxy_serving,       1),
	FACT("dns-redirected",        situation.dns_redirected,      1),
	FACT("dns-serving",           situation.dns_serving,         1),
	FACT("served",                situation.served,              1),
	FACT("applied-level",         situation.applied,             LEVEL_UNKNOWN),
	FACT("applied-generation",    situation.applied_generation,  UINT_MAX),
	FACT("least-level",           situation.least,               LEVEL_FULL),
	FACT("kept",                  situation.kept,                1),
	FACT("disturbed",             situation.disturbed,           1),
	FACT("repair-usec",           situation.repair_usec,         UINT64_MAX),
	FACT("generation",            situation.generation,          UINT_MAX),
	FACT("hold-until-usec",       situation.hold_until_usec,     UINT64_MAX),
	FACT("lost-usec",             situation.lost_usec,           UINT64_MAX),
	FACT("proxy-by-usec",         situation.proxy_by_usec,       UINT64_MAX),
	FACT("coredns-by-usec",       situation.core_dns_by_usec,    UINT64_MAX),
	FACT("own-coredns",           situation.own_core_dns,        1),
	FACT("kuma-dp-silent",        situation.kuma_dp_silent,      1),
	FACT("dns-failures",          situation.dns_failures,        63),
	FACT("confirm-until-usec",    situation.confirm_until_usec,  UINT64_MAX),
	FACT("phase",                 said,                          PHASE_COUNT),
	FACT("ready",                 ready,                         1),
	FACT("started-usec",          started_usec,                  UINT64_MAX),
	CHILD_FACTS("kuma-dp", CHILD_KUMA_DP),
	CHILD_FACTS("coredns", CHILD_CORE_DNS),
};
/* clang-format on */

static const struct handover_table table = { facts, ELEMENTS(facts) };

void carry_print(const struct carry *carry, struct strbuf *out)
{
	handover_add_facts(out, "", &table, carry);
}

int carry_take(struct handover *handover, struct carry *ret, struct error *err)
{
	struct carry carry = { 0 };
	int r = handover_take_facts(handover, "", &table, &carry, err);

	if (r == 0)
		*ret = carry;
	return r;
}
