# SPDX-License-Identifier: GPL-2.0-or-later
"""Reloads of a daemon in a namespace, one after another and of every kind: what each changes, and that nothing of them
is left. (tests/system has them under a real systemd and under load.)

Environment: TPROXYD_TEST_RELOADS, how many reloads are done in a row (default 30, and 100 under load)."""

import os
import random
import re
import subprocess
import time

from daemon import Daemon
from netfilter import our_rules
from traffic import Traffic
from trial import CONFIG, PROGRAM, TOKEN, token

NF_BACKENDS = ("iptables", "nftables")
RELOADS = int(os.environ.get("TPROXYD_TEST_RELOADS", "30"))
MANY_RELOADS = int(os.environ.get("TPROXYD_TEST_RELOADS", "100"))
MANY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reloads.py")
SEED = int(os.environ.get("TPROXYD_TEST_SEED", "10"))
COREFILE = "/etc/tproxyd/Corefile"
TEMPLATE = ".:{{ .CoreDNSPort }} {\n\tbind 127.0.0.1 ::1\n\terrors\n\tforward . 127.0.0.1:{{ .EnvoyDNSPort }}\n}\n"


class Subject:
    def __init__(self, trial, directory):
        self.trial = trial
        self.daemon = Daemon(trial, directory)
        self.daemon.await_("READY=1")
        self.pid = self.daemon.process.pid

    def reload(self, *words, **settings):
        """Another configuration, and a reload of it: its exit status and what it said."""
        self.trial.set(**settings)
        self.trial.write(CONFIG, self.trial.config())
        asked = self.trial.host.run([PROGRAM, "reload", *words], check=False, timeout=120)
        return asked.returncode, asked.stdout + asked.stderr

    def children(self):
        return {name: found["pid"] for name, found in self.daemon.status()["processes"].items()}

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory(self):
        with open(f"/proc/{self.pid}/smaps_rollup", encoding="ascii") as file:
            return int(re.search(r"Pss: +(\d+)", file.read()).group(1))

    def excluded(self):
        return sorted({*re.findall(r"\bdport (9\d+) (?:.*RETURN|counter .*return)", "\n".join(our_rules(self.trial.host)))})

    def stop(self):
        self.daemon.stop()
        assert not any("Sanitizer" in line for line in self.daemon.log), "".join(self.daemon.log)
        assert self.daemon.level() == "none"


def test_reloads_of_every_kind_leave_nothing_of_themselves(trial, tmp_path, world):
    chance = random.Random(SEED)
    subject = Subject(trial, tmp_path)
    kinds = ["same", "rules", "rules", "times", "invalid", "refused", "dry"]
    n = 0
    subject.reload(redirect__outbound__excludePorts=[9000])
    children, descriptors, memory = subject.children(), subject.descriptors(), subject.memory()
    traffic = Traffic(trial.host, 10)
    for turn in range(RELOADS):
        kind = chance.choice(kinds)
        before = subject.excluded()
        if kind == "same":
            assert subject.reload()[0] == 0
        elif kind == "times":
            assert subject.reload(failure__holdRules=f"{turn + 31}s")[0] == 0
        elif kind == "rules":
            n += 1
            status, said = subject.reload(redirect__outbound__excludePorts=[9000 + n % 100])
            assert status == 0 and "the rules change" in said
            assert subject.excluded() == [str(9000 + n % 100)]
        elif kind == "invalid":
            assert subject.reload(redirect__inbound__port=70000)[0] == 78
            trial.set(redirect__inbound__port=None)
        elif kind == "refused":
            status, said = subject.reload(coreDNS__mode="tproxyd")
            assert status == 1 and "coreDNS.mode: tproxyd would run a coredns of its own" in said, said
            trial.set(coreDNS__mode=None)
        else:
            assert "the rules change" in subject.reload("--dry-run", redirect__outbound__excludePorts=[9999])[1]
            trial.set(redirect__outbound__excludePorts=[9000 + n % 100])
        assert kind == "rules" or subject.excluded() == before, kind
    direct, counts = traffic.direct(), traffic.end()
    print(f"seed {SEED}: {RELOADS} reloads; descriptors {descriptors} -> {subject.descriptors()}, "
          f"PSS {memory} -> {subject.memory()} kB; {direct} connections direct, {counts}")
    assert direct == 0 and set(counts) == {"ok"}
    assert subject.children() == children
    # A round of probes has up to six.
    assert abs(subject.descriptors() - descriptors) <= 6
    subject.stop()


