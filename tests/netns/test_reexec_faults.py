# SPDX-License-Identifier: GPL-2.0-or-later
"""The new program gets no memory for one of its event sources while it takes over: the former one goes on with all it had."""

import os
import subprocess
import sys
import time

import pytest

import broken
import test_reexec
from daemon import PATIENCE, Daemon, lock, unlock
from mesh import TO_JOURNAL
from netfilter import our_rules
from test_reload import Subject
from trial import PROGRAM

NF_BACKENDS = ("iptables", "nftables")
HERE = os.path.dirname(os.path.abspath(__file__))
SHIM, ORDER = "/run/program/fault.so", "/run/program/fault"
# In a program that takes another one's place, the n-th call of a function fails, as the file says ("sd_event_add_io 2"),
# which is then removed. One that was given the place back fails no more, nor does one that has got going.
FAULT = """
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <systemd/sd-event.h>

static char function[64];
static int left;

__attribute__((constructor)) static void read_order(void)
{
	FILE *file = getenv("TPROXYD_STATE") && !getenv("TPROXYD_WHY") ? fopen(ORDER, "re") : NULL;

	if (!file || fscanf(file, "%63s %d", function, &left) != 2)
		left = 0;
	if (file)
		fclose(file);
}

static int fails(const char *name)
{
	return strcmp(name, function) == 0 && left > 0 && --left == 0 && unlink(ORDER) == 0;
}

#define CALL(name, parameters, arguments) int name parameters                          \\
	{                                                                              \\
		typeof(name) *real = dlsym(RTLD_NEXT, #name);                          \\
		return fails(#name) ? -ENOMEM : real arguments;                        \\
	}
CALL(sd_event_add_io, (sd_event *e, sd_event_source **s, int fd, uint32_t events, sd_event_io_handler_t f, void *u),
     (e, s, fd, events, f, u))
CALL(sd_event_add_child_pidfd, (sd_event *e, sd_event_source **s, int fd, int how, sd_event_child_handler_t f, void *u),
     (e, s, fd, how, f, u))
CALL(sd_event_add_time, (sd_event *e, sd_event_source **s, clockid_t c, uint64_t t, uint64_t a, sd_event_time_handler_t f,
     void *u), (e, s, c, t, a, f, u))
CALL(sd_event_add_time_relative, (sd_event *e, sd_event_source **s, clockid_t c, uint64_t t, uint64_t a,
     sd_event_time_handler_t f, void *u), (e, s, c, t, a, f, u))
CALL(sd_event_source_set_priority, (sd_event_source *s, int64_t p), (s, p))

int sd_event_loop(sd_event *e)
{
	typeof(sd_event_loop) *real = dlsym(RTLD_NEXT, "sd_event_loop");

	left = 0;
	return real(e);
}
"""
FUNCTIONS = ("sd_event_add_child_pidfd", "sd_event_add_io", "sd_event_source_set_priority", "sd_event_add_time",
             "sd_event_add_time_relative")


class Journal:
    """All that is said goes there; it can be stopped."""

    def __init__(self, host, directory):
        self.path = f"{directory}/journal"
        with open(self.path, "w", encoding="utf-8") as file:
            self.process = host.start([sys.executable, os.path.join(HERE, "mesh.py"), "journal"], stdout=file,
                                      env={"PYTHONPATH": os.path.join(os.path.dirname(HERE), "system")})
        while host.run(["test", "-S", "/run/systemd/journal/socket"], check=False).returncode:
            time.sleep(0.05)

    def text(self):
        with open(self.path, encoding="utf-8") as file:
            return file.read()

    def await_(self, text, n=1):
        end = time.monotonic() + PATIENCE
        while self.text().count(text) < n:
            assert time.monotonic() < end, f"no {text} in\n{self.text()}"
            time.sleep(0.05)


@pytest.fixture
def journal(host, tmp_path):
    return Journal(host, tmp_path)


class Journaled(Daemon):
    """Its children's output goes through it, which so crosses as well."""

    def __init__(self, trial, directory):
        super().__init__(trial, directory, before=TO_JOURNAL)


class Faulty(Subject):
    def __init__(self, trial, directory):  # not super(): that makes a daemon of another kind
        self.trial, self.daemon = trial, Journaled(trial, directory)
        self.daemon.await_("READY=1")
        self.pid = self.daemon.process.pid


