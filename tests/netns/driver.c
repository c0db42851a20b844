/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A netfilter backend from the command line, with the plans of tests/unit/rules_plans.h:
 *
 *     driver list                                     the names of the plans
 *     driver text PLAN ipv4|ipv6 [LEVEL]              as iptables-restore takes it
 *     driver apply PLAN LEVEL recorded|recognised RECORD
 *     driver read PLAN LEVEL RECORD
 *     driver cycle PLAN RECORD N                      from full to no-dns and back, N times
 *     driver bench PLAN N                             microseconds of N applies, in memory
 *     driver probe                                    what nf_tables can do, a line for each family
 *     driver address add|remove|present INTERFACE
 *
 * PLAN may be followed by ":v4" (IPv6 disabled), ":bare" (no comments), ":ports" (other ports).
 * Exit 0; 1 with the sentence on stderr; 75 busy.
 *
 * HOOK="N fail ERRNO", "N kill", "N killafter", "N run COMMAND" (N "*": each) does so instead of,
 * before or after the N-th replacement of a table; "counters fail ERRNO" to each setting of
 * counters. BACKEND=nftables: "N refuse" makes the kernel refuse the N-th message of the batch, "ERRNO
 * fail" is sending's; "0 lost" drops the answers; "0 kill" and "0 killafter" are as above. OWNED=1: the
 * tables are the driver's.
 */

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "daemon/netfilter/loopback.h"
#include "daemon/netfilter/backends/backends.h"
#include "daemon/netfilter/nft/probe.h"
#include "daemon/netfilter/record.h"
#include "tests/unit/rules_plans.h"

#define SO_REPLACE      64 /* IPT_SO_SET_REPLACE, IP6T_SO_SET_REPLACE */
#define SO_ADD_COUNTERS 65
#define EXIT_BUSY       75

static unsigned replaced;
static bool blind, was_blind; /* the next look at a table fails, once */

static int do_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}

/* libip4tc and libip6tc find these two before libc's. */
__attribute__((visibility("default"))) int getsockopt(int fd, int level, int name, void *value,
						      socklen_t *len)
{
	if (blind && (level == IPPROTO_IP || level == IPPROTO_IPV6)) {
		blind = false;
		errno = ENOMEM;
		return -1;
	}
	return (int)syscall(SYS_getsockopt, fd, level, name, value, len);
}

__attribute__((visibility("default"))) int setsockopt(int fd, int level, int name,
						      const void *value, socklen_t len)
{
	const char *hook = getenv("HOOK");
	char when[16] = "", what[16] = "";
	int used = 0, r;

	if ((level != IPPROTO_IP && level != IPPROTO_IPV6) ||
	    (name != SO_REPLACE && name != SO_ADD_COUNTERS))
		return do_setsockopt(fd, level, name, value, len);
	replaced += name == SO_REPLACE;
	if (!hook || sscanf(hook, "%15s %15s %n", when, what, &used) < 2)
		return do_setsockopt(fd, level, name, value, len);
	if (name == SO_ADD_COUNTERS ? strcmp(when, "counters") != 0
				    : strcmp(when, "*") != 0 && (unsigned)atoi(when) != replaced)
		return do_setsockopt(fd, level, name, value, len);

	if (strcmp(what, "blind") == 0 && was_blind)
		return do_setsockopt(fd, level, name, value, len);
	was_blind = blind = strcmp(what, "blind") == 0;
	if (blind || strcmp(what, "fail") == 0) {
		errno = atoi(hook + used);
		return -1;
	}
	if (strcmp(what, "run") == 0 && system(hook + used) != 0)
		(void)fprintf(stderr, "%s failed\n", hook + used);
	if (strcmp(what, "kill") == 0)
		(void)kill(getpid(), SIGKILL);
	r = do_setsockopt(fd, level, name, value, len);
	if (strcmp(what, "killafter") == 0)
		(void)kill(getpid(), SIGKILL);
	return r;
}

