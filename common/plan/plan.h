/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Config plus facts, resolved: everything that the rules and the children depend on, and nothing
 * else. Immutable, in the generation's arena. Rules and supervision see only this.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/diag.h"
#include "common/base/ip.h"
#include "common/config/config.h"
#include "common/plan/dataplane.h"
#include "common/plan/facts.h"

/* A prefix with the text that the user wrote, which is what the reference prints. */
struct net {
	struct ip_prefix prefix;
	const char *text;
};

struct net_list {
	struct net *items;
	size_t n;
};

struct port_range {
	uint16_t lo, hi; /* hi == lo: one port */
};

/* One entry of excludePortsForUIDs, for one protocol. */
struct uid_exclusion {
	uint8_t proto;                  /* IPPROTO_TCP or IPPROTO_UDP */
	const struct port_range *ports; /* at most 15 multiport slots (a range takes two) */
	size_t n_ports;
	const char *ports_text; /* as the reference prints it: "1900,1902,1000:2000" */
	uint32_t uid_lo, uid_hi;
	const char *uids_text; /* "106:108" or "1001" */
};

struct uid_exclusion_list {
	struct uid_exclusion *items;
	size_t n;
};

struct vnet {
	const char *iface; /* may end in "+" */
	struct net net;
};

struct vnet_list {
	struct vnet *items;
	size_t n;
};

/* An address of this host and a port. */
struct endpoint {
	struct ip_addr addr;
	uint16_t port;
};

struct endpoint_list {
	struct endpoint *items;
	size_t n;
};

/* What differs between the families. */
struct plan_family {
	bool enabled;
	struct ip_list dns_servers; /* empty with capture_all */
	bool dns;                   /* DNS is redirected in this family */
	bool dns_zones;             /* conntrack zone split (raw table) */
	bool docker_output;
	bool drop_invalid;
	bool unnumbered; /* inbound connections arrive at interfaces without an address, too */
	bool strict;     /* strict_ports are closed but at `inbounds`, redirected or not */
	struct endpoint_list inbounds;
	struct vnet_list vnets;                            /* sorted by interface */
	struct net_list exclude_inbound, exclude_outbound; /* addresses of this family, in order */
};

struct plan_direction {
	bool enabled;
	uint16_t port;
	struct port_list include_ports, exclude_ports;
	bool insert;                        /* the jump goes before foreign rules */
	const char *chain, *redirect_chain; /* full names */
};

struct plan {
	/* .found is false after an error, and where `prepare` has yet to create the user (a notice
	 * says so): `run` cannot go on then */
	struct facts_user user;
	const char *loopback;
	enum backend_choice backend; /* never BACKEND_AUTO */
	const char *backend_why;     /* it is not iptables; NULL: nothing is to be said */
	const char *backend_limit;   /* what this kernel does not do for it; NULL: nothing */
	struct plan_family family[FAMILY_COUNT];
	struct plan_direction inbound, outbound;
	struct uid_exclusion_list exclude_uids; /* outbound */
	struct uid_exclusion_list direct_dns;   /* those of UDP port 53; none in an install plan */
	bool dns_capture_all;
	uint16_t dns_port;
	bool log_enabled;
	uint16_t log_level;
	bool comments;
	bool keep_connections;
	struct port_list
		ssh_ports; /* excluded inbound, ascending, without those of exclude_ports */
	/* the Dataplane's ports, ascending as declared, that are redirected where their family is */
	struct port_list strict_ports;
	bool verbose, dry_run, store_firewalld;

	/* what `run` adds; zero in an install plan */
	struct plan_children {
		const char *kuma_dp, *envoy;  /* absolute paths */
		unsigned major, minor, patch; /* of kuma-dp */
		const char *cp_address, *ca_cert_file, *token_file, *dataplane_file, *name, *mesh;
		bool token_private_copy; /* only we can read it: hand over a copy */
		bool dataplane_private_copy;
		struct pair_list dataplane_vars, env;
		struct string_list extra_args;
		struct dataplane dataplane; /* zero where kumaDP.name is used */
		/* contents, for private copies and for digests; NULL: none, or not to be read */
		const char *token, *resource, *ca_cert;
		const char *resolv_conf;     /* RESOLV_CONF, which resolvers of ours read once */
		uint64_t token_expires_sec;  /* Unix time; 0: never */
		bool ipv4_only;              /* tell kuma-dp so: no usable IPv6 */
		enum core_dns_mode dns_mode; /* never CORE_DNS_AUTO */
		const char *core_dns;        /* path; NULL where none is run */
		bool core_dns_alternate;     /* Kuma's build */
		const char *corefile;        /* content of the user's template; NULL: built in */
		uint16_t envoy_dns_port;
		int64_t drain_time_nsec;
	} children;
	/* of no use to an install plan */
	int64_t readiness_timeout_nsec, readiness_interval_nsec;
	int64_t hold_nsec; /* DURATION_INFINITY: never release */
	int64_t restart_delay_nsec, restart_max_delay_nsec;
	int64_t confirm_nsec; /* within which a redirect has to be confirmed; 0: it need not be */
};

static inline bool plan_redirects_dns(const struct plan *plan)
{
	return plan->family[FAMILY_V4].dns || plan->family[FAMILY_V6].dns;
}

/* How long a start may take until the proxy serves. */
static inline uint64_t plan_readiness_usec(const struct plan *plan)
{
	return (uint64_t)plan->readiness_timeout_nsec / 1000;
}

#define KUMA_DP_UID         5678
#define KUMA_DP_USER        "kuma-dp"
#define KUMA_MESH_PREFIX    "KUMA_MESH_"
#define ENVOY_DNS_PORT      15054
#define KUMA_READINESS_PORT 9902
#define ENVOY_ADMIN_PORT    9901
