# SPDX-License-Identifier: GPL-2.0-or-later
"""Two throw-away network namespaces, joined by a cable: "inside", a host under test, and "outside", the rest of the world.

A namespace lives as long as somebody holds it open, so nothing has to be removed: when this process
ends, however it ends, the kernel takes namespaces, addresses, rules and processes away.
"""

import os
import pwd
import signal
import subprocess
import threading
import time

from . import kernel

INSIDE4, INSIDE6 = "10.77.0.2", "fd77::2"
OUTSIDE4, OUTSIDE6 = "10.77.0.1", "fd77::1"
# Addresses that only the default route leads to, as those of the internet.
FAR4, FAR6 = "198.51.100.10", "2001:db8:77::10"
DNS_SERVERS = (OUTSIDE4, OUTSIDE6)
RESOLV_CONF = "".join(f"nameserver {server}\n" for server in DNS_SERVERS)

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}
ANSWER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "answer.py")
# The number of the user that kuma-dp runs as.
KUMA_DP = 5678
TABLES = ("raw", "mangle", "nat", "filter")


def unavailable():
    """The reason why no namespace can be made here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    try:
        with Namespace("trial") as trial:
            trial.run(["true"])
    except (OSError, subprocess.SubprocessError) as error:
        return f"no network namespaces: {error}"
    return None


def numeric_ids(user):
    """uid and gid of a name or number; an unknown number is its own group."""
    try:
        entry = pwd.getpwnam(user) if isinstance(user, str) else pwd.getpwuid(user)
        return entry.pw_uid, entry.pw_gid
    except KeyError:
        if isinstance(user, str):
            raise
        return user, user


def _new_net():
    found = []

    def body():
        try:
            kernel.unshare(kernel.CLONE_NEWNET)
            found.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]


class Namespace:
    """A network namespace and, if asked for, a view of the file system of its own.

    With own_files, /run is empty and /etc and /var/lib are copies to write to, seen by every command that runs
    here and by nobody else: the lock, the record and the users of a test do not meet the machine's.
    """

    def __init__(self, name, own_files=False):
        self.name = name
        self.net = _new_net()
        self.mnt = None
        self.root = None
        self.cgroup_procs = []
        self._started = []
        if own_files:
            self._new_files()
        self.run(["ip", "link", "set", "lo", "up"])

    def _new_files(self):
        ready, done = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                kernel.unshare(kernel.CLONE_NEWNS)
                kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
                kernel.mount("run", "/run", "tmpfs", kernel.MS_NODEV, "mode=755")
                for top in ("/etc", "/var/lib"):
                    place = f"/run/.{os.path.basename(top)}"
                    os.makedirs(f"{place}/up")
                    os.makedirs(f"{place}/wk")
                    kernel.mount("overlay", top, "overlay", 0,
                                 f"lowerdir={top},upperdir={place}/up,workdir={place}/wk")
                if os.path.lexists("/etc/resolv.conf"):
                    os.unlink("/etc/resolv.conf")
                with open("/etc/resolv.conf", "w", encoding="utf-8") as file:
                    file.write(RESOLV_CONF)
                os.write(ready[1], b"+")
                os.close(done[1])
                os.read(done[0], 1)
                status = 0
            finally:
                os._exit(status)
        os.close(ready[1])
        os.close(done[0])
        try:
            if os.read(ready[0], 1) != b"+":
                raise OSError("cannot make a mount namespace with its own /run and /etc")
            self.mnt = os.open(f"/proc/{child}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            # Where this process runs in a chroot, the root of the namespace is not the root of its processes.
            self.root = os.open(f"/proc/{child}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        finally:
            os.close(ready[0])
            os.close(done[1])
            os.waitpid(child, 0)

    def _enter(self, ids):
        def enter():
            here = os.getcwd()
            for procs in self.cgroup_procs:
                with open(procs, "w", encoding="ascii") as file:
                    file.write("0")
            if self.mnt is not None:
                kernel.setns(self.mnt, kernel.CLONE_NEWNS)
                os.fchdir(self.root)
                os.chroot(".")
                if not os.path.isdir("/run/.etc"):
                    raise OSError("not in the view of the file system that was made for it")
            kernel.setns(self.net, kernel.CLONE_NEWNET)
            os.chdir(here if os.path.isdir(here) else "/")
            if ids is not None:
                os.setgroups([])
                os.setresgid(ids[1], ids[1], ids[1])
                os.setresuid(ids[0], ids[0], ids[0])
            kernel.die_with_parent(signal.SIGKILL)

        return enter

    def start(self, argv, user=None, env=None, **popen):
        """A command in the background, here and as that user: a Popen. It is ended with the namespace."""
        ids = None if user is None else numeric_ids(user)
        popen.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen([str(word) for word in argv], preexec_fn=self._enter(ids),
                                   env={**ENVIRONMENT, **(env or {})}, **popen)
        self._started.append(process)
        return process

    def run(self, argv, user=None, env=None, check=True, input=None, timeout=60):
        """A command here and as that user (name or number), to its end: a CompletedProcess with text.

        check raises an exception that shows what the command said.
        """
        process = self.start(argv, user=user, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
                             text=True, errors="replace")
        self._started.remove(process)
        return finish(process, input, timeout, check)

    def legacy(self, counters=True):
        """What is in the legacy tables: {"ipv4": {table: lines}, "ipv6": …}. A table nobody made is an empty one."""
        return {family: self._save(tool, counters)
                for family, tool in (("ipv4", "iptables-legacy-save"), ("ipv6", "ip6tables-legacy-save"))}

    def _save(self, tool, counters):
        text = self.run([tool] + (["-c"] if counters else [])).stdout
        tables, table = {}, None
        for line in text.splitlines():
            if line.startswith("*"):
                table = tables.setdefault(line[1:], [])
            elif line.startswith("#") or line == "COMMIT":
                continue
            elif table is not None:
                table.append(line)
        return tables

    def make_legacy_tables(self):
        """Brings every legacy table into being, so that later comparisons are not about tables that sprang up."""
        for tool in ("iptables-legacy", "ip6tables-legacy"):
            for table in TABLES:
                self.run([tool, "-w", "-t", table, "-S"])

    def nft(self):
        return self.run(["nft", "-s", "list", "ruleset"]).stdout

    def addresses(self):
        """Every address, one line each, without what changes by itself."""
        lines = self.run(["ip", "-o", "addr"]).stdout.splitlines()
        return sorted(" ".join(line.split("valid_lft")[0].split()) for line in lines)

    def close(self):
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        self._started.clear()
        for fd in (self.net, self.mnt, self.root):
            if fd is not None:
                os.close(fd)
        self.net = self.mnt = self.root = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class CommandFailed(Exception):
    """A command that had to succeed did not; says everything it said."""

    def __init__(self, process):
        self.process = process
        super().__init__(f"{' '.join(process.args)}: exit status {process.returncode}\n"
                         f"{process.stdout}{process.stderr}".rstrip())


def finish(process, input, timeout, check):
    """Feeds a started process and waits for it; on a timeout it is killed."""
    try:
        out, err = process.communicate(input, timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    result = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    if check and result.returncode != 0:
        raise CommandFailed(result)
    return result


class Network:
    """inside and outside, joined, with addresses of both families and default routes."""

    def __init__(self, own_files=False):
        self.inside = self.outside = None
        try:
            self.outside = Namespace("outside")
            self.inside = Namespace("inside", own_files)
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self):
        for side in (self.inside, self.outside):
            side.run(["sh", "-c", "for f in /proc/sys/net/ipv6/conf/*/accept_dad; do echo 0 >$f; done"])
        self._cable()
        self.outside.run(["ip", "-batch", "-"], input=f"""
            addr add {OUTSIDE4}/24 dev eth0
            addr add {OUTSIDE6}/64 dev eth0 nodad
            addr add {FAR4}/32 dev lo
            addr add {FAR6}/128 dev lo nodad
            link set eth0 up
            """)
        self.inside.run(["ip", "-batch", "-"], input=f"""
            addr add {INSIDE4}/24 dev eth0
            addr add {INSIDE6}/64 dev eth0 nodad
            link set eth0 up
            route add default via {OUTSIDE4}
            route add default via {OUTSIDE6}
            """)
        for side in (self.outside, self.inside):
            _wait_for_link(side)

    def _cable(self):
        fd = self.outside.net
        process = self.inside.start(
            ["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns",
             f"/proc/self/fd/{fd}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=(fd,))
        finish(process, None, 10, True)

    def serve(self, ports=(80,)):
        """Starts, outside, what answers: HTTP on those ports, an echo on port 7, DNS on port 53 (answer.py)."""
        return serve(self.outside, ports)

    def close(self):
        for side in (self.inside, self.outside):
            if side is not None:
                side.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def serve(outside, ports):
    """Starts answer.py in a namespace that has the addresses of "outside"."""
    process = outside.start(["/usr/bin/python3", "-B", ANSWER, *ports], stdout=subprocess.PIPE, text=True)
    if process.stdout.readline() != "ready\n":
        raise OSError("the servers outside did not start")
    return process


def _wait_for_link(side):
    """The kernel calls the cable plugged in, and gives the link-local address, a moment later."""
    end = time.monotonic() + 5
    while True:
        link = side.run(["ip", "link", "show", "eth0"]).stdout
        found = side.run(["ip", "-6", "addr", "show", "eth0"]).stdout
        if "state UP" in link and "fe80" in found and "tentative" not in found:
            return
        if time.monotonic() > end:
            raise OSError(f"{side.name}: the link does not come up:\n{link}{found}")
        time.sleep(0.005)
