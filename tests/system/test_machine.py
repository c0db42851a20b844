# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine itself: a test of tproxyd is worth no more than what it runs on."""

import glob
import os
import signal
import subprocess
import sys
import time

import pytest

import machine as machines
from machine import cgroups, network

NOTIFY = """\
import os, signal, socket, sys, time
def tell(text):
    path = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), "\\0" + path[1:] if path[0] == "@" else path)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("dummy is here", flush=True)
try:
    open("/run/foreign", "w").close()
    print("wrote into /run", flush=True)
except OSError as error:
    print(f"cannot write into /run: {error.strerror}", flush=True)
open("/run/dummy/own", "w").close()
tell("STATUS=working\\nREADY=1")
while True:
    time.sleep(60)
"""
UNIT = """\
[Service]
Type=notify
ExecStart=/usr/bin/python3 /usr/local/lib/dummy.py
RuntimeDirectory=dummy
ProtectSystem=strict
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
[Install]
WantedBy=multi-user.target
"""
HOLDER = """\
import sys, time
sys.path.insert(0, sys.argv[1])
import machine
m = machine.Machine(standin=None).start()
m.outside.start(["sh", "-c", "sleep 1000 & exec sleep 1000"])
print(m.name, m.leader, m._warden.pid, flush=True)
time.sleep(1000)
"""


def groups_of(name):
    return glob.glob(f"{cgroups.TOP}/**/{cgroups.PREFIX}{name}", recursive=True)


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_for(condition, what, timeout=10):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def traces():
    """What a machine of this process could leave on its host."""
    with open("/proc/self/mounts", encoding="utf-8") as file:
        mounts = sorted(file)
    return {
        "mounts": mounts,
        "namespaces": sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else [],
        "links": sorted(os.listdir("/sys/class/net")),
        "run": sorted(os.listdir("/run")),
        "tmp": sorted(glob.glob("/tmp/nspawn-*")),
        "groups": sorted(groups_of(f"tm{os.getpid()}-*")),
    }


def install_dummy(machine):
    machine.write("/usr/local/lib/dummy.py", NOTIFY)
    machine.write("/etc/systemd/system/dummy.service", UNIT)
    machine.write(machines.DROP_IN.format(unit="dummy"), machines.READ_ONLY_RUN)
    machine.systemctl("daemon-reload")


def test_it_boots_to_running_with_nothing_of_the_hosts_enabled(bare):
    assert bare.run(["systemctl", "is-system-running"]).stdout == "running\n"
    units = bare.sh("systemctl list-units --type=service --state=active --plain --no-legend").splitlines()
    strangers = [unit.split()[0] for unit in units if not unit.startswith(("dbus", "systemd-"))]
    assert strangers == []
    assert bare.read("/etc/machine-id") != _host_machine_id()


def _host_machine_id():
    try:
        with open("/etc/machine-id", encoding="ascii") as file:
            return file.read()
    except FileNotFoundError:
        return None


def test_a_second_machine_boots_in_little_time(bare, boot):
    begin = time.monotonic()
    other = boot(standin=None)
    took = time.monotonic() - begin
    assert other.leader != bare.leader
    assert took < 5, f"{took:.2f} s"


def test_the_hosts_files_do_not_leak_in_and_nothing_leaks_out(bare, tmp_path):
    (tmp_path / "secret").write_text("x")
    assert not bare.exists(tmp_path)
    bare.sh("echo x >/etc/leak; echo x >/usr/leak; echo x >/run/leak; echo x >/tmp/leak")
    assert not [top for top in ("/etc", "/usr", "/run", "/tmp") if os.path.exists(f"{top}/leak")]


@pytest.mark.parametrize("target", [network.OUTSIDE4, network.OUTSIDE6, network.FAR4, network.FAR6])
def test_outside_answers_over_both_families_and_beyond_the_gateway(bare, target):
    bare.serve([80])
    script = f"import socket; s = socket.create_connection(({target!r}, 80), 3); " \
             "s.sendall(b'GET /x HTTP/1.0\\r\\n\\r\\n'); print(s.makefile().read())"
    reply = bare.run(["/usr/bin/python3", "-c", script]).stdout
    inside = network.INSIDE6 if ":" in target else network.INSIDE4
    assert f"peer {inside} " in reply
    assert f"local {target} 80" in reply


