# SPDX-License-Identifier: GPL-2.0-or-later
"""The few system calls that Python 3.11 has no function for."""

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_NODEV = 0x4
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags):
    _check(_libc.unshare(flags), "unshare")


def setns(fd, flags):
    _check(_libc.setns(fd, flags), "setns")


def die_with_parent(signal):
    _check(_libc.prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0), "prctl")


def mount(source, target, kind=None, flags=0, options=None):
    words = [None if w is None else os.fsencode(w) for w in (source, target, kind)]
    data = None if options is None else os.fsencode(options)
    _check(_libc.mount(*words, ctypes.c_ulong(flags), data), f"mount {target}")
