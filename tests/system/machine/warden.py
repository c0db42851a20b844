# SPDX-License-Identifier: GPL-2.0-or-later
"""The process that a machine hangs on. It lives exactly as long as its standard input stays open.

Mounts are in its own mount namespace, processes in the machine's control group, so when it ends everything
is gone; and it ends when whoever started it closes the pipe or dies, of SIGKILL too. Should the warden itself
be killed, kernel and death signals take all but the empty control groups, which the next sweep removes.

First line in: the description of the machine, JSON. Then words: "boot", "cut" (the power).
Lines out: JSON events: {"event": "ready", "leader": PID}, {"event": "down", "reboot": bool}, {"event": "failed", "why": TEXT}.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys

from . import cgroups, disk, kernel

PLACE = "/run/tproxyd-machine"
NOTIFY = f"{PLACE}/notify"
REBOOT = 133
# A machine outlives a killed nspawn, but not the process namespace it is in, whose first process dies with the warden.
# nspawn has a control group of its own below the machine's, so that no process stands in an inner one.
WORLD = ("unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--propagation=private", "--", "sh", "-c",
         '(for p in $PROCS; do echo 0 >$p; done; exec "$@"); exit $?', "world")


class Warden:
    def __init__(self, spec):
        self.spec = spec
        self.group = cgroups.Group(spec["name"])
        self.nspawn = None
        self.pidfd = None
        self.leader = None
        self.is_ready = False
        self.console = None
        self.notify = None
        self.root = None

    def set_up(self):
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
        # The build and the proxies may lie under /tmp: only after the disk is made it gets out of sight.
        kernel.mount("tproxyd-machine", "/run", "tmpfs", kernel.MS_NODEV, "mode=755")
        os.mkdir(PLACE, 0o700)
        kernel.mount("tproxyd-machine", PLACE, "tmpfs", 0, "mode=755")
        self.root = disk.make(PLACE, self.spec)
        if self.spec.get("proxies"):
            disk.gather_programs(self.spec["proxies"], f"{PLACE}/proxies")
        kernel.mount("tproxyd-machine", "/tmp", "tmpfs", 0, "mode=1777")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.notify.bind(NOTIFY)

    def boot(self):
        keeper = self.group.procs_files("keeper")
        net = self.spec["net"]
        self.is_ready = False
        self.leader = None
        self.console = os.memfd_create("console", os.MFD_CLOEXEC)

        def enter():
            for path in keeper:
                with open(path, "w", encoding="ascii") as file:
                    file.write("0")
            kernel.setns(net, kernel.CLONE_NEWNET)
            kernel.die_with_parent(signal.SIGKILL)

        argv = [*WORLD, "systemd-nspawn", "-q", f"--directory={self.root}", f"--machine={self.spec['name']}", "--register=no",
                "--keep-unit", "--boot", "--console=pipe", "--link-journal=no", "--resolv-conf=off", "--timezone=off",
                "--notify-ready=yes", "--capability=CAP_NET_ADMIN", "--system-call-filter=bpf"]
        if self.spec.get("proxies"):
            argv.append(f"--bind-ro={PLACE}/proxies:{disk.PROXIES}")
        argv += self.spec.get("nspawn", [])
        self.nspawn = subprocess.Popen(
            argv, preexec_fn=enter, stdin=subprocess.DEVNULL, stdout=self.console, stderr=self.console,
            env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": NOTIFY, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
                 "PROCS": " ".join(self.group.procs_files("machine")),
                 **self.spec.get("nspawn_env", {})})
        self.pidfd = os.pidfd_open(self.nspawn.pid)

    def say(self, **event):
        print(json.dumps(event), flush=True)

    def console_text(self):
        size = os.lseek(self.console, 0, os.SEEK_END)
        return os.pread(self.console, 4000, max(0, size - 4000)).decode(errors="replace").strip()

    def on_notify(self):
        for line in self.notify.recv(4096).decode(errors="replace").splitlines():
            key, _, value = line.partition("=")
            if key == "X_NSPAWN_LEADER_PID":
                self.leader = find_leader(self.nspawn.pid, value)
                self.say(event="up", leader=self.leader)
            elif (key, value) == ("READY", "1") and not self.is_ready:
                self.is_ready = True
                self.say(event="ready")

    def on_exit(self):
        status = self.nspawn.wait()
        self.group.clear("machine")
        os.close(self.pidfd)
        self.nspawn = self.pidfd = None
        text = self.console_text()
        os.close(self.console)
        if status not in (0, REBOOT, -signal.SIGKILL) or not self.is_ready:
            self.say(event="failed", why=f"systemd-nspawn: exit status {status}\n{text}")
        else:
            self.say(event="down", reboot=status == REBOOT)
            if status == REBOOT:
                self.boot()

    def on_word(self, word):
        if word == "boot" and self.nspawn is None:
            self.boot()
        elif word == "cut" and self.nspawn is not None:
            self.nspawn.kill()
        elif word == "console":
            self.say(event="console", text=self.console_text() if self.nspawn else "")

    def serve(self):
        stdin = sys.stdin.fileno()
        pending = b""
        while True:
            watched = [stdin, self.notify] + ([self.pidfd] if self.pidfd is not None else [])
            readable, _, _ = select.select(watched, [], [])
            if self.notify in readable:
                self.on_notify()
            elif self.pidfd is not None and self.pidfd in readable:
                self.on_exit()
            if stdin in readable:
                data = os.read(stdin, 4096)
                if not data:
                    return
                *words, pending = (pending + data).split(b"\n")
                for word in words:
                    self.on_word(word.decode())

    def tear_down(self):
        if self.nspawn is not None:
            self.nspawn.kill()
        self.group.remove()
        if self.nspawn is not None:
            self.nspawn.wait()


def find_leader(ancestor, pid):
    """The process that is PID in the namespace where ANCESTOR's machine was started, as it is known here."""
    parents, candidates = {}, []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/status", encoding="utf-8", errors="replace") as file:
                fields = dict(line.split(":", 1) for line in file if ":" in line)
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(entry)] = int(fields["PPid"])
        if fields["NSpid"].split()[-2:] == [pid, "1"]:
            candidates.append(int(entry))
    for candidate in candidates:
        above = candidate
        while above and above != ancestor:
            above = parents.get(above)
        if above:
            return candidate
    return None


def read_line(fd):
    """One line, and not a byte more: the words after it are read by select()."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(fd, 1)
        if not byte:
            raise EOFError("no description of a machine")
        line += byte
    return line.decode()


def main():
    os.setsid()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    warden = Warden(json.loads(read_line(sys.stdin.fileno())))
    try:
        warden.group.take()
        warden.set_up()
        warden.say(event="set-up")
        warden.boot()
        warden.serve()
    except BrokenPipeError:
        pass
    except (OSError, subprocess.SubprocessError) as error:
        warden.say(event="failed", why=str(error))
    finally:
        warden.tear_down()
        os.close(sys.stdout.fileno())
