/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/family.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libiptc/libip6tc.h>

#include "common/rules/ruleset.h"
#include "daemon/os/fd.h"

/* The two libraries have the same functions with their own names and entry types. */
#define DEFINE_CALLS(lib)                                                                        \
	static const void *lib##_first(const char *chain, struct xtc_handle *handle)             \
	{                                                                                        \
		return lib##_first_rule(chain, handle);                                          \
	}                                                                                        \
	static const void *lib##_next(const void *entry, struct xtc_handle *handle)              \
	{                                                                                        \
		return lib##_next_rule(entry, handle);                                           \
	}                                                                                        \
	static const char *lib##_target(const void *entry, struct xtc_handle *handle)            \
	{                                                                                        \
		return lib##_get_target(entry, handle);                                          \
	}                                                                                        \
	static int lib##_insert(const xt_chainlabel chain, const void *entry, unsigned position, \
				struct xtc_handle *handle)                                       \
	{                                                                                        \
		return lib##_insert_entry(chain, entry, position, handle);                       \
	}                                                                                        \
	static int lib##_append(const xt_chainlabel chain, const void *entry,                    \
				struct xtc_handle *handle)                                       \
	{                                                                                        \
		return lib##_append_entry(chain, entry, handle);                                 \
	}                                                                                        \
	struct calls_of_##lib##_need_a_semicolon

DEFINE_CALLS(iptc);
DEFINE_CALLS(ip6tc);

#define CALLS(lib)                                                                  \
	.ops = &lib##_ops, .first_rule = lib##_first, .next_rule = lib##_next,      \
	.get_target = lib##_target, .insert = lib##_insert, .append = lib##_append, \
	.delete_at = lib##_delete_num_entry, .delete_chain = lib##_delete_chain
const struct xt_family xt_families[FAMILY_COUNT] = {
	[FAMILY_V4] = {
		.module = "ip_tables",
		.names_path = "/proc/self/net/ip_tables_names",
		CALLS(iptc),
	},
	[FAMILY_V6] = {
		.module = "ip6_tables",
		.names_path = "/proc/self/net/ip6_tables_names",
		CALLS(ip6tc),
	},
};

int xt_tables(enum family family, unsigned *ret, struct error *err)
{
	const char *path = xt_families[family].names_path;
	_fclose_ FILE *file = fopen(path, "re");
	char line[64];

	*ret = 0;
	if (!file)
		return errno == ENOENT ? 0 : error_sys(err, -errno, "open %s", path);
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		for (enum table n = 0; n < TABLE_COUNT; n++)
			*ret |= (unsigned)(strcmp(line, table_name(n)) == 0) << n;
	}
	return ferror(file) ? error_sys(err, -EIO, "read %s", path) : 1;
}

int xt_loaded(enum family family, struct error *err)
{
	const char *path = xt_families[family].names_path;

	if (access(path, R_OK) == 0)
		return 1;
	return errno == ENOENT ? 0 : error_sys(err, -errno, "open %s", path);
}

int xt_errno(void)
{
	/* libiptc fails with errno 0 ("version error"), and here and there with the number below 0. */
	if (errno == 0)
		return -EPROTO;
	return errno > 0 ? -errno : errno;
}
