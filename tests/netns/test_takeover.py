# SPDX-License-Identifier: GPL-2.0-or-later
"""What kumactl has left, in the legacy tables and in nf_tables: taken over by `install`, taken out by `uninstall`.

kumactl's rules come from the plans of the driver (the texts of tests/golden); with KUMACTL, a path, from the real one
too. Foreign rules, chains, policies and counters are compared byte for byte.
"""

import os
import re

import pytest

import netfilter
from conftest import why_not
from netfilter import Firewall, foreign, plans, without_counters

NFT_SAVE = {"ipv4": "iptables-nft-save", "ipv6": "ip6tables-nft-save"}
NFT_RESTORE = {"ipv4": "iptables-nft-restore", "ipv6": "ip6tables-nft-restore"}
NFT_COMMAND = {"ipv4": "iptables-nft", "ipv6": "ip6tables-nft"}
GOLDEN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden")
DROP_INVALID = "-A PREROUTING -m conntrack --ctstate INVALID -j DROP"
# Without comments nothing proves whose they are: they stay, and uninstall says so.
DOUBTFUL = {
    "e06:bare": {"ipv4": ["-A OUTPUT -d 10.0.0.1/32 -j RETURN", "-A OUTPUT -d 192.168.0.0/24 -j RETURN"],
                 "ipv6": ["-A OUTPUT -d fe80::1/128 -j RETURN", "-A OUTPUT -d fd00::/8 -j RETURN"]},
    "e10:bare": {"ipv4": [DROP_INVALID], "ipv6": [DROP_INVALID]},
}


class Host(Firewall):
    def __init__(self, program):
        super().__init__()
        self.program = program
        self.run(["sh", "-ec", """
            sed -i /^kuma-dp:/d /etc/passwd /etc/group
            echo kuma-dp:x:5678:5678::/nonexistent:/usr/sbin/nologin >>/etc/passwd
            echo kuma-dp:x:5678: >>/etc/group
            ip link add eth0 type veth peer name eth1
            ip addr add 10.77.0.2/24 dev eth0
            ip addr add fd77::2/64 dev eth0 nodad"""])

    def tproxyd(self, *words, **options):
        return self.run([self.program, *words], **options)

    def without_nft_save(self, *words):
        """As tproxyd(), where the tools of iptables-nft are not all there; whatever comes of it."""
        script = 'mount --bind /dev/null "$(realpath /usr/sbin/iptables-nft-save)"; exec "$@"'
        return self.run(["unshare", "-m", "sh", "-ec", script, "sh", self.program, *words], check=False)

    def nft_tables(self):
        found = {}
        for family, tool in NFT_SAVE.items():
            found[family] = {}
            for line in self.run([tool, "-c"]).stdout.splitlines():
                if line.startswith("*"):
                    table = found[family].setdefault(line[1:], [])
                elif line[0] not in "#C":
                    table.append(line)
        return found

    def state(self):
        return {"legacy": self.legacy(), "nft": self.nft_tables()}

    def restore_nft(self, family, text, *options):
        self.run([NFT_RESTORE[family], *options], input=text)

    def restore_foreign_everywhere(self):
        self.restore_foreign()
        for family in NFT_RESTORE:
            self.restore_nft(family, netfilter.FOREIGN, "-c")

    def leave(self, plan, legacy=True, nft=True):
        """What kumactl leaves with that plan. (iptables sets the counters of the policies to zero.)"""
        for family in netfilter.RESTORE:
            text = self.drive("text", plan, family).stdout
            if text.strip() and legacy:
                self.restore(family, text, "--noflush")
            if text.strip() and nft:
                self.restore_nft(family, text, "--noflush")


@pytest.fixture
def host(tproxyd):
    if why_not():
        pytest.skip(why_not())
    if not os.access(netfilter.find_driver(), os.X_OK):
        pytest.skip(f"{netfilter.find_driver()} is not built; see tests/run")
    with Host(tproxyd) as made:
        yield made


def lines_of(found):
    return [line for tables in found.values() for lines in tables.values() for line in lines]


