/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/situation.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define NOW 1000

static const uint64_t times[] = { 0, NOW - 1, NOW, NOW + 1, NOW + 500, USEC_NEVER };
#define N_TIMES (sizeof(times) / sizeof(times[0]))

/* Calls check for every combination of the facts. */
static void for_every_situation(void (*check)(const struct situation *s))
{
	for (unsigned bits = 0; bits < 512; bits++)
		for (enum level applied = 0; applied <= LEVEL_UNKNOWN; applied++)
			for (size_t time = 0; time < N_TIMES * N_TIMES * N_TIMES; time++)
				check(&(struct situation){
					.wish = bits & 1 ? WISH_STOP : WISH_RUN,
					.proxy_alive = bits & 2,
					.proxy_serving = bits & 4,
					.dns_redirected = bits & 8,
					.dns_serving = bits & 16,
					.served = bits & 32,
					.disturbed = bits & 64,
					.kuma_dp_silent = bits & 128,
					.kept = bits & 256,
					.applied = applied,
					.least = (enum level)(time / N_TIMES % LEVEL_COUNT),
					.hold_until_usec = times[time % N_TIMES],
					.proxy_by_usec = times[time / N_TIMES % N_TIMES],
					.core_dns_by_usec =
						times[(time + time / N_TIMES) % N_TIMES],
					.confirm_until_usec = times[time / N_TIMES / N_TIMES],
					.now_usec = NOW,
				});
}

static void say(const struct situation *s, char *text, size_t size)
{
	(void)snprintf(
		text, size,
		"%s%s alive=%d serving=%d dns=%d/%d served=%d applied=%u/%u%s hold=%lld start=%lld "
		"confirm=%lld",
		s->wish == WISH_STOP ? "stop" : "run", s->kept ? " kept" : "", s->proxy_alive,
		s->proxy_serving, s->dns_redirected, s->dns_serving, s->served, s->applied,
		s->least, s->disturbed ? " disturbed" : "", (long long)s->hold_until_usec,
		(long long)s->proxy_by_usec, (long long)s->confirm_until_usec);
}

/* The table once more, a row a predicate; rows exclude each other and cover everything. */
struct row {
	const char *what;
	bool (*fits)(const struct situation *s);
	enum level (*wants)(const struct situation *s);
};

static bool down(const struct situation *s)
{
	return s->dns_redirected && !s->dns_serving;
}

static bool over(const struct situation *s)
{
	return s->hold_until_usec != USEC_NEVER && s->hold_until_usec <= s->now_usec;
}

static bool late(const struct situation *s)
{
	return s->confirm_until_usec != USEC_NEVER && s->confirm_until_usec <= s->now_usec;
}

static bool runs(const struct situation *s)
{
	return s->wish == WISH_RUN && s->served && !late(s);
}

static bool gone(const struct situation *s)
{
	return runs(s) && !s->proxy_serving;
}

static bool drainable(const struct situation *s)
{
	return s->proxy_alive && s->applied != LEVEL_NONE;
}

static bool never_served(const struct situation *s)
{
	return s->wish == WISH_RUN && !s->served;
}

static bool not_confirmed(const struct situation *s)
{
	return s->wish == WISH_RUN && s->served && late(s);
}

static bool not_confirmed_alive(const struct situation *s)
{
	return not_confirmed(s) && drainable(s);
}

static bool not_confirmed_gone(const struct situation *s)
{
	return not_confirmed(s) && !drainable(s);
}

static bool serves(const struct situation *s)
{
	return runs(s) && s->proxy_serving && !down(s);
}

static bool serves_without_dns(const struct situation *s)
{
	return runs(s) && s->proxy_serving && down(s);
}

static bool held(const struct situation *s)
{
	return gone(s) && !over(s) && !down(s);
}

static bool held_without_dns(const struct situation *s)
{
	return gone(s) && !over(s) && down(s);
}

static bool released_alive(const struct situation *s)
{
	return gone(s) && over(s) && drainable(s);
}

static bool released(const struct situation *s)
{
	return gone(s) && over(s) && !drainable(s);
}

static bool stop_alive(const struct situation *s)
{
	return s->wish == WISH_STOP && !s->kept && drainable(s);
}

static bool stop(const struct situation *s)
{
	return s->wish == WISH_STOP && !s->kept && !drainable(s);
}

static bool stop_kept(const struct situation *s)
{
	return s->wish == WISH_STOP && s->kept;
}

static enum level none(const struct situation *s)
{
	(void)s;
	return LEVEL_NONE;
}

static enum level drain(const struct situation *s)
{
	(void)s;
	return LEVEL_DRAIN;
}

