# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian package in a disposable machine: installed, used, upgraded, removed."""

import time

import deb
import machine as machines
import pytest
import sample
from witnesses import Witnesses

# What dpkg, apt and their triggers write for themselves.
BOOKS = ("/var/lib/dpkg", "/var/lib/apt", "/var/lib/PackageKit", "/var/log", "/var/cache", "/var/lib/systemd/catalog",
         "/run/systemd", "/run/dbus", "/run/log")
# The user stays, as Debian wants.
USERS = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/.pwd.lock")
UNITS = ("tproxyd.service", "tproxyd-cleanup.service")
LISTING = r"""find / -path /proc -prune -o -path /sys -prune -o -path /dev -prune -o -path /root -prune -o -path /tmp -prune \
-o -printf '%p %y %m %u %g\n'"""


def every_file(machine):
    lines = machine.run(["sh", "-c", LISTING]).stdout.splitlines()
    return {line for line in lines if not line.startswith(BOOKS + USERS)}


def state(machine, unit="tproxyd.service"):
    return [machine.systemctl(verb, unit, check=False).stdout.strip() for verb in ("is-enabled", "is-active")]


def pids(machine):
    return sample.processes(machine), sample.main_pid(machine)


def test_installation_enables_starts_and_redirects_nothing(machine, packages):
    machine.make_legacy_tables()
    before = machine.state()
    said = deb.install(machine, packages)
    lines = [line for line in said.splitlines() if line.startswith("tproxyd")]
    assert lines == ['tproxyd is installed, and redirects nothing yet. Next: edit /etc/tproxyd/tproxyd.yaml, then run '
                     '"tproxyd check".'], said
    assert state(machine) == ["disabled", "inactive"]
    after = machine.state()
    assert after["rules"] == before["rules"] and after["addresses"] == before["addresses"]
    assert sample.processes(machine) == {}
    assert machine.run(["id", "-u", "kuma-dp"]).stdout == "5678\n"
    assert machine.run(["tproxyd", "--version"]).stdout == f"tproxyd {deb.version(packages)}\n"
    assert machine.run(["journalctl", "--catalog", "--no-pager", "-n0", "--dump-catalog"]).stdout.count("Defined-By: tproxyd") > 10


def test_a_host_joins_with_three_values_and_joins_again_after_a_reboot(host):
    assert host.run(["tproxyd", "check"], check=False).returncode == 0
    host.systemctl("enable", "--now", "tproxyd", timeout=60)
    assert sample.is_redirected(host)
    host.reboot()
    host.wait_until(lambda: sample.is_redirected(host), what="redirected after a reboot")


def test_removal_drains_and_keeps_the_configuration(host):
    host.systemctl("enable", "--now", "tproxyd", timeout=60)
    host.serve()
    talk = host.start_command(["python3", "-c", TALK, machines.FAR4], user="nobody", text=True, stdin=-1, stdout=-1)
    assert talk.stdout.readline() == "joined\n"
    begin = time.monotonic()
    removal = host.start_command(["apt-get", "remove", "-qq", "-y", "tproxyd"], env=deb.DIALOGUE, stdout=-1, stderr=-2, text=True)
    host.wait_until(lambda: state(host)[1] == "deactivating", what="the service stops")
    # A connection through the proxy goes on while it drains, and ends the drain.
    for _ in range(3):
        talk.stdin.write("line\n")
        talk.stdin.flush()
        assert talk.stdout.readline() == "line\n"
        time.sleep(0.5)
    assert removal.poll() is None
    talk.stdin.close()
    assert removal.wait(timeout=120) == 0, removal.stdout.read()
    assert time.monotonic() - begin > 1.5
    assert not sample.is_redirected(host) and sample.processes(host) == {}
    assert not host.exists("/usr/sbin/tproxyd") and not host.exists("/run/tproxyd-state")
    assert sorted(host.run(["ls", "/etc/tproxyd"]).stdout.split()) == ["dataplane.yaml", "token", "tproxyd.yaml"]


TALK = """
import socket, sys
joined = socket.create_connection((sys.argv[1], 7))
print("joined", flush=True)
for line in sys.stdin:
    joined.sendall(line.encode())
    print(joined.recv(100).decode(), end="", flush=True)
"""


