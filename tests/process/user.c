/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/host/user.h"

#include <criterion/criterion.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* An /etc of this process's own, with the user database of an almost empty host. */
static void own_etc(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0)
		cr_skip_test("needs root and a mount namespace");
	cr_assert(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	cr_assert(
		system("set -e; keep=$(mktemp -d); cp -a /etc/login.defs /etc/ld.so.cache $keep;"
		       "[ ! -d /etc/pam.d ] || cp -a /etc/pam.d /etc/pam.conf $keep;"
		       "mount -t tmpfs -o mode=755 none /etc; cp -a $keep/* /etc; rm -r $keep;"
		       "printf 'passwd: files\\ngroup: files\\nshadow: files\\n' >/etc/nsswitch.conf;"
		       "printf 'root:x:0:0:root:/root:/bin/sh\\n' >/etc/passwd;"
		       "printf 'root:x:0:\\nshadow:x:42:\\n' >/etc/group;"
		       "printf 'root:*:19000:0:99999:7:::\\n' >/etc/shadow;"
		       "printf 'root:*::\\n' >/etc/gshadow; chmod 640 /etc/shadow /etc/gshadow") ==
		0);
}

/* Adds a line to a file of the private /etc. */
static void etc_add(const char *file, const char *line)
{
	FILE *f = fopen(file, "ae");

	cr_assert(f != NULL);
	cr_assert(fprintf(f, "%s\n", line) > 0);
	cr_assert(fclose(f) == 0);
}

/* Leaves no useradd to be found, as on a minimal image. */
static void hide_useradd(void)
{
	cr_assert(system("for f in /usr/sbin/useradd /sbin/useradd /usr/bin/useradd; do"
			 " [ ! -e $f ] || mount --bind /dev/null $f; done") == 0);
}

static const struct new_user kuma_dp = { "kuma-dp", .uid_5678 = true };
static const struct new_user mesh_proxy = { .name = "mesh-proxy" };

static struct facts_user lookup(struct arena *arena, const char *asked, const char **name)
{
	struct facts_user user;
	struct error err = { 0 };
	const char *unused;

	cr_assert(user_lookup(arena, asked, &user, name ? name : &unused, &err) == 0, "%s",
		  err.text);
	return user;
}

Test(user, finds_a_user_by_name_and_by_number)
{
	struct arena arena = { 0 };
	struct facts_user by_name = lookup(&arena, "root", NULL);
	struct facts_user by_number = lookup(&arena, "0", NULL);

	cr_expect(by_name.found && by_name.uid == 0 && by_name.gid == 0);
	cr_expect(by_number.found);
	cr_expect_str_eq(by_number.name, "root");
	arena_done(&arena);
}

Test(user, does_not_find_a_number_that_has_no_entry)
{
	struct arena arena = { 0 };

	cr_expect(!lookup(&arena, "3999999999", NULL).found);
	cr_expect(!lookup(&arena, "99999999999999999999", NULL).found);
	cr_expect(!lookup(&arena, "00", NULL).found);
	cr_expect(!lookup(&arena, "nobody-has-this-name", NULL).found);
	arena_done(&arena);
}

Test(user, takes_a_number_as_uid_before_it_takes_it_as_name)
{
	struct arena arena = { 0 };

	own_etc();
	etc_add("/etc/passwd", "4321:x:1001:1001::/:/bin/false");
	cr_expect(lookup(&arena, "4321", NULL).uid == 1001);
	etc_add("/etc/passwd", "other:x:4321:1001::/:/bin/false");
	cr_expect(lookup(&arena, "4321", NULL).uid == 4321);
	arena_done(&arena);
}

Test(user, prefers_uid_5678_to_the_name_when_nobody_is_named)
{
	struct arena arena = { 0 };
	const char *name = "unset";

	own_etc();
	cr_expect(!lookup(&arena, "", &name).found);
	cr_expect(name == NULL);
	etc_add("/etc/passwd", "kuma-dp:x:900:900::/:/bin/false");
	cr_expect(lookup(&arena, "", &name).uid == 900);
	etc_add("/etc/passwd", "taken:x:5678:900::/:/bin/false");
	cr_expect(lookup(&arena, "", &name).uid == 5678);
	cr_expect_str_eq(name, "taken");
	arena_done(&arena);
}

