/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/schema.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/parse.h"

/* Fails to compile unless struct config's field has the C type that the setting's parser writes. */
#define FIELD(field, ctype)                                     \
	(offsetof(struct config, field) +                       \
	 0 * sizeof(char[1 - 2 * !__builtin_types_compatible_p( \
					 typeof(((struct config *)0)->field), ctype)]))

/* The names of one of kumactl's settings, and of one of ours. */
#define KUMACTL(name, variable) \
	.path = name, .env = "KUMA_TRANSPARENT_PROXY_" variable, .kumactl = true
#define OWN(name, variable) .path = name, .env = "TPROXYD_" variable

/* Type, field and default. */
#define AS(kind, f, ctype, text)       .type = SETTING_##kind, .offset = FIELD(f, ctype), .dflt = text
#define AS_STRING(f, text)             AS(STRING, f, const char *, text)
#define AS_BOOL(f, text)               AS(BOOL, f, bool, text)
#define AS_UINT16(f, text)             AS(UINT16, f, uint16_t, text)
#define AS_UINT32(f, text)             AS(UINT32, f, uint32_t, text)
#define AS_PORT(f, text)               AS(PORT, f, uint16_t, text)
#define AS_PORTS(f, text)              AS(PORTS, f, struct port_list, text)
#define AS_STRINGS(f, text)            AS(STRINGS, f, struct string_list, text)
#define AS_PAIRS(f, text)              AS(PAIRS, f, struct pair_list, text)
#define AS_EXECUTABLES(f, text)        AS(EXECUTABLES, f, struct pair_list, text)
#define AS_DURATION(f, text)           AS(DURATION, f, int64_t, text)
#define AS_HOLD(f, text)               AS(HOLD, f, int64_t, text)
#define AS_ENUM(f, ctype, words, text) AS(ENUM, f, ctype, text), .names = (words)

static const char *const ip_family_modes[] = {
	[IP_FAMILY_DUALSTACK] = "dualstack",
	[IP_FAMILY_IPV4] = "ipv4",
	NULL,
};

static const char *const auto_bools[] = {
	[AUTO_BOOL_AUTO] = "auto",
	[AUTO_BOOL_TRUE] = "true",
	[AUTO_BOOL_FALSE] = "false",
	NULL,
};

/* clang-format off */
static const char *const core_dns_modes[] = {
	[CORE_DNS_AUTO] = "auto",
	[CORE_DNS_KUMA_DP] = "kuma-dp",
	[CORE_DNS_TPROXYD] = "tproxyd",
	[CORE_DNS_EMBEDDED] = "embedded",
	[CORE_DNS_OFF] = "off",
	NULL,
};
const char *const backend_names[] = {
	[BACKEND_AUTO] = "auto",
	[BACKEND_IPTABLES] = "iptables",
	[BACKEND_NFTABLES] = "nftables",
	NULL,
};

const char *const log_level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_NOTICE] = "notice",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
	NULL,
};

