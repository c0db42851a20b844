# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs in a machine, as a user: tries to bind the ports of the redirect without end, and to receive what comes there.

    squat.py SECONDS

Prints one line of JSON: which ports it had at some time, and what it received, by port.
"""

import json
import select
import socket
import sys
import time

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
PORTS = [(15001, TCP), (15006, TCP), (15053, UDP)]
# Envoy's DNS port is used over IPv4 alone.
PLACES = {(socket.AF_INET, "127.0.0.1"): PORTS + [(15054, UDP)], (socket.AF_INET6, "::"): PORTS}


def squat(family, address, port, kind):
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        if kind == TCP:
            sock.listen(100)
        return sock
    except OSError:
        sock.close()
        return None


def receive(sock):
    if sock.type == UDP:
        return sock.recv(512)
    peer, _ = sock.accept()
    with peer:
        peer.settimeout(1)
        return peer.recv(512)


def main(seconds):
    had, received, socks = set(), {}, {}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for place, ports in PLACES.items():
            for port in ports:
                if (place, port) not in socks and (sock := squat(*place, *port)):
                    socks[place, port] = sock
                    had.add(port[0])
        for sock in select.select(list(socks.values()), [], [], 0)[0]:
            try:
                port = sock.getsockname()[1]
                received.setdefault(str(port), []).append(receive(sock).decode(errors="replace"))
            except OSError:
                pass
    print(json.dumps({"had": sorted(had), "received": received}))


main(float(sys.argv[1]))
