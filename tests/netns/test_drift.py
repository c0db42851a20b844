# SPDX-License-Identifier: GPL-2.0-or-later
"""Others change the rules of a daemon that runs: how soon it is put right, what is told, and what stays of the others."""

import os
import re
import signal
import time

import netfilter
import pytest
from daemon import Daemon
from trial import Trial

WITH_LOCK, WITHOUT_LOCK = 1, 6  # seconds that noticing and repairing may take
OTHER_LOCK = "export XTABLES_LOCKFILE=/run/nobodys.lock;"
IPV4, IPV6 = "iptables-legacy -w", "ip6tables-legacy -w"

# What others have had in the tables all along, with what it has counted.
OTHERS = """*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
[13:1300] -A PREROUTING -p udp -m udp --sport 7 -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:OTHERS - [0:0]
[35:3500] -A PREROUTING -p tcp -m tcp --dport 1 -j OTHERS
[37:3700] -A OUTPUT -p tcp -m tcp --dport 9 -j OTHERS
[38:3800] -A POSTROUTING -p tcp -m tcp --dport 2 -j RETURN
[39:3900] -A OTHERS -p udp -m udp --dport 9 -j ACCEPT
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
[44:4400] -A FORWARD -i lo -j ACCEPT
COMMIT
"""

# What Docker has there, but for what filters; and what it does with it when it starts again, one command after the other.
DOCKER = """*nat
:DOCKER - [0:0]
[51:5100] -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
[52:5200] -A OUTPUT ! -d {loopback} -m addrtype --dst-type LOCAL -j DOCKER
[53:5300] -A POSTROUTING -s {network} ! -o docker0 -j MASQUERADE
[54:5400] -A DOCKER -i docker0 -j RETURN
[55:5500] -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8081 -j DNAT --to-destination {container}
COMMIT
*filter
:DOCKER-USER - [0:0]
[56:5600] -A FORWARD -j DOCKER-USER
[57:5700] -A DOCKER-USER -j RETURN
COMMIT
"""
DOCKER_RESTARTS = """
{tool} -t nat -D PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
{tool} -t nat -D OUTPUT ! -d {loopback} -m addrtype --dst-type LOCAL -j DOCKER
{tool} -t nat -F DOCKER
{tool} -t nat -X DOCKER
{tool} -t nat -N DOCKER
{tool} -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
{tool} -t nat -A OUTPUT ! -d {loopback} -m addrtype --dst-type LOCAL -j DOCKER
{tool} -t nat -A DOCKER -i docker0 -j RETURN
{tool} -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8081 -j DNAT --to-destination {container}
{tool} -D FORWARD -j DOCKER-USER
{tool} -I FORWARD -j DOCKER-USER
"""
OF_DOCKER = {
    "ipv4": {"tool": IPV4, "loopback": "127.0.0.0/8", "network": "172.17.0.0/16", "container": "172.17.0.2:80"},
    "ipv6": {"tool": IPV6, "loopback": "::1/128", "network": "fd17::/64", "container": "[fd17::2]:80"},
}


@pytest.fixture
def trial(host, tproxyd):
    made = Trial(host, tproxyd)
    for tool in netfilter.RESTORE.values():
        host.run([tool, "-c"], input=OTHERS)
    for family, tool in netfilter.COMMAND.items():
        host.run(["sh", "-c", f"{tool}-save >/run/old.{family}"])
    return made


def start(trial, tmp_path):
    daemon = Daemon(trial, tmp_path)
    daemon.await_("READY=1")
    for family, tool in netfilter.COMMAND.items():
        trial.host.run(["sh", "-c", f"{tool}-save >/run/ours.{family}"])
    return daemon


@pytest.fixture
def daemon(trial, tmp_path):
    made = start(trial, tmp_path)
    yield made
    made.stop()
    left = made.host.legacy()
    assert not any(map(netfilter.is_ours, lines(left))), left


def lines(tables):
    return [f"{family} {table} {line}" for family, found in tables.items() for table, some in found.items() for line in some]


def ours(host):
    """In their order, and whether the redirect's address is there."""
    return ([line for line in lines(host.legacy(counters=False)) if netfilter.is_ours(line)], "::6/128" in str(host.addresses()))


def others(host):
    """With their counters; those of policies count what passes."""
    return [re.sub(r"^(\S+ \S+ :.*) \[.*", r"\1", line) for line in lines(host.legacy()) if not netfilter.is_ours(line)]


def edit(daemon, script):
    """Lets others have their way while the daemon sleeps: what they have made of their own is returned."""
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        daemon.host.run(["sh", "-ec", script])
        return others(daemon.host), ours(daemon.host)
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)