/* Of a batch to nf_tables. */
__attribute__((visibility("default"))) ssize_t send(int fd, const void *data, size_t len, int flags)
{
	const char *hook = getenv("HOOK");
	char when[16] = "", what[16] = "", answer[64];
	struct nlmsghdr *message = (void *)(uintptr_t)data;
	int left = (int)len;
	ssize_t r;

	replaced++;
	if (!hook || sscanf(hook, "%15s %15s", when, what) != 2)
		return sendto(fd, data, len, flags, NULL, 0);
	for (int n = atoi(when); n > 0 && mnl_nlmsg_ok(message, left); n--)
		message = mnl_nlmsg_next(message, &left);
	if (strcmp(what, "refuse") == 0 && mnl_nlmsg_ok(message, left))
		message->nlmsg_type |= 0xff;
	if (strcmp(what, "fail") == 0) {
		errno = atoi(when);
		return -1;
	}
	if (strcmp(what, "kill") == 0)
		(void)kill(getpid(), SIGKILL);
	r = sendto(fd, data, len, flags, NULL, 0);
	if (strcmp(what, "killafter") == 0)
		(void)kill(getpid(), SIGKILL);
	while (strcmp(what, "lost") == 0 && recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
		continue;
	return r;
}

static const struct netfilter_backend *backend(void)
{
	const char *name = getenv("BACKEND");

	return netfilter_backends[name && strcmp(name, "nftables") == 0 ? BACKEND_NFTABLES
									: BACKEND_IPTABLES];
}

/* Of all applies. */
static struct netfilter_channel channel = { .fd = -EBADF };

struct setup {
	struct arena arena;
	struct plan plan;
	struct ruleset rules;
};

static int die(const char *what)
{
	(void)fprintf(stderr, "%s\n", what);
	exit(1);
}

static enum level level_of(const char *name)
{
	for (enum level level = 0; level < LEVEL_COUNT; level++)
		if (strcmp(level_name(level), name) == 0)
			return level;
	return (enum level)die("unknown level");
}

static void setup_init(struct setup *s, const char *name, enum level level)
{
	size_t len = strcspn(name, ":");

	s->plan = plan_default();
	for (size_t i = 0; i < ELEMENTS(examples); i++)
		if (strlen(examples[i].name) == len && strncmp(examples[i].name, name, len) == 0)
			examples[i].fill(&s->arena, &s->plan);
	if (strstr(name, ":v4"))
		s->plan.family[FAMILY_V6] = (struct plan_family){ .enabled = false };
	if (strstr(name, ":bare"))
		s->plan.comments = false;
	if (strstr(name, ":ports")) {
		s->plan.inbound.port = 25006;
		s->plan.outbound.port = 25001;
		s->plan.dns_port = 25053;
	}
	ruleset_build(&s->arena, &s->plan, level, &s->rules);
	if (s->arena.failed)
		(void)die("no memory");
}

static int apply(const struct setup *s, enum scope scope, struct record *record, struct error *err)
{
	const struct netfilter_wish wish = {
		.rules = &s->rules,
		.scope = scope,
		.channel = &channel,
	};
	struct netfilter_report report = { 0 };
	int r = backend()->find(err);

	if (r != 0)
		return r;
	r = backend()->apply(&wish, record, &report, err);
	for (size_t i = 0; i < report.left.n; i++)
		(void)printf("left %s\n", report.left.items[i]);
	netfilter_report_done(&report);
	return r;
}

static int run_text(char **argv)
{
	struct setup s = { 0 };
	struct strbuf out = { 0 };

	setup_init(&s, argv[0], argv[2] ? level_of(argv[2]) : LEVEL_FULL);
	print_restore(&s.rules, strcmp(argv[1], "ipv6") == 0 ? FAMILY_V6 : FAMILY_V4, &out);
	(void)fputs(strbuf_text(&out), stdout);
	strbuf_done(&out);
	arena_done(&s.arena);
	return 0;
}

static int run_apply(char **argv, struct error *err)
{
	enum scope scope = strcmp(argv[2], "recognised") == 0 ? SCOPE_RECOGNISED : SCOPE_RECORDED;
	struct setup s = { 0 };
	struct record record = { 0 };
	int r;

	setup_init(&s, argv[0], level_of(argv[1]));
	r = record_load(argv[3], &record, err) == 0 ? 0 : err->code;
	if (r == 0)
		r = apply(&s, scope, &record, err);
	if (r == 0)
		(void)printf("%u\n", replaced);
	record_done(&record);
	arena_done(&s.arena);
	return r;
}

static int run_read(char **argv, struct error *err)
{
	struct setup s = { 0 };
	struct record record = { 0 };
	struct snapshot snapshot;
	bool address;
	int r;

	setup_init(&s, argv[0], level_of(argv[1]));
	r = record_load(argv[2], &record, err);
	if (r == 0)
		r = backend()->find(err);
	if (r == 0)
		r = backend()->read(&s.rules, &record, &snapshot, err);
	for (enum family f = 0; f < FAMILY_COUNT && r == 0; f++) {
		for (enum table t = 0; t < TABLE_COUNT; t++) {
			const struct snapshot_table *table = &snapshot.table[f][t];

			(void)printf("%s %s %s %u/%u %s %lu\n", family_name(f), table_name(t),
				     table->exists ? "exists" : "absent", table->rules,
				     table->expected, table->equal ? "equal" : "differs",
				     table->packets);
		}
	}
	if (r == 0)
		r = loopback_v6_present("lo", &address, err);
	if (r == 0)
		(void)printf("::6 %s\n", address ? "present" : "absent");
	record_done(&record);
	arena_done(&s.arena);
	return r;
}

/* What a daemon does under a busy lock: ask again later. */
static int apply_patiently(const struct setup *s, struct record *record, unsigned *busy,
			   struct error *err)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };
	int r;

	for (unsigned n = 0; n < 5000; n++) {
		r = apply(s, SCOPE_RECORDED, record, err);
		if (r != NETFILTER_BUSY)
			return r;
		(*busy)++;
		(void)nanosleep(&pause, NULL);
	}
	return NETFILTER_BUSY;
}

