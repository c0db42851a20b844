# SPDX-License-Identifier: GPL-2.0-or-later
"""The iptables backend: what it makes of a ruleset, and what it leaves of the rules of others."""

import os
import re

import pytest

import netfilter
from conftest import why_not
from netfilter import COMMAND, Firewall, foreign, is_ours, plans, without_counters


@pytest.fixture(autouse=True)
def _needs():
    if why_not():
        pytest.skip(why_not())
    if not os.access(netfilter.find_driver(), os.X_OK):
        pytest.skip(f"{netfilter.find_driver()} is not built; see tests/run")


@pytest.fixture
def fw():
    with Firewall() as made:
        yield made


def add_docker_chain(fw):
    for command in COMMAND.values():
        fw.run([command, "-t", "nat", "-N", "DOCKER_OUTPUT"])


@pytest.mark.parametrize("plan", plans("", ":bare"))
def test_the_kernel_holds_what_iptables_makes_of_the_text(plan):
    for level in ("full",) if ":" in plan else ("full", "no-dns", "drain"):
        with Firewall() as ours, Firewall() as theirs:
            for fw in (ours, theirs):
                fw.make_legacy_tables()
                add_docker_chain(fw)
            ours.apply(plan, level)
            for family in netfilter.RESTORE:
                text = theirs.drive("text", plan, family, level).stdout
                if text.strip():
                    theirs.restore(family, text, "--noflush")
            assert ours.legacy() == theirs.legacy()
            assert any(is_ours(line) for line in ours.legacy()["ipv4"]["nat"])


@pytest.mark.parametrize("plan", plans("", ":bare"))
def test_iptables_can_delete_every_rule(plan):
    with Firewall() as fw:
        add_docker_chain(fw)
        fw.apply(plan)
        for family, tables in fw.legacy(counters=False).items():
            text = ""
            for table, lines in tables.items():
                rules = [re.sub("^-A", "-D", line) for line in lines if line.startswith("-A")]
                text += "\n".join([f"*{table}", *rules, "COMMIT", ""])
            fw.restore(family, text, "--noflush")
        left = fw.legacy(counters=False)
        assert not [line for tables in left.values() for lines in tables.values() for line in lines
                    if line.startswith("-A")]


@pytest.mark.parametrize("suffix", ["", ":bare"])
def test_rules_of_others_keep_place_and_counters_through_every_level(fw, suffix):
    fw.restore_foreign()
    before = fw.legacy()
    for plan, level in (("e14", "full"), ("e14:ports", "full"), ("e10", "full"), ("safe", "no-dns"), ("e10", "drain"),
                        ("e01", "full"), ("e01", "no-dns"), ("e01", "full")):
        names = plan.split(":")
        fw.apply(names[0] + suffix + "".join(f":{n}" for n in names[1:]), level)
        if not suffix:
            assert foreign(fw.legacy()) == before, (plan, level)
        assert fw.read(names[0] + suffix + "".join(f":{n}" for n in names[1:]), level)["ipv4", "nat"][3]
    fw.apply("e01", "none")
    assert fw.legacy() == before
    assert not fw.has_record()


def test_rules_put_around_ours_later_stay_where_they_were_put(fw):
    fw.restore_foreign()
    fw.apply("e14")
    for command in COMMAND.values():
        for table, chain in (("raw", "OUTPUT"), ("nat", "OUTPUT"), ("nat", "PREROUTING")):
            fw.run([command, "-t", table, "-I", chain, "-p", "tcp", "--dport", "9", "-j", "ACCEPT"])
            fw.run([command, "-t", table, "-A", chain, "-p", "tcp", "--dport", "10", "-j", "ACCEPT"])
    between = foreign(fw.legacy())
    fw.apply("e10")
    assert foreign(fw.legacy()) == between
    nat = [line for line in fw.legacy(counters=False)["ipv4"]["nat"] if line.startswith("-A OUTPUT")]
    others = [n for n, line in enumerate(nat) if not is_ours(line)]
    assert others == list(range(others[0], others[-1] + 1)) and others[0] > 0 and others[-1] < len(nat) - 1
    fw.apply("e10", "none")
    assert fw.legacy() == between


