# SPDX-License-Identifier: GPL-2.0-or-later
"""Which traffic goes through the proxy and which does not, with the real Envoy and the real CoreDNS.

A server outside says from which address and port it was asked. A client that was asked for by the same port went
there itself; where it was another, the proxy went for it. A server inside sees a proxied client as 127.0.0.6 or ::6.
"""

import contextlib
import json
import os
import subprocess

import pytest

import machine as machines
import sample

REDIRECTED, DIRECT = "redirected", "direct"
HTTP, PLAIN, OTHER = 80, 8000, 8001  # Envoy takes the first for HTTP and passes the others on as bytes
NF_BACKENDS = ("iptables", "nftables")
APPLICATION, EXCLUDED = 7001, 7002  # ports of servers inside
FAR = {"IPv4": machines.FAR4, "IPv6": machines.FAR6}
INSIDE = {"IPv4": machines.INSIDE4, "IPv6": machines.INSIDE6}
RESOLVER = {"IPv4": machines.OUTSIDE4, "IPv6": machines.OUTSIDE6}
PROXY_SEEN_AS = {"127.0.0.6": REDIRECTED, "::6": REDIRECTED, machines.OUTSIDE4: DIRECT, machines.OUTSIDE6: DIRECT}
MESH_ANSWERS = {"NOERROR 240.0.0.1": REDIRECTED, "NOERROR ::ffff:240.0.0.1": REDIRECTED,
                "NOERROR 192.0.2.53": DIRECT, "NOERROR 2001:db8::53": DIRECT}
PEER = os.path.join(machines.STANDIN, "peer")
# PORT HOST…: asks for each HOST and prints, as JSON, how: the own port, the answer's text, what the filter added.
VISIT = """
import http.client, json, sys
found = {}
for host in sys.argv[2:]:
    asked = http.client.HTTPConnection(host, int(sys.argv[1]), timeout=5)
    try:
        asked.connect()
        port = asked.sock.getsockname()[1]
        asked.request("GET", "/")
        answer = asked.getresponse()
        found[host] = {"port": port, "filter": answer.getheader("x-standin"), "text": answer.read().decode()}
    except (OSError, http.client.HTTPException) as error:
        found[host] = {"error": str(error) or type(error).__name__}
print(json.dumps(found))
"""


def visit(machine, port, user="nobody", hosts=None):
    """How an application's requests to that port outside go, by family (or by what hosts is keyed by)."""
    hosts = hosts or FAR
    found = json.loads(machine.run(["/usr/bin/python3", "-c", VISIT, port, *hosts.values()], user=user).stdout)
    return {family: how_it_went(found[host]) for family, host in hosts.items()}


def how_it_went(found):
    if "error" in found:
        return found["error"]
    words = found["text"].split()
    if words[0] != "peer":
        return found["text"]
    way = DIRECT if int(words[2]) == found["port"] else REDIRECTED
    return f"{way}, {found['filter']}" if found["filter"] else way


def visit_from_outside(machine, port=APPLICATION):
    """How connections of another host to that port inside arrive."""
    found = {}
    for family, host in INSIDE.items():
        done = machine.outside.run([PEER, "talk", host, port], check=False)
        greeting = done.stdout.strip().removeprefix("from ")
        found[family] = PROXY_SEEN_AS.get(greeting, greeting or done.stderr.strip())
    return found


def resolve(machine, user="nobody", kinds=("A", "AAAA")):
    """Who answers an application's questions for a mesh name, by the family of the name server asked."""
    found = {}
    for family, server in RESOLVER.items():
        answers = [sample.ask(machine, "backend.mesh", server, kind, user) for kind in kinds]
        ways = {MESH_ANSWERS.get(answer, answer or "no answer") for answer in answers}
        found[family] = ways.pop() if len(ways) == 1 else sorted(ways)
    return found


def ordinary_names(machine):
    """Whether the names of the rest of the world have their addresses, whoever answers."""
    return [sample.ask(machine, "some.name.test", server, kind)
            for server in RESOLVER.values() for kind in ("A", "AAAA")]


def both(way):
    return {"IPv4": way, "IPv6": way}


ORDINARY = ["NOERROR 192.0.2.53", "NOERROR 2001:db8::53"] * 2


@pytest.fixture
def world(boot, build, proxies):
    """world(changes) is a machine with that configuration, servers outside, and an application inside."""
    with contextlib.ExitStack() as stack:
        def begin(changes=None):
            machine = boot(build=build, proxies=proxies)
            machine.serve([HTTP, PLAIN, OTHER])
            serve_inside(machine, stack)
            sample.configure(machine, changes, {"ENGINE": "envoy"})
            return machine
        yield begin


def serve_inside(machine, stack):
    application = machine.start_command(["peer", "serve", APPLICATION, EXCLUDED], user="nobody", stdout=subprocess.PIPE,
                                        text=True)
    stack.callback(application.wait)
    stack.callback(application.kill)
    stack.enter_context(application.stdout)
    assert application.stdout.readline() == "serving\n"


def assert_real_proxies(machine, parent_of_coredns):
    """The stand-in did not take its own engine instead."""
    for name in ("envoy", "coredns"):
        machine.run(["test", f"/proc/{sample.child(machine, name)}/exe", "-ef", f"/opt/proxies/{name}"])
    parent = machine.run(["ps", "-o", "ppid=", "-p", sample.child(machine, "coredns")]).stdout.strip()
    assert machine.read(f"/proc/{parent}/comm") == f"{parent_of_coredns}\n"


