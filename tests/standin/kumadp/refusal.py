# SPDX-License-Identifier: GPL-2.0-or-later
"""A control plane that refuses every stream, so that a real Envoy waits and complains as it does about a bad token.

Just enough HTTP/2: no request is looked at, each gets a gRPC status in the headers of the response.
"""

import asyncio
import struct

MESSAGE = ("authentication failed: could not parse token. token signature is invalid: crypto/rsa: "
           "verification error")
PREFACE = 24
HEADERS, SETTINGS, PING = 1, 4, 6
ACK, END_STREAM, END_HEADERS = 1, 1, 4
GRPC_UNKNOWN = "2"


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def header(name, value):
    """A literal header without indexing; texts of less than 127 bytes only."""
    return bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def refusal(stream, message):
    status_200 = b"\x88"
    block = status_200 + header("content-type", "application/grpc")
    block += header("grpc-status", GRPC_UNKNOWN) + header("grpc-message", message)
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, block)


async def frames(reader):
    while True:
        head = await reader.readexactly(9)
        kind, flags, stream = struct.unpack("!BBI", head[3:])
        yield kind, flags, stream, await reader.readexactly(int.from_bytes(head[:3], "big"))


def housekeeping(writer, kind, flags, payload):
    """Answers what is of the connection; whether it was."""
    if kind not in (SETTINGS, PING):
        return False
    if not flags & ACK:
        writer.write(frame(kind, ACK, 0, payload if kind == PING else b""))
    return True


async def handle(reader, writer):
    try:
        await reader.readexactly(PREFACE)
        writer.write(frame(SETTINGS, 0, 0))
        async for kind, flags, stream, payload in frames(reader):
            if not housekeeping(writer, kind, flags, payload) and kind == HEADERS:
                writer.write(refusal(stream, MESSAGE))
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def serve(path):
    return await asyncio.start_unix_server(handle, path)
