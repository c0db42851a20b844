# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules in nf_tables that are held without end outlive tproxyd, by systemd's descriptor store; others go with it."""

import json
import subprocess

import pytest

import machine as machines
import sample
from test_reload import Load, reload

SOON = "[Service]\nRestartSec=200ms\n"
PORTS = 7  # that are reserved
# A look at nf_tables through netlink: what costs no process can be done every millisecond.
LOOK = """
import contextlib, errno, json, os, select, signal, socket, struct, sys, time
sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
def there(family):
    message = struct.pack("=IHHII4x", 0, 10 << 8 | 1, 1, 0, 0)[:16] + bytes([family, 0, 0, 0])
    message += struct.pack("=HH", 12, 1) + b"tproxyd\\0"
    sock.send(struct.pack("=I", len(message)) + message[4:])
    answer = sock.recv(4096)
    return struct.unpack_from("=H", answer, 4)[0] != 2
def both():
    return there(2), there(10)
"""
# Until its input ends: how many looks, the longest pause between two, and when it was not there.
WATCH = LOOK + """
with contextlib.suppress(OSError):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
looks, absent, longest, last = 0, [], 0, time.monotonic()
while not select.select([sys.stdin], [], [], 0.0005)[0]:
    now = time.monotonic()
    looks, longest, last = looks + 1, max(longest, now - last), now
    if both() != (True, True):
        absent.append(round(now, 4))
print(json.dumps({"looks": looks, "longest": longest, "absent": absent}))
"""
# PID: how many seconds after its SIGKILL neither is there.
KILL = LOOK + """
begin = time.monotonic()
os.kill(int(sys.argv[1]), signal.SIGKILL)
while both() != (False, False) and time.monotonic() < begin + 5:
    pass
print(time.monotonic() - begin)
"""
# Counts what has left the host untouched.
DIRECT = f"""
table inet probe {{
	chain out {{
		type filter hook postrouting priority 0;
		ip daddr {machines.FAR4} meta skuid nobody tcp dport 80 counter
		ip daddr {machines.OUTSIDE4} meta skuid nobody udp dport 53 counter
	}}
}}
"""


def configure(machine, hold, standin=None):
    changes = {"backend": "nftables", "failure": {"holdRules": hold},
               "kumaDP": {"cpAddress": "https://control-plane.test:5678", "drainTime": "1s"}}
    sample.configure(machine, changes, standin)


def begin(machine, hold, drop_in=SOON):
    machine.serve()
    configure(machine, hold)
    sample.drop_in(machine, "10-test", drop_in)
    before = sample.prepare(machine)
    sample.start(machine)
    return before


def stored(machine):
    return int(machine.show(sample.UNIT, "NFileDescriptorStore"))


def recorded(machine):
    return [line for line in machine.read("/run/tproxyd-state/record").splitlines() if line.startswith("stored")]


def kill(machine):
    machine.systemctl("kill", "--signal=KILL", "--kill-who=main", sample.UNIT)


def phase(machine):
    """None before it can be asked."""
    said = machine.run(["tproxyd", "status", "--json"], check=False).stdout
    return json.loads(said)["phase"] if said else None


def comes_back(machine, restarts):
    machine.wait_until(lambda: machine.show(sample.UNIT, "NRestarts") == str(restarts), 10, "a restart")
    machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") == "active", 30, "it is back")


def assert_nothing_left(machine, before):
    machine.wait_until(lambda: sample.nft_rules(machine) == "", 5, "the tables are gone")
    found = machine.state()
    assert sample.differences({key: before[key] for key in ("rules", "addresses")},
                              {key: found[key] for key in ("rules", "addresses")}) == []
    assert stored(machine) == 0


class Watch:
    def __init__(self, machine):
        machine.run(["nft", "-f", "-"], input=DIRECT)
        self.machine = machine
        self.looks = machine.start_command(["/usr/bin/python3", "-c", WATCH], stdin=subprocess.PIPE,
                                           stdout=subprocess.PIPE, text=True)
        self.load = Load(machine, 2)

    def end(self):
        load = self.load.end()
        found = json.loads(self.looks.communicate("\n", timeout=60)[0])
        counted = self.machine.run(["nft", "list", "table", "inet", "probe"]).stdout
        self.machine.run(["nft", "delete", "table", "inet", "probe"])
        print(f"{found['looks']} looks, {found['longest'] * 1000:.1f} ms at most between two; {load}")
        assert counted.count("counter packets 0 ") == 2, counted
        assert found["absent"] == []
        assert "direct" not in load and load["redirected"] > 0, load
        return found


def test_no_absence_over_restart_crash_and_upgrade(machine):
    before = begin(machine, "infinity")
    assert stored(machine) == PORTS + 1 and recorded(machine) == ["stored full"]
    watch = Watch(machine)
    for _ in range(3):
        machine.systemctl("restart", sample.UNIT, timeout=120)
        assert machine.show(sample.UNIT, "ActiveState") == "active"
    for n in range(3):
        kill(machine)
        comes_back(machine, n + 1)
    machine.run(["tproxyd", "reexec"])
    kill(machine)
    comes_back(machine, 4)
    machine.systemctl("daemon-reload")
    machine.systemctl("daemon-reexec")
    machine.systemctl("restart", sample.UNIT, timeout=120)
    watch.end()
    assert stored(machine) == PORTS + 1 and recorded(machine) == ["stored full"]
    found = machine.messages("-u", sample.UNIT)
    assert len([text for text in found if text.startswith("Going on with the rules of the last run")]) == 8
    assert len([text for text in found if "the rules stay" in text]) == 4
    # A stop is none of these.
    sample.stop(machine)
    assert_nothing_left(machine, before)
    assert not machine.exists("/run/tproxyd-state/record")


