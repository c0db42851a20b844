# SPDX-License-Identifier: GPL-2.0-or-later
"""Others change what a daemon has in nf_tables, where its tables are its own and where the kernel knows no owner: what can be
changed, how soon it is put right, and what is told."""

import os
import re
import subprocess
import time

import pytest

from daemon import Daemon
from trial import Trial

SOON = 1  # second that noticing and repairing may take

# A kernel before 5.12: it takes no table with the flag of an owner.
WITHOUT_OWNER = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

static int owns(const struct nlmsghdr *message)
{
	const char *at = (const char *)(message + 1) + sizeof(struct nfgenmsg), *end = (const char *)message + message->nlmsg_len;

	for (const struct nlattr *a; at + sizeof(*a) <= end; at += NLA_ALIGN(a->nla_len)) {
		a = (const void *)at;
		if ((a->nla_type & NLA_TYPE_MASK) == NFTA_TABLE_FLAGS)
			return ntohl(*(const uint32_t *)(a + 1)) & 2;
	}
	return 0;
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
	for (size_t at = 0; at + sizeof(struct nlmsghdr) < len;) {
		struct nlmsghdr *message = (struct nlmsghdr *)((char *)data + at);

		/* A message of no known type is refused, and with it the transaction. */
		if (message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE) && owns(message))
			message->nlmsg_type |= 0xff;
		at += NLMSG_ALIGN(message->nlmsg_len);
	}
	return sendto(fd, data, len, flags, 0, 0);
}
"""
SHIM = "/run/program/shim.so"

# What nftables.service loads: Debian's file, and a rule of the operator's.
SAVED = """#!/usr/sbin/nft -f
flush ruleset
table inet filter {
	chain input { type filter hook input priority filter; tcp dport 9 drop; }
}
"""
CHANGES = [
    "flush ruleset", "delete table ip tproxyd", "delete table ip6 tproxyd", "flush table ip tproxyd",
    "flush chain ip tproxyd KUMA_MESH_OUTBOUND", "insert rule ip tproxyd KUMA_MESH_OUTBOUND return",
    "add rule ip6 tproxyd KUMA_MESH_INBOUND_REDIRECT counter", "add chain ip tproxyd other",
    "add table ip tproxyd { flags dormant; }",
]

# A host that gives its sockets little memory (net.core.wmem_default, net.core.rmem_default).
SMALL_BUFFERS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/socket.h>

int socket(int domain, int type, int protocol)
{
	int (*next)(int, int, int) = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");
	int fd = next(domain, type, protocol), size = 2304;

	if (fd >= 0 && domain == AF_NETLINK) {
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	}
	return fd;
}
"""


@pytest.fixture
def trial(host, tproxyd):
    made = Trial(host, tproxyd, "nftables")
    host.run(["sh", "-c", "mkdir -p /etc; cat >/etc/nftables.conf"], input=SAVED)
    return made


def start(trial, tmp_path):
    daemon = Daemon(trial, tmp_path)
    daemon.await_("READY=1")
    return daemon


def preloaded(trial, tmp_path, source):
    trial.write("/run/program/shim.c", source)
    trial.host.run(["cc", "-shared", "-fPIC", "-o", SHIM, "/run/program/shim.c", "-ldl"])
    trial.environment = {"LD_PRELOAD": SHIM, "ASAN_OPTIONS": "verify_asan_link_order=0"}
    return start(trial, tmp_path)


def unowned(trial, tmp_path):
    return preloaded(trial, tmp_path, WITHOUT_OWNER)


def ours(host):
    """Both tables, counters and owner aside."""
    shown = re.sub(r" # progname .*", "", host.nft())
    return re.findall(r"^table ip6? tproxyd \{.*?^\}", shown, flags=re.M | re.S)


def await_line(daemon, words, count=1):
    end = time.monotonic() + 20
    while len(found := [line for line in daemon.log if re.search(words, line)]) < count:
        assert time.monotonic() < end, (words, "".join(daemon.log))
        time.sleep(0.01)
    return found


def repaired(daemon, expected):
    begin = time.monotonic()
    while ours(daemon.host) != expected:
        assert time.monotonic() - begin < 20, (ours(daemon.host), "".join(daemon.log))
        time.sleep(0.01)
    took = time.monotonic() - begin
    begin = time.monotonic()
    ours(daemon.host)
    assert took < SOON + 3 * (time.monotonic() - begin), took
    return took


