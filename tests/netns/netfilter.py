# SPDX-License-Identifier: GPL-2.0-or-later
"""A host whose rules are changed by netfilter_driver (driver.c), and what others may have put there before."""

import os
import re
import subprocess

from machine import network

RECORD = "/run/record"
BUSY = 75
RESTORE = {"ipv4": "iptables-legacy-restore", "ipv6": "ip6tables-legacy-restore"}
COMMAND = {"ipv4": "iptables-legacy", "ipv6": "ip6tables-legacy"}

# In every table: policies, counters, chains, rules that look like ours.
FOREIGN = """*raw
:PREROUTING ACCEPT [11:1100]
:OUTPUT DROP [12:1200]
[13:1300] -A PREROUTING -p udp -m udp --sport 7 -j ACCEPT
[14:1400] -A OUTPUT -p udp -m udp --dport 53 -j CT --zone 2
COMMIT
*mangle
:PREROUTING ACCEPT [21:2100]
:INPUT ACCEPT [22:2200]
:FORWARD DROP [23:2300]
:OUTPUT ACCEPT [24:2400]
:POSTROUTING ACCEPT [25:2500]
[26:2600] -A PREROUTING -m conntrack --ctstate INVALID -j DROP
COMMIT
*nat
:PREROUTING DROP [31:3100]
:INPUT ACCEPT [32:3200]
:OUTPUT ACCEPT [33:3300]
:POSTROUTING ACCEPT [34:3400]
:DOCKER_OUTPUT - [0:0]
:X_KUMA_MESH - [0:0]
[35:3500] -A PREROUTING -p tcp -m tcp --dport 1 -m comment --comment "not kuma/mesh/transparent/proxy/ at all" -j X_KUMA_MESH
[36:3600] -A OUTPUT -p udp -m udp --dport 53 -j REDIRECT --to-ports 15053
[37:3700] -A OUTPUT -p tcp -j X_KUMA_MESH
[38:3800] -A POSTROUTING -p tcp -m tcp --dport 2 -j RETURN
[39:3900] -A X_KUMA_MESH -p udp -m udp --dport 53 -j REDIRECT --to-ports 15053
COMMIT
*filter
:INPUT DROP [41:4100]
:FORWARD ACCEPT [42:4200]
:OUTPUT ACCEPT [43:4300]
:KEEP - [0:0]
[44:4400] -A INPUT -i lo -j KEEP
COMMIT
"""


def find_driver():
    program = os.environ.get("TPROXYD") or os.path.join(
        os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "build", "dev", "tproxyd")
    return os.environ.get("NETFILTER_DRIVER") or os.path.join(
        os.path.dirname(os.path.abspath(program)), "tests", "netns", "netfilter_driver")


class Firewall(network.Namespace):
    """A namespace with only a loopback interface, which no packet passes unless a test sends one."""

    def __init__(self, backend="iptables"):
        super().__init__("firewall", own_files=True)
        self.driver = find_driver()
        self.backend = backend

    def drive(self, *words, hook=None, check=True, timeout=60):
        env = {"BACKEND": self.backend, **({"HOOK": hook} if hook else {})}
        return self.run([self.driver, *words], env=env, check=check, timeout=timeout)

    def apply(self, plan, level="full", scope="recorded", hook=None, check=True):
        return self.drive("apply", plan, level, scope, RECORD, hook=hook, check=check)

    def read(self, plan, level="full", record=RECORD):
        """{(family, table): (exists, found, expected, equal, packets)} and "::6"."""
        words = ["read", plan, level, record]
        result = {}
        for line in self.drive(*words).stdout.splitlines():
            word = line.split()
            if word[0] == "::6":
                result["::6"] = word[1] == "present"
                continue
            found, expected = map(int, word[3].split("/"))
            result[word[0].lower(), word[1]] = (word[2] == "exists", found, expected, word[4] == "equal", int(word[5]))
        return result

    def restore(self, family, text, *options):
        self.run([RESTORE[family], *options], input=text)

    def restore_foreign(self):
        for family in RESTORE:
            self.restore(family, FOREIGN, "-c")

    def restore_plan(self, plan):
        """What kumactl leaves behind."""
        for family in RESTORE:
            text = self.drive("text", plan, family).stdout
            if text.strip():
                self.restore(family, text, "--noflush")

    def recorded(self):
        return self.run(["cat", RECORD], check=False).stdout

    def hold_lock(self, seconds):
        """Another program that has the xtables lock for so long: its Popen."""
        holder = self.start(["flock", "/run/xtables.lock", "sh", "-c", f"echo held; exec sleep {seconds}"],
                            stdout=subprocess.PIPE, text=True)
        assert holder.stdout.readline() == "held\n"
        return holder

    def has_record(self):
        return self.run(["test", "-e", RECORD], check=False).returncode == 0


def without_counters(tables):
    return {family: {table: [re.sub(r"\[\d+:\d+\]", "[0:0]", line) for line in lines]
                     for table, lines in found.items()} for family, found in tables.items()}


def is_ours(line):
    return bool(re.search(r"(?<![A-Z_])KUMA_MESH_|\"kuma/mesh/transparent/proxy/", line))


def our_rules(host):
    """In their order and without counters, by whichever backend."""
    legacy = [f"{family} {table} {line}" for family, found in host.legacy(counters=False).items()
              for table, lines in found.items() for line in lines if is_ours(line)]
    # Whose table it is may be told by the name of a thread.
    shown = re.sub(r" # progname .*", "", host.nft())
    return legacy + re.findall(r"^table ip6? tproxyd \{.*?^\}", shown, flags=re.M | re.S)


def foreign(tables):
    return {family: {table: [line for line in lines if not is_ours(line)] for table, lines in found.items()}
            for family, found in tables.items()}


def plans(*suffixes):
    """Every plan the driver knows, with each suffix."""
    try:
        names = subprocess.run([find_driver(), "list"], capture_output=True, text=True, check=True).stdout.split()
    except OSError:
        names = ["driver-not-built"]
    return [name + suffix for suffix in suffixes or ("",) for name in names]
