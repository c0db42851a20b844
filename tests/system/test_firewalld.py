# SPDX-License-Identifier: GPL-2.0-or-later
"""install --store-firewalld, with the real firewalld: what it makes of what we have stored, over a reboot, and after uninstall."""

import base64
import glob
import json
import os
import re
import shutil
import subprocess
import time

import pytest

import sample
from test_reload import Load

DIRECT = "/etc/firewalld/direct.xml"
SAVE = {"ipv4": "iptables", "ipv6": "ip6tables"}
FOREIGN = """\
<?xml version="1.0" encoding="utf-8"?>
<!-- kept by hand -->
<direct>
  <chain ipv="ipv4" table="nat" chain="FOREIGN"/>
  <rule ipv="ipv4" table="nat" chain="FOREIGN" priority="0">-p tcp --dport 9 -j RETURN</rule>
  <rule ipv="ipv4" table="nat" chain="OUTPUT" priority="0">-p tcp --dport 11 -j FOREIGN</rule>
  <rule ipv='ipv4' table='filter' chain='INPUT' priority='1'>-p tcp --dport 10 -m comment --comment 'a &amp; b' -j DROP</rule>
  <passthrough ipv="ipv6">-t mangle -A OUTPUT -p tcp --dport 12 -j RETURN</passthrough>
</direct>
"""
INSTALL = ["tproxyd", "install", "--store-firewalld", "--redirect-dns", "--exclude-inbound-ports", "22,80",
           "--exclude-outbound-ips", "192.0.2.0/24,2001:db8:1::/48", "--exclude-outbound-ports-for-uids", "tcp:25,100-200:33"]


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """A directory with firewalld's packages and what they need beyond the host's; None: it is installed here."""
    if shutil.which("firewalld", path="/usr/sbin:/usr/bin"):
        return None
    where = tmp_path_factory.mktemp("packages")
    (where / "partial").mkdir()
    fetch = ["apt-get", "install", "-q", "-y", "--download-only", "--no-install-recommends",
             "-o", f"Dir::Cache::archives={where}", "firewalld"]
    said = ""
    for command in (fetch, ["apt-get", "update", "-q"], fetch):
        done = subprocess.run(command, text=True, capture_output=True, timeout=300,
                              env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
        said = done.stderr.strip().splitlines()[-1:] or [str(done.returncode)]
        if glob.glob(f"{where}/firewalld_*.deb") and done.returncode == 0:
            return str(where)
    why = f"the packages of firewalld are out of reach: {said[0]}"
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture
def machine(request, boot, build, packages):
    """A machine with tproxyd, and firewalld with that backend (nftables)."""
    booted = boot(build=build)
    if packages:
        packed = subprocess.run(["tar", "-cC", packages, "--exclude=partial", "--exclude=lock", "."], capture_output=True,
                                check=True).stdout
        booted.sh("mkdir /srv/packages; base64 -d | tar -xC /srv/packages; rm -f /usr/sbin/policy-rc.d;"
                  "DEBIAN_FRONTEND=noninteractive dpkg -i /srv/packages/*.deb",
                  input=base64.b64encode(packed).decode(), timeout=180)
    booted.systemctl("unmask", "firewalld")
    booted.sh("update-alternatives --set iptables /usr/sbin/iptables-nft;"
              "update-alternatives --set ip6tables /usr/sbin/ip6tables-nft;"
              "grep -q ^kuma-dp: /etc/passwd || useradd --system --no-create-home --uid 5678 kuma-dp")
    booted.write("/etc/firewalld/firewalld.conf", f"DefaultZone=public\nFirewallBackend={getattr(request, 'param', 'nftables')}\n")
    # A test takes one of its rules out; from 2.1 on firewalld owns its table, and nobody else could.
    booted.sh("! grep -rqs NftablesTableOwner /usr/lib/python3/dist-packages/firewall ||"
              "echo NftablesTableOwner=no >>/etc/firewalld/firewalld.conf")
    booted.write(DIRECT, FOREIGN, 0o640)
    booted.systemctl("enable", "firewalld")
    booted.systemctl("restart", "firewalld")
    wait_for_firewalld(booted)
    return booted


def wait_for_firewalld(machine):
    machine.wait_until(lambda: machine.run(["firewall-cmd", "--state"], check=False).returncode == 0)


def give_tools(machine, kind):
    """Has firewalld use those iptables."""
    machine.sh(f"systemctl stop firewalld; update-alternatives --set iptables /usr/sbin/iptables-{kind};"
               f"update-alternatives --set ip6tables /usr/sbin/ip6tables-{kind}; systemctl start firewalld")
    wait_for_firewalld(machine)


def direct_rules(machine):
    return machine.run(["firewall-cmd", "--direct", "--get-all-rules"]).stdout.splitlines()


def of_others(machine, tables=("raw", "nat", "mangle")):
    return [line for line in direct_rules(machine) if " KUMA_MESH_" not in line and "kuma/mesh" not in line]


def chains(machine, kind, ipv):
    """Every rule of the tables that we write to, by table and chain: those of legacy tables, or of nf_tables."""
    found = {}
    for table in ("raw", "nat", "mangle"):
        saved = machine.run([f"{SAVE[ipv]}-{kind}-save", "-t", table], check=False).stdout
        for line in saved.splitlines():
            match = re.match(r"-A (\S+) (.*)", line)
            if match:
                # With its own iptables backend firewalld has a chain behind the built-in one.
                chain = re.sub(r"^(PREROUTING|OUTPUT)_direct$", r"\1", match[1])
                found.setdefault((table, chain), []).append(match[2])
    return found


def ours(found):
    mine = {}
    for place, rules in found.items():
        kept = [rule for rule in rules if "kuma/mesh/transparent/proxy/" in rule]
        if kept:
            mine[place] = kept
    return mine


def assert_as_installed(machine, installed):
    for ipv in SAVE:
        assert ours(chains(machine, "nft", ipv)) == installed[ipv], ipv


def assert_around_others(machine):
    """Inserts before the direct rules of others, appends behind them."""
    rules = chains(machine, "nft", "ipv4")["nat", "OUTPUT"]
    foreign = [n for n, rule in enumerate(rules) if rule.endswith("-j FOREIGN")]
    jump = [n for n, rule in enumerate(rules) if rule.endswith("-j KUMA_MESH_OUTBOUND")]
    exclusions = [n for n, rule in enumerate(rules) if "192.0.2.0/24" in rule or "--uid-owner 33" in rule]
    assert len(foreign) == 1 and len(jump) == 1 and len(exclusions) == 2
    assert max(exclusions) < foreign[0] < jump[0]


def forget_rules(machine):
    """What a reboot does to a host; a machine keeps its network, and the rules with it."""
    machine.systemctl("stop", "firewalld")
    machine.sh("nft flush ruleset; for t in raw nat mangle filter; do for i in iptables-legacy ip6tables-legacy; do"
               " $i -t $t -F; $i -t $t -X; done; done")


@pytest.mark.parametrize("machine", ["nftables", "iptables"], indirect=True)
def test_firewalld_keeps_what_is_stored_until_it_is_taken_out(machine):
    others = of_others(machine)
    assert len(others) == 3
    machine.run(INSTALL)
    installed = {ipv: ours(chains(machine, "legacy", ipv)) for ipv in SAVE}
    assert len(installed["ipv4"]) == len(installed["ipv6"]) and ("raw", "OUTPUT") in installed["ipv4"]
    assert machine.sh(f"stat -c '%a %U' {DIRECT}") == "640 root\n"
    total = sum(len(rules) for families in installed.values() for rules in families.values())

    machine.run(["firewall-cmd", "--reload"])
    assert len(direct_rules(machine)) == total + 3
    assert of_others(machine) == others
    assert_as_installed(machine, installed)
    assert_around_others(machine)

    forget_rules(machine)
    machine.reboot()
    wait_for_firewalld(machine)
    assert not ours(chains(machine, "legacy", "ipv4"))
    assert len(direct_rules(machine)) == total + 3
    assert_as_installed(machine, installed)
    assert_around_others(machine)

    said = machine.run(["tproxyd", "uninstall"]).stderr
    assert f"entries are gone from {DIRECT}" in said
    assert machine.read(DIRECT) == FOREIGN
    assert machine.sh(f"stat -c '%a %U' {DIRECT}") == "640 root\n"
    machine.run(["firewall-cmd", "--reload"])
    assert direct_rules(machine) == others
    for ipv in SAVE:
        assert not ours(chains(machine, "nft", ipv))
    machine.systemctl("restart", "firewalld")
    wait_for_firewalld(machine)
    assert direct_rules(machine) == others


def test_what_firewalld_has_written_anew_is_found_again(machine):
    others = of_others(machine)
    machine.run([*INSTALL, "--disable-comments"])
    stored = machine.read(DIRECT)
    for how in ("--add-rule", "--remove-rule"):
        machine.run(["firewall-cmd", "--permanent", "--direct", how, "ipv4", "nat", "OUTPUT", "5", "-p", "tcp", "--dport", "13",
                     "-j", "RETURN"])
    assert machine.read(DIRECT) != stored
    machine.run(["tproxyd", "uninstall"])
    left = machine.read(DIRECT)
    assert left.count("<rule ") == 3 and left.count("<chain ") == 1 and left.count("<passthrough ") == 1
    machine.run(["firewall-cmd", "--reload"])
    assert direct_rules(machine) == others


def test_a_file_of_our_own_goes_with_our_rules(machine):
    machine.run(["rm", DIRECT])
    machine.run(INSTALL)
    machine.run(["firewall-cmd", "--check-config"])
    machine.run(["firewall-cmd", "--reload"])
    assert len(direct_rules(machine)) > 40
    machine.run(["tproxyd", "uninstall"])
    assert not machine.exists(DIRECT)
    machine.run(["firewall-cmd", "--reload"])
    assert direct_rules(machine) == []


def test_a_broken_file_is_refused_before_a_rule_is_touched(machine):
    machine.write(DIRECT, "<direct>\n  <rule>\n</direct>\n")
    refused = machine.run(INSTALL, check=False)
    assert refused.returncode == 1
    assert f"{DIRECT}: line 3: mismatched tag" in refused.stderr
    assert machine.sh("ls -A /etc/firewalld | grep direct") == "direct.xml\n"
    assert not ours(chains(machine, "legacy", "ipv4")) and not machine.exists("/run/tproxyd-install")
    machine.run(["rm", "-r", "/etc/firewalld"])
    refused = machine.run(INSTALL, check=False)
    assert refused.returncode == 1 and "/etc/firewalld: No such file or directory" in refused.stderr
    assert not ours(chains(machine, "legacy", "ipv4"))


def test_check_knows_what_firewalld_lets_in(machine):
    sample.configure(machine)
    said = machine.run(["tproxyd", "check"], check=False).stderr
    # As it comes, firewalld lets in whatever was redirected: "ct status dnat accept".
    assert re.search(r"warning: chain filter_INPUT of nftables' table inet firewalld keeps out ports that it does not name, but "
                     r"lets in what is redirected \(rule \d+ \(handle\) of chain filter_INPUT of", said), said
    assert "drops inbound mesh traffic" not in said
    rules = machine.run(["nft", "-a", "list", "chain", "inet", "firewalld", "filter_INPUT"]).stdout
    handle = re.search(r"ct status dnat accept # handle (\d+)", rules)[1]
    assert f"rule {handle} (handle) of chain filter_INPUT" in said
    machine.run(["nft", "delete", "rule", "inet", "firewalld", "filter_INPUT", "handle", handle])
    said = machine.run(["tproxyd", "check"], check=False).stderr
    assert "chain filter_INPUT of nftables' table inet firewalld drops inbound mesh traffic" in said


@pytest.mark.parametrize("machine", ["nftables", "iptables"], indirect=True)
def test_a_daemons_rules_outlast_what_firewalld_does(machine):
    """Its direct rules, and with its iptables backend all others, are in the tables that ours are in: it flushes them all."""
    give_tools(machine, "legacy")

    def foreign():
        return sorted(rule for rules in chains(machine, "legacy", "ipv4").values() for rule in rules
                      if rule.endswith("-j FOREIGN") or "--dport 9 " in rule)

    before = foreign()
    assert len(before) == 2
    sample.configure(machine, {"backend": "iptables"})
    sample.start(machine)

    def redirected():
        return {ipv: ours(chains(machine, "legacy", ipv)) for ipv in SAVE}

    def repairs():
        return len(re.findall("Put the rules right, which", machine.journal_text("-u", sample.UNIT)))

    expected = redirected()
    assert expected["ipv4"] and expected["ipv6"]
    for n, what in enumerate((["firewall-cmd", "--reload"], ["systemctl", "restart", "firewalld"],
                              ["firewall-cmd", "--complete-reload"], ["iptables-legacy", "-w", "-t", "nat", "-F"])):
        machine.run(what)
        begin = time.monotonic()
        machine.wait_until(lambda: redirected() == expected, timeout=5, what=f"the redirect after {what}")
        print(f"{' '.join(what)}: {time.monotonic() - begin:.2f} s")
        machine.wait_until(lambda: repairs() > n, timeout=5, what=f"a word about {what}")
        if what[0] != "iptables-legacy":
            wait_for_firewalld(machine)
            assert foreign() == before, what
    assert len(of_others(machine)) == 3
    said = machine.journal_text("-u", sample.UNIT)
    assert "firewalld has reloaded" in said
    # All that tells of changes can be had in the unit's sandbox.
    assert "may be noticed seconds later" not in said and "Cannot tell whether" not in said
    machine.systemctl("stop", "tproxyd")
    assert redirected() == {"ipv4": {}, "ipv6": {}}
    assert len(of_others(machine)) == 3


@pytest.mark.parametrize("tools", ["nft", "legacy"])
@pytest.mark.parametrize("machine", ["nftables", "iptables"], indirect=True)
def test_a_daemons_own_tables_are_left_alone_by_firewalld(machine, tools):
    """Where its tools are iptables-nft its nat rules are in nf_tables with either backend, so that nftables is chosen."""
    give_tools(machine, tools)
    machine.serve()
    sample.configure(machine, {} if tools == "nft" else {"backend": "nftables"})
    sample.start(machine)
    rules = json.loads(machine.run(["tproxyd", "status", "--json"]).stdout)["rules"]
    assert rules["backend"] == "nftables" and (rules["backend-reason"] or tools == "legacy"), rules

    def tables():
        return [re.sub(r"packets \d+ bytes \d+", "", machine.run(["nft", "list", "table", family, "tproxyd"]).stdout)
                for family in ("ip", "ip6")]

    expected = tables()
    load = Load(machine, 1)
    for what in (["firewall-cmd", "--reload"], ["systemctl", "restart", "firewalld"], ["firewall-cmd", "--complete-reload"],
                 ["nft", "flush", "ruleset"]):
        machine.run(what)
        # While firewalld drops everything, DNS of the mesh may not answer and be left out for a moment.
        machine.wait_until(lambda: tables() == expected, 5, f"the redirect after {what}")
        if what[0] != "nft":
            wait_for_firewalld(machine)
    found = load.end()
    print(found)
    assert "direct" not in found and found["redirected"] > 0, found
    assert "Put the rules right" not in machine.journal_text("-u", sample.UNIT)
    machine.systemctl("stop", "tproxyd")
    assert "tproxyd" not in machine.run(["nft", "list", "tables"]).stdout
