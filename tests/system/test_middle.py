# SPDX-License-Identifier: GPL-2.0-or-later
"""A stop, a restart, a reload and a reboot in the middle of everything: while traffic is held or released, while kuma-dp waits
for its restart, during a reload that needs another kuma-dp, and while rules that others have changed cannot be put right."""

import json
import subprocess
import time

import pytest

import sample

OTHERS = "export XTABLES_LOCKFILE=/run/nobodys.lock; iptables-legacy -t nat -F"
SECONDS = 8  # for which the lock is taken; noticing takes up to 4 of them


def status(machine):
    return json.loads(machine.run(["tproxyd", "status", "--json"], check=False).stdout)


def phase(machine):
    return status(machine).get("phase")


def signal(machine, name, pid):
    machine.run(["kill", f"-{name}", str(pid)], check=False)


# Each returns what ends it.


def held(machine):
    pid = sample.child(machine, "envoy")
    signal(machine, "STOP", pid)
    machine.wait_until(lambda: phase(machine) == "holding", 20)
    return lambda: signal(machine, "CONT", pid)


def released(machine):
    pid = sample.child(machine, "envoy")
    signal(machine, "STOP", pid)
    machine.wait_until(lambda: phase(machine) == "released", 20)
    return lambda: signal(machine, "CONT", pid)


def restarting(machine):
    signal(machine, "KILL", sample.child(machine, "kuma-dp"))
    machine.wait_until(lambda: status(machine)["processes"]["kuma-dp"]["due-seconds"] is not None, 20)
    return lambda: None


def reloading(machine):
    machine.write("/etc/tproxyd/token", sample.token(31 * 86400 + int(time.time()) % 86400) + "\n", 0o600)
    asked = machine.start_command(["tproxyd", "reload"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") == "reloading", 20)
    return lambda: asked.wait(120)


def repairing(machine):
    other = machine.start_command(["flock", "/run/xtables.lock", "sh", "-c", f"echo locked; exec sleep {SECONDS}"],
                                  stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "locked\n"
    machine.sh(OTHERS)
    machine.wait_until(lambda: phase(machine) == "applying", 20)
    return lambda: other.wait(60)


HELD, AT_ONCE = {"failure": {"holdRules": "infinity"}}, {"failure": {"holdRules": "0s"}}
SLOW = {**HELD, "restart": {"delay": "6s", "maxDelay": "6s"}}
SITUATIONS = [(held, HELD), (released, AT_ONCE), (restarting, SLOW), (reloading, HELD), (repairing, HELD)]


def is_right(machine):
    machine.wait_until(lambda: phase(machine) == "redirecting", 60)
    assert machine.show(sample.UNIT, "ActiveState") in ("active", "reloading")
    assert sample.is_redirected(machine)
    # One of each, and nobody's orphan.
    found = sorted(sample.processes(machine).values())
    assert found == ["coredns", "envoy", "kuma-dp"], found


@pytest.mark.parametrize("middle, changes", SITUATIONS, ids=[row[0].__name__ for row in SITUATIONS])
def test_in_the_middle(machine, middle, changes):
    def configure(excluded):
        more = {**changes, "redirect": {"outbound": {"excludePorts": excluded}}}
        machine.write(sample.CONFIG, sample.settings(more, {"READY_DELAY_MS": 2000}))

    sample.configure(machine)
    configure([9001])
    before = sample.prepare(machine)
    machine.systemctl("enable", "--quiet", sample.UNIT)
    took = {}

    def timed(name, *words):
        begin = time.monotonic()
        machine.systemctl(*words, timeout=120)
        took[name] = f"{time.monotonic() - begin:.1f} s"

    sample.start(machine)
    pid, on = sample.main_pid(machine), middle(machine)
    configure([9002])
    asked = machine.start_command(["tproxyd", "reload"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(0.5)
    on()
    said = asked.communicate(timeout=120)[0]
    assert asked.returncode == 0, said
    is_right(machine)
    machine.wait_until(lambda: any("--dport 9002 " in rule for rule in sample.rules(machine)), 20)
    assert sample.main_pid(machine) == pid and not any("--dport 9001 " in rule for rule in sample.rules(machine))

    middle(machine)
    timed("restart", "restart", sample.UNIT)
    is_right(machine)
    assert sample.main_pid(machine) != pid

    middle(machine)
    timed("stop", "stop", sample.UNIT)
    assert machine.show(sample.UNIT, "Result") == "success"
    assert sample.processes(machine) == {}
    assert sample.differences({"rules": before["rules"]}, {"rules": machine.state()["rules"]}) == []

    sample.start(machine)
    middle(machine)
    begin = time.monotonic()
    machine.reboot(timeout=120)
    took["reboot"] = f"{time.monotonic() - begin:.1f} s"
    is_right(machine)
    sample.stop(machine)
    assert not sample.is_redirected(machine) and sample.processes(machine) == {}
    print(middle.__name__, took)