def assert_everything_is_direct(machine):
    assert visit(machine, HTTP) == both(DIRECT)
    assert visit(machine, PLAIN) == both(DIRECT)
    assert visit_from_outside(machine) == both(DIRECT)
    assert resolve(machine) == both(DIRECT)
    assert ordinary_names(machine) == ORDINARY


@pytest.mark.parametrize("mode, parent", [("kuma-dp", "kuma-dp"), ("tproxyd", "tproxyd")])
def test_what_applications_do_is_redirected_and_what_the_proxy_does_is_not(world, mode, parent):
    machine = world({"coreDNS": {"mode": mode}})
    assert_everything_is_direct(machine)
    before = sample.prepare(machine)
    sample.start(machine)
    assert_real_proxies(machine, parent)

    assert visit(machine, HTTP) == both(f"{REDIRECTED}, lua")
    assert visit(machine, PLAIN) == both(REDIRECTED)
    assert visit_from_outside(machine) == both(REDIRECTED)
    assert resolve(machine) == both(REDIRECTED)
    assert ordinary_names(machine) == ORDINARY

    assert visit(machine, HTTP, user="kuma-dp") == both(DIRECT)
    assert visit(machine, PLAIN, user="kuma-dp") == both(DIRECT)
    assert resolve(machine, user="kuma-dp") == both(DIRECT)

    sample.stop(machine)
    assert_everything_is_direct(machine)
    sample.assert_as_before(machine, before)


def test_what_is_excluded_goes_direct_and_nothing_else_does(world):
    machine = world({"redirect": {
        "outbound": {"excludePorts": [PLAIN], "excludePortsForUIDs": [f"tcp:{OTHER}:1"],
                     "excludePortsForIPs": [f"{machines.OUTSIDE4}/32", f"{machines.OUTSIDE6}/128"]},
        "inbound": {"excludePorts": [EXCLUDED]}}})
    sample.start(machine)
    assert visit(machine, PLAIN) == both(DIRECT)
    assert visit(machine, HTTP) == both(f"{REDIRECTED}, lua")
    assert visit(machine, OTHER) == both(REDIRECTED)
    assert visit(machine, OTHER, user="daemon") == both(DIRECT)
    assert visit(machine, HTTP, user="daemon") == both(f"{REDIRECTED}, lua")
    assert visit(machine, HTTP, hosts={"IPv4": machines.OUTSIDE4, "IPv6": machines.OUTSIDE6}) == both(DIRECT)
    assert visit_from_outside(machine, EXCLUDED) == both(DIRECT)
    assert visit_from_outside(machine, APPLICATION) == both(REDIRECTED)


def test_another_hosts_addresses_can_be_excluded_inbound(world):
    machine = world({"redirect": {"inbound": {"excludePortsForIPs": [machines.OUTSIDE6]}}})
    sample.start(machine)
    assert visit_from_outside(machine) == {"IPv4": REDIRECTED, "IPv6": DIRECT}


def test_only_included_ports_are_redirected(world):
    machine = world({"redirect": {"outbound": {"includePorts": [PLAIN]}, "inbound": {"includePorts": [EXCLUDED]}}})
    sample.start(machine)
    assert visit(machine, PLAIN) == both(REDIRECTED)
    assert visit(machine, OTHER) == both(DIRECT)
    assert visit_from_outside(machine, EXCLUDED) == both(REDIRECTED)
    assert visit_from_outside(machine, APPLICATION) == both(DIRECT)


def test_ip_family_mode_ipv4_leaves_ipv6_alone(world):
    machine = world({"ipFamilyMode": "ipv4"})
    before = sample.prepare(machine)
    sample.start(machine)
    only_v4 = {"IPv4": REDIRECTED, "IPv6": DIRECT}
    assert visit(machine, PLAIN) == only_v4
    assert visit_from_outside(machine) == only_v4
    assert resolve(machine, kinds=["A"]) == only_v4  # the mesh has no IPv6 addresses for such a host
    assert sample.rules(machine, "ip6tables-legacy-save") == before["rules"]["ip6tables-legacy-save"]
    assert "ip6" not in sample.nft_rules(machine)
    assert machine.state()["addresses"] == before["addresses"]
    sample.stop(machine)
    sample.assert_as_before(machine, before)


def test_a_host_without_ipv6_is_redirected_in_ipv4_with_a_notice(world):
    machine = world()
    machine.sh("for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >$f; done")
    before = sample.prepare(machine)
    sample.start(machine)
    assert visit(machine, PLAIN)["IPv4"] == REDIRECTED
    assert visit_from_outside(machine)["IPv4"] == REDIRECTED
    assert resolve(machine, kinds=["A"])["IPv4"] == REDIRECTED
    notices = [text for text in machine.messages("-u", sample.UNIT) if "IPv6" in text]
    assert any("notice" in text and "not redirected" in text for text in notices), notices
    assert machine.show(sample.UNIT, "StatusText").startswith("Redirecting IPv4; kuma-dp ")
    sample.stop(machine)
    assert visit(machine, PLAIN)["IPv4"] == DIRECT
    sample.assert_as_before(machine, before)
