# SPDX-License-Identifier: GPL-2.0-or-later
"""DNS over UDP: Envoy's filter for mesh names, CoreDNS in front of it, and kuma-dp's embedded proxy."""

import asyncio
import errno
import ipaddress
import socket
import struct

A, AAAA = 1, 28
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
ASK_ELSEWHERE = (NOTIMP, FORMERR, NXDOMAIN, SERVFAIL, REFUSED)
TTL = 30
IP_PKTINFO = 8
MESH_VIP = "240.0.0.1"
MESH_NAMES = ("backend.mesh", "echo.mesh")


class BadQuery(Exception):
    """A datagram that is no DNS query with one question."""


def query_for(name, kind, number=1):
    """A query with one question, as a stub resolver sends it."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    return struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, 1)


def question(query):
    """The name (in the case it was asked in), the type and where the question ends."""
    if len(query) < 12 or query[2] & 0x80 or struct.unpack_from("!H", query, 4)[0] != 1:
        raise BadQuery
    labels, at = [], 12
    while True:
        if at >= len(query):
            raise BadQuery
        length = query[at]
        at += 1
        if length == 0:
            break
        if length > 63 or at + length > len(query):
            raise BadQuery
        labels.append(query[at:at + length].decode("latin-1"))
        at += length
    if at + 4 > len(query):
        raise BadQuery
    return ".".join(labels), struct.unpack_from("!H", query, at)[0], at + 4


def reply(query, end, rcode, addresses=()):
    """An answer to a query; the addresses are packed ones, their length tells the type."""
    flags = 0x8000 | (query[2] & 0x79) << 8 | 0x0080 | rcode
    head = query[:2] + struct.pack("!HHHHH", flags, 1, len(addresses), 0, 0)
    records = [struct.pack("!HHHIH", 0xC00C, A if len(a) == 4 else AAAA, 1, TTL, len(a)) + a for a in addresses]
    return head + query[12:end] + b"".join(records)


def rcode_of(answer):
    return answer[3] & 15


def addresses_in(answer):
    """The A and AAAA records of an answer to one question, as text."""
    def skip_name(at):
        while answer[at] and answer[at] < 0xC0:
            at += 1 + answer[at]
        return at + (2 if answer[at] else 1)
    at = skip_name(12) + 4
    found = []
    for _ in range(struct.unpack_from("!H", answer, 6)[0]):
        at = skip_name(at)
        kind, _, _, length = struct.unpack_from("!HHIH", answer, at)
        at += 10
        if kind in (A, AAAA):
            found.append(socket.inet_ntop(socket.AF_INET if kind == A else socket.AF_INET6, answer[at:at + length]))
        at += length
    return found


def nameserver(path="/etc/resolv.conf"):
    """The first name server of the host, or None."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            words = [line.split() for line in file]
    except OSError:
        return None
    for line in words:
        if len(line) > 1 and line[0] == "nameserver":
            return line[1], 53
    return None


class MeshNames:
    """Every name under .mesh has the same address, but those of STANDIN_ROUTES one each. Matched by exact case."""

    def __init__(self, settings, no_such_type):
        self.no_such_type = no_such_type
        self.ipv4_only = settings.redirect["ipfamilymode"] == "ipv4"
        self.names = {name: vip for name, (vip, _, _) in settings.routes.items()}

    def answer(self, query):
        """What Envoy's filter says: NXDOMAIN for unknown names, NOTIMP for types without addresses."""
        try:
            name, kind, end = question(query)
        except BadQuery:
            return None
        if kind not in (A, AAAA):
            return reply(query, end, NOTIMP)
        vip = self.names.get(name, MESH_VIP if name.endswith(".mesh") else None)
        if vip is None:
            return reply(query, end, NXDOMAIN)
        packed = ipaddress.ip_address(vip).packed
        if kind == AAAA and self.ipv4_only:
            return reply(query, end, self.no_such_type)
        if kind == AAAA:
            return reply(query, end, NOERROR, (bytes(10) + b"\xff\xff" + packed,))
        return reply(query, end, NOERROR, (packed,))


class Waiting(asyncio.DatagramProtocol):
    def __init__(self, future):
        self.future = future

    def datagram_received(self, data, address):
        if not self.future.done():
            self.future.set_result(data)

    def error_received(self, error):
        if not self.future.done():
            self.future.set_exception(error)