const struct setting settings[] = {
	/* kuma-dp: which mesh this host joins, and as what. */
	{
		OWN("kumaDP.cpAddress", "KUMA_DP_CP_ADDRESS"),
		.flag = "kuma-dp-cp-address",
		AS_STRING(kuma_dp.cp_address, ""),
		.affects = AFFECTS_KUMA_DP,
		.help = "URL of the control plane, https://HOST:PORT.",
	},
	{
		OWN("kumaDP.tokenFile", "KUMA_DP_TOKEN_FILE"),
		.flag = "kuma-dp-token-file",
		AS_STRING(kuma_dp.token_file, ""),
		.affects = AFFECTS_KUMA_DP,
		.help = "File with the data plane token. It may be readable by root only: kuma-dp is then given a private copy.",
	},
	{
		OWN("kumaDP.dataplaneFile", "KUMA_DP_DATAPLANE_FILE"),
		.flag = "kuma-dp-dataplane-file",
		AS_STRING(kuma_dp.dataplane_file, ""),
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP,
		.help = "File with the Dataplane resource. Needed unless kumaDP.name is set.",
	},
	{
		OWN("kumaDP.dataplaneVars", "KUMA_DP_DATAPLANE_VARS"),
		.flag = "kuma-dp-dataplane-vars",
		AS_PAIRS(kuma_dp.dataplane_vars, ""),
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP,
		.help = "Values for the {{ variables }} of the Dataplane resource.",
	},
	{
		OWN("kumaDP.name", "KUMA_DP_NAME"),
		.flag = "kuma-dp-name",
		AS_STRING(kuma_dp.name, ""),
		.affects = AFFECTS_KUMA_DP,
		.help = "Name of a Dataplane that the control plane has already, instead of kumaDP.dataplaneFile.",
	},
	{
		OWN("kumaDP.mesh", "KUMA_DP_MESH"),
		.flag = "kuma-dp-mesh",
		AS_STRING(kuma_dp.mesh, "default"),
		.affects = AFFECTS_KUMA_DP,
		.help = "Mesh of the Dataplane that kumaDP.name names.",
	},
	{
		OWN("kumaDP.caCertFile", "KUMA_DP_CA_CERT_FILE"),
		.flag = "kuma-dp-ca-cert-file",
		AS_STRING(kuma_dp.ca_cert_file, ""),
		.affects = AFFECTS_KUMA_DP,
		.help = "File with the CA certificate that the control plane's certificate is verified against.",
	},
	{
		OWN("kumaDP.drainTime", "KUMA_DP_DRAIN_TIME"),
		.flag = "kuma-dp-drain-time",
		AS_DURATION(kuma_dp.drain_time, "30s"),
		.affects = AFFECTS_KUMA_DP | AFFECTS_DAEMON,
		.help = "How long redirected connections may take to end when the proxy stops.",
	},
	{
		OWN("kumaDP.env", "KUMA_DP_ENV"),
		.flag = "kuma-dp-env",
		AS_PAIRS(kuma_dp.env, ""),
		.flags = SETTING_PRIVATE,
		.affects = AFFECTS_KUMA_DP,
		.help = "Further environment variables for kuma-dp.",
	},
	{
		OWN("kumaDP.extraArgs", "KUMA_DP_EXTRA_ARGS"),
		.flag = "kuma-dp-extra-args",
		AS_STRINGS(kuma_dp.extra_args, ""),
		.flags = SETTING_PRIVATE,
		.affects = AFFECTS_KUMA_DP,
		.help = "Further arguments for \"kuma-dp run\", one per item.",
	},
	{
		OWN("kumaDP.path", "KUMA_DP_PATH"),
		.flag = "kuma-dp-path",
		AS_STRING(kuma_dp.path, ""),
		.affects = AFFECTS_KUMA_DP,
		.help = "The kuma-dp program. Unset: the first kuma-dp in /usr/local/bin, /usr/bin, /opt/kuma/bin.",
	},
	{
		OWN("kumaDP.envoyPath", "KUMA_DP_ENVOY_PATH"),
		.flag = "kuma-dp-envoy-path",
		AS_STRING(kuma_dp.envoy_path, ""),
		.affects = AFFECTS_KUMA_DP,
		.help = "The envoy program. Unset: the first envoy in /usr/local/bin, /usr/bin, /opt/kuma/bin.",
	},

	/* What is redirected. */
	{
		KUMACTL("redirect.dns.enabled", "REDIRECT_DNS_ENABLED"),
		.flag = "redirect-dns",
		AS_BOOL(redirect.dns.enabled, "false"),
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP,
		.help = "Redirect DNS queries to the servers of /etc/resolv.conf. Without it no .mesh name resolves.",
	},
	{
		KUMACTL("redirect.dns.port", "REDIRECT_DNS_PORT"),
		.flag = "redirect-dns-port",
		AS_PORT(redirect.dns.port, "15053"),
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP | AFFECTS_CORE_DNS,
		.help = "Port on which the mesh's DNS server takes redirected queries.",
	},
	{
		KUMACTL("redirect.dns.captureAll", "REDIRECT_DNS_CAPTURE_ALL"),
		.flag = "redirect-all-dns-traffic",
		AS_BOOL(redirect.dns.capture_all, "false"),
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP,
		.help = "Redirect DNS queries to any server. Implies redirect.dns.enabled.",
	},
	{
		KUMACTL("redirect.dns.skipConntrackZoneSplit", "REDIRECT_DNS_SKIP_CONNTRACK_ZONE_SPLIT"),
		.flag = "skip-dns-conntrack-zone-split",
		AS_BOOL(redirect.dns.skip_conntrack_zone_split, "false"),
		.affects = AFFECTS_RULES,
		.help = "Do not track the DNS queries of applications and those of the proxy in conntrack zones of their own.",
	},
	{
		KUMACTL("redirect.dns.resolvConfigPath", "REDIRECT_DNS_RESOLV_CONFIG_PATH"),
		AS_STRING(redirect.dns.resolv_config_path, "/etc/resolv.conf"),
		.affects = AFFECTS_RULES,
		.help = "The file that names the DNS servers.",
	},
	{
		KUMACTL("redirect.inbound.enabled", "REDIRECT_INBOUND_ENABLED"),
		.flag = "redirect-inbound",
		AS_BOOL(redirect.inbound.enabled, "true"),
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP,
		.help = "Redirect inbound TCP connections.",
	},
	{
		KUMACTL("redirect.inbound.port", "REDIRECT_INBOUND_PORT"),
		.flag = "redirect-inbound-port",
		AS_PORT(redirect.inbound.port, "15006"),
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP,
		.help = "TCP port on which the proxy takes redirected inbound connections.",
	},
	{
		KUMACTL("redirect.inbound.includePorts", "REDIRECT_INBOUND_INCLUDE_PORTS"),
		AS_PORTS(redirect.inbound.include_ports, ""),
		.affects = AFFECTS_RULES,
		.help = "Redirect only inbound connections to these ports. Voids excludePorts.",
	},
	{
		KUMACTL("redirect.inbound.excludePorts", "REDIRECT_INBOUND_EXCLUDE_PORTS"),
		.flag = "exclude-inbound-ports",
		AS_PORTS(redirect.inbound.exclude_ports, ""),
		.affects = AFFECTS_RULES,
		.help = "Do not redirect inbound connections to these ports.",
	},
	{
		KUMACTL("redirect.inbound.excludePortsForUIDs", "REDIRECT_INBOUND_EXCLUDE_PORTS_FOR_UIDS"),
		AS_STRINGS(redirect.inbound.exclude_ports_for_uids, ""),
		.affects = AFFECTS_RULES,
		.help = "Refused: an inbound packet has no user, and the reference turns this into no inbound redirection at all.",
	},
	{
		KUMACTL("redirect.inbound.excludePortsForIPs", "REDIRECT_INBOUND_EXCLUDE_PORTS_FOR_IPS"),
		.flag = "exclude-inbound-ips",
		AS_STRINGS(redirect.inbound.exclude_ports_for_ips, ""),
		.affects = AFFECTS_RULES,
		.help = "Do not redirect inbound traffic from these addresses or prefixes.",
	},
	{
		KUMACTL("redirect.inbound.insertRedirectInsteadOfAppend", "REDIRECT_INBOUND_INSERT_REDIRECT_INSTEAD_OF_APPEND"),
		.flag = "redirect-inbound-insert-instead-of-append",
		AS_BOOL(redirect.inbound.insert_redirect_instead_of_append, "false"),
		.affects = AFFECTS_RULES,
		.help = "Put the inbound redirect before the rules of others instead of behind them.",
	},
	{
		KUMACTL("redirect.inbound.chainName", "REDIRECT_INBOUND_CHAIN_NAME"),
		AS_STRING(redirect.inbound.chain_name, "INBOUND"),
		.flags = SETTING_NO_YAML,
		.affects = AFFECTS_RULES,
		.help = "Name of the inbound chain, behind KUMA_MESH_.",
	},
	{
		KUMACTL("redirect.inbound.redirectChainName", "REDIRECT_INBOUND_REDIRECT_CHAIN_NAME"),
		AS_STRING(redirect.inbound.redirect_chain_name, "INBOUND_REDIRECT"),
		.flags = SETTING_NO_YAML,
		.affects = AFFECTS_RULES,
		.help = "Name of the chain with the inbound redirect, behind KUMA_MESH_.",
	},
	{
		KUMACTL("redirect.outbound.enabled", "REDIRECT_OUTBOUND_ENABLED"),
		AS_BOOL(redirect.outbound.enabled, "true"),
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP,
		.help = "Redirect outbound TCP connections.",
	},
	{
		KUMACTL("redirect.outbound.port", "REDIRECT_OUTBOUND_PORT"),
		.flag = "redirect-outbound-port",
		AS_PORT(redirect.outbound.port, "15001"),
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP,
		.help = "TCP port on which the proxy takes redirected outbound connections.",
	},
	{
		KUMACTL("redirect.outbound.includePorts", "REDIRECT_OUTBOUND_INCLUDE_PORTS"),
		AS_PORTS(redirect.outbound.include_ports, ""),
		.affects = AFFECTS_RULES,
		.help = "Redirect only outbound connections to these ports. Voids excludePorts.",
	},
	{
		KUMACTL("redirect.outbound.excludePorts", "REDIRECT_OUTBOUND_EXCLUDE_PORTS"),
		.flag = "exclude-outbound-ports",
		AS_PORTS(redirect.outbound.exclude_ports, ""),
		.affects = AFFECTS_RULES,
		.help = "Do not redirect outbound connections to these ports.",
	},
	{
		KUMACTL("redirect.outbound.excludePortsForUIDs", "REDIRECT_OUTBOUND_EXCLUDE_PORTS_FOR_UIDS"),
		.flag = "exclude-outbound-ports-for-uids",
		AS_STRINGS(redirect.outbound.exclude_ports_for_uids, ""),
		.affects = AFFECTS_RULES,
		.help = "Do not redirect what these users send: [PROTOCOLS:][PORTS:]UIDS, as tcp:22,80-90:1000-2000 or 1001.",
	},
	{
		KUMACTL("redirect.outbound.excludePortsForIPs", "REDIRECT_OUTBOUND_EXCLUDE_PORTS_FOR_IPS"),
		.flag = "exclude-outbound-ips",
		AS_STRINGS(redirect.outbound.exclude_ports_for_ips, ""),
		.affects = AFFECTS_RULES,
		.help = "Do not redirect outbound traffic to these addresses or prefixes.",
	},
	{
		KUMACTL("redirect.outbound.insertRedirectInsteadOfAppend", "REDIRECT_OUTBOUND_INSERT_REDIRECT_INSTEAD_OF_APPEND"),
		.flag = "redirect-outbound-insert-instead-of-append",
		AS_BOOL(redirect.outbound.insert_redirect_instead_of_append, "false"),
		.affects = AFFECTS_RULES,
		.help = "Put the outbound redirect before the rules of others instead of behind them.",
	},
	{
		KUMACTL("redirect.outbound.chainName", "REDIRECT_OUTBOUND_CHAIN_NAME"),
		AS_STRING(redirect.outbound.chain_name, "OUTBOUND"),
		.flags = SETTING_NO_YAML,
		.affects = AFFECTS_RULES,
		.help = "Name of the outbound chain, behind KUMA_MESH_.",
	},
	{
		KUMACTL("redirect.outbound.redirectChainName", "REDIRECT_OUTBOUND_REDIRECT_CHAIN_NAME"),
		AS_STRING(redirect.outbound.redirect_chain_name, "OUTBOUND_REDIRECT"),
		.flags = SETTING_NO_YAML,
		.affects = AFFECTS_RULES,
		.help = "Name of the chain with the outbound redirect, behind KUMA_MESH_.",
	},
	{
		KUMACTL("redirect.vnet.networks", "REDIRECT_VNET_NETWORKS"),
		.flag = "vnet",
		AS_STRINGS(redirect.vnet.networks, ""),
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP | AFFECTS_CORE_DNS,
		.help = "Virtual networks of containers or machines on this host, INTERFACE:PREFIX, as docker0:172.17.0.0/16; a trailing + matches all interfaces that begin so.",
	},

	/* Who answers DNS. */
	{
		OWN("coreDNS.mode", "CORE_DNS_MODE"),
		.flag = "core-dns-mode",
		AS_ENUM(core_dns.mode, enum core_dns_mode, core_dns_modes, "auto"),
		.affects = AFFECTS_KUMA_DP | AFFECTS_START,
		.help = "Who answers redirected DNS queries: a coredns that kuma-dp runs, a coredns that tproxyd runs, kuma-dp itself (embedded), or nobody. auto: off where DNS is not redirected, else embedded with kuma-dp 3; before that kuma-dp where coredns is of Kuma's build, tproxyd with another.",
	},
	{
		OWN("coreDNS.path", "CORE_DNS_PATH"),
		.flag = "core-dns-path",
		AS_STRING(core_dns.path, ""),
		.affects = AFFECTS_KUMA_DP | AFFECTS_CORE_DNS,
		.help = "The coredns program. Unset: the first coredns in /usr/local/bin, /usr/bin, /opt/kuma/bin.",
	},
	{
		OWN("coreDNS.corefile", "CORE_DNS_COREFILE"),
		.flag = "core-dns-corefile",
		AS_STRING(core_dns.corefile, ""),
		.affects = AFFECTS_KUMA_DP | AFFECTS_CORE_DNS,
		.help = "File with the template of coredns' configuration. Unset: the built-in one.",
	},

	/* What a start must not break. */
	{
		OWN("safety.keepConnections", "SAFETY_KEEP_CONNECTIONS"),
		.flag = "safety-keep-connections",
		AS_ENUM(safety.keep_connections, enum auto_bool, auto_bools, "auto"),
		.flags = SETTING_INSTALL,
		.affects = AFFECTS_RULES,
		.help = "Leave TCP connections alone that exist when the redirect is switched on. auto: true for the service, false for install.",
	},
	{
		OWN("safety.protectSSH", "SAFETY_PROTECT_SSH"),
		.flag = "safety-protect-ssh",
		AS_ENUM(safety.protect_ssh, enum auto_bool, auto_bools, "auto"),
		.flags = SETTING_INSTALL,
		.affects = AFFECTS_RULES,
		.help = "Keep the ports of SSH servers (sshd, dropbear, tinysshd) and of open SSH sessions out of the mesh. auto: true for the service, false for install.",
	},
	{
		OWN("safety.strictInbound", "SAFETY_STRICT_INBOUND"),
		.flag = "safety-strict-inbound",
		AS_ENUM(safety.strict_inbound, enum auto_bool, auto_bools, "auto"),
		.affects = AFFECTS_RULES,
		.help = "Refuse connections to inbounds of the Dataplane at addresses of this host that the mesh does not cover, where they would be answered in plaintext. auto: false, with a warning that names these addresses, save for fe80::/10, which every host has: neighbours on the link reach inbounds there.",
	},
	{
		OWN("safety.confirm", "SAFETY_CONFIRM"),
		.flag = "safety-confirm",
		AS_DURATION(safety.confirm, "0s"),
		.affects = AFFECTS_DAEMON,
		.help = "Release the redirect again after a start, and go back to the former configuration after a reload, unless \"tproxyd confirm\" is run within this time: whoever is locked out cannot. 0s: no confirmation is needed.",
	},

	/* The user that the proxy runs as. */
	{
		KUMACTL("kumaDPUser", "KUMA_DP_USER"),
		.flag = "kuma-dp-user",
		.flag_alias = "kuma-dp-uid",
		AS_STRING(kuma_dp_user, ""),
		.affects = AFFECTS_START,
		.help = "Name or UID of the user that the proxy runs as. Unset: UID 5678, else the user kuma-dp.",
	},
	{
		OWN("user.create", "USER_CREATE"),
		.flag = "user-create",
		AS_BOOL(user.create, "true"),
		.help = "Create that user when it is missing.",
	},

	/* How the rules look. */
	{
		KUMACTL("ipFamilyMode", "IP_FAMILY_MODE"),
		.flag = "ip-family-mode",
		AS_ENUM(ip_family_mode, enum ip_family_mode, ip_family_modes, "dualstack"),
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP | AFFECTS_CORE_DNS,
		.help = "Redirect IPv4 and IPv6 (dualstack), or IPv4 alone.",
	},
	{
		KUMACTL("dropInvalidPackets", "DROP_INVALID_PACKETS"),
		.flag = "drop-invalid-packets",
		AS_BOOL(drop_invalid_packets, "false"),
		.affects = AFFECTS_RULES,
		.help = "Drop packets that conntrack calls invalid.",
	},
	{
		KUMACTL("log.enabled", "LOG_ENABLED"),
		.flag = "iptables-logs",
		AS_BOOL(log.enabled, "false"),
		.affects = AFFECTS_RULES,
		.help = "Log packets by iptables' LOG target.",
	},
	{
		KUMACTL("log.level", "LOG_LEVEL"),
		AS_UINT16(log.level, "7"),
		.affects = AFFECTS_RULES,
		.help = "Priority of what the LOG target logs, 0 (emergency) to 7 (debug).",
	},
	{
		KUMACTL("comments.disabled", "COMMENTS_DISABLED"),
		.flag = "disable-comments",
		AS_BOOL(comments.disabled, "false"),
		.affects = AFFECTS_RULES,
		.help = "Rules without comments.",
	},
	{
		OWN("backend", "BACKEND"),
		.flag = "backend",
		AS_ENUM(backend, enum backend_choice, backend_names, "auto"),
		.flags = SETTING_INSTALL | SETTING_UNINSTALL,
		.affects = AFFECTS_START,
		.help = "What makes the rules true in the kernel. Needs a restart of the service.",
	},
	{
		KUMACTL("wait", "WAIT"),
		.flag = "wait",
		AS_UINT32(wait, "5"),
		.affects = AFFECTS_DAEMON,
		.help = "How many seconds to wait for the xtables lock. 0: five minutes.",
	},
	{
		KUMACTL("waitInterval", "WAIT_INTERVAL"),
		.flag = "wait-interval",
		AS_UINT32(wait_interval, "0"),
		.affects = AFFECTS_DAEMON,
		.help = "How many microseconds to wait between two attempts to take the lock. 0: as fits.",
	},
	{
		KUMACTL("retry.maxRetries", "RETRY_MAX_RETRIES"),
		.flag = "max-retries",
		AS_UINT32(retry.max_retries, "4"),
		.affects = AFFECTS_DAEMON,
		.help = "How often install tries again when others hold the lock or keep changing the rules.",
	},
	{
		KUMACTL("retry.sleepBetweenRetries", "RETRY_SLEEP_BETWEEN_RETRIES"),
		.flag = "sleep-between-retries",
		AS_DURATION(retry.sleep_between_retries, "2s"),
		.affects = AFFECTS_DAEMON,
		.help = "The pause between two such attempts.",
	},

	/* How the service behaves. */
	{
		OWN("readiness.timeout", "READINESS_TIMEOUT"),
		.flag = "readiness-timeout",
		AS_DURATION(readiness.timeout, "3m"),
		.affects = AFFECTS_DAEMON,
		.help = "How long the proxy may take until it serves.",
	},
	{
		OWN("readiness.interval", "READINESS_INTERVAL"),
		.flag = "readiness-interval",
		AS_DURATION(readiness.interval, "100ms"),
		.affects = AFFECTS_DAEMON,
		.help = "How often the proxy is asked while waiting for it.",
	},
	{
		OWN("restart.delay", "RESTART_DELAY"),
		.flag = "restart-delay",
		AS_DURATION(restart.delay, "250ms"),
		.affects = AFFECTS_DAEMON,
		.help = "The pause before a child that died is started again; doubles each time, until one has served for a minute.",
	},
	{
		OWN("restart.maxDelay", "RESTART_MAX_DELAY"),
		.flag = "restart-max-delay",
		AS_DURATION(restart.max_delay, "30s"),
		.affects = AFFECTS_DAEMON,
		.help = "The longest such pause.",
	},
	{
		OWN("failure.holdRules", "FAILURE_HOLD_RULES"),
		.flag = "failure-hold-rules",
		AS_HOLD(failure.hold_rules, "30s"),
		.affects = AFFECTS_DAEMON,
		.help = "How long the rules stay when the proxy no longer serves: 0s lets traffic go direct at once, infinity never.",
	},
	{
		OWN("logLevel", "LOG_LEVEL"),
		.flag = "log-level",
		AS_ENUM(log_level, enum log_level, log_level_names, "info"),
		.affects = AFFECTS_DAEMON,
		.help = "How much tproxyd itself logs.",
	},

	/* For install alone. */
	{
		KUMACTL("dryRun", "DRY_RUN"),
		.flag = "dry-run",
		AS_BOOL(dry_run, "false"),
		.flags = SETTING_UNINSTALL,
		.help = "Print the rules and change nothing. For install and uninstall alone.",
	},
	{
		KUMACTL("verbose", "VERBOSE"),
		.flag = "verbose",
		AS_BOOL(verbose, "false"),
		.flags = SETTING_UNINSTALL,
		.help = "Long option names and section comments in the rules that are printed.",
	},
	{
		KUMACTL("storeFirewalld", "STORE_FIREWALLD"),
		.flag = "store-firewalld",
		AS_BOOL(store_firewalld, "false"),
		.help = "Store the rules in firewalld's direct.xml too. For install alone.",
	},

	/* kumactl's, without meaning here. */
	{
		KUMACTL("cniMode", "CNI_MODE"),
		AS_BOOL(cni_mode, "false"),
		.flags = SETTING_IGNORED,
		.help = "No effect: for Kubernetes.",
	},
	{
		KUMACTL("iptablesExecutables", "IPTABLES_EXECUTABLES"),
		.flag = "iptables-executables",
		AS_EXECUTABLES(iptables_executables, ""),
		.flags = SETTING_IGNORED,
		.help = "No effect: tproxyd runs no iptables.",
	},
	{
		KUMACTL("ebpf.enabled", "EBPF_ENABLED"),
		.flag = "ebpf-enabled",
		AS_BOOL(ebpf.enabled, "false"),
		.flags = SETTING_IGNORED | SETTING_UNINSTALL,
		.help = "No effect: tproxyd has no eBPF mode.",
	},
	{
		KUMACTL("ebpf.instanceIP", "EBPF_INSTANCE_IP"),
		.flag = "ebpf-instance-ip",
		AS_STRING(ebpf.instance_ip, ""),
		.flags = SETTING_IGNORED,
		.help = "No effect: tproxyd has no eBPF mode.",
	},
	{
		KUMACTL("ebpf.instanceIPEnvVarName", "EBPF_INSTANCE_IP_ENV_VAR_NAME"),
		AS_STRING(ebpf.instance_ip_env_var_name, ""),
		.flags = SETTING_IGNORED,
		.help = "No effect: tproxyd has no eBPF mode.",
	},
	{
		KUMACTL("ebpf.bpffsPath", "EBPF_BPFFS_PATH"),
		.flag = "ebpf-bpffs-path",
		AS_STRING(ebpf.bpffs_path, "/run/kuma/bpf"),
		.flags = SETTING_IGNORED | SETTING_UNINSTALL,
		.help = "No effect: tproxyd has no eBPF mode.",
	},
	{
		KUMACTL("ebpf.cgroupPath", "EBPF_CGROUP_PATH"),
		.flag = "ebpf-cgroup-path",
		AS_STRING(ebpf.cgroup_path, "/sys/fs/cgroup"),
		.flags = SETTING_IGNORED,
		.help = "No effect: tproxyd has no eBPF mode.",
	},
	{
		KUMACTL("ebpf.programsSourcePath", "EBPF_PROGRAMS_SOURCE_PATH"),
		.flag = "ebpf-programs-source-path",
		AS_STRING(ebpf.programs_source_path, "/tmp/kuma-ebpf"),
		.flags = SETTING_IGNORED,
		.help = "No effect: tproxyd has no eBPF mode.",
	},
	{
		KUMACTL("ebpf.tcAttachIface", "EBPF_TC_ATTACH_IFACE"),
		.flag = "ebpf-tc-attach-iface",
		AS_STRING(ebpf.tc_attach_iface, ""),
		.flags = SETTING_IGNORED,
		.help = "No effect: tproxyd has no eBPF mode.",
	},
};
/* clang-format on */

