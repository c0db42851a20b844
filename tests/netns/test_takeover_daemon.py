# SPDX-License-Identifier: GPL-2.0-or-later
"""A daemon on a host that kumactl has redirected: its rules go when ours are in."""

import re
import subprocess
import time

import netfilter
import pytest
from trial import CAPABILITIES, PROGRAM

NF_BACKENDS = ("iptables", "nftables")
SAVE = {"ipv4": "iptables-nft-save", "ipv6": "ip6tables-nft-save"}
RESTORE = {"ipv4": "iptables-nft-restore", "ipv6": "ip6tables-nft-restore"}


def leftovers(host):
    return {family: [line for line in host.run([tool]).stdout.splitlines() if netfilter.is_ours(line)]
            for family, tool in SAVE.items()}


def foreign(host):
    """Without counters: packets pass."""
    return {family: [re.sub(r" \[\d+:\d+\]$", "", line) for line in host.run([tool]).stdout.splitlines()
                     if not netfilter.is_ours(line) and line[0] != "#"] for family, tool in SAVE.items()}


def await_log(process, text, seconds=30):
    lines, end = [], time.monotonic() + seconds
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return lines
        assert time.monotonic() < end, "".join(lines)
    raise AssertionError("".join(lines))


def test_the_first_rules_of_a_daemon_take_over_with_the_rights_of_the_unit(trial):
    host = trial.host
    for family, tool in RESTORE.items():
        # Its policies would let nothing through.
        host.run([tool, "-c"], input=re.sub("^(:.*) DROP ", r"\1 ACCEPT ", netfilter.FOREIGN, flags=re.MULTILINE))
        text = host.run([netfilter.find_driver(), "text", "e01", family]).stdout
        host.run([tool, "--noflush"], input=text)
        host.run([netfilter.RESTORE[family], "--noflush"], input=text)
    before = foreign(host)
    trial.finish()
    script = 'mount -nt tmpfs tmpfs /tmp; exec "$@"'
    process = host.start(["unshare", "-m", "sh", "-ec", script, "sh", "setpriv", f"--bounding-set={CAPABILITIES}",
                          "--no-new-privs", PROGRAM, "run"], stderr=subprocess.PIPE, text=True)
    log = await_log(process, "Started in")
    print("".join(log))
    assert any("Took over what kumactl had put into nf_tables" in line for line in log)
    assert not any("kumactl" in line for line in log if line.startswith(("warning: ", "error: ")))
    assert leftovers(host) == {"ipv4": [], "ipv6": []}
    assert foreign(host) == before
    process.terminate()
    assert process.wait(20) == 0
    assert foreign(host) == before
    assert not netfilter.our_rules(host)
