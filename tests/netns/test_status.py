# SPDX-License-Identifier: GPL-2.0-or-later
"""`tproxyd status` in every phase, for people, for programs and for Prometheus, as root and as anybody else."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

import schema
from daemon import KNOCK, PATIENCE, Daemon, lock, unlock
from trial import PROGRAM

NOBODY = 65534
# A connection into the mesh that stays open until it is killed.
STAY = ("import socket, time; s = socket.create_connection(('10.77.0.1', 80), 5); s.sendall(b'GET / HTTP/1.1\\r\\n');"
        "print('open', flush=True); time.sleep(600)")


def ask(host, *options, user=None, status=None):
    """What it prints, and its exit status where none is expected."""
    said = host.run([PROGRAM, "status", *options], user=user, check=False)
    assert said.stderr == "", said.stderr
    if status is None:
        return said.stdout, said.returncode
    assert said.returncode == status, said.stdout
    return said.stdout


def seen(host, phase, status):
    """The status as JSON in that phase; all other forms, and other users, are told the same."""
    record = os.environ.get("RECORD_STATUS")
    for user in (NOBODY, None):
        found = schema.checked(ask(host, "--json", user=user, status=status))
        assert found["phase"] == phase
        text = ask(host, user=user, status=status)
        assert text.startswith(phase.capitalize().replace("-", " ")) and "\x1b" not in text
        lines = text.splitlines()
        assert len(lines) <= 24 and all(len(line) <= 80 for line in lines), text
        numbers = schema.metrics(ask(host, "--metrics", user=user, status=status))
        assert numbers["tproxyd_phase", ("phase", phase)] == 1
        assert sum(value for name, value in numbers.items() if name[0] == "tproxyd_phase") == 1
        assert numbers["tproxyd_up",] == (phase != "not-running")
    if record:
        with open(f"{record}/{phase}-{time.monotonic_ns()}.json", "w", encoding="utf-8") as file:
            file.write(ask(host, "--json")[0])
    print(text)
    return found


@pytest.mark.parametrize("path", sorted(pathlib.Path(schema.REPOSITORY, "tests/golden/status").glob("*.json")),
                         ids=lambda path: path.stem)
def test_recorded_ones_are_what_is_promised(path):
    """What tests/golden/status.c renders, and what came of it."""
    status = schema.checked(path.read_text(encoding="utf-8"))
    numbers = schema.metrics(path.with_suffix(".metrics").read_text(encoding="utf-8"))
    assert numbers["tproxyd_phase", ("phase", status["phase"])] == 1
    assert len(numbers) > (10 if status["phase"] == "not-running" else 30)


def test_redirecting_with_all_that_there_is(daemon, world):
    host = daemon.host
    for _ in range(3):
        host.run(["/usr/bin/python3", "-c", KNOCK, "10.77.0.1"])
    found = seen(host, "redirecting", 0)
    assert found["healthy"] is True and found["problem"] == found["advice"] == ""
    assert found["families"] == ["IPv4", "IPv6"]
    assert found["dataplane"] == {"name": "web", "mesh": "default"}
    assert found["control-plane"]["address"] == "https://198.51.100.10:5678"
    assert found["configuration"]["files"] == ["/etc/tproxyd/tproxyd.yaml"]
    assert found["versions"]["kuma-dp"] == "2.14.3"
    assert found["rules"]["as-expected"] is True and found["rules"]["missing"] == []
    assert found["rules"]["repairs"] == {"count": 0, "seconds-ago": None, "contested": False}
    assert found["traffic"]["outbound-connections"] == 3
    for name in ("kuma-dp", "envoy", "coredns"):
        process = found["processes"][name]
        assert process["pid"] == (found["processes"]["kuma-dp"]["pid"] if name == "kuma-dp" else daemon.child(name))
        with open(f"/proc/{process['pid']}/statm", encoding="ascii") as file:
            resident = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
        assert 0.5 < process["memory-bytes"] / resident < 2
        assert process["uptime-seconds"] <= found["uptime-seconds"] + 2 and process["restarts"] == 0
    daemon.stop()


def test_connections_and_queries_are_counted_by_what_became_of_them(trial, tmp_path, world, peer):
    trial.set(redirect__outbound__excludePorts=[8080])
    daemon = Daemon(trial, tmp_path)
    daemon.await_("READY=1")
    before = seen(daemon.host, "redirecting", 0)["traffic"]
    stay = daemon.host.start(["/usr/bin/python3", "-c", STAY], stdout=subprocess.PIPE, text=True)
    assert stay.stdout.readline() == "open\n"
    daemon.host.run(["/usr/bin/python3", "-c", KNOCK.replace("80)", "8080)"), "10.77.0.1"])
    for _ in range(2):
        daemon.host.run(["dig", "+tries=1", "+time=3", "@10.77.0.1", "www.example.com"], check=False)
    peer.run(["/usr/bin/python3", "-c", KNOCK.replace("80)", "8081)"), "10.77.0.2"], check=False)
    after = seen(daemon.host, "redirecting", 0)["traffic"]
    more = {name: after[name] - before[name] for name in after}
    print(more)
    assert more["outbound-connections"] == 1 and more["excluded-connections"] == 1
    assert more["inbound-connections"] == 1 and more["open-connections"] >= 1
    assert more["dns-queries"] == 2
    stay.kill()
    daemon.stop()


def test_starting_says_what_is_waited_for(trial, tmp_path):
    trial.set(kumaDP__env={"STANDIN_NEVER_READY": "1"})
    daemon = Daemon(trial, tmp_path)
    daemon.await_("STATUS=Waiting for .*Envoy")
    found = seen(daemon.host, "starting", 4)
    assert "Envoy" in found["problem"] and "journalctl -u tproxyd" in found["advice"]
    assert found["rules"]["level"] == "none"
    daemon.stop()


def test_applying_says_who_is_in_the_way(trial, tmp_path):
    holder = lock(trial)
    daemon = Daemon(trial, tmp_path)
    daemon.await_("STATUS=.*xtables lock")
    daemon.await_status(lambda found: found["readiness"]["missing"] == "" and found["readiness"]["dns"])
    found = seen(daemon.host, "applying", 4)
    assert "xtables lock" in found["problem"] and "fuser" in found["advice"]
    unlock(holder)
    daemon.await_("READY=1")
    daemon.stop()


def test_degraded_while_dns_is_down(daemon):
    dns = daemon.child("coredns")
    os.kill(dns, signal.SIGSTOP)
    daemon.await_("STATUS=Degraded")
    found = seen(daemon.host, "degraded", 4)
    assert "DNS goes direct" in found["problem"] and found["rules"]["level"] == "no-dns"
    os.kill(dns, signal.SIGCONT)
    daemon.stop()


def test_holding_then_released(trial, tmp_path):
    trial.set(failure__holdRules="4s")
    daemon = Daemon(trial, tmp_path)
    daemon.await_("READY=1")
    envoy = daemon.child("envoy")
    os.kill(envoy, signal.SIGSTOP)
    daemon.await_("STATUS=Holding")
    found = seen(daemon.host, "holding", 4)
    assert 0 < found["hold"]["seconds-left"] <= 4 and "traffic goes direct in" in found["advice"]
    daemon.await_("STATUS=Released")
    found = seen(daemon.host, "released", 4)
    assert found["hold"] is None and "traffic goes direct" in found["problem"]
    os.kill(envoy, signal.SIGCONT)
    daemon.stop()


def test_draining_says_how_many_and_how_long(daemon, world):
    stay = daemon.host.start(["/usr/bin/python3", "-c", STAY], stdout=subprocess.PIPE, text=True)
    assert stay.stdout.readline() == "open\n"
    daemon.process.terminate()
    daemon.await_(r"STATUS=Draining: \d+ redirected connections? (is|are) open, for at most \d+ s")
    found = seen(daemon.host, "draining", 4)
    assert found["traffic"]["open-connections"] >= 1
    assert 0 < found["drain"]["seconds-left"] <= 30
    stay.kill()
    assert daemon.process.wait(PATIENCE) == 0


def test_a_rule_that_is_gone_is_not_called_all_well(daemon):
    """Where the daemon has not repaired it yet."""
    os.kill(daemon.process.pid, signal.SIGSTOP)
    daemon.host.run(["iptables-legacy", "-t", "nat", "-D", "KUMA_MESH_OUTBOUND", "1"])
    asking = daemon.host.start([PROGRAM, "status", "--json"], stdout=subprocess.PIPE, text=True)
    time.sleep(0.3)
    os.kill(daemon.process.pid, signal.SIGCONT)
    found = schema.checked(asking.communicate()[0])
    assert (asking.returncode, found["healthy"]) in ((4, False), (0, True))
    if not found["healthy"]:
        assert "IPv4 nat" in found["problem"]
    daemon.await_status(lambda found: found["rules"]["repairs"]["count"] == 1 and found["healthy"])
    assert "repaired 1 time, last" in ask(daemon.host, status=0)
    daemon.stop()


def test_not_running_and_nothing_left(trial):
    found = seen(trial.host, "not-running", 3)
    assert found["left"] == [] and "systemctl start tproxyd" in found["advice"]


def test_not_running_and_the_rules_of_a_killed_daemon_are_left(daemon):
    daemon.process.kill()
    daemon.process.wait()
    found = seen(daemon.host, "not-running", 3)
    assert [part["whose"] for part in found["left"]] == ["the service (tproxyd run)"]
    assert any("KUMA_MESH_OUTBOUND" in text for text in found["left"][0]["what"])
    assert "tproxyd uninstall" in found["advice"]
    numbers = schema.metrics(ask(daemon.host, "--metrics", status=3))
    assert numbers["tproxyd_leftovers",] == 1
    assert schema.checked(ask(daemon.host, "--json", user=NOBODY, status=3))["left"] is None
    daemon.host.run([PROGRAM, "uninstall"])
    assert seen(daemon.host, "not-running", 3)["left"] == []


def test_not_running_and_a_one_shot_redirect_is_in(trial):
    trial.host.run([PROGRAM, "install", "--kuma-dp-user", "kuma-dp"])
    found = seen(trial.host, "not-running", 3)
    assert [part["whose"] for part in found["left"]] == ["tproxyd install"]
    # Without its record it is one of anybody's.
    trial.host.run(["rm", "/run/tproxyd-install/record"])
    found = seen(trial.host, "not-running", 3)
    assert [part["whose"] for part in found["left"]] == ["kumactl, or of a record that is gone"]
    trial.host.run([PROGRAM, "uninstall"])


def test_watch_goes_on_until_it_is_interrupted(daemon):
    watching = daemon.host.start([PROGRAM, "status", "--watch"], stdout=subprocess.PIPE, text=True)
    answers = 0
    while answers < 2:
        answers += watching.stdout.readline().startswith("Redirecting")
    watching.send_signal(signal.SIGINT)
    assert watching.wait(5) == 0
    daemon.stop()


@pytest.mark.parametrize("environment, colour", [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)])
def test_colours_on_a_terminal_only(daemon, environment, colour):
    said = daemon.host.run(["script", "-qec", f"{PROGRAM} status", "/dev/null"], env={"TERM": "xterm", **environment})
    assert said.stdout.startswith("\x1b[1;32mRedirecting" if colour else "Redirecting")
    daemon.stop()


def test_forms_exclude_each_other(trial):
    said = trial.host.run([PROGRAM, "status", "--json", "--metrics"], check=False)
    assert said.returncode == 64 and "only one of --json and --metrics" in said.stderr