static enum level no_dns(const struct situation *s)
{
	(void)s;
	return LEVEL_NO_DNS;
}

static enum level full(const struct situation *s)
{
	(void)s;
	return LEVEL_FULL;
}

static enum level kept(const struct situation *s)
{
	return s->applied == LEVEL_UNKNOWN ? s->least : s->applied;
}

static enum level as_it_is(const struct situation *s)
{
	enum level in = kept(s);

	if (in == LEVEL_FULL || in == LEVEL_NO_DNS)
		return in;
	return drainable(s) ? LEVEL_DRAIN : LEVEL_NONE;
}

static enum level as_it_is_less_dns(const struct situation *s)
{
	if (s->hold_until_usec == USEC_NEVER || as_it_is(s) != LEVEL_FULL)
		return as_it_is(s);
	return LEVEL_NO_DNS;
}

static const struct row rows[] = {
	{ "never served", never_served, none },
	{ "not confirmed, alive", not_confirmed_alive, drain },
	{ "not confirmed", not_confirmed_gone, none },
	{ "serving", serves, full },
	{ "serving, DNS down", serves_without_dns, no_dns },
	{ "held", held, as_it_is },
	{ "held, DNS down", held_without_dns, as_it_is_less_dns },
	{ "hold over, alive", released_alive, drain },
	{ "hold over", released, none },
	{ "stop, alive", stop_alive, drain },
	{ "stop", stop, none },
	{ "stop, kept", stop_kept, kept },
};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static void check_level(const struct situation *s)
{
	const struct row *row = NULL;
	char text[200];
	unsigned n = 0;

	for (size_t i = 0; i < N_ROWS; i++) {
		if (rows[i].fits(s)) {
			row = &rows[i];
			n++;
		}
	}
	say(s, text, sizeof(text));
	cr_assert_eq(n, 1, "%u rows fit %s", n, text);
	cr_expect_eq(wanted_level(s), row->wants(s), "row \"%s\": %u, not %u: %s", row->what,
		     wanted_level(s), row->wants(s), text);
}

Test(situation, wants_what_its_table_says_in_every_combination)
{
	for_every_situation(check_level);
}

static void check_order(const struct situation *s)
{
	bool redirects = wanted_level(s) == LEVEL_FULL || wanted_level(s) == LEVEL_NO_DNS;
	enum level in = s->applied == LEVEL_UNKNOWN ? s->least : s->applied;
	bool redirected = in == LEVEL_FULL || in == LEVEL_NO_DNS;
	char text[200];

	say(s, text, sizeof(text));
	/* New rules only in front of a proxy that serves and once served in full. */
	if (redirects && !redirected)
		cr_expect(s->proxy_serving && s->served && s->wish == WISH_RUN, "%s", text);
	/* What drains needs a process that serves it. */
	if (wanted_level(s) == LEVEL_DRAIN && s->applied != LEVEL_DRAIN && !stop_kept(s))
		cr_expect(s->proxy_alive && s->applied != LEVEL_NONE, "%s", text);
	/* What is not known is not left alone. */
	cr_expect_neq(wanted_level(s), LEVEL_UNKNOWN, "%s", text);
}

/* After an apply that failed either level may be in; after several, any of them. */
Test(situation, holds_the_least_of_what_may_be_in)
{
	struct situation s = { .served = true,
			       .proxy_alive = true,
			       .dns_serving = true,
			       .applied = LEVEL_FULL,
			       .hold_until_usec = USEC_NEVER,
			       .confirm_until_usec = USEC_NEVER };

	situation_not_applied(&s, LEVEL_NO_DNS);
	cr_expect_eq(s.applied, LEVEL_UNKNOWN);
	cr_expect_eq(wanted_level(&s), LEVEL_NO_DNS);
	situation_not_applied(&s, LEVEL_FULL);
	cr_expect_eq(wanted_level(&s), LEVEL_NO_DNS);
	situation_not_applied(&s, LEVEL_DRAIN);
	cr_expect_eq(wanted_level(&s), LEVEL_DRAIN);
	s.proxy_alive = false;
	cr_expect_eq(wanted_level(&s), LEVEL_NONE);
}

Test(situation, holds_what_a_predecessor_has_left)
{
	struct situation s = { .applied = LEVEL_UNKNOWN,
			       .hold_until_usec = USEC_NEVER,
			       .confirm_until_usec = USEC_NEVER };

	situation_inherited(&s, LEVEL_FULL, NOW);
	cr_expect_eq(wanted_level(&s), LEVEL_FULL);
	cr_expect(must_apply(&s));
	s.applied = LEVEL_FULL;
	cr_expect_eq(phase(&s), PHASE_HOLDING);
	/* Under another hold time it counts from now on. */
	situation_hold(&s, 500);
	cr_expect_eq(next_deadline(&s), NOW + 500);
}