def no_policy_counters(state):
    return {backend: {family: {table: [re.sub(r"^(:.*) \[\d+:\d+\]$", r"\1", line) for line in lines]
                               for table, lines in tables.items()} for family, tables in found.items()}
            for backend, found in state.items()}


def take_away(state, doubtful):
    """The state without one of each of these rules, of which there must be one."""
    for found in state.values():
        for family, rules in doubtful.items():
            for rule in rules:
                places = [(lines, n) for lines in found[family].values() for n, line in enumerate(lines)
                          if re.sub(r"^\[\d+:\d+\] ", "", line) == rule]
                assert places, rule
                lines, n = places[-1]
                del lines[n]
    return state


@pytest.mark.parametrize("plan", [plan for plan in plans("", ":bare") if re.match("e[0-9]", plan)])
def test_uninstall_leaves_what_was_before_kumactl(host, plan):
    host.restore_foreign_everywhere()
    before = no_policy_counters(host.state())
    host.leave(plan)
    installed = host.state()
    assert no_policy_counters(installed) != before
    would = host.tproxyd("uninstall", "--dry-run")
    assert host.state() == installed
    done = host.tproxyd("uninstall")
    assert done.stdout == would.stdout
    assert "IPv4 nat: chain KUMA_MESH_INBOUND (" in done.stdout
    assert "nf_tables IPv4 nat: chain KUMA_MESH_INBOUND (" in done.stdout
    doubts = [line for line in done.stderr.splitlines() if "may be kumactl's" in line]
    assert bool(doubts) == (plan.endswith(":bare") or plan in ("e11", "e13"))
    # One rule of others looks alike.
    assert (any("mangle: rule 1 of" not in line for line in doubts)) == (plan in DOUBTFUL)
    assert take_away(no_policy_counters(host.state()), DOUBTFUL.get(plan, {})) == before
    again = host.tproxyd("uninstall")
    assert again.stdout == "" and host.state()["nft"] == host.nft_tables()


@pytest.mark.parametrize("plan", ["e14", "e01:bare", "e10", "e08:bare", "e03:bare"])
def test_install_takes_over_and_nothing_else_changes(host, plan):
    host.restore_foreign_everywhere()
    before = host.state()
    host.leave(plan)
    policies = host.legacy()  # iptables has just set the counters of the policies to zero
    # In nf_tables are nat rules of others too.
    done = host.tproxyd("install", "--backend", "iptables", "--redirect-dns", "--kuma-dp-user", "5678")
    assert "Took over what kumactl had put into nf_tables" in done.stderr
    assert host.nft_tables() == before["nft"]
    if ":" not in plan:
        assert foreign(host.legacy()) == foreign(policies)
    with Host(host.program) as other:
        other.restore_foreign()
        again = other.tproxyd("install", "--redirect-dns", "--kuma-dp-user", "5678")
        assert "nf_tables" not in again.stderr
        assert without_counters(host.legacy()) == without_counters(other.legacy())
    host.tproxyd("uninstall")
    assert no_policy_counters(host.state()) == no_policy_counters(before)


LOOKALIKES = """*raw
-A PREROUTING -s 9.9.9.9/32 -p udp -m udp --sport 53 -j CT --zone 1
-A OUTPUT -p udp -m udp --dport 53 -m owner --uid-owner 999 -j CT --zone 1
-A OUTPUT -p udp -m udp --sport 15053 -m owner --uid-owner 5678 -j CT --zone 3
COMMIT
*nat
-I PREROUTING 1 -i docker0 -p udp -m udp --dport 53 -j REDIRECT --to-ports 15053
-I PREROUTING 2 ! -d 172.17.0.0/16 -i docker0 -p tcp -j REDIRECT --to-ports 25001
-I OUTPUT 1 -d 9.9.9.9/32 -j RETURN
-I OUTPUT 2 -p tcp -m multiport --dports 22 -m owner --uid-owner 106-108 -j RETURN
-I OUTPUT 3 -p tcp -j ACCEPT
-A OUTPUT -j LOG --log-prefix "OUTPUT:" --log-level 7
-A OUTPUT -p udp -m udp --dport 53 -m owner --uid-owner 999 -j RETURN
-A OUTPUT -p udp -m udp --dport 53 -j REDIRECT --to-ports 15053
-A OUTPUT -p tcp -m tcp --dport 53 -m owner ! --uid-owner 999 -j RETURN
-A OUTPUT -d 9.9.9.8/32 -j RETURN
COMMIT
*mangle
-A PREROUTING -m conntrack --ctstate INVALID -j DROP
COMMIT
"""


