# SPDX-License-Identifier: GPL-2.0-or-later
"""Each system call of `tproxyd install` and `tproxyd uninstall` fails in turn, or is the last one before a SIGKILL: it is as it
was, or as it should be.

All tables of both families, ::6 and the record count. Only where rules of another backend could not be taken out are the new
ones in nevertheless, which is told. With TPROXYD_TEST_THOROUGH=1 there are two changes more, and the calls before the first
that is about rules fail, too; without, nftables has its turn at every third call, and the steps from one backend to the other
at every twelfth.
"""

import collections
import os
import re
import shutil

import pytest

import netfilter
from conftest import why_not
from machine import network
from netfilter import Firewall
from test_gapless import beside_driver

THOROUGH = bool(os.environ.get("TPROXYD_TEST_THOROUGH"))
RECORD = "/run/tproxyd-install/record"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# How each fails. What is not here cannot fail, or not in a way that a program could tell.
ERRORS = {
    "openat": "EMFILE", "read": "EIO", "write": "ENOSPC", "rename": "EIO", "renameat2": "EIO", "unlink": "EIO", "mkdir": "ENOSPC",
    "rmdir": "EBUSY", "fsync": "EIO", "newfstatat": "EIO", "ioctl": "EIO", "flock": "ENOLCK", "bind": "ENOBUFS",
    "listen": "ENOBUFS", "socket": "EMFILE", "connect": "ENOBUFS", "sendto": "ENOBUFS", "sendmsg": "ENOBUFS",
    "recvfrom": "ENOBUFS", "recvmsg": "ENOBUFS", "getsockopt": "ENOMEM", "setsockopt": "ENOMEM",
    "mmap": "ENOMEM", "mremap": "ENOMEM", "readlinkat": "EIO", "readlink": "EIO", "getdents64": "EIO", "lseek": "EIO",
    "faccessat2": "EIO", "chmod": "EIO", "fchmod": "EIO", "pread64": "EIO", "poll": "ENOMEM",
}
# What the rules are; and what else a clean-up has to leave alone.
STATE = """
for v in ip ip6; do ${v}tables-legacy-save | sed 's/^#.*//; s/\\[.*\\]//'; done
echo --
nft -s list ruleset
echo --
ip -o -6 addr show lo | sed 's/ *valid_lft.*//'
"""
FILES = "cd /run; ls | grep -vx tproxyd-state; ls -A tproxyd tproxyd-install 2>/dev/null || :"
# One shell for a whole trial: the old state is there, one call fails, the record cleans up.
TRIAL = """
strace -qq -o /run/.etc/trace "$@" 2>/run/.etc/said >/dev/null
status=$?
cat /run/.etc/said
echo ===
echo $status
echo ===
grep -c INJECTED /run/.etc/trace
echo ===
""" + STATE + """
echo ===
for BACKEND in $BACKENDS; do export BACKEND; "$REAPPLY" 1+recorded "$RECORD" -- nothing 2>&1 >/dev/null; done
echo ===
""" + STATE + FILES


def find_program():
    for directory in (os.environ.get("TPROXYD_BUILD"), os.path.join(ROOT, "build", "release")):
        program = os.path.join(directory or "", "tproxyd")
        if directory and os.access(program, os.X_OK):
            with open(program, "rb") as file:
                return None if b"__asan_init" in file.read() else program
    return None


def program():
    """The one without sanitizers; where there is none the test is skipped."""
    return find_program() or pytest.skip("needs a build without sanitizers, in TPROXYD_BUILD or build/release")


class Host(Firewall):
    def __init__(self):
        super().__init__()
        self.run(["sh", "-ec", "sed -i /^kuma-dp:/d /etc/passwd; echo kuma-dp:x:5678:5678::/:/bin/false >>/etc/passwd"])
        self.restore_foreign()
        self.run(["sh", "-ec", ">/run/xtables.lock"])
        self.program = find_program()
        self.run(["ip", "addr", "add", "fd77::2/128", "dev", "lo", "nodad"])
        self.clean = self.snapshot(STATE + FILES)

    def snapshot(self, script=STATE):
        return self.run(["sh", "-c", script]).stdout

    def tproxyd(self, *words, check=True):
        return self.run([self.program, *words], check=check)


