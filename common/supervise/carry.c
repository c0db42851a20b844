/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/carry.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/base/parse.h"

struct fact {
	const char *name;
	size_t offset, size;
	uint64_t max;
};

#define FACT(name, field, max)                                                               \
	{                                                                                    \
		name, offsetof(struct carry, field), sizeof(((struct carry *)0)->field), max \
	}
#define CHILD_FACTS(name, id)                                                   \
	FACT(name ".pid", child[id].pid, INT_MAX),                              \
		FACT(name ".start-ticks", child[id].start_ticks, UINT64_MAX),   \
		FACT(name ".started-usec", child[id].started_usec, UINT64_MAX), \
		FACT(name ".starts", child[id].starts, UINT_MAX),               \
		FACT(name ".digest-1", child[id].digest[0], UINT64_MAX),        \
		FACT(name ".digest-2", child[id].digest[1], UINT64_MAX)

/* clang-format off */
static const struct fact facts[] = {
	FACT("wish",                  situation.wish,                WISH_STOP),
	FACT("proxy-alive",           situation.proxy_alive,         1),
	FACT("proxy-serving",         situation.proxy_serving,       1),
	FACT("dns-redirected",        situation.dns_redirected,      1),
	FACT("dns-serving",           situation.dns_serving,         1),
	FACT("served",                situation.served,              1),
	FACT("applied-level",         situation.applied,             LEVEL_UNKNOWN),
	FACT("applied-generation",    situation.applied_generation,  UINT_MAX),
	FACT("least-level",           situation.least,               LEVEL_FULL),
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

/* All numbers are unsigned, or a pid, which is not negative: one, four or eight bytes. */
static uint64_t load(const struct fact *fact, const struct carry *carry)
{
	const void *at = (const char *)carry + fact->offset;

	if (fact->size == sizeof(bool))
		return *(const bool *)at;
	return fact->size == sizeof(uint32_t) ? *(const uint32_t *)at : *(const uint64_t *)at;
}

static void store(const struct fact *fact, uint64_t value, struct carry *carry)
{
	void *at = (char *)carry + fact->offset;

	if (fact->size == sizeof(bool))
		*(bool *)at = value;
	else if (fact->size == sizeof(uint32_t))
		*(uint32_t *)at = (uint32_t)value;
	else
		*(uint64_t *)at = value;
}

void carry_print(const struct carry *carry, struct strbuf *out)
{
	for (size_t i = 0; i < ELEMENTS(facts); i++)
		strbuf_addf(out, "%s %llu\n", facts[i].name,
			    (unsigned long long)load(&facts[i], carry));
}

static size_t find_fact(const char *name, size_t len)
{
	size_t i = 0;

	while (i < ELEMENTS(facts) &&
	       (strlen(facts[i].name) != len || memcmp(facts[i].name, name, len) != 0))
		i++;
	return i;
}

int carry_parse(const char *text, struct carry *ret, struct error *err)
{
	bool seen[ELEMENTS(facts)] = { false };
	struct carry carry = { 0 };

	for (unsigned line = 1; *text; line++) {
		size_t len = strcspn(text, "\n"), name = strcspn(text, " \n");
		size_t i = find_fact(text, name);
		uint64_t value = 0;
		char word[24];

		if (i == ELEMENTS(facts) || seen[i] || name == len || text[len] != '\n')
			return error_set(err, -EBADMSG, "line %u of the state: \"%.*s\" is %s",
					 line, (int)(len < 60 ? len : 60), text,
					 i < ELEMENTS(facts) && seen[i] ? "there twice"
									: "not known here");
		(void)snprintf(word, sizeof(word), "%.*s", (int)(len - name - 1), text + name + 1);
		if (len - name - 1 >= sizeof(word) || !parse_decimal(word, facts[i].max, &value))
			return error_set(err, -EBADMSG, "line %u of the state: %s cannot be \"%s\"",
					 line, facts[i].name, word);
		store(&facts[i], value, &carry);
		seen[i] = true;
		text += len + 1;
	}
	for (size_t i = 0; i < ELEMENTS(facts); i++)
		if (!seen[i])
			return error_set(err, -EBADMSG, "the state lacks %s", facts[i].name);
	*ret = carry;
	return 0;
}
