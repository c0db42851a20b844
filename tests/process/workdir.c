/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The children's directory and files, below a directory of our own in /tmp. As root they are
 * another user's, else our own. */

#include "daemon/process/workdir.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define STRANGER 65534

struct scene {
	char dir[32];
	char work[64];    /* DIR/work */
	char outside[64]; /* DIR/outside: a file that nobody may touch */
	uid_t uid;
	gid_t gid;
	struct error err;
};

static struct scene s;

/* DIR/NAME, in a buffer that the next call but three takes again. */
static const char *at(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", s.dir, name);
	return path;
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	cr_assert_not_null(f, "%s", path);
	cr_assert_geq(fputs(text, f), 0);
	cr_assert_eq(fclose(f), 0);
}

static void expect_text(const char *path, const char *expected)
{
	char text[64] = "";
	FILE *f = fopen(path, "re");

	cr_assert_not_null(f, "%s", path);
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	cr_assert_eq(fclose(f), 0);
	cr_expect_str_eq(text, expected, "%s has %s", path, text);
}

static void expect_owned(const char *path, mode_t mode)
{
	struct stat st;

	cr_assert_eq(lstat(path, &st), 0, "%s: %s", path, strerror(errno));
	cr_expect_eq(st.st_mode, mode, "%s has mode %o", path, st.st_mode);
	cr_expect_eq(st.st_uid, s.uid, "%s", path);
	cr_expect_eq(st.st_gid, s.gid, "%s", path);
}

/* We act as ourselves again whatever happened. */
static void expect_ourselves(void)
{
	cr_expect_eq((uid_t)setfsuid((uid_t)-1), geteuid());
	cr_expect_eq((gid_t)setfsgid((gid_t)-1), getegid());
}

static int wipe(void)
{
	int r = workdir_wipe(s.work, s.uid, s.gid, &s.err);

	expect_ourselves();
	return r;
}

static void setup(void)
{
	s.uid = getuid() == 0 ? 5678 : getuid();
	s.gid = getuid() == 0 ? 5679 : getgid();
	(void)umask(077);
	strcpy(s.dir, "/tmp/workdir.XXXXXX");
	cr_assert_not_null(mkdtemp(s.dir));
	cr_assert_eq(chmod(s.dir, 0755), 0);
	(void)snprintf(s.work, sizeof(s.work), "%s/work", s.dir);
	(void)snprintf(s.outside, sizeof(s.outside), "%s/outside", s.dir);
	write_text(s.outside, "mine");
}

static void teardown(void)
{
	struct error err = { 0 };

	cr_expect_eq(workdir_remove(s.work, s.uid, s.gid, &err), 0, "%s", err.text);
	expect_text(s.outside, "mine");
	cr_expect_eq(unlink(s.outside), 0);
	cr_expect_eq(rmdir(s.dir), 0, "%s", strerror(errno));
}

TestSuite(workdir, .init = setup, .fini = teardown);

Test(workdir, is_made_where_it_is_missing)
{
	/* What we make for ourselves has what the umask leaves. */
	mode_t mode = S_IFDIR | (getuid() == 0 ? 0711 : 0700);

	cr_assert_eq(wipe(), 0, "%s", s.err.text);
	expect_owned(s.work, mode);
	cr_assert_eq(wipe(), 0, "%s", s.err.text);
	expect_owned(s.work, mode);
}

/* A directory that root made, as another user's daemon would leave it. */
Test(workdir, is_given_to_its_user)
{
	cr_assert_eq(mkdir(s.work, 0700), 0);
	if (getuid() == 0)
		cr_assert_eq(chown(s.work, STRANGER, STRANGER), 0);
	cr_assert_eq(wipe(), 0, "%s", s.err.text);
	expect_owned(s.work, S_IFDIR | 0700);
}

