# SPDX-License-Identifier: GPL-2.0-or-later
"""What `check` says of the host's own packet filter, held against what connections from outside find out."""

import re

import pytest

import trial
from trial import Trial

INBOUND = 15006
PORTS = {"mesh": 8080, "open": 9090, "closed": 9000, "unnamed": 7777}
LISTEN = """
import selectors, socket, sys
chosen = selectors.DefaultSelector()
for port in map(int, sys.argv[1:]):
    s = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    chosen.register(s, 1)
print("ready", flush=True)
while True:
    for key, _ in chosen.select():
        key.fileobj.accept()[0].close()
"""
CONNECT = """
import socket, sys, concurrent.futures
def attempt(port):
    try:
        socket.create_connection((sys.argv[1], port), 0.8).close()
        return port
    except OSError:
        return 0
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(*filter(None, pool.map(attempt, map(int, sys.argv[2:]))))
"""

# Rules as iptables takes them, and as nft does.
RULES = {
    "no firewall at all": ([], []),
    "default drop, ports opened by number": (
        ["-P INPUT DROP", "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-A INPUT -i lo -j ACCEPT",
         "-A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT", "-A INPUT -p tcp -m multiport --dports 22,9090:9091 -j ACCEPT"],
        ["policy drop;", "ct state established,related accept", "iif lo accept", "tcp dport 8080 accept",
         "tcp dport { 22, 9090-9091 } accept"]),
    "as firewalld: what is redirected is let in": (
        ["-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT", "-A INPUT -m conntrack --ctstate INVALID -j DROP",
         "-N OPENED", "-A INPUT -j OPENED", "-A INPUT -p udp -j DROP", "-A INPUT -p tcp -j REJECT --reject-with tcp-reset",
         "-A OPENED -p tcp --dport 8080 --syn -j ACCEPT", "-A OPENED -p tcp --dport 9090 -m comment --comment x -j ACCEPT"],
        ["policy accept;", "ct state vmap { established : accept, related : accept, invalid : drop }", "ct status dnat accept",
         "iifname vmap { \"lo\" : accept }", "meta l4proto tcp jump opened", "meta l4proto { tcp, udp } reject",
         "\nchain opened: tcp dport vmap { 8080 : accept, 9090 : accept }"]),
    "closed by number": (
        ["-A INPUT -p tcp --dport 9000 -j DROP", "-A INPUT -s 192.0.2.0/24 -j DROP"],
        ["policy accept;", "tcp dport >= 9000 tcp dport <= 9000 ct state new counter drop", "ip saddr 192.0.2.0/24 drop"]),
    "all but some closed": (
        ["-A INPUT -i eth0 -p tcp -m multiport ! --dports 8080,9090,9091 -j DROP"],
        ["policy accept;", "meta iifname eth0 tcp dport != { 8080, 9090, 9091 } drop"]),
    "by the port that was asked for": (
        ["-P INPUT DROP", "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
         "-A INPUT -p tcp --dport 15006 -m conntrack --ctstate DNAT --ctorigdstport 8080 -j ACCEPT",
         "-A INPUT -p tcp --dport 15006 -m conntrack --ctorigdstport 9090:9091 -j ACCEPT",
         "-A INPUT -p tcp -m multiport --dports 8080,9090,9091 -j ACCEPT"],
        ["policy drop;", "ct state { established, related } accept",
         "tcp dport 15006 ct status dnat ct original proto-dst 8080 accept",
         "tcp dport 15006 ct original proto-dst 9090-9091 accept", "tcp dport { 8080, 9090-9091 } accept"]),
}
# By rules: what a connection can reach before and after, and what check has to say (nothing else).
REACHED = {
    "no firewall at all": ("mesh open closed unnamed", "mesh open closed unnamed", []),
    "default drop, ports opened by number": (
        "mesh open", "", ["drops inbound mesh traffic", "lets in port 8080 by number", "lets in ports 22, 9090-9091 by number"]),
    "as firewalld: what is redirected is let in": (
        "mesh open", "mesh open closed unnamed", ["keeps out ports that it does not name"]),
    "closed by number": ("mesh open unnamed", "mesh open closed unnamed", ["keeps out port 9000 by number"]),
    "all but some closed": ("mesh open", "", ["drops inbound mesh traffic", "lets in ports 8080, 9090-9091 by number"]),
    "by the port that was asked for": ("mesh open", "mesh open", []),
}
BACKENDS = {"iptables-legacy": "iptables", "iptables-nft": "iptables", "nft": "nft"}


