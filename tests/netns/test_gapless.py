# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules replaced by rules, under a load of new connections: none reaches its destination directly.

The world answers with "d", the two ports that the rules redirect to with "a" and "b"; what leaves for the world is counted
behind all rules, since a connection may fail for other reasons. TPROXYD_TEST_THOROUGH=1 takes longer; KUMACTL, a path, measures besides what kumactl does (it fails nothing).
"""

import json
import os
import re
import subprocess
import time

import pytest

import netfilter
from conftest import why_not
from machine import network

THOROUGH = bool(os.environ.get("TPROXYD_TEST_THOROUGH"))
CHANGES = 1000 if THOROUGH else 60
A, B = 15001, 25001
RESTORE = netfilter.RESTORE
BACKENDS = ("iptables", "nftables")
COUNT = """table inet watch {
    counter direct { }
    chain out { type filter hook postrouting priority 300; oifname eth0 tcp dport 80 tcp flags & (syn | ack) == syn counter name direct; }
}"""


def beside_driver(name):
    return os.path.join(os.path.dirname(netfilter.find_driver()), name)


def find_program():
    """Without sanitizers, where there is such a build: more changes in the same time."""
    release = os.path.join(os.environ.get("TPROXYD_BUILD", ""), "tproxyd")
    found = os.environ.get("TPROXYD") if not os.access(release, os.X_OK) else release
    return os.path.abspath(found or os.path.join(os.path.dirname(os.path.dirname(netfilter.find_driver())), "..", "tproxyd"))


class Load:
    """New connections all the time, to both families of an address far away."""

    def __init__(self, net):
        self.net, self.program = net, beside_driver("connections")
        for where, letter, port in ((net.outside, "d", 80), (net.inside, "a", A), (net.inside, "b", B)):
            server = where.start([self.program, "serve", letter, port], stdout=subprocess.PIPE, text=True)
            assert server.stdout.readline() == "ready\n"
        net.inside.run(["nft", "-f", "-"], input=COUNT)

    def direct(self):
        """SYNs that have left since the last look."""
        text = self.net.inside.run(["nft", "-j", "reset", "counter", "inet", "watch", "direct"]).stdout
        return next(item["counter"]["packets"] for item in json.loads(text)["nftables"] if "counter" in item)

    def __enter__(self):
        self.direct()
        self.process = self.net.inside.start([self.program, "make", 4, 80, network.FAR4, network.FAR6],
                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        time.sleep(0.2)
        return self

    def __exit__(self, *_):
        out, _ = self.process.communicate(timeout=30)
        self.counts = {word: int(number) for word, number in (line.split() for line in out.splitlines())}
        self.left = self.direct()

    def assert_redirected(self, letters):
        print(self.counts)
        assert (self.counts.get("d", 0), self.left) == (0, 0), self.counts
        assert (self.counts["refused"], self.counts["silent"]) == (0, 0), self.counts
        for letter in letters:
            assert self.counts[letter] > 20, self.counts


@pytest.fixture
def host():
    if why_not():
        pytest.skip(why_not())
    for needed in (beside_driver("connections"), beside_driver("reapply"), find_program()):
        if not os.access(needed, os.X_OK):
            pytest.skip(f"{needed} is not built; see tests/run")
    with network.Network(own_files=True) as made:
        made.inside.run(["sh", "-ec", f"""
            sed -i /^kuma-dp:/d /etc/passwd /etc/group
            echo kuma-dp:x:{network.KUMA_DP}:{network.KUMA_DP}::/nonexistent:/usr/sbin/nologin >>/etc/passwd
            echo kuma-dp:x:{network.KUMA_DP}: >>/etc/group
            rm -rf /etc/tproxyd
            echo 1 >/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close 2>/dev/null || :"""])
        made.inside.make_legacy_tables()
        yield made


def install(net, port, *options, check=True):
    words = [find_program(), "install", "--redirect-dns", f"--redirect-outbound-port={port}", *options]
    return net.inside.run(words, check=check)


def rules(net):
    return netfilter.without_counters(net.inside.legacy(counters=False))


def without_rules(net, load):
    """Proves that the load would tell."""
    with load:
        time.sleep(0.3)
    assert load.left >= load.counts["d"] > 20 and set(load.counts) == {"d", "refused", "silent", "longest"}, load.counts
    assert (load.counts["refused"], load.counts["silent"]) == (0, 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rules_of_ours_replace_rules_of_ours_without_a_gap(host, backend):
    load = Load(host)
    without_rules(host, load)
    install(host, A, f"--backend={backend}")
    with load:
        for n in range(CHANGES):
            install(host, (B, A)[n % 2], f"--backend={backend}")
    load.assert_redirected("ab")


@pytest.mark.parametrize("backend, owned", [("iptables", False), ("nftables", False), ("nftables", True)])
def test_rules_are_replaced_back_to_back_without_a_gap(host, backend, owned):
    load = Load(host)
    install(host, A, f"--backend={backend}")
    words = [beside_driver("reapply"), 10000 if THOROUGH else 200, "/run/tproxyd-install/record",
             "--", "--redirect-dns", f"--redirect-outbound-port={B}", "--", "--redirect-dns", f"--redirect-outbound-port={A}"]
    with load:
        process = host.inside.start(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                    env={"BACKEND": backend, **({"OWNED": "1"} if owned else {})})
        said = [process.stdout.readline() for _ in range(4)]
    print("".join(said), load.counts)
    process.communicate()
    assert process.returncode == 0 and said[-1] == "missing 0\n", said
    load.assert_redirected("ab")


def kumactl_text(net, *options):
    """What kumactl would have put there, by family. (tests/golden holds our text against kumactl's.)"""
    text = install(net, A, "--dry-run", *options).stdout
    parts = re.split(r"^### (IPv[46]) ###\n", text, flags=re.M)
    return {family.lower(): part for family, part in zip(parts[1::2], parts[2::2])}


@pytest.mark.parametrize("options", [(), ("--disable-comments",)], ids=["comments", "no-comments"])
def test_rules_of_kumactl_are_taken_over_without_a_gap(host, options):
    load = Load(host)
    texts = kumactl_text(host, *options)
    assert set(texts) == set(RESTORE) and all("15001" in text for text in texts.values())

    def put_kumactl_back():
        for family, text in texts.items():  # whole tables: one commit each
            host.inside.run([RESTORE[family], "-w"], input=text)

    put_kumactl_back()
    theirs = rules(host)
    with load:
        for _ in range(CHANGES if THOROUGH else CHANGES // 2):
            install(host, B)
            put_kumactl_back()
    load.assert_redirected("ab")
    assert rules(host) == theirs
    install(host, B)
    with network.Network(own_files=True) as fresh:
        fresh.inside.run(["sh", "-c", "echo kuma-dp:x:5678:5678::/:/bin/false >>/etc/passwd"])
        fresh.inside.make_legacy_tables()
        install(fresh, B)
        assert rules(host) == rules(fresh)


@pytest.mark.parametrize("kind", ["legacy", "nft"])
def compare_with_kumactl(host, kind):
    kumactl = os.environ["KUMACTL"]
    tools = ",".join(f"{v}tables{what}:/usr/sbin/{v}tables-{kind}{what}" for v in ("ip", "ip6")
                     for what in ("", "-save", "-restore"))
    load = Load(host)

    def run(port):
        host.inside.run([kumactl, "install", "transparent-proxy", "--redirect-dns", f"--redirect-outbound-port={port}",
                         f"--iptables-executables={tools}"])

    run(A)
    times = 100 if THOROUGH else 5
    with load:
        begin = time.monotonic()
        for n in range(times):
            run((B, A)[n % 2])
        took = time.monotonic() - begin
    print(f"kumactl {kind}: {times} re-applies in {took:.1f} s: {load.counts}")
    assert load.counts["a"] and load.counts["b"]


if "KUMACTL" in os.environ:
    test_what_kumactl_does_for_comparison = compare_with_kumactl
