# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs in a machine: starts the service again and again and sends its main process a signal at a random moment.

    cycles.py SIGNAL FIRST COUNT SEED start|life

Cycle number N of a seed always draws the same phase and delay. Prints one line of JSON per cycle: in which phase the
signal was to come, after how many seconds, in what state the unit was then, how it ended, and what is left.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time

UNIT = "tproxyd.service"
KUMA_DP = 5678
HANG = 40
# In /tmp: where systemd prepares a sandbox. What it forks to become tproxyd leaves a namespace-dev-… behind when it
# is killed before it has executed anything of ours (setup_private_dev() in systemd's namespace.c).
SYSTEMDS_OWN = ("namespace-dev-", "systemd-private-")


def systemctl(*words, check=True):
    return subprocess.run(["systemctl", *words], stdout=subprocess.PIPE, text=True, check=check).stdout


def show(*names):
    lines = systemctl("show", UNIT, *(f"--property={name}" for name in names)).splitlines()
    return dict(line.split("=", 1) for line in lines)


def save(*argv):
    lines = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    return [line.split(" [")[0] for line in lines if not line.startswith("#")]


def processes():
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/status", encoding="utf-8") as file:
                    if f"\nUid:\t{KUMA_DP}\t" in file.read():
                        found.append(int(entry))
            except (FileNotFoundError, ProcessLookupError):
                pass
    return found


def remains():
    """What a cycle must leave as it found it."""
    with open("/proc/net/if_inet6", encoding="ascii") as file:
        addresses = sorted(line.split()[0] for line in file)
    return {"v4": save("iptables-legacy-save"), "v6": save("ip6tables-legacy-save"), "addresses": addresses,
            "nft": save("nft", "-s", "list", "ruleset"),
            "processes": processes(), "runtime": os.path.exists("/run/tproxyd"),
            "run": sorted(name for name in os.listdir("/run") if name != "tproxyd"),
            "tmp": sorted(name for name in os.listdir("/tmp") if not name.startswith(SYSTEMDS_OWN))}


def wait_for(states, limit=HANG):
    end = time.monotonic() + limit
    while True:
        state = show("ActiveState", "SubState", "Result", "ExecMainStatus")
        if state["ActiveState"] in states:
            return state
        if time.monotonic() > end:
            raise TimeoutError(f"{UNIT} is still {state}")
        time.sleep(0.01)


def send(number):
    """To the main process or, before there is one, to the control process (`tproxyd prepare`): the state it was in."""
    state = show("MainPID", "ControlPID", "SubState")
    pid = int(state["MainPID"])
    if pid == 0 and state["SubState"] == "start-pre":
        pid = int(state["ControlPID"])
    if pid == 0 or state["SubState"] in ("stop-post", "dead", "failed"):
        return f"gone ({state['SubState']})"
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return "gone"
    return state["SubState"]


def draw(seed, number, kind):
    """Most moments are where something happens: while it starts and while it stops."""
    lot = random.Random(f"{seed}/{number}")
    phase = "start" if kind == "start" else lot.choice(["start"] * 5 + ["run"] + ["stop"] * 4)
    return phase, round(lot.uniform(0, {"start": 0.5, "run": 0.3, "stop": 0.4}[phase]), 4)


def cycle(phase, delay, number):
    systemctl("start", "--no-block", UNIT)
    if phase != "start":
        if wait_for(("active", "failed"))["ActiveState"] != "active":
            return "did not start"
    if phase == "stop":
        systemctl("stop", "--no-block", UNIT)
    time.sleep(delay)
    met = send(number)
    # A signal that found nobody, or only prepare, may leave a service that runs.
    state = show("ActiveState", "Job")
    if state["ActiveState"] in ("activating", "active") and met.startswith("gone"):
        systemctl("stop", UNIT, check=False)
    return met


def settle():
    """Waits for the end; what runs on, because the signal met `prepare` say, is stopped."""
    end = time.monotonic() + HANG
    while True:
        state = show("ActiveState", "SubState", "Result", "ExecMainStatus", "Job")
        if state["ActiveState"] in ("inactive", "failed") and state.get("Job", "") in ("", "0"):
            return state
        if state["ActiveState"] == "active" or time.monotonic() > end:
            systemctl("stop", UNIT, check=False)
        if time.monotonic() > end + HANG:
            raise TimeoutError(f"{UNIT} is still {state}")
        time.sleep(0.01)


def main(name, first, count, seed, kind):
    before = remains()
    assert not before["processes"] and not before["runtime"], before
    for n in range(first, first + count):
        phase, delay = draw(seed, n, kind)
        begin = time.monotonic()
        met = cycle(phase, delay, getattr(signal, name))
        state = settle()
        after = remains()
        left = {key: [before[key], after[key]] for key in before if before[key] != after[key]}
        print(json.dumps({"cycle": n, "phase": phase, "delay": delay, "met": met, "result": state["Result"],
                          "status": int(state["ExecMainStatus"]), "took": round(time.monotonic() - begin, 3),
                          "left": left}), flush=True)
        if left:
            break
        systemctl("reset-failed", UNIT, check=False)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5])
