# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls of `tproxyd run` fail: nothing is left after ExecStopPost, and nobody waits.

The calls are the daemon's own, not its children's, of three lives: a start; what follows READY=1 until a stop is over; and
what follows it while resolv.conf changes, others take a rule out and Envoy is killed, to the end. Of each name there are ten
places or more: calls spread over these lives, every other one of which begins a row of failures, and where there are fewer
calls they fail with more errors.
With TPROXYD_TEST_THOROUGH=1 all of them, and their table is printed; else a few that a seed chooses, which is printed;
TPROXYD_TEST_SEED=N repeats them. TPROXYD_TEST_ONLY=NAME,… fails these calls alone.
"""

import collections
import os
import random
import re
import shutil
import signal
import subprocess
import time

import pytest

from daemon import Daemon
from test_syscall_faults import ERRORS, calls_of, difference, find_program, program
from trial import PROGRAM, Trial

THOROUGH = bool(os.environ.get("TPROXYD_TEST_THOROUGH"))
SEED = int(os.environ.get("TPROXYD_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
SAMPLE, PLACES, SHARES = 10, 10, 10
ONLY = os.environ.get("TPROXYD_TEST_ONLY")
LIMIT = 5  # seconds
READINESS = 4  # readiness.timeout, in seconds
TRACE = "/run/.etc/trace"

# close() is not here: on Linux the descriptor is gone even where close() fails, and strace can only leave it out.
# Nor are calls that cannot fail.
RUN_ERRORS = {
    **ERRORS, "getsockname": "ENOBUFS", "setfsuid": "EPERM", "setfsgid": "EPERM", "epoll_ctl": "ENOMEM",
    "epoll_wait": "EINVAL", "fcntl": "EMFILE", "capget": "EPERM", "capset": "EPERM", "timerfd_settime": "EINVAL",
    "getrandom": "EIO", "mprotect": "ENOMEM", "getgroups": "EPERM", "setgroups": "EPERM", "rt_sigprocmask": "EINVAL",
    "rt_sigaction": "EINVAL", "signalfd4": "EMFILE", "prctl": "EPERM", "renameat2": "EIO", "pipe2": "EMFILE",
    "pidfd_open": "EMFILE", "pidfd_send_signal": "EPERM", "kill": "EPERM", "madvise": "EINVAL", "unlinkat": "EIO",
    "munmap": "ENOMEM", "statfs": "EIO", "clone": "EAGAIN", "clone3": "EAGAIN", "waitid": "ECHILD", "wait4": "ECHILD",
    "epoll_create1": "EMFILE", "timerfd_create": "EMFILE", "lchown": "EPERM", "inotify_init1": "EMFILE",
    "inotify_add_watch": "ENOSPC", "inotify_rm_watch": "EINVAL", "access": "EIO", "accept4": "EMFILE", "chown": "EIO",
    "ftruncate": "ENOSPC", "fallocate": "ENOSPC", "dup3": "EMFILE", "pwrite64": "ENOSPC", "fdatasync": "EIO",
}
# With what else calls fail of which there are few: what a kernel short of memory, a sandbox or a broken disk says.
OTHER_ERRORS = ("ENOMEM", "EPERM", "EIO", "EINVAL", "EACCES", "ENOSPC")
SCENARIOS = ("start", "running", "stop")
# One failure, or with on="+" a row of them: a Call of that scenario fails with the error.
Place = collections.namedtuple("Place", "scenario call error on")
# Calls that do not fail as they are made (to give back what one has): libraries and an assertion of ours end the process.
ABORTS = "Could not set close on exec|Assertion .* failed"
STATE = """
for v in ip ip6; do ${v}tables-legacy-save | sed 's/^#.*//; s/\\[.*\\]//'; done
ip -o -6 addr show lo | sed 's/ *valid_lft.*//'
ls -A /run/tproxyd-state | grep -vx lock || :  # the lock is a file that stays
"""


class Faults:
    def __init__(self, host, directory):
        self.host, self.directory = host, directory
        self.trial = Trial(host, find_program())
        self.trial.set(readiness__timeout=f"{READINESS}s", kumaDP__drainTime="1s")
        self.trial.finish()
        host.run([PROGRAM, "prepare", "--quiet"])
        self.net = os.fstat(host.net).st_ino
        self.problems, self.done, self.swept = [], collections.Counter(), 0
        self.clean = None
        self.clean = self.snapshot()

    def snapshot(self):
        return self.host.run(["sh", "-c", STATE]).stdout

    def processes(self):
        """Those of the namespace, as (pid, name), without strace."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as comm:
                    name = comm.read().strip()
                if os.stat(f"/proc/{pid}/ns/net").st_ino == self.net and name != "strace":
                    found.append((int(pid), name))
            except OSError:
                pass  # gone, or not for us to see
        return found

    def sweep(self):
        """As the service manager with KillMode=mixed; returns the names of those that were left."""
        found = self.processes()
        for pid, _ in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return [name for _, name in found]

    def start(self, strace):
        manager = os.path.join(self.directory, "notify")
        if os.path.exists(manager):
            os.unlink(manager)
        start = self.host.start

        def traced(argv, **options):
            return start([*strace, *argv], **options)

        self.host.start = traced
        try:
            return Daemon(self.trial, self.directory)
        finally:
            self.host.start = start

    @staticmethod
    def await_ready(daemon):
        """Seconds until READY=1 or the end; more than LIMIT where neither came."""
        begin = time.monotonic()
        while "READY=1" not in daemon.said and daemon.process.poll() is None:
            if time.monotonic() - begin > LIMIT + READINESS:
                break
            time.sleep(0.01)
        return time.monotonic() - begin

    def attach(self, daemon, strace):
        tracer = self.host.start([*strace, "-p", str(daemon.process.pid)], stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while not re.search(r"^TracerPid:\s+[1-9]", self.file(daemon, "status"), re.M) and tracer.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(0.3)  # rounds of the loop

    @staticmethod
    def file(daemon, name):
        try:
            with open(f"/proc/{daemon.process.pid}/{name}", encoding="ascii") as file:
                return file.read()
        except (FileNotFoundError, ProcessLookupError):
            return ""

    def live(self, scenario, strace):
        """One life under strace; (seconds of the start, of what follows, the daemon). None: it hung."""
        daemon = self.start([*strace[:1], "-D", *strace[1:]] if scenario == "start" else [])
        up = self.await_ready(daemon)
        if daemon.process.poll() is None and "READY=1" not in daemon.said:
            if not any("Started in " in line for line in daemon.log):
                return up, None, daemon
            # It serves and cannot say so: it is stopped when the service manager has waited long enough.
            up = 0
        if scenario != "start":
            self.attach(daemon, strace)
        if scenario == "running":
            self.disturb(daemon)
        begin = time.monotonic()
        if daemon.process.poll() is None:
            daemon.process.terminate()
        try:
            daemon.process.wait(4 * LIMIT)
        except subprocess.TimeoutExpired:
            pass
        return up, time.monotonic() - begin, daemon

    def disturb(self, daemon):
        """Name servers change, others take a rule out, Envoy dies; returns when it redirects again, or does not in time."""
        self.host.run(["sh", "-c", "echo options timeout:3 >>/etc/resolv.conf; iptables-legacy -w 5 -t nat -D OUTPUT 1"],
                      check=False)
        time.sleep(0.3)
        since = len(daemon.said)
        for pid, name in self.processes():
            if name == "envoy":
                os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + LIMIT
        while time.monotonic() < end and daemon.process.poll() is None:
            later = [message for message in daemon.said[since:] if message.startswith("STATUS=")]
            if len(later) > 1 and later[-1].startswith("STATUS=Redirecting"):
                break
            time.sleep(0.01)

    def end(self, daemon):
        """What systemd does when the main process is gone: returns what went wrong."""
        daemon.process.kill()
        daemon.process.wait()
        swept = self.sweep()
        self.swept += bool(swept)
        daemon.manager.close()
        self.host.run(["rm", "-rf", "/run/tproxyd"])
        begin = time.monotonic()
        said = self.host.run([PROGRAM, "uninstall", "--recorded", "--quiet"], check=False)
        took, left = time.monotonic() - begin, self.snapshot()
        wrong = []
        if swept:
            print(f"left to the service manager: {swept}")
        if said.returncode:
            wrong.append(f"ExecStopPost ended with {said.returncode}: {said.stderr.strip()}")
        if took > LIMIT:
            wrong.append(f"ExecStopPost took {took:.1f} s")
        if left != self.clean:
            wrong.append(f"left: {difference(left, self.clean)}")
            self.host.run([PROGRAM, "uninstall"], check=False)
            self.host.run(["sh", "-c", "rm -rf /run/tproxyd*; ip -6 addr del ::6/128 dev lo"], check=False)
            self.host.run([PROGRAM, "prepare", "--quiet"])
        return wrong

    def calls(self, scenario):
        """Those of an undisturbed life that can fail, by name."""
        up, down, daemon = self.live(scenario, ["strace", "-qq", "-s", "40", "-o", TRACE])
        assert daemon.process.returncode == 0, "".join(daemon.log)
        assert not self.end(daemon) and up < LIMIT and down < LIMIT
        trace = self.host.run(["cat", TRACE]).stdout
        calls = collections.defaultdict(list)
        for call in calls_of(trace if scenario == "start" else f"prlimit64(\n{trace}"):
            if call.name in RUN_ERRORS:
                calls[call.name].append((scenario, call))
        return calls

    def places(self):
        """Ten of each name, the first of each name first."""
        calls = collections.defaultdict(list)
        for scenario in SCENARIOS:
            for name, found in self.calls(scenario).items():
                calls[name] += found
        return [place for row in zip(*map(places_of, calls.values())) for place in row]

    def fail(self, place):
        """What only took too long does so again, or it was the machine that was busy."""
        wrong, log, what = self.attempt(place)
        if wrong and all(" took " in text for text in wrong):
            wrong, log, what = self.attempt(place)
        if wrong:
            self.problems.append(f"{what}: {'; '.join(wrong)}\n{log}")

    def attempt(self, place):
        """One life with that failure: what went wrong, the log, and how to call it."""
        scenario, call, error, on = place
        inject = f"inject={call.name}:error={error}:when={call.number}{on}"
        up, down, daemon = self.live(scenario, ["strace", "-qq", "-s", "40", "-o", TRACE, "-e", f"trace={call.name}",
                                                "-e", inject])
        status = daemon.process.returncode
        wrong = self.end(daemon)
        log = "".join(daemon.log)  # which is all here by now
        if up > LIMIT + (READINESS if "did not serve within" in log else 0):
            wrong.append(f"the start took {up:.1f} s")
        if down is None or status is None:
            wrong.append("hung")
        elif down > LIMIT:
            wrong.append(f"the end took {down:.1f} s")
        elif status < 0 and not (status == -signal.SIGABRT and re.search(ABORTS, log)):
            wrong.append(f"died of signal {-status}")
        hit = "INJECTED" in self.host.run(["cat", TRACE], check=False).stdout
        self.done["hit" if hit else "missed"] += 1
        what = f"{scenario}: {call.name} {call.number}{on} {error} ({call.line[:90]}): {status}, {up:.1f} s, {down or 0:.1f} s"
        print(f"{what}{'' if hit else ' (never came to it)'}{'; '.join(['', *wrong])}", flush=True)
        return wrong, log, what


@pytest.fixture
def faults(host, tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    program()
    return Faults(host, str(tmp_path))


def places_of(calls):
    """Ten places of one name: spread over its calls, and where they are few, with one error after the other."""
    name = calls[0][1].name
    errors = [RUN_ERRORS[name], *(error for error in OTHER_ERRORS if error != RUN_ERRORS[name])]
    spread = [calls[n * len(calls) // min(PLACES, len(calls))] for n in range(min(PLACES, len(calls)))]
    every = [Place(*where, error, on) for error in errors for on in ("", "+") for where in spread]
    if len(spread) == PLACES:
        return [place._replace(on="+" if n % 2 else "") for n, place in enumerate(every[:PLACES])]
    return every[:PLACES]


def table(places):
    """Lines: of each name how many places there are, in which lives, with which errors."""
    rows = collections.defaultdict(list)
    for place in places:
        rows[place.call.name].append(place)
    for name, row in sorted(rows.items()):
        lives = collections.Counter(place.scenario for place in row)
        yield (f"{name}: {len(row)} places ({', '.join(f'{life} {n}' for life, n in lives.items())}; "
               f"{', '.join(dict.fromkeys(place.error for place in row))})")


@pytest.mark.parametrize("share", range(SHARES if THOROUGH else 1))
def test_a_system_call_that_fails_leaves_nothing_behind_and_nobody_waiting(faults, share, capsys):
    places = faults.places()
    names = {place.call.name for place in places}
    assert len(names) >= 40
    if ONLY:
        places = [place for place in places if place.call.name in ONLY.split(",")]
    chosen = places[share::SHARES] if THOROUGH else random.Random(SEED).sample(places, min(SAMPLE, len(places)))
    with capsys.disabled():
        if THOROUGH and share == 0:
            print(f"\n{len(names)} calls:", *table(places), sep="\n")
    print(f"TPROXYD_TEST_SEED={SEED}: {len(chosen)} of {len(places)} places of {len(names)} calls")
    for place in chosen:
        faults.fail(place)
    print(f"{dict(faults.done)}; {faults.swept} times processes were left to the service manager")
    assert not faults.problems, "\n".join(faults.problems)
