# SPDX-License-Identifier: GPL-2.0-or-later
"""Others on the same host: a second instance, kumactl's redirect, the one-shot verbs, and who holds the xtables lock."""

import contextlib
import json
import os
import re
import subprocess
import time

import pytest

import machine as machines
import sample

REFERENCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "e01", "expected")
FAMILIES = ("iptables-legacy", "ip6tables-legacy")
BAD = {
    "not YAML": "kumaDP: [\n",
    "an unknown key": '{"kumaDP": {"cpAdress": "https://x:1"}}\n',
    "a value that is not allowed": '{"redirect": {"inbound": {"port": 70000}}}\n',
    "what is missing": "{}\n",
    "a value that is not there": None,
}


def apply_reference(machine):
    """What kumactl does on a host: hands its text to iptables-restore, and adds ::6 to lo."""
    with open(REFERENCE, encoding="utf-8") as file:
        text = file.read()
    for family, part in zip(FAMILIES, re.split(r"### IPv[46] ###", text)[1:]):
        machine.run([f"{family}-restore", "--noflush"], input=part.replace("* ", "*"))
    machine.run(["ip", "addr", "add", "::6/128", "dev", "lo"])


def tproxyd(machine, *words, **options):
    return machine.run(["tproxyd", *words], check=False, **options)


def test_a_second_instance_is_refused_with_the_pid_of_the_first(machine):
    sample.configure(machine)
    sample.start(machine)
    pid = sample.main_pid(machine)
    before = machine.state()
    for verb in ["run", "install", "uninstall"] * 3:
        refused = tproxyd(machine, verb)
        assert refused.returncode == 1, verb
        assert f"another tproxyd (process {pid}) works in this network namespace" in refused.stderr, verb
    sample.assert_as_before(machine, before)
    # What ExecStopPost= of another unit, or of this one, would do: a live daemon takes care of its rules itself.
    assert tproxyd(machine, "uninstall", "--recorded", "--quiet").returncode == 0
    sample.assert_as_before(machine, before)
    assert sample.main_pid(machine) == pid
    assert sample.ask(machine, "backend.mesh") == "NOERROR 240.0.0.1"


def start_with_short_stops(machine, restart="on-failure"):
    """A stop may last 3 s, far less than others hold the lock; returns what was there before the start."""
    sample.configure(machine)
    sample.drop_in(machine, "short", "[Unit]\nStartLimitIntervalSec=0\n"
                   f"[Service]\nRestart={restart}\nTimeoutStopSec=3\n")
    before = sample.prepare(machine)
    sample.start(machine)
    return before


def kill_until_failed(machine):
    machine.systemctl("kill", "--signal=KILL", "--kill-who=main", sample.UNIT)
    machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") == "failed", 30)


def test_what_a_stop_could_not_take_out_goes_as_soon_as_it_can(machine):
    """Another program holds the lock for longer than a stop may last, and the daemon was killed."""
    before = start_with_short_stops(machine, restart="no")
    with locked(machine):
        kill_until_failed(machine)
        assert sample.is_redirected(machine) and machine.exists("/run/tproxyd-state/record")
        machine.wait_until(lambda: machine.show("tproxyd-cleanup.service", "ActiveState") == "active", 30)
    machine.wait_until(lambda: not sample.is_redirected(machine), 30)
    machine.wait_until(lambda: machine.show("tproxyd-cleanup.service", "ActiveState") == "inactive", 60)
    sample.assert_as_before(machine, before)


def test_a_restart_over_a_stop_that_fails_ends_running(machine):
    """The clean-up that a failed unit starts must not cancel the start that waits."""
    before = start_with_short_stops(machine)
    with locked(machine):
        machine.systemctl("restart", "--no-block", sample.UNIT)
        machine.wait_until(lambda: machine.show("tproxyd-cleanup.service", "ActiveState") == "active"
                           or machine.show(sample.UNIT, "SubState") == "start", 60)
    machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") == "active", 60)
    sample.stop(machine)
    sample.assert_as_before(machine, before)


