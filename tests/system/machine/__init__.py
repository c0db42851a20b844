# SPDX-License-Identifier: GPL-2.0-or-later
"""A disposable Debian with a real systemd, booted in well under a second from this host's own root.

    with Machine(build="build/release") as m:
        m.write("/etc/tproxyd/tproxyd.yaml", text)
        m.systemctl("start", "tproxyd")
        m.run(["curl", "-s", f"http://{FAR4}/"], user="nobody")
        m.outside.run(["ip", "addr"])
        m.reboot()
        for entry in m.journal("-u", "tproxyd"): ...

The machine sees the host's /usr and /etc through an overlay, with its own identity, nothing of the host's enabled,
and an own /tmp, /root, /opt, /usr/local, /var/log; it stands in a network of two namespaces (network.py).
Nothing of it is left when the `with` ends, nor when this process is killed.
"""

import contextlib
import json
import os
import random
import select
import shutil
import subprocess
import sys
import time

from . import cgroups, network
from .network import (CommandFailed, DNS_SERVERS, FAR4, FAR6, INSIDE4, INSIDE6, Namespace, Network, OUTSIDE4, OUTSIDE6,
                      RESOLV_CONF)

__all__ = ["CommandFailed", "DNS_SERVERS", "FAR4", "FAR6", "INSIDE4", "INSIDE6", "Machine", "MachineError", "Namespace",
           "Network", "OUTSIDE4", "OUTSIDE6", "sweep", "unavailable"]

# How much longer than they should we wait for things: a busy machine is no fault, and what never comes is one any time.
PATIENCE = 6

HERE = os.path.dirname(os.path.abspath(__file__))
STANDIN = os.path.join(HERE, "..", "..", "standin")
# On a real host ProtectSystem=strict makes /run read-only; within nspawn it does not, and a file that tproxyd
# could not create would go unnoticed.
READ_ONLY_RUN = "[Service]\nReadOnlyPaths=/run\n"
DROP_IN = "/etc/systemd/system/{unit}.service.d/05-as-on-a-host.conf"

sweep = cgroups.sweep


class MachineError(Exception):
    """The machine did not do what it was asked; says what its console showed."""


