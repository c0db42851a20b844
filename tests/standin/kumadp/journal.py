# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines as kuma-dp and Envoy write them: one write each, kuma-dp's to stderr, its children's to stdout."""

import json
import os
import time


def stamp(separator):
    now = time.time()
    return time.strftime(f"%Y-%m-%d{separator}%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}"


def say(level, logger, message, **fields):
    tail = "\t" + json.dumps(fields) if fields else ""
    os.write(2, f"{stamp('T')}Z\t{level}\t{logger}\t{message}{tail}\n".encode())


def say_as_envoy(level, component, message):
    pid = os.getpid()
    os.write(1, f"[{stamp(' ')}][{pid}][{level}][{component}] {message}\n".encode())
