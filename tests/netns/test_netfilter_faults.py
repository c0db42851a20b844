# SPDX-License-Identifier: GPL-2.0-or-later
"""The iptables backend when something goes wrong: a commit fails, others are faster, the process dies, the record lies."""

import errno
import os
import re
import signal
import subprocess

import pytest

import netfilter
from conftest import why_not
from netfilter import BUSY, RECORD, Firewall, foreign, is_ours, without_counters

# Edits without the lock, as programs do that know nothing of it.
UNLOCKED = "XTABLES_LOCKFILE=/run/unlocked"


@pytest.fixture(autouse=True)
def _needs():
    if why_not():
        pytest.skip(why_not())
    if not os.access(netfilter.find_driver(), os.X_OK):
        pytest.skip(f"{netfilter.find_driver()} is not built; see tests/run")


@pytest.fixture
def fw():
    with Firewall() as made:
        made.restore_foreign()
        yield made


CHANGES = [(None, "e14 full"), ("e14 full", "e10 full"), ("e14 full", "e14 no-dns"), ("e10 full", "e10 drain"),
           ("e14 full", "e14 none")]
# Without comments one of the rules of others equals one of ours.
BARE_CHANGES = [(None, "e14:bare full"), ("e14:bare full", "e14:bare no-dns")]


@pytest.mark.parametrize("first, then", CHANGES + BARE_CHANGES)
def test_a_commit_that_fails_leaves_every_table_as_it_was(fw, first, then):
    if first:
        fw.apply(*first.split())
    before, record = fw.legacy(), fw.recorded()
    commits = 0
    while True:
        result = fw.apply(*then.split(), hook=f"{commits + 1} fail {errno.ENOMEM}", check=False)
        if result.returncode == 0:
            break
        commits += 1
        assert result.returncode == 1 and re.match(r"IPv[46] table \w+: commit: Cannot allocate memory\n$", result.stderr)
        assert fw.legacy() == before, f"commit {commits}"
        assert fw.recorded() == record
    assert commits == int(result.stdout) >= 2
    if ":bare" not in then:
        assert foreign(fw.legacy()) == foreign(before)


def test_a_commit_that_fails_over_the_counters_is_believed_to_be_done(fw):
    before = fw.legacy()
    fw.apply("e14", hook=f"counters fail {errno.EINVAL}")
    assert all(fw.read("e14")[family, "nat"][3] for family in ("ipv4", "ipv6"))
    fw.apply("e14", "none")
    assert without_counters(fw.legacy()) == without_counters(before)


@pytest.mark.parametrize("first", [None, "e10"])
def test_a_commit_that_fails_over_the_counters_and_cannot_be_looked_at_is_undone(fw, first):
    if first:
        fw.apply(first)
    before, record = fw.legacy(), fw.recorded()
    failed = fw.apply("e14", hook=f"counters blind {errno.ENOMEM}", check=False)
    assert failed.returncode == 1 and "Cannot allocate memory" in failed.stderr
    # Nobody has told the kernel the counters of that table.
    assert without_counters(fw.legacy()) == without_counters(before)
    assert fw.recorded() == record


@pytest.mark.parametrize("chain", ["OUTPUT", "POSTROUTING"])
def test_an_edit_between_a_commit_and_its_counters_is_kept_and_harms_nothing(fw, chain):
    before = fw.legacy()
    fw.apply("e14", hook=f"counters run {UNLOCKED} iptables-legacy -t nat -A {chain} -p tcp --dport 11 -j ACCEPT")
    state = fw.read("e14")
    assert all(value[3] for key, value in state.items() if key != "::6")
    added = [line for line in fw.legacy()["ipv4"]["nat"] if "--dport 11 " in line]
    assert len(added) >= 2
    fw.apply("e14", "none")
    after = fw.legacy()
    assert len([line for line in after["ipv4"]["nat"] if "--dport 11 " in line]) == len(added)
    after["ipv4"]["nat"] = [line for line in after["ipv4"]["nat"] if "--dport 11 " not in line]
    assert without_counters(after) == without_counters(before)


