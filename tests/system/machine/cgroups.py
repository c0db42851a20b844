# SPDX-License-Identifier: GPL-2.0-or-later
"""A control group per machine, of the same name in every hierarchy that systemd looks at.

Two machines would otherwise share /payload. The group is also the list of what has to die with the machine, and its
directory is the mark of a machine that lives: it is locked by its warden, whatever process namespace that is in.
"""

import errno
import fcntl
import os
import signal
import time

TOP = "/sys/fs/cgroup"
PREFIX = "tproxyd-machine."


def hierarchies():
    """The mounted cgroup2 tree first, then systemd's own hierarchy of cgroup v1."""
    found = []
    with open("/proc/self/mounts", encoding="utf-8") as file:
        mounts = [line.split() for line in file]
    for _, where, kind, options, *_ in mounts:
        if not where.startswith(TOP):
            continue
        if kind == "cgroup2":
            found.insert(0, where)
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            found.append(where)
    return list(dict.fromkeys(found))


class Group:
    """The control group of one machine. Whoever holds it open, with take(), keeps it from being swept."""

    def __init__(self, name):
        self.paths = [f"{top}/{PREFIX}{name}" for top in hierarchies()]
        if not self.paths:
            raise OSError(errno.ENOENT, f"no cgroup hierarchy for systemd under {TOP}")
        self._lock = None

    def take(self):
        for _ in range(100):
            os.makedirs(self.paths[0], exist_ok=True)
            lock = _try_lock(self.paths[0])
            if lock is not None:
                self._lock = lock
                break
        else:
            raise OSError(errno.EBUSY, f"cannot lock {self.paths[0]}")
        for path in self.paths[1:]:
            os.makedirs(path, exist_ok=True)

    def procs_files(self, below):
        """Where a process writes "0" to be in the group BELOW this one."""
        files = []
        for path in self.paths:
            os.makedirs(f"{path}/{below}", exist_ok=True)
            files.append(f"{path}/{below}/cgroup.procs")
        return files

    def clear(self, below):
        """Kills what is in the group BELOW and removes it."""
        for path in self.paths:
            _remove_tree(f"{path}/{below}")

    def remove(self):
        """Kills what is left in the group and removes it; the locked directory last."""
        for path in reversed(self.paths):
            _remove_tree(path)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sweep():
    """Removes the groups of machines whose warden is gone, with what still runs in them: their names."""
    swept = []
    tops = hierarchies()
    names = {entry for top in tops for entry in os.listdir(top) if entry.startswith(PREFIX)}
    for name in sorted(names):
        group = Group(name[len(PREFIX):])
        if os.path.isdir(group.paths[0]):
            lock = _try_lock(group.paths[0])
            if lock is None:
                continue
            group._lock = lock
        group.remove()
        swept.append(name)
    return swept


def _try_lock(path):
    """An open, locked directory that still has this name, or None."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.stat(path).st_ino == os.fstat(fd).st_ino:
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(fd)
    return None


def _kill(path):
    if os.path.exists(f"{path}/cgroup.kill"):
        with open(f"{path}/cgroup.kill", "w", encoding="ascii") as file:
            file.write("1")
    for below, _, _ in os.walk(path):
        try:
            with open(f"{below}/cgroup.procs", encoding="ascii") as file:
                pids = [int(line) for line in file]
        except OSError:
            continue
        for pid in pids:
            if pid not in (0, os.getpid()):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass


def _remove_tree(path):
    end = time.monotonic() + 10
    while os.path.isdir(path):
        _kill(path)
        busy = False
        for below, _, _ in os.walk(path, topdown=False):
            try:
                os.rmdir(below)
            except FileNotFoundError:
                pass
            except OSError:
                busy = True
        if not busy:
            return
        if time.monotonic() > end:
            raise OSError(errno.EBUSY, f"{path} cannot be removed")
        time.sleep(0.01)
