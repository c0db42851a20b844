/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/backend.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "common/rules/marks.h"
#include "daemon/netfilter/xt/family.h"
#include "daemon/os/fd.h"

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

/* Whether a rule of the chain returns or accepts. */
static bool leaves_alone(const struct xt_family *family, const char *chain,
			 struct xtc_handle *handle)
{
	for (const void *rule = family->first_rule(chain, handle); rule;
	     rule = family->next_rule(rule, handle)) {
		const char *target = family->get_target(rule, handle);

		if (target && (strcmp(target, "RETURN") == 0 || strcmp(target, "ACCEPT") == 0))
			return true;
	}
	return false;
}

static int look_at_nat(enum family family, struct facts_family *ret, struct error *err)
{
	const struct xt_family *f = &xt_families[family];
	const struct xtc_ops *ops = f->ops;
	struct xtc_handle *handle = ops->init("nat");
	bool mesh = false;

	if (!handle) /* without the right to look there is also none to change anything */
		return errno == EPERM ? 0 : error_sys(err, xt_errno(), "read the nat table");
	for (const char *chain = ops->first_chain(handle); chain; chain = ops->next_chain(handle)) {
		ret->docker_output = ret->docker_output ||
				     strncmp(chain, DOCKER_OUTPUT, strlen(DOCKER_OUTPUT)) == 0;
		mesh = mesh || mesh_chain(chain);
	}
	/* Those of a redirect that is there may be its own, and go. */
	ret->nat_exempt = !mesh && (leaves_alone(f, "PREROUTING", handle) ||
				    leaves_alone(f, "OUTPUT", handle));
	ops->free(handle);
	return 0;
}

int xt_probe(enum check_purpose purpose, enum family family, struct facts_family *ret,
	     struct error *err)
{
	static const char *const missing[FAMILY_COUNT] = {
		[FAMILY_V4] = "this kernel has no legacy tables (ip_tables)",
		[FAMILY_V6] = "this kernel has no legacy tables for IPv6 (ip6_tables)",
	};
	unsigned tables;
	int r = xt_tables(family, &tables, err);

	/* Others than root may not read the list, which is there all the same. */
	if (r < 0 && r != -EACCES)
		return r;
	/* Whether a table's own module is there shows only when it is made. */
	ret->ability[BACKEND_IPTABLES] = (struct facts_abilities){ 0 };
	if (r == 0 && !(purpose == CHECK_RUN && is_loadable(family)))
		ret->ability[BACKEND_IPTABLES].no_redirect = missing[family];
	return tables & 1U << TABLE_NAT ? look_at_nat(family, ret, err) : 0;
}
