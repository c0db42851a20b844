# SPDX-License-Identifier: GPL-2.0-or-later
"""The nftables backend in the kernel: all of a level or nothing of it, for both families; what it says of what is there."""

import re
import subprocess

import pytest

from netfilter import BUSY, RECORD, Firewall, plans

MESSAGES = 200  # more than any batch here has


@pytest.fixture(name="fw")
def fixture_fw():
    host = Firewall("nftables")
    yield host
    host.close()


def listed(fw):
    return re.sub(r"counter packets \d+ bytes \d+", "counter", fw.run(["nft", "list", "ruleset"]).stdout)


def differing(fw, plan, level):
    return {key: value for key, value in fw.read(plan, level).items() if key != "::6" and not value[3]}


@pytest.mark.parametrize("plan", plans())
def test_every_level_is_what_was_wanted(fw, plan):
    for level in ("full", "no-dns", "drain", "full", "none"):
        fw.apply(plan, level)
        assert differing(fw, plan, level) == {}
        # What is so is left: nothing is sent.
        assert fw.apply(plan, level).stdout == "0\n"
    assert listed(fw) == ""
    assert not fw.has_record()


def test_the_record_lists_the_tables(fw):
    fw.apply("default")
    assert [line for line in fw.recorded().splitlines() if line.startswith("table")] == [
        "table ipv4 tproxyd", "table ipv6 tproxyd"]
    fw.apply("default:v4")
    assert [line for line in fw.recorded().splitlines() if line.startswith("table")] == ["table ipv4 tproxyd"]
    assert "table ip6" not in listed(fw)


def test_a_table_that_no_record_lists_goes_only_where_all_is_recognised(fw):
    fw.apply("default")
    fw.run(["rm", RECORD])
    before = listed(fw)
    fw.apply("default", "none")
    assert listed(fw) == before
    fw.apply("default", "none", scope="recognised")
    assert listed(fw) == ""


def test_tables_of_others_stay(fw):
    fw.run(["nft", "-f", "-"], input="add table ip nat\nadd chain ip nat X\nadd rule ip nat X tcp dport 1 return\nadd table inet tproxyd\n")
    before = listed(fw)
    fw.apply("default")
    fw.apply("default", "none", scope="recognised")
    assert listed(fw) == before


@pytest.mark.parametrize("change", [
    "flush chain ip tproxyd KUMA_MESH_OUTBOUND", "delete table ip6 tproxyd", "add chain ip tproxyd other",
    "insert rule ip tproxyd KUMA_MESH_OUTBOUND return", "add rule ip6 tproxyd KUMA_MESH_OUTBOUND counter",
    "add set ip tproxyd more { type inet_service; }",
])
def test_a_change_by_others_is_seen_and_put_right(fw, change):
    fw.apply("default")
    before = listed(fw)
    fw.run(["nft", change])
    assert differing(fw, "default", "full") != {}
    assert fw.apply("default").stdout == "1\n"
    assert listed(fw) == before
    assert differing(fw, "default", "full") == {}


def test_a_rule_that_others_replaced_is_seen(fw):
    fw.apply("default")
    text = fw.run(["nft", "-a", "list", "table", "ip", "tproxyd"]).stdout
    handle = re.search(r"redirect to :15001.* # handle (\d+)", text)[1]
    fw.run(["nft", "replace", "rule", "ip", "tproxyd", "KUMA_MESH_OUTBOUND_REDIRECT", "handle", handle,
            "meta", "l4proto", "tcp", "counter", "redirect", "to", ":15002"])
    assert [key for key in differing(fw, "default", "full")] == [("ipv4", "nat")]


# Which of the messages; how many there are at least.
@pytest.mark.parametrize("first, then, step, least", [
    ("default drain", "default full", 1, 40), (None, "default full", 5, 8), ("default full", "default:v4 full", 5, 4),
    ("default full", "default none", 1, 4)])
