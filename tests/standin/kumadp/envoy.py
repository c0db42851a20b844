# SPDX-License-Identifier: GPL-2.0-or-later
"""The envoy engine: the bootstrap and the Corefile that make real proxies do what Kuma's control plane asks of them."""

import json
import os
import re
import shutil
import socket
import sys

from .dns import MESH_NAMES, MESH_VIP
from .options import Refused

TYPE = "type.googleapis.com/envoy.extensions."
WILDCARD = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}
SUFFIX = {socket.AF_INET: "ipv4", socket.AF_INET6: "ipv6"}
INBOUND_SOURCE = {socket.AF_INET: "127.0.0.6", socket.AF_INET6: "::6"}
LUA = """function envoy_on_response(handle)
  handle:headers():add("x-standin", "lua")
end
"""
COREFILE = """.:{{ .CoreDNSPort }} {
    forward . 127.0.0.1:{{ .EnvoyDNSPort }} {
        prefer_udp
        max_fails 0
        next NOTIMP FORMERR NXDOMAIN SERVFAIL REFUSED
    }
    forward . /etc/resolv.conf
    prometheus localhost:{{ .PrometheusPort }}
    errors
}
"""


def find_binary(path):
    """Where kuma-dp looks: as given or in PATH, in the current directory, beside itself."""
    here = os.path.dirname(os.path.realpath(sys.argv[0]))
    name = os.path.basename(path)
    tried = [path, os.path.join(os.getcwd(), name), os.path.join(here, name)]
    for candidate in tried:
        found = shutil.which(candidate)
        if found:
            return os.path.abspath(found)
    raise Refused(f"could not find executable binary in any of the following paths: [{' '.join(tried)}]")


def socket_address(address, port, protocol="TCP"):
    return {"socket_address": {"address": address, "port_value": port, "protocol": protocol}}


def tcp_proxy(cluster):
    return {"name": "envoy.filters.network.tcp_proxy",
            "typed_config": {"@type": TYPE + "filters.network.tcp_proxy.v3.TcpProxy",
                             "stat_prefix": cluster.replace(":", "_"), "cluster": cluster}}


def http_through_lua(cluster):
    lua = {"name": "envoy.filters.http.lua",
           "typed_config": {"@type": TYPE + "filters.http.lua.v3.Lua",
                            "default_source_code": {"inline_string": LUA}}}
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": TYPE + "filters.http.router.v3.Router"}}
    host = {"name": "all", "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}}]}
    return {"name": "envoy.filters.network.http_connection_manager",
            "typed_config": {"@type": TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager",
                             "stat_prefix": cluster.replace(":", "_") + "_http",
                             "upgrade_configs": [{"upgrade_type": "websocket"}],
                             "route_config": {"name": cluster, "virtual_hosts": [host]},
                             "http_filters": [lua, router]}}


def passthrough_cluster(name, family, direction):
    cluster = {"name": name, "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "10s"}
    if direction == "inbound":
        cluster["upstream_bind_config"] = {"source_address": {"address": INBOUND_SOURCE[family], "port_value": 0}}
    return cluster


def listener(settings, direction, family, port):
    """A catch-all listener as Kuma makes it; HTTP is recognised by the port that the client asked for."""
    name = f"{direction}:passthrough:{SUFFIX[family]}"
    chains = []
    if direction == "outbound" and family == socket.AF_INET:
        for mesh_name, (vip, _, _) in settings.routes.items():
            chains.append({"filter_chain_match": {"prefix_ranges": [{"address_prefix": vip, "prefix_len": 32}]},
                           "filters": [http_through_lua("route:" + mesh_name)]})
    chains += [{"filter_chain_match": {"destination_port": http_port}, "filters": [http_through_lua(name)]}
               for http_port in settings.http_ports]
    return {"name": name, "address": socket_address(WILDCARD[family], port), "traffic_direction": direction.upper(),
            "use_original_dst": True, "filter_chains": chains,
            "default_filter_chain": {"filters": [tcp_proxy(name)]}}


def static_cluster(name, address):
    endpoint = {"endpoint": {"address": address}}
    return {"name": name, "type": "STATIC", "connect_timeout": "10s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}}


def dns_listener(settings):
    # Envoy knows wildcards only below a second label, so here a few names stand for all of .mesh.
    names = {**{name: MESH_VIP for name in MESH_NAMES}, **{name: vip for name, (vip, _, _) in settings.routes.items()}}
    domains = []
    for name, vip in names.items():
        addresses = [vip] if settings.redirect["ipfamilymode"] == "ipv4" else [vip, "::ffff:" + vip]
        domains.append({"name": name, "answer_ttl": "30s", "endpoint": {"address_list": {"address": addresses}}})
    table = {"virtual_domains": domains}
    return {"name": "kuma:dns", "address": socket_address("127.0.0.1", settings.envoy_dns_port, "UDP"),
            "listener_filters": [{"name": "envoy.filters.udp.dns_filter",
                                  "typed_config": {"@type": TYPE + "filters.udp.dns_filter.v3.DnsFilterConfig",
                                                   "stat_prefix": "kuma_dns",
                                                   "server_config": {"inline_dns_table": table}}}]}


def static_resources(settings):
    listeners, clusters = [], []
    for direction in ("inbound", "outbound"):
        port = settings.listens(direction)
        for family in settings.families() if port else []:
            listeners.append(listener(settings, direction, family, port))
            clusters.append(passthrough_cluster(listeners[-1]["name"], family, direction))
    if settings.envoy_answers_dns():
        listeners.append(dns_listener(settings))
    clusters += [static_cluster("route:" + name, socket_address(host, port))
                 for name, (_, host, port) in settings.routes.items()]
    return {"listeners": listeners, "clusters": clusters}


def control_plane_socket(settings):
    return os.path.join(settings.work_dir, "standin-ads.sock")


def control_plane(address):
    """Clusters and listeners come from there: Envoy waits for them without end, as Kuma tells it to."""
    cluster = static_cluster("ads_cluster", address)
    cluster["typed_extension_protocol_options"] = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": TYPE + "upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}}}}
    source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    ads = {"api_type": "GRPC", "transport_api_version": "V3",
           "grpc_services": [{"envoy_grpc": {"cluster_name": "ads_cluster"}}]}
    return {"static_resources": {"clusters": [cluster]},
            "dynamic_resources": {"ads_config": ads, "lds_config": source, "cds_config": source}}


