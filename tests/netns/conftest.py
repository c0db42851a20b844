# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests in throw-away network namespaces share. Environment: TPROXYD, the program under test."""

import os
import sys

import pytest

sys.dont_write_bytecode = True
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "system"))
from backends import pytest_configure, pytest_generate_tests  # noqa: F401
from daemon import Daemon
from machine import network
from trial import Trial

_unavailable = []


def why_not():
    if not _unavailable:
        _unavailable.append(network.unavailable())
    return _unavailable[0]


@pytest.fixture(scope="session")
def tproxyd():
    """The path of the program under test."""
    path = os.environ.get("TPROXYD") or os.path.join(os.path.dirname(TESTS), "build", "dev", "tproxyd")
    if not os.access(path, os.X_OK):
        pytest.skip(f"{path} is not built; see tests/run")
    return os.path.abspath(path)


@pytest.fixture
def net():
    """A host and, at the other end of a cable, its peer: see machine/network.py for addresses and methods."""
    if why_not():
        pytest.skip(why_not())
    with network.Network(own_files=True) as made:
        made.inside.run(["sh", "-ec", f"""
            sed -i /^kuma-dp:/d /etc/passwd /etc/group
            echo kuma-dp:x:{network.KUMA_DP}:{network.KUMA_DP}::/nonexistent:/usr/sbin/nologin >>/etc/passwd
            echo kuma-dp:x:{network.KUMA_DP}: >>/etc/group
            rm -rf /etc/tproxyd"""])
        yield made


@pytest.fixture
def host(net):
    """The namespace that is redirected. It has a user kuma-dp (5678), and an /etc and /run that are nobody else's."""
    return net.inside


@pytest.fixture
def peer(net):
    """The namespace at the other end, with the DNS servers of the host's resolv.conf."""
    return net.outside


@pytest.fixture
def world(net):
    """The peer, answering: HTTP on ports 80 and 8080, an echo on port 7, DNS on port 53."""
    net.serve((80, 8080))
    return net.outside


@pytest.fixture
def dns_servers():
    return network.DNS_SERVERS


@pytest.fixture
def nf_backend():
    """The netfilter backend that daemons use; None: the one that is found."""


@pytest.fixture
def trial(host, tproxyd, nf_backend):
    return Trial(host, tproxyd, nf_backend)


@pytest.fixture
def daemon(trial, tmp_path):
    """A daemon that has its rules in."""
    made = Daemon(trial, tmp_path)
    made.await_("READY=1")
    return made
