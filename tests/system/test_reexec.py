# SPDX-License-Identifier: GPL-2.0-or-later
"""An upgrade under a real systemd: `tproxyd reexec`, in the sandbox of the unit, under load.

Environment: TPROXYD_TEST_REEXECS, how often in a row (default 10)."""

import os
import time

import pytest

import broken
import sample
from test_reload import PORT, excluded, reload, status
from witnesses import Witnesses

REEXECS = int(os.environ.get("TPROXYD_TEST_REEXECS", "10"))
PROGRAM = "/usr/sbin/tproxyd"


def install(machine):
    """The same program as another file, as a package manager puts it there."""
    machine.sh(f"cp {PROGRAM} {PROGRAM}.new; mv {PROGRAM}.new {PROGRAM}")


def break_(machine, script):
    machine.sh(f"cp {PROGRAM} /root/tproxyd")
    machine.write(f"{PROGRAM}.new", script, 0o755)
    machine.sh(f"mv {PROGRAM}.new {PROGRAM}")


def descriptors(machine, pid):
    return int(machine.sh(f"ls /proc/{pid}/fd | wc -l"))


def memory(machine, pid):
    """KiB of the daemon's own."""
    return int(machine.sh(f"grep ^Private_Dirty: /proc/{pid}/smaps_rollup | tr -dc 0-9"))


# As the user of kuma-dp, into its standard output: lines, faster than anybody reads them.
FLOOD = """
import ctypes, os, sys
PIDFD_GETFD = 438
fd = ctypes.CDLL(None).syscall(PIDFD_GETFD, os.pidfd_open(int(sys.argv[1])), 1, 0)
os.setuid(5678)
for _ in range(15):
    if os.fork() == 0:
        break
while True:
    os.write(fd, b"\\n" * 4096)
"""


def test_a_proxy_that_writes_without_end_does_not_hold_it_up(machine):
    sample.configure(machine)
    sample.prepare(machine)
    sample.start(machine)
    before = sample.processes(machine)
    machine.write("/root/flood.py", FLOOD)
    flood = machine.start_command(["setsid", "python3", "/root/flood.py", str(sample.child(machine, "kuma-dp"))])
    time.sleep(2)
    began = time.monotonic()
    machine.run(["tproxyd", "reexec"], timeout=100)
    took = time.monotonic() - began
    machine.run(["pkill", "-f", "flood.py"])
    flood.wait(timeout=30)
    assert took < 5, took
    assert sample.processes(machine) == before and sample.is_redirected(machine)


@pytest.mark.parametrize("engine", ["builtin", "envoy"])
def test_upgrades_under_load_are_noticed_by_nobody(machine, engine):
    if engine == "envoy" and not os.environ.get("TPROXYD_TEST_PROXIES"):
        pytest.skip("no real proxies: TPROXYD_TEST_PROXIES is not set")
    sample.configure(machine, standin={"ENGINE": engine})
    machine.serve([PORT])
    before = sample.prepare(machine)
    sample.start(machine)
    machine.run(["tproxyd", "reexec"])
    pid, children, rules = sample.main_pid(machine), sample.processes(machine), sample.rules(machine)
    fds = descriptors(machine, pid)
    witnesses, took = Witnesses(machine), []
    for _ in range(REEXECS):
        install(machine)
        begin = time.monotonic()
        said = machine.run(["tproxyd", "reexec"])
        took.append(time.monotonic() - begin)
        assert "has taken the place of" in said.stdout
        if len(took) == 1:  # what a program needs under load it has had once
            private = memory(machine, pid)
    found, names = witnesses.end()
    took.sort()
    print(f"{REEXECS} times: median {took[len(took) // 2] * 1000:.0f} ms, worst {took[-1] * 1000:.0f} ms; {found} {names}")
    assert found["redirected"] > REEXECS, found
    assert sample.main_pid(machine) == pid and sample.processes(machine) == children
    assert sample.rules(machine) == rules
    assert machine.show(sample.UNIT, "ActiveState") == "active" and machine.show(sample.UNIT, "SubState") == "running"
    assert machine.show(sample.UNIT, "NRestarts") == "0"
    print(f"descriptors {fds} -> {descriptors(machine, pid)}, KiB {private} -> {memory(machine, pid)}")
    assert descriptors(machine, pid) == fds
    assert memory(machine, pid) < private + 512
    # What it took over it still rules: a reload, kuma-dp's end, a stop.
    machine.write(sample.CONFIG, sample.settings({"redirect": {"outbound": {"excludePorts": [9007]}}},
                                                 {"ENGINE": engine}))
    reload(machine)
    assert excluded(machine) == ["9007"] and sample.processes(machine) == children
    sample.stop(machine)
    assert sample.differences({"rules": before["rules"]}, {"rules": machine.state()["rules"]}) == []
    assert sample.processes(machine) == {}


def test_children_of_the_former_one_are_supervised(machine):
    sample.configure(machine, {"failure": {"holdRules": "30s"}})
    sample.start(machine)
    machine.run(["tproxyd", "reexec"])
    kuma_dp = status(machine)["processes"]["kuma-dp"]["pid"]
    machine.run(["kill", "-KILL", str(kuma_dp)])
    end = time.monotonic() + 60
    while (found := status(machine))["phase"] != "redirecting" or found["processes"]["kuma-dp"]["pid"] in (0, kuma_dp):
        assert time.monotonic() < end, found
        time.sleep(0.1)
    assert found["processes"]["kuma-dp"]["restarts"] == 1
    machine.run(["tproxyd", "reexec"])
    assert status(machine)["processes"]["kuma-dp"]["restarts"] == 1
    # What they say still gets into the journal, under their own names.
    machine.sh(f"journalctl --sync; journalctl -q -u {sample.UNIT} -t kuma-dp --since -5s | grep -q .")
    sample.stop(machine)


