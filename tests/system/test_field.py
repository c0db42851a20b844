# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts as they are in the field: where a connection from outside ends up, and what `check` and the journal say of it.

The application tells whom it was reached by: by the proxy, which comes from 127.0.0.6 or ::6, or by the client itself.
"""

import os
import time

import pytest

import machine as machines
import sample

DECLARED, OTHER = 8080, 9090  # ports of the application; the first is an inbound of the sample's Dataplane
SECOND = "198.51.100.22"
PROXIED, DIRECT, REFUSED = "proxied", "direct", "refused"
SEEN_AS = {"127.0.0.6": PROXIED, "::6": PROXIED, machines.OUTSIDE4: DIRECT, machines.OUTSIDE6: DIRECT}
PEER = os.path.join(machines.STANDIN, "peer")
RESOLVER, RESOLVER_UID = "daemon", 1


def reached(machine, address, port=DECLARED):
    """Who reaches the application for a client outside that connects to that address."""
    done = machine.outside.run([PEER, "talk", address, port], check=False)
    if "Connect call failed" in done.stderr or "refused" in done.stderr:
        return REFUSED
    seen = done.stdout.strip().removeprefix("from ")
    return SEEN_AS.get(seen, seen or done.stderr.strip())


def everywhere(machine, port=DECLARED):
    return [reached(machine, address, port) for address in (machines.INSIDE4, SECOND, machines.INSIDE6)]


def warnings(lines, words):
    return [line.split("warning: ", 1)[1] for line in lines if "warning: " in line and words in line]


def told(machine, words):
    """The warnings with these words, which `check` and this start of the service have to give alike."""
    said = warnings(machine.run(["tproxyd", "check"]).stderr.splitlines(), words)
    identifier = machine.show(sample.UNIT, "InvocationID")
    assert warnings(machine.messages(f"_SYSTEMD_INVOCATION_ID={identifier}"), words) == said
    return said


def plaintext(machine):
    """Which ports answer at which addresses, as far as a warning says so."""
    return [text.split("Dataplane ")[-1].split(": ")[0] for text in told(machine, "plaintext")]


@pytest.fixture
def host(machine):
    """A machine whose application listens on all its addresses, of which one is not known to the mesh."""
    machine.sh(f"ip addr add {SECOND}/24 dev eth0")
    machine.outside.run(["ip", "route", "add", SECOND, "dev", "eth0"])
    machine.run(["systemd-run", "--unit=application", "peer", "serve", DECLARED, OTHER])
    machine.wait_until(lambda: machine.run(["ss", "-Hltn", f"sport = :{OTHER}"]).stdout, 5, "the application")
    return machine


def restart(machine, changes=None, **options):
    sample.configure(machine, changes, **options)
    machine.systemctl("restart", sample.UNIT)


def test_declared_ports_at_other_addresses(host):
    before = sample.prepare(host)
    restart(host)
    assert everywhere(host) == [PROXIED, PROXIED, PROXIED]
    assert plaintext(host) == [f"({DECLARED}) answer in plaintext at {SECOND}, {machines.INSIDE6}"]

    # Past the proxy, where IPv6 is not redirected.
    restart(host, {"ipFamilyMode": "ipv4"})
    assert everywhere(host) == [PROXIED, PROXIED, DIRECT]
    assert plaintext(host) == [f"({DECLARED}) answer in plaintext at {SECOND}, {machines.INSIDE6}"]

    restart(host, {"ipFamilyMode": "ipv4", "safety": {"strictInbound": True}})
    assert everywhere(host) == [PROXIED, REFUSED, REFUSED]
    assert everywhere(host, OTHER) == [PROXIED, PROXIED, DIRECT]
    assert plaintext(host) == []
    # What this host says to itself is left alone.
    assert host.run(["peer", "talk", SECOND, DECLARED]).stdout == f"from {SECOND}\n"
    sample.stop(host)
    assert everywhere(host) == [DIRECT, DIRECT, DIRECT]
    after = host.state()
    for part in ("rules", "addresses"):
        assert sample.differences({part: before[part]}, {part: after[part]}) == []


def test_an_application_behind_a_service_port_is_closed_where_it_listens(host):
    """The inbound is 9090, the application 8080: Envoy has mTLS on the first, whoever asks for the second goes round it."""
    dataplane = sample.DATAPLANE.replace(f"port: {DECLARED}", f"port: {OTHER}\n      servicePort: {DECLARED}")
    restart(host, dataplane=dataplane)
    assert everywhere(host) == [PROXIED, PROXIED, PROXIED]
    assert plaintext(host) == [f"({DECLARED}) answer in plaintext at {machines.INSIDE4}, {SECOND}, {machines.INSIDE6}"]

    restart(host, {"safety": {"strictInbound": True}}, dataplane=dataplane)
    assert everywhere(host) == [REFUSED, REFUSED, REFUSED]
    assert reached(host, machines.INSIDE4, OTHER) == PROXIED
    assert plaintext(host) == []


def test_a_declared_inbound_that_is_not_redirected_is_told_of(host):
    for setting, value in (("excludePorts", [DECLARED]), ("excludePortsForIPs", [f"{machines.OUTSIDE4}/32"])):
        restart(host, {"redirect": {"inbound": {setting: value}}})
        assert reached(host, machines.INSIDE4) == DIRECT
        said = told(host, f"redirect.inbound.{setting}: ")
        assert len(said) == 1 and f"({DECLARED})" in said[0] and "the mesh" in said[0], said
    restart(host, {"redirect": {"inbound": {"excludePorts": [OTHER]}}})
    assert reached(host, machines.INSIDE4) == PROXIED
    assert told(host, "redirect.inbound.") == []


def test_an_interface_without_an_ipv4_address_loses_nothing(host):
    host.sh(f"""
        ip addr flush dev eth0 scope global
        ip addr add {machines.INSIDE4}/32 dev lo; ip addr add {machines.INSIDE6}/128 dev lo
        ip route add {machines.OUTSIDE4} dev eth0 src {machines.INSIDE4}
        ip -6 route replace {machines.OUTSIDE6} dev eth0""")
    assert reached(host, machines.INSIDE4) == DIRECT
    restart(host)
    assert reached(host, machines.INSIDE4) == PROXIED
    assert host.run(["tproxyd", "check"]).returncode == 0
    sample.stop(host)
    assert reached(host, machines.INSIDE4) == DIRECT


def test_what_is_not_tracked_is_not_redirected_and_the_rule_is_named(host):
    host.run(["iptables-legacy", "-t", "raw", "-A", "PREROUTING", "-p", "tcp", "--dport", DECLARED, "-j", "CT", "--notrack"])
    host.run(["nft", "-f", "-"], input=f"""table ip fast {{
        chain in {{
            type filter hook prerouting priority -300
            tcp dport {OTHER} notrack
        }}
    }}\n""")
    restart(host)
    assert [reached(host, machines.INSIDE4, port) for port in (DECLARED, OTHER)] == [DIRECT, DIRECT]
    assert [reached(host, machines.INSIDE6, port) for port in (DECLARED, OTHER)] == [PROXIED, PROXIED]
    said = told(host, "connection tracking off")
    assert len(said) == 2, said
    for where, port in (("chain PREROUTING", DECLARED), ("nftables' table ip fast", OTHER)):
        assert any(where in text and f"(port {port})" in text for text in said), said


def test_no_query_of_the_hosts_own_resolver_comes_back_to_it(host):
    host.serve()
    host.run(["systemd-run", "--unit=resolver", f"--property=User={RESOLVER}",
              "--property=AmbientCapabilities=CAP_NET_BIND_SERVICE", "peer", "forward", "127.0.0.1", machines.OUTSIDE4])
    host.wait_until(lambda: "serving" in host.messages("-u", "resolver"), 5, "the resolver")
    host.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    restart(host, {"redirect": {"dns": {"captureAll": True}}})
    for name in ("one.test", "two.test", "three.test"):
        for server in ("127.0.0.1", machines.OUTSIDE4):
            assert sample.ask(host, name, server) == "NOERROR 192.0.2.53"
    assert sample.ask(host, "backend.mesh", machines.OUTSIDE4).startswith("NOERROR 240.0.0.1")
    time.sleep(1)
    assert host.messages("-u", "resolver").count("query") <= 20
    notices = [text for text in host.messages("-u", sample.UNIT) if f"udp:53:{RESOLVER_UID}" in text]
    assert len(notices) == 1, notices