const size_t n_settings = ELEMENTS(settings);

const struct setting *setting_by_path(const char *path)
{
	for (size_t i = 0; i < n_settings; i++)
		if (strcasecmp(settings[i].path, path) == 0)
			return &settings[i];
	return NULL;
}

const struct setting *setting_by_flag(const char *flag)
{
	for (size_t i = 0; i < n_settings; i++) {
		const struct setting *s = &settings[i];

		if ((s->flag && strcmp(s->flag, flag) == 0) ||
		    (s->flag_alias && strcmp(s->flag_alias, flag) == 0))
			return s;
	}
	return NULL;
}

const struct setting *setting_by_env(const char *env)
{
	for (size_t i = 0; i < n_settings; i++)
		if (strcmp(settings[i].env, env) == 0)
			return &settings[i];
	return NULL;
}

#define COMPONENT_MAX 64 /* no component of a path that is worth a suggestion is longer */

/* Copies one component of a dotted path; returns what follows, NULL at the end or when it is too
 * long to be compared. */
static const char *component(const char *path, char ret[static COMPONENT_MAX])
{
	size_t len = strcspn(path, ".");

	(void)snprintf(ret, COMPONENT_MAX, "%.*s", (int)len, path);
	path += len;
	return *path ? path + 1 : NULL;
}

/* How far path is from the beginning of known: the edits of the one component that differs, or a
 * large number when it is none or several, or too far. */
static unsigned path_distance(const char *path, const char *known)
{
	enum { FAR = 100, LIMIT = 2 };
	char a[COMPONENT_MAX], b[COMPONENT_MAX];
	unsigned found = 0;

	while (path && known) {
		unsigned distance;

		path = component(path, a);
		known = component(known, b);
		distance = edit_distance(a, b, LIMIT);
		if (distance == 0)
			continue;
		if (found || distance > LIMIT || distance > strlen(b) / 2)
			return FAR;
		found = distance;
	}
	return found && !path ? found : FAR;
}

const struct setting *setting_suggest(const char *path)
{
	const struct setting *best = NULL;
	unsigned best_distance = 3;

	for (size_t i = 0; i < n_settings; i++) {
		unsigned distance = path_distance(path, settings[i].path);

		if (distance < best_distance) {
			best_distance = distance;
			best = &settings[i];
		}
	}
	return best;
}
