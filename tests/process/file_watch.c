/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A file that others replace in their ways, in a directory of our own. */

#include "daemon/os/file_watch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NEWS_USEC  ((uint64_t)20 * 1000 * 1000) /* given up after */
#define QUIET_USEC ((uint64_t)300 * 1000)       /* nothing comes within */

struct scene {
	char dir[32];
	char home[64], path[80]; /* DIR/home, DIR/home/link */
	char away[64], file[80]; /* DIR/away, DIR/away/file */
	sd_event *event;
	struct file_watch *watch;
	unsigned news;
};

static struct scene s;

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	cr_assert_not_null(f, "%s", path);
	cr_assert_geq(fputs(text, f), 0);
	cr_assert_eq(fclose(f), 0);
}

static void on_changed(void *userdata)
{
	struct scene *scene = userdata;

	scene->news++;
}

static void setup(void)
{
	strcpy(s.dir, "/tmp/watch.XXXXXX");
	cr_assert_not_null(mkdtemp(s.dir));
	(void)snprintf(s.home, sizeof(s.home), "%s/home", s.dir);
	cr_assert_eq(mkdir(s.home, 0700), 0);
	(void)snprintf(s.path, sizeof(s.path), "%s/link", s.home);
	(void)snprintf(s.away, sizeof(s.away), "%s/away", s.dir);
	(void)snprintf(s.file, sizeof(s.file), "%s/file", s.away);
	cr_assert_eq(sd_event_new(&s.event), 0);
}

static void teardown(void)
{
	file_watch_free(s.watch);
	sd_event_unref(s.event);
	(void)unlink(s.path);
	(void)unlink(s.file);
	(void)rmdir(s.away);
	(void)rmdir(s.home);
	cr_expect_eq(rmdir(s.dir), 0);
}

TestSuite(file_watch, .init = setup, .fini = teardown);

/* Runs the loop until there is news, or for as long as none is allowed. */
static bool has_news(uint64_t usec)
{
	unsigned before = s.news;
	uint64_t now, end;

	cr_assert_geq(sd_event_now(s.event, CLOCK_MONOTONIC, &end), 0);
	end += usec;
	do {
		cr_assert_geq(sd_event_run(s.event, 10000), 0);
		cr_assert_geq(sd_event_now(s.event, CLOCK_MONOTONIC, &now), 0);
	} while (s.news == before && now < end);
	return s.news != before;
}

static void expect_news(const char *what)
{
	cr_expect(has_news(NEWS_USEC), "%s", what);
	cr_expect_not(has_news(QUIET_USEC), "%s", what);
}

static int watch_path(const char *path, struct error *err)
{
	const struct file_watch_setup setup = { s.event, path, on_changed, &s };

	return file_watch_new(&setup, &s.watch, err);
}

static void watch(void)
{
	struct error err = { 0 };

	cr_assert_eq(watch_path(s.path, &err), 0, "%s", err.text);
	expect_news("at first");
}

Test(file_watch, tells_of_a_file_that_is_written_replaced_or_deleted)
{
	write_file(s.path, "1");
	watch();
	write_file(s.path, "2");
	expect_news("written");
	cr_assert_eq(mkdir(s.away, 0700), 0);
	write_file(s.file, "3");
	cr_assert_eq(rename(s.file, s.path), 0);
	expect_news("replaced");
	cr_assert_eq(unlink(s.path), 0);
	expect_news("deleted");
	write_file(s.path, "4");
	expect_news("back");
}

Test(file_watch, tells_of_many_changes_once)
{
	write_file(s.path, "1");
	watch();
	for (int i = 0; i < 50; i++)
		write_file(s.path, "2");
	expect_news("written fifty times");
	cr_expect_eq(s.news, 2);
}

Test(file_watch, does_not_wait_for_ever_until_others_come_to_rest)
{
	uint64_t now, end;

	write_file(s.path, "1");
	watch();
	cr_assert_geq(sd_event_now(s.event, CLOCK_MONOTONIC, &end), 0);
	end += NEWS_USEC;
	do {
		write_file(s.path, "2");
		cr_assert_geq(sd_event_run(s.event, 10000), 0);
		cr_assert_geq(sd_event_now(s.event, CLOCK_MONOTONIC, &now), 0);
	} while (s.news == 1 && now < end);
	cr_expect_eq(s.news, 2);
}

Test(file_watch, follows_a_link_to_where_it_leads)
{
	cr_assert_eq(mkdir(s.away, 0700), 0);
	write_file(s.file, "1");
	cr_assert_eq(symlink("../away/file", s.path), 0);
	watch();
	write_file(s.file, "2");
	expect_news("written behind the link");
	cr_assert_eq(unlink(s.path), 0);
	write_file(s.path, "3");
	expect_news("the link is a file");
	write_file(s.file, "4");
	cr_expect_not(has_news(QUIET_USEC), "where the link led");
}

Test(file_watch, waits_for_what_a_link_leads_to)
{
	cr_assert_eq(symlink("../away/file", s.path), 0);
	watch();
	cr_assert_eq(mkdir(s.away, 0700), 0);
	write_file(s.file, "1");
	expect_news("it is there");
	write_file(s.file, "2");
	expect_news("written");
}

Test(file_watch, survives_that_the_directory_behind_a_link_is_made_anew)
{
	cr_assert_eq(mkdir(s.away, 0700), 0);
	write_file(s.file, "1");
	cr_assert_eq(symlink("../away/file", s.path), 0);
	watch();
	cr_assert_eq(unlink(s.file), 0);
	cr_assert_eq(rmdir(s.away), 0);
	expect_news("gone");
	cr_assert_eq(mkdir(s.away, 0700), 0);
	write_file(s.file, "2");
	expect_news("back");
	write_file(s.file, "3");
	expect_news("written");
}

Test(file_watch, needs_the_directory_of_the_name)
{
	struct error err = { 0 };

	cr_expect_eq(watch_path("/nonexistent/file", &err), -ENOENT);
	cr_expect_str_eq(err.text, "watch /nonexistent/file: No such file or directory");
}

/* inotify_init1() has no instance to give, as where others of the user have them all. */
static void take_all_instances(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_inotify_init1, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EMFILE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

Test(file_watch, looks_from_time_to_time_where_nobody_tells)
{
	struct error err = { 0 };

	take_all_instances();
	write_file(s.path, "1");
	cr_assert_eq(watch_path(s.path, &err), FILE_WATCH_POLLS);
	cr_expect(strstr(err.text, "/link: Too many open files"), "%s", err.text);
	expect_news("at first");
	write_file(s.path, "2");
	expect_news("written");
}