def repaired(daemon, expected, limit):
    """Waits until it is as expected; returns how long it took."""
    begin = time.monotonic()
    while ours(daemon.host) != expected:
        assert time.monotonic() - begin < limit + 20, (ours(daemon.host), "".join(daemon.log))
        time.sleep(0.01)
    took = time.monotonic() - begin
    # To look takes time as well, more of it on a machine that has other work.
    begin = time.monotonic()
    ours(daemon.host)
    assert took < limit + 3 * (time.monotonic() - begin), took
    return took


def told(daemon, count=1):
    end = time.monotonic() + 20
    while len(found := [line for line in daemon.log if "Put the rules right" in line]) < count:
        assert time.monotonic() < end, "".join(daemon.log)
        time.sleep(0.01)
    return found


# What others do, and what is told of it.
CASES = {
    "flush nat": (f"{IPV4} -t nat -F", r"IPv4 nat: all \d+ rules are gone$"),
    "flush nat and remove chains": (f"{IPV4} -t nat -F; {IPV4} -t nat -X", r"IPv4 nat: all \d+ rules are gone$"),
    "flush everything": ("".join(f"{t} -t {n} -F; {t} -t {n} -X;" for t in (IPV4, IPV6) for n in ("raw", "mangle", "nat", "filter")),
                         r"IPv4 raw: all \d+ .*IPv4 nat: all \d+ .*IPv6 raw: all \d+ .*IPv6 nat: all \d+ rules are gone$"),
    "flush nat of IPv6": (f"{IPV6} -t nat -F", r": IPv6 nat: all \d+ rules are gone$"),
    "flush raw": (f"{IPV4} -t raw -F", r": IPv4 raw: all \d+ rules are gone$"),
    "flush a chain": (f"{IPV4} -t nat -F KUMA_MESH_OUTBOUND", r": IPv4 nat: KUMA_MESH_OUTBOUND lacks (\d+) of \1 rules$"),
    "delete a jump": (f"{IPV4} -t nat -D PREROUTING 2", r": IPv4 nat: PREROUTING lacks 1 of 1 rule of ours$"),
    "delete a rule": (f"{IPV4} -t nat -D KUMA_MESH_OUTBOUND 2", r": IPv4 nat: KUMA_MESH_OUTBOUND lacks 1 of \d+ rules$"),
    "change a rule": (f"{IPV4} -t nat -R KUMA_MESH_INBOUND_REDIRECT 1 -p tcp -j REDIRECT --to-ports 19999",
                      r": IPv4 nat: KUMA_MESH_INBOUND_REDIRECT lacks 1 of \d+ rules?, KUMA_MESH_INBOUND_REDIRECT has 1 rule of another"),
    "reorder rules": (f"{IPV4} -t nat -S KUMA_MESH_OUTBOUND 3 | sed 's/^/*nat\\n-D KUMA_MESH_OUTBOUND 3\\n/;"
                      "s/-A KUMA_MESH_OUTBOUND/-I KUMA_MESH_OUTBOUND 2/;s/$/\\nCOMMIT/' | iptables-legacy-restore -w --noflush",
                      r": IPv4 nat: ours are in another place or order$"),
    "insert before ours": (f"{IPV4} -t nat -I OUTPUT -p udp -j ACCEPT", r": IPv4 nat: ours are in another place"),
    "append behind ours": (f"{IPV4} -t nat -A OUTPUT -p tcp --dport 7777 -j ACCEPT", r": IPv4 nat: ours are in another place"),
    "rename a chain": (f"{IPV4} -t nat -E KUMA_MESH_OUTBOUND ANOTHER", r": IPv4 nat: .*KUMA_MESH_OUTBOUND is gone"),
    "restore an old file": ("iptables-legacy-restore -w </run/old.ipv4", r": IPv4 raw: all .*IPv4 nat: all \d+ rules are gone$"),
    "restore ours twice": ("iptables-legacy-restore -w --noflush </run/ours.ipv4", r"of another redirect"),
    "take the address": ("ip addr del ::6/128 dev lo", r": ::6/128 is gone from lo$"),
    "take lo down": ("ip link set lo down; ip link set lo up", r": ::6/128 is gone from lo$"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_change_is_put_right_within_a_second(daemon, case):
    script, words = CASES[case]
    expected = ours(daemon.host)
    made, changed = edit(daemon, script)
    assert changed != expected or case in ("insert before ours", "append behind ours")
    print(f"{case}: {repaired(daemon, expected, WITH_LOCK):.3f} s")
    found = told(daemon)
    assert len(found) == 1 and re.search(words, found[0].strip()), found
    # A chain of ours under another name is ours.
    assert others(daemon.host) == [line for line in made if ":ANOTHER" not in line]
    assert daemon.status()["phase"] == "redirecting"


@pytest.mark.parametrize("case", ["flush nat", "delete a jump", "reorder rules", "change a rule", "flush raw"])
def test_a_change_without_the_lock_is_put_right_too(daemon, case):
    script, words = CASES[case]
    expected = ours(daemon.host)
    made, changed = edit(daemon, OTHER_LOCK + script)
    assert changed != expected
    print(f"{case}, without the lock: {repaired(daemon, expected, WITHOUT_LOCK):.3f} s")
    assert re.search(words, told(daemon)[0].strip())
    assert others(daemon.host) == made


# Not ours, and not where ours have to be.
IGNORED = {
    "flush filter": f"{IPV4} -F; {IPV6} -F",
    "insert before what we append": f"{IPV4} -t nat -I PREROUTING -p tcp --dport 7777 -j ACCEPT",
    "rules of others": f"{IPV4} -t nat -A POSTROUTING -p tcp --dport 7 -j RETURN; {IPV4} -t nat -N NEW; {IPV4} -t nat -F OTHERS",
    "policies and counters": f"{IPV4} -P FORWARD DROP; {IPV4} -Z; {IPV4} -t nat -Z",
    "nftables": "nft add table ip x; nft flush ruleset; nft add table ip6 y",
}


@pytest.mark.parametrize("case", IGNORED)
def test_what_is_not_ours_is_left_alone(daemon, case):
    before = ours(daemon.host)
    made, after = edit(daemon, IGNORED[case])
    assert after == before
    time.sleep(WITHOUT_LOCK)
    assert (ours(daemon.host), others(daemon.host)) == (before, made)
    assert not [line for line in daemon.log if "Put the rules right" in line]


def docker(trial):
    """Docker's rules are there before ours."""
    for family, words in OF_DOCKER.items():
        trial.host.run([netfilter.RESTORE[family], "-c", "--noflush"], input=DOCKER.format(**words))


def ends_with_ours(host):
    """Whether what we append to nat's OUTPUT is behind what others have there."""
    return all([line for line in tables["nat"] if line.startswith("-A OUTPUT")][-1].endswith("KUMA_MESH_OUTBOUND")
               for tables in host.legacy(counters=False).values())


def test_what_docker_has_is_left_alone_when_it_starts_again(trial, tmp_path):
    docker(trial)
    daemon = start(trial, tmp_path)
    expected, before = ours(trial.host), others(trial.host)
    trial.host.run(["sh", "-ec", "".join(DOCKER_RESTARTS.format(**words) for words in OF_DOCKER.values())])
    begin = time.monotonic()
    while not ends_with_ours(trial.host):
        assert time.monotonic() - begin < WITH_LOCK + 20, "".join(daemon.log)
    print(f"Docker starts again: {time.monotonic() - begin:.3f} s")
    assert ours(trial.host) == expected
    found = told(daemon, 1)
    assert all("ours are in another place" in line for line in found), found

    # What it has made anew has counted nothing; the order of its chain in FORWARD is its own.
    def kept(lines):
        return [re.sub(r"\[\d+:\d+\]", "[]", line) if " DOCKER -" in line or "-j DOCKER" in line or "-A DOCKER " in line else line
                for line in lines]
    assert sorted(kept(others(trial.host))) == sorted(kept(before))
    assert daemon.status()["phase"] == "redirecting"
    assert not any("keeps changing" in line for line in daemon.log)
    daemon.stop()


@pytest.mark.parametrize("case", ["flush a chain", "delete a jump", "reorder rules", "take the address"])
def test_what_docker_has_is_left_alone_by_a_repair(trial, tmp_path, case):
    docker(trial)
    # Our jump in PREROUTING is behind Docker's too.
    script = CASES[case][0].replace("-D PREROUTING 2", "-D PREROUTING 3")
    daemon = start(trial, tmp_path)
    expected, before = ours(trial.host), others(trial.host)
    edit(daemon, script)
    repaired(daemon, expected, WITH_LOCK)
    assert re.search(CASES[case][1], told(daemon)[0].strip())
    assert others(trial.host) == before
    daemon.stop()


def test_a_second_kumactl_in_the_legacy_tables_is_taken_over(daemon):
    """It removes what it takes for its own, and puts in its own."""
    expected = ours(daemon.host)
    text = {family: daemon.host.run([netfilter.find_driver(), "text", "e04", family]).stdout for family in netfilter.RESTORE}
    os.kill(daemon.process.pid, signal.SIGSTOP)
    for family, tool in netfilter.RESTORE.items():
        command = netfilter.COMMAND[family]
        daemon.host.run(["sh", "-c", f"{command} -t nat -F; {command} -t nat -X; {command} -t raw -F"])
        daemon.host.run([tool, "--noflush"], input=text[family])
    os.kill(daemon.process.pid, signal.SIGCONT)
    print(f"a second kumactl: {repaired(daemon, expected, WITH_LOCK):.3f} s")
    assert "of another redirect" in told(daemon)[0]


def test_a_second_kumactl_in_nf_tables_is_taken_over_and_who_it_was_is_told(daemon):
    text = daemon.host.run([netfilter.find_driver(), "text", "e01", "ipv4"]).stdout
    daemon.host.run(["iptables-nft-restore", "--noflush"], input=text)
    begin = time.monotonic()
    while "KUMA_MESH" in daemon.host.run(["iptables-nft-save"]).stdout:
        assert time.monotonic() - begin < WITH_LOCK + 20
    print(f"a second kumactl in nf_tables: {time.monotonic() - begin:.3f} s")
    end = time.monotonic() + 20
    while not any(re.search(r"Took over what kumactl had put into nf_tables, last changed by iptables-nft-\S* \(process \d+\)", line)
                  for line in daemon.log):
        assert time.monotonic() < end, "".join(daemon.log)
        time.sleep(0.05)


def test_nat_rules_of_others_in_nf_tables_are_told_of_once(daemon):
    for port in (1, 2, 3):
        daemon.host.run(["nft", "-f", "-"], input=f"""
            table ip x {{ chain y {{ type nat hook output priority -100; tcp dport {port} accept; }}; }}""")
        time.sleep(1)
    found = [line for line in daemon.log if "nat rules of others are in nf_tables now" in line]
    assert len(found) == 1 and re.search(r"last changed by nft \(process \d+\)", found[0]), "".join(daemon.log)


def test_another_lock_file_is_watched_as_well(daemon):
    """Somebody has removed it; programs make a new one."""
    expected = ours(daemon.host)
    edit(daemon, "rm /run/xtables.lock; touch /run/xtables.lock")
    time.sleep(WITHOUT_LOCK)
    edit(daemon, f"{IPV4} -t nat -F")
    repaired(daemon, expected, WITH_LOCK)
    told(daemon)


def test_a_program_that_insists_is_told_of_and_left_longer_and_longer(daemon):
    expected = ours(daemon.host)
    flusher = daemon.host.start(["sh", "-c", f"while :; do {IPV4} -t nat -F; sleep 0.2; done"])
    end = time.monotonic() + 60
    while not any("Another program keeps changing the rules" in line for line in daemon.log):
        assert time.monotonic() < end, "".join(daemon.log)
        time.sleep(0.1)
    n = len(told(daemon))
    time.sleep(10)
    assert 1 <= len(told(daemon)) - n <= 5
    assert sum("keeps changing" in line for line in daemon.log) == 1
    assert daemon.status()["phase"] == "applying"
    flusher.kill()
    flusher.wait()
    repaired(daemon, expected, 32)
    assert daemon.status()["phase"] == "redirecting"


def test_rules_are_put_right_while_they_are_held(trial, tmp_path):
    trial.set(failure__holdRules="30s")
    daemon = start(trial, tmp_path)
    envoy = daemon.child("envoy")
    os.kill(envoy, signal.SIGSTOP)
    daemon.await_("STATUS=Holding")
    expected = ours(daemon.host)
    edit(daemon, f"{IPV4} -t nat -F; {IPV6} -t nat -D OUTPUT 2")
    repaired(daemon, expected, WITH_LOCK)
    assert daemon.status()["phase"] == "holding"
    os.kill(envoy, signal.SIGCONT)
    daemon.await_status(lambda found: found["phase"] == "redirecting")
    daemon.stop()


def test_ipv6_may_be_switched_off_and_on_again(daemon):
    expected = ours(daemon.host)
    before = len(daemon.said)
    daemon.host.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.lo.disable_ipv6=1"])
    time.sleep(7)
    assert "::6" not in str(daemon.host.addresses())
    # Nothing is wrong: nobody sends or asks anything over IPv6.
    assert daemon.status()["phase"] == "redirecting" and daemon.level() == "full"
    assert not [m for m in daemon.said[before:] if m.startswith("STATUS=") and not m.startswith("STATUS=Redirecting")], daemon.said
    edit(daemon, f"{IPV4} -t nat -F")
    repaired(daemon, (expected[0], False), WITH_LOCK)
    daemon.host.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.lo.disable_ipv6=0"])
    repaired(daemon, expected, WITH_LOCK)
    assert not [line for line in daemon.log if line.startswith("error: ")]


def test_ipv6_that_comes_later_is_told_of(trial, tmp_path):
    trial.host.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"])
    daemon = start(trial, tmp_path)
    trial.host.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0"])
    trial.host.run(["sh", "-c", "ip addr add 2001:db8:77::2/64 dev $(ip -o link | grep -v ' lo:' | head -n1 | sed 's/^[0-9]*: //;s/[:@].*//')"])
    end = time.monotonic() + 20
    while not any("IPv6 has come to this host" in line for line in daemon.log):
        assert time.monotonic() < end, "".join(daemon.log)
        time.sleep(0.05)
    daemon.stop()
