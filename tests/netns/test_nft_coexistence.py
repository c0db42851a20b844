# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules of others beside ours, with packets: ports that Docker publishes or ufw forwards, in each shape of their rules, before and
after they have started again."""

import subprocess

import pytest

from conftest import why_not
from machine import network
from test_drift import DOCKER, DOCKER_RESTARTS, OF_DOCKER
from test_gapless import beside_driver, find_program

# Asks each HOST, PORT for the letter that it answers with.
ASK = """
import socket, sys
for host, port in zip(sys.argv[1::2], sys.argv[2::2]):
    try:
        with socket.create_connection((host, int(port)), 3) as sock:
            sock.settimeout(3)
            print(sock.recv(1).decode() or "-")
    except OSError as error:
        print(error)
"""
# As Docker's own backend for nf_tables has them.
BRIDGES = """table {family} docker-bridges
delete table {family} docker-bridges
table {family} docker-bridges {{
    chain filter-FORWARD {{ type filter hook forward priority filter; policy accept; }}
    chain nat-prerouting-and-output {{ tcp dport 8081 counter dnat to {container} comment "DNAT"; }}
    chain nat-PREROUTING {{
        type nat hook prerouting priority -100; policy accept
        fib daddr type local counter jump nat-prerouting-and-output
    }}
    chain nat-OUTPUT {{
        type nat hook output priority -100; policy accept
        {family} daddr != {loopback} fib daddr type local counter jump nat-prerouting-and-output
    }}
    chain nat-POSTROUTING {{
        type nat hook postrouting priority 100; policy accept
        oifname != docker0 {family} saddr {network} counter masquerade
    }}
}}
"""


def begin(host, shape):
    """Docker starts, for the first time or again."""
    for family, words in OF_DOCKER.items():
        if shape == "nft":
            words = {**words, "family": {"ipv4": "ip", "ipv6": "ip6"}[family]}
            host.run(["nft", "-f", "-"], input=BRIDGES.format(**words))
            continue
        tool = {"ipv4": "iptables", "ipv6": "ip6tables"}[family] + shape
        if "DOCKER" in host.run([f"{tool}-save"]).stdout:
            host.run(["sh", "-ec", DOCKER_RESTARTS.format(**{**words, "tool": f"{tool} -w"})])
        else:
            host.run([f"{tool}-restore", "--noflush"], input=DOCKER.format(**words))


class World:
    """Who is outside answers with d, the container with c, the ports of the redirect with i and o."""

    def __init__(self, net):
        self.net, self.host = net, net.inside
        self.container = network.Namespace("container")
        made = self.host.start(["ip", "link", "add", "docker0", "type", "veth", "peer", "name", "eth0", "netns",
                                f"/proc/self/fd/{self.container.net}"], pass_fds=(self.container.net,))
        assert made.wait(10) == 0
        self.host.run(["sh", "-ec", """ip addr add 172.17.0.1/16 dev docker0; ip -6 addr add fd17::1/64 dev docker0 nodad
            ip link set docker0 up; echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding"""])
        self.container.run(["sh", "-ec", """ip addr add 172.17.0.2/16 dev eth0; ip -6 addr add fd17::2/64 dev eth0 nodad
            ip link set eth0 up; ip route add default via 172.17.0.1; ip -6 route add default via fd17::1"""])
        network._wait_for_link(self.container)
        for where, letter, port in ((net.outside, "d", 80), (self.container, "c", 80), (self.host, "i", 15006), (self.host, "o", 15001)):
            server = where.start([beside_driver("connections"), "serve", letter, port], stdout=subprocess.PIPE, text=True)
            assert server.stdout.readline() == "ready\n"

    def found(self):
        """Of both families: the published port, another port of the host, where applications and containers come to."""
        asked = {
            "published": (self.net.outside, network.INSIDE4, 8081, network.INSIDE6, 8081),
            "published, from the host": (self.host, network.INSIDE4, 8081, network.INSIDE6, 8081),
            "inbound": (self.net.outside, network.INSIDE4, 8080, network.INSIDE6, 8080),
            "outbound": (self.host, network.FAR4, 80, network.FAR6, 80),
            "container": (self.container, network.FAR4, 80, network.FAR6, 80),
        }
        return {name: "".join(where.run(["/usr/bin/python3", "-c", ASK, *words]).stdout.split("\n"))
                for name, (where, *words) in asked.items()}


@pytest.fixture(name="world")
def fixture_world():
    if why_not():
        pytest.skip(why_not())
    with network.Network(own_files=True) as net:
        net.inside.run(["sh", "-c", "grep -q ^kuma-dp: /etc/passwd || echo kuma-dp:x:5678:5678::/:/bin/false >>/etc/passwd"])
        made = World(net)
        yield made
        made.container.close()


@pytest.mark.parametrize("backend, shape, first", [
    ("iptables", "-legacy", "docker"), ("nftables", "-legacy", "docker"), ("nftables", "-legacy", "tproxyd"),
    ("nftables", "-nft", "docker"), ("nftables", "-nft", "tproxyd"), ("nftables", "nft", "docker"), ("nftables", "nft", "tproxyd")])
@pytest.mark.parametrize("vnet", [False, True], ids=["", "vnet"])
def test_a_port_that_docker_publishes_is_the_containers(world, backend, shape, first, vnet):
    host = world.host
    options = [f"--backend={backend}", *(["--vnet=docker0:172.17.0.0/16", "--vnet=docker0:fd17::/64"] if vnet else [])]
    # The jump to what is redirected stands before Docker's rules where there is a vnet.
    expected = {"published": "ii" if vnet else "cc", "published, from the host": "cc", "inbound": "ii", "outbound": "oo",
                "container": "oo" if vnet else "ii"}
    if first == "docker":
        begin(host, shape)
        assert world.found()["published"] == "cc"
    host.run([find_program(), "install", "--redirect-dns", *options])
    if first != "docker":
        begin(host, shape)
    assert world.found() == expected
    begin(host, shape)
    # In one table a daemon has to put its rules behind Docker's again (test_drift.py).
    assert backend == "iptables" or world.found() == expected
    host.run([find_program(), "uninstall"])
    found = world.found()
    assert found["published"] == found["published, from the host"] == "cc" and found["outbound"] == found["container"] == "dd"

# What ufw has: its chains and defaults, and a forwarded port in before.rules.
UFW = """*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:ufw-before-input - [0:0]
:ufw-user-input - [0:0]
:ufw-reject-input - [0:0]
-A INPUT -j ufw-before-input
-A INPUT -j ufw-reject-input
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -p ipv6-icmp -j ACCEPT
-A ufw-before-input -m addrtype --dst-type LOCAL -j ufw-user-input
-A ufw-user-input -p tcp -m tcp --dport 15006 -j ACCEPT
-A ufw-user-input -p tcp -m tcp --dport 15001 -j ACCEPT
-A ufw-reject-input -p tcp -j REJECT --reject-with tcp-reset
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 8081 -j DNAT --to-destination {container}
-A POSTROUTING -s {network} ! -o docker0 -j MASQUERADE
COMMIT
"""
UFW_STOPS = """
{tool} -F; {tool} -X; {tool} -P INPUT ACCEPT; {tool} -P FORWARD ACCEPT; {tool} -P OUTPUT ACCEPT
{tool} -t nat -F; {tool} -t nat -X; {tool} -t mangle -F; {tool} -t mangle -X; {tool} -t raw -F; {tool} -t raw -X
"""


def start_ufw(host, shape, stops=False):
    """For the first time; or it is reloaded, by scripts that flush what they find."""
    for family, words in OF_DOCKER.items():
        tool = {"ipv4": "iptables", "ipv6": "ip6tables"}[family] + shape
        text = UFW.format(**words)
        if family == "ipv4":
            text = text.replace("-A ufw-before-input -p ipv6-icmp -j ACCEPT\n", "")
        if stops:
            host.run(["sh", "-ec", UFW_STOPS.format(tool=f"{tool} -w")])
        host.run([f"{tool}-restore", "--noflush"], input=text)


@pytest.mark.parametrize("shape", ["-legacy", "-nft"])
def test_ufw_and_the_redirect_do_without_each_other(world, shape):
    host = world.host
    start_ufw(host, shape)
    assert world.found()["published"] == "cc"
    host.run([find_program(), "install", "--redirect-dns", "--backend=nftables"])
    found = world.found()
    assert found == {**found, "published": "cc", "inbound": "ii", "outbound": "oo", "container": "ii"}
    # What was there is there again, and the redirect has stayed.
    start_ufw(host, shape, stops=True)
    assert world.found() == found
    host.run([find_program(), "uninstall"])
    assert world.found()["published"] == "cc" and world.found()["outbound"] == "dd"
