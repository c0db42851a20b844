# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixtures of this directory: what they promise to the tests next to this one."""

import os

import pytest

from machine import network

KNOCK = ("import socket, sys; s = socket.create_connection((sys.argv[1], 80), 3); "
         "s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n'); print(s.makefile().read())")


@pytest.mark.parametrize("target", [network.OUTSIDE4, network.OUTSIDE6, network.FAR4, network.FAR6])
def test_the_host_reaches_the_world_over_both_families(host, world, target):
    inside = network.INSIDE6 if ":" in target else network.INSIDE4
    assert f"peer {inside} " in host.run(["/usr/bin/python3", "-c", KNOCK, target]).stdout


def test_a_command_runs_as_the_user_asked_for_and_as_no_other_group(host):
    assert host.run(["id", "-u"], user=network.KUMA_DP).stdout == f"{network.KUMA_DP}\n"
    assert host.run(["id", "-G"], user=network.KUMA_DP).stdout == f"{network.KUMA_DP}\n"
    assert host.run(["id", "-un"], user=network.KUMA_DP).stdout == "kuma-dp\n"


def test_run_etc_and_var_lib_are_the_hosts_own(host):
    for top in ("/run", "/etc", "/var/lib"):
        host.run(["touch", f"{top}/of-a-test"])
        assert host.run(["ls", f"{top}/of-a-test"]).returncode == 0
        assert not os.path.exists(f"{top}/of-a-test")
    assert host.run(["cat", "/etc/resolv.conf"]).stdout == network.RESOLV_CONF


def test_a_snapshot_shows_a_rule_with_its_counters_and_its_family(host, world):
    host.make_legacy_tables()
    assert sorted(host.legacy()["ipv6"]) == ["filter", "mangle", "nat", "raw"]
    host.run(["ip6tables-legacy", "-t", "raw", "-A", "OUTPUT", "-p", "tcp", "--dport", "80"])
    host.run(["/usr/bin/python3", "-c", KNOCK, network.FAR6])
    host.run(["/usr/bin/python3", "-c", KNOCK, network.FAR4])
    rules = [line for line in host.legacy()["ipv6"]["raw"] if "-A OUTPUT" in line]
    assert len(rules) == 1 and not rules[0].startswith("[0:0]")
    assert not [line for line in host.legacy()["ipv4"]["raw"] if "-A" in line]
    assert "-A OUTPUT -p tcp -m tcp --dport 80" in host.legacy(counters=False)["ipv6"]["raw"]


def test_each_test_starts_without_rules(host):
    assert host.legacy() == {"ipv4": {}, "ipv6": {}}
    assert host.nft() == ""
