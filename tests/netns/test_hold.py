# SPDX-License-Identifier: GPL-2.0-or-later
"""A proxy that serves no more but lives, DNS that answers no more, and others who do not let go of the lock."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from daemon import KNOCK, PATIENCE, Daemon, lock, unlock
from trial import PROGRAM

NF_BACKENDS = ("iptables", "nftables")


def test_rules_are_held_then_released_and_return_when_the_proxy_serves_again(trial, tmp_path, world):
    """SIGSTOP: Envoy's listeners accept, and nothing answers. It lasts shorter than what counts as a crash."""
    trial.set(failure__holdRules="4s")
    daemon = Daemon(trial, tmp_path)
    daemon.await_("READY=1")
    envoy = daemon.child("envoy")
    assert daemon.level() == "full"
    os.kill(envoy, signal.SIGSTOP)
    try:
        at = daemon.await_("STATUS=Holding the rules while the proxy does not serve: .*Envoy")
        held = time.monotonic()
        # Names of the host resolve while the connections wait.
        assert daemon.level() == "no-dns" and daemon.status()["phase"] == "holding"
        at = daemon.await_("STATUS=Released: traffic goes direct until the proxy serves: .*Envoy", at)
        assert time.monotonic() - held > 3
        assert daemon.level() == "drain"
        assert "peer 10.77.0.2 " in daemon.host.run(["/usr/bin/python3", "-c", KNOCK, "10.77.0.1"]).stdout
    finally:
        os.kill(envoy, signal.SIGCONT)
    daemon.await_("STATUS=Redirecting IPv4 and IPv6", at)
    assert daemon.level() == "full" and daemon.status()["phase"] == "redirecting"
    assert daemon.said.count("READY=1") == 1 and daemon.process.poll() is None
    daemon.stop()
    assert daemon.level() == "none"


@pytest.mark.backends("iptables")
def test_one_round_without_an_answer_changes_nothing(daemon):
    envoy, before = daemon.child("envoy"), len(daemon.said)
    for _ in range(3):
        os.kill(envoy, signal.SIGSTOP)
        daemon.await_status(lambda found: not found["readiness"]["envoy"])
        os.kill(envoy, signal.SIGCONT)
        daemon.await_status(lambda found: found["readiness"]["envoy"] and found["readiness"]["listeners"])
    assert not [message for message in daemon.said[before:] if message.startswith("STATUS=")]
    assert daemon.level() == "full"
    daemon.stop()


def test_dns_goes_direct_while_only_dns_is_down_and_returns(daemon):
    dns = daemon.child("coredns")
    os.kill(dns, signal.SIGSTOP)
    at = daemon.await_("STATUS=Degraded: DNS goes direct; DNS on IPv4, DNS on IPv6.* does not answer")
    assert daemon.level() == "no-dns"
    assert any("DNS of the mesh does not answer" in line for line in daemon.log)
    os.kill(dns, signal.SIGCONT)
    daemon.await_("STATUS=Redirecting", at)
    assert daemon.level() == "full"
    daemon.stop()


def victim_pid(daemon, victim):
    return daemon.status()["processes"]["kuma-dp"]["pid"] if victim == "kuma-dp" else daemon.child(victim)


@pytest.mark.parametrize("hold, level", [("0s", "none"), ("30s", "no-dns"), ("infinity", "full")])
@pytest.mark.parametrize("victim", ["envoy", "coredns", "kuma-dp"])
def test_a_child_that_dies_is_started_again_and_the_rules_are_held_as_told(trial, tmp_path, victim, hold, level):
    # The second start takes its time, so that the state in between can be looked at.
    trial.environment["STANDIN_READY_DELAY_MS"] = "1500"
    trial.set(failure__holdRules=hold)
    daemon = Daemon(trial, tmp_path)
    at = daemon.await_("READY=1")
    before = daemon.status()["processes"]["kuma-dp"]["pid"]
    os.kill(victim_pid(daemon, victim), signal.SIGKILL)
    at = daemon.await_("STATUS=Released" if hold == "0s" else "STATUS=Holding", at)
    daemon.await_status(lambda found: found["rules"]["level"] == level)
    assert daemon.level() == level
    daemon.await_status(lambda found: found["processes"]["kuma-dp"]["pid"] not in (0, before))
    daemon.await_("STATUS=Redirecting", at)
    assert daemon.level() == "full" and daemon.process.poll() is None
    assert daemon.said.count("READY=1") == 1 and "STOPPING=1" not in daemon.said
    assert any(re.search(r"kuma-dp is started again in 0\.\d\d s \(start 2\): it (exited|was killed)", line)
               for line in daemon.log), "".join(daemon.log)
    daemon.stop()
    assert daemon.level() == "none"