def test_applying_again_puts_ours_around_what_others_have_added(fw):
    fw.apply("e14")
    for how, port in (("-I", "9"), ("-A", "10")):
        fw.run(["ip6tables-legacy", "-t", "nat", how, "OUTPUT", "-p", "tcp", "--dport", port, "-j", "ACCEPT"])
    between = foreign(fw.legacy())
    assert fw.apply("e14").stdout == "1\n"
    rules = [is_ours(line) for line in fw.legacy(counters=False)["ipv6"]["nat"] if line.startswith("-A OUTPUT")]
    assert rules[0] and rules[-1] and rules.count(False) == 2
    assert foreign(fw.legacy()) == between
    assert fw.apply("e14").stdout == "0\n"


def test_applying_what_is_there_already_changes_nothing(fw):
    fw.restore_foreign()
    assert fw.apply("e14").stdout != "0\n"
    before, record = fw.legacy(), fw.recorded()
    assert fw.apply("e14").stdout == "0\n"
    assert (fw.legacy(), fw.recorded()) == (before, record)


def test_our_rules_go_on_counting_through_a_change(fw):
    fw.apply("e01")
    fw.run(["/usr/bin/python3", "-c", "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
            "s.sendto(b'x', ('127.0.0.53', 53))"])
    counted = [line for line in fw.legacy()["ipv4"]["nat"] if is_ours(line) and not line.startswith("[0:0]")]
    fw.run(["/usr/bin/python3", "-c", "import socket; socket.socket().connect_ex(('127.0.0.2', 80))"])
    jump = [line for line in fw.legacy()["ipv4"]["nat"] if "-A OUTPUT" in line and line.endswith("KUMA_MESH_OUTBOUND")]
    assert jump and not jump[0].startswith("[0:0]")
    fw.apply("e01:ports")
    assert jump[0] in fw.legacy()["ipv4"]["nat"]
    assert counted == [line for line in counted if line in fw.legacy()["ipv4"]["nat"]]


def test_a_table_that_nobody_needs_is_never_made(fw):
    fw.apply("e13")
    fw.read("e13")
    names = fw.run(["cat", "/proc/net/ip_tables_names"]).stdout.split()
    assert sorted(names) == ["nat", "raw"]
    assert fw.run(["cat", "/proc/net/ip6_tables_names"]).stdout == ""
    fw.apply("e13", "none")
    fw.apply("e13", "none", "recognised")
    assert fw.run(["cat", "/proc/net/ip6_tables_names"]).stdout == ""


def test_rules_of_a_family_that_is_disabled_now_go(fw):
    fw.make_legacy_tables()
    empty = fw.legacy()
    fw.apply("e14")
    fw.apply("e14:v4")
    assert fw.legacy()["ipv6"] == empty["ipv6"]
    assert fw.read("e14:v4")["ipv4", "nat"][3]


def test_reading_tells_what_is_missing(fw):
    fw.apply("e14")
    assert all(table[3] for table in list(fw.read("e14").values())[:-1])
    assert fw.read("e14")["ipv4", "nat"][1:3] == (29, 29)
    fw.run(["iptables-legacy", "-t", "nat", "-D", "OUTPUT", "1"])
    state = fw.read("e14")
    assert state["ipv4", "nat"][1:4] == (28, 29, False)
    assert state["ipv6", "nat"][3]
    fw.apply("e14")
    assert fw.read("e14")["ipv4", "nat"][3]
    fw.run(["ip6tables-legacy", "-t", "nat", "-A", "KUMA_MESH_OUTBOUND", "-j", "RETURN"])
    assert fw.read("e14")["ipv6", "nat"][1:4] == (28, 27, False)


def test_the_rules_of_kumactl_are_replaced_in_one_commit_per_table(fw):
    fw.restore_foreign()
    fw.restore_plan("e14")
    theirs = fw.legacy()
    before = foreign(theirs)  # iptables has just set the counters of the policies to zero
    refused = fw.apply("e01", check=False)
    assert refused.returncode == 1
    assert "chain KUMA_MESH_INBOUND exists already and is not ours" in refused.stderr
    assert fw.legacy() == theirs and not fw.has_record()
    assert fw.apply("e01", scope="recognised").stdout == "4\n"
    assert foreign(fw.legacy()) == before
    with Firewall() as other:
        other.restore_foreign()
        other.apply("e01")
        assert without_counters(fw.legacy()) == without_counters(other.legacy())
    fw.apply("e01", "none")
    assert fw.legacy() == before


