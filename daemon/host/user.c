/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/host/user.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/parse.h"
#include "common/plan/plan.h"
#include "daemon/os/fd.h"
#include "daemon/process/spawn.h"

#define TOOL_TIMEOUT_USEC ((uint64_t)30 * 1000 * 1000)
#define UID_LAST          ((uint64_t)UINT32_MAX - 1) /* (uid_t)-1 means "none" */

/* Whether a failed NSS lookup only says that there is no such entry (getpwnam(3), ERRORS). */
static bool means_no_entry(int error)
{
	return error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
}

/* Looks up by name, or by uid where name is NULL. That there is none is no error. */
static int entry_lookup(struct arena *arena, const char *name, uid_t uid, struct facts_user *ret,
			struct error *err)
{
	const struct passwd *entry;

	errno = 0;
	entry = name ? getpwnam(name) : getpwuid(uid);
	if (entry)
		*ret = (struct facts_user){
			.found = true,
			.name = arena_strdup(arena, entry->pw_name),
			.uid = entry->pw_uid,
			.gid = entry->pw_gid,
		};
	else if (!means_no_entry(errno))
		return name ? error_sys(err, -errno, "look up user %s", name)
			    : error_sys(err, -errno, "look up UID %u", (unsigned)uid);
	return 0;
}

int user_groups(struct arena *arena, struct facts_user *user, struct error *err)
{
	int n = 32;

	/* getgrouplist() says how many there are when the room was too small. */
	for (int attempt = 0; attempt < 4; attempt++) {
		int room = n;
		gid_t *groups = arena_alloc(arena, sizeof(*groups) * (size_t)room);

		if (!groups)
			return error_sys(err, -ENOMEM, "look up groups");
		if (getgrouplist(user->name, user->gid, groups, &n) < 0) {
			n = n > room ? n : room * 2;
			continue;
		}
		user->n_groups = 0;
		for (int i = 0; i < n; i++)
			if (groups[i] != user->gid)
				groups[user->n_groups++] = groups[i];
		user->groups = groups;
		return 0;
	}
	return error_sys(err, -ERANGE, "look up groups of user %s", user->name);
}

/* Runs a system tool to its end; anything but exit status 0 is an error that quotes its last line. */
static int tool_run(const char *const *argv, int stdin_fd, struct error *err)
{
	static const char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
						   NULL };
	const struct exec_spec spec = {
		.name = argv[0],
		.path = argv[0],
		.argv = argv,
		.environ = environment,
		.stdin_fd = stdin_fd,
		.stderr_fd = SPAWN_STDOUT,
		.umask = 022,
		.privileged = true,
	};
	char output[8192], end[SPAWN_END_MAX];
	const char *last;
	int r = spawn_collect(&spec, TOOL_TIMEOUT_USEC, output, sizeof(output), end, err);

	if (r < 0 || !*end)
		return r;
	for (size_t len = strlen(output); len && output[len - 1] == '\n';)
		output[--len] = '\0';
	last = strrchr(output, '\n');
	last = last ? last + 1 : output;
	return error_set(err, -EIO, "%s %s%s%.300s", argv[0], end, last[0] ? ": " : "", last);
}

/* Where one of the paths can be executed; the last one where none can. */
static const char *first_executable(const char *const *paths)
{
	for (;; paths++)
		if (!paths[1] || access(paths[0], X_OK) == 0)
			return paths[0];
}

static const char *nologin_path(void)
{
	return first_executable(
		(const char *const[]){ "/usr/sbin/nologin", "/sbin/nologin", "/bin/false", NULL });
}

static const char *useradd_path(void)
{
	return first_executable((const char *const[]){ "/usr/sbin/useradd", "/sbin/useradd",
						       "/usr/bin/useradd", NULL });
}

/* useradd gives a system user without a group of its own choosing the next free number, never the
 * user's, so the group is made first. */
static int create_by_useradd(const char *name, const char *number, struct error *err)
{
	const char *groupadd = first_executable((const char *const[]){
		"/usr/sbin/groupadd", "/sbin/groupadd", "/usr/bin/groupadd", NULL });
	/* Without a number the lists end there. */
	bool free_gid = number && !getgrgid(KUMA_DP_UID);
	const char *const group[] = { groupadd, "--system", name, free_gid ? "--gid" : NULL,
				      number,   NULL };
	const char *const user[] = {
		useradd_path(), "--system", "--no-create-home",      "--home-dir",
		"/nonexistent", "--shell",  nologin_path(),          "--gid",
		name,           name,       number ? "--uid" : NULL, number,
		NULL,
	};
	const char *const undo[] = { "/usr/sbin/groupdel", name, NULL };
	bool new_group = !getgrnam(name);
	int r = new_group ? tool_run(group, -1, err) : 0;

	if (r < 0)
		return r;
	r = tool_run(user, -1, err);
	if (r < 0 && new_group)
		(void)tool_run(undo, -1, NULL);
	return r;
}

static int create_by_sysusers(const char *name, const char *number, struct error *err)
{
	const char *path = first_executable((const char *const[]){ "/usr/bin/systemd-sysusers",
								   "/bin/systemd-sysusers", NULL });
	const char *const argv[] = { path, "-", NULL };
	_close_ int fd = memfd_create("sysusers", MFD_CLOEXEC);

	if (fd < 0)
		return error_sys(err, -errno, "make a file in memory");
	if (dprintf(fd, "u %s %s \"Kuma data plane proxy\" /nonexistent %s\n", name,
		    number ? number : "-", nologin_path()) < 0 ||
	    lseek(fd, 0, SEEK_SET) < 0)
		return error_sys(err, -errno, "write a file in memory");
	return tool_run(argv, fd, err);
}

int user_lookup(struct arena *arena, const char *asked, struct facts_user *ret,
		const char **ret_5678_name, struct error *err)
{
	struct facts_user user = { 0 }, fixed = { 0 };
	uint64_t uid;
	int r = entry_lookup(arena, NULL, KUMA_DP_UID, &fixed, err);

	if (!asked[0])
		user = fixed;
	/* A number is a UID first, then a name, as for kumactl, which compares it as text: 05678 is
	 * no UID. */
	if (r == 0 && (asked[0] != '0' || !asked[1]) && parse_decimal(asked, UID_LAST, &uid))
		r = entry_lookup(arena, NULL, (uid_t)uid, &user, err);
	if (r == 0 && !user.found)
		r = entry_lookup(arena, asked[0] ? asked : KUMA_DP_USER, 0, &user, err);
	if (r < 0)
		return r;
	*ret = user;
	*ret_5678_name = fixed.name;
	return 0;
}

int user_create(const struct new_user *user, struct error *err)
{
	const char *number = user->uid_5678 ? "5678" : NULL;
	int r = access(useradd_path(), X_OK) == 0 ? create_by_useradd(user->name, number, err)
						  : create_by_sysusers(user->name, number, err);

	return r < 0 ? error_wrap(err, r, "create user %s", user->name) : 0;
}
