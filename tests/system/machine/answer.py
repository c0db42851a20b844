# SPDX-License-Identifier: GPL-2.0-or-later
"""The rest of the world: answer.py [PORT…] serves on every address that network.py gives the namespace outside.

HTTP on the PORTs says, as text, who asked for what: "peer ADDRESS PORT", "local ADDRESS PORT", "request LINE".
Port 7 echoes. Port 53 answers every A query with 192.0.2.53, every AAAA query with 2001:db8::53, over UDP and TCP, and
refuses names below "nowhere.test" with NXDOMAIN. Prints "ready" when it listens.
"""

import asyncio
import ipaddress
import struct
import sys

ADDRESSES = ("10.77.0.1", "198.51.100.10", "fd77::1", "2001:db8:77::10", "127.0.0.1", "::1")
ANSWERS = {1: ipaddress.ip_address("192.0.2.53").packed, 28: ipaddress.ip_address("2001:db8::53").packed}


def dns_answer(query):
    """The reply to a query with one question."""
    end, labels = 12, []
    while query[end] != 0:
        labels.append(query[end + 1:end + 1 + query[end]].lower())
        end += 1 + query[end]
    end += 5
    kind = struct.unpack("!H", query[end - 4:end - 2])[0]
    missing = labels[-2:] == [b"nowhere", b"test"]
    data = None if missing else ANSWERS.get(kind)
    head = query[:2] + struct.pack("!HHHHH", 0x8180 | (3 if missing else 0), 1, 1 if data else 0, 0, 0)
    record = b"" if data is None else struct.pack("!HHHIH", 0xC00C, kind, 1, 5, len(data)) + data
    return head + query[12:end] + record


class Dns(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        try:
            self.transport.sendto(dns_answer(data), addr)
        except IndexError:
            pass


async def dns_stream(reader, writer):
    try:
        while True:
            size = struct.unpack("!H", await reader.readexactly(2))[0]
            reply = dns_answer(await reader.readexactly(size))
            writer.write(struct.pack("!H", len(reply)) + reply)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError, IndexError):
        pass
    writer.close()


async def http(reader, writer):
    try:
        line = (await reader.readline()).decode(errors="replace").strip()
        while (await reader.readline()).strip():
            pass
        peer, local = (writer.get_extra_info(name) for name in ("peername", "sockname"))
        body = f"peer {peer[0]} {peer[1]}\nlocal {local[0]} {local[1]}\nrequest {line}\n".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                     b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
    except ConnectionError:
        pass
    writer.close()


async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


async def main(ports):
    loop = asyncio.get_running_loop()
    for address in ADDRESSES:
        for port in ports:
            await asyncio.start_server(http, address, port, backlog=1024)
        await asyncio.start_server(echo, address, 7, backlog=1024)
        await asyncio.start_server(dns_stream, address, 53)
        await loop.create_datagram_endpoint(Dns, (address, 53))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main([int(word) for word in sys.argv[1:]]))