def chains(verb, n, first=0):
    return "".join(f"{verb} chain ip others c{i}\n" for i in range(first, first + n))


@pytest.mark.parametrize("ends", ["committed", "given up"])
def test_what_others_prepare_is_no_difference(trial, tmp_path, ends):
    """A list of chains takes several answers of the kernel, and others prepare a long transaction meanwhile."""
    host = trial.host
    host.run(["nft", "-f", "-"], input="add table ip others\n" + chains("add", 600))
    daemon = unowned(trial, tmp_path)
    expected = ours(host)
    assert len(expected) == 2
    more = chains("add", 3000, 600)
    end = time.monotonic() + 6
    while time.monotonic() < end:
        host.run(["nft", "add", "counter", "ip", "others", f"n{time.monotonic_ns()}"])
        if ends == "committed":
            host.run(["nft", "-f", "-"], input=more)
            host.run(["nft", "-f", "-"], input=chains("delete", 3000, 600))
        else:
            host.run(["nft", "-f", "-"], input=more + "add rule ip others c0 jump none\n", check=False)
    assert ours(host) == expected
    assert not [line for line in daemon.log if "Put the rules right" in line or "Cannot tell" in line], "".join(daemon.log)
    daemon.stop()


def watching(host, pid):
    """The daemon's descriptor that hears of transactions."""
    rows = [line.split() for line in host.run(["cat", f"/proc/{pid}/net/netlink"]).stdout.splitlines()[1:]]
    [inode] = [row[9] for row in rows if row[1] == "12" and row[3] == "00000040"]
    [fd] = [fd for fd in os.listdir(f"/proc/{pid}/fd") if os.readlink(f"/proc/{pid}/fd/{fd}") == f"socket:[{inode}]"]
    return fd


class Reads:
    """What is read from a descriptor of a process while it is watched: how many bytes each time."""

    def __init__(self, host, pid, fd, path):
        self.path, self.fd = path, fd
        self.strace = host.start(["strace", "-f", "-p", pid, "-e", "trace=recvfrom", "-o", path], stderr=subprocess.PIPE, text=True)
        assert "attached" in self.strace.stderr.readline()

    def end(self):
        self.strace.terminate()
        self.strace.wait()
        found = re.findall(rf"recvfrom\({self.fd}, .* = (-?\d+)", self.path.read_text(encoding="utf-8"))
        return [int(n) for n in found]


def test_others_wake_it_once_for_each_transaction_and_nothing_else_does(trial, tmp_path):
    daemon = start(trial, tmp_path)
    pid = daemon.process.pid
    fd = watching(trial.host, pid)
    reads = Reads(trial.host, pid, fd, tmp_path / "idle")
    time.sleep(5)
    assert reads.end() == []
    reads = Reads(trial.host, pid, fd, tmp_path / "changed")
    for table in ("first", "second"):
        rules = "".join(f"add rule ip {table} in ip saddr 198.51.100.{n} accept\n" for n in range(200))
        trial.host.run(["nft", "-f", "-"], input=f"add table ip {table}\nadd chain ip {table} in\n{rules}")
        time.sleep(1)
    found = reads.end()
    assert len([n for n in found if n > 0]) == 2 and found.count(-1) == 2, found
    daemon.stop()


def load_saved(host):
    host.run(["nft", "-f", "/etc/nftables.conf"])
    assert "table inet filter" in host.nft()


def test_tables_without_an_owner_are_put_right_and_who_it_was_is_told(trial, tmp_path):
    daemon = unowned(trial, tmp_path)
    await_line(daemon, "notice: backend: this kernel's tables have no owner")
    rules = daemon.status()["rules"]
    assert rules["backend"] == "nftables" and "have no owner" in rules["backend-limit"], rules
    expected = ours(trial.host)
    assert len(expected) == 2 and "flags owner" not in "".join(expected)
    for n, change in enumerate(CHANGES, 1):
        trial.host.run(["nft", change])
        print(f"{change}: {repaired(daemon, expected):.3f} s")
        await_line(daemon, r"Put the rules right, which nft \(process \d+\) had changed: ", n)
        # There is a pause between two repairs; those of a few seconds are no fight yet.
        time.sleep(0.3)
    load_saved(trial.host)
    print(f"nftables.service: {repaired(daemon, expected):.3f} s")
    assert "table inet filter" in trial.host.nft()
    assert daemon.status()["phase"] == "redirecting"
    daemon.stop()
    assert ours(trial.host) == []


