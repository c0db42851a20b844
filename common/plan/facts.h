/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What is true on this host now, as far as the plan depends on it. Gathered by daemon/host/host.c,
 * given as a value so that plans can be built and tested anywhere.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/array.h"
#include "common/base/ip.h"
#include "common/config/config.h"
#include "common/plan/facts_firewall.h"

#define DNS_PORT    53
#define RESOLV_CONF "/etc/resolv.conf" /* what coredns and the embedded proxy read */

struct ip_list {
	struct ip_addr *items;
	size_t n;
};

static inline bool ip_list_has(const struct ip_list *list, const struct ip_addr *addr)
{
	for (size_t i = 0; i < list->n; i++)
		if (ip_equal(&list->items[i], addr))
			return true;
	return false;
}

/* What a netfilter backend cannot do for a family on this host: a sentence for each, NULL where it
 * can. Never found out by creating a table. */
struct facts_abilities {
	const char *no_redirect;
	const char *no_zones; /* conntrack zones for DNS */
	const char *no_drop_invalid;
	const char *no_local; /* redirecting to the address that a packet was sent to */
	const char *no_log;
	const char *no_refusal;
	const char *no_owner; /* tables that are a process's own; the legacy ones never are */
	bool docker_output;   /* the nat tables that it works in have a chain that begins so */
};

struct facts_family {
	struct facts_abilities ability[BACKEND_COUNT]; /* of each but BACKEND_AUTO */
	/* The legacy nat table has a chain whose name begins with DOCKER_OUTPUT. */
	bool docker_output;
	/* There, in PREROUTING or OUTPUT, a rule of others returns or accepts. */
	bool nat_exempt;
	/* an interface that is up has no address of this family */
	const char *unnumbered; /* its name; NULL: none */
};

struct facts_user {
	bool found;
	const char *name; /* NULL: no entry */
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* supplementary, without gid */
	size_t n_groups;
};

/* A file that a child will read, judged as the sandboxed unit would see it. */
struct facts_file {
	bool exists;
	bool readable_by_user; /* opened with the kuma-dp user's credentials */
	const char *problem;   /* why it cannot be used for what it is for; NULL: it can */
	/* content where it is wanted (token, Dataplane, resolv.conf) and there is no problem */
	const char *text;
	size_t len;
};

/* Tells a file from one that has come in its place. */
struct facts_identity {
	uint64_t device, inode, size, changed_nsec; /* ctime; all 0: not known */
};

struct facts_program {
	const char *path; /* absolute; NULL: not found anywhere */
	struct facts_file file;
	struct facts_identity identity;
	/* of kuma-dp; of coredns where we run it ourselves; 0.0.0: unknown */
	unsigned major, minor, patch;
	const char *version_problem; /* why the version could not be told; NULL: it could */
	bool has_alternate;          /* coredns: Kuma's build */
};

struct facts_socket { /* a TCP listener, or a UDP socket */
	struct ip_addr addr;
	uint16_t port;
	uid_t uid;
	bool connected; /* UDP: takes nothing but what its one peer sends */
};

/* Whether what is sent to the address may reach it. */
static inline bool facts_socket_takes(const struct facts_socket *s, const struct ip_addr *addr)
{
	return s->addr.family == addr->family &&
	       (ip_is_unspecified(&s->addr) || ip_equal(&s->addr, addr));
}

struct socket_list {
	struct facts_socket *items;
	size_t n;
};

/* A TCP port without which an operator may be locked out. */
struct facts_ssh_port {
	uint16_t port;
	bool unknown;    /* whether SSH is served there cannot be told */
	const char *why; /* "sshd listens there" */
};

struct ssh_port_list {
	struct facts_ssh_port *items;
	size_t n;
};

struct facts {
	/* users */
	/* what kumaDPUser names; where it is empty: UID 5678, else kuma-dp */
	struct facts_user asked;
	const char *uid_5678_name; /* who has UID 5678; NULL: nobody */

	/* network */
	const char *loopback;     /* first interface with the LOOPBACK flag; NULL: none */
	bool ipv6;                /* has a local IPv6 address besides ::1 (and besides our ::6) */
	bool ipv6_loopback;       /* ::1 can be used */
	struct ip_list addresses; /* all addresses of this host */
	/* those of them at which only containers and virtual machines of this host arrive */
	struct ip_list inner_addresses;
	struct facts_family family[FAMILY_COUNT];
	uint16_t ephemeral_lo, ephemeral_hi; /* of connections of this host; 0: not known */
	const char *reserved_ports;          /* taken out of these, "8080,9000-9010" */
	const char *missing_capability;      /* without which rules cannot be changed; or NULL */
	enum backend_choice backend;         /* that is in use; BACKEND_AUTO: none yet */
	bool nft_nat_foreign;                /* nf_tables holds nat rules that are not kumactl's */
	/* The smallest priority of those that come before the last of ours there; 0: there are none. */
	int nft_nat_first;
	/* A chain of those that come before all of ours: "ip other nat"; NULL: there is none. */
	const char *nft_nat_before;
	/* A chain of such rules where one returns or accepts: "ip nat OUTPUT"; NULL: there is none */
	const char *nft_nat_exempt;
	const char
		*nft_boot_file; /* what is loaded at boot, with tables of ours; NULL: it has none */
	struct facts_firewall firewall;

	struct facts_file resolv_conf;      /* redirect.dns.resolvConfigPath */
	struct facts_file mesh_resolv_conf; /* RESOLV_CONF, as the mesh's resolver reads it once */
	struct socket_list dns_sockets;     /* UDP, port 53 */
	struct socket_list listeners;
	struct ssh_port_list ssh_ports; /* ascending, each once */
	bool ssh_unseen;                /* an SSH server runs, but its ports cannot be told */

	/* what kuma-dp is given */
	struct facts_program kuma_dp, envoy, core_dns;
	struct facts_file token, dataplane, ca_cert, corefile;
	/* kumaDP.cpAddress's host, where it is a literal or resolves at once */
	struct ip_list cp_addresses;
	uint64_t now_sec; /* Unix time, for the token's expiry */
};