def test_a_start_goes_on_with_what_a_stop_could_not_take_out(machine):
    before = start_with_short_stops(machine, restart="no")
    with locked(machine):
        kill_until_failed(machine)
        machine.systemctl("start", "--no-block", sample.UNIT)
        machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") == "activating", 30)
    machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") == "active", 60)
    sample.stop(machine)
    sample.assert_as_before(machine, before)


@pytest.mark.parametrize("what", BAD)
def test_a_bad_configuration_changes_nothing_on_a_host_that_kumactl_redirects(machine, what):
    apply_reference(machine)
    sample.configure(machine, {"backend": "ebpf"})
    if BAD[what] is not None:
        machine.write(sample.CONFIG, BAD[what])
    before = machine.state()
    assert [line for line in before["rules"]["iptables-legacy-save"] if "KUMA_MESH" in line]
    assert machine.systemctl("start", sample.UNIT, check=False).returncode != 0
    assert machine.show(sample.UNIT, "ExecMainStatus") == "78"
    # A mistake does not go away by trying again. (A start that is to come would be there in RestartSec=2.)
    assert machine.show(sample.UNIT, "SubState") == "failed" and machine.show(sample.UNIT, "NRestarts") == "0"
    assert sample.differences(before, machine.state()) == []
    errors = machine.journal("-u", "tproxyd", "PRIORITY=3", "SYSLOG_IDENTIFIER=tproxyd")
    status = machine.show(sample.UNIT, "StatusText")
    assert errors[0]["MESSAGE"] in status
    # journald may look for the process's unit when it has ended: then this makes `journalctl -u` find them.
    assert {entry["OBJECT_SYSTEMD_UNIT"] for entry in errors} == {sample.UNIT}
    more = re.match(r"(\d+) mistakes, see the journal; the first is: ", status)
    assert int(more[1]) == len(errors) - 1 if more else len(errors) == 2, status
    rejected = [entry for entry in errors if entry.get("MESSAGE_ID") == "f1cf0a67be1343e2a9d3e0f39b9bfccc"]
    assert len(rejected) == 1 and rejected[0] is errors[-1]
    if what == "what is missing":
        assert {entry.get("TPROXYD_SETTING") for entry in errors[:-1]} == \
            {"kumaDP.cpAddress", "kumaDP.tokenFile", "kumaDP.dataplaneFile"}
    else:
        assert errors[0]["TPROXYD_CONFIG_FILE"] == sample.CONFIG and int(errors[0]["TPROXYD_CONFIG_LINE"]) > 0
    explained = machine.run(["journalctl", "--no-pager", "-x", "MESSAGE_ID=f1cf0a67be1343e2a9d3e0f39b9bfccc"]).stdout
    assert "Subject: The configuration was rejected" in explained


def test_kumactls_rules_stay_until_the_proxy_serves_and_are_then_taken_over(machine):
    sample.configure(machine, {"readiness": {"timeout": "1s"}}, standin={"NEVER_READY": 1})
    sample.drop_in(machine, "no-restart", "[Service]\nRestart=no\n")
    empty = sample.prepare(machine)
    apply_reference(machine)
    theirs = machine.state()
    assert machine.systemctl("start", sample.UNIT, check=False).returncode != 0
    assert sample.differences(theirs, machine.state()) == []
    sample.configure(machine)
    sample.start(machine)
    for family in FAMILIES:
        jumps = [rule for rule in sample.rules(machine, f"{family}-save") if rule.endswith("-j KUMA_MESH_OUTBOUND")]
        assert len(jumps) == 1, jumps
    sample.stop(machine)
    after = machine.state()
    assert after["rules"] == empty["rules"]
    # The address was there before: it is not ours to remove.
    assert [line for line in after["addresses"] if "::6/128" in line]


