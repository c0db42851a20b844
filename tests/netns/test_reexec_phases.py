# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon is replaced in the middle of something: it goes on with that, and a second time."""

import os
import re
import signal
import subprocess
import time

import pytest

import broken
import test_reexec
from daemon import PATIENCE, Daemon
from netfilter import our_rules
from trial import CONFIG, PROGRAM, TOKEN, token

NF_BACKENDS = ("iptables", "nftables")


def reexec(daemon, times=2):
    """Who asks what runs is answered by the new one; the process is the same."""
    before = daemon.status()
    for _ in range(times):
        said = test_reexec.reexec(daemon.host)
        assert "has taken the place of" in said.stdout
    after = daemon.status()
    assert daemon.process.poll() is None and after["pid"] == before["pid"]
    same = ("phase", "generation", "generation-applied", "generation-waiting", "since", "log-level")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    for name, found in before["processes"].items():
        assert found["pid"] in (0, after["processes"][name]["pid"]), name
    return after


def finish(daemon):
    daemon.stop()
    assert not any("Sanitizer" in line for line in daemon.log), "".join(daemon.log)
    assert daemon.level() == "none"


def test_while_it_starts(trial, tmp_path):
    trial.set(kumaDP__env={"STANDIN_READY_DELAY_MS": "6000"})
    daemon = Daemon(trial, tmp_path)
    daemon.await_status(lambda found: found.get("processes", {}).get("kuma-dp", {}).get("pid"))
    reexec(daemon)
    assert "RELOADING=1" not in daemon.said and daemon.level() == "none"
    daemon.await_("READY=1")
    assert daemon.level() == "full"
    reexec(daemon)
    finish(daemon)


def test_a_start_that_fails_fails_in_its_time(trial, tmp_path):
    trial.set(kumaDP__env={"STANDIN_NEVER_READY": "1"}, readiness__timeout="5s")
    daemon = Daemon(trial, tmp_path)
    began = time.monotonic()
    daemon.await_status(lambda found: found.get("processes", {}).get("kuma-dp", {}).get("pid"))
    reexec(daemon, 1)
    assert daemon.process.wait(PATIENCE) == 1
    assert time.monotonic() - began < 30
    assert any("did not serve within 5 s" in line for line in daemon.log), "".join(daemon.log)


