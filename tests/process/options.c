/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "daemon/os/fd.h"
#include "daemon/load/options.h"

#define WORDS_MAX 12

/* What the runner says in TPROXYD_… is not for the program. */
ReportHook(PRE_ALL)(_unused_ struct criterion_test_set *tests)
{
	static const char *const names[] = { "TPROXYD_BUILD", "TPROXYD_TEST_PROXIES",
					     "TPROXYD_TEST_SEED", "TPROXYD_CONFIG_FILE" };

	for (size_t i = 0; i < ELEMENTS(names); i++)
		(void)unsetenv(names[i]);
}

struct line {
	struct arena arena;
	struct options options;
	struct error err;
	int r;
};

static void line_done(struct line *l)
{
	arena_done(&l->arena);
}
#define _line_ _cleanup_(line_done)

/* Reads the words, which end with NULL, as a command line of a verb. */
static void read_line(struct line *l, struct command_line line, const char *const *words)
{
	char *argv[WORDS_MAX + 2] = { (char[]){ "verb" } };

	memset(l, 0, sizeof(*l));
	line.argv = argv;
	for (line.argc = 1; *words; words++)
		argv[line.argc++] = arena_strdup(&l->arena, *words);
	cr_assert_leq(line.argc, WORDS_MAX);
	l->r = options_load(&l->arena, &line, &l->options, &l->err);
}

#define LINE(l, from, ...)                                        \
	read_line((l), (struct command_line){ .source = (from) }, \
		  (const char *const[]){ __VA_ARGS__, NULL })

static void expect_usage(struct line *l, const char *text)
{
	cr_assert_eq(l->r, OPTIONS_USAGE);
	cr_assert_str_eq(l->err.text, text);
}

static bool says(const struct line *l, const char *part)
{
	for (size_t i = 0; i < l->options.diags.n; i++) {
		_strbuf_ struct strbuf text = { 0 };

		diag_print(&l->options.diags.items[i], &text);
		if (strstr(strbuf_text(&text), part))
			return true;
	}
	return false;
}

/* A file with that content; the path is in the arena. */
static const char *write_file(struct arena *arena, const char *text)
{
	char path[] = "/tmp/tproxyd-options-XXXXXX";
	_close_ int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return arena_strdup(arena, path);
}

Test(options, take_values_behind_an_equals_sign_or_in_the_next_word)
{
	_line_ struct line l;

	LINE(&l, OPTIONS_NAMED, "--redirect-dns-port=53", "--kuma-dp-user", "x", "--vnet", "--a");
	cr_assert_eq(l.r, 0, "%s", l.err.text);
	cr_assert_eq(l.options.diags.n, 0);
	cr_assert_eq(l.options.loaded.config.redirect.dns.port, 53);
	cr_assert_str_eq(l.options.loaded.config.kuma_dp_user, "x");
	cr_assert_str_eq(l.options.loaded.config.redirect.vnet.networks.items[0], "--a");
}

Test(options, that_are_switches_never_take_the_next_word)
{
	_line_ struct line l;

	LINE(&l, OPTIONS_NAMED, "transparent-proxy", "--verbose", "false", "--redirect-inbound=0",
	     "--", "--dry-run");
	cr_assert_eq(l.r, 0);
	cr_assert(l.options.loaded.config.verbose);
	cr_assert_not(l.options.loaded.config.redirect.inbound.enabled);
	cr_assert_not(l.options.loaded.config.dry_run);
}

Test(options, that_nobody_knows_are_usage_errors_with_a_suggestion)
{
	_line_ struct line a, b, c, d, e;

	LINE(&a, OPTIONS_NAMED, "--redirect-inboud-port=1");
	expect_usage(&a, "unknown option --redirect-inboud-port; did you mean "
			 "--redirect-inbound-port?");
	LINE(&b, OPTIONS_NAMED, "--nonsense");
	expect_usage(&b, "unknown option --nonsense");
	LINE(&c, OPTIONS_NAMED, "-v");
	expect_usage(&c, "unknown option -v; options begin with two dashes");
	LINE(&d, OPTIONS_NAMED, "--config");
	expect_usage(&d, "option --config needs a value");
	LINE(&e, OPTIONS_NONE, "--wait=1");
	expect_usage(&e, "unknown option --wait");
}

Test(options, of_our_own_are_none_of_install)
{
	_line_ struct line a, b, c;

	LINE(&a, OPTIONS_NAMED, "--kuma-dp-path=/x");
	cr_assert_eq(a.r, OPTIONS_USAGE);
	LINE(&b, OPTIONS_NAMED, "--backend=iptables", "--safety-protect-ssh=true");
	cr_assert_eq(b.r, 0);
	cr_assert_eq(b.options.loaded.config.backend, BACKEND_IPTABLES);
	LINE(&c, OPTIONS_SYSTEM, "--kuma-dp-path=/x", "--config-file=/dev/null");
	cr_assert_eq(c.r, 0, "%s", c.err.text);
	cr_assert_str_eq(c.options.loaded.config.kuma_dp.path, "/x");
}