def test_a_binary_that_is_no_good_leaves_the_former_one(machine):
    sample.configure(machine)
    sample.start(machine)
    pid, children = sample.main_pid(machine), sample.processes(machine)
    break_(machine, "#!/bin/sh\nexit 3\n")
    said = machine.run(["/root/tproxyd", "reexec"], check=False)
    assert said.returncode == 1 and "exited with status 3 when it was tried" in said.stderr, said.stderr
    assert sample.main_pid(machine) == pid and sample.processes(machine) == children
    assert machine.show(sample.UNIT, "ActiveState") == "active"
    machine.sh(f"mv /root/tproxyd {PROGRAM}")
    machine.run(["tproxyd", "reexec"])
    assert sample.main_pid(machine) == pid and sample.processes(machine) == children
    sample.stop(machine)


def test_one_that_fails_while_it_takes_over_gives_the_place_back(machine, build, tmp_path):
    """In the sandbox too: under load nobody notices, and the next one that is good is taken."""
    sample.configure(machine)
    machine.serve([PORT])
    sample.start(machine)
    pid, children, rules = sample.main_pid(machine), sample.processes(machine), sample.rules(machine)
    machine.sh(f"cp {PROGRAM} /root/tproxyd")
    witnesses = Witnesses(machine)
    for function, kind, why in (("proc_resume", "crashes", "was ended by SIGSEGV while it took over"),
                                ("daemon_resume", "hangs", "was not ready within 5 s"),
                                ("notify_ready", "aborts", "was ended by SIGABRT while it took over")):
        machine.copy(broken.make(f"{build}/tproxyd", function, kind, tmp_path / "broken"), f"{PROGRAM}.new")
        machine.sh(f"chmod 755 {PROGRAM}.new; mv {PROGRAM}.new {PROGRAM}")
        said = machine.run(["/root/tproxyd", "reexec"], check=False)
        assert said.returncode == 1 and why in said.stderr and "goes on" in said.stderr, said.stderr
        machine.wait_until(lambda: any("Not replaced" in text and why in text for text in machine.messages("-u", sample.UNIT)))
        assert sample.main_pid(machine) == pid and sample.processes(machine) == children and sample.rules(machine) == rules
        assert machine.show(sample.UNIT, "ActiveState") == "active" and machine.show(sample.UNIT, "SubState") == "running"
        assert machine.read(f"/proc/{pid}/comm") == "tproxyd\n"
    found, names = witnesses.end()
    print(f"{found} {names}")
    machine.sh(f"cp /root/tproxyd {PROGRAM}.new; mv {PROGRAM}.new {PROGRAM}")
    assert "has taken the place of" in machine.run(["tproxyd", "reexec"]).stdout
    assert sample.main_pid(machine) == pid and sample.processes(machine) == children and sample.rules(machine) == rules
    assert machine.show(sample.UNIT, "NRestarts") == "0"
    sample.stop(machine)


@pytest.mark.parametrize("end", ["exit 1", "exec sleep 1000"], ids=["ends", "hangs"])
def test_one_that_fails_when_it_matters_leaves_nothing(machine, end):
    """When it is tried it says yes, and then it does not even begin to take over: everything is out, in a while."""
    sample.configure(machine)
    before = sample.prepare(machine)
    sample.start(machine)
    children = sample.processes(machine)
    break_(machine, f'#!/bin/sh\n[ "$*" != run ] || {end}\n[ "$*" != "run --check-state" ] || exec echo tproxyd-ready 9\n'
                    'exec /root/tproxyd "$@"\n')
    said = machine.run(["/root/tproxyd", "reexec"], check=False, timeout=60)
    assert said.returncode == 1
    limit = time.monotonic() + 60
    while sample.differences({"rules": before["rules"]}, {"rules": machine.state()["rules"]}) or any(
            pid in children for pid in sample.processes(machine)):
        assert time.monotonic() < limit
        time.sleep(0.2)
    machine.systemctl("stop", sample.UNIT)
    assert sample.processes(machine) == {}


def test_a_program_that_was_replaced_is_said_and_taken_by_a_reload(machine, proxies):
    """In the unit's sandbox too, where root may not ask what a process of another user executes."""
    path = "/usr/local/lib/own/envoy"
    machine.sh(f"mkdir -m 755 /usr/local/lib/own; cp /opt/proxies/envoy {path}")
    sample.configure(machine, {"kumaDP": {"envoyPath": path}}, {"ENGINE": "envoy"})
    sample.start(machine)
    found = status(machine)["processes"]
    assert {name: process["program-replaced"] for name, process in found.items()} == {
        "kuma-dp": False, "envoy": False, "coredns": False}, found
    machine.run(["test", f"/proc/{found['envoy']['pid']}/exe", "-ef", path])
    machine.sh(f"cp {path} {path}.new && mv {path}.new {path}")
    for _ in range(2):
        now = status(machine)["processes"]
        assert now["envoy"]["program-replaced"] and now["envoy"]["pid"] == found["envoy"]["pid"], now
        assert "runs a deleted program" in " ".join(machine.run(["tproxyd", "status"]).stdout.split())
        machine.run(["tproxyd", "reexec"])
    said = machine.run(["tproxyd", "reload"]).stdout
    assert "kuma-dp restarts" in said and "the program envoy is another file" in said, said
    now = status(machine)["processes"]
    assert not now["envoy"]["program-replaced"] and now["envoy"]["pid"] != found["envoy"]["pid"], now
    assert "nothing changes" in machine.run(["tproxyd", "reload"]).stdout
    sample.stop(machine)
