# SPDX-License-Identifier: GPL-2.0-or-later
"""The unit as an operator meets it: start, stop, restart, enable, drop-ins; and what other people's rules notice of it."""

import re
import subprocess
import time

import machine as machines
import sample
import schema

STARTS = 5
FOREIGN = """\
*raw
:PREROUTING ACCEPT [11:22]
:OUTPUT ACCEPT [33:44]
:FOREIGN - [0:0]
[1:64] -A PREROUTING -p udp -m udp --dport 4789 -j NOTRACK
[2:128] -A OUTPUT -o nosuch+ -j FOREIGN
[3:192] -A FOREIGN -m comment --comment "kuma/mesh/not/ours" -j RETURN
COMMIT
*mangle
:PREROUTING ACCEPT [55:66]
:INPUT ACCEPT [0:0]
:FORWARD DROP [7:8]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
[4:256] -A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
COMMIT
*nat
:PREROUTING ACCEPT [77:88]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [99:111]
:KUBE-LIKE - [0:0]
[5:320] -A PREROUTING -i nosuch0 -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080
[6:384] -A OUTPUT -p tcp -m tcp --dport 4711 -j KUBE-LIKE
[7:448] -A POSTROUTING -o nosuch0 -j MASQUERADE
[8:512] -A KUBE-LIKE -p tcp -m tcp -j REDIRECT --to-ports 4712
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [9:10]
:OUTPUT ACCEPT [0:0]
[9:576] -A INPUT -i nosuch0 -p tcp -m tcp --dport 22 -j DROP
[10:640] -A OUTPUT -o nosuch0 -j ACCEPT
COMMIT
"""


def monotonic(entry):
    return int(entry["__MONOTONIC_TIMESTAMP"])


