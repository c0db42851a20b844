/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/host/nft_boot.h"

#include <glob.h>

#include "common/base/array.h"
#include "common/plan/facts.h"
#include "common/rules/nft_script.h"
#include "daemon/host/files.h"

#define DEPTH_MAX 16  /* MAX_INCLUDE_DEPTH in nftables' include/parser.h */
#define FILES_MAX 256 /* that are looked at, should they include each other without end */

struct search {
	struct arena *arena;
	unsigned files;
};

static const char *find_in(struct search *search, const char *path, unsigned depth);

/* nft(8): what begins with "./" is sought where nft was started, a service in "/"; other names in /etc. */
static const char *pattern_of(struct arena *arena, const char *name, size_t len)
{
	const char *directory = "/etc/";

	if (len > 0 && name[0] == '/')
		directory = "";
	else if (len > 1 && name[0] == '.' && name[1] == '/')
		directory = "/";
	return arena_printf(arena, "%s%.*s", directory, (int)len, name);
}

static const char *find_in_all(struct search *search, const char *pattern, unsigned depth)
{
	const char *found = NULL;
	glob_t files;

	switch (pattern ? glob(pattern, 0, NULL, &files) : GLOB_NOSPACE) {
	case 0:
		for (size_t i = 0; i < files.gl_pathc && !found; i++)
			found = find_in(search, files.gl_pathv[i], depth);
		globfree(&files);
		break;
	case GLOB_NOSPACE:
		search->arena->failed = true;
		break;
	}
	return found;
}

static const char *find_in(struct search *search, const char *path, unsigned depth)
{
	const char *found = NULL, *at, *name;
	struct facts_file file;
	size_t len;

	if (depth == DEPTH_MAX || search->files == FILES_MAX)
		return NULL;
	search->files++;
	host_file_plain(search->arena, path, &file);
	at = file.text ? file.text : "";
	if (nft_script_names_ours(at))
		return arena_strdup(search->arena, path);
	while (!found && nft_script_include(&at, &name, &len))
		found = find_in_all(search, pattern_of(search->arena, name, len), depth + 1);
	return found;
}

const char *host_nft_boot_file(struct arena *arena)
{
	static const char *const paths[] = { "/etc/nftables.conf", "/etc/sysconfig/nftables.conf" };
	struct search search = { .arena = arena };
	const char *found = NULL;

	for (size_t i = 0; i < ELEMENTS(paths) && !found; i++)
		found = find_in(&search, paths[i], 0);
	return found;
}
