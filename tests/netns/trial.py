# SPDX-License-Identifier: GPL-2.0-or-later
"""A host on which tproxyd would start, to be spoiled by a test one thing at a time.

`check` runs as an operator runs it: root with every right. `run` runs as the unit runs it: without CAP_DAC_OVERRIDE,
with a /tmp of its own, told apart by NOTIFY_SOCKET.
"""

import base64
import json
import os
import re
import socket
import time

HERE = os.path.dirname(os.path.abspath(__file__))
STANDIN = os.path.join(os.path.dirname(HERE), "standin")
PROGRAM = "/run/program/tproxyd"
CONFIG = "/etc/tproxyd/tproxyd.yaml"
DATAPLANE = "/etc/tproxyd/dataplane.yaml"
TOKEN = "/etc/tproxyd/token"
CAPABILITIES = "-all,+net_admin,+net_raw,+setuid,+setgid,+setpcap,+kill,+chown"

RESOURCE = """\
type: Dataplane
mesh: default
name: web
networking:
  address: 10.77.0.2
  inbound:
    - port: 8080
      tags:
        kuma.io/service: web
  transparentProxying:
    redirectPortInbound: 15006
    redirectPortOutbound: 15001
"""

# Settings by path; a test changes, adds or (None) removes them.
SETTINGS = {
    "kumaDP.path": "/run/standin/kuma-dp",
    "kumaDP.envoyPath": "/run/standin/envoy",
    "kumaDP.cpAddress": "https://198.51.100.10:5678",
    "kumaDP.tokenFile": TOKEN,
    "kumaDP.dataplaneFile": DATAPLANE,
    "coreDNS.path": "/run/standin/coredns",
    "redirect.dns.enabled": True,
}


def token(**claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2lnbmF0dXJl"


def nest(settings):
    root = {}
    for path, value in settings.items():
        node = root
        *sections, name = path.split(".")
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = value
    return root


class Said:
    """What a run of the program came to: its status and its sentences by severity."""

    def __init__(self, process):
        self.status = process.returncode
        self.text = process.stderr
        # The sum of it is no mistake of its own.
        lines = [line for line in process.stderr.splitlines() if not line.endswith("nothing was changed")]
        self.errors, self.warnings, self.notices = (
            [line for line in lines if re.match(f"(.*: )?{severity}: ", line)]
            for severity in ("error", "warning", "notice"))


class Trial:
    def __init__(self, host, tproxyd, backend=None):
        """backend: the one that every daemon here uses; None: the one that is found."""
        self.host = host
        self.settings = {**SETTINGS, **({"backend": backend} if backend else {})}
        self.arguments = []
        self.environment = {}
        self.before_exec = ""  # shell, before the program, for both verbs
        host.make_legacy_tables()
        host.run(["mkdir", "-p", "/etc/tproxyd", "/run/program"])
        host.run(["cp", "-rL", STANDIN, "/run/standin"])
        host.run(["cp", tproxyd, PROGRAM])
        host.run(["touch", "/run/xtables.lock"])
        self.resource = RESOURCE
        self.write(TOKEN, token(exp=int(time.time()) + 30 * 86400))

    def write(self, path, text, mode="0644"):
        self.host.run(["sh", "-ec", 'mkdir -p "$(dirname "$1")"; cat >"$1"; chmod "$2" "$1"', "sh", path, mode],
                      input=text)

    def set(self, **settings):
        """set(redirect__inbound__port=1) changes redirect.inbound.port; None takes the setting out."""
        for name, value in settings.items():
            path = name.replace("__", ".")
            if value is None:
                self.settings.pop(path, None)
            else:
                self.settings[path] = value

    def config(self):
        return json.dumps(nest(self.settings), indent=2) + "\n"

    def finish(self):
        """Writes what was not written by the test itself."""
        for path, text in ((CONFIG, self.config()), (DATAPLANE, self.resource)):
            if text is not None and self.host.run(["test", "-e", path], check=False).returncode:
                self.write(path, text)

    def shell(self, script, *arguments, user=None, **options):
        process = self.host.run(["unshare", "-m", "sh", "-ec", f'{self.before_exec}\n{script} "$@"', "sh", *arguments],
                                user=user, env=self.environment, check=False, **options)
        return Said(process)

    def check(self):
        return self.shell(f"exec {PROGRAM} check", *self.arguments)

    def run(self, timeout=60):
        """As the unit does; it must end by itself."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            name = f"tproxyd-trial-{os.getpid()}-{id(self)}"
            manager.bind(f"\0{name}")
            script = (f"mount -nt tmpfs tmpfs /tmp; mount -nt tmpfs tmpfs /var/tmp; export NOTIFY_SOCKET=@{name}\n"
                      f"exec setpriv --bounding-set={CAPABILITIES} {PROGRAM} run")
            return self.shell(script, *self.arguments, timeout=timeout)

    def state(self):
        """All that a refusal must leave alone, as lines: rules, addresses, files of /etc, /run and /var/lib."""
        skipped = " ".join(f"-path {path} -prune -o" for path in ("/run/.etc", "/run/.lib"))
        form = "%p %y %m %U:%G %s %T@\\n"
        files = self.host.run(["sh", "-c", f"find /etc /run /var/lib {skipped} -printf '{form}'"])
        # The counters of policies go on counting.
        rules = [f"{family} {table} {re.sub(r' .[0-9]+:[0-9]+.$', '', line)}"
                 for family, tables in self.host.legacy(counters=False).items()
                 for table, lines in tables.items() for line in lines]
        return {*rules, *self.host.nft().splitlines(), *self.host.addresses(), *files.stdout.splitlines()}
