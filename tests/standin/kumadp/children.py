# SPDX-License-Identifier: GPL-2.0-or-later
"""Children as kuma-dp starts them: a process group of their own, killed with their parent, output on our stdout."""

import ctypes
import os
import signal
import sys
import traceback

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
libc = ctypes.CDLL(None, use_errno=True)


class Child:
    def __init__(self, name, pid):
        self.name = name
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.status = None

    def signal(self, number):
        if self.status is None:
            signal.pidfd_send_signal(self.pidfd, number)

    def reap(self):
        """The exit status as a shell counts it."""
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status


def become_child(name, parent):
    os.setpgid(0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    libc.prctl(PR_SET_NAME, name.encode(), 0, 0, 0)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(1, 2)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def spawn(name, main):
    """Runs main() in a child; what it returns is the exit status."""
    sys.stdout.flush()
    parent = os.getpid()
    # A signal to the young child must not reach the handlers, and the event loop, that it has from its parent.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return Child(name, pid)
    status = 1
    try:
        become_child(name, parent)
        status = main() or 0
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def spawn_program(name, arguments):
    return spawn(name, lambda: os.execv(arguments[0], arguments))