@pytest.mark.parametrize("plan", ["e02:bare", "e03:bare", "e04:bare", "e05:bare", "e08:bare", "e14"])
def test_rules_of_others_that_look_alike_stay(host, plan):
    host.leave(plan)
    for restore in (host.restore, host.restore_nft):
        restore("ipv4", LOOKALIKES, "--noflush")
    host.tproxyd("uninstall")
    with Host(host.program) as other:
        for restore in (other.restore, other.restore_nft):
            restore("ipv4", LOOKALIKES, "--noflush")
        for found, expected in ((host.legacy(), other.legacy()), (host.nft_tables(), other.nft_tables())):
            found, expected = without_counters(found)["ipv4"], without_counters(expected)["ipv4"]
            assert {table: found[table] for table in ("raw", "nat", "mangle")} == expected


def test_without_anything_of_kumactls_nothing_is_guessed(host):
    for restore in (host.restore, host.restore_nft):
        restore("ipv4", LOOKALIKES, "--noflush")
    before = host.state()
    done = host.tproxyd("uninstall")
    assert done.stdout == "" and "kumactl" not in done.stderr
    assert host.state() == before


def test_zones_alone_are_recognised_when_the_chains_are_gone(host):
    host.leave("e02:bare", nft=False)
    for command in netfilter.COMMAND.values():
        for words in (["-D", "PREROUTING", "-p", "tcp", "-j", "KUMA_MESH_INBOUND"],
                      ["-D", "OUTPUT", "-p", "tcp", "-j", "KUMA_MESH_OUTBOUND"]):
            host.run([command, "-t", "nat", *words])
        for chain in ("INBOUND", "OUTBOUND", "INBOUND_REDIRECT", "OUTBOUND_REDIRECT"):
            host.run([command, "-t", "nat", "-F", f"KUMA_MESH_{chain}"])
        for chain in ("INBOUND", "OUTBOUND", "INBOUND_REDIRECT", "OUTBOUND_REDIRECT"):
            host.run([command, "-t", "nat", "-X", f"KUMA_MESH_{chain}"])
    assert any("zone" in line for line in host.legacy()["ipv4"]["raw"])
    host.tproxyd("uninstall")
    assert not [line for line in lines_of(host.legacy()) if "-A" in line]


# As Istio makes them: the user's zones look like kumactl's, but those of a group follow.
ISTIO = """*raw
-A OUTPUT -p udp -m udp --dport 53 -m owner --uid-owner 1337 -j CT --zone 1
-A OUTPUT -p udp -m udp --sport 15053 -m owner --uid-owner 1337 -j CT --zone 2
-A OUTPUT -p udp -m udp --dport 53 -m owner --gid-owner 1337 -j CT --zone 1
-A OUTPUT -p udp -m udp --sport 15053 -m owner --gid-owner 1337 -j CT --zone 2
-A OUTPUT -p udp -m udp --dport 53 -j CT --zone 2
-A PREROUTING -p udp -m udp --sport 53 -j CT --zone 1
COMMIT
*nat
-A OUTPUT -p udp -m udp --dport 53 -m owner --uid-owner 1337 -j RETURN
-A OUTPUT -p udp -m udp --dport 53 -m owner --gid-owner 1337 -j RETURN
-A OUTPUT -p udp -m udp --dport 53 -j REDIRECT --to-ports 15053
COMMIT
"""