def test_many_reloads_under_load(trial, tmp_path, world):
    """As fast as they are answered: a hundred of them, or as many as are asked for."""
    subject = Subject(trial, tmp_path)
    traffic = Traffic(trial.host, 10)
    program = ["/usr/bin/python3", "-B", MANY, CONFIG]
    made = trial.host.run([*program, "60", str(SEED)], check=False, timeout=600)  # after which nothing new is taken
    assert made.returncode == 0, made.stderr + "".join(subject.daemon.log[-20:])
    children, descriptors, memory = subject.children(), subject.descriptors(), subject.memory()
    begin = time.monotonic()
    made = trial.host.run([*program, str(MANY_RELOADS), str(SEED + 1)], check=False, timeout=20000)
    took = time.monotonic() - begin
    assert made.returncode == 0, made.stderr + "".join(subject.daemon.log[-20:])
    direct, counts = traffic.direct(), traffic.end()
    print(f"seed {SEED}: {made.stdout.strip()}, {1000 * took / MANY_RELOADS:.0f} ms each; descriptors {descriptors} -> "
          f"{subject.descriptors()}, PSS {memory} -> {subject.memory()} kB; {direct} connections direct, {counts}")
    assert direct == 0 and set(counts) == {"ok"}
    assert subject.children() == children
    assert abs(subject.descriptors() - descriptors) <= 6
    subject.stop()


def test_a_token_restarts_kuma_dp_and_a_corefile_our_coredns_alone(trial, tmp_path):
    trial.set(coreDNS__mode="tproxyd", coreDNS__corefile=COREFILE)
    trial.write(COREFILE, TEMPLATE)
    subject = Subject(trial, tmp_path)
    first = subject.children()

    trial.write(COREFILE, f"# another\n{TEMPLATE}")
    status, said = subject.reload()
    assert status == 0 and "our own coredns restarts\n  the Corefile" in said, said
    second = subject.children()
    assert second["coredns"] != first["coredns"] and second["kuma-dp"] == first["kuma-dp"]
    assert subject.daemon.level() == "full"

    trial.write(TOKEN, token(exp=int(time.time()) + 31 * 86400))
    status, said = subject.reload(redirect__outbound__port=15011, redirect__inbound__port=15016,
                                  kumaDP__dataplaneFile=None, kumaDP__name="web")
    assert status == 0 and "the rules change, kuma-dp restarts" in said and "the token" in said, said
    third = subject.children()
    assert third["kuma-dp"] != second["kuma-dp"] and third["coredns"] == second["coredns"]
    assert re.search("(--to-ports |redirect to :)15011", "\n".join(our_rules(trial.host)))
    subject.stop()


def test_what_is_read_from_standard_input_is_not_read_again(trial):
    trial.finish()
    process = trial.host.start([PROGRAM, "run", "--config-file=-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    process.stdin.write(trial.config())
    process.stdin.close()
    end = time.monotonic() + 60
    while '"redirecting"' not in trial.host.run([PROGRAM, "status", "--json"], check=False).stdout:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.1)
    asked = trial.host.run([PROGRAM, "reload"], check=False)
    assert asked.returncode == 1 and "standard input, which cannot be read again" in asked.stderr
    process.terminate()
    said = process.stderr.read()
    assert process.wait(60) == 0 and "Sanitizer" not in said, said
