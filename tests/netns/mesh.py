# SPDX-License-Identifier: GPL-2.0-or-later
"""A zone with a real control plane, and two hosts of one mesh: `web` and `app`, whose service web asks for.

As programs: mesh.py serve PORT answers each request with the address that it came from; mesh.py visit prints, for each line
on standard input, what has become of connections to app since the last one, by how they name it, as JSON; mesh.py journal
prints what the host's journal is told, each message behind time.monotonic()."""

import collections
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from machine import network
from machine.network import Namespace

DOMAIN, PORT = "app.mesh", 8080
ADDRESSES = {"zone": ("10.77.0.1", "fd77::1"), "web": ("10.77.0.2", "fd77::2"), "app": ("10.77.0.3", "fd77::3")}
TARGETS = {".mesh": (DOMAIN, 80), "IPv4": (ADDRESSES["app"][0], PORT), "IPv6": (ADDRESSES["app"][1], PORT)}
JOURNAL = "/run/systemd/journal/socket"
TO_JOURNAL = ["sh", "-c", 'JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2) exec "$@"', "sh"]  # what follows takes it for that
API = "http://127.0.0.1:5681"
DATAPLANE = """\
type: Dataplane
mesh: default
name: {name}
networking:
  address: {address}
  inbound:
    - port: {port}
      tags: {{kuma.io/service: {name}, kuma.io/protocol: http}}
  transparentProxying: {{redirectPortInbound: 15006, redirectPortOutbound: 15001}}
"""
# SYNs to app that leave web by others than the proxy, counted behind all rules of nat.
COUNT = f"""table inet watch {{
    counter direct {{ }}
    chain out {{
        type filter hook postrouting priority 300
        oifname eth0 meta skuid != {network.KUMA_DP} tcp dport {PORT} tcp flags & (syn | ack) == syn counter name direct
    }}
}}"""


class Mesh:
    def __init__(self, control_plane, directory, **settings):
        """settings: environment of the control plane."""
        self.zone = Namespace("zone")
        self.hosts = {name: Namespace(name, own_files=True) for name in ("web", "app")}
        self._connect()
        self.work = f"{directory}/control-plane"
        os.mkdir(self.work)
        self.zone.start(["/usr/bin/python3", "-B", network.ANSWER], stdout=subprocess.DEVNULL)
        with open(f"{directory}/control-plane.log", "w", encoding="utf-8") as log:
            self.zone.start([control_plane, "run"], stdout=log, stderr=log, env={
                "HOME": self.work, "KUMA_GENERAL_WORK_DIR": self.work, "KUMA_STORE_TYPE": "memory", **settings})

    def _connect(self):
        zone = self.zone
        zone.run(["sh", "-ec", "ip link add mesh type bridge; ip link set mesh up"])
        for address in (f"{network.FAR4}/32", f"{network.FAR6}/128"):
            zone.run(["ip", "addr", "add", address, "dev", "lo"])
        for name, host in self.hosts.items():
            host.run(["sh", "-c", "for f in /proc/sys/net/ipv6/conf/*/accept_dad; do echo 0 >$f; done"])
            made = zone.start(["ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns",
                               f"/proc/self/fd/{host.net}"], pass_fds=(host.net,))
            assert made.wait(10) == 0
            zone.run(["ip", "link", "set", name, "master", "mesh", "up"])
        for name, (ipv4, ipv6) in ADDRESSES.items():
            device = "mesh" if name == "zone" else "eth0"
            self.hosts.get(name, zone).run(["sh", "-ec", f"ip addr add {ipv4}/24 dev {device}; ip link set {device} up;"
                                            f"ip -6 addr add {ipv6}/64 dev {device} nodad"])
        for host in self.hosts.values():
            host.run(["sh", "-ec", f"ip route add default via {ADDRESSES['zone'][0]}; ip route add default via {ADDRESSES['zone'][1]}"])

    def token(self, name):
        """Waits until the control plane gives one."""
        wanted = {"name": name, "mesh": "default", "tags": {"kuma.io/service": [name]}, "validFor": "720h"}
        end = time.monotonic() + 120
        while True:
            said = self.zone.run(["curl", "-sS", "-X", "POST", "-H", "content-type: application/json", f"{API}/tokens/dataplane",
                                  "-d", json.dumps(wanted)], check=False)
            if said.stdout.startswith("ey"):
                return said.stdout
            assert time.monotonic() < end, said.stdout + said.stderr
            time.sleep(0.5)

    def close(self):
        for space in (*self.hosts.values(), self.zone):
            space.close()


class Visits:
    """Connections from web to app, and how many of them go past web's proxy."""

    def __init__(self, web):
        self.web = web
        web.run(["nft", "-f", "-"], input=COUNT)
        self.process = web.start(["/usr/bin/python3", "-B", __file__, "visit"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 text=True, env={"PYTHONPATH": os.path.dirname(os.path.dirname(network.__file__))})

    def direct(self):
        text = self.web.run(["nft", "-j", "list", "counter", "inet", "watch", "direct"]).stdout
        return next(item["counter"]["packets"] for item in json.loads(text)["nftables"] if "counter" in item)

    def counts(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def processes(host):
    """Those of the proxy's user on that host, by pid, with their names."""
    found, net = {}, os.fstat(host.net).st_ino
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            if os.stat(f"/proc/{pid}/ns/net").st_ino == net and os.stat(f"/proc/{pid}").st_uid == network.KUMA_DP:
                with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                    found[pid] = file.read().strip()
        except OSError:
            pass  # gone
    return found


def send(pids, name):
    for pid in pids:
        try:
            os.kill(pid, getattr(signal, f"SIG{name}"))
        except ProcessLookupError:
            pass


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.client_address[0].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 256


def visit(host, port):
    """Through app's proxy, which asks from 127.0.0.6 or ::6; or what has become of it instead."""
    try:
        with socket.create_connection((host, port), 3) as connection:
            connection.settimeout(3)
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            text = connection.makefile().read()
    except socket.gaierror:
        return "no name"
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return error.strerror
    if not text:
        return "closed"
    status, peer = text.split()[1], text.splitlines()[-1]
    if status != "200":
        return f"HTTP {status}"
    return "ok" if peer in ("::ffff:127.0.0.6", "::6") else f"from {peer}"


def keep_journal():
    """systemd.io/JOURNAL_NATIVE_PROTOCOL, without messages of several lines."""
    os.makedirs(os.path.dirname(JOURNAL))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(JOURNAL)
        while True:
            for line in journal.recv(1 << 20).decode(errors="replace").splitlines():
                if line.startswith("MESSAGE="):
                    print(f"{time.monotonic():.3f} {line[8:]}", flush=True)


def main(verb, *arguments):
    if verb == "serve":
        Server(("::", int(arguments[0])), Answer).serve_forever()
    if verb == "journal":
        keep_journal()
    found = {name: collections.Counter() for name in TARGETS}

    def go_on(name):
        while True:
            found[name][visit(*TARGETS[name])] += 1
            time.sleep(0.05)

    for name in TARGETS:
        threading.Thread(target=go_on, args=(name,), daemon=True).start()
    for _ in sys.stdin:
        now = {name: dict(count) for name, count in found.items()}
        for count in found.values():
            count.clear()
        print(json.dumps(now), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
