/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/host/host.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/plan/resolv.h"
#include "daemon/os/sock_diag.h"
#include "daemon/host/files.h"
#include "daemon/firewall/firewall.h"
#include "daemon/host/parts.h"
#include "daemon/host/nft.h"
#include "daemon/host/ssh.h"
#include "daemon/host/user.h"
#include "daemon/netfilter/backends/backends.h"

/* Judges a file that a setting names; an empty setting names none. */
static void file_named(struct arena *arena, const struct facts *facts, const char *path,
		       unsigned use, struct facts_file *ret)
{
	if (path[0])
		host_file(arena, &facts->asked, path, use, ret);
}

void host_token(struct arena *arena, const struct config *config, struct facts *facts)
{
	file_named(arena, facts, config->kuma_dp.token_file, HOST_FILE_READ | HOST_FILE_TEXT,
		   &facts->token);
}

/* What kuma-dp is given. */
static void handed_over(struct arena *arena, const struct config *config, struct facts *facts)
{
	host_token(arena, config, facts);
	file_named(arena, facts, config->kuma_dp.dataplane_file, HOST_FILE_READ | HOST_FILE_TEXT,
		   &facts->dataplane);
	file_named(arena, facts, config->kuma_dp.ca_cert_file, HOST_FILE_READ_USER | HOST_FILE_TEXT,
		   &facts->ca_cert);
	file_named(arena, facts, config->core_dns.corefile, HOST_FILE_READ | HOST_FILE_TEXT,
		   &facts->corefile);
	host_url_addresses(arena, config->kuma_dp.cp_address, &facts->cp_addresses);
	host_programs(arena, config, facts);
}

/* Without an answer it is not known who serves DNS on this host. */
static void host_dns_sockets(struct arena *arena, struct facts *facts)
{
	if (sock_udp(arena, DNS_PORT, &facts->dns_sockets, NULL) < 0)
		facts->dns_sockets = (struct socket_list){ 0 };
}

void host_resolv_conf(struct arena *arena, const struct config *config, struct facts *facts)
{
	facts->resolv_conf = (struct facts_file){ 0 };
	file_named(arena, facts, config->redirect.dns.resolv_config_path,
		   HOST_FILE_READ_US | HOST_FILE_TEXT, &facts->resolv_conf);
	host_dns_sockets(arena, facts);
}

/* Whether a name server of the mesh's resolver is this host. */
static bool asks_this_host(struct arena *arena, const struct facts *facts)
{
	const struct facts_file *file = &facts->mesh_resolv_conf;
	struct ip_list servers[FAMILY_COUNT] = { 0 };
	struct diag_list ignored = { .arena = arena };

	if (file->text)
		resolv_parse(RESOLV_CONF, file->text, file->len, servers, &ignored);
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		for (size_t i = 0; i < servers[f].n; i++)
			if (resolv_is_here(facts, &servers[f].items[i]))
				return true;
	return false;
}

/* What DNS is to an installation: who serves it here matters only to who is asked here. */
static void installed_dns(struct arena *arena, const struct config *config, struct facts *facts)
{
	const char *path = config->redirect.dns.resolv_config_path;

	host_file_plain(arena, RESOLV_CONF, &facts->mesh_resolv_conf);
	if (strcmp(path, RESOLV_CONF) == 0)
		facts->resolv_conf = facts->mesh_resolv_conf;
	else
		host_file_plain(arena, path, &facts->resolv_conf);
	if (asks_this_host(arena, facts))
		host_dns_sockets(arena, facts);
}

/* Who listens, and where SSH is served. */
static int sockets(struct arena *arena, struct facts *facts, struct error *err)
{
	struct tcp_socket_list list;
	int r = sock_tcp_list(arena, &list, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < list.n; i++)
		if (list.items[i].listens)
			array_push(arena, &facts->listeners, list.items[i].at);
	if (!ssh_ports_take(arena, SSH_HANDED_OVER, facts))
		ssh_ports_find(arena, &list, facts);
	return 0;
}

int host_facts(struct arena *arena, const struct config *config, enum check_purpose purpose,
	       struct facts *ret, struct error *err)
{
	struct facts facts = {
		.now_sec = (uint64_t)time(NULL),
		.kuma_dp = ret->kuma_dp,
		.core_dns = ret->core_dns,
		.backend = ret->backend,
	};
	int r;

	r = user_lookup(arena, config->kuma_dp_user, &facts.asked, &facts.uid_5678_name, err);
	if (r == 0 && purpose == CHECK_RUN && facts.asked.found)
		r = user_groups(arena, &facts.asked, err);
	if (r == 0)
		r = host_addresses(arena, &facts, err);
	host_nft_look(arena, purpose, &facts);
	if (r == 0)
		r = netfilter_probe(config, purpose, &facts, err);
	if (r < 0)
		return r;
	if (purpose == CHECK_RUN) {
		host_resolv_conf(arena, config, &facts);
		host_file_plain(arena, RESOLV_CONF, &facts.mesh_resolv_conf);
	} else {
		installed_dns(arena, config, &facts);
	}
	/* Sockets matter to an installation only where SSH is to be kept out of it. */
	if (purpose == CHECK_RUN || config->safety.protect_ssh == AUTO_BOOL_TRUE) {
		r = sockets(arena, &facts, err);
		if (r < 0)
			return r;
	}
	if (purpose == CHECK_RUN) {
		host_ports(arena, &facts);
		host_capabilities(&facts);
		host_firewall(arena, config->redirect.inbound.port, &facts.firewall);
		handed_over(arena, config, &facts);
	}
	if (arena->failed)
		return error_sys(err, -ENOMEM, "gather facts about this host");
	*ret = facts;
	return 0;
}
