# SPDX-License-Identifier: GPL-2.0-or-later
"""A proxy that never serves, or serves no more: the host is left, or given back, as it was."""

import contextlib
import subprocess
import time

import pytest

import machine as machines
import sample

NO_RESTART = "[Service]\nRestart=no\n"
# Looks at the tables until its input ends, or until it sees a rule of the mesh, which it prints.
WATCH = """\
import select, subprocess, sys
while not select.select([sys.stdin], [], [], 0.005)[0]:
    for tool in ("iptables-legacy-save", "ip6tables-legacy-save"):
        for line in subprocess.run([tool], capture_output=True, text=True, check=True).stdout.splitlines():
            if "KUMA_MESH" in line:
                print(line)
                sys.exit()
print("nothing")
"""
START_TIMED_OUT = "dd50d375fb7d4487a3d11164c717e351"
BOTH_PORTS = "port 15001 on IPv4, port 15001 on IPv6, port 15006 on IPv4, port 15006 on IPv6"

NEVER = [
    ("NEVER_READY", f"Envoy (PRE_INITIALIZING), {BOTH_PORTS}", "could not parse token"),
    ("CP_UNREACHABLE", "Envoy, ", "could not fetch bootstrap configuration"),
    ("NO_DNS", "DNS on IPv4, DNS on IPv6, Envoy's DNS", "starting workers"),
    ("NO_INBOUND", "port 15006 on IPv4, port 15006 on IPv6", "starting workers"),
    ("NO_OUTBOUND", "port 15001 on IPv4, port 15001 on IPv6", "starting workers"),
    ("IPV4_ONLY", "port 15001 on IPv6, port 15006 on IPv6", "starting workers"),
]


@contextlib.contextmanager
def watch_for_rules(machine):
    """Looks at the kernel's tables all the while; the list then has what was seen: a rule, or "nothing"."""
    seen = []
    watcher = machine.start_command(["/usr/bin/python3", "-c", WATCH], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    text=True)
    try:
        yield seen
    finally:
        seen.append(watcher.communicate(timeout=20)[0].strip())


def texts(machine, since):
    return machine.messages("-u", "tproxyd", f"--since=@{since:.6f}")


def test_the_watcher_sees_rules_that_are_there_for_a_moment(machine):
    sample.configure(machine)
    with watch_for_rules(machine) as seen:
        sample.start(machine)
        sample.stop(machine)
    assert "KUMA_MESH" in seen[0]


@pytest.fixture(scope="module")
def one(build):
    """A machine for the tests below, which leave nothing in it."""
    reason = machines.unavailable()
    if reason:
        pytest.skip(reason)
    with machines.Machine(build=build) as machine:
        sample.drop_in(machine, "no-restart", NO_RESTART)
        yield machine


@pytest.mark.parametrize("switch, missing, said", NEVER, ids=[case[0] for case in NEVER])
def test_a_proxy_that_never_serves_fails_the_start_with_the_reason(one, switch, missing, said):
    sample.configure(one, {"readiness": {"timeout": "3s"}}, standin={switch: 1})
    before = sample.prepare(one)
    begin = time.time()
    with watch_for_rules(one) as seen:
        started = one.systemctl("start", sample.UNIT, check=False, timeout=30)
        took = time.time() - begin
    assert seen == ["nothing"]
    assert started.returncode != 0 and 3 <= took < 10, took
    assert one.show(sample.UNIT, "ActiveState") == "failed"
    assert one.show(sample.UNIT, "ExecMainStatus") == "1"
    entries = one.journal("-u", "tproxyd", f"MESSAGE_ID={START_TIMED_OUT}", f"--since=@{begin:.6f}")
    assert len(entries) == 1 and entries[0]["PRIORITY"] == "3"
    message = entries[0]["MESSAGE"]
    assert message.startswith(f"The proxy did not serve within 3 s; missing: {missing}"), message
    assert said in message, message
    assert missing.split(",")[0] in one.show(sample.UNIT, "StatusText")
    sample.assert_as_before(one, before)
    assert sample.processes(one) == {}
    one.systemctl("reset-failed", sample.UNIT)


def test_a_proxy_that_exits_at_once_fails_the_start_with_its_own_words(one):
    sample.configure(one, standin={"EXIT_AT_ONCE": "mesh nowhere does not exist"})
    before = sample.prepare(one)
    begin = time.time()
    with watch_for_rules(one) as seen:
        assert one.systemctl("start", sample.UNIT, check=False).returncode != 0
        assert time.time() - begin < 20, "nothing is to be waited for"
    assert seen == ["nothing"]
    assert any("exited with status 1" in text and "mesh nowhere does not exist" in text for text in texts(one, begin))
    sample.assert_as_before(one, before)
    one.systemctl("reset-failed", sample.UNIT)


@pytest.mark.parametrize("victim", ["kuma-dp", "envoy"])
def test_without_a_hold_the_rules_go_with_the_proxy_and_come_back_with_it(one, victim):
    sample.configure(one, {"failure": {"holdRules": "0s"}})
    before = sample.prepare(one)
    sample.start(one)
    pid, begin = sample.main_pid(one), time.time()
    # In the machine: how long after the kill does a connection go direct again?
    gap = one.run(["/usr/bin/python3", "-c", GAP, str(sample.child(one, victim))]).stdout
    print(f"{victim} killed: redirected for another {gap.strip()} ms")
    assert float(gap) < 500
    one.wait_until(lambda: one.show(sample.UNIT, "StatusText").startswith("Redirecting "), 20)
    assert sample.main_pid(one) == pid and one.show(sample.UNIT, "NRestarts") == "0"
    assert sample.is_redirected(one)
    assert [text for text in texts(one, begin) if text.startswith("kuma-dp is started again in 0.")], texts(one, begin)
    sample.stop(one)
    sample.assert_as_before(one, before)
    assert sample.processes(one) == {}


