# SPDX-License-Identifier: GPL-2.0-or-later
"""kuma-dp run: starts the children, answers on the readiness port, drains, and ends when anything ends."""

import asyncio
import os
import shutil
import signal
import sys
import time

from . import builtin, children, dns, envoy, http, journal, refusal
from .options import Refused
from .settings import Settings

BOOTSTRAP_FAILED = ("could not fetch bootstrap configuration, make sure you are not trying to connect to global-cp. "
                    "retrying (this could help only if you're connecting to zone-cp).")
CHILD_GRACE = 5.0


class KumaDP:
    def __init__(self, settings):
        self.settings = settings
        self.children = []
        self.reporter = http.Reporter(settings.admin_socket)
        self.signals = 0
        self.stop_asked = None
        self.hurry = None
        self.child_ended = None
        self.keep = []

    def on_signal(self, number):
        if self.settings.on("IGNORE_TERM"):
            journal.say("INFO", "kuma-dp", "received signal, ignoring it as asked", signal=number)
            return
        self.signals += 1
        journal.say("INFO", "kuma-dp", "received signal, stopping" if self.signals == 1 else "received signal again",
                    signal=number)
        if self.signals == 1:
            self.stop_asked.set()
        elif self.signals == 2:
            self.hurry.set()
        else:
            os._exit(1)

    def watch(self, child):
        loop = asyncio.get_running_loop()

        def ended():
            loop.remove_reader(child.pidfd)
            status = child.reap()
            journal.say("INFO", "kuma-dp", f"{child.name} ended", status=status)
            self.child_ended.set()
        loop.add_reader(child.pidfd, ended)
        self.children.append(child)

    def start_children(self):
        """The order of kuma-dp: DNS before Envoy. Forks come first, while this process has no sockets of its own."""
        settings = self.settings
        real = settings.engine == "envoy"
        if settings.dns_mode() == "coredns":
            if real:
                self.watch(children.spawn_program("coredns", envoy.coredns_arguments(settings)))
            else:
                self.watch(children.spawn("coredns", lambda: builtin.coredns(settings)))
        if real:
            self.watch(children.spawn("envoy", self.become_envoy))
        else:
            self.watch(children.spawn("envoy", lambda: builtin.envoy(settings)))

    def become_envoy(self):
        delay = self.settings.milliseconds("READY_DELAY_MS")
        arguments = envoy.envoy_arguments(self.settings)
        if delay:
            time.sleep(delay)
        os.execv(arguments[0], arguments)

    def make_leftovers(self):
        """The other files of a real work directory, for whoever has to clear it."""
        base = os.path.join(self.settings.work_dir, "kuma-{}-" + f"{self.settings.name}-{self.settings.mesh}.sock")
        fifo = base.format("al")
        if not os.path.lexists(fifo):
            os.mkfifo(fifo, 0o666)

    async def wait_for(self, *events, timeout=None):
        """Waits until one of the events is set or the time is over."""
        tasks = [asyncio.ensure_future(event.wait()) for event in events]
        await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()

    def bootstrap_fails(self):
        """Why the control plane gives no bootstrap configuration now, or None."""
        if self.settings.on("CP_UNREACHABLE"):
            return "connect: connection refused"
        now, valid_from = time.time(), float(self.settings.switches.get("CP_VALID_FROM", "0"))
        if now >= valid_from:
            return None
        now, valid_from = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when)) for when in (now, valid_from))
        return ("tls: failed to verify certificate: x509: certificate has expired or is not yet valid: "
                f"current time {now} is before {valid_from}")

    async def fetch_bootstrap(self):
        """Stays in the retries of a control plane that is of no use; False when a signal ended them."""
        while why := self.bootstrap_fails():
            url = self.settings.values["cp-address"]
            journal.say("INFO", "dataplane", BOOTSTRAP_FAILED, backoff="3s",
                        err=f'request to bootstrap server failed: Post "{url}/bootstrap": {why}')
            await self.wait_for(self.stop_asked, timeout=3)
            if self.stop_asked.is_set():
                return False
        return True

    async def drain(self):
        self.reporter.terminating = True
        try:
            await http.admin_request(self.settings.admin_socket, "POST", "/healthcheck/fail", 10)
        except (OSError, asyncio.TimeoutError) as error:
            journal.say("ERROR", "kuma-dp.run", "could not drain Envoy connections", error=str(error))
            return
        journal.say("INFO", "kuma-dp.run", "draining Envoy connections", drainTime=f"{self.settings.drain_time}s")
        await self.wait_for(self.hurry, self.child_ended, timeout=self.settings.drain_time)

    async def stop_children(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            for child in self.children:
                child.signal(number)
            deadline = asyncio.get_running_loop().time() + CHILD_GRACE
            while any(child.status is None for child in self.children):
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    break
                self.child_ended.clear()
                await self.wait_for(self.child_ended, timeout=left)

    async def serve_reports(self):
        address = "::1" if ":" in self.settings.address() else "127.0.0.1"
        if os.environ.get("POD_NAME"):
            address = None
        self.keep.append(await self.reporter.serve(address, self.settings.readiness_port))

    async def main(self):
        loop = asyncio.get_running_loop()
        self.stop_asked, self.hurry, self.child_ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.on_signal, number)
        after = self.settings.milliseconds("EXIT_AFTER_MS")
        if after is not None:
            loop.call_later(after, lambda: os._exit(int(self.settings.switches.get("EXIT_STATUS", "1"))))
        if not await self.fetch_bootstrap():
            return 1
        if self.settings.engine == "envoy" and self.settings.on("NEVER_READY"):
            self.keep.append(await refusal.serve(envoy.control_plane_socket(self.settings)))
        self.start_children()
        try:
            await self.serve_reports()
            if self.settings.dns_mode() == "embedded":
                self.keep.append(dns.serve_embedded(self.settings))
        except (OSError, OverflowError) as error:
            journal.say("ERROR", "kuma-dp.run", "problem running Kuma DP", error=str(error))
            await self.stop_children()
            print(f"Error: {error}", file=sys.stderr)
            return 1
        await self.wait_for(self.stop_asked, self.child_ended)
        asked = self.stop_asked.is_set()
        if asked:
            await self.drain()
        # An Envoy that ends badly gives 1, all else 0; kuma-dp itself is no more reliable than that.
        status = 0 if asked or all(child.status in (None, 0) or child.name == "coredns"
                                   for child in self.children) else 1
        await self.stop_children()
        return status


def run(values):
    settings = Settings(values, os.environ)
    if settings.switches.get("EXIT_AT_ONCE"):
        raise Refused(settings.switches["EXIT_AT_ONCE"])
    if settings.engine == "envoy":
        envoy.find_binary(values["binary-path"])
        if settings.dns_mode() == "coredns":
            envoy.find_binary(values["dns-coredns-path"])
    settings.make_directories()
    journal.say("INFO", "kuma-dp.run", "starting Data Plane", version="standin", engine=settings.engine)
    dp = KumaDP(settings)
    dp.make_leftovers()
    try:
        return asyncio.run(dp.main())
    finally:
        if settings.temporary:
            shutil.rmtree(settings.temporary, ignore_errors=True)