def unavailable():
    """The reason why no machine can be booted here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    for tool, package in (("systemd-nspawn", "systemd-container"), ("nsenter", "util-linux"), ("ip", "iproute2")):
        if shutil.which(tool, path=network.ENVIRONMENT["PATH"]) is None:
            return f"{tool} is not installed (package {package})"
    if not os.access("/lib/systemd/systemd", os.X_OK):
        return "systemd is not installed"
    tops = cgroups.hierarchies()
    if not tops:
        return f"no cgroup hierarchy for systemd under {cgroups.TOP}"
    if not os.access(tops[0], os.W_OK) or os.statvfs(tops[0]).f_flag & os.ST_RDONLY:
        return f"{tops[0]} is read-only"
    return network.unavailable()


class Machine:
    """One machine, booted by `with` or start().

    build    a CMake build directory, installed as a package would be
    standin  a directory with stand-ins: each program in it gets a link in /usr/local/bin; None: none
    proxies  a directory with real programs (envoy, coredns, kuma-dp …), which come before the stand-ins; None: none
    nspawn   further options for systemd-nspawn, e.g. ["--no-legacy"]
    """

    def __init__(self, build=None, standin=STANDIN, proxies=None, nspawn=(), nspawn_env=None):
        self.name = f"tm{os.getpid()}-{random.getrandbits(32):08x}"
        self.leader = None
        self.ready_at = None
        self.outside = None
        self._network = None
        self._warden = None
        self._buffer = b""
        self._group = cgroups.Group(self.name)
        self._spec = {
            "name": self.name,
            "resolv_conf": RESOLV_CONF,
            "build": os.path.abspath(build) if build else None,
            "standin": os.path.abspath(standin) if standin else None,
            "files": {DROP_IN.format(unit="tproxyd"): READ_ONLY_RUN} if build else {},
            "proxies": os.path.abspath(proxies) if proxies else None,
            "nspawn": list(nspawn),
            "nspawn_env": dict(nspawn_env or {}),
        }

    def start(self, timeout=60):
        """Makes disk and network and boots; returns when systemd has finished its start jobs."""
        sweep()
        self._network = Network()
        self.outside = self._network.outside
        net = self._network.inside.net
        self._spec["net"] = net
        self._warden = subprocess.Popen([sys.executable, "-B", HERE, "warden"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, pass_fds=(net,), cwd="/")
        self._tell(json.dumps(self._spec))
        self._expect("set-up", timeout)
        self.outside.cgroup_procs = self._group.procs_files("outside")
        self._wait_ready(timeout)
        if self.read("/etc/hostname") != f"{self.name}\n":
            raise MachineError(f"{self.name}: commands do not run in the machine but beside it")
        return self

    def stop(self):
        """Ends the machine at once, and waits until nothing is left of it."""
        if self._warden is not None:
            with contextlib.suppress(OSError):
                self._warden.stdin.close()
            self._warden.wait()
            self._warden.stdout.close()
            self._warden = None
        if self._network is not None:
            self._network.close()
            self._network = None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    # Power

    def reboot(self, timeout=60, finished=True):
        """An orderly reboot, to the end of the next start; not finished: until systemd runs, whatever it waits for."""
        self.run(["systemctl", "--no-block", "reboot"])
        self._expect("down", timeout)
        if finished:
            self._wait_ready(timeout)
        else:
            self._wait_up(timeout)
            self.wait_until(lambda: self.run(["systemctl", "list-jobs"], check=False).returncode == 0)

    def poweroff(self, timeout=60):
        """An orderly shutdown; boot() starts it again with the same disk."""
        self.run(["systemctl", "--no-block", "poweroff"])
        self._expect("down", timeout)

    def cut_power(self, timeout=10):
        """Everything stops where it stands; boot() starts it again with the same disk."""
        self._tell("cut")
        self._expect("down", timeout)

    def boot(self, timeout=60):
        self._tell("boot")
        self._wait_ready(timeout)

    # Commands

    def start_command(self, argv, user=None, env=None, **popen):
        """A command in the machine, in the background and as that user: a Popen, of nsenter.

        Ending it does not end the command: that goes with the machine, or by systemctl where it is a unit.
        """
        words = [str(word) for word in argv]
        if user is not None:
            words = ["setpriv", f"--reuid={user}", f"--regid={self._group_of(user)}", "--clear-groups", "--"] + words
        popen.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(["nsenter", f"--target={self.leader}", "--all", "--root", "--wd", "--"] + words,
                                env={**network.ENVIRONMENT, **(env or {})}, **popen)

    def run(self, argv, user=None, env=None, check=True, input=None, timeout=60):
        """A command in the machine, as root or that user, to its end: a CompletedProcess with text.

        check raises CommandFailed, which shows what the command said.
        """
        process = self.start_command(argv, user, env, text=True, errors="replace", stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE,
                                     stdin=subprocess.DEVNULL if input is None else subprocess.PIPE)
        process.args = [str(word) for word in argv]
        return network.finish(process, input, timeout, check)

    def _group_of(self, user):
        found = self.run(["getent", "passwd", str(user)], check=False).stdout
        return found.split(":")[3] if found else user

    def sh(self, script, **options):
        """The output of a shell script, which ends at the first command that fails."""
        return self.run(["sh", "-ec", script], **options).stdout

    def systemctl(self, *words, **options):
        return self.run(["systemctl", *words], **options)

    def show(self, unit, key):
        """One property of a unit, as text."""
        return self.systemctl("show", "--value", f"--property={key}", unit).stdout.strip()

    def python(self, script, *args, **options):
        """Runs a script of the host's, given by its path, in the machine."""
        with open(script, encoding="utf-8") as file:
            return self.run(["/usr/bin/python3", "-", *args], input=file.read(), **options)

    # Files

    def write(self, path, text, mode=0o644, owner=None):
        """Makes or replaces a file, with the directories that lead to it. Who reads it meanwhile finds the former one."""
        owned = f"--owner={owner}" if owner else ""
        self.run(["sh", "-ec", f'install -D --mode={mode:o} {owned} /dev/stdin "$1.written"; mv -T "$1.written" "$1"', "sh", path],
                 input=text)

    def copy(self, source, path):
        """Copies a file of this host's into the machine."""
        with open(source, "rb") as file:
            if self.start_command(["install", "-D", "--mode=644", "/dev/stdin", path], stdin=file).wait() != 0:
                raise MachineError(f"{source} cannot be copied to {path}")

    def read(self, path):
        return self.run(["cat", path]).stdout

    def exists(self, path):
        return self.run(["test", "-e", path], check=False).returncode == 0

    # What is true in it

    def journal(self, *words):
        """The entries of `journalctl WORDS`, oldest first, each a dictionary of its fields."""
        lines = self.run(["journalctl", "--no-pager", "-q", "--all", "--output=json", *words]).stdout.splitlines()
        return [json.loads(line) for line in lines]

    def journal_text(self, *words):
        return self.run(["journalctl", "--no-pager", "-q", "--output=short-monotonic", *words]).stdout

    def messages(self, *words):
        """The MESSAGE of every entry, as text."""
        texts = []
        for entry in self.journal(*words):
            text = entry.get("MESSAGE") or ""
            texts.append(bytes(text).decode(errors="replace") if isinstance(text, list) else text)
        return texts

    def state(self):
        """What has to be as before when tproxyd has stopped: {"rules": …, "addresses": …, "files": …}."""
        return json.loads(self.python(os.path.join(HERE, "state.py")).stdout)

    def make_legacy_tables(self):
        """Brings all legacy tables and the lock into being, so that state() does not differ by tables that sprang up."""
        for tool in ("iptables-legacy", "ip6tables-legacy"):
            for table in network.TABLES:
                self.run([tool, "-w", "-t", table, "-S"])

    def serve(self, ports=(80,)):
        """Starts, outside, what answers: HTTP on those ports, an echo on port 7, DNS on port 53 (answer.py)."""
        return self._network.serve(ports)

    def wait_until(self, condition, timeout=10, what=None):
        """Calls condition() until it says something true, and returns that; timeout is for a machine that is not busy."""
        timeout *= PATIENCE
        end = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise MachineError(f"not within {timeout} s: {what or condition}")
            time.sleep(0.02)

    # The warden

    def _tell(self, line):
        try:
            self._warden.stdin.write(line.encode() + b"\n")
            self._warden.stdin.flush()
        except BrokenPipeError:
            raise MachineError("the machine's warden has died") from None

    def _event(self, timeout):
        end = time.monotonic() + timeout
        fd = self._warden.stdout.fileno()
        while b"\n" not in self._buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                return {"event": "nothing"}
            data = os.read(fd, 65536)
            if not data:
                return {"event": "failed", "why": "the machine's warden has died"}
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def _expect(self, wanted, timeout):
        event = self._event(timeout)
        # Of a start whose end nobody waited for.
        while wanted == "down" and event["event"] == "ready":
            event = self._event(timeout)
        if event["event"] == "nothing":
            self._tell("console")
            text = self._event(5).get("text", "")
            raise MachineError(f"{self.name}: no \"{wanted}\" within {timeout} s; the console says:\n{text}")
        if event["event"] != wanted:
            raise MachineError(event.get("why") or f"{self.name}: {event} instead of {wanted}")
        return event

    def _wait_up(self, timeout):
        self.leader = self._expect("up", timeout)["leader"]
        self.ready_at = time.time()

    def _wait_ready(self, timeout):
        self._wait_up(timeout)
        self._expect("ready", timeout)
        self.ready_at = time.time()