@pytest.fixture
def faulty(trial, tmp_path, journal):
    trial.write("/run/program/fault.c", FAULT)
    trial.host.run(["cc", "-D_GNU_SOURCE", f'-DORDER="{ORDER}"', "-shared", "-fPIC", "-o", SHIM, "/run/program/fault.c"])
    trial.host.run(["cp", PROGRAM, "/run/old"])
    trial.environment = {"LD_PRELOAD": SHIM, "ASAN_OPTIONS": "verify_asan_link_order=0"}
    return Faulty(trial, tmp_path)


def output_of(pid):
    """Where it writes to: the socket's number."""
    return os.readlink(f"/proc/{pid}/fd/1")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_former_one_goes_on_with_all_it_had(faulty, journal, function):
    host, daemon, pid = faulty.trial.host, faulty.daemon, faulty.pid
    children, rules, descriptors = faulty.children(), our_rules(host), faulty.descriptors()
    outputs = {name: output_of(child) for name, child in children.items() if child}
    failed = 0
    for n in range(1, 60):
        faulty.trial.write(ORDER, f"{function} {n}\n")
        asked = host.run(["/run/old", "reexec"], check=False)
        reached = host.run(["test", "-e", ORDER], check=False).returncode != 0
        print(n, reached, asked.returncode, asked.stderr.strip())
        assert daemon.process.poll() is None and faulty.pid == pid, (n, journal.text())
        assert faulty.children() == children and our_rules(host) == rules, (n, asked.stderr, journal.text())
        assert {name: output_of(child) for name, child in children.items() if child} == outputs
        assert daemon.status()["phase"] == "redirecting", n
        # What need not be watched is gone without; else whoever asked is told, over the connection that has crossed twice.
        if asked.returncode:
            failed += 1
            assert "cannot take over: " in asked.stderr and "goes on" in asked.stderr, (n, asked.stderr)
        if not reached:
            break
    assert not reached and asked.returncode == 0 and failed, failed
    test_reexec.await_descriptors(faulty, descriptors)
    # The children are watched, and what they say arrives.
    os.kill(children["kuma-dp"], 9)
    daemon.await_status(lambda found: found["processes"]["kuma-dp"]["pid"] not in (0, children["kuma-dp"])
                        and found["phase"] == "redirecting")
    faulty.stop()


@pytest.mark.backends("iptables")
def test_where_nobody_goes_on_the_rules_go_before_the_proxy(trial, tmp_path, tproxyd):
    """It fails behind the point where the children are its own, and the former one cannot be executed."""
    daemon = Daemon(trial, tmp_path)
    daemon.await_("READY=1")
    trial.host.run(["cp", PROGRAM, "/run/old"])
    no_way_back = broken.make(tproxyd, "retreat_prepare", "fails", tmp_path / "no-way-back")
    test_reexec.install(trial, broken.make(no_way_back, "daemon_watch_envoy", "fails", tmp_path / "broken"))
    kuma_dp = daemon.status()["processes"]["kuma-dp"]["pid"]
    others = lock(trial)
    asked = trial.host.start(["/run/old", "reexec"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    daemon.await_("RELOADING=1")
    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert daemon.level() == "none" or os.path.exists(f"/proc/{kuma_dp}"), "rules without a proxy"
        time.sleep(0.02)
    assert daemon.process.poll() is None and daemon.level() == "full"
    unlock(others)
    assert daemon.process.wait(PATIENCE) == 1, "".join(daemon.log)
    asked.wait(PATIENCE)
    assert daemon.level() == "none" and not os.path.exists(f"/proc/{kuma_dp}")
    assert not any("Sanitizer" in line for line in daemon.log), "".join(daemon.log)


FILL = """
import socket
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
    s.setblocking(False)
    try:
        while True:
            s.sendto(b"MESSAGE=others\\n", "/run/systemd/journal/socket")
    except BlockingIOError:
        pass
"""


def test_what_the_journal_has_not_taken_yet_is_not_lost(trial, tmp_path, journal):
    """It is slow: it takes what was said before the program was executed in less than a second."""
    daemon = Journaled(trial, tmp_path)
    daemon.await_("READY=1")
    at = len(daemon.said)
    journal.process.send_signal(19)
    trial.host.run([sys.executable, "-c", FILL])
    asked = trial.host.start([PROGRAM, "reexec"])
    daemon.await_("RELOADING=1", at)
    time.sleep(0.3)
    journal.process.send_signal(18)
    assert asked.wait(PATIENCE) == 0
    journal.await_("has taken the place of")
    assert " takes the place of " in journal.text(), journal.text()[-1000:]
    daemon.stop()