async def ask(server, query, timeout=2.0):
    """One query to one server over UDP; None when it does not answer."""
    if server is None:
        return None
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    try:
        transport, _ = await loop.create_datagram_endpoint(lambda: Waiting(future), remote_addr=server)
    except OSError:
        return None
    try:
        transport.sendto(query)
        return await asyncio.wait_for(future, timeout)
    except (OSError, asyncio.TimeoutError):
        return None
    finally:
        transport.close()


def failed(query):
    return reply(query, question(query)[2], SERVFAIL)


def not_implemented(query):
    """What the library of CoreDNS and kuma-dp says by itself to any operation but QUERY and NOTIFY; None for those."""
    if len(query) < 12 or query[2] & 0x80 or query[2] >> 3 & 15 in (0, 4):
        return None
    return query[:2] + struct.pack("!HHHHH", 0x8000 | (query[2] & 0x79) << 8 | NOTIMP, 0, 0, 0, 0)


class Responder:
    """A UDP socket that answers from the address it was asked at, as a redirected query needs.

    Envoy and CoreDNS share their port with others of the same user; what is within kuma-dp does not.
    """

    def __init__(self, address, port, answer, shared=True):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.answer = answer
        self.tasks = set()
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        if family == socket.AF_INET6:
            # The wildcard takes IPv4 as well, as CoreDNS's does; ::1 alone has no use for that.
            self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address != "::")
            self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            self.sock.setsockopt(socket.SOL_IP, IP_PKTINFO, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sock.bind((address, port))
        asyncio.get_running_loop().add_reader(self.sock, self.receive)

    def receive(self):
        for _ in range(64):
            try:
                query, control, _, client = self.sock.recvmsg(4096, 256)
            except (BlockingIOError, ConnectionError):
                return
            task = asyncio.get_running_loop().create_task(self.respond(query, control, client))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def respond(self, query, control, client):
        result = self.answer(query)
        if asyncio.iscoroutine(result):
            result = await result
        if result is None:
            return
        try:
            self.sock.sendmsg([result], source_only(control), 0, client)
        except OSError:
            pass  # the client is gone; it will ask again if it is not


def source_only(control):
    """The address of a received datagram as the source of the reply; the route decides the interface."""
    result = []
    for level, kind, data in control:
        if level == socket.SOL_IP and kind == IP_PKTINFO:
            result.append((level, kind, struct.pack("=i4s4s", 0, data[4:8], bytes(4))))
        elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            result.append((level, kind, data[:16] + bytes(4)))
    return result


def serve_envoy(settings):
    names = MeshNames(settings, NXDOMAIN)
    return Responder("127.0.0.1", settings.envoy_dns_port, names.answer)


def first_of(servers):
    """Asks one server after the other until one knows; the last one's word counts, whatever it is."""
    async def answer(query):
        refusal = not_implemented(query)
        if refusal:
            return refusal
        try:
            question(query)
        except BadQuery:
            return None
        result = None
        for server in servers:
            result = await ask(server, query) or result
            if result and rcode_of(result) not in ASK_ELSEWHERE:
                break
        return result or failed(query)
    return answer


def serve_coredns(settings):
    servers = (("127.0.0.1", settings.envoy_dns_port), nameserver())
    try:
        return Responder("::", settings.dns_port, first_of(servers))
    except OSError as error:
        if error.errno != errno.EAFNOSUPPORT:
            raise
    return Responder("0.0.0.0", settings.dns_port, first_of(servers))


def embedded_answer(settings, upstream):
    names = MeshNames(settings, NOERROR)

    async def answer(query):
        own = not_implemented(query) or names.answer(query)
        if own is None or rcode_of(own) == NOERROR or own[2] >> 3 & 15:
            return own
        return await ask(upstream, query) or failed(query)
    return answer


def serve_embedded(settings):
    """Raises OSError where an address cannot be had: kuma-dp ends then, also for ::1 on a host without IPv6."""
    upstream = nameserver()
    if upstream is None:
        raise OSError(errno.ENOENT, "no nameserver in /etc/resolv.conf")
    addresses = ["::"]
    if settings.redirect_given:
        addresses = ["127.0.0.1"] if settings.ipv4_only else ["127.0.0.1", "::1"]
    return [Responder(address, settings.embedded_dns_port, embedded_answer(settings, upstream), shared=False)
            for address in addresses]
