/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/schema.h"

#include <string.h>
#include <strings.h>

#include "common/base/parse.h"

/* Fails to compile unless struct config's field has the C type that the setting's parser writes. */
#define FIELD(field, ctype)                                     \
	(offsetof(struct config, field) +                       \
	 0 * sizeof(char[1 - 2 * !__builtin_types_compatible_p( \
					 typeof(((struct config *)0)->field), ctype)]))

#define AS_STRING(f)             .type = SETTING_STRING, .offset = FIELD(f, const char *)
#define AS_BOOL(f)               .type = SETTING_BOOL, .offset = FIELD(f, bool)
#define AS_UINT16(f)             .type = SETTING_UINT16, .offset = FIELD(f, uint16_t)
#define AS_UINT32(f)             .type = SETTING_UINT32, .offset = FIELD(f, uint32_t)
#define AS_PORT(f)               .type = SETTING_PORT, .offset = FIELD(f, uint16_t)
#define AS_PORTS(f)              .type = SETTING_PORTS, .offset = FIELD(f, struct port_list)
#define AS_STRINGS(f)            .type = SETTING_STRINGS, .offset = FIELD(f, struct string_list)
#define AS_PAIRS(f)              .type = SETTING_PAIRS, .offset = FIELD(f, struct pair_list)
#define AS_EXECUTABLES(f)        .type = SETTING_EXECUTABLES, .offset = FIELD(f, struct pair_list)
#define AS_DURATION(f)           .type = SETTING_DURATION, .offset = FIELD(f, int64_t)
#define AS_HOLD(f)               .type = SETTING_HOLD, .offset = FIELD(f, int64_t)
#define AS_ENUM(f, ctype, words) .type = SETTING_ENUM, .offset = FIELD(f, ctype), .names = (words)

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
/* clang-format on */

static const char *const backends[] = {
	[BACKEND_AUTO] = "auto",
	[BACKEND_IPTABLES] = "iptables",
	[BACKEND_NFTABLES] = "nftables",
	NULL,
};

