# SPDX-License-Identifier: GPL-2.0-or-later
"""The service on a host that kumactl has redirected through iptables-nft: it removes the rules from inside its sandbox."""

import os
import re

import sample

REFERENCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "e01", "expected")
FAMILIES = ("iptables-nft", "ip6tables-nft")


def test_rules_of_kumactl_in_nf_tables_are_gone_when_the_service_is_ready(machine):
    with open(REFERENCE, encoding="utf-8") as file:
        text = file.read()
    for family, part in zip(FAMILIES, re.split(r"### IPv[46] ###", text)[1:]):
        machine.run([family, "-t", "nat", "-N", "X_KUMA_MESH"])
        machine.run([family, "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "9", "-j", "X_KUMA_MESH"])
        machine.run([f"{family}-restore", "--noflush"], input=part.replace("* ", "*"))
    sample.configure(machine)
    sample.start(machine)
    assert "Took over what kumactl had put into nf_tables" in machine.journal_text("-u", "tproxyd", "-p", "notice")
    for family in FAMILIES:
        rules = [line for line in machine.run([f"{family}-save"]).stdout.splitlines() if line.startswith("-A")]
        assert rules == ["-A OUTPUT -p tcp -m tcp --dport 9 -j X_KUMA_MESH"]
    assert sample.ask(machine, "backend.mesh") == "NOERROR 240.0.0.1"