Test(workdir, loses_everything_that_is_in_it)
{
	cr_assert_eq(wipe(), 0, "%s", s.err.text);
	write_text(at("work/file"), "text");
	write_text(at("work/.hidden"), "text");
	cr_assert_eq(mkdir(at("work/empty"), 0700), 0);
	cr_assert_eq(mkdir(at("work/full"), 0700), 0);
	cr_assert_eq(mkdir(at("work/full/deeper"), 0700), 0);
	write_text(at("work/full/deeper/file"), "text");
	cr_assert_eq(mkfifo(at("work/fifo"), 0600), 0);
	cr_assert_eq(symlink("nowhere", at("work/dangling")), 0);
	cr_assert_eq(symlink(s.outside, at("work/full/link")), 0);
	cr_assert_eq(symlink("..", at("work/up")), 0);
	cr_assert_eq(chown(at("work/empty"), s.uid, s.gid), 0);
	cr_assert_eq(chown(at("work/full"), s.uid, s.gid), 0);
	cr_assert_eq(chown(at("work/full/deeper"), s.uid, s.gid), 0);
	cr_assert_eq(wipe(), 0, "%s", s.err.text);
	cr_expect_eq(rmdir(s.work), 0, "there is something in it");
}

/* kuma-dp's user may not have us remove or hand over what a link of its points at. */
Test(workdir, is_no_symbolic_link)
{
	cr_assert_eq(mkdir(at("other"), 0755), 0);
	write_text(at("other/file"), "mine");
	cr_assert_eq(symlink(at("other"), s.work), 0);
	cr_expect_lt(wipe(), 0);
	cr_expect(strstr(s.err.text, "Not a directory"), "%s", s.err.text);
	expect_text(at("other/file"), "mine");
	cr_assert_eq(unlink(s.work), 0);
	cr_assert_eq(unlink(at("other/file")), 0);
	cr_assert_eq(rmdir(at("other")), 0);
}

Test(workdir, is_no_file)
{
	write_text(s.work, "mine");
	cr_expect_lt(wipe(), 0);
	cr_expect(strstr(s.err.text, "Not a directory"), "%s", s.err.text);
	expect_text(s.work, "mine");
	cr_assert_eq(unlink(s.work), 0);
}

/* It is the user who removes: what the user may not, stays, and is said. */
Test(workdir, is_wiped_as_its_user)
{
	char expected[160];

	if (getuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(wipe(), 0, "%s", s.err.text);
	cr_assert_eq(mkdir(at("work/roots"), 0755), 0);
	write_text(at("work/roots/file"), "mine");
	cr_assert_eq(chmod(at("work/roots"), 0755), 0);
	cr_expect_eq(wipe(), -EACCES);
	(void)snprintf(expected, sizeof(expected), "wipe %s: remove file: Permission denied",
		       s.work);
	cr_expect_str_eq(s.err.text, expected);
	expect_text(at("work/roots/file"), "mine");
	cr_assert_eq(unlink(at("work/roots/file")), 0);
}

/* A proxy that was taken over may do so, and the next one could not be started. */
Test(workdir, is_wiped_also_where_its_user_has_taken_his_own_rights_away)
{
	static const mode_t modes[] = { 0, 0500, 0300 };

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		cr_assert_eq(wipe(), 0, "%s", s.err.text);
		cr_assert_eq(mkdir(at("work/inner"), 0700), 0);
		write_text(at("work/inner/file"), "text");
		cr_assert_eq(lchown(at("work/inner"), s.uid, s.gid), 0);
		cr_assert_eq(chmod(at("work/inner"), modes[i]), 0);
		cr_assert_eq(chmod(s.work, modes[i]), 0);
	}
	cr_assert_eq(wipe(), 0, "%s", s.err.text);
	cr_expect_lt(access(at("work/inner"), F_OK), 0);
}

