# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon is replaced by another binary in the same process: nobody who goes through the mesh notices, and a binary
that is no good costs nothing.

Environment: TPROXYD_TEST_REEXECS, how often in a row (default 20); TPROXYD_TEST_KILLS, at how many moments around it the
daemon is killed (default 6)."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest

import broken
import netfilter
from test_reload import Subject
from trial import PROGRAM

NF_BACKENDS = ("iptables", "nftables")
REEXECS = int(os.environ.get("TPROXYD_TEST_REEXECS", "20"))
KILLS = int(os.environ.get("TPROXYD_TEST_KILLS", "6"))
SEED = int(os.environ.get("TPROXYD_TEST_SEED", "10"))
HERE = os.path.dirname(os.path.abspath(__file__))
CROWD = os.path.join(os.path.dirname(HERE), "system", "crowd.py")


def reexec(host):
    """On a host under load, with sanitizers, the new one may need more than its 5 s: it is asked again."""
    for _ in range(10):
        said = host.run([PROGRAM, "reexec"], check=False)
        if "within 5 s" not in said.stderr:
            break
    assert said.returncode == 0, said.stderr
    return said


def refused_reexec(host, why="while it took over"):
    """The same where it is refused for that reason."""
    for _ in range(5):
        said = host.run(["/run/old", "reexec"], check=False)
        if why in said.stderr or "within 5 s" not in said.stderr:
            break
    return said


def await_descriptors(subject, n):
    """No more than so many, apart from those of questions of probes, which come and go."""
    end = time.monotonic() + 60
    while (found := subject.descriptors()) > n:
        assert time.monotonic() < end, f"{found} descriptors instead of {n}"
        time.sleep(0.1)


def replace(trial, script):
    """Another program where the daemon was executed from."""
    trial.write("/run/program/new", script, "0755")
    trial.host.run(["mv", "/run/program/new", PROGRAM])


def install(trial, tproxyd):
    """The program as another file, as a package manager does it."""
    trial.host.run(["cp", tproxyd, "/run/program/new"])
    trial.host.run(["mv", "/run/program/new", PROGRAM])


