# SPDX-License-Identifier: GPL-2.0-or-later
"""What packaging/debian/tests says of the package that is installed, as Debian's machines ask it."""

import glob
import shutil
import tempfile

import deb
import machine as machines
import pytest

# The machine is thrown away, and is the isolation that is wanted.
COMMAND = "autopkgtest --ignore-restrictions=isolation-machine --output-dir=/root/out {} {} -- null"


def test_the_package_redirects_where_it_is_installed(packages):
    reason = machines.unavailable() or (shutil.which("autopkgtest") is None and "autopkgtest is not installed")
    if reason:
        pytest.skip(reason)
    [source] = glob.glob(f"{packages}/tproxyd_*.dsc")
    paths = [path.replace(packages, "/packages", 1) for path in (source, deb.path(packages))]
    # What is under /tmp is out of a machine's sight.
    with (tempfile.TemporaryDirectory(dir="/var/tmp") as seen,
          machines.Machine(standin=None, nspawn=[f"--bind-ro={seen}:/packages"]) as machine):
        shutil.copytree(packages, seen, dirs_exist_ok=True)
        # Its addresses are those of the network that the test makes for itself.
        machine.sh("ip link del eth0; rmdir /etc/tproxyd 2>/dev/null || :; mkdir -p /var/log/apt")
        done = machine.run(["sh", "-c", COMMAND.format(*paths)], check=False, timeout=600)
        print(done.stdout, done.stderr)
        assert done.returncode == 0
        assert machine.read("/root/out/summary").split() == ["redirect", "PASS"]