def test_purge_leaves_nothing_but_the_user(machine, packages):
    machine.make_legacy_tables()
    machine.sh("install -m 600 /dev/null /run/xtables.lock")
    before, rules = every_file(machine), machine.state()["rules"]
    deb.install(machine, packages)
    deb.configure(machine)
    machine.systemctl("enable", "--now", "tproxyd", timeout=60)
    deb.remove(machine, "purge")
    assert sorted(before ^ every_file(machine)) == []
    assert machine.state()["rules"] == rules
    assert machine.run(["id", "-u", "kuma-dp"]).stdout == "5678\n"
    for unit in UNITS:
        assert machine.show(unit, "LoadState") == "not-found"


def test_removal_takes_out_what_install_put_in(host):
    host.run(["tproxyd", "install", "--kuma-dp-user=kuma-dp"])
    assert sample.is_redirected(host)
    deb.remove(host)
    assert not sample.is_redirected(host) and not host.exists("/run/tproxyd-install")


def test_removal_stops_the_service_whatever_policy_rc_d_says(host):
    """It says no in images of containers and under automation."""
    host.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
    host.systemctl("start", "tproxyd", timeout=60)
    assert sample.is_redirected(host)
    deb.remove(host)
    assert not host.exists("/usr/sbin/tproxyd")
    assert not sample.is_redirected(host) and sample.processes(host) == {}
    assert host.run(["pgrep", "-x", "tproxyd"], check=False).stdout == ""


def test_the_package_stays_while_a_daemon_runs(host):
    deb.run_without_unit(host)
    refused = host.run(["apt-get", "remove", "-qq", "-y", "tproxyd"], env=deb.DIALOGUE, check=False, timeout=240)
    said = refused.stdout + refused.stderr
    assert refused.returncode != 0 and deb.STAYS in said, said
    assert host.run(["tproxyd", "status"]).returncode == 0 and sample.is_redirected(host)
    assert host.exists("/lib/systemd/system/tproxyd.service")
    host.systemctl("stop", "elsewhere", timeout=60)
    deb.remove(host)
    assert not host.exists("/usr/sbin/tproxyd") and not sample.is_redirected(host)


@pytest.mark.parametrize("comments", [(), ("--disable-comments",)])
def test_removal_takes_out_what_install_stored_for_firewalld(host, comments):
    deb.store(host, *comments)
    deb.remove(host, "purge")
    assert host.read(deb.DIRECT) == deb.OTHERS.format("")
    assert not sample.is_redirected(host)


def test_removal_leaves_what_kumactl_stored_for_firewalld(host):
    host.write(deb.DIRECT, deb.OTHERS.format(deb.KUMACTLS))
    deb.remove(host, "purge")
    assert host.read(deb.DIRECT) == deb.OTHERS.format(deb.KUMACTLS)


def test_upgrade_under_load_is_noticed_by_nobody(host, packages, tmp_path):
    sample.drop_in(host, "dns", "[Service]\nEnvironment=KUMA_TRANSPARENT_PROXY_REDIRECT_DNS_ENABLED=true\n")
    host.serve([80])
    host.systemctl("start", "tproxyd", timeout=60)
    before, started = pids(host), len(host.messages("-t", "tproxyd"))
    witnesses = Witnesses(host)
    deb.install(host, deb.newer(packages, tmp_path))
    found, names = witnesses.end()
    print(f"new connections {found}, answers {names}")
    assert any("has taken the place of" in text for text in host.messages("-t", "tproxyd")[started:])
    assert pids(host) == before
    assert state(host) == ["disabled", "active"] and sample.is_redirected(host)
    assert host.show("tproxyd.service", "NeedDaemonReload") == "no"


def test_needrestart_renews_the_program_and_leaves_the_proxy_alone(host):
    host.systemctl("start", "tproxyd", timeout=60)
    before, started = pids(host), len(host.messages("-t", "tproxyd"))
    host.run(["/etc/needrestart/restart.d/tproxyd.service"])
    assert any("has taken the place of" in text for text in host.messages("-t", "tproxyd")[started:])
    assert pids(host) == before and sample.is_redirected(host)


def test_upgrade_starts_nothing(host, packages, tmp_path):
    host.systemctl("enable", "tproxyd")
    said = deb.install(host, deb.newer(packages, tmp_path))
    assert state(host) == ["enabled", "inactive"]
    assert "Next:" not in said
