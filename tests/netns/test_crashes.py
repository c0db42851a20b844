# SPDX-License-Identifier: GPL-2.0-or-later
"""The proxy crashes again and again: nothing gathers. 30 times, with TPROXYD_TEST_THOROUGH=1 a thousand times."""

import os
import signal
import time

import pytest

from daemon import Daemon
from netfilter import our_rules

NF_BACKENDS = ("iptables", "nftables")
CRASHES = 1000 if os.environ.get("TPROXYD_TEST_THOROUGH") else 20
WARM = 10  # crashes after which nothing new is taken any more
ROUND = 6  # sockets of a round of probes, where one is under way
TICKS = os.sysconf("SC_CLK_TCK")


class Load:
    """What a daemon has: descriptors, memory, processes of its namespace, files and rules."""

    def __init__(self, daemon):
        pid, net = daemon.process.pid, os.fstat(daemon.host.net).st_ino
        self.descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            self.kib = int(next(line for line in file if line.startswith("VmRSS:")).split()[1])
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(") ")[2].split()
            self.cpu = (int(fields[11]) + int(fields[12])) / TICKS
        self.processes = 0
        for other in filter(str.isdigit, os.listdir("/proc")):
            try:
                self.processes += os.stat(f"/proc/{other}/ns/net").st_ino == net
            except OSError:
                pass  # gone
        self.files = sorted(daemon.host.run(["find", "/run/tproxyd"]).stdout.split())
        self.rules = our_rules(daemon.host)


@pytest.mark.parametrize("victim", ["envoy", "kuma-dp"])
def test_nothing_gathers_over_crashes(trial, tproxyd, tmp_path, victim):
    trial.set(restart__delay="1ms", restart__maxDelay="2ms", failure__holdRules="infinity")
    daemon = Daemon(trial, tmp_path)
    daemon.await_("READY=1")
    begin, before = time.monotonic(), None
    for crash in range(CRASHES):
        if crash == WARM:
            before = Load(daemon)
        former = daemon.status()["processes"]["kuma-dp"]["pid"]
        os.kill(former if victim == "kuma-dp" else daemon.child("envoy"), signal.SIGKILL)
        daemon.await_status(lambda found, former=former: found["phase"] == "redirecting" and
                            found["processes"]["kuma-dp"]["pid"] not in (0, former))
    after, took = Load(daemon), time.monotonic() - begin
    n = CRASHES - WARM
    print(f"{n} crashes of {victim}: {took / CRASHES:.2f} s each, {1000 * (after.cpu - before.cpu) / n:.1f} ms CPU "
          f"each; RSS {before.kib} to {after.kib} KiB; {after.descriptors} descriptors")
    assert abs(after.descriptors - before.descriptors) <= ROUND
    assert after.processes == before.processes
    assert after.files == before.files
    assert after.rules == before.rules
    # AddressSanitizer keeps what was freed.
    with open(tproxyd, "rb") as program:
        assert b"__asan_init" in program.read() or after.kib < before.kib + 256
    assert daemon.said.count("READY=1") == 1
    daemon.stop()
    assert daemon.level() == "none"