@pytest.mark.parametrize("plan", ["e10", "e14", "e01:bare", "e02:bare", "e03:bare", "e11", "e13"])
def test_what_kumactl_left_is_removed_when_asked_for(fw, plan):
    fw.restore_foreign()
    without = fw.legacy(counters=False)
    fw.restore_plan(plan)
    theirs = fw.legacy()
    fw.apply(plan, "none")
    assert fw.legacy() == theirs
    fw.apply(plan, "none", "recognised")
    assert without_counters(fw.legacy(counters=False)) == without_counters(without)


def jump_from_aside(fw):
    for command in COMMAND.values():
        fw.run([command, "-t", "nat", "-N", "SIDE"])
        fw.run([command, "-t", "nat", "-A", "SIDE", "-p", "udp", "-j", "KUMA_MESH_INBOUND_REDIRECT"])


def test_a_jump_of_others_into_our_chain_is_named_and_nothing_is_changed(fw):
    fw.apply("e14")
    jump_from_aside(fw)
    before, record = fw.legacy(), fw.recorded()
    refused = fw.apply("e14:v4", check=False)
    assert refused.returncode == 1
    assert "IPv6 table nat: rule 1 of chain SIDE jumps to KUMA_MESH_INBOUND_REDIRECT" in refused.stderr
    assert (fw.legacy(), fw.recorded()) == (before, record)
    fw.apply("e10")


@pytest.mark.parametrize("plan", ["e14", "e14:bare"])
def test_a_stop_empties_a_chain_that_others_jump_to_and_takes_all_else_out(fw, plan):
    fw.restore_foreign()
    before = fw.legacy()
    fw.apply(plan)
    jump_from_aside(fw)
    for scope in ("recorded", "recognised"):
        stopped = fw.apply(plan, "none", scope)
        assert "left IPv4 nat: rule 1 of SIDE jumps to KUMA_MESH_INBOUND_REDIRECT, which stays, empty" in stopped.stdout
        for family, tables in fw.legacy().items():
            assert [line for line in tables["nat"] if "KUMA" in line and "X_KUMA" not in line] == [
                ":KUMA_MESH_INBOUND_REDIRECT - [0:0]", "[0:0] -A SIDE -p udp -j KUMA_MESH_INBOUND_REDIRECT"]
            assert all(tables[table] == before[family][table] for table in ("raw", "mangle", "filter"))
        assert not fw.has_record()
    fw.apply(plan, "full", "recognised")
    for command in COMMAND.values():
        fw.run([command, "-t", "nat", "-F", "SIDE"])
        fw.run([command, "-t", "nat", "-X", "SIDE"])
    assert "left" not in fw.apply(plan, "none").stdout
    assert without_counters(fw.legacy()) == without_counters(before)


def test_a_chain_to_jump_to_that_is_missing_is_named(fw):
    fw.make_legacy_tables()
    before = fw.legacy()
    refused = fw.apply("e12", check=False)
    assert refused.stderr == "IPv4 table nat: there is no chain DOCKER_OUTPUT to jump to\n"
    assert fw.legacy() == before and not fw.has_record()


def test_the_address_is_added_once_and_removed(fw):
    def address(verb):
        return fw.drive("address", verb, "lo").stdout.strip()

    before = fw.addresses()
    assert address("present") == "no"
    assert address("add") == "yes"
    assert address("present") == "yes" and fw.read("e01")["::6"]
    assert address("add") == "no"
    assert any("::6/128" in line for line in fw.addresses())
    address("remove")
    assert fw.addresses() == before
    address("remove")
    missing = fw.drive("address", "add", "nosuch0", check=False)
    assert missing.stderr == "interface nosuch0: No such device\n"


def test_a_host_without_ipv6_is_redirected_for_ipv4(fw):
    fw.run(["sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6"])
    fw.apply("e01:v4")
    assert fw.read("e01:v4")["ipv4", "nat"][3]
    assert fw.run(["cat", "/proc/net/ip6_tables_names"]).stdout == ""
    assert fw.drive("address", "add", "lo").stdout == "no\n"
    fw.apply("e01:v4", "none")
    assert not [line for line in fw.legacy()["ipv4"]["nat"] if line.startswith("-A") or is_ours(line)]
