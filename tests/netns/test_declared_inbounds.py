# SPDX-License-Identifier: GPL-2.0-or-later
"""What `check` says of the Dataplane's inbounds, held against what clients at the other end of the cable get."""

import os
import re
import shlex
import signal
import time

import pytest

import trial
from machine import network
from test_refused_hosts import starts, stops
from trial import Trial

APPLICATION, INBOUND = 8080, 15006
# Tells every client the port at which it has arrived, 8080 is the application, 15006 the proxy; "carried" to the proxy's
# own connections. (Not in the netns of the stand-in, which has 15006.)
SERVE = """
import socket, sys, threading
def serve(port):
    s = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    started.release()
    while True:
        client, peer = s.accept()
        client.sendall(b"carried" if peer[0] in ("::ffff:127.0.0.6", "::6") else str(port).encode())
        client.close()
started = threading.Semaphore(0)
for port in sys.argv[1:]:
    threading.Thread(target=serve, args=(int(port),)).start()
for port in sys.argv[1:]:
    started.acquire()
print("ready", flush=True)
"""
CONNECT = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 2, (sys.argv[3], 0) if sys.argv[3] else None) as s:
        print(s.recv(100).decode())
except ConnectionRefusedError:
    print("refused")
except TimeoutError:
    print("silence")