@pytest.mark.backends("iptables")
@pytest.mark.parametrize("victim", ["envoy", "coredns", "kuma-dp"])
def test_a_child_that_hangs_is_ended_and_started_again(daemon, victim):
    """With coredns run by kuma-dp a restart of kuma-dp is dear, and comes late."""
    pid, before = victim_pid(daemon, victim), daemon.status()["processes"]["kuma-dp"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    at = daemon.await_("STATUS=Holding" if victim == "envoy" else "STATUS=Degraded")
    stopped = time.monotonic()
    daemon.await_("STATUS=Redirecting", at)
    took = time.monotonic() - stopped
    assert took > (25 if victim == "coredns" else 8), took
    assert daemon.status()["processes"]["kuma-dp"]["pid"] not in (0, before)
    assert daemon.level() == "full"
    daemon.stop()


def test_a_stop_comes_through_while_nothing_serves(trial, tmp_path):
    """While held, while it waits to start again, while it starts."""
    trial.set(failure__holdRules="infinity", restart__delay="2s")
    for pause in (0.1, 1, 2.2):
        daemon = Daemon(trial, tmp_path)
        daemon.await_("READY=1")
        os.kill(daemon.child("envoy"), signal.SIGKILL)
        time.sleep(pause)
        begin = time.monotonic()
        daemon.stop()
        assert time.monotonic() - begin < 5
        assert daemon.level() == "none"
        daemon.manager.close()
        os.unlink(tmp_path / "notify")


@pytest.mark.backends("iptables")
def test_a_start_waits_for_the_lock_and_says_so(trial, tmp_path):
    holder = lock(trial)
    daemon = Daemon(trial, tmp_path)
    at = daemon.await_("STATUS=.*xtables lock")
    assert daemon.level() == "none" and "READY=1" not in daemon.said
    extended = daemon.said.count("EXTEND_TIMEOUT_USEC=15000000")
    end = time.monotonic() + PATIENCE
    while daemon.said.count("EXTEND_TIMEOUT_USEC=15000000") == extended:
        assert time.monotonic() < end, daemon.said
        time.sleep(0.01)
    unlock(holder)
    daemon.await_("READY=1", at)
    assert daemon.level() == "full"
    daemon.stop()


@pytest.mark.backends("iptables")
def test_a_start_that_never_gets_the_lock_fails_by_its_deadline(trial, tmp_path):
    trial.set(readiness__timeout="3s")
    holder = lock(trial)
    daemon = Daemon(trial, tmp_path)
    assert daemon.process.wait(PATIENCE) == 1, "".join(daemon.log)
    assert any("xtables lock" in line and line.startswith("error: ") for line in daemon.log), "".join(daemon.log)
    assert daemon.level() == "none"
    unlock(holder)


@pytest.mark.backends("iptables")
def test_a_stop_keeps_the_proxy_until_the_lock_is_free(daemon, world):
    holder = lock(daemon.trial)
    daemon.process.terminate()
    time.sleep(3)
    # Redirected, and served.
    assert daemon.level() == "full"
    daemon.host.run(["/usr/bin/python3", "-c", KNOCK, "10.77.0.1"])
    unlock(holder)
    assert daemon.process.wait(PATIENCE) == 0, "".join(daemon.log)
    assert daemon.level() == "none"


@pytest.mark.parametrize("delay", [0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0])
def test_sigterm_at_any_moment_of_the_start_leaves_nothing(trial, tmp_path, delay):
    trial.environment["STANDIN_READY_DELAY_MS"] = "100"
    daemon = Daemon(trial, tmp_path)
    time.sleep(delay)
    daemon.process.terminate()
    # Until there is something to undo it ends as any program does: what it has said is about the configuration.
    status = daemon.process.wait(PATIENCE)
    assert status == 0 or status == -signal.SIGTERM and all(re.search(r"warning: |notice: \w+\.", line) for line in daemon.log), daemon.log
    assert daemon.level() == "none"
    assert "::6/128" not in str(daemon.host.addresses())
    left = daemon.host.run(["find", "/run/tproxyd"], check=False).stdout.split()
    assert left in ([], ["/run/tproxyd"])


@pytest.mark.backends("iptables")
def test_strangers_on_the_control_socket_do_not_keep_root_out(daemon):
    """More callers than there is room for, who say half a line and wait, again and again."""
    code = ("import socket, time\nheld = []\nprint('up', flush=True)\nwhile True:\n"
            "    s = socket.socket(socket.AF_UNIX)\n    s.settimeout(1)\n"
            "    try:\n        s.connect('/run/tproxyd/control')\n        s.send(b'stat')\n    except OSError:\n"
            "        pass\n    held = held[-40:] + [s]\n    time.sleep(0.005)\n")
    stranger = daemon.host.start(["/usr/bin/python3", "-c", code], user=65534, stdout=subprocess.PIPE, text=True)
    assert stranger.stdout.readline() == "up\n"
    time.sleep(1)
    for _ in range(20):
        assert daemon.status()["phase"] == "redirecting"
        time.sleep(0.1)
    stranger.kill()
    daemon.stop()


@pytest.mark.backends("iptables")
def test_strangers_may_ask_for_the_status_and_nothing_else(daemon):
    said = daemon.host.run([PROGRAM, "log-level", "debug"], user=65534, check=False)
    assert said.returncode == 1 and "only root may ask for that" in said.stderr
    assert daemon.host.run([PROGRAM, "status"], user=65534).stdout.startswith("Redirecting IPv4 and IPv6 since ")
    ask = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect('/run/tproxyd/control');"
           "s.settimeout(3); s.sendall(eval(sys.argv[1])); print(s.recv(65536).decode())")
    for request in ("b'status \\xff\\xfe\\n'", "b'stat\\0us\\n'", "b'\\n'", "b'x' * 126 + b'\\n'", "b'x' * 500"):
        answer = daemon.host.run(["/usr/bin/python3", "-c", ask, request], user=0, check=False)
        if answer.stdout.strip():
            json.loads(answer.stdout)
    assert daemon.status()["phase"] == "redirecting"
    daemon.stop()