class Load:
    """200 connections that stay, and names and connections that come and go, in the mesh alone."""

    def __init__(self, host):
        self.host = host

    def __enter__(self):
        self.crowd = self.host.start([sys.executable, CROWD, 150, 50, "10.77.0.1", 7],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert json.loads(self.crowd.stdout.readline())
        self.through = [self.host.start([sys.executable, os.path.join(HERE, "through.py"), "10.77.0.1", "shop.mesh",
                                         "240.0.0.2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                        for _ in range(2)]
        for process in self.through:
            assert process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        self.found = [json.loads(process.communicate(timeout=30)[0]) for process in self.through]
        self.crowd.stdin.write("look\n")
        self.crowd.stdin.flush()
        self.members = json.loads(self.crowd.stdout.readline())
        self.crowd.communicate(timeout=30)

    def assert_nobody_noticed(self):
        print(self.found, self.members)
        assert self.members == {"alive": 200, "lost": {}}
        for found in self.found:
            assert not found["failed"] and found["done"] > 0, found


@pytest.fixture
def subject(trial, world, tmp_path):
    trial.set(kumaDP__env={"STANDIN_ROUTES": "shop.mesh=10.77.0.1:80"})
    return Subject(trial, tmp_path)


def test_nobody_notices_and_nothing_is_left(subject, tproxyd):
    host, daemon = subject.trial.host, subject.daemon
    reexec(host)
    children, descriptors, memory = subject.children(), subject.descriptors(), subject.memory()
    rules = netfilter.our_rules(host)
    with Load(host) as load:
        for _ in range(REEXECS):
            install(subject.trial, tproxyd)
            said = reexec(host)
            assert re.fullmatch("tproxyd [0-9.]+ has taken the place of [0-9.]+\n", said.stdout)
    load.assert_nobody_noticed()
    assert subject.children() == children and netfilter.our_rules(host) == rules
    assert daemon.process.poll() is None and daemon.status()["phase"] == "redirecting"
    await_descriptors(subject, descriptors)
    grown = subject.memory() - memory
    print(f"{REEXECS} times: {grown} KiB")
    assert grown < 4096
    # The lock has crossed too.
    other = subject.trial.shell(f"exec {PROGRAM} run")
    assert other.status == 1 and f"another tproxyd (process {subject.pid})" in other.text, other.text
    at = [n for n, message in enumerate(daemon.said) if message == "RELOADING=1"]
    assert len(at) == REEXECS + 1 and "READY=1" in daemon.said[at[-1]:]
    subject.stop()


BROKEN = {
    "exits": ("#!/bin/sh\nexit 3\n", "exited with status 3 when it was tried and said nothing"),
    "says nothing": ("#!/bin/sh\nexit 0\n", "exited with status 0 when it was tried and said nothing"),
    "complains": ("#!/bin/sh\necho libfoo.so.1: cannot open shared object file >&2\nexit 127\n",
                  "exited with status 127 when it was tried: libfoo.so.1: cannot open"),
    "crashes": ("#!/bin/sh\nkill -SEGV $$\n", "was killed by signal 11"),
    "hangs": ("#!/bin/sh\nsleep 1000\n", "did not answer within 5 s when it was tried"),
    "babbles": ("#!/bin/sh\nexec yes\n", "did not answer within 5 s|exited with status 1 when it was tried: y"),
    "of another machine": ("\x7fELF\x02\x01\x01" + "\0" * 9 + "\x03\0\xf3\0" + "\0" * 100, "Exec format error"),
    "is empty": ("", "Exec format error"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_binary_that_is_no_good_costs_nothing(subject, kind, tproxyd):
    script, why = BROKEN[kind]
    children, descriptors = subject.children(), subject.descriptors()
    replace(subject.trial, script)
    with Load(subject.trial.host) as load:
        said = subject.trial.host.run(["/run/old", "reexec"], check=False)
    load.assert_nobody_noticed()
    assert said.returncode == 1 and re.search(why, said.stderr) and "goes on" in said.stderr, said.stderr
    assert any("Not replaced" in line and re.search(why, line) for line in subject.daemon.log)
    install(subject.trial, tproxyd)
    assert subject.children() == children
    await_descriptors(subject, descriptors)
    reexec(subject.trial.host)
    subject.stop()


@pytest.fixture(autouse=True)
def old_program(trial):
    trial.host.run(["cp", PROGRAM, "/run/old"])


# Reads the state when it is tried; what is executed then does not know its form.
FORGETFUL = """\
#!/bin/sh
[ "$*" != "run --check-state" ] || exec /run/old "$@"
exec /run/other "$@"
"""


def give_back_program(subject, tproxyd, directory):
    with open(tproxyd, "rb") as file:
        program = file.read()
    assert program.count(b"\0tproxyd-state \0") == 1
    (directory / "other").write_bytes(program.replace(b"\0tproxyd-state \0", b"\0tproxyd-other \0"))
    subject.trial.host.run(["install", "-m", "755", directory / "other", "/run/other"])


def test_one_that_cannot_read_the_state_when_it_matters_gives_the_place_back(subject, tproxyd, tmp_path):
    host = subject.trial.host
    give_back_program(subject, tproxyd, tmp_path)
    children, descriptors = subject.children(), subject.descriptors()
    rules = netfilter.our_rules(host)
    replace(subject.trial, FORGETFUL)
    with Load(host) as load:
        for _ in range(3):
            said = host.run(["/run/old", "reexec"], check=False)
            assert said.returncode == 1 and re.search("cannot take over: .*; tproxyd [0-9.]+ goes on", said.stderr), said.stderr
    load.assert_nobody_noticed()
    assert any("Not replaced" in line and "cannot take over" in line for line in subject.daemon.log)
    assert subject.children() == children and netfilter.our_rules(host) == rules
    assert subject.daemon.status()["phase"] == "redirecting"
    install(subject.trial, tproxyd)
    reexec(host)
    assert subject.children() == children
    await_descriptors(subject, descriptors)
    subject.stop()


@pytest.fixture
def in_tables(trial, world, tmp_path):
    """Its rules are in a table that the kernel removes with the socket that it belongs to."""
    trial.set(kumaDP__env={"STANDIN_ROUTES": "shop.mesh=10.77.0.1:80"}, backend="nftables")
    return Subject(trial, tmp_path)


def handles(host):
    """Those of the tables: one that went and came again has another one."""
    text = host.run(["nft", "-a", "list", "ruleset"]).stdout
    found = re.findall(r"^table (\S+) tproxyd \{ # handle (\d+)\b", text, re.M)
    assert [family for family, _ in found] == ["ip", "ip6"] and text.count("flags owner") == 2, text
    return found


def test_tables_that_belong_to_the_daemon_cross(in_tables, tproxyd, tmp_path):
    """To the next one, back from one that could not take them, and back where it cannot be executed."""
    host = in_tables.trial.host
    before, children, descriptors = handles(host), in_tables.children(), in_tables.descriptors()
    give_back_program(in_tables, tproxyd, tmp_path)
    with Load(host) as load:
        for _ in range(3):
            install(in_tables.trial, tproxyd)
            reexec(host)
            assert handles(host) == before
            replace(in_tables.trial, FORGETFUL)
            said = host.run(["/run/old", "reexec"], check=False)
            assert said.returncode == 1 and "goes on" in said.stderr, said.stderr
            assert handles(host) == before
            replace(in_tables.trial, BROKEN["exits"][0])
            assert host.run(["/run/old", "reexec"], check=False).returncode == 1
            assert handles(host) == before
    load.assert_nobody_noticed()
    install(in_tables.trial, tproxyd)
    reexec(host)
    assert in_tables.children() == children
    await_descriptors(in_tables, descriptors + 1)
    # What it changes then goes over the socket that has crossed.
    in_tables.trial.set(redirect__outbound__excludePorts="9999")
    in_tables.trial.write("/etc/tproxyd/tproxyd.yaml", in_tables.trial.config())
    assert host.run([PROGRAM, "reload"], check=False).returncode == 0
    text = host.run(["nft", "list", "ruleset"]).stdout
    assert "9999" in text and text.count("flags owner") == 2, text
    in_tables.stop()
    assert "tproxyd" not in host.run(["nft", "list", "ruleset"]).stdout


# Who opens the file waits for the lease, as on a file system that hangs.
LEASE = """
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
fcntl.fcntl(os.open(sys.argv[1], os.O_RDWR), fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("leased", flush=True)
sys.stdin.read()
"""


def test_a_binary_that_cannot_be_opened_holds_nothing_up(subject, tproxyd):
    host, children = subject.trial.host, subject.children()
    install(subject.trial, tproxyd)
    lease = host.start([sys.executable, "-c", LEASE, PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert lease.stdout.readline() == "leased\n"
    with Load(host) as load:
        said = host.run(["/run/old", "reexec"], check=False)
    load.assert_nobody_noticed()
    assert said.returncode == 1 and "did not answer within 5 s" in said.stderr, said.stderr
    lease.communicate(timeout=30)
    reexec(host)
    assert subject.children() == children
    subject.stop()


def test_a_state_that_cannot_be_written_down_costs_nothing(subject):
    """LimitFSIZE= of a drop-in goes for a memfd, too."""
    host, children = subject.trial.host, subject.children()
    host.run(["prlimit", f"--pid={subject.pid}", "--fsize=4096:unlimited"])
    said = host.run([PROGRAM, "reexec"], check=False)
    assert said.returncode == 1 and "File too large" in said.stderr and "goes on" in said.stderr, said.stderr
    host.run(["prlimit", f"--pid={subject.pid}", "--fsize=unlimited"])
    reexec(host)
    assert subject.children() == children
    subject.stop()


# Where in the taking over it goes wrong, how, and what is said of it. The last point is right before it says READY=1.
FAULTS = [
    ("redirect_open", "fails", "cannot take over: "),
    ("probe_new", "crashes", "was ended by SIGSEGV while it took over"),
    ("sweep_prepare", "is nonsense", "was ended by SIGILL while it took over"),
    ("daemon_listen", "calls itself", "was ended by SIGSEGV while it took over"),
    ("daemon_resume", "hangs", "was not ready within 5 s"),
    ("proc_resume", "aborts", "was ended by SIGABRT while it took over"),
    ("proc_resume", "fails", "cannot take over: "),
    ("notify_ready", "crashes", "was ended by SIGSEGV while it took over"),
]


def mask(pid):
    """Its name, and what it does with signals."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return re.findall(r"^(Name|SigBlk|SigIgn|SigCgt):\s(.*)$", file.read(), re.M)


def test_one_that_fails_while_it_takes_over_gives_the_place_back(subject, tproxyd, tmp_path):
    """All that it needs it has when it is tried; what it does with it then is no good, before it is ready."""
    host, daemon = subject.trial.host, subject.daemon
    reexec(host)
    children, descriptors, rules, signals = subject.children(), subject.descriptors(), netfilter.our_rules(host), mask(subject.pid)
    tables = handles(host) if subject.trial.settings.get("backend") == "nftables" else None
    with Load(host) as load:
        for function, kind, why in FAULTS:
            install(subject.trial, broken.make(tproxyd, function, kind, tmp_path / "broken"))
            at, lines = len(daemon.said), len(daemon.log)
            said = refused_reexec(host, why)
            assert said.returncode == 1 and re.search(f"tproxyd [0-9.]+ {why}.*; tproxyd [0-9.]+ goes on", said.stderr), said.stderr
            assert any("Not replaced" in line and why in line for line in daemon.log[lines:]), daemon.log[lines:]
            daemon.await_("READY=1", daemon.await_("RELOADING=1", at))
            assert daemon.process.poll() is None and subject.children() == children, function
            assert daemon.status()["phase"] == "redirecting" and netfilter.our_rules(host) == rules
            assert mask(subject.pid) == signals
            assert tables is None or handles(host) == tables
    load.assert_nobody_noticed()
    install(subject.trial, tproxyd)
    reexec(host)
    assert subject.children() == children and netfilter.our_rules(host) == rules
    await_descriptors(subject, descriptors)
    subject.stop()


def test_one_that_is_gone_is_said(subject):
    subject.trial.host.run(["rm", PROGRAM])
    said = subject.trial.host.run(["/run/old", "reexec"], check=False)
    assert said.returncode == 1 and "No such file" in said.stderr, said.stderr
    subject.trial.host.run(["cp", "/run/old", PROGRAM])
    subject.stop()


def test_a_killed_one_leaves_one_that_runs_or_nothing(subject, tmp_path):
    """At each moment: the old one or the new one runs with all it had, or its children have gone with it and what
    ExecStopPost= does takes everything out."""
    host, chance = subject.trial.host, random.Random(SEED)
    alive = 0
    for turn in range(KILLS):
        daemon = subject.daemon
        kuma_dp = subject.children()["kuma-dp"]
        asked = host.start([PROGRAM, "reexec"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.random() * 0.4)
        daemon.process.send_signal(signal.SIGKILL)
        asked.wait(30)
        daemon.process.wait(30)
        end = time.monotonic() + 10
        while os.path.exists(f"/proc/{kuma_dp}"):
            assert time.monotonic() < end, f"kuma-dp lives on (turn {turn})"
            time.sleep(0.01)
        host.run([PROGRAM, "uninstall", "--recorded", "--quiet"])
        assert not netfilter.our_rules(host), f"rules are left (turn {turn})"
        alive += 1
        if turn + 1 < KILLS:
            os.unlink(f"{tmp_path}/notify")
            subject = Subject(subject.trial, tmp_path)
    assert alive == KILLS