def talk_to(host):
    """A connection that stays: what it is told comes back."""
    talk = host.start(["/usr/bin/python3", "-c", """
import socket, sys
with socket.create_connection((sys.argv[1], 7), 5) as s:
    for line in sys.stdin:
        s.sendall(line.encode())
        print(s.recv(100).decode(), end="", flush=True)
""", "10.77.0.1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    print("one", file=talk.stdin, flush=True)
    assert talk.stdout.readline() == "one\n"
    return talk


def test_the_place_is_given_back_while_it_starts_and_while_it_drains(trial, tmp_path, tproxyd, world):
    """By one that fails when it has it: the start comes to its end, and so does the drain, by the former program."""
    trial.set(kumaDP__env={"STANDIN_READY_DELAY_MS": "6000"}, kumaDP__drainTime="60s")
    daemon = Daemon(trial, tmp_path)
    trial.host.run(["cp", PROGRAM, "/run/old"])
    test_reexec.install(trial, broken.make(tproxyd, "daemon_resume", "crashes", tmp_path / "broken"))

    def fail():
        said = test_reexec.refused_reexec(trial.host)
        assert said.returncode == 1 and "was ended by SIGSEGV while it took over" in said.stderr, said.stderr

    daemon.await_status(lambda found: found.get("processes", {}).get("kuma-dp", {}).get("pid"))
    fail()
    assert "RELOADING=1" not in daemon.said and "READY=1" not in daemon.said and daemon.level() == "none"
    daemon.await_("READY=1")
    assert daemon.level() == "full"
    talk = talk_to(trial.host)
    daemon.process.terminate()
    daemon.await_("STATUS=Draining: 1 redirected connection")
    at = len(daemon.said)
    fail()
    assert daemon.level() == "drain" and daemon.status()["phase"] == "draining" and "READY=1" not in daemon.said[at:]
    print("two", file=talk.stdin, flush=True)
    assert talk.stdout.readline() == "two\n"
    talk.kill()
    assert daemon.process.wait(PATIENCE) == 0, "".join(daemon.log)
    assert daemon.level() == "none"


def test_while_dns_is_down(daemon):
    dns = daemon.child("coredns")
    os.kill(dns, signal.SIGSTOP)
    at = daemon.await_("STATUS=Degraded: DNS goes direct")
    assert daemon.level() == "no-dns"
    reexec(daemon)
    assert daemon.level() == "no-dns"
    os.kill(dns, signal.SIGCONT)
    daemon.await_("STATUS=Redirecting", at)
    finish(daemon)


def test_while_the_rules_are_held_and_released(trial, tmp_path):
    trial.set(failure__holdRules="9s")
    daemon = Daemon(trial, tmp_path)
    daemon.await_("READY=1")
    envoy = daemon.child("envoy")
    os.kill(envoy, signal.SIGSTOP)
    at = daemon.await_("STATUS=Holding the rules")
    held = time.monotonic()
    assert reexec(daemon, 1)["phase"] == "holding"
    assert daemon.level() == "no-dns"
    # The end of the hold is the one that was promised.
    at = daemon.await_("STATUS=Released", at)
    assert 5 < time.monotonic() - held < 20
    os.kill(envoy, signal.SIGCONT)
    daemon.await_status(lambda found: found["phase"] == "redirecting")
    finish(daemon)


def test_while_it_drains(trial, tmp_path, world):
    trial.set(kumaDP__drainTime="60s")
    daemon = Daemon(trial, tmp_path)
    daemon.await_("READY=1")
    talk = talk_to(trial.host)
    daemon.process.terminate()
    daemon.await_("STATUS=Draining: 1 redirected connection")
    at = len(daemon.said)
    said = test_reexec.reexec(daemon.host)
    assert "has taken the place of" in said.stdout
    assert daemon.level() == "drain" and daemon.status()["phase"] == "draining"
    print("two", file=talk.stdin, flush=True)
    assert talk.stdout.readline() == "two\n"
    assert daemon.process.poll() is None and "READY=1" not in daemon.said[at:]
    talk.communicate()
    assert daemon.process.wait(PATIENCE) == 0, "".join(daemon.log)
    assert daemon.level() == "none"


def excludes(daemon):
    return re.search(r"\bdport 9999\b", "\n".join(our_rules(daemon.host)))


def test_while_a_reload_waits_to_be_confirmed(daemon):
    """What comes back is a configuration that is on no disk any more."""
    daemon.trial.set(redirect__inbound__excludePorts=[9999], safety__confirm="8s")
    daemon.trial.write(CONFIG, daemon.trial.config())
    assert daemon.host.run([PROGRAM, "reload"]).returncode == 0
    assert excludes(daemon)
    found = reexec(daemon)
    assert found["confirmation"]["state"] == "awaited" and 0 < found["confirmation"]["seconds-left"] <= 8
    daemon.await_status(lambda found: found["phase"] == "redirecting" and not excludes(daemon))
    reexec(daemon)
    assert not excludes(daemon)
    finish(daemon)


def test_the_configuration_is_the_one_that_was_read(daemon):
    """An edit waits for a reload, also one that is no good; and so does a token."""
    daemon.trial.write(CONFIG, "nonsense: 1\n")
    rules = our_rules(daemon.host)
    daemon.trial.write(TOKEN, token(exp=int(time.time()) + 40 * 86400))
    daemon.await_status(lambda found: found["token"]["replaced"])
    assert reexec(daemon)["token"]["replaced"]
    assert our_rules(daemon.host) == rules
    assert daemon.host.run([PROGRAM, "reload"], check=False).returncode == 78
    daemon.trial.write(CONFIG, daemon.trial.config())
    said = daemon.host.run([PROGRAM, "reload"])
    assert "kuma-dp restarts" in said.stdout and "the token" in said.stdout
    daemon.await_status(lambda found: not found["token"]["replaced"])
    assert "nothing changes" in daemon.host.run([PROGRAM, "reload"]).stdout
    reexec(daemon)
    assert "nothing changes" in daemon.host.run([PROGRAM, "reload"]).stdout
    finish(daemon)


def test_who_waits_for_a_reload_is_answered_by_the_new_one(trial, tmp_path):
    trial.set(kumaDP__env={"STANDIN_READY_DELAY_MS": "3000"})
    daemon = Daemon(trial, tmp_path)
    daemon.await_("READY=1")
    trial.write(TOKEN, token(exp=int(time.time()) + 40 * 86400))
    asked = trial.host.start([PROGRAM, "reload"], stdout=subprocess.PIPE, text=True)
    daemon.await_status(lambda found: found["generation-waiting"] or found["processes"]["kuma-dp"]["restarts"])
    assert "has taken the place of" in test_reexec.reexec(trial.host).stdout
    out, _ = asked.communicate(timeout=PATIENCE)
    assert asked.returncode == 0 and "kuma-dp restarts" in out, out
    finish(daemon)


def test_a_child_that_is_down_comes_back_in_its_time(trial, tmp_path):
    trial.set(restart__delay="4s", restart__maxDelay="4s")
    daemon = Daemon(trial, tmp_path)
    daemon.await_("READY=1")
    died = time.monotonic()
    os.kill(daemon.status()["processes"]["kuma-dp"]["pid"], signal.SIGKILL)
    daemon.await_status(lambda found: found["processes"]["kuma-dp"]["due-seconds"] is not None)
    found = reexec(daemon, 1)
    assert "was killed by signal 9" in found["processes"]["kuma-dp"]["last-exit"]["text"]
    daemon.await_status(lambda found: found["phase"] == "redirecting")
    assert 2.5 < time.monotonic() - died < 30
    assert daemon.status()["processes"]["kuma-dp"]["restarts"] == 1
    finish(daemon)


def test_a_child_that_dies_meanwhile_is_noticed(daemon):
    kuma_dp = daemon.status()["processes"]["kuma-dp"]["pid"]
    for wait in (0, 0.02, 0.05):
        asked = daemon.host.start([PROGRAM, "reexec"], stdout=subprocess.DEVNULL)
        time.sleep(wait)
        os.kill(kuma_dp, signal.SIGKILL)
        assert asked.wait(PATIENCE) == 0
        daemon.await_status(lambda found: found["phase"] == "redirecting" and found["processes"]["kuma-dp"]["pid"] not in
                            (0, kuma_dp))
        kuma_dp = daemon.status()["processes"]["kuma-dp"]["pid"]
    finish(daemon)


def test_sigterm_meanwhile_is_not_lost(trial, tmp_path):
    for wait in (0, 0.03, 0.06, 0.1):
        daemon = Daemon(trial, tmp_path)
        daemon.await_("READY=1")
        asked = trial.host.start([PROGRAM, "reexec"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(wait)
        finish(daemon)
        asked.wait(PATIENCE)
        os.unlink(tmp_path / "notify")


@pytest.mark.backends("iptables")
def test_what_others_do_to_the_rules_is_put_right_and_counted(daemon):
    def spoil():
        daemon.host.run(["iptables-legacy", "-w", "-t", "nat", "-F", "KUMA_MESH_OUTBOUND"])

    spoil()
    daemon.await_status(lambda found: found["rules"]["repairs"]["count"] == 1)
    assert reexec(daemon)["rules"]["repairs"]["count"] == 1
    spoil()
    daemon.await_status(lambda found: found["rules"]["repairs"]["count"] == 2 and found["rules"]["as-expected"])
    finish(daemon)


def test_a_program_that_was_replaced_is_said_and_taken_by_a_reload(daemon):
    """The stand-ins are scripts: it is their interpreter that is replaced for kuma-dp; envoy's own file for a reload."""
    assert "nothing changes" in daemon.host.run([PROGRAM, "reload", "--dry-run"]).stdout
    daemon.host.run(["sh", "-ec", "cp /run/standin/kuma-dp /run/standin/new; mv /run/standin/new /run/standin/kuma-dp"])
    reexec(daemon)
    before = daemon.status()["processes"]["kuma-dp"]["pid"]
    said = daemon.host.run([PROGRAM, "reload"])
    assert "kuma-dp restarts" in said.stdout and "the program kuma-dp is another file" in said.stdout
    assert daemon.status()["processes"]["kuma-dp"]["pid"] != before
    assert "nothing changes" in daemon.host.run([PROGRAM, "reload"]).stdout
    finish(daemon)


def test_the_socket_is_roots(daemon):
    """Nobody else gets a daemon replaced, nor anything of its state."""
    answer = daemon.host.run(["/usr/bin/python3", "-c", """
import socket
with socket.socket(socket.AF_UNIX) as s:
    s.connect("/run/tproxyd/control")
    s.sendall(b"reexec\\n")
    print(s.makefile().read())
"""], user="nobody").stdout
    assert "only root may ask for that" in answer
    finish(daemon)
