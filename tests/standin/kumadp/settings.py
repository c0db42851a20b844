# SPDX-License-Identifier: GPL-2.0-or-later
"""What this run has to be: flags, documents and the STANDIN_* switches, resolved once and passed around."""

import os
import socket
import tempfile

from . import documents
from .options import Refused

SWITCHES = (
    "NEVER_READY", "CP_UNREACHABLE", "CP_VALID_FROM", "EXIT_AT_ONCE", "EXIT_AFTER_MS", "EXIT_STATUS", "NO_INBOUND",
    "NO_OUTBOUND", "NO_DNS", "IGNORE_TERM", "READY_DELAY_MS", "IPV4_ONLY", "ENGINE", "ROUTES", "HTTP_PORTS", "VERSION",
    "CONTROL_PLANE",
)


class Settings:
    """One run, resolved. The attributes are the whole interface between the parts."""

    def __init__(self, values, environment):
        self.values = values
        self.switches = read_switches(environment)
        self.engine = self.switches.get("ENGINE", "builtin")
        if self.engine not in ("builtin", "envoy"):
            raise Refused(f'STANDIN_ENGINE is "{self.engine}": it has to be builtin or envoy')
        if self.switches.get("CONTROL_PLANE") and self.engine != "envoy":
            raise Refused("STANDIN_CONTROL_PLANE is for the engine envoy")
        # The order of kuma-dp: a bad file for the redirect is refused before the resource is looked at.
        self.redirect = documents.transparent_proxy_files(values.get("transparent-proxy-config", []))
        self.redirect_given = bool(values.get("transparent-proxy-config") or values.get("transparent-proxy"))
        self.resource = documents.dataplane(values)
        self.check_names()
        if values["proxy-type"] != "dataplane":
            raise Refused("the stand-in imitates the proxy type dataplane only")
        if not self.redirect_given:
            self.take_redirect_from_resource()
        if values["dataplane-token-file"]:
            documents.check_token(values["dataplane-token-file"])
        self.check_control_plane()
        self.ipv4_only = self.redirect["ipfamilymode"] == "ipv4" or self.on("IPV4_ONLY")
        self.routes = read_routes(self.switches.get("ROUTES", ""))
        self.http_ports = [int(port) for port in self.switches.get("HTTP_PORTS", "80,8080").split(",") if port]
        self.dns_port = values.get("dns-coredns-port", 15053)
        self.envoy_dns_port = values.get("dns-envoy-port", 15054)
        self.embedded_dns_port = values["dns-proxy-port"]
        self.readiness_port = values["readiness-port"]
        self.drain_time = values["drain-time"]

    def on(self, switch):
        return self.switches.get(switch, "0") not in ("", "0", "false")

    def milliseconds(self, switch):
        """Seconds of a switch given in milliseconds, or None."""
        text = self.switches.get(switch)
        return int(text) / 1000 if text else None

    def check_names(self):
        name, mesh = self.values["name"], self.values["mesh"]
        if self.resource is not None and (name or mesh):
            raise Refused("--name and --mesh cannot be specified when a dataplane definition is provided, mesh and "
                          "name will be read from the dataplane definition")
        # kuma-dp asks whether a resource was named, not whether there was one: an empty file passes here.
        if not self.values["dataplane-file"] and not self.values["dataplane"]:
            missing = [f".{what} must be non-empty" for what, value in (("Mesh", mesh), ("Name", name)) if not value]
            if missing:
                raise Refused("configuration validation failed: .Dataplane is not valid: " + "; ".join(missing))
        source = self.resource or {"name": name, "mesh": mesh}
        self.name, self.mesh = source.get("name") or "", source.get("mesh") or ""

    def take_redirect_from_resource(self):
        """Without the flag the ports come from the resource, and without its section there are none."""
        section = ((self.resource or {}).get("networking") or {}).get("transparentProxying") or {}
        for direction, key in (("inbound", "redirectPortInbound"), ("outbound", "redirectPortOutbound")):
            port = int(section.get(key) or 0)
            self.redirect[direction] = (port > 0, port)
        self.redirect["ipfamilymode"] = str(section.get("ipFamilyMode") or "dualstack").lower()

    def check_control_plane(self):
        url = self.values["cp-address"]
        scheme = url.partition("://")[0] if "://" in url else ""
        if scheme not in ("http", "https"):
            raise Refused(f'Failed to fetch Envoy bootstrap config. unsupported URL scheme "{scheme}", '
                          "must be http or https")
        path = self.values["ca-cert-file"]
        if path:
            documents.read_file(path, lambda why: f"could not read certificate file {path}: open {path}: {why}")

    def address(self):
        networking = (self.resource or {}).get("networking") or {}
        return str(networking.get("address") or "")

    def listens(self, direction):
        """The redirect port of a direction, or None where nothing is to listen."""
        enabled, port = self.redirect[direction]
        if not enabled or self.values.get("bind-outbounds") or self.on("NO_" + direction.upper()):
            return None
        return port

    def families(self):
        return [socket.AF_INET] if self.ipv4_only else [socket.AF_INET, socket.AF_INET6]

    def dns_mode(self):
        """Who answers on the DNS port: coredns, embedded or nobody."""
        if not self.values["dns-enabled"] or self.on("NO_DNS"):
            return "off"
        return "embedded" if self.embedded_dns_port else "coredns"

    def envoy_answers_dns(self):
        """kuma-dp has Envoy serve mesh names also when DNS is switched off, but not beside the embedded proxy."""
        redirects = self.redirect["inbound"][0] or self.redirect["outbound"][0]
        return redirects and not self.embedded_dns_port and not self.on("NO_DNS")

    def make_directories(self):
        """The work directory and the one of the Corefile; what has no name gets a temporary one, removed at the end."""
        self.temporary = None
        work = self.values.get("work-dir") or self.values.get("config-dir")
        corefile = self.values.get("dns-server-config-dir")
        if not work or not corefile:
            self.temporary = tempfile.mkdtemp(prefix="kuma-dp-")
            os.chmod(self.temporary, 0o711)
        self.work_dir = work or self.temporary
        self.corefile_dir = corefile or self.temporary
        for path in (self.work_dir, self.corefile_dir):
            os.makedirs(path, mode=0o711, exist_ok=True)
        self.admin_socket = os.path.join(self.work_dir, "kuma-envoy-admin.sock")


def read_switches(environment):
    found = {name[8:]: value for name, value in environment.items() if name.startswith("STANDIN_")}
    unknown = sorted(set(found) - set(SWITCHES))
    if unknown:
        raise Refused(f"unknown switch: STANDIN_{unknown[0]}")
    return found


def read_routes(text):
    """NAME=HOST:PORT,...: mesh names in order get 240.0.0.2, .3 and so on; what goes there ends at HOST:PORT."""
    routes = {}
    for number, entry in enumerate((entry for entry in text.split(",") if entry), 2):
        name, _, target = entry.partition("=")
        host, _, port = target.rpartition(":")
        routes[name] = (f"240.0.0.{number}", host.strip("[]"), int(port))
    return routes