Test(options, that_kumactl_inherits_are_accepted_without_effect)
{
	_line_ struct line l, m, n;

	LINE(&l, OPTIONS_NAMED, "--log-level", "debug", "--context=x", "--no-config",
	     "--api-timeout", "1s");
	cr_assert_eq(l.r, 0, "%s", l.err.text);
	cr_assert_eq(l.options.loaded.config.log_level, LOG_LEVEL_INFO);
	LINE(&m, OPTIONS_SYSTEM, "--config-file=/dev/null", "--log-level=debug");
	cr_assert_eq(m.options.loaded.config.log_level, LOG_LEVEL_DEBUG);
	LINE(&n, OPTIONS_NAMED, "--api-timeout", "5");
	cr_assert_eq(n.r, OPTIONS_USAGE);
}

Test(options, for_dns_exclude_each_other_as_flags)
{
	_line_ struct line a, b, c;

	LINE(&a, OPTIONS_NAMED, "--redirect-dns", "--redirect-all-dns-traffic");
	expect_usage(&a, "only one of --redirect-dns and --redirect-all-dns-traffic can be given");
	LINE(&b, OPTIONS_NAMED, "--redirect-dns=false", "--redirect-all-dns-traffic");
	cr_assert_eq(b.r, 0);
	LINE(&c, OPTIONS_NAMED, "--config", "redirect: {dns: {enabled: true}}",
	     "--redirect-all-dns-traffic");
	cr_assert_eq(c.r, 0);
	cr_assert(c.options.loaded.config.redirect.dns.enabled);
	cr_assert(c.options.loaded.config.redirect.dns.capture_all);
}

Test(options, of_the_verb_are_switches)
{
	bool quiet = false, loud = true;
	const struct option_row rows[] = { { "quiet", &quiet, "x" }, { "loud", &loud, "x" } };
	const struct command_line line = { .rows = rows, .n_rows = 2 };
	_line_ struct line l, m;

	read_line(&l, line, (const char *const[]){ "--quiet", "--loud=false", NULL });
	cr_assert_eq(l.r, 0);
	cr_assert(quiet);
	cr_assert_not(loud);
	read_line(&m, line, (const char *const[]){ "--quiet=perhaps", NULL });
	expect_usage(&m, "option --quiet takes no value (but true or false)");
}

Test(words, are_those_that_the_verb_knows)
{
	static const char *const choices[] = { "one", "two", NULL };
	const struct command_line line = { .choices = choices };
	_line_ struct line a, b, c, d, e;

	read_line(&a, line, (const char *const[]){ "two", NULL });
	cr_assert_eq(a.r, 0);
	cr_assert_eq(a.options.choice, 1);
	read_line(&b, line, (const char *const[]){ "three", NULL });
	expect_usage(&b, "one of these words is needed: one, two");
	read_line(&c, line, (const char *const[]){ "one", "two", NULL });
	expect_usage(&c, "one of these words is needed: one, two");
	read_line(&d, line, (const char *const[]){ NULL });
	expect_usage(&d, "one of these words is needed: one, two");
	LINE(&e, OPTIONS_SYSTEM, "/etc/tproxyd/other.yaml");
	expect_usage(&e, "'/etc/tproxyd/other.yaml' is not an option");
}

Test(uninstall, knows_kumactls_few_options_and_reads_nothing)
{
	_line_ struct line l, m;

	cr_assert_eq(setenv("KUMA_TRANSPARENT_PROXY_WAIT", "77", 1), 0);
	LINE(&l, OPTIONS_KUMACTL_UNINSTALL, "--dry-run", "--verbose", "--ebpf-enabled",
	     "--ebpf-bpffs-path", "/x", "--config-file", "/nowhere");
	cr_assert_eq(l.r, 0, "%s", l.err.text);
	cr_assert_eq(l.options.diags.n, 0);
	cr_assert(l.options.loaded.config.dry_run);
	cr_assert_eq(l.options.loaded.config.wait, 5);
	LINE(&m, OPTIONS_KUMACTL_UNINSTALL, "--redirect-dns");
	cr_assert_eq(m.r, OPTIONS_USAGE);
}