def put_up(host, backend, rules):
    """Puts the rules in, for both families."""
    if BACKENDS[backend] == "iptables":
        for tool in (backend, backend.replace("ip", "ip6", 1)):
            for rule in rules[0]:
                if tool.startswith("ip6") and "192.0.2" in rule:
                    continue
                host.run([tool, "-w", *rule.split()])
            if tool.startswith("ip6") and "-P INPUT DROP" in rules[0]:
                host.run([tool, "-w", "-A", "INPUT", "-p", "ipv6-icmp", "-j", "ACCEPT"])
    elif rules[1]:
        policy, *lines = rules[1]
        chains = {"input": [f"type filter hook input priority 0; {policy}", "icmpv6 type != echo-request accept"]}
        for line in lines:
            own = re.match(r"\nchain (\w+): (.*)", line)
            chains.setdefault(own[1] if own else "input", []).append(own[2] if own else line)
        text = "\n".join(f"chain {name} {{\n" + "\n".join(body) + "\n}" for name, body in reversed(chains.items()))
        host.run(["nft", "-f", "-"], input=f"table inet filter {{\n{text}\n}}\n")


def reachable(peer, address):
    out = peer.run(["/usr/bin/python3", "-c", CONNECT, address, *PORTS.values()]).stdout
    return {name for name, port in PORTS.items() if str(port) in out.split()}


def advice(said):
    """Warnings about the packet filter."""
    return [line for line in said.warnings if f"port {INBOUND}" in line or "lets in what is redirected" in line]


@pytest.fixture
def subject(host, tproxyd):
    made = Trial(host, tproxyd)
    made.set(safety__protectSSH=False, redirect__dns__enabled=False)
    made.resource = trial.RESOURCE
    made.finish()
    return made


@pytest.mark.parametrize("name, backend", [(name, backend) for name in RULES for backend in BACKENDS
                                           if RULES[name][0] or backend != "nft"])
def test_check_foretells_what_the_packet_filter_makes_of_the_redirect(host, peer, subject, tproxyd, name, backend):
    put_up(host, backend, RULES[name])
    before, after, sentences = REACHED[name]
    server = host.start(["/usr/bin/python3", "-c", LISTEN, *PORTS.values(), INBOUND], stdout=-1, text=True)
    assert server.stdout.readline() == "ready\n"
    for address in ("10.77.0.2", "fd77::2"):
        assert reachable(peer, address) == set(before.split()), address
    said = advice(subject.check())

    host.run([tproxyd, "install", "--redirect-inbound-port", INBOUND])
    for address in ("10.77.0.2", "fd77::2"):
        assert reachable(peer, address) == set(after.split()), address
    families = 2 if BACKENDS[backend] == "iptables" else 1
    for sentence in sentences:
        hits = [line for line in said if re.search(sentence, line)]
        assert len(hits) == families, (sentence, said)
    assert len(said) == families * len(sentences), said


