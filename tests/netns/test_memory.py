# SPDX-License-Identifier: GPL-2.0-or-later
"""Others change the rules of a daemon that gets no more memory: it says so, goes on, and puts them right once it gets some."""

import resource
import time

import pytest

from daemon import PATIENCE, Daemon
from test_nft_drift import SHIM, WITHOUT_OWNER
from test_syscall_faults import program
from trial import Trial

TAKEN_OUT = {"iptables": "iptables-legacy -w -t nat -F KUMA_MESH_OUTBOUND", "nftables": "nft flush chain ip tproxyd KUMA_MESH_OUTBOUND"}
LISTED = {"iptables": "iptables-legacy -w -t nat -S KUMA_MESH_OUTBOUND", "nftables": "nft -s list chain ip tproxyd KUMA_MESH_OUTBOUND"}


def await_(condition, daemon):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert daemon.process.poll() is None and time.monotonic() < end, "".join(daemon.log)
        time.sleep(0.05)


@pytest.mark.parametrize("backend", TAKEN_OUT)
def test_a_repair_without_memory_is_told_and_made_up_for(host, tmp_path, backend):
    trial = Trial(host, program(), backend)
    trial.write("/run/program/shim.c", WITHOUT_OWNER)
    host.run(["cc", "-shared", "-fPIC", "-o", SHIM, "/run/program/shim.c"])
    # What is free goes back to the kernel at once, of which it then has to be asked for again.
    trial.environment = {"MALLOC_TOP_PAD_": "0", "MALLOC_TRIM_THRESHOLD_": "0", "LD_PRELOAD": SHIM}
    daemon = Daemon(trial, tmp_path)
    daemon.await_("READY=1")
    whole = host.run(["sh", "-c", LISTED[backend]]).stdout
    pid = daemon.status()["pid"]
    resource.prlimit(pid, resource.RLIMIT_AS, (4096, resource.RLIM_INFINITY))
    host.run(["sh", "-c", TAKEN_OUT[backend]])
    await_(lambda: any("memory" in line for line in daemon.log), daemon)
    time.sleep(2)
    assert daemon.process.poll() is None and host.run(["sh", "-c", LISTED[backend]]).stdout != whole
    resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await_(lambda: host.run(["sh", "-c", LISTED[backend]]).stdout == whole, daemon)
    print("".join(daemon.log))
    daemon.stop()
