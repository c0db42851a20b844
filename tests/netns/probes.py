# SPDX-License-Identifier: GPL-2.0-or-later
"""Single packets, and what conntrack makes of them: which port each lands on, and in which zone.

As a program, probes.py sends, for each line on standard input, the probes of a JSON list from where it runs, one after the
other, and prints what none could be sent for: {"PORT": REASON}. A probe is a Probe as a list; its source port is its name."""

import collections
import ctypes
import functools
import ipaddress
import json
import os
import socket
import struct
import sys

# kind: connect, udp (sockets of `who`, a UID); syn, ack, synack, answer (UDP): a packet by itself, of `who`: a UID, or the
# interface that it leaves by to the host's; kernel: UDP of a socket of the kernel's own, by a tunnel of that name; orphan: as
# connect, but the socket is closed before the rules see the packet.
Probe = collections.namedtuple("Probe", "kind src dst sport dport who")
FLAGS = {"syn": 2, "ack": 16, "synack": 18}
MARK, QUEUE = 7, 7  # of what waits until its socket is closed
# The host's end of each cable.
MACS = {"eth0": "02:00:00:00:00:01", "docker0": "02:00:00:00:00:02", "bare0": "02:00:00:00:00:03"}


def is_v6(probe):
    return ":" in probe.dst


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def packet(probe):
    """From the IP header on."""
    src, dst = (ipaddress.ip_address(text).packed for text in (probe.src, probe.dst))
    if probe.kind in FLAGS:
        proto, at = 6, 16
        body = struct.pack("!HHIIBBHHH", probe.sport, probe.dport, 1000, 0, 5 << 4, FLAGS[probe.kind], 1024, 0, 0)
    else:
        proto, at = 17, 6
        body = struct.pack("!HHHH", probe.sport, probe.dport, 12, 0) + b"ping"
    total = checksum(src + dst + struct.pack("!HBB", len(body), 0, proto) + body)
    body = body[:at] + struct.pack("!H", total or 0xFFFF) + body[at + 2:]
    if is_v6(probe):
        return struct.pack("!IHBB", 6 << 28, len(body), proto, 64) + src + dst + body
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, proto, 0, src, dst)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


@functools.lru_cache(None)
def link(interface):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind((interface, 0))
    return sock


def send_frame(probe, mac):
    kind = 0x86DD if is_v6(probe) else 0x0800
    link(probe.who).send(bytes.fromhex(mac.replace(":", "")) + b"\2\0\0\0\0\x77" + struct.pack("!H", kind) + packet(probe))


@functools.lru_cache(None)
def raw(family, uid):
    return as_user(uid, lambda: socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW))


def as_user(uid, make):
    os.seteuid(uid)
    try:
        return make()
    finally:
        os.seteuid(0)


class Waiting:
    """Packets that a rule has put into the queue."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        self.sock.bind((0, 0))
        self.sock.settimeout(5)
        self._send(2, struct.pack("=HHBxH", 8, 1, 1, 0))  # bind
        self._send(2, struct.pack("!IB", 0, 1), 2)  # no more than what the packet is

    def _send(self, kind, attributes, number=None):
        if number:
            attributes = struct.pack("=HH", 4 + len(attributes), number) + attributes
        attributes += b"\0" * (-len(attributes) % 4)
        head = struct.pack("=IHHIIBBH", 20 + len(attributes), 3 << 8 | kind, 1, 0, 0, 0, 0, socket.htons(QUEUE))
        self.sock.send(head + attributes)

    def let_go(self):
        message = self.sock.recv(65536)
        assert struct.unpack_from("=HxxII", message, 4)[0] == 3 << 8, message
        self._send(1, struct.pack("!II", 1, struct.unpack_from("!I", message, 24)[0]), 2)


waiting = functools.lru_cache(None)(Waiting)


def send_orphan(probe):
    queue = waiting()
    send_through_socket(probe, MARK)
    queue.let_go()


def send_through_socket(probe, mark=0):
    kind = socket.SOCK_DGRAM if probe.kind == "udp" else socket.SOCK_STREAM
    family = socket.AF_INET6 if is_v6(probe) else socket.AF_INET
    with as_user(probe.who, lambda: socket.socket(family, kind | socket.SOCK_NONBLOCK)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        sock.bind((probe.src, probe.sport))
        try:
            sock.connect((probe.dst, probe.dport))
            if probe.kind == "udp":
                sock.send(b"ping")
        except BlockingIOError:
            pass


def send(probe):
    if probe.kind in ("connect", "udp"):
        send_through_socket(probe)
    elif probe.kind == "orphan":
        send_orphan(probe)
    elif probe.kind == "kernel":
        link(probe.who).send(b"\xff" * 6 + b"\2\0\0\0\0\x77\x88\xb5" + b"ping")
    elif isinstance(probe.who, str):
        send_frame(probe, MACS[probe.who])
    else:
        family = socket.AF_INET6 if is_v6(probe) else socket.AF_INET
        raw(family, probe.who).sendto(packet(probe), (probe.dst, 0))


def main():
    # Capabilities stay with another effective UID: the sockets of all users may be raw ones and have any port.
    no_setuid_fixup = 1 << 2
    if ctypes.CDLL(None, use_errno=True).prctl(28, no_setuid_fixup, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    print("ready", flush=True)
    for line in sys.stdin:
        refused = {}
        for probe in map(Probe._make, json.loads(line)):
            try:
                send(probe)
            except OSError as error:
                refused[probe.sport] = error.strerror
        print(json.dumps(refused), flush=True)


if __name__ == "__main__":
    main()
