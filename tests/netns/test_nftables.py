# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of the golden cases for nf_tables: what goes in as netlink messages is what goes in as text, and nft,
whichever this host has, lists it, prints it as JSON and loads it again."""

import json
import os
import pathlib

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
    assert "not built" not in printed.stderr