# By rules of nft of which not all is understood: what a connection can reach before and after, and what check has to say.
OPEN = ["policy drop;", "ct state established,related accept"]
HALF_UNDERSTOOD = {
    "sender and port, let in": (
        [*OPEN, "ip saddr . tcp dport { 10.77.0.1 . 8080, 10.77.0.1 . 15006 } accept",
         "ip6 saddr . tcp dport { fd77::1 . 8080, fd77::1 . 15006 } accept"], "mesh", "mesh open closed unnamed", []),
    "protocol and port, let in": (
        [*OPEN, "meta l4proto . th dport { tcp . 8080, tcp . 15006, udp . 53 } accept"], "mesh", "mesh open closed unnamed",
        ["keeps out ports that it does not name"]),
    "sender and protocol, let in": (
        [*OPEN, "ip saddr . meta l4proto { 10.77.0.1 . tcp } accept", "ip6 saddr . meta l4proto { fd77::1 . tcp } accept"],
        "mesh open closed unnamed", "mesh open closed unnamed", []),
    "protocol and port, kept out": (
        ["policy accept;", "meta l4proto . th dport { tcp . 15006, udp . 53 } drop"], "mesh open closed unnamed", "",
        ["drops inbound mesh traffic"]),
    "port and what is not known, kept out": (
        ["policy accept;", "tcp dport 9000 fib daddr type local drop"], "mesh open unnamed", "mesh open closed unnamed",
        ["keeps out port 9000 by number"]),
    "all that a map does not name": (
        ["policy accept;", "ct state established,related accept", "tcp dport vmap { 8080 : accept, * : drop }"], "mesh", "",
        ["drops inbound mesh traffic", "lets in port 8080 by number"]),
}


@pytest.mark.parametrize("name", HALF_UNDERSTOOD)
def test_what_is_not_understood_of_a_rule_is_not_misjudged(host, peer, subject, tproxyd, name):
    rules, before, after, sentences = HALF_UNDERSTOOD[name]
    put_up(host, "nft", ([], rules))
    server = host.start(["/usr/bin/python3", "-c", LISTEN, *PORTS.values(), INBOUND], stdout=-1, text=True)
    assert server.stdout.readline() == "ready\n"
    for address in ("10.77.0.2", "fd77::2"):
        assert reachable(peer, address) == set(before.split()), address
    said = advice(subject.check())
    host.run([tproxyd, "install", "--redirect-inbound-port", INBOUND])
    for address in ("10.77.0.2", "fd77::2"):
        assert reachable(peer, address) == set(after.split()), address
    assert len(said) == len(sentences) and all(sentence in line for sentence, line in zip(sentences, said)), said


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_rule_that_check_gives_lets_the_mesh_in(host, peer, subject, tproxyd, backend):
    put_up(host, backend, RULES["default drop, ports opened by number"])
    cures = [re.search(r" as: (.*)", line)[1] for line in advice(subject.check()) if "drops inbound mesh" in line]
    assert cures
    for cure in cures:
        assert " 8080 " in cure
        host.run(cure.split())
    server = host.start(["/usr/bin/python3", "-c", LISTEN, *PORTS.values(), INBOUND], stdout=-1, text=True)
    assert server.stdout.readline() == "ready\n"
    host.run([tproxyd, "install", "--redirect-inbound-port", INBOUND])
    for address in ("10.77.0.2", "fd77::2"):
        assert reachable(peer, address) == {"mesh"}
    assert not [line for line in advice(subject.check()) if "drops inbound mesh" in line]


def test_check_makes_no_table_and_tells_which_rule_it_means(host, subject):
    host.run(["sh", "-c", "for i in iptables-nft ip6tables-nft; do $i -A INPUT -p udp -j DROP; $i -N own;"
                          " $i -A INPUT -j own; $i -A own -p tcp --dport 9000 -j REJECT; done"])
    host.run(["nft", "add table inet t; add chain inet t in { type filter hook input priority 5; }; "
                     "add rule inet t in tcp dport 9001 drop"])
    state = host.nft()
    said = advice(subject.check())
    assert host.nft() == state
    assert [re.match(r"warning: (.*) keeps out port (\d+)", line).groups() for line in said] == [
        ("rule 1 of chain own (iptables-nft)", "9000"),
        ("rule 1 of chain own (ip6tables-nft)", "9000"),
        ("rule 2 (handle) of chain in of nftables' table inet t", "9001"),
    ]


def test_legacy_tables_that_do_not_exist_are_not_made(net, tproxyd):
    host = net.inside
    host.run(["mkdir", "-p", "/etc/tproxyd"])
    host.run([tproxyd, "check"], check=False)
    assert host.run(["cat", "/proc/net/ip_tables_names"]).stdout == ""