static int run_cycle(char **argv, struct error *err)
{
	struct setup full = { 0 }, less = { 0 };
	struct record record = { 0 };
	unsigned busy = 0;
	int r;

	setup_init(&full, argv[0], LEVEL_FULL);
	setup_init(&less, argv[0], LEVEL_NO_DNS);
	r = record_load(argv[1], &record, err);
	for (int n = 0; n < atoi(argv[2]) && r == 0; n++) {
		r = apply_patiently(&less, &record, &busy, err);
		if (r == 0)
			r = apply_patiently(&full, &record, &busy, err);
	}
	(void)printf("%u busy, %u replaced\n", busy, replaced);
	record_done(&record);
	arena_done(&full.arena);
	arena_done(&less.arena);
	return r;
}

static uint64_t now_nsec(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static uint64_t median_usec(uint64_t *nsec, size_t n)
{
	qsort(nsec, n, sizeof(*nsec), compare_u64);
	return nsec[n / 2] / 1000;
}

static int run_bench(char **argv, struct error *err)
{
	size_t n = (size_t)atoi(argv[1]);
	_free_ uint64_t *in = calloc(n, sizeof(*in)), *again = calloc(n, sizeof(*again)),
			*out = calloc(n, sizeof(*out));
	struct setup full = { 0 }, other = { 0 }, none = { 0 };
	struct record record = { 0 };
	_free_ char *ports = NULL;
	int r = 0;

	if (!in || !again || !out || asprintf(&ports, "%s:ports", argv[0]) < 0)
		return -ENOMEM;
	setup_init(&full, argv[0], LEVEL_FULL);
	setup_init(&other, ports, LEVEL_FULL);
	setup_init(&none, argv[0], LEVEL_NONE);
	for (size_t i = 0; i < n && r == 0; i++) {
		uint64_t start = now_nsec(), t1, t2;

		r = apply(&full, SCOPE_RECORDED, &record, err);
		t1 = now_nsec();
		if (r == 0)
			r = apply(&other, SCOPE_RECORDED, &record, err);
		t2 = now_nsec();
		if (r == 0)
			r = apply(&none, SCOPE_RECORDED, &record, err);
		in[i] = t1 - start;
		again[i] = t2 - t1;
		out[i] = now_nsec() - t2;
	}
	(void)printf("apply %lu, other ports %lu, remove %lu\n", median_usec(in, n),
		     median_usec(again, n), median_usec(out, n));
	record_done(&record);
	arena_done(&full.arena);
	arena_done(&other.arena);
	arena_done(&none.arena);
	return r;
}

static int run_probe(struct error *err)
{
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		struct facts_family facts = { 0 };
		const struct facts_abilities *have = &facts.ability[BACKEND_NFTABLES];
		int r = nft_probe(CHECK_INSTALL, f, &facts, err);

		if (r < 0)
			return r;
		(void)printf("%s: %s; %s; %s; %s\n", family_name(f),
			     have->no_redirect ? have->no_redirect : "redirects",
			     have->no_owner ? have->no_owner : "owner",
			     have->no_zones ? have->no_zones : "zones",
			     have->no_drop_invalid ? have->no_drop_invalid : "states");
	}
	return 0;
}

static int run_address(char **argv, struct error *err)
{
	bool flag = false;
	int r;

	if (strcmp(argv[0], "remove") == 0)
		return loopback_v6_remove(argv[1], err);
	if (strcmp(argv[0], "add") == 0)
		r = loopback_v6_add(argv[1], &flag, err);
	else
		r = loopback_v6_present(argv[1], &flag, err);
	if (r == 0)
		(void)puts(flag ? "yes" : "no");
	return r;
}

static int dispatch(int argc, char **argv, struct error *err)
{
	if (argc == 2 && strcmp(argv[1], "list") == 0) {
		for (size_t i = 0; i < ELEMENTS(examples); i++)
			(void)puts(examples[i].name);
		return 0;
	}
	if (argc >= 4 && strcmp(argv[1], "text") == 0)
		return run_text(argv + 2);
	if (argc == 6 && strcmp(argv[1], "apply") == 0)
		return run_apply(argv + 2, err);
	if (argc == 5 && strcmp(argv[1], "read") == 0)
		return run_read(argv + 2, err);
	if (argc == 5 && strcmp(argv[1], "cycle") == 0)
		return run_cycle(argv + 2, err);
	if (argc == 4 && strcmp(argv[1], "bench") == 0)
		return run_bench(argv + 2, err);
	if (argc == 2 && strcmp(argv[1], "probe") == 0)
		return run_probe(err);
	if (argc == 4 && strcmp(argv[1], "address") == 0)
		return run_address(argv + 2, err);
	return die("usage: see driver.c");
}

int main(int argc, char **argv)
{
	struct error err = { 0 };
	int r;

	channel.owned = getenv("OWNED") != NULL;
	r = dispatch(argc, argv, &err);

	if (r == NETFILTER_BUSY)
		return EXIT_BUSY;
	if (r == 0)
		return 0;
	(void)fprintf(stderr, "%s\n", err.text);
	return 1;
}