def test_a_rule_that_is_turned_around_is_put_right(trial, tmp_path):
    trial.set(redirect__inbound__excludePorts=[1022, 1080])
    daemon = unowned(trial, tmp_path)
    expected = ours(trial.host)
    listed = trial.host.run(["nft", "-as", "list", "table", "ip", "tproxyd"]).stdout
    chain, rule, handle = re.search(r"\tchain (\S+) \{[^}]*?\n\t\t([^\n]* @[^\n]*) # handle (\d+)", listed).groups()
    trial.host.run(["nft", "-f", "-"], input=f"replace rule ip tproxyd {chain} handle {handle} {rule.replace(' @', ' != @', 1)}\n")
    repaired(daemon, expected)
    await_line(daemon, f"Put the rules right, .*: IPv4 nf_tables: chain {chain} is not as it was")
    daemon.stop()


def test_a_host_that_gives_its_sockets_little_memory(trial, tmp_path):
    daemon = preloaded(trial, tmp_path, SMALL_BUFFERS)
    assert len(ours(trial.host)) == 2
    daemon.stop()
    assert ours(trial.host) == []


def test_tables_of_its_own_are_changed_by_nobody(trial, tmp_path):
    daemon = start(trial, tmp_path)
    assert daemon.status()["rules"]["backend-limit"] == "" and not any("no owner" in line for line in daemon.log)
    listed = trial.host.nft()
    for change in CHANGES:
        refused = trial.host.run(["nft", change], check=False)
        assert (refused.returncode == 0) == (change == "flush ruleset"), change
        assert trial.host.nft() == listed
    load_saved(trial.host)
    assert ours(trial.host) == re.findall(r"^table ip6? tproxyd \{.*?^\}", re.sub(r" # progname .*", "", listed), flags=re.M | re.S)
    time.sleep(SOON)
    assert not any("Put the rules right" in line for line in daemon.log)
    assert daemon.status()["phase"] == "redirecting"
    daemon.stop()


def test_nat_rules_that_come_before_those_of_the_start_are_told_of(trial, tmp_path):
    """Docker's are there from the beginning on many hosts."""
    table = "table ip {0} {{ chain y {{ type nat hook output priority {1}; tcp dport 1 redirect to :2; }}; }}"
    trial.host.run(["nft", "-f", "-"], input=table.format("docker", -100))
    daemon = start(trial, tmp_path)
    trial.host.run(["nft", "-f", "-"], input=table.format("same", -100))
    time.sleep(1)
    assert not any("nat rules of others" in line for line in daemon.log)
    trial.host.run(["nft", "-f", "-"], input=table.format("before", -150))
    await_line(daemon, "nat rules of others are in nf_tables now")
    daemon.stop()


# Who comes later to the same priority, -99, is asked first.
@pytest.mark.parametrize("first", [-99, -100])
def test_nat_rules_of_others_that_come_before_ours_are_told_of_once(trial, tmp_path, first):
    daemon = start(trial, tmp_path)

    def add(name, hook, priority):
        trial.host.run(["nft", "-f", "-"], input=f"""table ip {name} {{ chain y {{
            type nat hook {hook} priority {priority}; tcp dport 1 redirect to :2; }}; }}""".replace(
                "redirect to :2" if hook == "postrouting" else "nothing", "masquerade"))
        time.sleep(1)
    add("behind", "output", -98)
    add("leaving", "postrouting", 100)
    assert not any("nat rules of others" in line for line in daemon.log)
    add("tproxyd_of_others", "output", first)
    await_line(daemon, "nat rules of others are in nf_tables now")
    add("another", "output", -100)
    found = await_line(daemon, "nat rules of others are in nf_tables now")
    assert len(found) == 1 and re.search(r"last changed by nft \(process \d+\): they come before ours", found[0]), found
    daemon.stop()