def add_control_plane(document, settings):
    """Clusters come from it, none, and Envoy does not serve what it has before that."""
    host, _, port = settings.switches["CONTROL_PLANE"].rpartition(":")
    more = control_plane(socket_address(host, int(port)))
    del more["dynamic_resources"]["lds_config"]
    document["dynamic_resources"] = more["dynamic_resources"]
    document["static_resources"]["clusters"] += more["static_resources"]["clusters"]


def bootstrap(settings):
    document = {"node": {"id": f"{settings.mesh}.{settings.name}", "cluster": settings.name or "standin"},
                "admin": {"address": {"pipe": {"path": settings.admin_socket, "mode": 0o600}}}}
    if settings.on("NEVER_READY"):
        document.update(control_plane({"pipe": {"path": control_plane_socket(settings)}}))
    else:
        document["static_resources"] = static_resources(settings)
    if settings.switches.get("CONTROL_PLANE") and not settings.on("NEVER_READY"):
        add_control_plane(document, settings)
    return document


def write_private(path, text):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def envoy_arguments(settings):
    """Writes the bootstrap (JSON is YAML) and says how Envoy is called with it."""
    path = os.path.join(settings.work_dir, "bootstrap.yaml")
    write_private(path, json.dumps(bootstrap(settings), indent=1))
    values = settings.values
    arguments = [find_binary(values["binary-path"]), "--config-path", path,
                 "--drain-time-s", str(int(settings.drain_time)), "--drain-strategy", "immediate",
                 "--disable-hot-restart", "--log-level", values["envoy-log-level"] or values["log-level"]]
    if values["envoy-component-log-level"]:
        arguments += ["--component-log-level", values["envoy-component-log-level"]]
    if values["concurrency"]:
        return arguments + ["--concurrency", str(values["concurrency"])]
    return arguments + ["--cpuset-threads"]


def coredns_arguments(settings):
    values = settings.values
    template = COREFILE
    if values["dns-coredns-config-template-path"]:
        with open(values["dns-coredns-config-template-path"], encoding="utf-8") as file:
            template = file.read()
    elif values["dns-enable-logging"]:
        template = template.replace("    errors\n", "    errors\n    log\n")
    fields = {"CoreDNSPort": settings.dns_port, "EnvoyDNSPort": settings.envoy_dns_port,
              "PrometheusPort": values["dns-prometheus-port"]}
    text = re.sub(r"\{\{\s*\.(\w+)\s*\}\}", lambda match: str(fields.get(match[1], "")), template)
    path = os.path.join(settings.corefile_dir, "Corefile")
    write_private(path, text)
    return [find_binary(values["dns-coredns-path"]), "-conf", path, "-quiet"]
