# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of the golden cases for nf_tables: what goes in as netlink messages is what goes in as text, and nft,
whichever this host has, lists it, prints it as JSON and loads it again."""

import json
import os
import pathlib
import re
import subprocess

import pytest

from machine import network

from netfilter import find_driver

CASES = sorted(p.parent for p in (pathlib.Path(__file__).parents[1] / "golden").glob("*/case.yaml"))
LEVELS = ("none", "drain", "no-dns", "full")
REFUSED = 77


@pytest.fixture(scope="module", name="host")
def fixture_host():
    host = network.Namespace("nftables")
    yield host
    host.close()


def drive(host, *words):
    program = os.path.join(os.path.dirname(find_driver()), "nft_case")
    return host.run([program, *map(str, words)], check=False)


def listed(host):
    return host.run(["nft", "list", "ruleset"]).stdout


def empty(host):
    host.run(["nft", "flush", "ruleset"])


def check_level(host, case, level):
    text = drive(host, "text", case, level)
    if text.returncode == REFUSED:
        return
    assert text.returncode == 0, text.stderr
    host.run(["nft", "-f", "-"], input=text.stdout)
    by_text = listed(host)
    empty(host)
    sent = drive(host, "send", case, level)
    assert sent.returncode == 0, sent.stderr
    assert listed(host) == by_text
    if level != "none":
        tables = [e["table"]["name"] for e in json.loads(host.run(["nft", "-j", "list", "ruleset"]).stdout)["nftables"]
                  if "table" in e]
        assert set(tables) == {"tproxyd"}
    empty(host)
    host.run(["nft", "-f", "-"], input=by_text)
    assert listed(host) == by_text
    # What is in is replaced, and goes.
    assert drive(host, "send", case, level).returncode == 0
    assert listed(host) == by_text
    assert drive(host, "send", case, "none").returncode == 0
    assert listed(host) == ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_messages_and_text_are_the_same(host, case):
    for level in LEVELS:
        check_level(host, case, level)


@pytest.mark.parametrize("what", ["strict", "lists"])
def test_messages_and_text_of_what_no_case_has(host, what):
    for level in LEVELS:
        check_level(host, f"{CASES[0].parent / 'default'}:{what}", level)


def test_nft_takes_what_a_dry_run_prints(host, tproxyd):
    words = [tproxyd, "install", "--dry-run", "--backend", "nftables", "--kuma-dp-user", "root", "--redirect-dns"]
    printed = host.run(words)
    host.run(["nft", "-f", "-"], input=printed.stdout)
    assert "redirect to :15001" in listed(host)
    host.run(["nft", "-f", "-"], input=printed.stdout)
    empty(host)
    assert "not built" not in printed.stderr and "The kernel takes these rules" in printed.stderr


DRY = ("install", "--dry-run", "--backend", "nftables", "--kuma-dp-user", "root")


def test_a_dry_run_says_what_the_kernel_thinks_where_it_may_ask(host, tproxyd):
    asked = host.run([tproxyd, *DRY])
    assert "The kernel takes these rules" in asked.stderr and listed(host) == ""
    # Others are only shown them.
    printed = host.run(["setpriv", "--bounding-set=-net_admin", "--reuid=1", "--clear-groups", tproxyd, *DRY])
    assert printed.stdout == asked.stdout and "The kernel" not in printed.stderr
    assert "The kernel" not in host.run([tproxyd, *(word.replace("nftables", "iptables") for word in DRY)]).stderr


def own(host):
    """Somebody who has a table of our name, and that table's port."""
    owner = host.start(["nft", "-i"], stdin=subprocess.PIPE, text=True)
    owner.stdin.write("add table ip tproxyd { flags owner; }\n")
    owner.stdin.flush()
    while "tproxyd" not in listed(host):
        assert owner.poll() is None
    return owner


def test_whose_a_table_is_that_cannot_be_replaced_is_told(host, tproxyd):
    owner = own(host)
    whose = (r"the IPv4 table tproxyd of nf_tables belongs to another program \(netlink port (\d+)\); "
             rf"netlink port \1 is that of nft \(process {owner.pid}\)")
    asked = host.run([tproxyd, *DRY])
    assert re.search(f"The kernel does not take these rules: {whose}\n", asked.stderr), asked.stderr
    refused = host.run([tproxyd, "install", "--backend", "nftables", "--kuma-dp-user", "root", "--wait", "1", "--max-retries", "0"],
                       check=False)
    assert refused.returncode == 1 and re.search(rf"{whose} \(waited 1\d* ms\)", refused.stderr), refused.stderr
    owner.stdin.close()
    owner.wait()
    assert host.run([tproxyd, "uninstall"]).returncode == 0
    assert listed(host) == ""


# As systemd does with the descriptors that services give it: it keeps the socket of one that has ended.
KEEPER = """
import ctypes, os, signal, subprocess, sys
open("/proc/self/comm", "w").write("systemd")
owner = subprocess.Popen(["nft", "-i"], stdin=subprocess.PIPE, text=True)
owner.stdin.write("add table ip tproxyd { flags owner; }\\n")
owner.stdin.flush()
while "tproxyd" not in subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout:
    assert owner.poll() is None
PIDFD_GETFD = 438
libc, pidfd = ctypes.CDLL(None), os.pidfd_open(owner.pid)
for fd in os.listdir(f"/proc/{owner.pid}/fd"):
    if "socket:" in os.readlink(f"/proc/{owner.pid}/fd/{fd}"):
        assert libc.syscall(PIDFD_GETFD, pidfd, int(fd), 0) >= 0
owner.kill()
owner.wait()
sys.exit(subprocess.run([sys.argv[1], "uninstall"]).returncode)
"""


def test_uninstall_says_that_systemd_keeps_the_socket_whose_table_it_is(host, tproxyd):
    refused = host.run(["unshare", "--pid", "--fork", "--mount-proc", "/usr/bin/python3", "-c", KEEPER, tproxyd], check=False, timeout=60)
    assert refused.returncode == 1
    assert re.search(r"belongs to another program \(netlink port (\d+)\); systemd keeps netlink port \1 in its fd store "
                     r"\(waited 10\d* ms\)", refused.stderr), refused.stderr
    while "tproxyd" in listed(host):
        pass
