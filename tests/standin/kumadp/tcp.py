# SPDX-License-Identifier: GPL-2.0-or-later
"""The redirect ports of the builtin engine: every connection goes on to where it was going before the redirect."""

import asyncio
import errno
import socket
import struct

SO_ORIGINAL_DST = 80
IP_BIND_ADDRESS_NO_PORT = 24
INBOUND_SOURCE = {socket.AF_INET: "127.0.0.6", socket.AF_INET6: "::6"}


def original_destination(sock):
    """Where the client wanted to go, or None for a connection that nobody redirected."""
    try:
        if sock.family == socket.AF_INET:
            raw = sock.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
            port, address = struct.unpack("!2xH4s8x", raw)
        else:
            raw = sock.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28)
            port, address = struct.unpack("!2xH4x16s4x", raw)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOPROTOOPT):
            return None
        raise
    destination = (socket.inet_ntop(sock.family, address), port)
    return None if destination == sock.getsockname()[:2] else destination


class Counts:
    def __init__(self):
        self.directions = {name: {"total": 0, "open": 0, "failed": 0} for name in ("inbound", "outbound")}


class Side(asyncio.Protocol):
    """One end of a proxied connection; what it receives its peer sends."""

    def __init__(self):
        self.transport = None
        self.peer = None
        self.ended = False
        self.early = []

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if self.peer is None:
            self.early.append(data)  # what was read before the pause took hold
            return
        self.peer.transport.write(data)

    def eof_received(self):
        self.ended = True
        if self.peer is None:
            return True
        if self.peer.ended:
            return False
        self.peer.transport.write_eof()
        return True

    def pause_writing(self):
        if self.peer:
            self.peer.transport.pause_reading()

    def resume_writing(self):
        if self.peer and not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()

    def connection_lost(self, error):
        if self.peer is None or self.peer.transport is None:
            return
        if error:
            self.peer.transport.abort()
        else:
            self.peer.transport.close()


class Accepted(Side):
    """The client's end: it reads nothing until its destination is connected."""

    def __init__(self, direction, routes, counts):
        super().__init__()
        self.direction = direction
        self.routes = routes
        self.count = counts.directions[direction]
        self.task = None

    def connection_made(self, transport):
        super().connection_made(transport)
        transport.pause_reading()
        self.count["total"] += 1
        self.count["open"] += 1
        self.task = asyncio.get_running_loop().create_task(self.connect())

    def connection_lost(self, error):
        self.count["open"] -= 1
        self.task.cancel()
        super().connection_lost(error)

    async def connect(self):
        client = self.transport.get_extra_info("socket")
        upstream = None
        try:
            destination = original_destination(client)
            if destination is None:
                raise ConnectionError("not redirected")
            destination = self.routes.get(destination[0], destination)
            family = socket.AF_INET6 if ":" in destination[0] else socket.AF_INET
            upstream = socket.socket(family, socket.SOCK_STREAM)
            upstream.setblocking(False)
            if self.direction == "inbound":
                upstream.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                upstream.bind((INBOUND_SOURCE[family], 0))
            loop = asyncio.get_running_loop()
            await loop.sock_connect(upstream, destination)
            peer = Side()
            peer.peer = self  # a server that speaks first may do so before the next line returns
            connected, upstream = upstream, None
            await loop.create_connection(lambda: peer, sock=connected)
        except OSError:
            self.count["failed"] += 1
            if upstream:
                upstream.close()
            self.transport.abort()
            return
        except asyncio.CancelledError:
            if upstream:
                upstream.close()
            raise
        self.peer = peer
        for data in self.early:
            peer.transport.write(data)
        if self.ended:
            peer.transport.write_eof()
        self.transport.resume_reading()


def listening_socket(family, port, address=None):
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((address or ("::" if family == socket.AF_INET6 else "0.0.0.0"), port))
    sock.listen(4096)
    sock.setblocking(False)
    return sock


async def serve(settings, counts):
    """Opens every redirect port that this run has. A host without a family goes without it, as Envoy does."""
    loop = asyncio.get_running_loop()
    routes = {vip: (host, port) for vip, host, port in settings.routes.values()}
    servers = []
    for direction in ("inbound", "outbound"):
        port = settings.listens(direction)
        for family in settings.families() if port else []:
            try:
                sock = listening_socket(family, port)
            except OSError as error:
                if error.errno != errno.EAFNOSUPPORT:
                    raise
                continue
            servers.append(await loop.create_server(
                lambda direction=direction: Accepted(direction, routes, counts), sock=sock, backlog=4096))
    return servers
