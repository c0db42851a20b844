/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/diag_unit.h"

#include <fnmatch.h>
#include <fts.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "common/base/array.h"

static bool is_ssh_unit(const char *name)
{
	static const char *const patterns[] = { "ssh.service",      "ssh.socket",  "ssh@*.service",
						"sshd.service",     "sshd.socket", "sshd@*.service",
						"system-ssh*.slice" };

	for (size_t i = 0; i < ELEMENTS(patterns); i++)
		if (fnmatch(patterns[i], name, 0) == 0)
			return true;
	return false;
}

/* The mount point of the v2 hierarchy: all of it, or beside v1 in systemd's hybrid layout. */
static const char *hierarchy(void)
{
	static const char *const candidates[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	struct statfs fs;

	for (size_t i = 0; i < ELEMENTS(candidates); i++)
		if (statfs(candidates[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
			return candidates[i];
	return NULL;
}

void ssh_units_find(struct arena *arena, struct ssh_units *ret)
{
	const char *top = hierarchy();
	char *const paths[] = { (char *)(uintptr_t)top, NULL };
	FTS *fts = top ? fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL) : NULL;
	FTSENT *entry;

	*ret = (struct ssh_units){ .unknown = !fts };
	if (!fts)
		return;
	while ((entry = fts_read(fts)))
		if (entry->fts_info == FTS_D && is_ssh_unit(entry->fts_name))
			array_push(arena, ret, entry->fts_statp->st_ino);
	(void)fts_close(fts);
}

bool ssh_units_have(const struct ssh_units *units, uint64_t cgroup, uint16_t port, unsigned uid)
{
	if (units->unknown)
		return port == 22 && uid == 0;
	for (size_t i = 0; i < units->n; i++)
		if (units->items[i] == cgroup)
			return true;
	return false;
}
