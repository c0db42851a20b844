# SPDX-License-Identifier: GPL-2.0-or-later
"""Names and connections that there are in the mesh alone: through.py SERVER NAME ADDRESS.

Until the end of stdin: asks SERVER for NAME, which is to be ADDRESS, and gets a page from ADDRESS, over and over; where
that is not redirected neither is to be had. Prints {"done": N, "failed": {REASON: N}, "longest": SECONDS} as JSON."""

import collections
import json
import select
import socket
import sys
import time

PATIENCE = 5.0


def ask(server, name):
    """The address by DNS, or why there is none."""
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect((server, 53))
        sock.send(b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + question)
        answer = sock.recv(512)
    return socket.inet_ntoa(answer[-4:]) if answer[7] else f"no address (code {answer[3] & 15})"


def get(address):
    with socket.create_connection((address, 80), PATIENCE) as sock:
        sock.settimeout(PATIENCE)
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        page = b""
        while chunk := sock.recv(4096):
            page += chunk
    return page


def main(server, name, address):
    failed, done, longest = collections.Counter(), 0, 0.0
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        began = time.monotonic()
        try:
            found = ask(server, name)
            if found != address:
                failed[f"{name} is {found}"] += 1
            if not get(address).startswith(b"HTTP/1."):
                failed["no page"] += 1
        except OSError as error:
            failed[f"{type(error).__name__}: {error}"] += 1
        done += 1
        longest = max(longest, time.monotonic() - began)
    print(json.dumps({"done": done, "failed": failed, "longest": round(longest, 3)}))


main(*sys.argv[1:])