def test_install_and_uninstall_once(machine):
    sample.configure(machine)
    empty = sample.prepare(machine)
    for verb in ("install", "uninstall"):
        refused = tproxyd(machine, verb, user="nobody")
        assert refused.returncode == 77 and "needs root" in refused.stderr
    assert tproxyd(machine, "uninstall").returncode == 0
    sample.assert_as_before(machine, empty)
    done = tproxyd(machine, "install", "transparent-proxy", "--redirect-dns")
    assert done.returncode == 0, done.stderr
    assert sample.is_redirected(machine)
    assert any("KUMA_MESH_OUTBOUND" in rule for rule in sample.rules(machine, "ip6tables-legacy-save"))
    once = machine.state()
    # Again: the same rules, not the same rules twice.
    assert tproxyd(machine, "install", "--redirect-dns").returncode == 0
    assert machine.state()["rules"] == once["rules"]
    done = tproxyd(machine, "uninstall")
    assert done.returncode == 0, done.stderr
    sample.assert_as_before(machine, empty)


def test_uninstall_takes_out_what_kumactl_left(machine):
    empty = sample.prepare(machine)
    apply_reference(machine)
    assert tproxyd(machine, "uninstall").returncode == 0
    assert machine.state()["rules"] == empty["rules"]


def test_the_service_takes_over_from_install_and_stops_clean(machine):
    sample.configure(machine)
    empty = sample.prepare(machine)
    assert tproxyd(machine, "install").returncode == 0
    sample.start(machine)
    for family in FAMILIES:
        jumps = [rule for rule in sample.rules(machine, f"{family}-save") if rule.endswith("-j KUMA_MESH_OUTBOUND")]
        assert len(jumps) == 1, jumps
    sample.stop(machine)
    assert machine.state()["rules"] == empty["rules"]
    assert tproxyd(machine, "uninstall").returncode == 0
    sample.assert_as_before(machine, empty)


@contextlib.contextmanager
def locked(machine):
    """Another program holds the xtables lock."""
    holder = machine.start_command(["flock", "/run/xtables.lock", "sh", "-c", "echo held; cat"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        yield
    finally:
        holder.communicate("")


def status(machine):
    """What it answers while the lock is held; WatchdogSec tells of a loop that was blocked."""
    return json.loads(machine.run(["tproxyd", "status", "--json"], check=False).stdout)


def test_a_start_waits_for_the_lock_without_blocking(machine):
    sample.configure(machine)
    # Far less than the wait: a loop that blocks is killed.
    sample.drop_in(machine, "watchdog", "[Service]\nWatchdogSec=2\n")
    sample.prepare(machine)
    with locked(machine):
        machine.systemctl("start", "--no-block", sample.UNIT)
        machine.wait_until(lambda: machine.show(sample.UNIT, "StatusText") == "Applying the rules", 10)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            found = status(machine)
            assert found["phase"] == "applying" and found["readiness"]["missing"] == ""
            assert machine.show(sample.UNIT, "ActiveState") == "activating"
            assert not sample.is_redirected(machine)
            time.sleep(0.2)
    machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") == "active", 5)
    assert sample.is_redirected(machine)
    said = machine.journal("-u", "tproxyd", "MESSAGE_ID=912cccb816f3408083693a4b7bc78c9f")
    assert len(said) == 1
    assert machine.show(sample.UNIT, "NRestarts") == "0"


def test_a_stop_waits_for_the_lock_while_the_proxy_still_serves(machine):
    sample.configure(machine)
    machine.serve([80])
    sample.drop_in(machine, "watchdog", "[Service]\nWatchdogSec=2\n")
    before = sample.prepare(machine)
    sample.start(machine)
    fetch = f"import urllib.request; urllib.request.urlopen('http://{machines.FAR4}/', timeout=3).read()"
    with locked(machine):
        machine.systemctl("stop", "--no-block", sample.UNIT)
        end = time.monotonic() + 4
        while time.monotonic() < end:
            assert status(machine)["rules"]["level"] == "full"
            # As long as the redirect is in the kernel there is somebody to redirect to.
            machine.run(["/usr/bin/python3", "-c", fetch], user="nobody")
    machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") == "inactive", 5)
    assert machine.show(sample.UNIT, "Result") == "success"
    sample.assert_as_before(machine, before)
