# SPDX-License-Identifier: GPL-2.0-or-later
"""Who answers DNS: nobody but the proxy may, and no query runs in a circle."""

import subprocess
import time

import pytest

from daemon import Daemon
from trial import PROGRAM

NF_BACKENDS = ("iptables", "nftables")
STRANGER = 4242

# Answers whatever comes, as the DNS library of coredns would or in its own way.
ANSWER = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
server = socket.socket(family, socket.SOCK_DGRAM)
server.bind((sys.argv[1], int(sys.argv[2])))
print("up", flush=True)
while True:
    query, client = server.recvfrom(4096)
    server.sendto(query[:2] + bytes([query[2] | 0x80]) + query[3:], client)
"""


def answerer(host, address, port, user):
    process = host.start(["/usr/bin/python3", "-c", ANSWER, address, port], user=user, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "up\n"
    return process


def test_another_user_at_envoys_dns_port_keeps_dns_out_of_the_mesh_and_is_named(trial, tmp_path):
    trial.set(readiness__timeout="5s")
    answerer(trial.host, "127.0.0.1", "15054", STRANGER)
    daemon = Daemon(trial, tmp_path)
    daemon.await_(f"STATUS=.*Envoy's DNS: user {STRANGER} listens there")
    assert daemon.process.wait(60) == 1
    assert any("did not serve within 5 s" in line and f"Envoy's DNS: user {STRANGER} listens there" in line
               for line in daemon.log), "".join(daemon.log)
    assert "READY=1" not in daemon.said and daemon.level() == "none"


class Forwarder:
    """A resolver of the host with a user of its own, as systemd-resolved, that asks a server of the world."""

    def __init__(self, host, address, path, upstream="10.77.0.1"):
        self.path = path
        with open(path, "w", encoding="ascii") as out:
            host.start(["setpriv", f"--reuid={STRANGER}", "--clear-groups", "--inh-caps=+net_bind_service",
                        "--ambient-caps=+net_bind_service", "/run/standin/peer", "forward", address, upstream],
                       stdout=out)
        end = time.monotonic() + 30
        while "serving" not in self.lines():
            assert time.monotonic() < end
            time.sleep(0.01)

    def lines(self):
        return self.path.read_text(encoding="ascii").split()

    def queries(self):
        return self.lines().count("query")


def names(*servers):
    return "".join(f"nameserver {server}\n" for server in servers)


def ask(host, name, server):
    return host.run(["/run/standin/peer", "ask", name, "A", server], check=False).stdout.split()


# Where the resolver listens, /etc/resolv.conf, settings, and whom programs ask for the mesh's names.
CIRCLES = [
    ("127.0.0.1", names("127.0.0.1"), {"redirect__dns__captureAll": True}, "127.0.0.1"),
    ("10.77.0.2", names("10.77.0.2"), {"redirect__dns__captureAll": True}, "10.77.0.2"),
    ("127.0.0.1", names("127.0.0.1"), {"redirect__dns__captureAll": True, "coreDNS__mode": "tproxyd"}, "127.0.0.1"),
    ("127.0.0.1", names("127.0.0.1", "10.77.0.1"), {"coreDNS__mode": "embedded"}, "10.77.0.1"),
    ("127.0.0.53", names("127.0.0.53"), {"redirect__dns__resolvConfigPath": "/run/names/servers"}, "10.77.0.1"),
]


@pytest.mark.parametrize("address, resolv_conf, settings, server", CIRCLES,
                         ids=["capture-all", "own-address", "own-coredns", "both-embedded", "other-file"])
def test_no_query_of_the_hosts_own_resolver_comes_back_to_it(trial, world, tmp_path, address, resolv_conf, settings,
                                                             server):
    """Behind a firewall that lets in what belongs to a connection, and nothing else from port 53."""
    host = trial.host
    host.run(["iptables-legacy", "-A", "INPUT", "-i", "eth0", "-p", "udp", "--sport", "53", "-m", "conntrack", "!",
              "--ctstate", "ESTABLISHED", "-j", "DROP"])
    trial.write("/etc/resolv.conf", resolv_conf)
    trial.write("/run/names/servers", names("10.77.0.1"))
    trial.set(ipFamilyMode="ipv4", **settings)
    forwarder = Forwarder(host, address, tmp_path / "queries")
    daemon = Daemon(trial, tmp_path)
    daemon.await_("READY=1")
    assert any(f"user {STRANGER}" in line and f"udp:53:{STRANGER}" in line for line in daemon.log), "".join(daemon.log)
    before = forwarder.queries()
    for name in ("one.test", "two.test", "three.test"):
        assert ask(host, name, address) == ["NOERROR", "192.0.2.53"]
        assert ask(host, name, server) == ["NOERROR", "192.0.2.53"]
    assert ask(host, "backend.mesh", server) == ["NOERROR", "240.0.0.1"]
    time.sleep(1)
    assert forwarder.queries() - before <= 6
    daemon.stop()
    assert daemon.level() == "none"


@pytest.mark.backends("iptables")
def test_names_of_the_mesh_are_warned_of_where_programs_ask_past_it(trial, tmp_path):
    trial.write("/etc/resolv.conf", names("127.0.0.53") + "options edns0 use-vc\n")
    trial.write("/run/names/servers", names("10.77.0.1"))
    trial.set(redirect__dns__resolvConfigPath="/run/names/servers")
    Forwarder(trial.host, "127.0.0.53", tmp_path / "queries")
    trial.finish()
    said = trial.check()
    assert said.status == 0, said.text
    for words in ("/run/names/servers does not name 127.0.0.53", "/etc/resolv.conf:2:15: warning: redirect.dns.enabled: "
                  "the option use-vc has programs ask over TCP"):
        assert any(words in line for line in said.warnings), said.text


@pytest.mark.backends("iptables")
def test_a_resolver_of_root_is_warned_of_and_one_that_is_asked_alone_is_not(trial):
    trial.write("/etc/resolv.conf", names("127.0.0.1"))
    answerer(trial.host, "127.0.0.1", "53", 0)
    trial.finish()
    assert "circle" not in trial.check().text
    said = trial.shell(f"exec env KUMA_TRANSPARENT_PROXY_REDIRECT_DNS_CAPTURE_ALL=true {PROGRAM} check")
    assert any("served on this host by user 0" in line and "udp:53:<UID of its queries>" in line
               for line in said.warnings), said.text
