# SPDX-License-Identifier: GPL-2.0-or-later
"""What a daemon does for traffic, from its first rules to its end and after it: with each backend, on a host that is redirected
for IPv4 alone, on one that reaches the world over IPv6 alone, and on one with both. tests/summary shows what passed as a table."""

import os
import signal
import subprocess
import time

import pytest

import netfilter
from daemon import PATIENCE, Daemon
from machine import network
from test_takeover_daemon import RESTORE, leftovers
from trial import CONFIG, PROGRAM

NF_BACKENDS = ("iptables", "nftables")
REDIRECTED, DIRECT = "redirected", "direct"
OPEN, EXCLUDED, APPLICATION, EXCLUDED_APPLICATION, ECHO = 80, 8080, 7001, 7002, 7
FAR = {"ipv4": network.FAR4, "ipv6": network.FAR6}
INSIDE = {"ipv4": network.INSIDE4, "ipv6": network.INSIDE6}
RESOLVER = {"ipv4": network.OUTSIDE4, "ipv6": network.OUTSIDE6}
PEER = os.path.join(os.path.dirname(netfilter.__file__), "..", "standin", "peer")
CARRIED = {"127.0.0.6": REDIRECTED, "::6": REDIRECTED, network.OUTSIDE4: DIRECT, network.OUTSIDE6: DIRECT}
OWN_PEER = "/run/standin/peer"  # where any user of the host may read it
KILLS = 3

# HOST PORT: who was asked for, by the client's own port and by the one that the server has seen.
VISIT = """
import http.client, sys
c = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=5)
c.connect()
port = c.sock.getsockname()[1]
c.request("GET", "/")
print("direct" if int(c.getresponse().read().split()[2]) == port else "redirected")
"""
# SYNs that leave the host by others than the proxy, counted behind all rules of nat.
WATCH = """table inet watch {
    counter ipv4 { }
    counter ipv6 { }
    chain out {
        type filter hook postrouting priority 300
        oifname eth0 meta skuid != 5678 tcp dport 80 tcp flags & (syn | ack) == syn jump count
    }
    chain count {
        meta nfproto ipv4 counter name ipv4
        meta nfproto ipv6 counter name ipv6
    }
}"""