def test_start_returns_when_the_rules_are_in_and_stop_leaves_nothing(machine):
    sample.configure(machine)
    before = sample.prepare(machine)
    starts, stops = [], []
    for _ in range(STARTS):
        starts.append(sample.start(machine))
        assert sample.is_redirected(machine)
        assert machine.show(sample.UNIT, "StatusText").startswith("Redirecting IPv4 and IPv6; kuma-dp ")
        stops.append(sample.stop(machine))
        sample.assert_as_before(machine, before)
        assert sample.processes(machine) == {}
        assert machine.show(sample.UNIT, "Result") == "success"
    print("start ms:", [round(s * 1000) for s in starts], "idle stop ms:", [round(s * 1000) for s in stops])
    assert sorted(starts)[STARTS // 2] < 3, starts
    assert sorted(stops)[STARTS // 2] < 3, stops
    # A stop that waits for kuma-dp's own idle drain takes 30 s; one that looks every 250 ms, half a second.
    assert min(stops) < 1, stops


def test_ready_is_said_after_the_rules_are_in_and_status_tells_each_phase(machine):
    sample.configure(machine, standin={"READY_DELAY_MS": 1200})
    machine.systemctl("start", "--no-block", sample.UNIT)
    seen = []

    def active():
        text = machine.show(sample.UNIT, "StatusText")
        if not seen or seen[-1] != text:
            seen.append(text)
        state = machine.show(sample.UNIT, "ActiveState")
        assert state in ("activating", "active", "inactive")
        # The rules are looked at first: they may come in between, but never READY without them.
        if not sample.is_redirected(machine):
            assert machine.show(sample.UNIT, "ActiveState") != "active" or sample.is_redirected(machine)
        return state == "active"

    machine.wait_until(active, 20)
    assert any(re.match(r"Waiting for Envoy \(PRE_INITIALIZING\), port 15001 on IPv4, .*Envoy's DNS", text)
               for text in seen), seen
    assert re.fullmatch(r"Redirecting IPv4 and IPv6; kuma-dp \d+", machine.show(sample.UNIT, "StatusText"))
    applied = machine.journal("-u", "tproxyd", "MESSAGE_ID=d70408f3e31d4a53a3f7714ff27dcfda")
    assert len(applied) == 1
    serves = machine.journal("-u", "tproxyd", "MESSAGE_ID=24c2369909dc41968adda69266cda1e3")
    assert monotonic(serves[0]) < monotonic(applied[0])
    assert monotonic(applied[0]) < int(machine.show(sample.UNIT, "ActiveEnterTimestampMonotonic")) + 100000


def test_a_stop_waits_for_a_redirected_connection_and_says_so(machine):
    sample.configure(machine)
    machine.serve([80])
    before = sample.prepare(machine)
    sample.start(machine)
    hold = machine.start_command(["peer", "hold", machines.FAR4, "7"], user="nobody", stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True, bufsize=1)
    hold.stdin.write("one\n")
    assert hold.stdout.readline() == "one\n"
    begin = time.monotonic()
    machine.systemctl("stop", "--no-block", sample.UNIT)
    machine.wait_until(lambda: machine.show(sample.UNIT, "StatusText").startswith("Draining: "), 5)
    # New connections go direct already; the open one goes on, as long as its two ends want.
    fetch = f"import urllib.request; print(urllib.request.urlopen('http://{machines.FAR4}/', timeout=3).read().decode())"
    assert f"peer {machines.INSIDE4} " in machine.run(["/usr/bin/python3", "-c", fetch], user="nobody").stdout
    time.sleep(1)
    hold.stdin.write("two\n")
    assert hold.stdout.readline() == "two\n"
    status = schema.checked(machine.run(["tproxyd", "status", "--json"], check=False).stdout)
    assert status["phase"] == "draining" and status["rules"]["level"] == "drain"
    assert machine.show(sample.UNIT, "ActiveState") == "deactivating"
    hold.stdin.close()
    machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") == "inactive", 5)
    assert time.monotonic() - begin < 25, "it waited for the whole drain time, 30 s"
    hold.wait(5)
    sample.assert_as_before(machine, before)


def test_an_enabled_unit_is_back_after_a_reboot(machine):
    sample.configure(machine)
    machine.systemctl("enable", sample.UNIT)
    machine.reboot()
    machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") == "active", 20)
    assert sample.is_redirected(machine)
    assert sample.ask(machine, "backend.mesh") == "NOERROR 240.0.0.1"
    sample.stop(machine)
    assert not sample.is_redirected(machine)


def test_a_drop_in_changes_a_setting_or_the_configuration_file(machine):
    sample.configure(machine, {"redirect": {"inbound": {"excludePorts": [9200]}}})
    variable = "KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_EXCLUDE_PORTS"
    sample.start(machine)
    assert [rule for rule in sample.rules(machine) if "--dport 9200 -j RETURN" in rule]
    sample.drop_in(machine, "setting", f"[Service]\nEnvironment={variable}=9100\n")
    machine.systemctl("restart", sample.UNIT)
    assert [rule for rule in sample.rules(machine) if "--dport 9100 -j RETURN" in rule]
    assert [rule for rule in sample.rules(machine) if "--dport 9200 " in rule] == []
    sample.configure(machine, {"redirect": {"dns": {"enabled": False}}}, path="/etc/other.yaml")
    sample.drop_in(machine, "setting", "[Service]\nEnvironment=TPROXYD_CONFIG_FILE=/etc/other.yaml\n")
    machine.systemctl("restart", sample.UNIT)
    assert sample.is_redirected(machine)
    assert [rule for rule in sample.rules(machine) if "--dport 53" in rule or "--dport 9100 " in rule] == []
    # prepare, run and ExecStopPost read the same file: one that is not there fails all.
    sample.drop_in(machine, "setting", "[Service]\nEnvironment=TPROXYD_CONFIG_FILE=/etc/missing.yaml\n")
    machine.systemctl("stop", sample.UNIT)
    assert machine.systemctl("start", sample.UNIT, check=False).returncode != 0
    assert any("/etc/missing.yaml" in text for text in machine.messages("-u", "tproxyd"))


def is_ours(rule):
    return "KUMA_MESH" in rule or '"kuma/mesh/transparent/proxy/' in rule


def tables(text):
    """Table by table, in order: its chains (with policy and counters), and its rules (with counters)."""
    found = {}
    for line in text.splitlines():
        if line.startswith("*"):
            chains, rules = found[line[1:]] = {}, []
        elif line.startswith(":"):
            name, policy, counters = line[1:].split()
            chains[name] = f"{policy} {counters}"
        elif line.startswith("["):
            rules.append(line)
    return found


def test_foreign_rules_keep_their_place_and_their_counters(machine):
    sample.configure(machine)
    sample.prepare(machine)
    families = ("iptables-legacy", "ip6tables-legacy")
    before = {}
    for family in families:
        machine.run([f"{family}-restore", "-c"], input=FOREIGN)
        before[family] = tables(machine.run([f"{family}-save", "-c"]).stdout)
        # No packet meets these rules: what they count is what they were given.
        assert {table: rules for table, (_, rules) in before[family].items()} == \
            {table: rules for table, (_, rules) in tables(FOREIGN).items()}

    def check(redirected):
        for family in families:
            now = tables(machine.run([f"{family}-save", "-c"]).stdout)
            assert any(is_ours(rule) for rule in now["nat"][1]) == redirected, family
            for table, (chains, rules) in before[family].items():
                assert [rule for rule in now[table][1] if not is_ours(rule)] == rules, f"{family} {table}"
                found = {name: text for name, text in now[table][0].items() if "KUMA_MESH" not in name}
                policies = {name: text.split()[0] for name, text in found.items()}
                assert policies == {name: text.split()[0] for name, text in chains.items()}, f"{family} {table}"
                assert found.get("FORWARD") == chains.get("FORWARD"), f"{family} {table}"

    sample.start(machine)
    check(redirected=True)
    machine.systemctl("restart", sample.UNIT)
    check(redirected=True)
    sample.stop(machine)
    check(redirected=False)


def test_counters_of_foreign_rules_go_on_counting_while_traffic_flows(machine):
    sample.configure(machine)
    machine.serve([80])
    sample.prepare(machine)
    count = ["-m", "comment", "--comment", "count", "-p", "icmp", "--icmp-type", "13", "-j", "ACCEPT"]
    for table in ("raw", "mangle", "filter"):
        machine.run(["iptables-legacy", "-t", table, "-A", "OUTPUT", *count])
    ping = ("import socket, time, sys\ns = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)\n"
            "n = 0\nend = time.time() + float(sys.argv[1])\n"
            f"while time.time() < end:\n    s.sendto(bytes([13, 0, 255 - 13, 255, 0, 0, 0, 0]), ('{machines.OUTSIDE4}', 0))\n"
            "    n += 1\n    time.sleep(.002)\nprint(n)\n")
    pinger = machine.start_command(["/usr/bin/python3", "-c", ping, "6"], stdout=subprocess.PIPE, text=True)
    sample.start(machine)
    machine.systemctl("restart", sample.UNIT)
    sample.stop(machine)
    sent = int(pinger.communicate(timeout=20)[0])
    assert sent > 200
    lines = [line for line in machine.sh("iptables-legacy-save -c").splitlines() if "--comment count" in line]
    assert [int(line[1:].split(":")[0]) for line in lines] == [sent] * 3, lines
