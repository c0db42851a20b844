# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine that stands still for a minute while its clock goes on, as one that is paused or moved does."""

import os
import signal
import time

import sample


def processes(machine):
    """All of the machine, its first one at the front."""
    space = os.readlink(f"/proc/{machine.leader}/ns/pid")
    found = [machine.leader]
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            if pid != machine.leader and os.readlink(f"/proc/{pid}/ns/pid") == space:
                found.append(pid)
        except OSError:
            pass
    return found


def test_a_machine_that_was_frozen_for_a_minute_goes_on_as_if_nothing_had_been(machine):
    """systemd wakes up first: it must not take the watchdog's silence for a hang."""
    sample.configure(machine)
    sample.start(machine)
    pid = sample.main_pid(machine)
    before = machine.state()
    for _ in range(2):
        frozen = processes(machine)
        for one in frozen:
            os.kill(one, signal.SIGSTOP)
        time.sleep(float(os.environ.get("FREEZE", "60")))
        for one in frozen:
            os.kill(one, signal.SIGCONT)
        time.sleep(5)
        assert machine.show(sample.UNIT, "NRestarts") == "0", machine.journal_text("-u", "tproxyd")
        assert sample.main_pid(machine) == pid
        assert machine.show(sample.UNIT, "StatusText").startswith("Redirecting")
    sample.assert_as_before(machine, before)
