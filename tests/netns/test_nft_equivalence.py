# SPDX-License-Identifier: GPL-2.0-or-later
"""The two backends do the same with every packet: random plans, by iptables in one namespace and by nftables in its twin.

TPROXYD_TEST_THOROUGH=1 takes more plans; TPROXYD_TEST_SEED=N begins at another one. What fails names the seed of its plan."""

import collections
import itertools
import json
import os
import random
import re
import shutil
import subprocess
import time

import pytest
import yaml

import probes
from conftest import TESTS, why_not
from machine import network
from netfilter import RECORD
from probes import Probe
from test_gapless import beside_driver
from trial import token

THOROUGH = bool(os.environ.get("TPROXYD_TEST_THOROUGH"))
PLANS = 320 if THOROUGH else 12
PROBES = 250
SEED = int(os.environ.get("TPROXYD_TEST_SEED", "1"))
REFUSED = 77
GOLDEN_FACTS = os.path.join(TESTS, "golden", "facts.yaml")
DOCKER_DNS = "127.0.0.11"
PROXY = network.KUMA_DP
UIDS = (0, 106, 107, 1001, 1002, PROXY, 65533)
PORTS = (1, 22, 25, 53, 80, 443, 2222, 3000, 4000, 5000, 8080, 8443, 15001, 15006, 15053, 65535)
HERE4, HERE6 = ("127.0.0.1", "127.0.0.53", network.INSIDE4, "172.17.0.1"), ("::1", network.INSIDE6, "fd17::1")
FAR4 = (network.FAR4, network.OUTSIDE4, "203.0.113.5", "192.168.5.5", "10.1.2.3", "172.17.0.9", "172.16.255.255")
FAR6 = (network.FAR6, network.OUTSIDE6, "2001:db8:99::9", "fd17::9", "fdff::1")
SERVERS = (network.OUTSIDE4, network.FAR4, "127.0.0.53", "203.0.113.5", network.OUTSIDE6, network.FAR6, "::1")
NETS = ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "198.51.100.0/24", "198.51.100.10", "203.0.113.4/31", "172.17.0.0/16",
        "192.168.0.0/16", "127.0.0.0/8", "0.0.0.0/1", network.INSIDE4, "2001:db8::/32", network.FAR6, "fd77::/64",
        "fd17::9/128", "fd00::/8", "::1", "8000::/1", "10.77.0.0/30")
VNETS = ("docker0:172.17.0.0/16", "docker+:172.16.0.0/12", "docker0:fd17::/64", "bare0:10.0.0.0/8", "bare+:fd77::/16",
         "br+:192.168.0.0/16", "eth0:203.0.113.0/24")
INTERFACES = ("eth0", "docker0", "bare0")
# What is refused or reset is seen before conntrack forgets what it is about.
WATCH = "table inet watch {\n" + "".join(f"""
    set resets{v} {{ type {kind} . inet_service . {kind} . inet_service; size 65535; flags dynamic; }}""" for v, kind in (
        ("4", "ipv4_addr"), ("6", "ipv6_addr"))) + """
    chain out {
        type filter hook output priority -400
        ip version 4 tcp flags & rst == rst add @resets4 { ip saddr . tcp sport . ip daddr . tcp dport } drop
        ip6 version 6 tcp flags & rst == rst add @resets6 { ip6 saddr . tcp sport . ip6 daddr . tcp dport } drop
        icmp type destination-unreachable drop
        icmpv6 type destination-unreachable drop
    }
}"""
SILENT = """table inet watch {
    chain in { type filter hook prerouting priority -400; meta l4proto { tcp, udp, icmp } drop; }
}"""


def some(rng, pool, chance, most=5):
    """A part of the pool, mostly none of it."""
    return rng.sample(pool, rng.randint(1, min(most, len(pool)))) if rng.random() < chance else []


def maybe(rng, chance):
    return rng.random() < chance


def random_uids(rng):
    protocols = rng.choice(["", "tcp:", "udp:", "*:", "tcp,udp:"])
    ports = rng.choice(["", "", "53:", "22,80-443,8080:", "1-65535:", "3000-5000,53:", "*:"])
    if protocols and not ports:
        ports = "*:"
    low = rng.choice(UIDS)
    return protocols + ports + rng.choice([f"{low}", f"{low}-{low + rng.choice([1, 2, 1000])}"])


def random_ports(rng, chance):
    ports = some(rng, PORTS, chance)
    if ports and maybe(rng, 0.2):
        ports += range(3000, 3000 + rng.randint(1, 200))
    return ports