/* kuma-dp makes no directories; a deep tree is given up, not followed to the end of the stack. */
Test(workdir, gives_up_on_a_deep_tree)
{
	char path[512];

	cr_assert_eq(wipe(), 0, "%s", s.err.text);
	strcpy(path, s.work);
	for (unsigned i = 0; i < 20; i++) {
		strcat(path, "/d");
		cr_assert_eq(mkdir(path, 0700), 0);
		cr_assert_eq(chown(path, s.uid, s.gid), 0);
	}
	cr_expect_eq(wipe(), -ELOOP);
	for (; strcmp(path, s.work) != 0; *strrchr(path, '/') = 0)
		(void)rmdir(path);
}

Test(workdir, is_removed)
{
	cr_assert_eq(wipe(), 0, "%s", s.err.text);
	write_text(at("work/file"), "text");
	cr_expect_eq(workdir_remove(s.work, s.uid, s.gid, &s.err), 0, "%s", s.err.text);
	cr_expect_eq(access(s.work, F_OK), -1);
	cr_expect_eq(workdir_remove(s.work, s.uid, s.gid, &s.err), 0, "%s", s.err.text);
	expect_ourselves();
}

/* As in the unit: a file system of its own, which is emptied, and stays. */
Test(workdir, may_be_mounted)
{
	if (getuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		cr_skip_test("needs root and a mount namespace");
	cr_assert_eq(mkdir(s.work, 0755), 0);
	cr_assert_eq(mount("none", s.work, "tmpfs", 0, "size=64K,nr_inodes=8,mode=0711"), 0);
	cr_assert_eq(wipe(), 0, "%s", s.err.text);
	write_text(at("work/file"), "text");
	cr_expect_eq(workdir_remove(s.work, s.uid, s.gid, &s.err), 0, "%s", s.err.text);
	cr_expect_eq(access(at("work/file"), F_OK), -1);
	cr_expect_eq(access(s.work, F_OK), 0);
	cr_expect_eq(umount(s.work), 0);
	expect_ourselves();
}

/* Writes one file of a command. */
static int write_one(const char *path, const char *text)
{
	struct command_file file = { path, text, "a file" };
	struct command command = { .name = "kuma-dp", .files = { &file, 1 } };
	int r = workdir_write(&command, s.uid, s.gid, &s.err);

	expect_ourselves();
	return r;
}

Test(workdir, files_are_their_users)
{
	const char *file = at("work/file");

	cr_assert_eq(wipe(), 0, "%s", s.err.text);
	cr_assert_eq(write_one(file, "one"), 0, "%s", s.err.text);
	expect_owned(file, S_IFREG | 0400);
	expect_text(file, "one");
	cr_assert_eq(write_one(file, "2"), 0, "%s", s.err.text);
	expect_owned(file, S_IFREG | 0400);
	expect_text(file, "2");
}

/* A link in the file's place is replaced: what it points at stays as it is. */
Test(workdir, files_replace_links)
{
	cr_assert_eq(wipe(), 0, "%s", s.err.text);
	cr_assert_eq(symlink(s.outside, at("work/file")), 0);
	cr_assert_eq(lchown(at("work/file"), s.uid, s.gid), 0);
	cr_assert_eq(write_one(at("work/file"), "text"), 0, "%s", s.err.text);
	expect_owned(at("work/file"), S_IFREG | 0400);
	expect_text(at("work/file"), "text");
}

Test(workdir, files_cannot_replace_directories)
{
	cr_assert_eq(wipe(), 0, "%s", s.err.text);
	cr_assert_eq(mkdir(at("work/file"), 0700), 0);
	cr_assert_eq(chown(at("work/file"), s.uid, s.gid), 0);
	cr_expect_lt(write_one(at("work/file"), "text"), 0);
	cr_expect(strstr(s.err.text, "files of kuma-dp: replace "), "%s", s.err.text);
}

/* In a directory that the user may not write to, the user writes nothing, though root could. */
Test(workdir, files_in_the_directory_are_written_as_the_user)
{
	if (getuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(mkdir(s.work, 0755), 0);
	cr_assert_eq(chmod(s.work, 0755), 0);
	cr_expect_eq(write_one(at("work/file"), "text"), -EACCES);
	cr_expect_eq(access(at("work/file"), F_OK), -1);
}
