# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots on which something is late or never comes: the host joins by itself in the end, the journal says what is waited for,
and neither the boot nor what else starts in it waits for that. TPROXYD_TEST_THOROUGH=1: ten boots, minutes instead of seconds."""

import base64
import json
import os
import time

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


def test_a_clock_that_is_not_yet_set(machine):
    """The stand-in's control plane has a clock of its own: it takes the token. (A real one refuses until the clock is set.)"""
    enable(machine)
    later = int(time.time()) + 3600

    def part(value):
        return base64.urlsafe_b64encode(value).decode().rstrip("=")
    claims = {"Name": "", "Mesh": "default", "Tags": {}, "Type": "", "iat": later, "nbf": later, "exp": later + 86400}
    token = ".".join((part(b'{"alg":"RS256","kid":"1","typ":"JWT"}'), part(json.dumps(claims).encode()), part(b"unsigned")))
    machine.write("/etc/tproxyd/token", token + "\n", 0o600)
    machine.reboot()
    assert active(machine, "like-ssh.service") and active(machine, "multi-user.target")
    assert any("cannot be used yet: it is not valid before" in line for line in said(machine))
    joins(machine)
