/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the user said, all layers merged: one field per setting, nothing derived. Built by layers.h,
 * immutable, in the generation's arena. Names follow the YAML paths. Only common/config and
 * common/plan read it; everything further on sees the plan.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/array.h"

struct port_list {
	uint16_t *items;
	size_t n;
};

struct pair {
	const char *key, *value;
};

struct pair_list {
	struct pair *items;
	size_t n;
};

enum ip_family_mode {
	IP_FAMILY_DUALSTACK,
	IP_FAMILY_IPV4,
};

enum auto_bool {
	AUTO_BOOL_AUTO,
	AUTO_BOOL_TRUE,
	AUTO_BOOL_FALSE,
};

enum core_dns_mode {
	CORE_DNS_AUTO,
	CORE_DNS_KUMA_DP,  /* kuma-dp runs coredns */
	CORE_DNS_TPROXYD,  /* we run coredns beside kuma-dp */
	CORE_DNS_EMBEDDED, /* kuma-dp answers by itself */
	CORE_DNS_OFF,
};

enum backend_choice {
	BACKEND_AUTO,
	BACKEND_IPTABLES,
	BACKEND_NFTABLES,
	BACKEND_COUNT,
};

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

#define DURATION_INFINITY \
	INT64_MAX /* a duration that never ends; all durations are in nanoseconds */

struct config_direction {
	bool enabled;
	uint16_t port;
	struct port_list include_ports, exclude_ports;
	struct string_list exclude_ports_for_uids, exclude_ports_for_ips;
	bool insert_redirect_instead_of_append;
	const char *chain_name, *redirect_chain_name; /* without "KUMA_MESH_"; environment only */
};

struct config {
	/* kumactl's */
	const char *kuma_dp_user; /* "": 5678, else kuma-dp */
	enum ip_family_mode ip_family_mode;
	bool drop_invalid_packets;
	bool verbose;
	bool dry_run;
	bool store_firewalld;
	bool cni_mode;
	uint32_t wait, wait_interval; /* seconds, microseconds */
	struct {
		uint32_t max_retries;
		int64_t sleep_between_retries;
	} retry;
	struct {
		bool enabled;
		uint16_t level;
	} log;
	struct {
		bool disabled;
	} comments;
	struct pair_list iptables_executables;
	struct {
		struct config_direction inbound, outbound;
		struct {
			bool enabled;
			uint16_t port;
			bool capture_all; /* implies enabled */
			bool skip_conntrack_zone_split;
			const char *resolv_config_path;
		} dns;
		struct {
			struct string_list networks;
		} vnet;
	} redirect;
	struct {
		bool enabled;
		const char *instance_ip, *instance_ip_env_var_name, *bpffs_path, *cgroup_path;
		const char *programs_source_path, *tc_attach_iface;
	} ebpf;

	/* tproxyd's own */
	struct {
		enum auto_bool keep_connections, protect_ssh, strict_inbound;
		int64_t confirm; /* 0: off */
	} safety;
	struct {
		bool create;
	} user;
	struct {
		const char *path, *envoy_path; /* "": searched for */
		const char *cp_address, *ca_cert_file, *token_file, *dataplane_file, *name, *mesh;
		struct pair_list dataplane_vars, env;
		struct string_list extra_args;
		int64_t drain_time;
	} kuma_dp;
	struct {
		const char *path; /* "": searched for */
		enum core_dns_mode mode;
		const char *corefile; /* "": built in */
	} core_dns;
	struct {
		int64_t timeout, interval;
	} readiness;
	struct {
		int64_t delay, max_delay;
	} restart;
	struct {
		int64_t hold_rules;
	} failure;
	enum backend_choice backend;
	enum log_level log_level;
};

/* Whether queries of this host are redirected: those to its own servers, or all. */
static inline bool config_redirects_dns(const struct config *config)
{
	return config->redirect.dns.enabled || config->redirect.dns.capture_all;
}
