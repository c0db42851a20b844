/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <libiptc/libip6tc.h>
#include <libiptc/libiptc.h>

#include "daemon/netfilter/xt/family.h"
#include "daemon/os/fd.h"

/* Whether the kernel has ip_tables (or ip6_tables) now. The request is one byte long: the kernel
 * refuses the length (EINVAL, or EPERM for the unprivileged) before it looks for a table, and so
 * creates none; without the module nobody answers (ENOPROTOOPT). */
static int is_loaded(enum family family, bool *ret, struct error *err)
{
	bool v4 = family == FAMILY_V4;
	_close_ int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = 1;
	char byte;
	int r;

	*ret = false;
	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : error_sys(err, -errno, "look for legacy tables");
	r = v4 ? getsockopt(fd, IPPROTO_IP, IPT_SO_GET_INFO, &byte, &len)
	       : getsockopt(fd, IPPROTO_IPV6, IP6T_SO_GET_INFO, &byte, &len);
	*ret = r == 0 || errno == EINVAL || errno == EPERM;
	if (*ret || errno == ENOPROTOOPT || errno == EOPNOTSUPP)
		return 0;
	/* Any other answer says nothing: a family must not go without its redirect for it. */
	return error_sys(err, -errno, "look for legacy tables");
}

/* Whether modprobe@.service, which the unit wants, would find the module. In the unit's own sandbox
 * the directory is hidden: there only what is loaded counts. */
static bool is_loadable(enum family family)
{
	struct utsname name;
	char path[256], module[32], line[8192];

	if (uname(&name) < 0)
		return false;
	(void)snprintf(module, sizeof(module), "/%s.ko", xt_families[family].module);
	(void)snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", name.release);
	_fclose_ FILE *f = fopen(path, "re");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		/* "kernel/net/ipv4/netfilter/ip_tables.ko.xz: kernel/…" */
		line[strcspn(line, ":")] = 0;
		if (strstr(line, module))
			return true;
	}
	return false;
}

int xt_probe(enum check_purpose purpose, struct facts_abilities ret[static FAMILY_COUNT],
	     struct error *err)
{
	static const char *const missing[FAMILY_COUNT] = {
		[FAMILY_V4] = "this kernel has no legacy tables (ip_tables)",
		[FAMILY_V6] = "this kernel has no legacy tables for IPv6 (ip6_tables)",
	};

	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		bool loaded;
		int r = is_loaded(family, &loaded, err);

		if (r < 0)
			return r;
		/* Whether a table's own module is there shows only when it is made. */
		ret[family] = (struct facts_abilities){ 0 };
		if (!loaded && !(purpose == CHECK_RUN && is_loadable(family)))
			ret[family].no_redirect = missing[family];
	}
	return 0;
}

struct wanted {
	const char *table;
	bool exists;
};

static void on_table(const char *table, void *userdata)
{
	struct wanted *wanted = userdata;

	wanted->exists = wanted->exists || strcmp(table, wanted->table) == 0;
}

int xt_has_chain(enum family family, const char *table, const char *prefix, bool *ret,
		 struct error *err)
{
	const struct xtc_ops *ops = xt_families[family].ops;
	struct wanted wanted = { .table = table };
	struct xtc_handle *handle;
	int r = xt_tables(family, on_table, &wanted, err);

	*ret = false;
	if (r == -EACCES || !wanted.exists)
		return r == -EACCES || r > 0 ? 0 : r;
	handle = ops->init(table);
	if (!handle) /* without the right to look there is also none to change anything */
		return errno == EPERM ? 0 : error_sys(err, xt_errno(), "read the %s table", table);
	for (const char *chain = ops->first_chain(handle); chain; chain = ops->next_chain(handle))
		*ret = *ret || strncmp(chain, prefix, strlen(prefix)) == 0;
	ops->free(handle);
	return 0;
}
