/* SPDX-License-Identifier: GPL-2.0-or-later */

/* From the command line to rules and commands, on a host whose /opt and /etc/resolv.conf are made
 * up. What that needs root for is skipped without. */

#include "daemon/load/generation.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/rules/print_restore.h"
#include "tests/present.h"

#define OTHER 65534
/* A data plane token, {"Name":"web"}. */
#define TOKEN                                   \
	"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9." \
	"eyJOYW1lIjoid2ViIiwiZXhwIjoyMDAwMDAwMDAwfQ.c2lnbmF0dXJl"

#define PROXY                                                                   \
	"kumaDP: {cpAddress: 'https://cp:5678', name: web,\n"                   \
	"  tokenFile: /opt/token, path: /opt/kuma-dp, envoyPath: /opt/envoy}\n" \
	"redirect: {dns: {enabled: true}}\n"                                    \
	"coreDNS: {path: /opt/coredns}\n"
#define CONFIG PROXY "kumaDPUser: nobody\n"

struct scene {
	char config[64], resolv[64]; /* files in /tmp */
	char argument[96];
	struct generation *g;
	char *argv[3]; /* which the generation refers to */
	struct error err;
};

static struct scene s;

static void write_text(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "we");

	cr_assert_not_null(f, "%s: %s", path, strerror(errno));
	cr_assert_geq(fputs(text, f), 0);
	cr_assert_eq(fclose(f), 0);
	cr_assert_eq(chmod(path, mode), 0);
}

static void make_file(char *path, size_t size, const char *name)
{
	int fd;

	(void)snprintf(path, size, "/tmp/generation.%s.XXXXXX", name);
	fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	(void)close(fd);
}

static void setup(void)
{
	static const char *const names[] = { "TPROXYD_BUILD", "TPROXYD_TEST_PROXIES",
					     "TPROXYD_TEST_SEED", "TPROXYD_CONFIG_FILE" };

	for (size_t i = 0; i < ELEMENTS(names); i++)
		(void)unsetenv(names[i]);
	make_file(s.config, sizeof(s.config), "config");
	make_file(s.resolv, sizeof(s.resolv), "resolv");
	(void)snprintf(s.argument, sizeof(s.argument), "--config-file=%s", s.config);
}

static void teardown(void)
{
	generation_free(s.g);
	(void)unlink(s.config);
	(void)unlink(s.resolv);
}

TestSuite(generation, .init = setup, .fini = teardown);