def test_each_message_that_is_refused_leaves_what_was_there(fw, first, then, step, least):
    if first:
        fw.apply(*first.split())
    before, record = listed(fw), fw.recorded()
    refused = 0
    for n in range(0, MESSAGES, step):
        # The last but one commits.
        result = fw.apply(*then.split(), hook=f"{n} refuse", check=False)
        if result.returncode == 0:
            break
        refused += 1
        assert result.stderr.strip(), n
        assert listed(fw) == before, n
        assert fw.recorded().split() == record.split(), n
    assert least <= refused < MESSAGES
    assert differing(fw, *then.split()) == {}


def test_without_a_record_no_rule_and_what_was_recorded_needs_no_space(fw):
    fw.run(["sh", "-ec", "mkdir /run/small; mount -nt tmpfs -o size=64k tmpfs /run/small"])

    def apply(level, check=True):
        return fw.drive("apply", "default", level, "recorded", "/run/small/record", check=check)

    fw.run(["sh", "-c", "cat /dev/zero >/run/small/zeros"], check=False)
    refused = apply("full", check=False)
    assert refused.returncode == 1 and "No space left on device" in refused.stderr
    assert listed(fw) == "" and fw.run(["test", "-e", "/run/small/record"], check=False).returncode == 1
    fw.run(["rm", "/run/small/zeros"])
    apply("full")
    fw.run(["sh", "-c", "cat /dev/zero >/run/small/zeros"], check=False)
    for level in ("drain", "full", "none"):
        apply(level)
        assert differing(fw, "default", level) == {}
    assert fw.run(["ls", "/run/small"]).stdout == "zeros\n"


def test_a_record_that_cannot_be_written_after_the_change_lists_what_was_and_what_is(fw):
    fw.apply("default")
    if fw.run(["sh", "-c", "command -v strace"], check=False).returncode:
        pytest.skip("strace is not installed")
    fw.run(["strace", "-qq", "-o", "/run/trace", "-e", "trace=write", "-e", "inject=write:error=ENOSPC:when=2", fw.driver, "apply",
            "default:v4", "full", "recorded", RECORD],
           env={"BACKEND": "nftables", "ASAN_OPTIONS": "detect_leaks=0"})
    assert "INJECTED" in fw.run(["cat", "/run/trace"]).stdout
    assert differing(fw, "default:v4", "full") == {}
    assert [line for line in fw.recorded().splitlines() if line.startswith("table")] == [
        "table ipv4 tproxyd", "table ipv6 tproxyd"]
    fw.apply("default", "none")
    assert listed(fw) == "" and not fw.has_record()


def test_an_error_names_the_rule(fw):
    said = fw.apply("default", hook="12 refuse", check=False).stderr
    assert re.search(r"rule \d+ of chain \S+ \(IPv[46]\): ", said), said


def test_sending_that_fails_changes_nothing(fw):
    said = fw.apply("default", hook="12 fail", check=False)
    assert said.returncode == 1 and "Cannot allocate memory" in said.stderr
    assert listed(fw) == "" and not fw.has_record()


def test_an_answer_that_is_lost_is_looked_up(fw):
    assert fw.apply("default", hook="0 lost").returncode == 0
    assert differing(fw, "default", "full") == {}


@pytest.mark.parametrize("when, level", [("kill", "none"), ("killafter", "full")])
def test_whoever_dies_leaves_the_old_state_or_the_new_one_and_a_record(fw, when, level):
    assert fw.apply("default", hook=f"0 {when}", check=False).returncode != 0
    assert differing(fw, "default", level) == {}
    assert "table ipv4 tproxyd" in fw.recorded()
    fw.apply("default", "none")
    assert listed(fw) == "" and not fw.has_record()


def test_what_others_change_between_two_changes_is_known(fw):
    """The tables are not read again while nothing has changed: they are where something has."""
    changing = fw.start([fw.driver, "cycle", "default", RECORD, "200"], env={"BACKEND": "nftables"})
    while changing.poll() is None:
        fw.run(["nft", "delete table ip tproxyd; add table ip other"], check=False)
        fw.run(["nft", "delete table ip other; add table ip6 tproxyd; add chain ip6 tproxyd other"], check=False)
    assert changing.returncode == 0
    fw.apply("default")
    assert differing(fw, "default", "full") == {}
    fw.apply("default", "none")
    assert "tproxyd" not in listed(fw)