Test(user, lists_supplementary_groups_without_the_own_one)
{
	struct arena arena = { 0 };

	own_etc();
	etc_add("/etc/passwd", "kuma-dp:x:5678:5678::/:/bin/false");
	etc_add("/etc/group", "kuma-dp:x:5678:kuma-dp");
	etc_add("/etc/group", "certs:x:700:kuma-dp");
	struct facts_user user = lookup(&arena, "kuma-dp", NULL);
	cr_assert(user_groups(&arena, &user, NULL) == 0);
	cr_assert(user.n_groups == 1);
	cr_expect(user.groups[0] == 700);
	arena_done(&arena);
}

static void expect_kuma_dp(void)
{
	struct passwd *entry = getpwnam("kuma-dp");

	cr_assert(entry != NULL);
	cr_expect(entry->pw_uid == 5678);
	cr_expect(entry->pw_gid == 5678);
	cr_expect_str_eq(entry->pw_dir, "/nonexistent");
	cr_expect(strstr(entry->pw_shell, "nologin") || strstr(entry->pw_shell, "false"), "%s",
		  entry->pw_shell);
	struct group *group = getgrgid(5678);
	cr_assert(group != NULL);
	cr_expect_str_eq(group->gr_name, "kuma-dp");
}

Test(user, creates_uid_5678_with_a_group_of_that_number)
{
	struct error err = { 0 };

	own_etc();
	cr_assert(user_create(&kuma_dp, &err) == 0, "%s", err.text);
	expect_kuma_dp();
}

Test(user, creates_by_sysusers_where_useradd_is_missing)
{
	struct error err = { 0 };

	own_etc();
	hide_useradd();
	cr_assert(user_create(&kuma_dp, &err) == 0, "%s", err.text);
	expect_kuma_dp();
	cr_assert(user_create(&mesh_proxy, &err) == 0, "%s", err.text);
	cr_expect(getpwnam("mesh-proxy") != NULL);
}

Test(user, gives_another_name_a_system_uid)
{
	struct error err = { 0 };
	struct passwd *entry;

	own_etc();
	cr_assert(user_create(&mesh_proxy, &err) == 0, "%s", err.text);
	entry = getpwnam("mesh-proxy");
	cr_assert(entry != NULL);
	cr_expect(entry->pw_uid < 1000 && entry->pw_uid > 0);
	cr_expect(strcmp(entry->pw_dir, "/nonexistent") == 0);
}

Test(user, has_another_group_number_where_5678_is_taken)
{
	struct error err = { 0 };
	struct passwd *entry;

	own_etc();
	etc_add("/etc/group", "taken:x:5678:");
	cr_assert(user_create(&kuma_dp, &err) == 0, "%s", err.text);
	entry = getpwnam("kuma-dp");
	cr_assert(entry != NULL);
	cr_expect(entry->pw_uid == 5678);
	cr_expect(entry->pw_gid != 5678);
	cr_expect_str_eq(getgrgid(entry->pw_gid)->gr_name, "kuma-dp");
}

Test(user, quotes_the_tool_that_refused_and_takes_the_group_back)
{
	struct error err = { 0 };

	own_etc();
	/* useradd cannot lock the file behind this, groupadd has no need of it. */
	cr_assert(mkdir("/etc/passwd.lock", 0700) == 0);
	cr_expect(user_create(&kuma_dp, &err) < 0);
	cr_expect(strstr(err.text, "create user kuma-dp: ") == err.text, "%s", err.text);
	cr_expect(strstr(err.text, "useradd exited with status "), "%s", err.text);
	cr_expect(strstr(err.text, "passwd"), "%s", err.text);
	cr_expect(getgrnam("kuma-dp") == NULL);
}
