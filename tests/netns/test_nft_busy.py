# SPDX-License-Identifier: GPL-2.0-or-later
"""Others commit to nf_tables all the time, as where containers come and go: what is there is seen all the same, and what is to
be changed waits instead of failing."""

import contextlib
import subprocess
import time

import pytest

import test_syscall_faults
from daemon import Daemon, lock, unlock
from trial import Trial

# One transaction after the other, which leave nothing: argv[1] seconds between two, and after 0.3 s a rest of argv[2] seconds.
WRITER = """
import socket, struct, sys, time
def message(kind, flags, family, resource, *attributes):
    body = b"".join(struct.pack("=HH", 4 + len(value), kind) + value + b"\\0" * (-len(value) % 4) for kind, value in attributes)
    return struct.pack("=IHHIIBBH", 20 + len(body), kind, flags, 0, 0, family, 0, socket.htons(resource)) + body
name = (1, b"busy\\0")
table = message(10 << 8 | 0, 0x401, 2, 0, name) + message(10 << 8 | 2, 1, 2, 0, name)
batch = message(0x10, 1, 0, 10) + table + message(0x11, 1, 0, 10)
link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
link.bind((0, 0))
print("writes", flush=True)
while True:
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        link.send(batch)
        time.sleep(float(sys.argv[1]))
    time.sleep(float(sys.argv[2]))
"""


@contextlib.contextmanager
def others_commit(host, pause, rest=0):
    writer = host.start(["/usr/bin/python3", "-c", WRITER, str(pause), str(rest)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout.readline() == "writes\n"
    before = generation(host)
    try:
        yield
    finally:
        writer.kill()
        writer.wait()
    assert generation(host) > before + 10


def generation(host):
    """How many transactions there were."""
    script = """import socket, struct
link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
link.send(struct.pack("=IHHIIBBH", 20, 10 << 8 | 16, 1, 1, 0, 0, 0, 0))
print(int.from_bytes(link.recv(4096)[24:28], "big"))"""
    return int(host.run(["/usr/bin/python3", "-c", script]).stdout)


@pytest.fixture(name="program")
def fixture_program():
    return test_syscall_faults.program()


def test_nat_rules_of_others_are_seen_among_thousands_that_change(host, program):
    many = "".join(f"add rule ip filter many ip saddr 198.51.{n >> 8}.{n & 255} accept\n" for n in range(6000))
    host.run(["nft", "-f", "-"], input=f"""add table ip filter
        add chain ip filter many
        {many}
        table ip docker {{ chain prerouting {{ type nat hook prerouting priority -100; tcp dport 1 dnat to 198.51.100.7; }}; }}
        """)
    with others_commit(host, 0.002):
        chosen = [host.run([program, "install", "--dry-run"]) for _ in range(5)]
    assert [run.stdout.partition("\n")[0] for run in chosen] == ["add table ip tproxyd"] * 5, chosen[0].stderr


def test_a_dead_proxy_is_released_whoever_else_commits(host, program, tmp_path):
    """Reading takes as long as there are chains of others, and never comes to an end: our own tables need not be read."""
    chains = "".join(f"add chain ip others c{n}\n" for n in range(40000))
    host.run(["nft", "-f", "-"], input=f"add table ip others\n{chains}")
    trial = Trial(host, program, "nftables")
    trial.set(failure__holdRules="1s")
    daemon = Daemon(trial, tmp_path)
    daemon.await_("READY=1")
    with others_commit(host, 0.005):
        host.run(["mv", "/run/standin/kuma-dp", "/run/standin/kuma-dp.gone"])
        host.run(["kill", "-KILL", str(daemon.status()["processes"]["kuma-dp"]["pid"])])
        end = time.monotonic() + 10
        while not any("Traffic of this host goes direct" in line for line in daemon.log):
            assert time.monotonic() < end, daemon.log
            time.sleep(0.1)
    daemon.stop()


def test_a_change_waits_for_a_moment_without_others(host, program):
    networks = ",".join(f"10.{n >> 7}.{n % 128 * 2}.0/24" for n in range(4000))
    options = ["--backend=nftables", f"--exclude-outbound-ips={networks}"]
    host.run([program, "install", *options])
    with others_commit(host, 0.0001, 0.3):
        for n in range(10):
            host.run([program, "install", *options, f"--redirect-outbound-port={20001 + n}"])
    assert "redirect to :20010" in host.nft()
    with others_commit(host, 0.0001, 0.3):
        host.run([program, "uninstall"])
    assert "tproxyd" not in host.nft()


def test_long_lists_go_in_where_the_socket_may_not_be_made_as_large_as_one_likes(host, program):
    """In a user namespace the host's limit holds: net.core.wmem_max, which Linux doubles."""
    if host.run(["unshare", "-Ur", "true"], check=False).returncode != 0:
        pytest.skip("no user namespaces can be had here (in a chroot there are none)")
    networks = ",".join(f"10.{n >> 7}.{n % 128 * 2}.0/24" for n in range(3000))
    script = 'mount -t tmpfs run /run; ip link set lo up; "$@" && nft list table ip tproxyd | grep -c "10\\\\."'
    found = host.run(["unshare", "-Urmn", "sh", "-c", script, "sh", program, "install", "--backend=nftables",
                      f"--exclude-outbound-ips={networks}", f"--exclude-inbound-ips={networks.replace('10.', '11.')}"])
    assert int(found.stdout) > 500, found


def test_nothing_is_begun_while_somebody_keeps_rules_of_the_legacy_tables_from_going(host, tproxyd, tmp_path):
    trial = Trial(host, tproxyd, "nftables")
    host.run(["sh", "-ec", """iptables-legacy -t nat -N KUMA_MESH_OUTBOUND
        iptables-legacy -t nat -A KUMA_MESH_OUTBOUND -p tcp --dport 9 -j REDIRECT --to-ports 15001
        iptables-legacy -t nat -A OUTPUT -p tcp -j KUMA_MESH_OUTBOUND"""])
    held, before = lock(trial), generation(host)
    daemon = Daemon(trial, tmp_path)
    daemon.await_("STATUS=Cannot apply the rules: .*lock")
    time.sleep(1)
    assert generation(host) == before and daemon.status()["phase"] == "applying", "".join(daemon.log)
    unlock(held)
    daemon.await_("READY=1")
    assert daemon.level() == "full" and "KUMA_MESH" not in host.run(["iptables-legacy", "-t", "nat", "-S"]).stdout
    daemon.stop()