"""


def reached(client, address, port=APPLICATION, source=""):
    """Where a client that asks for the port arrives: "8080", "15006", "carried", "refused" or "silence"."""
    return client.run(["/usr/bin/python3", "-c", CONNECT, address, str(port), source]).stdout.strip()


def serve(host, *ports):
    server = host.start(["/usr/bin/python3", "-c", SERVE, *ports], stdout=-1, text=True)
    assert server.stdout.readline() == "ready\n"


@pytest.fixture
def subject(host, tproxyd):
    made = Trial(host, tproxyd)
    made.set(safety__protectSSH=False, redirect__dns__enabled=False)
    made.resource = trial.RESOURCE
    return made


# Settings, the same for install, whom it lets past the mesh, and what check has to say.
LEFT_OUT = {
    "excluded": (
        {"excludePorts": [8080]}, {"EXCLUDE_PORTS": "8080"}, "all",
        "redirect.inbound.excludePorts: leaves inbounds of the Dataplane (8080) out of the mesh"),
    "another is excluded": ({"excludePorts": [9090]}, {"EXCLUDE_PORTS": "9090"}, "none", None),
    "not included": (
        {"includePorts": [9090]}, {"INCLUDE_PORTS": "9090"}, "all",
        "redirect.inbound.includePorts: leaves inbounds of the Dataplane (8080) out of the mesh"),
    "included": ({"includePorts": [8080]}, {"INCLUDE_PORTS": "8080"}, "none", None),
    "nothing is redirected": (
        {"enabled": False}, {"ENABLED": "false"}, "all",
        "redirect.inbound.enabled: leaves inbounds of the Dataplane (8080) out of the mesh"),
    "clients by address": (
        {"excludePortsForIPs": ["198.51.100.0/24"]}, {"EXCLUDE_PORTS_FOR_IPS": "198.51.100.0/24"}, "some",
        "redirect.inbound.excludePortsForIPs: lets 198.51.100.0/24 reach inbounds of the Dataplane (8080) past the mesh"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_an_inbound_that_is_not_redirected_is_told_of(host, peer, subject, tproxyd, name):
    settings, environment, past, sentence = LEFT_OUT[name]
    serve(host, APPLICATION, INBOUND)
    subject.set(**{f"redirect__inbound__{setting}": value for setting, value in settings.items()})
    subject.finish()
    said = subject.check()
    assert said.status == 0, said.text
    told = [line for line in said.warnings if "the mesh:" in line]
    assert len(told) == (sentence is not None) and all(sentence in line for line in told), said.text

    host.run([tproxyd, "install", "--kuma-dp-user", "5678"],
             env={f"KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_{name}": value for name, value in environment.items()})
    assert reached(peer, network.INSIDE4, source=network.FAR4) == str(INBOUND if past == "none" else APPLICATION)
    assert reached(peer, network.INSIDE4) == str(APPLICATION if past == "all" else INBOUND)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.77.0.2/24", "[fd77::2]"])
def test_an_address_that_no_client_can_use_is_refused(subject, address):
    subject.resource = trial.RESOURCE.replace("10.77.0.2", f"'{address}'")
    subject.finish()
    said = subject.check()
    assert said.status == 78 and len(said.errors) == 1, said.text
    assert "networking.address" in said.errors[0] and address in said.errors[0]


SECOND = "198.51.100.22"
FAR_SECOND = ("198.51.100.22", network.INSIDE6)


@pytest.fixture
def two_addresses(host, peer, subject):
    """A host with a second address, whose application listens at all of them, on a port that is declared and one that is not."""
    host.run(["ip", "addr", "add", f"{SECOND}/24", "dev", "eth0"])
    peer.run(["ip", "route", "add", SECOND, "dev", "eth0"])
    serve(host, APPLICATION, 9090)
    return subject


def rules(host):
    """Rules and chains of others, without what the kernel counts."""
    return [f"{family} {table} {line}" for family, tables in host.legacy(counters=False).items()
            for table, lines in tables.items() for line in lines if not re.match(r":\w+ [A-Z]", line)]


def are_as_iptables_makes_them(host, table, chain):
    """Each rule of the chain, read by iptables and compared byte by byte with what iptables would make of it."""
    for tool in ("iptables-legacy", "ip6tables-legacy"):
        lines = host.run([tool, "-t", table, "-S", chain], check=False).stdout.splitlines()[1:]
        assert lines or tool.startswith("ip6")
        for line in lines:
            host.run([tool, "-t", table, "-C", *shlex.split(line)[1:]])


def plaintext(said):
    return [line for line in said.warnings if "in plaintext" in line]


def test_declared_ports_answer_in_plaintext_at_other_addresses_which_is_told(peer, two_addresses):
    two_addresses.finish()
    said = two_addresses.check()
    assert said.status == 0, said.text
    assert plaintext(said) == [
        f"{trial.DATAPLANE}: warning: kumaDP.dataplaneFile: inbounds of the Dataplane (8080) answer in plaintext at {SECOND}, "
        f"{network.INSIDE6}: the mesh's mTLS covers the declared address alone; safety.strictInbound: true closes them there"]
    process = starts(two_addresses)
    assert [reached(peer, address) for address in (network.INSIDE4, *FAR_SECOND)] == ["carried"] * 3
    stops(process)


def test_declared_ports_answer_past_the_proxy_in_a_family_that_is_not_redirected(peer, two_addresses):
    two_addresses.set(ipFamilyMode="ipv4")
    two_addresses.finish()
    assert f"at {SECOND}, {network.INSIDE6}:" in plaintext(two_addresses.check())[0]
    process = starts(two_addresses)
    assert [reached(peer, address) for address in FAR_SECOND] == ["carried", str(APPLICATION)]
    stops(process)


@pytest.mark.parametrize("mode", ["dualstack", "ipv4"])
def test_declared_ports_are_closed_at_other_addresses_where_that_is_asked_for(host, peer, two_addresses, mode):
    two_addresses.set(safety__strictInbound=True, ipFamilyMode=mode)
    two_addresses.finish()
    before = rules(host)
    said = two_addresses.check()
    assert said.status == 0 and not plaintext(said), said.text
    assert rules(host) == before

    process = starts(two_addresses)
    began = time.monotonic()
    assert reached(peer, network.INSIDE4) == "carried"
    assert [reached(peer, address) for address in FAR_SECOND] == ["refused"] * 2
    assert time.monotonic() - began < 2
    # What is not declared, and what this host says to itself, is left alone.
    assert reached(peer, SECOND, 9090) == "carried"
    assert reached(peer, network.INSIDE6, 9090) == ("carried" if mode == "dualstack" else "9090")
    assert [reached(host, address) for address in FAR_SECOND] == [str(APPLICATION)] * 2
    are_as_iptables_makes_them(host, "filter", "KUMA_MESH_STRICT_INBOUND")
    # Our own rules are no reason for advice, and a second look at them changes nothing.
    assert [line for line in two_addresses.check().warnings if "STRICT" in line] == []
    stops(process)
    assert rules(host) == before
    assert [reached(peer, address) for address in FAR_SECOND] == [str(APPLICATION)] * 2


def test_what_was_open_before_stays_open_when_declared_ports_are_closed(host, peer, two_addresses):
    two_addresses.set(safety__strictInbound=True)
    two_addresses.finish()
    echo = ("import socket; s = socket.create_server(('', 8088)); c = s.accept()[0]\n"
            "while (data := c.recv(100)): c.sendall(data)")
    two_addresses.resource = trial.RESOURCE.replace("8080", "8088")
    two_addresses.write(trial.DATAPLANE, two_addresses.resource)
    host.start(["/usr/bin/python3", "-c", echo])
    talk = ("import socket, sys, time\ntime.sleep(1); s = socket.create_connection((sys.argv[1], 8088), 5)\n"
            "for line in sys.stdin: s.sendall(line.encode()); print(s.recv(100).decode(), end='', flush=True)")
    client = peer.start(["/usr/bin/python3", "-c", talk, SECOND], stdin=-1, stdout=-1, text=True, bufsize=1)
    client.stdin.write("before\n")
    assert client.stdout.readline() == "before\n"
    process = starts(two_addresses)
    client.stdin.write("after\n")
    assert client.stdout.readline() == "after\n"
    assert reached(peer, SECOND, 8088) == "refused"
    stops(process)


def test_rules_that_close_ports_are_recognised_and_removed_without_a_record(host, two_addresses, tproxyd):
    two_addresses.set(safety__strictInbound=True, ipFamilyMode="ipv4")
    two_addresses.finish()
    before = rules(host)
    process = starts(two_addresses)
    assert "KUMA_MESH_STRICT_INBOUND" in str(host.legacy()["ipv6"])
    with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
        children = [int(pid) for pid in file.read().split()]
    for pid in (process.pid, *children):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    host.run(["sh", "-c", "rm -rf /run/tproxyd /run/tproxyd-install /var/lib/tproxyd"])
    host.run([tproxyd, "uninstall"])
    assert rules(host) == before


@pytest.mark.parametrize("spoil, sentence", [
    ({"kumaDP__dataplaneFile": None, "kumaDP__name": "web"}, "safety.strictInbound: needs kumaDP.dataplaneFile"),
    ({}, "safety.strictInbound: needs an IP address as the Dataplane's networking.address"),
])
def test_declared_ports_that_cannot_be_told_cannot_be_closed(subject, spoil, sentence):
    subject.set(safety__strictInbound=True, **spoil)
    subject.resource = trial.RESOURCE.replace("10.77.0.2", "web.example")
    subject.finish()
    said = subject.check()
    assert said.status == 78 and len(said.errors) == 1 and sentence in said.errors[0], said.text


def test_a_bridge_of_containers_is_no_reason_to_warn(host, peer, subject):
    host.run(["sh", "-ec", """
        ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up
        ip link add v0 type veth peer name v1; ip link set v0 master docker0 up
        ip -6 addr del fd77::2/64 dev eth0"""])
    serve(host, APPLICATION)
    subject.finish()
    said = subject.check()
    assert said.status == 0 and not plaintext(said), said.text
    host.run(["sh", "-ec", "ip link add x0 type vxlan id 5 dstport 4789; ip link set x0 master docker0"])
    assert "at 172.17.0.1:" in plaintext(subject.check())[0]


@pytest.mark.parametrize("case", ["address on lo", "unnumbered tunnel"])
def test_an_interface_without_an_address_loses_nothing(host, peer, subject, case):
    serve(host, APPLICATION)
    peer.run(["ip", "route", "add", "192.0.2.1", "dev", "eth0"])
    if case == "address on lo":
        host.run(["sh", "-ec", """
            ip addr flush dev eth0 scope global
            ip addr add 10.77.0.2/32 dev lo; ip addr add fd77::2/128 dev lo
            ip route add 10.77.0.1 dev eth0 src 10.77.0.2; ip route add default via 10.77.0.1 dev eth0 src 10.77.0.2
            ip -6 route replace fd77::1 dev eth0; ip -6 route replace default via fd77::1 dev eth0"""])
    else:
        host.run(["sh", "-ec", """
            ip addr flush dev eth0; ip addr add 10.77.0.2/32 dev lo
            ip route add 10.77.0.1 dev eth0 src 10.77.0.2"""])
    assert reached(peer, network.INSIDE4) == str(APPLICATION)
    subject.finish()
    said = subject.check()
    assert (said.status, said.errors) == (0, []), said.text
    process = starts(subject)
    assert reached(peer, network.INSIDE4) == "carried"
    are_as_iptables_makes_them(host, "nat", "KUMA_MESH_INBOUND_REDIRECT")
    stops(process)
    assert reached(peer, network.INSIDE4) == str(APPLICATION)


NOTRACK = {
    "inbound, by port": (
        ["-A PREROUTING -p tcp --dport 8080 -j CT --notrack"], "chain PREROUTING",
        {"prerouting": "tcp dport 8080 notrack"}, ["turns connection tracking off for inbound TCP connections (port 8080)"]),
    "inbound, in a chain of its own, by interface": (
        ["-N fast", "-A PREROUTING -i eth0 -j fast", "-A fast -p tcp -m multiport --dports 8080,9090:9099 -j CT --notrack"],
        "chain fast", {"prerouting": "iifname eth0 tcp dport { 8080, 9090-9099 } notrack"},
        ["may turn connection tracking off for inbound TCP connections (port 8080, 9090-9099)"]),
    "outbound and DNS": (
        ["-A OUTPUT -p tcp --dport 80 -j CT --notrack", "-A OUTPUT -p udp --dport 53 -j CT --notrack"], "chain OUTPUT",
        {"output": "tcp dport 80 notrack; udp dport 53 notrack"},
        ["turns connection tracking off for outbound TCP connections (port 80)",
         "turns connection tracking off for DNS queries of this host"]),
    "loopback": (
        ["-A PREROUTING -i lo -j CT --notrack", "-A OUTPUT -o lo -j CT --notrack"], "chain OUTPUT",
        {"prerouting": "iif lo notrack", "output": "oif lo notrack"},
        ["may turn connection tracking off for outbound TCP connections (port 1-65535)",
         "may turn connection tracking off for DNS queries of this host"]),
    "what does no harm": (
        ["-A PREROUTING -p udp --dport 53 -j CT --notrack", "-A OUTPUT -p udp --sport 53 -j CT --notrack",
         "-A OUTPUT -p tcp --sport 80 -j CT --notrack", "-A PREROUTING -p udp --dport 4789 -j CT --notrack",
         "-A PREROUTING -p tcp --dport 22 -j CT --notrack", "-A PREROUTING -p tcp --dport 9999 -j DROP",
         "-A OUTPUT -p udp --dport 4789 -j CT --notrack", "-A PREROUTING -p tcp --dport 7 -j CT --zone 3"], None,
        {"prerouting": "udp dport 53 notrack; udp dport 4789 notrack; tcp dport 22 notrack; tcp dport 9999 drop",
         "output": "udp sport 53 notrack; tcp sport 80 notrack; udp dport 4789 notrack"}, []),
}


@pytest.mark.parametrize("backend", ["iptables-legacy", "iptables-nft", "nft"])
@pytest.mark.parametrize("name", NOTRACK)
def test_rules_of_others_that_turn_connection_tracking_off_are_told_of(host, peer, subject, tproxyd, name, backend):
    rules, chain, nft, sentences = NOTRACK[name]
    subject.set(redirect__dns__enabled=True, redirect__inbound__excludePorts=[22])
    if backend == "nft":
        text = "\n".join(f"chain {hook} {{\ntype filter hook {hook} priority -300;\n" + body.replace("; ", "\n") + "\n}"
                         for hook, body in nft.items())
        host.run(["nft", "-f", "-"], input=f"table ip fast {{\n{text}\n}}\n")
        chain = "nftables' table ip fast"
    else:
        for rule in rules:
            host.run([backend, "-w", "-t", "raw", *rule.split()])
    subject.finish()
    said = subject.check()
    assert said.status == 0, said.text
    told = [line for line in said.warnings if "connection tracking" in line]
    assert len(told) == len(sentences), said.text
    for sentence in sentences:
        assert any(sentence in line and chain in line for line in told), (sentence, told)
    if name != "inbound, by port":
        return
    serve(host, APPLICATION, INBOUND)
    host.run([tproxyd, "install", "--kuma-dp-user", "5678", "--safety-keep-connections=true"])
    assert reached(peer, network.INSIDE4) == str(APPLICATION)
    assert reached(peer, network.INSIDE6) == str(INBOUND)