def test_a_failing_commit_that_would_only_have_moved_rules_is_told(fw):
    fw.apply("e14")
    fw.run(["iptables-legacy", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "7", "-j", "RETURN"])
    before, record = fw.legacy(), fw.recorded()
    failed = fw.apply("e14", hook=f"1 fail {errno.ENOMEM}", check=False)
    assert failed.returncode == 1 and failed.stderr == "IPv4 table nat: commit: Cannot allocate memory\n"
    assert fw.legacy() == before and fw.recorded() == record
    fw.apply("e14")
    places = [[" --dport 7 " in line for line in tables["ipv4"]["nat"]].index(True) for tables in (before, fw.legacy())]
    assert places[1] < places[0]


@pytest.mark.parametrize("first, then", CHANGES)
@pytest.mark.parametrize("when", ["kill", "killafter"])
def test_after_a_death_between_commits_the_record_cleans_up_exactly(first, then, when):
    number, alive = 0, False
    while not alive:
        number += 1
        with Firewall() as fw:
            fw.restore_foreign()
            clean = fw.legacy()
            if first:
                fw.apply(*first.split())
            result = fw.apply(*then.split(), hook=f"{number} {when}", check=False)
            alive = result.returncode == 0
            assert alive or result.returncode == -signal.SIGKILL
            fw.apply("e14", "none")
            # Killed before the kernel was given the counters of the new table, nobody knows them any more.
            exact = (lambda tables: tables) if when == "kill" else without_counters
            assert exact(fw.legacy()) == exact(clean), f"commit {number}"
            assert not fw.has_record()
    assert number > 2


@pytest.mark.parametrize("number", range(1, 5))
@pytest.mark.parametrize("plan", ["e14", "e14:bare"])
def test_an_edit_that_was_faster_is_kept(fw, number, plan):
    before = fw.legacy()
    table = "raw" if number % 2 else "nat"
    tool = "iptables-legacy" if number <= 2 else "ip6tables-legacy"
    fw.apply(plan, hook=f"{number} run {UNLOCKED} {tool} -t {table} -A OUTPUT -p tcp --dport 11 -j ACCEPT")
    state = fw.read(plan)
    assert all(value[3] for key, value in state.items() if key != "::6")
    family = "ipv4" if number <= 2 else "ipv6"
    added = [line for line in fw.legacy()[family][table] if "--dport 11 " in line]
    assert len(added) == 1
    fw.apply("e14", "none")
    after = fw.legacy()
    after[family][table] = [line for line in after[family][table] if "--dport 11 " not in line]
    # The tool that was faster set the counters of the policies to zero.
    assert without_counters(after) == without_counters(before)
    assert [line for line in after[family][table] if "-A" in line] == \
        [line for line in before[family][table] if "-A" in line]


def test_others_that_never_stop_make_it_busy_and_nothing_is_changed(fw):
    fw.apply("e14")
    before, record = fw.legacy(counters=False), fw.recorded()
    busy = fw.apply("e10", hook=f"* run {UNLOCKED} iptables-legacy -t nat -A OUTPUT -p tcp --dport 11 -j ACCEPT",
                    check=False)
    assert busy.returncode == BUSY, busy.stderr
    after = fw.legacy(counters=False)
    added = [line for line in after["ipv4"]["nat"] if "--dport 11 " in line]
    after["ipv4"]["nat"] = [line for line in after["ipv4"]["nat"] if "--dport 11 " not in line]
    assert len(added) >= 5
    assert without_counters(after) == without_counters(before)
    assert fw.recorded() == record


def test_a_lock_that_others_hold_makes_it_busy_at_once(fw):
    before = fw.legacy()
    holder = fw.hold_lock(60)
    assert fw.apply("e14", check=False).returncode == BUSY
    assert holder.poll() is None, "it waited until the lock was free"
    holder.kill()
    assert fw.legacy() == before and not fw.has_record()


