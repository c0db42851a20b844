# SPDX-License-Identifier: GPL-2.0-or-later
"""A daemon whose resolv.conf changes, as early and as late as can be. (tests/system has the rest of it.)"""

import subprocess
import time

import pytest

from conftest import why_not
from trial import CAPABILITIES, PROGRAM, Trial

NAMES = "/run/names/resolv.conf"


@pytest.fixture
def trial(host, tproxyd):
    if why_not():
        pytest.skip(why_not())
    made = Trial(host, tproxyd)
    made.set(redirect__dns__resolvConfigPath=NAMES)
    made.write(NAMES, "nameserver 192.0.2.1\n", "0666")
    return made


def start(trial):
    trial.finish()
    return trial.host.start(["setpriv", f"--bounding-set={CAPABILITIES}", "--no-new-privs", PROGRAM, "run"],
                            stderr=subprocess.PIPE, text=True)


def await_rule(trial, process, server, seconds=30):
    end = time.monotonic() + seconds
    while f"-d {server}/32" not in "\n".join(trial.host.legacy()["ipv4"].get("nat", [])):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)


def stop(process):
    process.terminate()
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 0 and "Sanitizer" not in said, said
    return said


def test_a_stop_after_a_change_leaves_nothing(trial):
    process = start(trial)
    await_rule(trial, process, "192.0.2.1")
    for server in ("192.0.2.2", "192.0.2.3"):
        trial.write(NAMES, f"nameserver {server}\n")
        await_rule(trial, process, server)
    assert "generation 3" in stop(process)
    assert not any("KUMA" in line for lines in trial.host.legacy()["ipv4"].values() for line in lines)
    assert trial.host.run(["find", "/run/tproxyd", "-mindepth", "1"]).stdout == ""


def test_a_change_during_the_start_is_followed(trial):
    """While the programs are asked for their versions, say: the file was read before."""
    trial.write("/run/early/kuma-dp", f"""#!/bin/sh
        [ "$1" != version ] || echo nameserver 192.0.2.77 >{NAMES}
        exec /run/standin/kuma-dp "$@"
        """, "0755")
    trial.set(kumaDP__path="/run/early/kuma-dp")
    process = start(trial)
    await_rule(trial, process, "192.0.2.77")
    stop(process)