@pytest.mark.parametrize("plan", ["e14", "e01:bare"])
def test_install_takes_over_into_a_table_of_its_own_beside_nat_rules_of_others(host, plan):
    host.restore_foreign_everywhere()
    before = host.state()
    host.leave(plan)
    done = host.tproxyd("install", "--redirect-dns", "--kuma-dp-user", "5678")
    assert "nftables is used: nat rules of others are in nf_tables" in done.stderr
    assert "Took over what kumactl had put into nf_tables" in done.stderr
    assert host.nft_tables() == before["nft"] and "KUMA_MESH_" not in str(host.legacy())
    assert host.run(["nft", "list", "tables"]).stdout.count(" tproxyd\n") == 2
    host.tproxyd("uninstall")
    assert host.nft_tables() == before["nft"] and "tproxyd" not in host.run(["nft", "list", "tables"]).stdout


@pytest.mark.parametrize("install", [None, [], ["--disable-comments", "--redirect-all-dns-traffic"]])
def test_the_rules_of_another_mesh_stay(host, install):
    for family in netfilter.RESTORE:
        host.restore(family, ISTIO)
        host.restore_nft(family, ISTIO)
    before = without_counters(host.legacy()), host.nft_tables()
    if install is not None:
        host.tproxyd("install", *install)
    host.tproxyd("uninstall")
    assert (without_counters(host.legacy()), host.nft_tables()) == before


@pytest.mark.parametrize("how", ["-A", "-I"])
def test_without_comments_the_record_alone_tells_what_is_ours(host, how):
    rules = [["nat", "OUTPUT", "-d", "10.5.0.0/16", "-j", "RETURN"],
             ["nat", "OUTPUT", "-p", "tcp", "-m", "multiport", "--dports", "443", "-m", "owner", "--uid-owner", "8", "-j",
              "RETURN"],
             ["nat", "OUTPUT", "-p", "tcp", "--dport", "53", "-m", "owner", "!", "--uid-owner", "5678", "-j", "RETURN"],
             ["raw", "PREROUTING", "-p", "udp", "--sport", "53", "-j", "CT", "--zone", "1"],
             ["raw", "OUTPUT", "-p", "udp", "--dport", "53", "-j", "CT", "--zone", "2"]]

    def put():
        for table, *rule in rules:
            host.run(["iptables-legacy", "-t", table, how, *rule])

    put()
    once = without_counters(host.legacy())
    words = ["install", "--disable-comments", "--redirect-all-dns-traffic"]
    host.tproxyd(*words)
    host.tproxyd(*words, "--redirect-inbound-port", "25006")
    put()
    host.tproxyd(*words)
    host.tproxyd("uninstall")
    after = without_counters(host.legacy())
    for family, tables in after.items():
        for table, lines in tables.items():
            wanted = once[family].get(table, [line for line in lines if line.startswith(":")])
            assert sorted(line for line in lines if "-A" in line) == \
                sorted(2 * [line for line in wanted if "-A" in line])


def test_an_address_that_somebody_took_away_is_put_back(host):
    host.tproxyd("install")
    address = next(line for line in host.addresses() if " ::6/128" in f" {line}")
    host.run(["ip", "addr", "del", "::6/128", "dev", "lo"])
    assert address not in host.addresses()
    host.tproxyd("install")
    assert address in host.addresses()
    host.tproxyd("uninstall")
    assert address not in host.addresses()


def test_a_jump_of_others_into_a_chain_in_nf_tables_keeps_it_empty(host):
    host.leave("e01", legacy=False)
    for command in NFT_COMMAND.values():
        host.run([command, "-t", "nat", "-N", "SIDE"])
        host.run([command, "-t", "nat", "-A", "SIDE", "-p", "udp", "-j", "KUMA_MESH_INBOUND_REDIRECT"])
    done = host.tproxyd("uninstall")
    assert "nf_tables IPv6 nat: rule 1 of SIDE jumps to KUMA_MESH_INBOUND_REDIRECT, which stays, empty" in done.stderr
    for tables in host.nft_tables().values():
        assert [line for line in tables["nat"] if "KUMA" in line] == [
            ":KUMA_MESH_INBOUND_REDIRECT - [0:0]", "[0:0] -A SIDE -p udp -j KUMA_MESH_INBOUND_REDIRECT"]
    again = host.tproxyd("uninstall")
    assert again.stdout == "" and again.returncode == 0