def random_direction(rng, port):
    return {"enabled": maybe(rng, 0.92), "port": port,
            "includePorts": random_ports(rng, 0.2), "excludePorts": random_ports(rng, 0.5),
            "excludePortsForIPs": some(rng, NETS, 0.5), "insertRedirectInsteadOfAppend": maybe(rng, 0.3)}


def is_for_docker(probe):
    """A query of kuma-dp that Docker's rules do not take: by iptables it goes on to the rule that redirects the others."""
    return probe.who == PROXY and probe.dport == 53 and probe.kind in ("udp", "answer") and probe.dst != DOCKER_DNS


class Plan:
    """Configuration and facts, as in tests/golden."""

    def __init__(self, seed):
        rng = self.rng = random.Random(seed)
        self.seed = seed
        self.level = rng.choice(["full"] * 8 + ["no-dns", "drain"])
        self.docker = maybe(rng, 0.15)
        self.ports = rng.choice([(15006, 15001, 15053), (25006, 25001, 53053)])
        self.config = {
            "redirect": {
                "dns": {"enabled": maybe(rng, 0.7), "captureAll": maybe(rng, 0.3), "port": self.ports[2],
                        "skipConntrackZoneSplit": maybe(rng, 0.15)},
                "inbound": random_direction(rng, self.ports[0]),
                "outbound": {**random_direction(rng, self.ports[1]),
                             "excludePortsForUIDs": [random_uids(rng) for _ in range(rng.choice([0, 0, 1, 2, 6]))]},
                "vnet": {"networks": some(rng, VNETS, 0.3, 3)},
            },
            "safety": {"keepConnections": maybe(rng, 0.4), "protectSSH": maybe(rng, 0.4)},
            "ipFamilyMode": rng.choice(["dualstack"] * 3 + ["ipv4"]),
            "dropInvalidPackets": maybe(rng, 0.3),
            "log": {"enabled": maybe(rng, 0.2), "level": rng.randint(0, 7)},
            "comments": {"disabled": maybe(rng, 0.3)},
        }
        self.facts = {
            "addresses": [*HERE4, *HERE6],
            "iptables": {"dockerOutput": self.docker, "raw": maybe(rng, 0.9), "mangle": maybe(rng, 0.9)},
            "ip6tables": {"legacy": maybe(rng, 0.9), "raw": maybe(rng, 0.9)},
            "sshPorts": some(rng, (22, 2222), 0.6),
            "resolvConf": "".join(f"nameserver {server}\n" for server in rng.sample(SERVERS, 3)),
        }
        if maybe(rng, 0.3):
            self.facts["iptables"]["unnumbered"] = self.facts["ip6tables"]["unnumbered"] = "bare0"
        self.purpose = "install"
        if maybe(rng, 0.6):
            self.add_run()

    def add_run(self):
        rng, self.purpose = self.rng, "run"
        self.config["kumaDP"] = {"cpAddress": "https://192.0.2.1:5678", "tokenFile": "/token", "dataplaneFile": "/dataplane"}
        self.config["safety"]["strictInbound"] = rng.choice([True, False, "auto"])
        self.facts["token"] = token(Name="web-01", Mesh="default", exp=1800000000)
        inbounds = [{"port": port, "tags": {"kuma.io/service": f"web-{port}"}} for port in rng.sample([80, 8080, 8443, 3000], 2)]
        self.facts["dataplane"] = json.dumps({"type": "Dataplane", "mesh": "default", "name": "web-01", "networking": {
            "address": rng.choice([network.INSIDE4, network.INSIDE6]), "inbound": inbounds,
            "transparentProxying": {"redirectPortInbound": self.ports[0], "redirectPortOutbound": self.ports[1]}}})

    def write(self, directory):
        for name, value in (("config", self.config), ("facts", self.facts), ("case", {"purpose": self.purpose})):
            with open(f"{directory}/{name}.yaml", "w", encoding="utf-8") as file:
                yaml.safe_dump(value, file)

    def probes(self, number):
        """Each with a port of its own to come from, but where that port is what matters."""
        rng = random.Random(self.seed)
        found = list(self.corners())
        while len(found) < number:
            found.append(self.random_probe(rng))
        if self.docker:
            found = [probe for probe in found if not is_for_docker(probe)]
        return [probe if probe.sport else probe._replace(sport=30000 + n) for n, probe in enumerate(found)]

    def corners(self):
        for uid in (0, 1001, PROXY):
            yield Probe("connect", "127.0.0.6", "127.0.0.1", 0, 8080, uid)
            yield Probe("connect", "127.0.0.6", network.INSIDE4, 0, 8080, uid)
            yield Probe("connect", "::6", "::1", 0, 8080, uid)
            yield Probe("connect", "::6", network.INSIDE6, 0, 8080, uid)
            for any_, addresses in (("", (*HERE4, DOCKER_DNS, network.FAR4)), ("::", (*HERE6, network.FAR6))):
                for dst in addresses:
                    yield Probe("connect", any_, dst, 0, 80, uid)
                    yield Probe("udp", any_, dst, 0, 53, uid)
        for uid in (0, PROXY):
            for any_, addresses in (("", (*HERE4, network.FAR4)), ("::", (*HERE6, network.FAR6))):
                for dst, dport in itertools.product(addresses, (53, 80)):
                    yield Probe("orphan", any_, dst, 0, dport, uid)
        yield Probe("kernel", network.INSIDE4, network.FAR4, 29999, 53, "kernel4")
        yield Probe("kernel", network.INSIDE6, network.FAR6, 29999, 53, "kernel6")

    def random_probe(self, rng):
        v6 = maybe(rng, 0.4)
        here, far = (HERE6, FAR6) if v6 else (HERE4, FAR4)
        dport = rng.choice([*PORTS, *self.ports, rng.randint(1, 65535)])
        if maybe(rng, 0.4):
            kind = rng.choice(["syn"] * 6 + ["ack", "synack", "answer"])
            sport = 53 if kind == "answer" else 0
            return Probe(kind, rng.choice(far), rng.choice(here[1:] + far[-2:]), sport,
                         53 if maybe(rng, 0.3) else dport, rng.choice(INTERFACES))
        uid = rng.choice(UIDS)
        kind = rng.choice(["connect"] * 5 + ["udp"] * 3 + ["ack", "answer"])
        dst = rng.choice((*here, *far, *far))
        if kind == "udp":
            dport = rng.choice([53, 53, dport])
        if kind in ("connect", "udp"):
            return Probe(kind, "::" if v6 else "", dst, 0, dport, uid)
        sport = rng.choice([53, self.ports[2]]) if kind == "answer" else 0
        return Probe(kind, here[0] if dst in here else (network.INSIDE6 if v6 else network.INSIDE4), dst, sport, dport, uid)