# Kills a process and polls the kernel until OUTPUT has no jump into the mesh any more; prints the milliseconds.
GAP = """\
import os, signal, subprocess, sys, time
def redirected():
    shown = subprocess.run(["iptables-legacy", "-w", "-t", "nat", "-S", "OUTPUT"], capture_output=True, text=True, check=True)
    return "-j KUMA_MESH_OUTBOUND" in shown.stdout
assert redirected()
os.kill(int(sys.argv[1]), signal.SIGKILL)
begin = time.monotonic()
while redirected():
    if time.monotonic() > begin + 10:
        sys.exit("still redirected")
print(round((time.monotonic() - begin) * 1000))
"""


# Whoever may speak to the journal can fill its queue while it does not listen.
FILL = """\
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setblocking(False)
try:
    while True:
        s.sendto(b"MESSAGE=x\\n", "/run/systemd/journal/socket")
except BlockingIOError:
    print("full")
"""


def test_a_journal_that_hangs_holds_up_neither_the_rules_nor_the_end(one):
    # The rules are out for long enough to be seen so on a machine that is busy.
    sample.configure(one, {"failure": {"holdRules": "0s"}, "restart": {"delay": "2s"}})
    before = sample.prepare(one)
    sample.start(one)
    begin = time.time()
    one.systemctl("kill", "--kill-whom=main", "--signal=STOP", "systemd-journald")
    try:
        assert one.run(["/usr/bin/python3", "-c", FILL], user="nobody").stdout == "full\n"
        gap = one.run(["/usr/bin/python3", "-c", GAP, str(sample.child(one, "envoy"))]).stdout
        print(f"envoy killed while the journal hangs: redirected for another {gap.strip()} ms")
        assert float(gap) < 500
        one.wait_until(lambda: one.show(sample.UNIT, "StatusText").startswith("Redirecting "), 20)
    finally:
        one.systemctl("kill", "--kill-whom=main", "--signal=CONT", "systemd-journald")
    sample.stop(one)
    sample.assert_as_before(one, before)
    assert sample.processes(one) == {}
    # While it hangs a start and a stop get through as well; what was said then is told afterwards.
    one.systemctl("kill", "--kill-whom=main", "--signal=STOP", "systemd-journald")
    try:
        one.run(["/usr/bin/python3", "-c", FILL], user="nobody")
        took = sample.start(one), sample.stop(one)
        print(f"started in {took[0]:.1f} s, stopped in {took[1]:.1f} s while the journal hangs")
        assert max(took) < 5
        sample.start(one)
    finally:
        one.systemctl("kill", "--kill-whom=main", "--signal=CONT", "systemd-journald")
    one.wait_until(lambda: any("Started in " in text for text in texts(one, begin)), 10)
    sample.stop(one)
    sample.assert_as_before(one, before)


def test_a_proxy_that_dies_again_and_again_is_started_again_by_the_same_daemon(machine):
    sample.configure(machine, standin={"EXIT_AFTER_MS": 2500, "EXIT_STATUS": 3})
    before = sample.prepare(machine)
    sample.start(machine)
    first = sample.main_pid(machine)
    machine.wait_until(lambda: any("(start 3): it exited with status 3" in text
                                   for text in machine.messages("-u", "tproxyd")), 30)
    assert machine.show(sample.UNIT, "NRestarts") == "0" and sample.main_pid(machine) == first
    # It is held meanwhile, and never goes direct.
    assert sample.is_redirected(machine)
    sample.stop(machine)
    sample.assert_as_before(machine, before)


def test_a_proxy_that_will_not_go_is_ended(machine):
    sample.configure(machine, {"kumaDP": {"drainTime": "1s"}}, standin={"IGNORE_TERM": 1})
    before = sample.prepare(machine)
    sample.start(machine)
    took = sample.stop(machine)
    print(f"stopped after {took:.1f} s")
    assert took < 30
    sample.assert_as_before(machine, before)
    assert sample.processes(machine) == {}


def test_a_child_that_stops_answering_dns_degrades_and_comes_back(machine):
    sample.configure(machine)
    sample.start(machine)
    assert [rule for rule in sample.rules(machine) if "--dport 53" in rule and "-j REDIRECT" in rule]
    pid = sample.child(machine, "coredns")
    machine.run(["kill", "-STOP", str(pid)])
    machine.wait_until(lambda: machine.show(sample.UNIT, "StatusText").startswith("Degraded: DNS goes direct"), 15)
    assert [rule for rule in sample.rules(machine) if "--dport 53" in rule and "-j REDIRECT" in rule] == []
    assert sample.is_redirected(machine) and machine.show(sample.UNIT, "ActiveState") == "active"
    machine.run(["kill", "-CONT", str(pid)])
    machine.wait_until(lambda: machine.show(sample.UNIT, "StatusText").startswith("Redirecting "), 15)
    assert [rule for rule in sample.rules(machine) if "--dport 53" in rule and "-j REDIRECT" in rule]
    sample.stop(machine)
