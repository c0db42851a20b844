# SPDX-License-Identifier: GPL-2.0-or-later
"""What packaging/debian/tests says of the package that is installed, as Debian's machines ask it."""

import glob
import os
import shutil

import deb
import machine as machines
import pytest

# The machine is thrown away, and is the isolation that is wanted.
COMMAND = "autopkgtest --ignore-restrictions=isolation-machine --output-dir=/root/out {} {} -- null"


def test_the_package_redirects_where_it_is_installed(packages):
    reason = machines.unavailable() or (shutil.which("autopkgtest") is None and "autopkgtest is not installed")
    if reason:
        pytest.skip(reason)
    names = [os.path.basename(name) for name in glob.glob(f"{packages}/tproxyd_*")]
    [source] = [name for name in names if name.endswith(".dsc")]
    with machines.Machine(standin=None) as machine:
        for name in names:
            machine.copy(f"{packages}/{name}", f"/packages/{name}")
        # Its addresses are those of the network that the test makes for itself.
        machine.sh("ip link del eth0; rmdir /etc/tproxyd 2>/dev/null || :; mkdir -p /var/log/apt")
        command = COMMAND.format(f"/packages/{source}", f"/packages/{os.path.basename(deb.path(packages))}")
        done = machine.run(["sh", "-c", command], check=False, timeout=600)
        print(done.stdout, done.stderr)
        assert done.returncode == 0
        assert machine.read("/root/out/summary").split() == ["redirect", "PASS"]