def test_names_are_resolved_by_the_servers_of_its_own_resolv_conf(bare):
    bare.serve()
    assert bare.run(["getent", "ahostsv4", "some.name.test"]).stdout.startswith("192.0.2.53 ")
    assert bare.run(["getent", "ahostsv6", "some.name.test"]).stdout.startswith("2001:db8::53 ")
    assert bare.run(["getent", "hosts", "a.nowhere.test"], check=False).returncode == 2


def test_legacy_rules_of_both_families_take_effect_and_stay_within(bare):
    before = subprocess.run(["cat", "/proc/self/net/ip_tables_names"], capture_output=True, text=True, check=False).stdout
    bare.serve()
    for tool, target in (("iptables-legacy", network.FAR4), ("ip6tables-legacy", network.FAR6)):
        knock = ["/usr/bin/python3", "-c", f"import socket; socket.create_connection(({target!r}, 80), 3)"]
        assert bare.run(knock).returncode == 0
        bare.run([tool, "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "80", "-j", "REDIRECT", "--to-ports", "1"])
        assert "ConnectionRefusedError" in bare.run(knock, check=False).stderr
    after = subprocess.run(["cat", "/proc/self/net/ip_tables_names"], capture_output=True, text=True, check=False).stdout
    assert after == before


def test_a_notify_service_starts_under_a_read_only_run(bare):
    install_dummy(bare)
    bare.systemctl("start", "dummy")
    assert bare.show("dummy", "StatusText") == "working"
    messages = bare.messages("-u", "dummy")
    assert "dummy is here" in messages
    assert "cannot write into /run: Read-only file system" in messages


def test_a_reboot_and_a_power_cut_keep_disk_and_journal(bare):
    install_dummy(bare)
    bare.systemctl("enable", "dummy")
    bare.reboot()
    assert bare.show("dummy", "ActiveState") == "active"
    bare.cut_power()
    bare.boot()
    assert bare.show("dummy", "ActiveState") == "active"
    assert len(bare.run(["journalctl", "--list-boots", "-q", "--no-pager"]).stdout.splitlines()) == 3


def test_state_names_the_rule_the_address_and_the_file_that_changed(bare):
    bare.make_legacy_tables()
    before = bare.state()
    assert bare.state() == before
    bare.sh("iptables-legacy -t nat -N LEFT; ip addr add ::6/128 dev lo; echo x >/run/left; chmod 600 /etc/hosts")
    after = bare.state()
    assert after["rules"] != before["rules"]
    assert [line for line in after["addresses"] if line not in before["addresses"]]
    changed = {path for path in after["files"] if after["files"][path] != before["files"].get(path)}
    assert {"/run/left", "/etc/hosts"} <= changed
    bare.sh("iptables-legacy -t nat -X LEFT; ip addr del ::6/128 dev lo; rm /run/left; chmod 644 /etc/hosts")
    assert bare.state()["rules"] == before["rules"]
    assert bare.state()["addresses"] == before["addresses"]


def test_the_end_of_a_machine_leaves_nothing(boot):
    before = traces()
    machine = boot(standin=None)
    left = machine.outside.start(["sh", "-c", "sleep 1000 & echo $!; exec sleep 1000"], stdout=subprocess.PIPE, text=True)
    orphan = int(left.stdout.readline())
    leader, warden = machine.leader, machine._warden.pid
    assert traces()["groups"] != before["groups"]
    machine.stop()
    assert traces() == before
    assert [pid for pid in (leader, warden, orphan) if not is_gone(pid)] == []


@pytest.mark.parametrize("victim", ["test", "warden", "both"])
def test_a_killed_test_or_warden_leaves_nothing_after_the_next_sweep(bare, victim):
    before = traces()
    holder = subprocess.Popen([sys.executable, "-B", "-c", HOLDER, os.path.dirname(os.path.abspath(__file__))],
                              stdout=subprocess.PIPE, text=True)
    with holder:
        try:
            name, leader, warden = holder.stdout.readline().split()
            assert groups_of(name)
            for pid in {"test": [holder.pid], "warden": [int(warden)], "both": [int(warden), holder.pid]}[victim]:
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda: is_gone(leader), "the machine lives on")
        finally:
            holder.kill()
    wait_for(lambda: is_gone(warden), "the warden lives on")
    machines.sweep()
    assert groups_of(name) == []
    assert traces() == before
    assert bare.run(["true"]).returncode == 0, "the sweep took a machine that lives"