class World:
    """A host with that backend, and what sends to it and for it."""

    def __init__(self, backend):
        self.backend = backend
        self.net = network.Network(own_files=True)
        self.host, self.far = self.net.inside, self.net.outside
        for name in INTERFACES[1:]:
            made = self.host.start(["ip", "link", "add", name, "type", "veth", "peer", "name", name, "netns",
                                    f"/proc/self/fd/{self.far.net}"], pass_fds=(self.far.net,))
            assert made.wait(10) == 0
            self.far.run(["ip", "link", "set", name, "up"])
        self.host.run(["sh", "-ec", "\n".join([
            *(f"ip link set {name} address {mac}" for name, mac in probes.MACS.items()),
            "ip link set bare0 addrgenmode none; ip link set docker0 up; ip link set bare0 up",
            "ip addr add 172.17.0.1/16 dev docker0; ip addr add fd17::1/64 dev docker0 nodad; ip addr add ::6/128 dev lo nodad",
            f"ip link add kernel4 type vxlan id 4 remote {network.FAR4} dstport 53 srcport 29999 30000",
            f"ip link add kernel6 type vxlan id 6 remote {network.FAR6} dstport 53 srcport 29999 30000",
            "for name in kernel4 kernel6; do ip link set $name addrgenmode none up; done",
            f"ip neigh replace {network.OUTSIDE4} lladdr 02:00:00:00:00:77 dev eth0",
            f"ip neigh replace {network.OUTSIDE6} lladdr 02:00:00:00:00:77 dev eth0",
            "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done",
            "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding"])])
        self.host.run(["nft", "-f", "-"], input=WATCH)
        self.far.run(["nft", "-f", "-"], input=SILENT)
        for tool in ("iptables-legacy", "ip6tables-legacy"):
            self.host.run([tool, "-t", "raw", "-A", "OUTPUT", "-p", "tcp", "-m", "mark", "--mark", probes.MARK,
                           "-j", "NFQUEUE", "--queue-num", probes.QUEUE])
        self.docker = False
        self.senders = [self._sender(side) for side in (self.host, self.far)]

    def _sender(self, side):
        sender = side.start(["/usr/bin/python3", "-B", probes.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert sender.stdout.readline() == "ready\n"
        return sender

    def apply(self, directory, level):
        return self.host.run([beside_driver("nft_case"), "apply", directory, level, self.backend, RECORD], check=False)

    def set_docker(self, wanted, directory):
        """As in a container: Docker's DNS stands before what we append."""
        if wanted == self.docker or self.apply(directory, "none").returncode == REFUSED:
            return
        self.docker = wanted
        if wanted:
            self.host.run(["iptables-legacy-restore", "--noflush"], input=f"""*nat
:DOCKER_OUTPUT - [0:0]
-A OUTPUT -d {DOCKER_DNS}/32 -j DOCKER_OUTPUT
-A DOCKER_OUTPUT -d {DOCKER_DNS}/32 -p udp -m udp --dport 53 -j DNAT --to-destination {DOCKER_DNS}:41234
COMMIT
""")
        else:
            self.host.run(["sh", "-ec", "iptables-legacy -t nat -F; iptables-legacy -t nat -X DOCKER_OUTPUT"])

    def send(self, wanted):
        """What came of them: (refused, {what conntrack and the resets say})."""
        self.host.run(["conntrack", "-F"])
        self.host.run(["sh", "-ec", "nft flush set inet watch resets4; nft flush set inet watch resets6"])
        refused = {}
        outside = [probe for probe in wanted if probe.who in INTERFACES]
        for sender, part in zip(self.senders, ([p for p in wanted if p not in outside], outside)):
            sender.stdin.write(json.dumps(part) + "\n")
            sender.stdin.flush()
            refused.update(json.loads(sender.stdout.readline()))
        return {("refused", port, why) for port, why in refused.items()} | self.settled()

    def settled(self):
        before = None
        while (now := self.seen()) != before:
            before = now
            time.sleep(0.02)
        return now

    def seen(self):
        lines = self.host.run(["sh", "-c", "cat /proc/net/nf_conntrack; nft list table inet watch"]).stdout
        found = set()
        for line in lines.splitlines():
            kind = re.match(r"ipv[46] +\d+ (tcp|udp) ", line)
            if kind:
                words = re.findall(r" ((?:src|dst|sport|dport|zone[a-z-]*)=\S+)", line)
                # Where two came from the same port, the answers to one of them go to another one.
                found.add((kind[1], *words[:7], *words[8:]))
        resets = re.findall(r"[0-9a-f.:]+ \. \d+ \. [0-9a-f.:]+ \. \d+", lines)
        return found | {("reset", *reset.split(" . ")) for reset in resets}

    def close(self):
        self.net.close()


@pytest.fixture(scope="module", name="worlds")
def fixture_worlds():
    if why_not():
        pytest.skip(why_not())
    if not os.access(beside_driver("nft_case"), os.X_OK):
        pytest.skip(f"{beside_driver('nft_case')} is not built; see tests/run")
    made = {backend: World(backend) for backend in ("iptables", "nftables")}
    yield made
    for world in made.values():
        world.close()


@pytest.fixture(name="case")
def fixture_case(tmp_path):
    shutil.copy(GOLDEN_FACTS, tmp_path)
    (tmp_path / "case").mkdir()
    return tmp_path / "case"


def is_listed(found):
    """Our RETURN does not stop Docker's rules (tproxyd-redirection(7))."""
    return found[0] == "udp" and f"dst={DOCKER_DNS}" in found


def differences(worlds, plan, number=PROBES):
    seen = {name: world.send(plan.probes(number)) for name, world in worlds.items()}
    only = {name: sorted(seen[name] - seen[other]) for name, other in zip(seen, reversed(seen))}
    return seen["iptables"], {name: [f for f in found if not (plan.docker and is_listed(f))] for name, found in only.items()}


def kind_of(plan, found):
    """In a word, what has become of a packet."""
    words = dict(word.split("=") for word in reversed(found[1:]) if "=" in word)
    if not words:
        return found[0]
    landed = [word for word in found if word.startswith("sport=")][1]
    names = {f"sport={port}": name for port, name in zip(plan.ports, ("inbound", "outbound", "dns"))}
    where = names.get(landed, "elsewhere") if landed != f"sport={words['dport']}" else "direct"
    zone = f" zone {words['zone']}" if words.get("zone", "0") != "0" else ""
    return f"{'v6' if ':' in words['src'] else 'v4'} {where}{zone}"


def make(worlds, directory, plan):
    """Returns whether that is a plan at all, and one that every backend takes."""
    plan.write(directory)
    for world in worlds.values():
        world.set_docker(plan.docker, directory)
        done = world.apply(directory, plan.level)
        if done.returncode == REFUSED:
            print(f"seed {plan.seed}: {re.search('.*error: .*', done.stderr)[0]}")
            return False
        assert done.returncode == 0, f"seed {plan.seed}, {world.backend}: {done.stderr}"
    return True


def test_random_plans_do_the_same_by_either_backend(worlds, case):
    seed, made, kinds = SEED, 0, collections.Counter()
    while made < PLANS:
        plan = Plan(seed)
        seed += 1
        if not make(worlds, case, plan):
            continue
        made += 1
        seen, differing = differences(worlds, plan)
        kinds.update(kind_of(plan, found) for found in seen)
        assert not any(differing.values()), f"seed {plan.seed}: {json.dumps(differing, indent=1)}\n{plan.__dict__}"
    print(f"{made} plans from seed {SEED} (of {seed - SEED}), {PROBES} probes each: {dict(kinds)}")
    assert not [found for found in seen if found[0] == "refused" and "imed out" in found[2]]
    for family in ("v4", "v6"):
        for kind in ("direct", "inbound", "outbound", "dns zone 2", "direct zone 1"):
            assert kinds[f"{family} {kind}"], (family, kind, kinds)
    assert kinds["reset"]


def every_setting():
    """A plan that has all of them, and for each a change that packets have to notice."""
    plan = Plan(0)
    plan.level, plan.docker, plan.ports = "full", False, (15006, 15001, 15053)
    plan.config = {
        "redirect": {
            "dns": {"enabled": True, "captureAll": False, "port": 15053, "skipConntrackZoneSplit": False},
            "inbound": {"enabled": True, "port": 15006, "excludePorts": [80, 3000, 8443],
                        "excludePortsForIPs": ["203.0.113.4/31", "10.1.0.0/16", "fd17::9/128", "fdff::/16"],
                        "insertRedirectInsteadOfAppend": False},
            "outbound": {"enabled": True, "port": 15001, "excludePorts": [443, 25],
                         "excludePortsForIPs": ["192.168.0.0/16", network.OUTSIDE4, "2001:db8:99::/48", "fd17::9"],
                         "excludePortsForUIDs": ["tcp:1-65535:1001", "tcp:8080:106-107", "udp:53:1002"]},
            "vnet": {"networks": ["docker0:172.17.0.0/16", "docker+:fd17::/64"]},
        },
        "safety": {"keepConnections": True, "protectSSH": True},
        "ipFamilyMode": "dualstack",
        "dropInvalidPackets": True,
    }
    plan.facts = {"sshPorts": [22, 2222], "resolvConf": "".join(f"nameserver {server}\n" for server in SERVERS[:5]),
                  "addresses": [*HERE4, *HERE6], "iptables": {"unnumbered": "bare0"}, "ip6tables": {"unnumbered": "bare0"}}
    return plan


CHANGES = [
    ("redirect.dns.enabled", False), ("redirect.dns.captureAll", True), ("redirect.dns.port", 53053),
    ("redirect.dns.skipConntrackZoneSplit", True),
    ("redirect.inbound.enabled", False), ("redirect.inbound.port", 25006), ("redirect.inbound.includePorts", [443]),
    ("redirect.inbound.excludePorts", [80, 3000]),
    ("redirect.inbound.excludePortsForIPs", ["203.0.113.4/31", "fd17::9/128", "fdff::/16"]),
    ("redirect.outbound.enabled", False), ("redirect.outbound.port", 25001), ("redirect.outbound.includePorts", [443]),
    ("redirect.outbound.excludePorts", [25]),
    ("redirect.outbound.excludePortsForIPs", ["192.168.0.0/16", network.OUTSIDE4, "fd17::9"]),
    ("redirect.outbound.excludePortsForUIDs", ["tcp:1-65535:1001", "tcp:8080:106-107"]),
    ("redirect.outbound.excludePortsForUIDs", ["tcp:1-65535:1001", "tcp:8080:106", "udp:53:1002"]),
    ("redirect.vnet.networks", ["docker+:fd17::/64"]), ("redirect.vnet.networks", ["docker0:172.17.0.0/16"]),
    ("safety.keepConnections", False), ("safety.protectSSH", False), ("ipFamilyMode", "ipv4"), ("dropInvalidPackets", False),
]


@pytest.mark.parametrize("path, value", CHANGES)
def test_a_setting_that_differs_is_noticed(worlds, case, path, value):
    plan = every_setting()
    assert make(worlds, case, plan)
    *sections, name = path.split(".")
    section = plan.config
    for word in sections:
        section = section[word]
    section[name] = value
    assert make({"nftables": worlds["nftables"]}, case, plan)
    _, differing = differences(worlds, plan, 1500)
    assert any(differing.values())