@pytest.mark.backends("iptables")
def test_a_status_is_json_whatever_is_in_it(trial, tmp_path):
    trial.host.run(["sed", "-i", "s/^kuma-dp:/k\\xfc\\x9bma\\xc3\\xbc:/", "/etc/passwd"], env={"LANG": "C"})
    trial.set(kumaDPUser="5678")
    daemon = Daemon(trial, tmp_path)
    daemon.await_("READY=1")
    assert daemon.status()["user"]["name"] == "k\ufffd\ufffdma\xfc"
    assert daemon.host.run([PROGRAM, "status"]).stdout.startswith("Redirecting ")
    daemon.stop()


def test_a_disk_that_is_full_does_not_keep_a_dead_proxys_rules_in(trial, tmp_path, world):
    """The record was written with room for what a step down needs."""
    trial.host.run(["sh", "-c", "mkdir -m 700 /run/tproxyd-state; mount -nt tmpfs -o size=64k tmpfs /run/tproxyd-state"])
    trial.set(failure__holdRules="4s")
    daemon = Daemon(trial, tmp_path)
    daemon.await_("READY=1")
    assert daemon.level() == "full"
    full = trial.host.run(["sh", "-c", "cat /dev/zero >/run/tproxyd-state/zeros"], check=False)
    assert "No space left" in full.stderr
    envoy = daemon.child("envoy")
    os.kill(envoy, signal.SIGSTOP)
    try:
        daemon.await_("STATUS=Released")
        assert daemon.level() == "drain"
    finally:
        os.kill(envoy, signal.SIGCONT)
    daemon.await_status(lambda found: found["phase"] == "redirecting")
    assert daemon.level() == "full"
    daemon.stop()
    assert daemon.level() == "none"