def test_an_owned_table_is_nobody_elses_and_goes_with_its_owner(fw):
    holder = fw.start(["sh", "-c", "nft -i"], stdin=subprocess.PIPE, text=True)
    holder.stdin.write("add table ip tproxyd { flags owner; }\n")
    holder.stdin.flush()
    while "tproxyd" not in listed(fw):
        assert holder.poll() is None
    said = fw.apply("default", check=False)
    assert said.returncode == BUSY
    assert "tproxyd" in listed(fw) and "ip6" not in listed(fw)
    holder.stdin.close()
    holder.wait()
    while "tproxyd" in listed(fw):
        pass
    fw.apply("default")
    assert differing(fw, "default", "full") == {}


def test_an_owned_table_is_gone_when_its_owner_is(fw):
    assert fw.run([fw.driver, "apply", "default", "full", "recorded", RECORD],
                  env={"BACKEND": "nftables", "OWNED": "1"}).stdout == "1\n"
    while "tproxyd" in listed(fw):
        pass
    assert "table ipv4 tproxyd" in fw.recorded()
    fw.apply("default", "none")
    assert not fw.has_record()


def test_a_table_that_is_called_stored_stays_while_somebody_owns_it(fw):
    fw.run([fw.driver, "apply", "default", "full", "recorded", RECORD], env={"BACKEND": "nftables", "OWNED": "1"})
    fw.run(["sh", "-ec", f"echo stored full >>{RECORD}"])
    while "tproxyd" in listed(fw):
        pass
    holder = fw.start(["sh", "-c", "nft -i"], stdin=subprocess.PIPE, text=True)
    holder.stdin.write("add table ip tproxyd { flags owner; }\n")
    holder.stdin.flush()
    while "tproxyd" not in listed(fw):
        assert holder.poll() is None
    assert fw.apply("default", "none").stdout == "0\n"
    assert "tproxyd" in listed(fw)
    assert [line for line in fw.recorded().splitlines() if line.startswith(("table", "stored"))] == [
        "table ipv4 tproxyd", "stored full"]
    # Nobody gets in between.
    assert fw.apply("default", check=False).returncode == BUSY
    holder.stdin.close()
    holder.wait()
    while "tproxyd" in listed(fw):
        pass
    fw.run(["nft", "add", "table", "ip", "tproxyd"])
    fw.apply("default", "none")
    assert listed(fw) == "" and not fw.has_record()


def test_each_backend_keeps_what_the_record_says_of_the_other(fw):
    fw.apply("default")
    tables = [line for line in fw.recorded().splitlines() if line.startswith("table")]
    fw.backend = "iptables"
    fw.apply("default")
    assert [line for line in fw.recorded().splitlines() if line.startswith("table")] == tables
    fw.backend = "nftables"
    fw.apply("default", "none")
    assert "chain ipv4 nat" in fw.recorded() and "table" not in fw.recorded()
    fw.backend = "iptables"
    fw.apply("default", "none")
    assert not fw.has_record()


def test_the_probe_leaves_nothing_and_tells_nobody(fw):
    fw.apply("default")
    monitor = fw.start(["sh", "-c", "exec nft monitor"], stdout=subprocess.PIPE, text=True)
    before = listed(fw)
    generation = fw.run(["nft", "-a", "list", "ruleset"]).stdout
    assert fw.drive("probe").stdout == "".join(
        f"{family}: redirects; owner; zones; states\n" for family in ("IPv4", "IPv6"))
    assert listed(fw) == before
    assert fw.run(["nft", "-a", "list", "ruleset"]).stdout == generation
    fw.run(["nft", "add", "table", "ip", "other"])
    assert monitor.stdout.readline() == "add table ip other\n"
    monitor.kill()
    monitor.wait()


def test_without_rights_the_probe_finds_nothing_wrong(fw):
    said = fw.run(["setpriv", "--bounding-set=-net_admin", "--reuid=1", "--clear-groups", fw.driver, "probe"], check=False)
    assert said.stdout.startswith("IPv4: redirects; "), said.stderr
