# SPDX-License-Identifier: GPL-2.0-or-later
"""Other kernels than this one, in QEMU: which backend is chosen where something is missing, and what it does there.

Environment: TPROXYD_TEST_KERNELS=1; without it nothing is run. Needs the package qemu-system-x86, a Debian and its mirror;
a minute each."""

import json
import os
import re
import shutil

import pytest

import vm
from trial import STANDIN

pytestmark = [
    pytest.mark.skipif("TPROXYD_TEST_KERNELS" not in os.environ, reason="TPROXYD_TEST_KERNELS is not set: kernels in QEMU"),
    pytest.mark.skipif(not shutil.which(vm.QEMU), reason=f"{vm.QEMU} is not installed"),
]
GUEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest.py")
LEGACY = ("ip_tables", "ip6_tables")
BOTH = {"v4": "redirected", "v6": "redirected"}
DIRECT = {"v4": "direct", "v6": "direct"}


@pytest.fixture(scope="session")
def kernel(tmp_path_factory):
    """kernel(SERIES): a directory with one; it is fetched once."""
    place, found = tmp_path_factory.mktemp("kernels"), {}

    def get(series):
        if series not in found:
            try:
                found[series] = vm.fetch(series, place)
            except vm.Unavailable as error:
                pytest.skip(str(error))
        return found[series]
    return get


@pytest.fixture
def told(kernel, tproxyd, tmp_path):
    def tell(series, *without):
        said = vm.boot(kernel(series), tmp_path, GUEST, {"/bin/tproxyd": tproxyd, "/standin": STANDIN}, without)
        line = re.search(r"RESULT (\{.*\})", said)
        assert line, said[-3000:]
        result = json.loads(line[1])
        assert "failed" not in result, result["failed"]
        print(result["kernel"], "without", without, "\n" + result["log"])
        assert result["before"] == DIRECT and result["stopped"] == DIRECT and result["left"]["nft"] == "", result
        return result
    return tell


def assert_joins(result, backend):
    """Redirects both families, drains with open connections, and ends."""
    assert result["status"]["phase"] == "redirecting" and result["status"]["rules"]["backend"] == backend, result["log"]
    assert result["started"] == result["flushed"] == BOTH, result
    assert result["drains"] and result["draining"] == DIRECT and result["alive"] == [True, True], result
    assert result["exit"] == 0, result["log"]
    assert backend == "iptables" or "may be noticed" not in result["log"], result["log"]


@pytest.mark.parametrize("series", vm.RELEASES)
def test_without_legacy_tables(told, series):
    result = told(series, *LEGACY)
    assert_joins(result, "nftables")
    assert "notice: backend: nftables is used: this kernel has no legacy tables (ip_tables)" in result["log"]
    is_owned = "flags owner" in result["tables"]["nft"]
    assert is_owned == (series != "5.10")
    limit = result["status"]["rules"]["backend-limit"]
    assert bool(limit) == (not is_owned) and result["log"].count("tables have no owner") == (not is_owned), result["log"]
    # The kernel lets nobody else flush an owned table; others are put right, and it is said who it was.
    repaired = re.search(r"Put the rules right, which nft \(process \d+\) had changed: .*table tproxyd is gone", result["log"])
    assert bool(repaired) == (not is_owned), result["log"]


def test_with_legacy_tables_for_one_family_alone(told):
    assert_joins(told("6.1", "ip6_tables"), "nftables")


@pytest.mark.parametrize("without", [(), ("nf_tables",), ("nft_redir",)], ids=["all", "no-nf_tables", "no-nft_redir"])
def test_with_legacy_tables(told, without):
    assert_joins(told("6.1", *without), "iptables")


def test_without_conntrack_zones(told):
    result = told("6.1", *LEGACY, "nft_ct")
    assert_joins(result, "nftables")
    for family in ("IPv4", "IPv6"):
        assert f"DNS over {family} gets no conntrack zone of its own: nf_tables of this kernel cannot set conntrack zones" in result["log"]


def test_without_a_way_to_ask_for_local_addresses(told):
    """It is needed beside interfaces without an address alone."""
    assert_joins(told("6.1", *LEGACY, "nft_fib"), "nftables")


@pytest.mark.parametrize("module, reason", [("nf_tables", "this kernel has no nf_tables"),
                                            ("nft_redir", "nf_tables of this kernel cannot redirect")])
def test_where_nothing_can_redirect(told, module, reason):
    result = told("6.1", *LEGACY, module)
    assert result["exit"] == 1 and result["started"] == DIRECT
    assert re.search(rf"error: backend: this kernel has no legacy tables \(ip_tables\), and .*{reason}", result["log"]), result["log"]
