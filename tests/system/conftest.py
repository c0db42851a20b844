# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests under a real systemd share. Environment: TPROXYD_BUILD, the CMake build that is installed
(default build/release); TPROXYD_TEST_PROXIES, a directory with real envoy and coredns (default: none)."""

import os
import sys

import pytest

sys.dont_write_bytecode = True
import machine as machines
import sample
from backends import pytest_configure, pytest_generate_tests  # noqa: F401

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_unavailable = []


def why_not():
    if not _unavailable:
        _unavailable.append(machines.unavailable())
    return _unavailable[0]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    setattr(item, f"report_{report.when}", report)


@pytest.fixture(scope="session")
def build():
    """The build that is installed into machines."""
    path = os.environ.get("TPROXYD_BUILD") or os.path.join(REPOSITORY, "build", "release")
    if not os.path.exists(os.path.join(path, "cmake_install.cmake")):
        pytest.skip(f"{path} is not a build; see tests/run")
    if not os.path.exists(os.path.join(path, "tproxyd")):
        pytest.skip(f"{path} has no tproxyd")
    return path


@pytest.fixture(scope="session")
def proxies():
    """The directory with real envoy and coredns; a test that asks for it is skipped where there is none."""
    path = os.environ.get("TPROXYD_TEST_PROXIES")
    if not path or not os.path.exists(os.path.join(path, "envoy")):
        pytest.skip("no real proxies: TPROXYD_TEST_PROXIES names no directory with envoy")
    return path


@pytest.fixture
def nf_backend():
    """The netfilter backend that the sample configuration names; None: none."""


@pytest.fixture
def boot(request, nf_backend, monkeypatch):
    """boot(build=…, proxies=…) boots a machine that goes with the test; when the test fails, its journal is shown."""
    if why_not():
        pytest.skip(why_not())
    if nf_backend:
        monkeypatch.setitem(sample.SETTINGS, "backend", nf_backend)
    booted = []

    def start(**options):
        machine = machines.Machine(**options)
        booted.append(machine)
        try:
            return machine.start()
        except BaseException:
            machine.stop()
            booted.remove(machine)
            raise

    yield start
    report = getattr(request.node, "report_call", None)
    for machine in booted:
        if report is not None and report.failed:
            show_journal(machine)
        machine.stop()


def show_journal(machine):
    try:
        print(f"--- journal of {machine.name} since it was up")
        print(machine.journal_text("--lines=200", f"--since=@{machine.ready_at:.6f}"))
    except Exception as error:  # the failure itself must not be hidden by that of its explanation
        print(f"no journal: {error}")


@pytest.fixture
def bare(boot):
    """A booted machine without tproxyd."""
    return boot(standin=None)


@pytest.fixture
def machine(boot, build):
    """A booted machine with tproxyd and the stand-in kuma-dp, and real proxies where there are any."""
    return boot(build=build, proxies=os.environ.get("TPROXYD_TEST_PROXIES") or None)