/* A host with programs, a token and a resolv.conf, for this test only. */
static void make_host(void)
{
	if (getuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/opt", "tmpfs", 0, "mode=0755") < 0)
		cr_skip_test("needs root");
	write_text("/opt/kuma-dp", "#!/bin/sh\necho 'Kuma: 2.13.10'\n", 0755);
	write_text("/opt/envoy", "#!/bin/sh\n", 0755);
	write_text("/opt/coredns", "#!/bin/sh\n", 0755);
	write_text("/opt/token", TOKEN, 0600);
	write_text(s.resolv, "nameserver 192.0.2.1\n", 0644);
	cr_assert_eq(mount(s.resolv, "/etc/resolv.conf", NULL, MS_BIND, NULL), 0);
}

static int load(const char *config, enum generation_purpose purpose)
{
	static char verb[] = "verb";

	s.argv[0] = verb;
	s.argv[1] = s.argument;
	write_text(s.config, config, 0644);
	return generation_new(2, s.argv, purpose, &s.g, &s.err);
}

static int load_words(char *first)
{
	static char verb[] = "verb";

	s.argv[0] = verb;
	s.argv[1] = first;
	return generation_new(2, s.argv, GENERATION_RUN, &s.g, &s.err);
}

static bool says(const struct generation *g, const char *words)
{
	for (size_t i = 0; i < g->options.diags.n; i++)
		if (strstr(g->options.diags.items[i].text, words))
			return true;
	options_print_diags(&g->options.diags);
	return false;
}

Test(generation, is_none_when_help_is_asked_for)
{
	cr_assert_not_null(freopen("/dev/null", "we", stdout));
	cr_expect_eq(load_words((char[]){ "--help" }), OPTIONS_HELP);
	cr_expect_null(s.g);
}

Test(generation, is_none_when_an_option_is_wrong)
{
	cr_expect_eq(load_words((char[]){ "--no-such-option" }), OPTIONS_USAGE);
	cr_expect(strstr(s.err.text, "--no-such-option"), "%s", s.err.text);
	cr_expect_null(s.g);
}

/* A mistake in the configuration ends it before the host is looked at, but for check. */
Test(generation, tells_of_mistakes_in_the_configuration)
{
	cr_assert_eq(load("redirect: {inbound: {port: 70000}}\n", GENERATION_RUN), 0);
	cr_expect(says(present(s.g), "70000"));
	cr_expect_eq(generation_exit_status(s.g), EX_CONFIG);
	cr_expect_null(s.g->command[CHILD_KUMA_DP].path);
	cr_expect_null(s.g->facts.kuma_dp.path);
}

Test(generation, judges_the_host_for_check_whatever_is_wrong)
{
	make_host();
	cr_assert_eq(
		load("kumaDPUser: nobody\nredirect: {inbound: {port: 70000}}\n", GENERATION_CHECK),
		0, "%s", s.err.text);
	cr_expect(says(present(s.g), "70000"));
	cr_expect(says(s.g, "kuma-dp"));
	cr_expect_eq(generation_exit_status(s.g), EX_CONFIG);
}

/* What a misspelt key was to say is not known: nothing that may follow from it is said. */
Test(generation, says_nothing_of_the_host_where_a_file_could_not_be_read)
{
	make_host();
	cr_assert_eq(load("kumaDP: {pth: /opt/kuma-dp}\n", GENERATION_CHECK), 0, "%s", s.err.text);
	cr_expect(says(present(s.g), "unknown key \"kumaDP.pth\""));
	cr_expect(says(s.g, "only the configuration was judged, as far as it could be read"));
	cr_expect_eq(s.g->options.diags.n, 2);
	cr_expect_eq(generation_exit_status(s.g), EX_CONFIG);
}

/* A host on which nothing was done yet: first what is needed, in the order of the shipped file. */
Test(generation, says_how_to_begin_where_there_is_no_configuration)
{
	static const char *const needed[] = { NULL, "kumaDP.cpAddress", "kumaDP.tokenFile",
					      "kumaDP.dataplaneFile" };
	static char verb[] = "check";

	make_host();
	if (mount("tmpfs", "/etc", "tmpfs", 0, "mode=0755") < 0)
		cr_skip_test("needs root");
	s.argv[0] = verb;
	cr_assert_eq(generation_new(1, s.argv, GENERATION_CHECK, &s.g, &s.err), 0, "%s",
		     s.err.text);
	cr_expect(says(present(s.g), "`tproxyd describe yaml >/etc/tproxyd/tproxyd.yaml`"));
	cr_assert_geq(s.g->options.diags.n, ELEMENTS(needed));
	for (size_t i = 1; i < ELEMENTS(needed); i++)
		cr_expect_str_eq(s.g->options.diags.items[i].setting, needed[i]);
	cr_expect_eq(generation_exit_status(s.g), EX_CONFIG);
}

Test(generation, is_of_the_configuration_only_for_a_check_without_root)
{
	if (getuid() == 0)
		cr_assert_eq(chown(s.config, OTHER, OTHER) + seteuid(OTHER), 0);
	cr_assert_eq(load(CONFIG, GENERATION_CHECK), 0, "%s", s.err.text);
	cr_expect(says(present(s.g), "judging this host needs root"));
	cr_expect_eq(generation_exit_status(s.g), 0);
	cr_assert_eq(seteuid(getuid()), 0);
}

Test(generation, has_rules_and_commands_for_run)
{
	make_host();
	cr_assert_eq(load(CONFIG, GENERATION_RUN), 0, "%s", s.err.text);
	options_print_diags(&present(s.g)->options.diags);
	cr_assert_eq(generation_exit_status(s.g), 0);
	cr_expect_eq(s.g->number, 1);
	cr_expect_str_eq(s.g->command[CHILD_KUMA_DP].path, "/opt/kuma-dp");
	cr_expect_str_eq(s.g->command[CHILD_KUMA_DP].argv.items[1], "run");
	cr_expect_not(ruleset_equal(&s.g->rules[LEVEL_NONE], &s.g->rules[LEVEL_FULL]));
}

Test(generation, has_rules_and_no_commands_for_install)
{
	make_host();
	cr_assert_eq(load("kumaDPUser: nobody\n", GENERATION_INSTALL), 0, "%s", s.err.text);
	cr_assert_eq(generation_exit_status(present(s.g)), 0);
	cr_expect_not(ruleset_equal(&s.g->rules[LEVEL_NONE], &s.g->rules[LEVEL_FULL]));
	cr_expect_null(s.g->command[CHILD_KUMA_DP].path);
}

Test(generation, does_not_run_without_its_user)
{
	make_host();
	cr_assert_eq(load(PROXY "kumaDPUser: no-such-user\n", GENERATION_RUN), 0, "%s", s.err.text);
	cr_expect(says(present(s.g), "there is no such user yet: run 'tproxyd prepare'"));
	cr_expect_eq(generation_exit_status(s.g), EXIT_FAILURE);
}

/* Only the servers that DNS is redirected for change with resolv.conf. */
Test(generation, follows_resolv_conf)
{
	_cleanup_(generation_freep) struct generation *next = NULL;
	_cleanup_(generation_freep) struct generation *last = NULL;
	uint64_t before[2], after[2];

	make_host();
	cr_assert_eq(load(CONFIG, GENERATION_RUN), 0, "%s", s.err.text);
	write_text(s.resolv, "nameserver 192.0.2.2\nnameserver 192.0.2.3\n", 0644);
	cr_assert_eq(generation_follow(present(s.g), &next, &s.err), 0, "%s", s.err.text);
	cr_expect_eq(next->number, 2);
	cr_expect_eq(generation_exit_status(next), 0);
	cr_expect_eq(s.g->plan.family[FAMILY_V4].dns_servers.n, 1);
	cr_expect_eq(next->plan.family[FAMILY_V4].dns_servers.n, 2);
	cr_expect_not(ruleset_equal(&s.g->rules[LEVEL_FULL], &next->rules[LEVEL_FULL]));
	cr_expect(ruleset_equal(&s.g->rules[LEVEL_NO_DNS], &next->rules[LEVEL_NO_DNS]));
	command_digest(&s.g->command[CHILD_KUMA_DP], before);
	command_digest(&next->command[CHILD_KUMA_DP], after);
	cr_expect_arr_eq(before, after, sizeof(before));

	/* It needs none of those that were before it. */
	generation_free(s.g);
	s.g = NULL;
	cr_assert_eq(generation_follow(next, &last, &s.err), 0, "%s", s.err.text);
	cr_expect(ruleset_equal(&next->rules[LEVEL_FULL], &last->rules[LEVEL_FULL]));
	generation_free(take_ptr(next));
	cr_expect_eq(last->number, 3);
	cr_expect_str_eq(last->command[CHILD_KUMA_DP].argv.items[1], "run");
}

/* Everything is read again: what is in files, and what the host has. */
Test(generation, is_made_again)
{
	_cleanup_(generation_freep) struct generation *next = NULL;
	struct change change;

	make_host();
	cr_assert_eq(load(CONFIG, GENERATION_RUN), 0, "%s", s.err.text);
	cr_assert_eq(generation_again(present(s.g), &next, &s.err), 0, "%s", s.err.text);
	cr_expect_eq(next->number, 2);
	generation_compare(s.g, next, &change);
	cr_expect_eq(change.needs, 0);
	cr_expect_eq(change.words.n, 0, "%s", change.words.items[0]);
	generation_free(take_ptr(next));

	write_text("/opt/token", TOKEN "\n", 0600);
	write_text(s.config, CONFIG "failure: {holdRules: 5s}\n", 0644);
	cr_assert_eq(generation_again(s.g, &next, &s.err), 0, "%s", s.err.text);
	generation_compare(s.g, next, &change);
	cr_expect_eq(change.needs, CHANGE_KUMA_DP | CHANGE_DAEMON);
	cr_assert_eq(change.words.n, 2);
	cr_expect_str_eq(change.words.items[0], "failure.holdRules: 5s instead of 30s");
	cr_expect_str_eq(change.words.items[1], "the token");
	generation_free(take_ptr(next));

	write_text(s.config, "kumaDP: {cpAddress: nonsense}\n", 0644);
	cr_assert_eq(generation_again(s.g, &next, &s.err), 0, "%s", s.err.text);
	cr_expect_eq(generation_exit_status(next), EX_CONFIG);
}

/* The loop waits for it. */
Test(generation, is_made_again_without_asking_a_program_that_is_the_same)
{
	static const char program[] = "#!/bin/sh\necho >>/opt/asked/times\necho 'Kuma: 2.13.10'\n";
	_cleanup_(generation_freep) struct generation *next = NULL;
	struct stat st;

	make_host();
	write_text("/opt/kuma-dp", program, 0755);
	cr_assert_eq(mkdir("/opt/asked", 0777), 0);
	cr_assert_eq(chmod("/opt/asked", 0777), 0);
	cr_assert_eq(load(CONFIG, GENERATION_RUN), 0, "%s", s.err.text);
	cr_assert_eq(generation_again(present(s.g), &next, &s.err), 0, "%s", s.err.text);
	cr_expect_eq(generation_exit_status(next), 0);
	cr_expect_eq(next->plan.children.minor, 13);
	cr_assert_eq(stat("/opt/asked/times", &st), 0);
	cr_expect_eq(st.st_size, 1);
	generation_free(take_ptr(next));
	write_text("/opt/kuma-dp", program, 0755);
	cr_assert_eq(generation_again(s.g, &next, &s.err), 0, "%s", s.err.text);
	cr_assert_eq(stat("/opt/asked/times", &st), 0);
	cr_expect_eq(st.st_size, 2);
}

Test(generation, is_not_made_again_from_standard_input)
{
	_cleanup_(generation_freep) struct generation *next = NULL;

	make_host();
	write_text(s.config, CONFIG, 0644);
	cr_assert_not_null(freopen(s.config, "re", stdin));
	cr_assert_eq(load_words((char[]){ "--config-file=-" }), 0, "%s", s.err.text);
	cr_assert_eq(generation_exit_status(present(s.g)), 0);
	cr_expect_lt(generation_again(s.g, &next, &s.err), 0);
	cr_expect(strstr(s.err.text, "standard input, which cannot be read again"), "%s",
		  s.err.text);
}
