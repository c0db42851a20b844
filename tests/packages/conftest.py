# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the packages share. Environment: TPROXYD_PACKAGES, a directory where packaging/build-deb and
packaging/build-rpm have put their packages (default: they are built)."""

import os
import shutil
import subprocess
import sys

import pytest

sys.dont_write_bytecode = True
REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(REPOSITORY, "tests", "system"))
import deb
import machine as machines

# Other tests, which run beside these, are not to wait for a compiler.
BEHIND = ("nice", "-n", "19")


@pytest.fixture(scope="session")
def repository():
    return REPOSITORY


def built(script, tool, package, tmp_path_factory):
    """A directory with what the script builds, or TPROXYD_PACKAGES; skips where the package with its tool is missing."""
    place = os.environ.get("TPROXYD_PACKAGES")
    if place:
        return place
    if shutil.which(tool) is None:
        pytest.skip(f"{package} is not installed")
    place = tmp_path_factory.mktemp(script)
    subprocess.run([*BEHIND, f"{REPOSITORY}/packaging/{script}", place], check=True)
    return str(place)


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """A directory with the Debian packages."""
    return built("build-deb", "dh", "debhelper", tmp_path_factory)


@pytest.fixture(scope="session")
def rpms(tmp_path_factory):
    """A directory with the RPMs."""
    return built("build-rpm", "rpmbuild", "rpmbuild", tmp_path_factory)


@pytest.fixture
def machine(request):
    """A booted machine with the stand-in for kuma-dp and without tproxyd; when the test fails, its journal is shown."""
    reason = machines.unavailable()
    if reason:
        pytest.skip(reason)
    with machines.Machine() as booted:
        # This host's own, if it has any.
        booted.sh("rmdir /etc/tproxyd 2>/dev/null || :")
        yield booted
        if request.node.rep_call.failed:
            print(booted.run(["journalctl", "--no-pager", "--lines=100"], check=False).stdout)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    setattr(item, f"rep_{report.when}", report)


@pytest.fixture
def host(machine, packages):
    """A machine with the package installed and configured, not started."""
    machine.make_legacy_tables()
    deb.install(machine, packages)
    deb.configure(machine)
    return machine