def test_both_records_are_worked_from(host):
    """As after a kill: rules without comments of which nothing but the records tells."""
    host.restore_foreign()
    before = host.legacy()
    for record, plan, rules in (("/run/tproxyd-state/record", "e06:bare", "IPv4 nat: rules 1, 2, 5 of OUTPUT"),
                                ("/run/tproxyd-install/record", "e10:bare", "IPv6 mangle: rule 2 of PREROUTING")):
        host.drive("apply", plan, "full", "recorded", record)
        would = host.tproxyd("uninstall", "--dry-run").stdout
        done = host.tproxyd("uninstall")
        assert rules in would.splitlines()
        assert done.stdout == would
        assert host.legacy() == before
        assert host.run(["test", "-e", record], check=False).returncode == 1


def test_a_damaged_record_is_no_obstacle(host):
    host.leave("e01", nft=False)
    host.run(["sh", "-c", "mkdir -p /run/tproxyd-install; echo nonsense >/run/tproxyd-install/record"])
    done = host.tproxyd("uninstall")
    assert "/run/tproxyd-install/record is damaged" in done.stderr
    assert not [line for line in host.legacy()["ipv4"]["nat"] if "KUMA" in line]
    assert host.run(["test", "-e", "/run/tproxyd-install/record"], check=False).returncode == 1


def test_quiet_prints_nothing_and_looking_creates_no_table(host):
    for words in (["uninstall", "--dry-run"], ["uninstall"], ["uninstall", "--quiet"]):
        done = host.tproxyd(*words)
        assert done.stdout == ""
    assert host.nft() == ""
    assert host.run(["cat", "/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"]).stdout == ""
    host.leave("e01")
    done = host.tproxyd("uninstall", "--quiet")
    assert done.stdout + done.stderr == ""
    assert "KUMA" not in host.nft()


def test_uninstall_is_refused_while_a_daemon_runs(host):
    host.leave("e01")
    lock = ("import fcntl, os, sys\nos.makedirs('/run/tproxyd-state', 0o700, exist_ok=True)\n"
            "f = open('/run/tproxyd-state/lock', 'w')\n"
            "fcntl.lockf(f, fcntl.LOCK_EX, 1, os.stat('/proc/self/ns/net').st_ino)\n"
            "print(flush=True)\nsys.stdin.read()")
    ready = host.start(["/usr/bin/python3", "-c", lock], stdin=-1, stdout=-1)
    ready.stdout.readline()
    before = host.state()
    refused = host.tproxyd("uninstall", check=False)
    assert refused.returncode == 1 and f"process {ready.pid}" in refused.stderr
    ready.communicate(timeout=10)
    assert host.state() == before


def test_uninstall_needs_root_and_says_so(host):
    host.run(["mkdir", "/run/program"])
    host.run(["cp", host.program, "/run/program/tproxyd"])
    for words in (["uninstall"], ["uninstall", "--dry-run"]):
        refused = host.run(["/run/program/tproxyd", *words], user=12345, check=False)
        assert refused.returncode == 77 and "needs root" in refused.stderr


def test_a_missing_tool_is_told_and_nothing_is_half_done(host):
    host.leave("e01")
    before = host.nft_tables()
    missing = host.without_nft_save("uninstall")
    assert missing.returncode == 1
    assert ("remove what kumactl left in nf_tables: iptables-nft-save, which could remove it, is not on this host"
            in missing.stderr)
    assert not [line for line in host.legacy()["ipv4"]["nat"] if "KUMA" in line]
    assert host.nft_tables() == before
    installed = host.without_nft_save("install")
    assert installed.returncode == 0 and "is not on this host" in installed.stderr