def test_the_proxy_comes_up_under_the_rules(machine):
    """They hold all traffic but that of its user, whose names are found without it."""
    begin(machine, "infinity")
    configure(machine, "infinity", {"READY_DELAY_MS": 2000})
    watch = Watch(machine)
    kill(machine)
    machine.wait_until(lambda: phase(machine) == "holding", 10, "it holds")
    assert machine.show(sample.UNIT, "ActiveState") == "activating"
    assert sample.ask(machine, "control-plane.test", user="kuma-dp") == "NOERROR 192.0.2.53"
    sample.ask(machine, "control-plane.test")
    comes_back(machine, 1)
    watch.end()


def test_starts_that_fail_or_are_ended_leave_them_to_the_next_one(machine):
    before = begin(machine, "infinity")
    watch = Watch(machine)
    configure(machine, "infinity", {"EXIT_AT_ONCE": 1})
    kill(machine)
    machine.wait_until(lambda: int(machine.show(sample.UNIT, "NRestarts")) >= 3, 20, "starts that fail")
    configure(machine, "infinity", {"READY_DELAY_MS": 1500})
    machine.wait_until(lambda: phase(machine) == "holding" and sample.processes(machine), 20, "it holds")
    restarts = int(machine.show(sample.UNIT, "NRestarts"))
    # No stop: systemd starts again what ends before it was ready.
    machine.systemctl("kill", "--signal=TERM", "--kill-who=main", sample.UNIT)
    machine.wait_until(lambda: int(machine.show(sample.UNIT, "NRestarts")) > restarts, 20, "one more start")
    machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") == "active", 30, "it is back")
    watch.end()
    # Nor is this a restart.
    machine.systemctl("kill", "--signal=TERM", "--kill-who=main", sample.UNIT)
    machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") == "inactive", 30, "it is down")
    assert_nothing_left(machine, before)


@pytest.mark.parametrize("how", ["start limit", "exit 78", "stop while it waits", "finite at the next start",
                                 "another backend at the next start"])
def test_nothing_is_left_where_it_ends(machine, how):
    limit = "[Unit]\nStartLimitIntervalSec=100\nStartLimitBurst=1\n" if how == "start limit" else ""
    before = begin(machine, "infinity", limit + "[Service]\nRestartSec=1\n")
    if how == "start limit":
        kill(machine)
    elif how == "exit 78":
        machine.write(sample.CONFIG, "no: such setting\n")
        machine.systemctl("restart", sample.UNIT, check=False)
        assert machine.show(sample.UNIT, "ExecMainStatus") == "78"
    elif how == "stop while it waits":
        kill(machine)
        machine.wait_until(lambda: machine.show(sample.UNIT, "SubState") == "auto-restart", 5, "it waits")
        assert sample.nft_rules(machine) != ""
        sample.stop(machine)
    else:
        sample.configure(machine, {"backend": "nftables" if how.startswith("finite") else "iptables",
                                   "failure": {"holdRules": "30s" if how.startswith("finite") else "infinity"}},
                         {"READY_DELAY_MS": 2000})
        kill(machine)
        machine.wait_until(lambda: phase(machine) == "starting", 10, "it starts")
        assert_not_stored(machine)
        comes_back(machine, 1)
        sample.stop(machine)
    machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") in ("failed", "inactive"), 10, "it is down")
    assert_nothing_left(machine, before)


def assert_not_stored(machine):
    machine.wait_until(lambda: sample.nft_rules(machine) == "", 5, "what was left is out")
    machine.wait_until(lambda: stored(machine) <= PORTS, 5, "it is no longer stored")


def test_a_reload_stores_and_takes_back(machine):
    begin(machine, "30s")
    assert stored(machine) == PORTS and recorded(machine) == []
    for hold, more in (("infinity", 1), ("30s", 0), ("infinity", 1)):
        configure(machine, hold)
        rules = sample.nft_rules(machine).count("\n")
        reload(machine)
        machine.wait_until(lambda: stored(machine) == PORTS + more, 5, hold)
        assert recorded(machine) == ["stored full"] * more
        assert sample.nft_rules(machine).count("\n") == rules


def test_without_the_store_the_tables_go_at_once(machine):
    begin(machine, "30s", "[Service]\nRestart=no\n")
    took = []
    for _ in range(5):
        pid = str(sample.main_pid(machine))
        took.append(float(machine.run(["/usr/bin/python3", "-c", KILL, pid]).stdout))
        machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") == "failed", 10, "it is down")
        machine.systemctl("reset-failed", sample.UNIT)
        sample.start(machine)
    print(f"gone after {sorted(round(1000 * sec, 1) for sec in took)} ms")
    # On a busy machine the killed process, or who looks, may have to wait for a processor.
    assert sorted(took)[2] < 0.05 and max(took) < 1, took