class Line:
    """An open connection to the echo outside."""

    def __init__(self, host, family):
        self.process = host.start([OWN_PEER, "hold", FAR[family], ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.speak()

    def speak(self):
        self.process.stdin.write("word\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline()
        assert said == "word\n", said

    def close(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)


class Subject:
    def __init__(self, trial, peer, tmp_path, families):
        self.trial, self.host, self.peer, self.tmp_path = trial, trial.host, peer, tmp_path
        # Over which there is a world at all, and which of them are redirected.
        self.reached = ["ipv6"] if families == "v6" else ["ipv4", "ipv6"]
        self.families = ["ipv4"] if families == "v4" else self.reached
        self.daemon = None
        application = self.host.start([OWN_PEER, "serve", APPLICATION, EXCLUDED_APPLICATION], user="nobody", stdout=subprocess.PIPE,
                                      text=True)
        assert application.stdout.readline() == "serving\n"

    def start(self):
        self.daemon = Daemon(self.trial, self.tmp_path)
        self.daemon.await_("READY=1")

    def end(self):
        self.daemon.manager.close()
        os.unlink(self.tmp_path / "notify")

    def out(self, port=OPEN, user="nobody"):
        return {family: self.host.run(["/usr/bin/python3", "-c", VISIT, FAR[family], port], user=user).stdout.strip()
                for family in self.reached}

    def into(self, port=APPLICATION):
        return {family: CARRIED.get(self.peer.run([PEER, "talk", INSIDE[family], port]).stdout.split()[1])
                for family in self.reached}

    def dns(self, user="nobody"):
        ways = {"NOERROR 240.0.0.1": REDIRECTED, "NOERROR 192.0.2.53": DIRECT}
        said = {family: self.host.run([OWN_PEER, "ask", "backend.mesh", "A", RESOLVER[family]], user=user).stdout.strip()
                for family in self.reached}
        return {family: ways.get(answer, answer) for family, answer in said.items()}

    def redirected(self):
        return {family: REDIRECTED if family in self.families else DIRECT for family in self.reached}

    def direct(self):
        return {family: DIRECT for family in self.reached}

    def watch(self):
        self.host.run(["nft", "-f", "-"], input=WATCH)

    def left(self):
        """SYNs of redirected families that have left."""
        return [self.host.run(["nft", "list", "counter", "inet", "watch", family]).stdout.split("packets ")[1].split()[0]
                for family in self.families]

    def ours(self):
        rules = netfilter.our_rules(self.host)
        return rules, [line for line in self.host.addresses() if "::6/128" in line]


def take_over(subject):
    """What kumactl has left, in the legacy tables and in nf_tables, goes when ours are in."""
    for family in subject.families:
        text = subject.host.run([netfilter.find_driver(), "text", "e01", family]).stdout
        subject.host.run([RESTORE[family], "--noflush"], input=text)
        subject.host.run([netfilter.RESTORE[family], "--noflush"], input=text)
    subject.start()
    assert leftovers(subject.host) == {"ipv4": [], "ipv6": []}
    assert subject.out() == subject.redirected()
    subject.daemon.stop()
    subject.end()
    assert subject.ours() == ([], [])


def open_connections_at_start(subject):
    lines = [Line(subject.host, family) for family in subject.reached]
    subject.start()
    for line in lines:
        line.speak()
        line.close()


def traffic(subject):
    assert subject.out() == subject.redirected() and subject.into() == subject.redirected()
    assert subject.out(user=network.KUMA_DP) == subject.direct()


def exclusions(subject):
    assert subject.out(EXCLUDED) == subject.direct() and subject.into(EXCLUDED_APPLICATION) == subject.direct()


def dns(subject):
    assert subject.dns() == subject.redirected() and subject.dns(network.KUMA_DP) == subject.direct()


def drift(subject):
    """Others take out what they can: with iptables all of it, for a moment; of tables with an owner nothing."""
    before = subject.ours()
    for tool in ("iptables-legacy", "ip6tables-legacy"):
        subject.host.run([tool, "-w", "-t", "nat", "-F"])
    subject.host.run(["nft", "flush", "ruleset"])
    end = time.monotonic() + PATIENCE
    while subject.ours() != before:
        assert time.monotonic() < end, (before, subject.ours())
        time.sleep(0.05)
    assert subject.out() == subject.redirected()


def reload(subject):
    lines = [Line(subject.host, family) for family in subject.families]
    subject.trial.set(redirect__outbound__excludePorts=[9000])
    subject.trial.write(CONFIG, subject.trial.config())
    subject.host.run([PROGRAM, "reload"])
    assert subject.out(EXCLUDED) == subject.redirected()
    for line in lines:
        line.speak()
        line.close()


def crash(subject):
    """The rules are held, nothing goes direct, and the proxy comes back under them."""
    subject.watch()
    former = subject.daemon.status()["processes"]["kuma-dp"]["pid"]
    os.kill(subject.daemon.child("envoy"), signal.SIGKILL)
    tried, end = 0, time.monotonic() + PATIENCE
    while (found := subject.daemon.status())["phase"] != "redirecting" or found["processes"]["kuma-dp"]["pid"] in (0, former):
        assert time.monotonic() < end, found
        for family in subject.families:
            subject.host.run(["/usr/bin/python3", "-c", VISIT, FAR[family], OPEN], check=False)
            tried += 1
    assert tried > 0 and subject.left() == ["0"] * len(subject.families)
    assert subject.out() == subject.redirected() and subject.dns() == subject.redirected()


def drain_and_stop(subject):
    """What is open goes on, what is new goes direct, and the stop waits."""
    lines = [Line(subject.host, family) for family in subject.families]
    subject.daemon.process.terminate()
    subject.daemon.await_("STATUS=Draining")
    end = time.monotonic() + PATIENCE
    while subject.out() != subject.direct():
        assert time.monotonic() < end
    assert subject.into() == subject.direct() and subject.dns() == subject.direct()
    assert subject.daemon.process.poll() is None
    for line in lines:
        line.speak()
        line.close()
    assert subject.daemon.process.wait(PATIENCE) == 0, "".join(subject.daemon.log)
    subject.end()


def nothing_left(subject):
    assert subject.ours() == ([], [])
    assert subject.out() == subject.direct() and subject.into() == subject.direct() and subject.dns() == subject.direct()


def end_children(host):
    """As systemd does with what is left of a service."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{pid}/ns/net").st_ino == os.fstat(host.net).st_ino and os.stat(f"/proc/{pid}").st_uid == network.KUMA_DP:
                os.kill(int(pid), signal.SIGKILL)
        except OSError:
            pass  # gone


def kill_storm(subject):
    """At any moment of a start, or after it; then as the unit's ExecStopPost= does."""
    for n in range(KILLS):
        daemon = subject.daemon = Daemon(subject.trial, subject.tmp_path)
        if n == 0:
            daemon.await_("READY=1")
        else:
            daemon.await_("STATUS=")
            time.sleep(0.5 * n)
        daemon.process.kill()
        daemon.process.wait()
        end_children(subject.host)
        subject.host.run([PROGRAM, "uninstall", "--recorded", "--quiet"])
        subject.end()
        assert subject.ours() == ([], []), n
    nothing_left(subject)


BEHAVIOURS = {
    "take-over": take_over,
    "open connections at start": open_connections_at_start,
    "traffic": traffic,
    "exclusions": exclusions,
    "DNS": dns,
    "drift": drift,
    "reload": reload,
    "crash": crash,
    "DRAIN and stop": drain_and_stop,
    "leak check": nothing_left,
    "kill storm": kill_storm,
}


@pytest.mark.parametrize("families", ["v4", "v6", "dual"])
def test_each_family_with_each_backend(trial, world, tmp_path, families, nf_backend, record_property):
    if families == "v6":
        trial.host.run(["ip", "-4", "addr", "flush", "dev", "eth0"])
        trial.write("/etc/resolv.conf", f"nameserver {network.OUTSIDE6}\n")
        trial.resource = trial.resource.replace(network.INSIDE4, network.INSIDE6)
    trial.set(failure__holdRules="60s", kumaDP__drainTime="2m", redirect__outbound__excludePorts=[EXCLUDED],
              redirect__inbound__excludePorts=[EXCLUDED_APPLICATION], **({"ipFamilyMode": "ipv4"} if families == "v4" else {}))
    subject = Subject(trial, world, tmp_path, families)
    for name, behaviour in BEHAVIOURS.items():
        behaviour(subject)
        record_property("seen", f"{nf_backend} {families}: {name}")
