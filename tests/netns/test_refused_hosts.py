# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts that cannot do what is asked: no legacy tables, rules of others, another instance, no right to change rules."""

import json
import signal
import subprocess
import time

import pytest

from trial import PROGRAM, Trial

# What the kernel says where ip_tables (or ip6_tables) is not loaded, or nfnetlink. The list of modules is hidden too.
WITHOUT_TABLES = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	int (*next)(int, int, int, void *, socklen_t *) = dlsym(RTLD_NEXT, "getsockopt");

	if (name == 64 && (level == IPPROTO_IPV6 || (level == IPPROTO_IP && !getenv("ONLY_IPV6")))) {
		errno = ENOPROTOOPT;
		return -1;
	}
	return next(fd, level, name, value, len);
}

int socket(int domain, int type, int protocol)
{
	int (*next)(int, int, int) = dlsym(RTLD_NEXT, "socket");

	if (domain == AF_NETLINK && protocol == 12 && getenv("WITHOUT_NFNETLINK")) {
		errno = EPROTONOSUPPORT;
		return -1;
	}
	return next(domain, type, protocol);
}

FILE *fopen(const char *path, const char *mode)
{
	FILE *(*next)(const char *, const char *) = dlsym(RTLD_NEXT, "fopen");

	if (strstr(path, "modules.dep") || strstr(path, "ip6_tables_names") ||
	    (strstr(path, "ip_tables_names") && !getenv("ONLY_IPV6"))) {
		errno = ENOENT;
		return NULL;
	}
	return next(path, mode);
}
"""


@pytest.fixture
def subject(host, tproxyd):
    return Trial(host, tproxyd)


@pytest.fixture
def without_tables(subject):
    """ONLY_IPV6 in the environment leaves those of IPv4, WITHOUT_NFNETLINK takes nf_tables as well."""
    subject.write("/run/program/shim.c", WITHOUT_TABLES)
    subject.host.run(["cc", "-shared", "-fPIC", "-o", "/run/program/shim.so", "/run/program/shim.c"])
    subject.environment = {"LD_PRELOAD": "/run/program/shim.so", "ASAN_OPTIONS": "verify_asan_link_order=0"}
    return subject


def starts(subject, *arguments):
    """Starts `run` and returns it when it redirects."""
    process = subject.host.start([PROGRAM, "run", *arguments], env=subject.environment, stderr=subprocess.PIPE,
                                 text=True)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "Started in" in line:
            return process
    raise AssertionError("".join(lines))


def stops(process):
    process.terminate()
    text = process.communicate(timeout=30)[1]
    assert process.returncode == 0, text
    return text


def tables(host):
    return host.run(["nft", "list", "ruleset"]).stdout


def test_a_kernel_with_neither_kind_of_tables_is_refused(without_tables):
    without_tables.environment["WITHOUT_NFNETLINK"] = "1"
    without_tables.finish()
    before = without_tables.state()
    for said in (without_tables.check(), without_tables.run()):
        assert said.status == 1, said.text
        assert said.errors == ["error: backend: this kernel has no legacy tables (ip_tables), and this kernel has no "
                               "nf_tables"]
    assert without_tables.state() ^ before == set()


def test_a_dry_run_says_that_the_kernel_does_not_take_what_it_prints(without_tables):
    without_tables.environment["WITHOUT_NFNETLINK"] = "1"
    said = without_tables.shell(f"exec {PROGRAM} install --dry-run --kuma-dp-user=5678 --backend nftables")
    assert said.status == 0 and "The kernel does not take these rules: this kernel has no nf_tables" in said.text, said.text


@pytest.mark.parametrize("name, missing", [("iptables", "this kernel has no legacy tables (ip_tables)"),
                                           ("nftables", "this kernel has no nf_tables")])
def test_a_backend_that_is_named_is_that_one_or_an_error(without_tables, name, missing):
    without_tables.environment["WITHOUT_NFNETLINK"] = "1"
    without_tables.set(backend=name)
    without_tables.finish()
    before = without_tables.state()
    for said in (without_tables.check(), without_tables.run()):
        assert said.status == 1 and len(said.errors) == 1 and said.errors[0].endswith(missing), said.text
    said = without_tables.shell(f"exec {PROGRAM} install --kuma-dp-user=5678 --backend {name}")
    assert said.status == 1 and missing in said.text, said.text
    assert without_tables.state() ^ before == set()


def test_without_legacy_tables_nftables_is_used(without_tables):
    without_tables.finish()
    said = without_tables.check()
    assert (said.status, said.errors) == (0, []), said.text
    assert any("notice: backend: nftables is used: this kernel has no legacy tables (ip_tables)" in line
               for line in said.notices), said.text
    process = starts(without_tables)
    assert all(f"table {family} tproxyd" in tables(without_tables.host) for family in ("ip", "ip6"))
    rules = json.loads(without_tables.host.run([PROGRAM, "status", "--json"]).stdout)["rules"]
    assert rules["backend"] == "nftables" and "no legacy tables" in rules["backend-reason"], rules
    stops(process)
    assert not tables(without_tables.host)


def test_an_installation_without_legacy_tables_uses_nftables(without_tables):
    said = without_tables.shell(f"exec {PROGRAM} install --kuma-dp-user=5678")
    assert said.status == 0 and "table ip tproxyd" in tables(without_tables.host), said.text
    assert without_tables.shell(f"exec {PROGRAM} uninstall").status == 0
    assert not tables(without_tables.host)


def test_a_kernel_without_legacy_tables_for_ipv6_is_told_of_and_redirects_ipv4(without_tables):
    without_tables.environment["ONLY_IPV6"] = "1"
    without_tables.set(backend="iptables")
    without_tables.finish()
    said = without_tables.check()
    assert (said.status, said.errors) == (0, []), said.text
    sentence = "ipFamilyMode: this kernel has no legacy tables for IPv6 (ip6_tables): IPv6 is not redirected"
    assert any(sentence in line for line in said.notices), said.text
    process = starts(without_tables)
    assert "KUMA_MESH_OUTBOUND" in str(without_tables.host.legacy()["ipv4"])
    assert "KUMA_MESH" not in str(without_tables.host.legacy()["ipv6"])
    stops(process)


def test_nat_rules_of_others_in_nf_tables_are_told_of(subject):
    subject.host.run(["nft", "-f", "-"], input="""
        table ip docker {
            chain out { type nat hook output priority -100; tcp dport 9 redirect to :10; }
        }""")
    subject.finish()
    said = subject.check()
    assert (said.status, said.errors) == (0, []), said.text
    assert any("notice: backend: nftables is used: nat rules of others are in nf_tables" in line
               for line in said.notices), said.text
    process = starts(subject)
    assert "table ip tproxyd" in tables(subject.host) and "KUMA_MESH" not in str(subject.host.legacy())
    # Who reloads stays where he is.
    subject.host.run(["nft", "delete table ip docker"])
    assert subject.shell(f"exec {PROGRAM} reload").status == 0
    assert "table ip tproxyd" in tables(subject.host) and "KUMA_MESH" not in str(subject.host.legacy())
    stops(process)
    assert "tproxyd" not in tables(subject.host)


OURS = "flush ruleset\ntable ip tproxyd {\n}\n"


@pytest.mark.parametrize("place", ["/etc/nftables.conf", "/etc/sysconfig/nftables.conf"])
def test_check_warns_of_our_tables_in_what_is_loaded_at_boot(subject, place):
    subject.write(place, OURS)
    subject.finish()
    said = subject.check()
    assert said.status == 0 and any(f"warning: backend: {place} has a table of tproxyd in it" in line for line in said.warnings), said.text
    # What is no such file is not read, nor waited for.
    for spoil in (f"rm {place}; mkfifo {place}", f"rm {place}; ln -s /dev/zero {place}", f"rm {place}; mkdir {place}",
                  f"rmdir {place}; head -c 2M /dev/zero | tr '\\0' ' ' >{place}; echo 'table ip tproxyd {{' >>{place}",
                  f"echo flush ruleset >{place}", f"rm {place}"):
        subject.host.run(["sh", "-ec", spoil])
        said = subject.check()
        assert said.status == 0 and not any("table of tproxyd" in line for line in said.warnings), (spoil, said.text)


INCLUDES = {
    "/etc/nftables.conf": 'flush ruleset\ninclude "/etc/nft/*.nft"\ninclude "/etc/nothing"\n',
    "/etc/nft/1.nft": 'include "/etc/nft/1.nft"\ninclude "/etc/nft/1.nft"\ninclude "./etc/nft/others"\n',
    "/etc/nft/others": 'include "from-etc"\n',
}


def test_check_warns_of_our_tables_in_what_is_included_there(subject):
    for path, text in INCLUDES.items():
        subject.write(path, text)
    subject.write("/etc/from-etc", OURS)
    subject.finish()
    said = subject.check()
    assert said.status == 0 and any("warning: backend: /etc/from-etc has a table of tproxyd in it" in line for line in said.warnings), said.text
    # What nobody includes is nobody's business.
    subject.host.run(["rm", "/etc/nft/others"])
    said = subject.check()
    assert said.status == 0 and not any("table of tproxyd" in line for line in said.warnings), said.text


def test_check_tells_of_rules_that_exempt_nothing_from_nftables(subject):
    subject.host.run(["iptables-legacy", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "9", "-j", "RETURN"])
    subject.set(backend="nftables")
    subject.finish()
    said = subject.check()
    assert any("notice: backend: rules of others return or accept in nat (a legacy table)" in line for line in said.notices), said.text
    subject.host.run(["iptables-nft", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "9", "-j", "ACCEPT"])
    said = subject.check()
    assert any("return or accept in nat (ip nat OUTPUT)" in line for line in said.notices), said.text
    assert said.status == 0


def test_a_second_instance_is_refused_with_the_pid_of_the_first(subject):
    subject.finish()
    first = starts(subject)
    before = {line for line in subject.state() if not line.startswith("/run/tproxyd")}
    for verb in ("run", "install --kuma-dp-user=5678", "uninstall"):
        for _ in range(4):
            said = subject.shell(f"exec {PROGRAM} {verb}")
            assert said.status == 1, said.text
            assert f"another tproxyd (process {first.pid}) works in this network namespace" in said.text
    assert subject.shell(f"exec {PROGRAM} uninstall --recorded --quiet").status == 0
    assert {line for line in subject.state() if not line.startswith("/run/tproxyd")} ^ before == set()
    stops(first)


def test_names_that_anybody_can_take_keep_nobody_out(subject):
    subject.finish()
    before = {line for line in subject.state() if not line.startswith("/run")}
    thief = subject.host.start(["/usr/bin/python3", "-c", "import socket, time; s = socket.socket(socket.AF_UNIX);"
                                "s.bind('\\0tproxyd'); s.listen(); print('up', flush=True); time.sleep(600)"],
                               stdout=subprocess.PIPE, text=True)
    assert thief.stdout.readline() == "up\n"
    first = starts(subject)
    first.kill()
    first.wait()
    assert "KUMA_MESH_OUTBOUND" in str(subject.host.legacy())
    said = subject.shell(f"exec {PROGRAM} uninstall --recorded --quiet")
    assert said.status == 0, said.text
    assert {line for line in subject.state() if not line.startswith("/run")} ^ before == set()


def test_check_names_ports_that_connections_may_take(subject):
    subject.finish()
    assert not [line for line in subject.check().warnings if "ip_local_port_range" in line]
    subject.host.run(["sh", "-c", "echo 1024 65535 >/proc/sys/net/ipv4/ip_local_port_range"])
    said = [line for line in subject.check().warnings if "ip_local_port_range" in line]
    assert len(said) == 1, said
    cure = said[0].split('"')[1].split("=")[1]
    subject.host.run(["sh", "-c", f"echo {cure} >/proc/sys/net/ipv4/ip_local_reserved_ports"])
    assert not [line for line in subject.check().warnings if "ip_local_port_range" in line]


def test_the_lock_and_the_record_are_roots_alone(subject):
    subject.finish()
    first = starts(subject)
    tried = subject.host.run(["sh", "-c", "stat -c '%a %U' /run/tproxyd-state /run/tproxyd-state/lock;"
                              "setpriv --reuid 65534 --clear-groups flock -n /run/tproxyd-state/lock true"],
                             check=False)
    assert tried.stdout == "700 root\n600 root\n" and "Permission denied" in tried.stderr, tried
    stops(first)
    assert subject.host.run(["ls", "/run/tproxyd-state"]).stdout == "lock\n"


def test_without_the_right_to_change_rules_nothing_is_left_behind(subject):
    subject.finish()
    before = {line for line in subject.state() if not line.startswith("/run")}
    said = subject.shell(f"exec setpriv --bounding-set=-net_admin,-net_raw {PROGRAM} run", timeout=60)
    assert said.status == 1 and "CAP_NET_RAW is missing: rules can be neither read nor changed" in said.text, said.text
    assert {line for line in subject.state() if not line.startswith("/run")} ^ before == set()


def test_a_rule_of_others_that_jumps_to_a_chain_of_ours_is_told_of_and_left_alone(subject):
    subject.host.run(["iptables-legacy", "-w", "-t", "nat", "-N", "KUMA_MESH_OUTBOUND"])
    subject.host.run(["iptables-legacy", "-w", "-t", "nat", "-N", "OF_OTHERS"])
    subject.host.run(["iptables-legacy", "-w", "-t", "nat", "-A", "OF_OTHERS", "-j", "KUMA_MESH_OUTBOUND"])
    before = subject.state()
    said = subject.shell(f"exec {PROGRAM} uninstall")
    assert "rule 1 of OF_OTHERS jumps to KUMA_MESH_OUTBOUND" in said.text, said.text
    assert {line for line in subject.state() ^ before if not line.startswith("/run")} == set()


def test_a_start_that_is_still_loading_ends_at_once(subject):
    """There is nothing to undo yet: however long a program takes to say its version, a stop does not wait for it."""
    subject.write("/run/slow/kuma-dp", "#!/bin/sh\nexec sleep 30\n", "0755")
    subject.settings["kumaDP.path"] = "/run/slow/kuma-dp"
    subject.finish()
    before, begin = subject.state(), time.monotonic()
    said = subject.shell(f"exec timeout --preserve-status --signal=TERM 1 {PROGRAM} run")
    assert said.status == 128 + signal.SIGTERM and time.monotonic() - begin < 3, said.text
    assert subject.state() ^ before == set()


def test_a_reload_without_a_daemon_says_so(subject):
    said = subject.shell(f"exec {PROGRAM} reload")
    assert said.status == 1 and "tproxyd is not running" in said.text, said.text


@pytest.mark.parametrize("user", ["999999", "nobody-knows"])
def test_an_installation_for_a_user_that_does_not_exist_is_refused(subject, user):
    before = subject.state()
    said = subject.shell(f"exec {PROGRAM} install --kuma-dp-user={user}")
    assert said.status == 1 and f"('{user}') does not refer to a valid user on the host" in said.text, said.text
    assert subject.state() ^ before == set()


def test_a_full_disk_does_not_keep_the_rules_in(subject):
    """The record is written before a change; where it cannot be, rules still have to be taken out."""
    subject.finish()
    subject.host.run(["sh", "-ec", "mkdir -p /run/tproxyd; mount -nt tmpfs -o size=128k,mode=755 tmpfs /run/tproxyd"])
    process = starts(subject)
    subject.host.run(["dd", "if=/dev/zero", "of=/run/tproxyd/filler", "bs=4k"], check=False)
    process.kill()
    process.wait()
    assert "KUMA_MESH_OUTBOUND" in str(subject.host.legacy())
    said = subject.shell(f"exec {PROGRAM} uninstall --recorded --quiet")
    assert said.status == 0, said.text
    assert "KUMA_MESH" not in str(subject.host.legacy())