Test(situation, never_wants_a_redirect_into_nothing)
{
	for_every_situation(check_order);
}

static enum phase phase_restated(const struct situation *s)
{
	bool in = s->applied == LEVEL_FULL || s->applied == LEVEL_NO_DNS;

	if (stop_alive(s) || (stop_kept(s) && kept(s) == LEVEL_DRAIN))
		return PHASE_DRAINING;
	if (s->wish == WISH_STOP)
		return s->applied == LEVEL_NONE && !s->proxy_alive ? PHASE_STOPPED : PHASE_STOPPING;
	if (never_served(s))
		return PHASE_STARTING;
	if (s->applied == LEVEL_UNKNOWN || (s->served && s->proxy_serving && s->disturbed))
		return PHASE_APPLYING;
	if (not_confirmed(s) && s->proxy_serving)
		return s->applied == (drainable(s) ? LEVEL_DRAIN : LEVEL_NONE) ? PHASE_RELEASED
									       : PHASE_APPLYING;
	if (serves(s))
		return s->applied == LEVEL_FULL && s->kuma_dp_silent ? PHASE_DEGRADED
		       : s->applied == LEVEL_FULL                    ? PHASE_REDIRECTING
								     : PHASE_APPLYING;
	if (serves_without_dns(s))
		return s->applied == LEVEL_NO_DNS ? PHASE_DEGRADED : PHASE_APPLYING;
	return in ? PHASE_HOLDING : PHASE_RELEASED;
}

static void check_phase(const struct situation *s)
{
	char text[200];

	say(s, text, sizeof(text));
	cr_expect_eq(phase(s), phase_restated(s), "%s, not %s: %s", phase_name(phase(s)),
		     phase_name(phase_restated(s)), text);
}

Test(situation, names_the_phase_of_every_combination)
{
	for_every_situation(check_phase);
}

static void check_repair(const struct situation *s)
{
	struct situation later = *s;
	char text[200];

	say(s, text, sizeof(text));
	later.repair_usec = NOW + 1;
	cr_expect_eq(must_apply(s), must_apply(&later) || s->disturbed, "%s", text);
	later.disturbed = false;
	cr_expect_eq(must_apply(&later), s->applied != wanted_level(s), "%s", text);
}

Test(situation, puts_right_what_others_have_changed_when_it_is_time)
{
	for_every_situation(check_repair);
}

static void check_overdue(const struct situation *s)
{
	bool runs = s->wish == WISH_RUN;
	char text[200];

	say(s, text, sizeof(text));
	cr_expect_eq(proxy_overdue(s), runs && s->proxy_by_usec <= NOW, "%s", text);
	cr_expect_eq(core_dns_overdue(s), runs && s->core_dns_by_usec <= NOW, "%s", text);
}

Test(situation, gives_each_process_its_time)
{
	for_every_situation(check_overdue);
}

static bool same_answers(const struct situation *s, uint64_t now_usec)
{
	struct situation later = *s;

	later.now_usec = now_usec;
	return wanted_level(&later) == wanted_level(s) && phase(&later) == phase(s) &&
	       proxy_overdue(&later) == proxy_overdue(s) &&
	       core_dns_overdue(&later) == core_dns_overdue(s);
}

static void check_deadline(const struct situation *s)
{
	static const uint64_t moments[] = { NOW + 1,   NOW + 2,   NOW + 499,
					    NOW + 500, NOW + 501, USEC_NEVER - 1 };
	uint64_t deadline = next_deadline(s);
	char text[200];

	say(s, text, sizeof(text));
	cr_expect_gt(deadline, NOW, "a deadline that is over: %s", text);
	for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++)
		if (moments[i] < deadline)
			cr_expect(same_answers(s, moments[i]), "changes before its deadline: %s",
				  text);
	if (deadline != USEC_NEVER)
		cr_expect_not(same_answers(s, deadline), "nothing changes at %llu: %s",
			      (unsigned long long)deadline, text);
}

Test(situation, answers_change_at_the_next_deadline_and_not_before)
{
	for_every_situation(check_deadline);
}

Test(situation, has_a_name_of_its_own_for_every_phase)
{
	for (enum phase a = 0; a <= PHASE_COUNT; a++)
		for (enum phase b = 0; b < a; b++)
			cr_expect_str_neq(phase_name(a), phase_name(b));
}
