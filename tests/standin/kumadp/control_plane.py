# SPDX-License-Identifier: GPL-2.0-or-later
"""A control plane that refuses a node whose last stream has just broken, as Kuma's does, and has no clusters to give.

It counts from the end of the stream, takes one stream at a time, and needs a second to register a node. What it does
is said on stdout, with the seconds since the refusal ended.
"""

import asyncio
import struct

from . import refusal

REGISTER = 1.0
BUSY = "there is already an active stream from this node, try again later"
CLUSTERS = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
DATA, HEADERS, RST_STREAM, SETTINGS, WINDOW_UPDATE = 0, 1, 3, 4, 8
INITIAL_WINDOW_SIZE, WINDOW = 4, 1 << 30


def string(number, text):
    """A protobuf field; texts of less than 128 bytes only."""
    return bytes([number << 3 | 2, len(text)]) + text.encode()


def no_clusters():
    message = string(1, "1") + string(4, CLUSTERS) + string(5, "1")
    return struct.pack("!BI", 0, len(message)) + message


class ControlPlane:
    def __init__(self, refuses):
        self.refuses = refuses
        self.taken = False
        self.free = 0.0  # when the refusal ends

    def say(self, what):
        print(f"{what} {asyncio.get_running_loop().time() - self.free:.3f}", flush=True)

    async def take(self, stream, writer):
        """Whether the stream is taken; one that is not has its answer."""
        if self.taken or asyncio.get_running_loop().time() < self.free:
            self.say("refused")
            writer.write(refusal.refusal(stream, BUSY))
            return False
        self.taken = True
        self.say("taken")
        await asyncio.sleep(REGISTER)
        block = b"\x88" + refusal.header("content-type", "application/grpc")
        writer.write(refusal.frame(HEADERS, refusal.END_HEADERS, stream, block))
        writer.write(refusal.frame(DATA, 0, stream, no_clusters()))
        return True

    async def serve_stream(self, reader, writer):
        own = None
        try:
            await reader.readexactly(refusal.PREFACE)
            writer.write(refusal.frame(SETTINGS, 0, 0, struct.pack("!HI", INITIAL_WINDOW_SIZE, WINDOW)))
            writer.write(refusal.frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", WINDOW)))
            async for kind, flags, stream, payload in refusal.frames(reader):
                if refusal.housekeeping(writer, kind, flags, payload):
                    pass
                elif kind == HEADERS and await self.take(stream, writer):
                    own = stream
                elif kind == RST_STREAM and stream == own:
                    break
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            if own is not None:
                self.taken = False
                self.free = asyncio.get_running_loop().time() + self.refuses
                self.say("ended")
            writer.close()


async def serve(port, refuses):
    server = await asyncio.start_server(ControlPlane(refuses).serve_stream, "127.0.0.1", port)
    await server.serve_forever()