def test_one_step_of_uninstall_that_fails_does_not_keep_the_others_from_being_done(host):
    host.run(["mkdir", "-p", "/etc/firewalld"])
    host.tproxyd("install", "--store-firewalld")
    host.leave("e01", legacy=False)
    assert "KUMA_MESH" in host.run(["cat", "/etc/firewalld/direct.xml"]).stdout
    failed = host.without_nft_save("uninstall")
    assert failed.returncode == 1 and "iptables-nft-save" in failed.stderr
    assert not [line for line in host.legacy()["ipv4"]["nat"] if "KUMA" in line]
    assert host.run(["test", "-e", "/etc/firewalld/direct.xml"], check=False).returncode == 1


@pytest.mark.parametrize("patience", [["--wait", "1", "--max-retries", "30", "--sleep-between-retries", "100ms"],
                                      ["--wait", "0", "--max-retries", "0"],
                                      ["--wait", "60", "--wait-interval", "500000"]])
def test_install_waits_for_the_lock_as_it_is_told(host, patience):
    holder = host.hold_lock(3)
    done = host.tproxyd("install", *patience)
    assert holder.wait(30) == 0
    assert ("trying again (1 of 30)" in done.stderr) == ("30" in patience)
    assert [line for line in host.legacy()["ipv4"]["nat"] if "KUMA" in line]


def test_install_gives_up_when_it_is_told_so(host):
    holder = host.hold_lock(600)
    failed = host.tproxyd("install", "--wait", "1", "--max-retries", "2", "--sleep-between-retries", "10ms", check=False)
    assert failed.returncode == 1
    assert "trying again (2 of 2)" in failed.stderr and "(3 of" not in failed.stderr
    holder.kill()
    holder.wait()


def test_the_rights_of_the_unit_are_enough(host):
    host.leave("e14")
    host.run(["setpriv", "--bounding-set=-all,+net_admin,+net_raw", "--no-new-privs", host.program, "install"])
    assert not [line for line in lines_of(host.nft_tables()) if "KUMA" in line]


def golden_flags(name):
    """The flags and files of tests/golden/NAME/case.yaml, as words."""
    with open(os.path.join(GOLDEN, name, "case.yaml"), encoding="utf-8") as file:
        return re.findall(r'^- "(--.*)"$', file.read(), re.MULTILINE)


@pytest.mark.skipif(not os.environ.get("KUMACTL"), reason="KUMACTL, the path of a real kumactl, is not set")
@pytest.mark.parametrize("comments", ["", "--disable-comments"])
@pytest.mark.parametrize("backend", ["legacy", "nft"])
@pytest.mark.parametrize("name", ["default", "e14", "e15", "e01", "e03", "e05", "e08"])
def test_uninstall_and_install_after_the_real_kumactl(host, name, backend, comments):
    # kumactl takes the backend that has rules. (What only looks like its own it would delete, with all counters.)
    others = "".join(line for line in netfilter.FOREIGN.splitlines(True) if "kuma" not in line.lower())
    for family in netfilter.RESTORE:
        (host.restore if backend == "legacy" else host.restore_nft)(family, others, "-c")
    before = no_policy_counters(host.state())
    flags = golden_flags(name) + ([comments] if comments else [])

    def kumactl():
        host.run(["unshare", "-m", "sh", "-ec", 'mount -t tmpfs tmpfs /tmp; exec "$@"', "sh", os.environ["KUMACTL"],
                  "install", "transparent-proxy", "--kuma-dp-user", "5678", *flags])
        assert any("KUMA_MESH_INBOUND" in line for line in host.state()[backend]["ipv6"]["nat"])

    kumactl()
    host.tproxyd("uninstall")
    after = no_policy_counters(host.state())
    # It makes empty tables where it looks.
    for family, tables in after["legacy"].items():
        for table in set(tables) - set(before["legacy"][family]):
            assert not [line for line in tables.pop(table) if "-A" in line]
    assert after == before
    kumactl()
    host.tproxyd("install", "--kuma-dp-user", "5678", *flags)
    assert no_policy_counters({"nft": host.nft_tables()})["nft"] == before["nft"]
    host.tproxyd("uninstall")
    after = no_policy_counters(host.state())
    assert after["nft"] == before["nft"]
    for family, tables in before["legacy"].items():
        assert {table: after["legacy"][family][table] for table in tables} == tables
