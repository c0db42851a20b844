#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tests/bench/idle.py PROGRAM [MINUTES]: what `PROGRAM run` takes while it redirects and has nothing to do (10 minutes).

Needs root (network namespaces). With TPROXYD_TEST_PROXIES, a directory, the stand-in for kuma-dp runs the real Envoy and
CoreDNS that are there.
"""

import os
import re
import socket
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[1:1] = [os.path.join(os.path.dirname(HERE), name) for name in ("netns", "system")]
from machine import network  # noqa: E402  (the path has to be set first)
from trial import CAPABILITIES, PROGRAM, Trial  # noqa: E402

PROXIES = os.environ.get("TPROXYD_TEST_PROXIES")
PREPARE = ["sh", "-ec", "sed -i /^kuma-dp:/d /etc/passwd /etc/group; rm -rf /etc/tproxyd;"
           "echo kuma-dp:x:5678:5678::/nonexistent:/usr/sbin/nologin >>/etc/passwd; echo kuma-dp:x:5678: >>/etc/group"]
WATCHDOG_USEC = 90_000_000  # as the unit has it


def use_proxies(trial):
    trial.host.run(["cp", "-r", PROXIES, "/run/proxies"])
    trial.set(kumaDP__envoyPath="/run/proxies/envoy", coreDNS__path="/run/proxies/coredns",
              kumaDP__env={"STANDIN_ENGINE": "envoy"})


def times_slept(pid):
    """How often it has given up the processor because it had nothing to do, and was woken for more; it has one thread."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", file.read(), flags=re.M)[1])


def processor_time(pid):
    """In seconds."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def memory(pid):
    """kB of all its pages (Rss), of those with their share of what others have too (Pss), and of those that only it has."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        words = [line.split() for line in file if line.endswith("kB\n")]
    sizes = {word[0].rstrip(":"): int(word[1]) for word in words}
    return sizes["Rss"], sizes["Pss"], sizes["Private_Clean"] + sizes["Private_Dirty"]


def rest(manager, seconds):
    """Lets time pass. What the daemon says meanwhile is taken: it would wait for that."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        manager.settimeout(left)
        try:
            manager.recv(4096)
        except TimeoutError:
            pass


def daemon(host, program, seconds=10, backend=None):
    """Of a daemon that has its rules in and nothing to do: ms from its start until it was ready; its memory(); in a minute
    how often it wakes, and ms on a processor."""
    trial = Trial(host, program, backend)
    if PROXIES:
        use_proxies(trial)
    trial.finish()
    with (tempfile.TemporaryDirectory() as place, tempfile.TemporaryFile("w+") as said,
          socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager):
        manager.bind(f"{place}/notify")
        manager.settimeout(60)
        begin = time.monotonic()
        process = host.start(["setpriv", f"--bounding-set={CAPABILITIES}", PROGRAM, "run"], stderr=said,
                             env={"NOTIFY_SOCKET": f"{place}/notify", "WATCHDOG_USEC": str(WATCHDOG_USEC)})
        try:
            while b"READY=1" not in manager.recv(4096):
                pass
            ready = time.monotonic() - begin
            rest(manager, 3)
            slept, used = times_slept(process.pid), processor_time(process.pid)
            rest(manager, seconds)
            wakeups = (times_slept(process.pid) - slept) * 60 / seconds
            used = (processor_time(process.pid) - used) * 60 / seconds
            sizes = memory(process.pid)
        finally:
            process.terminate()
            if process.wait(timeout=120):
                said.seek(0)
                print(said.read())
    return ready * 1e3, *sizes, wakeups, used * 1e3


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    if why := network.unavailable():
        sys.exit(why)
    minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 10
    with network.Network(own_files=True) as net:
        net.inside.run(PREPARE)
        ready, rss, pss, private, wakeups, used = daemon(net.inside, sys.argv[1], minutes * 60)
    print(f"ready after {ready:.0f} ms; then, in {minutes:g} minutes: {wakeups:.1f} wake-ups and {used:.1f} ms on a processor a "
          f"minute; {rss} kB resident, {pss} kB proportional, {private} kB its own")


if __name__ == "__main__":
    main()