@pytest.fixture
def host():
    if why_not():
        pytest.skip(why_not())
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if not os.access(beside_driver("reapply"), os.X_OK):
        pytest.skip(f"{beside_driver('reapply')} is not built; see tests/run")
    program()
    with Host() as made:
        yield made


# One call: the how manieth of its name, how many mmap there were before.
Call = collections.namedtuple("Call", "name number maps line")


def calls_of(trace):
    """What the program itself did, beginning with the last deed of the loader."""
    seen, calls = collections.Counter(), []
    for line in trace.splitlines():
        name = re.match(r"\w+(?=\()", line)
        if name:
            seen[name[0]] += 1
            if calls or name[0] == "prlimit64":
                calls.append(Call(name[0], seen[name[0]], seen["mmap"], line))
    return calls


def points_of(calls, names=tuple(ERRORS)):
    first = next(n for n, call in enumerate(calls) if '"/run/tproxyd-state/lock"' in call.line)
    return [call for call in calls[0 if THOROUGH else first:] if call.name in names]


def share_of(points, scenario, begin):
    return points if THOROUGH else points[begin::12 if "-from-" in scenario else 3 if "nftables" in scenario else 1]


SETTINGS = ["install", "--redirect-dns"]
NFT = "--backend=nftables"
OTHER = [*SETTINGS, "--redirect-outbound-port=25001", "--drop-invalid-packets"]
SCENARIOS = {
    "first-rules": ([], SETTINGS),
    "other-rules": ([SETTINGS], OTHER),
    "no-rules": ([SETTINGS], ["uninstall"]),
    "nftables-first-rules": ([], [*SETTINGS, NFT]),
    "nftables-other-rules": ([[*SETTINGS, NFT]], [*OTHER, NFT]),
    "nftables-no-rules": ([[*SETTINGS, NFT]], ["uninstall"]),
    "nftables-from-iptables": ([SETTINGS], [*OTHER, NFT]),
    "iptables-from-nftables": ([[*SETTINGS, NFT]], [*OTHER, "--backend=iptables"]),
}
if THOROUGH:
    SCENARIOS["one-family"] = ([SETTINGS], [*OTHER, "--ip-family-mode=ipv4"])
    SCENARIOS["nftables-one-family"] = ([[*SETTINGS, NFT]], [*OTHER, NFT, "--ip-family-mode=ipv4"])


# An exit 1 that leaves the new rules in begins so.
IN = "the new rules are in; "