def test_no_edit_of_iptables_is_lost_while_we_change_rules(fw):
    fw.apply("e01")
    adding = [fw.start(["sh", "-ec", f"for n in $(seq 200); do {tool} -w -t {table} -{how} OUTPUT -p tcp --dport $n "
                        "-j ACCEPT; done"], stderr=subprocess.PIPE, text=True)
              for tool, table, how in (("iptables-legacy", "nat", "A"), ("iptables-legacy", "raw", "I"),
                                       ("ip6tables-legacy", "nat", "I"))]
    result = fw.drive("cycle", "e01", RECORD, "200", timeout=300)
    for process in adding:
        assert process.wait(300) == 0, process.stderr.read()
    fw.apply("e01")
    tables = fw.legacy(counters=False)
    for family, table, order in (("ipv4", "nat", range(1, 201)), ("ipv4", "raw", range(200, 0, -1)),
                                 ("ipv6", "nat", range(200, 0, -1))):
        found = [int(n) for line in tables[family][table]
                 for n in re.findall(r"^-A OUTPUT -p tcp -m tcp --dport (\d+) -j ACCEPT$", line)]
        assert found == list(order), (family, table, result.stdout)
    assert all(value[3] for key, value in fw.read("e01").items() if key != "::6")


@pytest.mark.parametrize("line", ["s/^boot .*/boot 00000000-0000-0000-0000-000000000000/", "s/^netns .*/netns 1/"])
def test_a_record_of_another_place_removes_nothing(fw, line):
    fw.apply("e14")
    fw.run(["sed", "-i", line, RECORD])
    before = fw.legacy()
    fw.apply("e14", "none")
    assert fw.legacy() == before


def test_a_record_that_claims_what_is_not_ours_removes_nothing(fw):
    before = fw.legacy()
    fw.apply("e14")
    places = fw.run(["sed", "-n", "1,3p", RECORD]).stdout
    fw.apply("e14", "none")
    digest = "0" * 32
    claims = [f"{family} {table} {chain} {digest}" for family in ("ipv4", "ipv6") for table, chain in (
        ("nat", "X_KUMA_MESH"), ("nat", "DOCKER_OUTPUT"), ("nat", "OUTPUT"), ("raw", "OUTPUT"), ("mangle", "PREROUTING"))]
    text = places + "".join(f"chain {claim}\nrule {claim} append\n" for claim in claims) + "later words that mean nothing\n"
    fw.run(["tee", RECORD], input=text)
    fw.apply("e14", "none")
    assert fw.legacy() == before
    assert not fw.has_record()


@pytest.mark.parametrize("text", ["", "tproxyd-record 1\n", "tproxyd-record 2\nboot -\nnetns 1\n", "no record\n",
                                  "tproxyd-record 1\nnetns {netns}\nrule ipv4 nat OUTPUT 12\n",
                                  "tproxyd-record 1\nnetns {netns}\nrule ipv5 nat OUTPUT " + "0" * 32 + "\n",
                                  "tproxyd-record 1\nnetns {netns}\nchain ipv4 nat A"])
def test_a_damaged_record_is_an_error_and_nothing_is_changed(fw, text):
    netns = re.search(r"\d+", fw.run(["readlink", "/proc/self/ns/net"]).stdout)[0]
    fw.apply("e14")
    before = fw.legacy()
    fw.run(["tee", RECORD], input=text.replace("{netns}", netns))
    refused = fw.apply("e14", "none", check=False)
    assert refused.returncode == 1 and refused.stderr == f"{RECORD} is damaged\n"
    assert fw.legacy() == before


def test_without_the_capabilities_the_error_names_them(fw):
    before = fw.legacy()
    refused = fw.run(["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", fw.driver, "apply", "e14", "full",
                      "recorded", RECORD], check=False)
    assert refused.returncode == 1
    assert "(CAP_NET_ADMIN and CAP_NET_RAW are needed)" in refused.stderr
    assert fw.legacy() == before and not any(is_ours(line) for line in before["ipv4"]["nat"])
