# SPDX-License-Identifier: GPL-2.0-or-later
"""The two HTTP endpoints: Envoy's admin on a Unix socket, and kuma-dp's readiness reporter on TCP."""

import asyncio
import json
import os

REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 426: "Upgrade Required",
           503: "Service Unavailable"}


class EnvoyAdmin:
    """Envoy's admin endpoint as far as readiness looks at it, and the stand-in's own counters."""

    def __init__(self, counts):
        self.counts = counts
        self.state = "PRE_INITIALIZING"
        self.workers_started = 0
        self.draining = False

    def answer(self, method, target):
        path, _, query = target.partition("?")
        if path == "/ready":
            state = "DRAINING" if self.draining and self.state == "LIVE" else self.state
            return (200 if state == "LIVE" else 503), state + "\n"
        if path == "/healthcheck/fail":
            if method != "POST":
                return 405, f"Method {method} not allowed, POST required."
            self.draining = True
            return 200, "OK\n"
        if path == "/stats":
            wanted = dict(pair.partition("=")[::2] for pair in query.split("&")).get("filter", "")
            line = f"listener_manager.workers_started: {self.workers_started}\n"
            return 200, line if wanted in line else ""
        if path == "/standin/connections":
            return 200, json.dumps(self.counts.directions) + "\n"
        return 404, "invalid path. admin commands are:\n"

    async def handle(self, reader, writer):
        try:
            while await self.handle_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def handle_one(self, reader, writer):
        """Serves one request; says whether the connection stays."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        words = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        if len(words) != 3 or words[2] not in ("HTTP/1.0", "HTTP/1.1"):
            send(writer, 400, "Bad Request", ["connection: close"])
            return False
        if words[2] == "HTTP/1.0":
            send(writer, 426, "Upgrade Required", ["connection: close"])
            return False
        await reader.readexactly(int(headers.get("content-length", "0")))
        if "host" not in headers:
            send(writer, 400, "", ["connection: close"])
            return False
        status, body = self.answer(words[0], words[1])
        stays = headers.get("connection", "").lower() != "close"
        extra = ["content-type: text/plain; charset=UTF-8", "cache-control: no-cache, max-age=0", "server: envoy"]
        send(writer, status, body, extra + ([] if stays else ["connection: close"]), chunked=True)
        await writer.drain()
        return stays

    async def serve(self, path):
        """Listens on a Unix socket that only its owner may use, from the first moment on."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        mask = os.umask(0o177)
        try:
            return await asyncio.start_unix_server(self.handle, path)
        finally:
            os.umask(mask)


def send(writer, status, body, headers, chunked=False):
    raw = body.encode()
    length = "transfer-encoding: chunked" if chunked else f"content-length: {len(raw)}"
    head = [f"HTTP/1.1 {status} {REASONS[status]}", *headers, length]
    if chunked:
        raw = (f"{len(raw):x}\r\n".encode() + raw + b"\r\n" if raw else b"") + b"0\r\n\r\n"
    writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + raw)


async def admin_request(path, method, target, timeout):
    """Status and body of a request to Envoy's admin socket; OSError or a timeout when there is none."""
    async def exchange():
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.write(f"{method} {target} HTTP/1.1\r\nhost: envoy\r\nconnection: close\r\n"
                         "content-length: 0\r\n\r\n".encode())
            return await reader.read()
        finally:
            writer.close()
    raw = await asyncio.wait_for(exchange(), timeout)
    head, _, body = raw.partition(b"\r\n\r\n")
    try:
        status = int(head.split(b" ", 2)[1])
    except (IndexError, ValueError):
        raise ConnectionError("no HTTP response") from None
    return status, dechunk(body) if b"chunked" in head.lower() else body


def dechunk(raw):
    result = b""
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        length = int(size or b"0", 16)
        if length == 0:
            break
        result += raw[:length]
        raw = raw[length + 2:]
    return result


class Reporter:
    """kuma-dp's /ready on the readiness port: its own word while it ends, else Envoy's."""

    def __init__(self, admin_socket):
        self.admin_socket = admin_socket
        self.terminating = False

    async def verdict(self):
        if self.terminating:
            return 503, "TERMINATING"
        try:
            status, body = await admin_request(self.admin_socket, "GET", "/ready", 3.0)
        except (OSError, asyncio.TimeoutError):
            return 503, "envoy not ready"
        return status, body.decode("latin-1")

    async def handle(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split(" ")
            headers = ["content-type: text/plain", "cache-control: no-cache, max-age=0", "x-powered-by: kuma-dp",
                       "connection: close"]
            if len(head) > 1 and head[1].partition("?")[0] == "/ready":
                status, body = await self.verdict()
            else:
                status, body = 404, "404 page not found\n"
            send(writer, status if status in REASONS else 503, body, headers)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def serve(self, address, port):
        return await asyncio.start_server(self.handle, address, port)
