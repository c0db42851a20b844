# SPDX-License-Identifier: GPL-2.0-or-later
"""Two other programs edit the same tables, again and again, while rules of ours replace rules of ours.

TPROXYD_TEST_THOROUGH=1: 2,000 edits of each program.
"""

import os
import re
import subprocess

import pytest

import netfilter
from conftest import why_not
from netfilter import Firewall
from test_gapless import beside_driver

EDITS = 2000 if os.environ.get("TPROXYD_TEST_THOROUGH") else 300
RECORD = "/run/tproxyd-install/record"
KEPT = 10  # every tenth rule stays

# Each program has edits of its own, but in the same chains of the same tables: (tool, table, chain, how).
PLACES = [("iptables-legacy", "nat", "OUTPUT", "A"), ("iptables-legacy", "raw", "OUTPUT", "I"),
          ("ip6tables-legacy", "nat", "PREROUTING", "I"), ("ip6tables-legacy", "raw", "PREROUTING", "A")]
# An edit of its that is lost makes the program itself fail: what it deletes has to be there.
PROGRAM = """
n=0
while [ $n -lt {edits} ]; do
    for place in {places}; do
        IFS=, read -r tool table chain how <<.
$place
.
        $tool -w -t $table -$how $chain -p {proto} --dport $((n + 1)) -j ACCEPT
        [ $((n % {kept})) = 0 ] || $tool -w -t $table -D $chain -p {proto} --dport $((n + 1)) -j ACCEPT
        n=$((n + 1))
    done
done
"""


@pytest.fixture
def fw():
    if why_not():
        pytest.skip(why_not())
    if not os.access(beside_driver("reapply"), os.X_OK):
        pytest.skip(f"{beside_driver('reapply')} is not built; see tests/run")
    with Firewall() as made:
        made.run(["sh", "-ec", "sed -i /^kuma-dp:/d /etc/passwd; echo kuma-dp:x:5678:5678::/:/bin/false >>/etc/passwd"])
        made.restore_foreign()
        yield made


def start_editor(fw, proto):
    places = " ".join(",".join(place) for place in PLACES)
    text = PROGRAM.format(edits=EDITS, places=places, kept=KEPT, proto=proto)
    return fw.start(["bash", "-e", "-c", text], stderr=subprocess.PIPE, text=True)


def kept_edits(tables, place, proto):
    """What a program has left in one place, in order."""
    tool, table, chain, _ = place
    pattern = rf"^-A {chain} -p {proto} -m {proto} --dport (\d+) -j ACCEPT$"
    lines = tables["ipv6" if tool.startswith("ip6") else "ipv4"][table]
    return [int(n) for line in lines for n in re.findall(pattern, line)]


def expected_edits(place):
    every = [n + 1 for n in range(EDITS) if n % len(PLACES) == PLACES.index(place) and n % KEPT == 0]
    return every if place[3] == "A" else every[::-1]


def test_no_edit_of_two_others_is_lost_and_none_of_ours(fw):
    others = netfilter.without_counters(fw.legacy())
    sides = ["--", "--redirect-dns", "--redirect-outbound-port=15001",
             "--", "--redirect-dns", "--redirect-outbound-port=25001", "--drop-invalid-packets"]
    reapply = beside_driver("reapply")
    editors = {proto: start_editor(fw, proto) for proto in ("tcp", "udp")}
    rounds = busy = 0
    while any(editor.poll() is None for editor in editors.values()):
        out = fw.run([reapply, "20+read", RECORD, *sides], timeout=300)
        found = dict(line.rsplit(" ", 1) for line in out.stdout.splitlines() if not line.startswith("apply"))
        assert (int(found["missing"]), out.stderr) == (0, "")
        busy += int(found["busy"])
        rounds += 40
    for editor in editors.values():
        assert editor.returncode == 0, editor.stderr.read()
    print(f"{rounds} re-applies beside 2 x {EDITS} edits, {busy} times busy")
    assert rounds >= 40 and busy > 0

    tables = fw.legacy(counters=False)
    for proto in editors:
        for place in PLACES:
            assert kept_edits(tables, place, proto) == expected_edits(place), (proto, place)
    fw.run([reapply, "1", RECORD, "--", "nothing"])
    left = netfilter.without_counters(fw.legacy())
    for family in left.values():
        for table, lines in family.items():
            family[table] = [line for line in lines if not re.search(r"-p (tcp|udp) -m \1 --dport \d+ -j ACCEPT$", line)]
    assert left == others
