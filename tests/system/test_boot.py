# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots on which something is late or never comes: the host joins by itself in the end, the journal says what is waited for,
and neither the boot nor what else starts in it waits for that. TPROXYD_TEST_THOROUGH=1: ten boots, minutes instead of seconds."""

import json
import os
import subprocess
import time

import pytest

import sample

THOROUGH = os.environ.get("TPROXYD_TEST_THOROUGH") == "1"
# What an SSH server is to a boot: it starts when the network is configured, whether it is online or not.
LIKE_SSH = """\
[Unit]
After=network.target
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""
NEVER_ONLINE = """\
[Unit]
DefaultDependencies=no
Before=network-online.target
[Service]
Type=oneshot
ExecStart=/bin/sleep infinity
[Install]
WantedBy=network-online.target
"""
CLOCK = "/usr/local/lib/late-clock.so"
# A year behind until a file is there.
LATE_CLOCK = """\
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *now)
{
	if (syscall(SYS_clock_gettime, id, now) < 0)
		return -1;
	if (id == CLOCK_REALTIME && access("/run/clock-is-set", F_OK) < 0)
		now->tv_sec -= 365 * 86400;
	return 0;
}

time_t time(time_t *ret)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (ret)
		*ret = now.tv_sec;
	return now.tv_sec;
}
"""
# More often than a unit with systemd's usual limit would be started again.
TIMES = 6


def enable(machine, changes=None, **options):
    sample.configure(machine, changes, **options)
    machine.write("/etc/systemd/system/like-ssh.service", LIKE_SSH)
    machine.systemctl("enable", "--quiet", sample.UNIT, "like-ssh.service")


def active(machine, unit=sample.UNIT):
    return machine.show(unit, "ActiveState") == "active"


def said(machine):
    return machine.messages("-u", "tproxyd", "--boot")


def assert_boot_goes_on(machine):
    """All else has started, the target of the boot is reached, and tproxyd does not yet redirect."""
    machine.wait_until(lambda: active(machine, "like-ssh.service"), 10)
    machine.wait_until(lambda: active(machine, "multi-user.target"), 10)
    assert not active(machine) and not sample.is_redirected(machine)


def fails_many_times(machine):
    machine.wait_until(lambda: int(machine.show(sample.UNIT, "NRestarts")) >= TIMES, TIMES * 6)


def joins(machine, timeout=30):
    machine.wait_until(lambda: active(machine), timeout)
    assert sample.is_redirected(machine)
    print(machine.run(["journalctl", "-u", "tproxyd", "--boot", "--no-pager", "--output=short-monotonic"]).stdout[-4000:])


def test_every_boot_joins(machine):
    enable(machine)
    for _ in range(10 if THOROUGH else 3):
        machine.reboot()
        assert active(machine) and active(machine, "like-ssh.service")
        assert sample.is_redirected(machine) and machine.show(sample.UNIT, "NRestarts") == "0"
        assert machine.systemctl("is-system-running").stdout.strip() == "running"


def test_a_network_that_never_is_online(machine):
    enable(machine)
    machine.write("/etc/systemd/system/never-online.service", NEVER_ONLINE)
    machine.systemctl("enable", "--quiet", "never-online.service")
    if not THOROUGH:
        sample.drop_in(machine, "wait", "[Service]\nEnvironment=NETWORK_WAIT=5\n")
    machine.reboot(finished=False)
    machine.wait_until(lambda: active(machine, "like-ssh.service"), 10)
    joins(machine, 90)
    assert not active(machine, "network-online.target")
    seconds = 60 if THOROUGH else 5
    assert f"Waiting for network-online.target, at most {seconds} s" in said(machine)
    assert "network-online.target is not reached; starting all the same" in said(machine)
    assert active(machine, "multi-user.target")


def test_a_control_plane_that_comes_later(machine):
    changes = {} if THOROUGH else {"readiness": {"timeout": "1s"}}
    enable(machine, changes, standin={"CP_UNREACHABLE": 1})
    machine.reboot(finished=False)
    if THOROUGH:
        machine.wait_until(lambda: active(machine, "like-ssh.service"), 10)
        time.sleep(300)
    else:
        fails_many_times(machine)
        assert_boot_goes_on(machine)
    sample.configure(machine, changes)
    joins(machine, 240 if THOROUGH else 30)
    assert any(text.startswith("The proxy did not serve within") and "could not fetch bootstrap configuration" in text
               for text in said(machine))


def test_name_servers_that_come_late(machine):
    enable(machine)
    text = machine.read("/etc/resolv.conf")
    machine.sh("rm -f /etc/resolv.conf")
    machine.reboot()
    fails_many_times(machine)
    assert_boot_goes_on(machine)
    assert any("/etc/resolv.conf does not exist" in line for line in said(machine))
    machine.write("/etc/resolv.conf", text)
    joins(machine)
    assert sample.ask(machine, "backend.mesh") == "NOERROR 240.0.0.1"


def test_a_kuma_dp_on_a_disk_that_is_mounted_late(machine):
    enable(machine, {"kumaDP": {"path": "/late/kuma-dp"}})
    machine.sh("mkdir /late")
    machine.reboot()
    fails_many_times(machine)
    assert_boot_goes_on(machine)
    assert any("kumaDP.path: /late/kuma-dp does not exist" in line for line in said(machine))
    machine.sh("mount -t tmpfs late /late && ln -s $(readlink -f /usr/local/bin/kuma-dp) /late/kuma-dp")
    joins(machine)


@pytest.mark.parametrize("starts", ["one", "many"])
def test_a_clock_that_is_not_yet_set(machine, starts, tmp_path):
    """As on a host without a battery: by its clock neither the token nor the control plane's certificate is valid yet, until
    the clock is set, a year further. (A container has the host's clock, so its programs are given another one.)"""
    changes = {"kumaDP": {"env": {"LD_PRELOAD": CLOCK}}}
    if starts == "many" and not THOROUGH:
        changes["readiness"] = {"timeout": "1s"}
    enable(machine, changes, standin={"CP_VALID_FROM": int(time.time()) - 86400})
    (tmp_path / "clock.c").write_text(LATE_CLOCK, encoding="ascii")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "clock.so", tmp_path / "clock.c"], check=True)
    machine.copy(tmp_path / "clock.so", CLOCK)
    sample.drop_in(machine, "clock", f"[Service]\nEnvironment=LD_PRELOAD={CLOCK}\n")
    machine.reboot(finished=False)
    if starts == "one":
        machine.wait_until(lambda: any("is not yet valid" in text for text in said(machine)), 30)
    elif THOROUGH:
        machine.wait_until(lambda: int(machine.show(sample.UNIT, "NRestarts")) >= 2, 400)
    else:
        fails_many_times(machine)
    # The target of the boot waits for a start that is under way, nothing else does.
    machine.wait_until(lambda: active(machine, "like-ssh.service"), 10)
    assert not active(machine) and not sample.is_redirected(machine)
    assert any("cannot be used yet: it is not valid before" in text for text in said(machine))
    restarts = machine.show(sample.UNIT, "NRestarts")
    assert (restarts == "0") == (starts == "one")
    assert (starts == "one") != any(text.startswith("The proxy did not serve within") and "is not yet valid" in text
                                    for text in said(machine))
    machine.write("/run/clock-is-set", "")
    joins(machine)
    assert int(machine.show(sample.UNIT, "NRestarts")) <= int(restarts) + 1
    left = json.loads(machine.run(["tproxyd", "status", "--json"]).stdout)["token"]["seconds-left"]
    assert 29 * 86400 < left <= 30 * 86400
