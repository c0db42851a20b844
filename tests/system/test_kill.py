# SPDX-License-Identifier: GPL-2.0-or-later
"""A signal at any moment at all: nothing is left, nothing hangs. TPROXYD_TEST_SEED repeats a run."""

import collections
import json
import os
import random
import threading

import pytest

import sample

HERE = os.path.dirname(os.path.abspath(__file__))
NO_RESTART = "[Service]\nRestart=no\n[Unit]\nStartLimitIntervalSec=0\n"
NF_BACKENDS = ("iptables", "nftables")
KILLS = 200
TERMS = 50
# Each in a machine of its own, side by side: most of a cycle is waiting.
MACHINES = 2


def seed():
    return os.environ.get("TPROXYD_TEST_SEED") or str(random.randrange(1 << 32))


def run_cycles(boot, build, name, count, kind):
    """Cycles spread over some machines; returns what each said, in order."""
    drawn = seed()
    print(f"TPROXYD_TEST_SEED={drawn}")
    share = count // MACHINES
    jobs, outputs = [], {}

    def work(machine, first):
        done = machine.python(os.path.join(HERE, "cycles.py"), name, str(first), str(share), drawn, kind,
                              check=False, timeout=600)
        outputs[first] = done

    for i in range(MACHINES):
        machine = boot(build=build)
        sample.configure(machine)
        sample.drop_in(machine, "no-restart", NO_RESTART)
        sample.prepare(machine)
        jobs.append(threading.Thread(target=work, args=(machine, i * share)))
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    cycles = []
    for first in sorted(outputs):
        cycles += [json.loads(line) for line in outputs[first].stdout.splitlines()]
        assert outputs[first].returncode == 0, f"{outputs[first].stderr}\nlast: {cycles[-1:]}"
    return cycles


def report(cycles):
    met = collections.Counter(f"{cycle['phase']}/{cycle['met']}" for cycle in cycles)
    ends = collections.Counter(f"{cycle['result']} {cycle['status']}" for cycle in cycles)
    print(f"{len(cycles)} cycles, {sum(cycle['took'] for cycle in cycles):.0f} s in all; signal met {dict(met)}; "
          f"ended {dict(ends)}; longest {max(cycle['took'] for cycle in cycles)} s")


def test_sigkill_at_many_random_moments_leaves_nothing(boot, build, nf_backend):
    kills = KILLS if nf_backend == "iptables" else KILLS // 2
    cycles = run_cycles(boot, build, "SIGKILL", kills, "life")
    report(cycles)
    assert [cycle for cycle in cycles if cycle["left"]] == []
    assert len(cycles) == kills
    killed = [cycle for cycle in cycles if cycle["result"] == "signal"]
    # The moments are worth something only if they meet a live process in every phase.
    assert len(killed) > kills / 2
    for state in ("start", "running", "stop-sigterm"):
        assert len([cycle for cycle in killed if cycle["met"] == state]) >= kills / 20, state


@pytest.mark.backends("iptables")
def test_sigterm_at_50_random_moments_of_the_start_leaves_nothing(boot, build):
    cycles = run_cycles(boot, build, "SIGTERM", TERMS, "start")
    report(cycles)
    assert [cycle for cycle in cycles if cycle["left"]] == []
    assert len(cycles) == TERMS
    # Asked to stop before READY: systemd calls a clean exit there a breach of the protocol, and rightly so.
    assert {cycle["result"] for cycle in cycles} <= {"success", "protocol", "signal"}, cycles
    assert {cycle["status"] for cycle in cycles} <= {0, 15}, cycles
    assert [cycle for cycle in cycles if cycle["met"] == "start"]
    assert max(cycle["took"] for cycle in cycles) < 10