Test(config, may_be_a_path_or_the_text_itself_in_order)
{
	struct arena arena = { 0 };
	const char *one = write_file(&arena, "wait: 1\nretry: {maxRetries: 11}\nverbose: true\n");
	const char *two = write_file(&arena, "wait: 2\nretry: {maxRetries: 12}\n");
	_line_ struct line l;

	LINE(&l, OPTIONS_NAMED, "--config", two, "--config", "wait: 3\\nwaitInterval: 4",
	     "--config", " ", "--config", "{\"log\": {\"level\": 5}}", "--config-file", one);
	cr_assert_eq(l.r, 0);
	cr_assert_eq(l.options.diags.n, 0);
	cr_assert(l.options.loaded.config.verbose);
	cr_assert_eq(l.options.loaded.config.retry.max_retries, 12);
	cr_assert_eq(l.options.loaded.config.wait, 3);
	cr_assert_eq(l.options.loaded.config.wait_interval, 4);
	cr_assert_eq(l.options.loaded.config.log.level, 5);
	cr_assert_str_eq(loaded_origin(&l.options.loaded, "waitInterval")->name, "--config");
	cr_assert_eq(loaded_origin(&l.options.loaded, "waitInterval")->line, 2);
	(void)unlink(one);
	(void)unlink(two);
	arena_done(&arena);
}

Test(config, reads_standard_input_once)
{
	struct arena arena = { 0 };
	const char *path = write_file(&arena, "wait: 9\n");
	_line_ struct line l;
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	cr_assert_eq(dup2(fd, STDIN_FILENO), STDIN_FILENO);
	LINE(&l, OPTIONS_NAMED, "--config= - ", "--config", "-");
	cr_assert_eq(l.options.diags.n, 0);
	cr_assert_eq(l.options.loaded.config.wait, 9);
	cr_assert_str_eq(loaded_origin(&l.options.loaded, "wait")->name, "standard input");
	(void)unlink(path);
	arena_done(&arena);
}

Test(config, that_cannot_be_read_is_a_mistake_with_its_name)
{
	_line_ struct line l, m;

	LINE(&l, OPTIONS_NAMED, "--config=/nowhere/a.yaml", "--config", "/tmp");
	cr_assert_eq(l.r, 0);
	cr_assert(says(&l, "/nowhere/a.yaml: error: cannot be read: No such file or directory"));
	cr_assert(says(&l, "/tmp: error: cannot be read: Is a directory"));
	LINE(&m, OPTIONS_SYSTEM, "--config-file=/nowhere/a.yaml");
	cr_assert_eq(m.options.diags.n_errors, 1);
}

Test(config, comes_from_the_environment_and_flags_last)
{
	_line_ struct line l;

	cr_assert_eq(setenv("KUMA_TRANSPARENT_PROXY_WAIT", "7", 1), 0);
	cr_assert_eq(setenv("KUMA_TRANSPARENT_PROXY_WAIT_INTERVAL", "7", 1), 0);
	LINE(&l, OPTIONS_NAMED, "--config", "{wait: 6, waitInterval: 6}", "--wait=8");
	cr_assert_eq(l.options.loaded.config.wait, 8);
	cr_assert_eq(l.options.loaded.config.wait_interval, 7);
}

Test(config_file, of_the_option_beats_that_of_the_variable)
{
	struct arena arena = { 0 };
	const char *one = write_file(&arena, "wait: 1\n");
	const char *two = write_file(&arena, "wait: 2\n");
	_line_ struct line l, m;

	cr_assert_eq(setenv("TPROXYD_CONFIG_FILE", one, 1), 0);
	LINE(&l, OPTIONS_SYSTEM, "--wait-interval=1");
	cr_assert_eq(l.options.loaded.config.wait, 1);
	cr_assert_eq(l.options.diags.n, 0);
	LINE(&m, OPTIONS_SYSTEM, "--config-file", two);
	cr_assert_eq(m.options.loaded.config.wait, 2);
	(void)unlink(one);
	(void)unlink(two);
	arena_done(&arena);
}

Test(config_file, that_is_a_fifo_is_not_waited_for, .timeout = 10)
{
	char path[] = "/tmp/options.XXXXXX", said[128];
	_line_ struct line l, m;

	cr_assert_not_null(mkdtemp(path));
	cr_assert_eq(rmdir(path), 0);
	cr_assert_eq(mkfifo(path, 0600), 0);
	LINE(&l, OPTIONS_SYSTEM, "--config-file", path);
	(void)snprintf(said, sizeof(said), "%s: error: is a FIFO: a file is needed", path);
	cr_expect(says(&l, said));
	(void)unlink(path);
	LINE(&m, OPTIONS_SYSTEM, "--config-file=/dev/null");
	cr_expect_eq(m.options.diags.n, 0);
}

Test(config_file, that_is_too_long_is_refused)
{
	_line_ struct line l;

	LINE(&l, OPTIONS_SYSTEM, "--config-file=/dev/zero");
	cr_assert(says(&l, "/dev/zero: error: longer than 1048576 bytes"));
}