class Trial:
    def __init__(self, host, scenario, env=None):
        self.host = host
        self.before, self.words = SCENARIOS[scenario]
        # That which is used, and that which has something in as well.
        self.backend = "nftables" if scenario.startswith("nftables") else "iptables"
        self.other = {"nftables": "iptables", "iptables": "nftables"}[self.backend]
        self.env = {"BACKENDS": f"{self.backend} {self.other if '-from-' in scenario else ''}", **(env or {})}
        self.problems = []

    def record(self):
        """The system calls of an undisturbed run."""
        self.make_old()
        self.old = self.host.snapshot()
        self.host.run(["strace", "-qq", "-s", "4", "-o", "/run/.etc/trace", self.host.program, *self.words],
                      env=self.env)
        trace = self.host.run(["cat", "/run/.etc/trace"]).stdout
        self.new = self.host.snapshot()
        assert self.new != self.old
        self.repair()
        assert self.host.snapshot(STATE + FILES) == self.host.clean
        return calls_of(trace)

    def make_old(self):
        for words in self.before:
            self.host.tproxyd(*words)

    def repair(self):
        self.host.tproxyd("uninstall", check=False)
        self.host.run(["sh", "-c", "rm -rf /run/tproxyd*; ip -6 addr del ::6/128 dev lo"], check=False)
        self.host.restore_foreign()

    def fail(self, what, *inject, half_told=None, killed=False):
        """half_told: words of an error that may leave neither state. killed: the program has to die of it."""
        self.make_old()
        out = self.host.run(["sh", "-c", TRIAL, "sh", *inject, self.host.program, *self.words],
                            env={**self.env, "REAPPLY": beside_driver("reapply"), "RECORD": RECORD}).stdout
        said, status, injected, state, cleaning, left = re.split(r"^===\n", out, flags=re.M)
        sentences = [line for line in said.splitlines() if not re.match(r"info: |(.*: )?notice: ", line)]
        known = (half_told is not None and half_told in said) or self.is_in_as_told(said, state)
        problem = self.judge(int(status), sentences, self.old if known else state, killed)
        if int(injected) == 0 and not killed:
            problem = "never came to it"
        if cleaning or left != self.host.clean:
            problem = f"{problem or 'then'}: the record leaves {cleaning} {difference(left, self.host.clean)}"
            self.repair()
        word = "new" if state == self.new else "old" if state == self.old else "neither"
        print(f"{what}: {status} {word} {said.strip()}")
        if problem:
            self.problems.append(f"{what}: {status}: {problem}\n    {said.strip()}")

    def is_in_as_told(self, said, state):
        return IN in said and parts_of(state)[self.backend] == parts_of(self.new)[self.backend]

    def is_of_a_killed(self, state):
        """All of nf_tables is one step. Of two backends the second one's rules go when the first one's are in. The address
        comes before the rules and goes after them."""
        now, old, new = map(parts_of, (state, self.old, self.new))
        if now["nftables"] not in (old["nftables"], new["nftables"]):
            return False
        if "iptables" not in self.env["BACKENDS"]:
            return now["iptables"] == old["iptables"]
        return now[self.backend] == new[self.backend] or now[self.other] == old[self.other]

    def judge(self, status, said, state, killed):
        if (status >= 128) != killed:
            return "died" if status >= 128 else "never came to it"
        if state not in (self.old, self.new) and not (killed and self.is_of_a_killed(state)):
            return f"not as it was: {difference(state, self.old)}, nor as it should be: {difference(state, self.new)}"
        if status == 0 and state != self.new:
            return "pretends to be done"
        if status != 0 and not killed and (len(said) != 1 or not re.match(r".*\berror: .", said[0])):
            return "not one sentence"
        return None


def parts_of(state):
    return dict(zip(("iptables", "nftables", "addresses"), re.split(r"^--\n", state, flags=re.M)))


def difference(a, b):
    a, b = collections.Counter(a.splitlines()), collections.Counter(b.splitlines())
    return [f"+ {line}" for line in (a - b).elements()][:5] + [f"- {line}" for line in (b - a).elements()][:5]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_system_call_that_fails_leaves_the_old_state_or_the_new_one(host, scenario):
    trial = Trial(host, scenario)
    points = points_of(trial.record())
    assert len(points) > 40
    for name, number, _, line in share_of(points, scenario, 0):
        trial.fail(f"{name} {number} ({line})", "-e", f"trace={name}", "-e",
                   f"inject={name}:error={ERRORS[name]}:when={number}")
    assert not trial.problems, "\n".join(trial.problems)


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if "nftables" in name])
def test_a_kill_before_any_system_call_leaves_the_old_state_or_the_new_one(host, scenario):
    trial = Trial(host, scenario)
    calls = [call for call in trial.record() if call.name not in ("exit_group", "execve")]
    points = points_of(calls, {call.name for call in calls})
    assert len(points) > 40
    for name, number, _, line in share_of(points, scenario, 1):
        trial.fail(f"{name} {number} ({line})", "-e", f"trace={name}", "-e",
                   f"inject={name}:signal=SIGKILL:when={number}", killed=True)
    assert not trial.problems, "\n".join(trial.problems)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_memory_that_is_exhausted_is_told_and_the_record_cleans_up(host, scenario):
    """From each growth of the heap on, there is no more: not even for putting back."""
    trial = Trial(host, scenario, env={"MALLOC_TOP_PAD_": "0"})
    points = points_of(trial.record(), ["brk"])
    assert len(points) > 5
    for _, number, maps, line in share_of(points, scenario, 2):
        # The kernel's brk() tells a failure by the end of the heap, not by an error.
        trial.fail(f"brk {number} and all after it ({line})", "-e", "trace=brk,mmap", "-e",
                   f"inject=brk:retval=0:when={number}+", "-e", f"inject=mmap:error=ENOMEM:when={maps + 1}+",
                   half_told="; put back IPv")
    assert not trial.problems, "\n".join(trial.problems)