/* clang-format off */
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
		.path = "kumaDP.cpAddress",
		.env = "TPROXYD_KUMA_DP_CP_ADDRESS",
		.flag = "kuma-dp-cp-address",
		AS_STRING(kuma_dp.cp_address),
		.affects = AFFECTS_KUMA_DP,
		.dflt = "",
		.help = "URL of the control plane, https://HOST:PORT.",
	},
	{
		.path = "kumaDP.tokenFile",
		.env = "TPROXYD_KUMA_DP_TOKEN_FILE",
		.flag = "kuma-dp-token-file",
		AS_STRING(kuma_dp.token_file),
		.affects = AFFECTS_KUMA_DP,
		.dflt = "",
		.help = "File with the data plane token. It may be readable by root only: kuma-dp is then given a private copy.",
	},
	{
		.path = "kumaDP.dataplaneFile",
		.env = "TPROXYD_KUMA_DP_DATAPLANE_FILE",
		.flag = "kuma-dp-dataplane-file",
		AS_STRING(kuma_dp.dataplane_file),
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP,
		.dflt = "",
		.help = "File with the Dataplane resource. Needed unless kumaDP.name is set.",
	},
	{
		.path = "kumaDP.dataplaneVars",
		.env = "TPROXYD_KUMA_DP_DATAPLANE_VARS",
		.flag = "kuma-dp-dataplane-vars",
		AS_PAIRS(kuma_dp.dataplane_vars),
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP,
		.dflt = "",
		.help = "Values for the {{ variables }} of the Dataplane resource.",
	},
	{
		.path = "kumaDP.name",
		.env = "TPROXYD_KUMA_DP_NAME",
		.flag = "kuma-dp-name",
		AS_STRING(kuma_dp.name),
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP,
		.dflt = "",
		.help = "Name of a Dataplane that the control plane has already, instead of kumaDP.dataplaneFile.",
	},
	{
		.path = "kumaDP.mesh",
		.env = "TPROXYD_KUMA_DP_MESH",
		.flag = "kuma-dp-mesh",
		AS_STRING(kuma_dp.mesh),
		.affects = AFFECTS_KUMA_DP,
		.dflt = "default",
		.help = "Mesh of the Dataplane that kumaDP.name names.",
	},
	{
		.path = "kumaDP.caCertFile",
		.env = "TPROXYD_KUMA_DP_CA_CERT_FILE",
		.flag = "kuma-dp-ca-cert-file",
		AS_STRING(kuma_dp.ca_cert_file),
		.affects = AFFECTS_KUMA_DP,
		.dflt = "",
		.help = "File with the CA certificate that the control plane's certificate is verified against.",
	},
	{
		.path = "kumaDP.drainTime",
		.env = "TPROXYD_KUMA_DP_DRAIN_TIME",
		.flag = "kuma-dp-drain-time",
		AS_DURATION(kuma_dp.drain_time),
		.affects = AFFECTS_KUMA_DP | AFFECTS_DAEMON,
		.dflt = "30s",
		.help = "How long redirected connections may take to end when the proxy stops.",
	},
	{
		.path = "kumaDP.env",
		.env = "TPROXYD_KUMA_DP_ENV",
		.flag = "kuma-dp-env",
		AS_PAIRS(kuma_dp.env),
		.affects = AFFECTS_KUMA_DP | AFFECTS_CORE_DNS,
		.dflt = "",
		.help = "Further environment variables for kuma-dp.",
	},
	{
		.path = "kumaDP.extraArgs",
		.env = "TPROXYD_KUMA_DP_EXTRA_ARGS",
		.flag = "kuma-dp-extra-args",
		AS_STRINGS(kuma_dp.extra_args),
		.affects = AFFECTS_KUMA_DP,
		.dflt = "",
		.help = "Further arguments for \"kuma-dp run\", one per item.",
	},
	{
		.path = "kumaDP.path",
		.env = "TPROXYD_KUMA_DP_PATH",
		.flag = "kuma-dp-path",
		AS_STRING(kuma_dp.path),
		.affects = AFFECTS_KUMA_DP,
		.dflt = "",
		.help = "The kuma-dp program. Unset: the first kuma-dp in /usr/local/bin, /usr/bin, /opt/kuma/bin.",
	},
	{
		.path = "kumaDP.envoyPath",
		.env = "TPROXYD_KUMA_DP_ENVOY_PATH",
		.flag = "kuma-dp-envoy-path",
		AS_STRING(kuma_dp.envoy_path),
		.affects = AFFECTS_KUMA_DP,
		.dflt = "",
		.help = "The envoy program. Unset: the first envoy in /usr/local/bin, /usr/bin, /opt/kuma/bin.",
	},

	/* What is redirected. */
	{
		.path = "redirect.dns.enabled",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_DNS_ENABLED",
		.flag = "redirect-dns",
		AS_BOOL(redirect.dns.enabled),
		.flags = SETTING_KUMACTL | SETTING_IRREGULAR,
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP | AFFECTS_CORE_DNS,
		.dflt = "false",
		.help = "Redirect DNS queries to the servers of /etc/resolv.conf. Without it no .mesh name resolves.",
	},
	{
		.path = "redirect.dns.port",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_DNS_PORT",
		.flag = "redirect-dns-port",
		AS_PORT(redirect.dns.port),
		.flags = SETTING_KUMACTL,
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP | AFFECTS_CORE_DNS,
		.dflt = "15053",
		.help = "Port on which the mesh's DNS server takes redirected queries.",
	},
	{
		.path = "redirect.dns.captureAll",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_DNS_CAPTURE_ALL",
		.flag = "redirect-all-dns-traffic",
		AS_BOOL(redirect.dns.capture_all),
		.flags = SETTING_KUMACTL | SETTING_IRREGULAR,
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP | AFFECTS_CORE_DNS,
		.dflt = "false",
		.help = "Redirect DNS queries to any server. Implies redirect.dns.enabled.",
	},
	{
		.path = "redirect.dns.skipConntrackZoneSplit",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_DNS_SKIP_CONNTRACK_ZONE_SPLIT",
		.flag = "skip-dns-conntrack-zone-split",
		AS_BOOL(redirect.dns.skip_conntrack_zone_split),
		.flags = SETTING_KUMACTL | SETTING_IRREGULAR,
		.affects = AFFECTS_RULES,
		.dflt = "false",
		.help = "Do not track the DNS queries of applications and those of the proxy in conntrack zones of their own.",
	},
	{
		.path = "redirect.dns.resolvConfigPath",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_DNS_RESOLV_CONFIG_PATH",
		AS_STRING(redirect.dns.resolv_config_path),
		.flags = SETTING_KUMACTL,
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP | AFFECTS_CORE_DNS,
		.dflt = "/etc/resolv.conf",
		.help = "The file that names the DNS servers.",
	},
	{
		.path = "redirect.inbound.enabled",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_ENABLED",
		.flag = "redirect-inbound",
		AS_BOOL(redirect.inbound.enabled),
		.flags = SETTING_KUMACTL | SETTING_IRREGULAR,
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP,
		.dflt = "true",
		.help = "Redirect inbound TCP connections.",
	},
	{
		.path = "redirect.inbound.port",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_PORT",
		.flag = "redirect-inbound-port",
		AS_PORT(redirect.inbound.port),
		.flags = SETTING_KUMACTL,
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP,
		.dflt = "15006",
		.help = "TCP port on which the proxy takes redirected inbound connections.",
	},
	{
		.path = "redirect.inbound.includePorts",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_INCLUDE_PORTS",
		AS_PORTS(redirect.inbound.include_ports),
		.flags = SETTING_KUMACTL,
		.affects = AFFECTS_RULES,
		.dflt = "",
		.help = "Redirect only inbound connections to these ports. Voids excludePorts.",
	},
	{
		.path = "redirect.inbound.excludePorts",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_EXCLUDE_PORTS",
		.flag = "exclude-inbound-ports",
		AS_PORTS(redirect.inbound.exclude_ports),
		.flags = SETTING_KUMACTL | SETTING_IRREGULAR,
		.affects = AFFECTS_RULES,
		.dflt = "",
		.help = "Do not redirect inbound connections to these ports.",
	},
	{
		.path = "redirect.inbound.excludePortsForUIDs",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_EXCLUDE_PORTS_FOR_UIDS",
		AS_STRINGS(redirect.inbound.exclude_ports_for_uids),
		.flags = SETTING_KUMACTL,
		.affects = AFFECTS_RULES,
		.dflt = "",
		.help = "Refused: an inbound packet has no user, and the reference turns this into no inbound redirection at all.",
	},
	{
		.path = "redirect.inbound.excludePortsForIPs",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_EXCLUDE_PORTS_FOR_IPS",
		.flag = "exclude-inbound-ips",
		AS_STRINGS(redirect.inbound.exclude_ports_for_ips),
		.flags = SETTING_KUMACTL | SETTING_IRREGULAR,
		.affects = AFFECTS_RULES,
		.dflt = "",
		.help = "Do not redirect inbound traffic from these addresses or prefixes.",
	},
	{
		.path = "redirect.inbound.insertRedirectInsteadOfAppend",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_INSERT_REDIRECT_INSTEAD_OF_APPEND",
		.flag = "redirect-inbound-insert-instead-of-append",
		AS_BOOL(redirect.inbound.insert_redirect_instead_of_append),
		.flags = SETTING_KUMACTL | SETTING_IRREGULAR,
		.affects = AFFECTS_RULES,
		.dflt = "false",
		.help = "Put the inbound redirect before the rules of others instead of behind them.",
	},
	{
		.path = "redirect.inbound.chainName",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_CHAIN_NAME",
		AS_STRING(redirect.inbound.chain_name),
		.flags = SETTING_KUMACTL | SETTING_NO_YAML,
		.affects = AFFECTS_RULES,
		.dflt = "INBOUND",
		.help = "Name of the inbound chain, behind KUMA_MESH_.",
	},
	{
		.path = "redirect.inbound.redirectChainName",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_REDIRECT_CHAIN_NAME",
		AS_STRING(redirect.inbound.redirect_chain_name),
		.flags = SETTING_KUMACTL | SETTING_NO_YAML,
		.affects = AFFECTS_RULES,
		.dflt = "INBOUND_REDIRECT",
		.help = "Name of the chain with the inbound redirect, behind KUMA_MESH_.",
	},
	{
		.path = "redirect.outbound.enabled",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_OUTBOUND_ENABLED",
		AS_BOOL(redirect.outbound.enabled),
		.flags = SETTING_KUMACTL,
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP,
		.dflt = "true",
		.help = "Redirect outbound TCP connections.",
	},
	{
		.path = "redirect.outbound.port",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_OUTBOUND_PORT",
		.flag = "redirect-outbound-port",
		AS_PORT(redirect.outbound.port),
		.flags = SETTING_KUMACTL,
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP,
		.dflt = "15001",
		.help = "TCP port on which the proxy takes redirected outbound connections.",
	},
	{
		.path = "redirect.outbound.includePorts",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_OUTBOUND_INCLUDE_PORTS",
		AS_PORTS(redirect.outbound.include_ports),
		.flags = SETTING_KUMACTL,
		.affects = AFFECTS_RULES,
		.dflt = "",
		.help = "Redirect only outbound connections to these ports. Voids excludePorts.",
	},
	{
		.path = "redirect.outbound.excludePorts",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_OUTBOUND_EXCLUDE_PORTS",
		.flag = "exclude-outbound-ports",
		AS_PORTS(redirect.outbound.exclude_ports),
		.flags = SETTING_KUMACTL | SETTING_IRREGULAR,
		.affects = AFFECTS_RULES,
		.dflt = "",
		.help = "Do not redirect outbound connections to these ports.",
	},
	{
		.path = "redirect.outbound.excludePortsForUIDs",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_OUTBOUND_EXCLUDE_PORTS_FOR_UIDS",
		.flag = "exclude-outbound-ports-for-uids",
		AS_STRINGS(redirect.outbound.exclude_ports_for_uids),
		.flags = SETTING_KUMACTL | SETTING_IRREGULAR,
		.affects = AFFECTS_RULES,
		.dflt = "",
		.help = "Do not redirect what these users send: [PROTOCOLS:][PORTS:]UIDS, as tcp:22,80-90:1000-2000 or 1001.",
	},
	{
		.path = "redirect.outbound.excludePortsForIPs",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_OUTBOUND_EXCLUDE_PORTS_FOR_IPS",
		.flag = "exclude-outbound-ips",
		AS_STRINGS(redirect.outbound.exclude_ports_for_ips),
		.flags = SETTING_KUMACTL | SETTING_IRREGULAR,
		.affects = AFFECTS_RULES,
		.dflt = "",
		.help = "Do not redirect outbound traffic to these addresses or prefixes.",
	},
	{
		.path = "redirect.outbound.insertRedirectInsteadOfAppend",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_OUTBOUND_INSERT_REDIRECT_INSTEAD_OF_APPEND",
		.flag = "redirect-outbound-insert-instead-of-append",
		AS_BOOL(redirect.outbound.insert_redirect_instead_of_append),
		.flags = SETTING_KUMACTL | SETTING_IRREGULAR,
		.affects = AFFECTS_RULES,
		.dflt = "false",
		.help = "Put the outbound redirect before the rules of others instead of behind them.",
	},
	{
		.path = "redirect.outbound.chainName",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_OUTBOUND_CHAIN_NAME",
		AS_STRING(redirect.outbound.chain_name),
		.flags = SETTING_KUMACTL | SETTING_NO_YAML,
		.affects = AFFECTS_RULES,
		.dflt = "OUTBOUND",
		.help = "Name of the outbound chain, behind KUMA_MESH_.",
	},
	{
		.path = "redirect.outbound.redirectChainName",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_OUTBOUND_REDIRECT_CHAIN_NAME",
		AS_STRING(redirect.outbound.redirect_chain_name),
		.flags = SETTING_KUMACTL | SETTING_NO_YAML,
		.affects = AFFECTS_RULES,
		.dflt = "OUTBOUND_REDIRECT",
		.help = "Name of the chain with the outbound redirect, behind KUMA_MESH_.",
	},
	{
		.path = "redirect.vnet.networks",
		.env = "KUMA_TRANSPARENT_PROXY_REDIRECT_VNET_NETWORKS",
		.flag = "vnet",
		AS_STRINGS(redirect.vnet.networks),
		.flags = SETTING_KUMACTL | SETTING_IRREGULAR,
		.affects = AFFECTS_RULES,
		.dflt = "",
		.help = "Virtual networks of containers or machines on this host, INTERFACE:PREFIX, as docker0:172.17.0.0/16; a trailing + matches all interfaces that begin so.",
	},

	/* Who answers DNS. */
	{
		.path = "coreDNS.mode",
		.env = "TPROXYD_CORE_DNS_MODE",
		.flag = "core-dns-mode",
		AS_ENUM(core_dns.mode, enum core_dns_mode, core_dns_modes),
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP | AFFECTS_CORE_DNS,
		.dflt = "auto",
		.help = "Who answers redirected DNS queries: a coredns that kuma-dp runs, a coredns that tproxyd runs, kuma-dp itself (embedded), or nobody. auto: off where DNS is not redirected, else embedded with kuma-dp 3 and kuma-dp before that.",
	},
	{
		.path = "coreDNS.path",
		.env = "TPROXYD_CORE_DNS_PATH",
		.flag = "core-dns-path",
		AS_STRING(core_dns.path),
		.affects = AFFECTS_KUMA_DP | AFFECTS_CORE_DNS,
		.dflt = "",
		.help = "The coredns program. Unset: the first coredns in /usr/local/bin, /usr/bin, /opt/kuma/bin.",
	},
	{
		.path = "coreDNS.corefile",
		.env = "TPROXYD_CORE_DNS_COREFILE",
		.flag = "core-dns-corefile",
		AS_STRING(core_dns.corefile),
		.affects = AFFECTS_KUMA_DP | AFFECTS_CORE_DNS,
		.dflt = "",
		.help = "File with the template of coredns' configuration. Unset: the built-in one.",
	},

	/* What a start must not break. */
	{
		.path = "safety.keepConnections",
		.env = "TPROXYD_SAFETY_KEEP_CONNECTIONS",
		.flag = "safety-keep-connections",
		AS_ENUM(safety.keep_connections, enum auto_bool, auto_bools),
		.flags = SETTING_INSTALL,
		.affects = AFFECTS_RULES,
		.dflt = "auto",
		.help = "Leave TCP connections alone that exist when the redirect is switched on. auto: true for the service, false for install.",
	},
	{
		.path = "safety.protectSSH",
		.env = "TPROXYD_SAFETY_PROTECT_SSH",
		.flag = "safety-protect-ssh",
		AS_ENUM(safety.protect_ssh, enum auto_bool, auto_bools),
		.flags = SETTING_INSTALL,
		.affects = AFFECTS_RULES,
		.dflt = "auto",
		.help = "Exclude the ports that sshd listens on and those of open SSH sessions. auto: true for the service, false for install.",
	},

	/* The user that the proxy runs as. */
	{
		.path = "kumaDPUser",
		.env = "KUMA_TRANSPARENT_PROXY_KUMA_DP_USER",
		.flag = "kuma-dp-user",
		.flag_alias = "kuma-dp-uid",
		AS_STRING(kuma_dp_user),
		.flags = SETTING_KUMACTL,
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP | AFFECTS_CORE_DNS,
		.dflt = "",
		.help = "Name or UID of the user that the proxy runs as. Unset: UID 5678, else the user kuma-dp.",
	},
	{
		.path = "user.create",
		.env = "TPROXYD_USER_CREATE",
		.flag = "user-create",
		AS_BOOL(user.create),
		.affects = AFFECTS_NOTHING,
		.dflt = "true",
		.help = "Create that user when it is missing.",
	},

	/* How the rules look. */
	{
		.path = "ipFamilyMode",
		.env = "KUMA_TRANSPARENT_PROXY_IP_FAMILY_MODE",
		.flag = "ip-family-mode",
		AS_ENUM(ip_family_mode, enum ip_family_mode, ip_family_modes),
		.flags = SETTING_KUMACTL,
		.affects = AFFECTS_RULES | AFFECTS_KUMA_DP | AFFECTS_CORE_DNS,
		.dflt = "dualstack",
		.help = "Redirect IPv4 and IPv6 (dualstack), or IPv4 alone.",
	},
	{
		.path = "dropInvalidPackets",
		.env = "KUMA_TRANSPARENT_PROXY_DROP_INVALID_PACKETS",
		.flag = "drop-invalid-packets",
		AS_BOOL(drop_invalid_packets),
		.flags = SETTING_KUMACTL,
		.affects = AFFECTS_RULES,
		.dflt = "false",
		.help = "Drop packets that conntrack calls invalid.",
	},
	{
		.path = "log.enabled",
		.env = "KUMA_TRANSPARENT_PROXY_LOG_ENABLED",
		.flag = "iptables-logs",
		AS_BOOL(log.enabled),
		.flags = SETTING_KUMACTL | SETTING_IRREGULAR,
		.affects = AFFECTS_RULES,
		.dflt = "false",
		.help = "Log packets by iptables' LOG target.",
	},
	{
		.path = "log.level",
		.env = "KUMA_TRANSPARENT_PROXY_LOG_LEVEL",
		AS_UINT16(log.level),
		.flags = SETTING_KUMACTL,
		.affects = AFFECTS_RULES,
		.dflt = "7",
		.help = "Priority of what the LOG target logs, 0 (emergency) to 7 (debug).",
	},
	{
		.path = "comments.disabled",
		.env = "KUMA_TRANSPARENT_PROXY_COMMENTS_DISABLED",
		.flag = "disable-comments",
		AS_BOOL(comments.disabled),
		.flags = SETTING_KUMACTL | SETTING_IRREGULAR,
		.affects = AFFECTS_RULES,
		.dflt = "false",
		.help = "Rules without comments.",
	},
	{
		.path = "backend",
		.env = "TPROXYD_BACKEND",
		.flag = "backend",
		AS_ENUM(backend, enum backend_choice, backends),
		.flags = SETTING_INSTALL | SETTING_UNINSTALL,
		.affects = AFFECTS_RULES | AFFECTS_START,
		.dflt = "auto",
		.help = "What makes the rules true in the kernel. Needs a restart of the service.",
	},
	{
		.path = "wait",
		.env = "KUMA_TRANSPARENT_PROXY_WAIT",
		.flag = "wait",
		AS_UINT32(wait),
		.flags = SETTING_KUMACTL,
		.affects = AFFECTS_DAEMON,
		.dflt = "5",
		.help = "How many seconds to wait for the xtables lock. 0: five minutes.",
	},
	{
		.path = "waitInterval",
		.env = "KUMA_TRANSPARENT_PROXY_WAIT_INTERVAL",
		.flag = "wait-interval",
		AS_UINT32(wait_interval),
		.flags = SETTING_KUMACTL,
		.affects = AFFECTS_DAEMON,
		.dflt = "0",
		.help = "How many microseconds to wait between two attempts to take the lock. 0: as fits.",
	},
	{
		.path = "retry.maxRetries",
		.env = "KUMA_TRANSPARENT_PROXY_RETRY_MAX_RETRIES",
		.flag = "max-retries",
		AS_UINT32(retry.max_retries),
		.flags = SETTING_KUMACTL | SETTING_IRREGULAR,
		.affects = AFFECTS_DAEMON,
		.dflt = "4",
		.help = "How often install tries again when others hold the lock or keep changing the rules.",
	},
	{
		.path = "retry.sleepBetweenRetries",
		.env = "KUMA_TRANSPARENT_PROXY_RETRY_SLEEP_BETWEEN_RETRIES",
		.flag = "sleep-between-retries",
		AS_DURATION(retry.sleep_between_retries),
		.flags = SETTING_KUMACTL | SETTING_IRREGULAR,
		.affects = AFFECTS_DAEMON,
		.dflt = "2s",
		.help = "The pause between two such attempts.",
	},

	/* How the service behaves. */
	{
		.path = "readiness.timeout",
		.env = "TPROXYD_READINESS_TIMEOUT",
		.flag = "readiness-timeout",
		AS_DURATION(readiness.timeout),
		.affects = AFFECTS_DAEMON,
		.dflt = "3m",
		.help = "How long the proxy may take until it serves.",
	},
	{
		.path = "readiness.interval",
		.env = "TPROXYD_READINESS_INTERVAL",
		.flag = "readiness-interval",
		AS_DURATION(readiness.interval),
		.affects = AFFECTS_DAEMON,
		.dflt = "100ms",
		.help = "How often the proxy is asked while waiting for it.",
	},
	{
		.path = "restart.delay",
		.env = "TPROXYD_RESTART_DELAY",
		.flag = "restart-delay",
		AS_DURATION(restart.delay),
		.flags = SETTING_DEFAULT_ONLY,
		.affects = AFFECTS_DAEMON,
		.dflt = "250ms",
		.help = "The pause before a child that died is started again; doubles each time.",
	},
	{
		.path = "restart.maxDelay",
		.env = "TPROXYD_RESTART_MAX_DELAY",
		.flag = "restart-max-delay",
		AS_DURATION(restart.max_delay),
		.flags = SETTING_DEFAULT_ONLY,
		.affects = AFFECTS_DAEMON,
		.dflt = "30s",
		.help = "The longest such pause.",
	},
	{
		.path = "failure.holdRules",
		.env = "TPROXYD_FAILURE_HOLD_RULES",
		.flag = "failure-hold-rules",
		AS_HOLD(failure.hold_rules),
		.flags = SETTING_DEFAULT_ONLY,
		.affects = AFFECTS_DAEMON,
		.dflt = "30s",
		.help = "How long the rules stay when the proxy no longer serves: 0s lets traffic go direct at once, infinity never.",
	},
	{
		.path = "logLevel",
		.env = "TPROXYD_LOG_LEVEL",
		.flag = "log-level",
		AS_ENUM(log_level, enum log_level, log_level_names),
		.affects = AFFECTS_DAEMON,
		.dflt = "info",
		.help = "How much tproxyd itself logs.",
	},

	/* For install alone. */
	{
		.path = "dryRun",
		.env = "KUMA_TRANSPARENT_PROXY_DRY_RUN",
		.flag = "dry-run",
		AS_BOOL(dry_run),
		.flags = SETTING_KUMACTL | SETTING_UNINSTALL,
		.affects = AFFECTS_NOTHING,
		.dflt = "false",
		.help = "Print the rules and change nothing. For install and uninstall alone.",
	},
	{
		.path = "verbose",
		.env = "KUMA_TRANSPARENT_PROXY_VERBOSE",
		.flag = "verbose",
		AS_BOOL(verbose),
		.flags = SETTING_KUMACTL | SETTING_UNINSTALL,
		.affects = AFFECTS_NOTHING,
		.dflt = "false",
		.help = "Long option names and section comments in the rules that are printed.",
	},
	{
		.path = "storeFirewalld",
		.env = "KUMA_TRANSPARENT_PROXY_STORE_FIREWALLD",
		.flag = "store-firewalld",
		AS_BOOL(store_firewalld),
		.flags = SETTING_KUMACTL,
		.affects = AFFECTS_NOTHING,
		.dflt = "false",
		.help = "Store the rules in firewalld's direct.xml too. For install alone.",
	},

	/* kumactl's, without meaning here. */
	{
		.path = "cniMode",
		.env = "KUMA_TRANSPARENT_PROXY_CNI_MODE",
		AS_BOOL(cni_mode),
		.flags = SETTING_KUMACTL | SETTING_IGNORED,
		.dflt = "false",
		.help = "No effect: for Kubernetes.",
	},
	{
		.path = "iptablesExecutables",
		.env = "KUMA_TRANSPARENT_PROXY_IPTABLES_EXECUTABLES",
		.flag = "iptables-executables",
		AS_EXECUTABLES(iptables_executables),
		.flags = SETTING_KUMACTL | SETTING_IGNORED,
		.dflt = "",
		.help = "No effect: tproxyd runs no iptables.",
	},
	{
		.path = "ebpf.enabled",
		.env = "KUMA_TRANSPARENT_PROXY_EBPF_ENABLED",
		.flag = "ebpf-enabled",
		AS_BOOL(ebpf.enabled),
		.flags = SETTING_KUMACTL | SETTING_IGNORED | SETTING_UNINSTALL,
		.dflt = "false",
		.help = "No effect: tproxyd has no eBPF mode.",
	},
	{
		.path = "ebpf.instanceIP",
		.env = "KUMA_TRANSPARENT_PROXY_EBPF_INSTANCE_IP",
		.flag = "ebpf-instance-ip",
		AS_STRING(ebpf.instance_ip),
		.flags = SETTING_KUMACTL | SETTING_IGNORED,
		.dflt = "",
		.help = "No effect: tproxyd has no eBPF mode.",
	},
	{
		.path = "ebpf.instanceIPEnvVarName",
		.env = "KUMA_TRANSPARENT_PROXY_EBPF_INSTANCE_IP_ENV_VAR_NAME",
		AS_STRING(ebpf.instance_ip_env_var_name),
		.flags = SETTING_KUMACTL | SETTING_IGNORED,
		.dflt = "",
		.help = "No effect: tproxyd has no eBPF mode.",
	},
	{
		.path = "ebpf.bpffsPath",
		.env = "KUMA_TRANSPARENT_PROXY_EBPF_BPFFS_PATH",
		.flag = "ebpf-bpffs-path",
		AS_STRING(ebpf.bpffs_path),
		.flags = SETTING_KUMACTL | SETTING_IGNORED | SETTING_UNINSTALL,
		.dflt = "/run/kuma/bpf",
		.help = "No effect: tproxyd has no eBPF mode.",
	},
	{
		.path = "ebpf.cgroupPath",
		.env = "KUMA_TRANSPARENT_PROXY_EBPF_CGROUP_PATH",
		.flag = "ebpf-cgroup-path",
		AS_STRING(ebpf.cgroup_path),
		.flags = SETTING_KUMACTL | SETTING_IGNORED,
		.dflt = "/sys/fs/cgroup",
		.help = "No effect: tproxyd has no eBPF mode.",
	},
	{
		.path = "ebpf.programsSourcePath",
		.env = "KUMA_TRANSPARENT_PROXY_EBPF_PROGRAMS_SOURCE_PATH",
		.flag = "ebpf-programs-source-path",
		AS_STRING(ebpf.programs_source_path),
		.flags = SETTING_KUMACTL | SETTING_IGNORED,
		.dflt = "/tmp/kuma-ebpf",
		.help = "No effect: tproxyd has no eBPF mode.",
	},
	{
		.path = "ebpf.tcAttachIface",
		.env = "KUMA_TRANSPARENT_PROXY_EBPF_TC_ATTACH_IFACE",
		.flag = "ebpf-tc-attach-iface",
		AS_STRING(ebpf.tc_attach_iface),
		.flags = SETTING_KUMACTL | SETTING_IGNORED,
		.dflt = "",
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

		if (s->flag && strcmp(s->flag, flag) == 0)
			return s;
		if (s->flag_alias && strcmp(s->flag_alias, flag) == 0)
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

	if (len >= COMPONENT_MAX)
		len = COMPONENT_MAX - 1;
	memcpy(ret, path, len);
	ret[len] = 0;
	path += strcspn(path, ".");
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
