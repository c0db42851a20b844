# SPDX-License-Identifier: GPL-2.0-or-later
"""The builtin engine: Python in the places of Envoy and CoreDNS, each in a process of its own as there."""

import asyncio
import errno
import resource

from . import dns, http, journal, refusal, tcp

REFUSED_STREAM = f"StreamAggregatedResources gRPC config stream to ads_cluster closed: 2, {refusal.MESSAGE}"


async def forever():
    await asyncio.get_running_loop().create_future()


async def complain():
    """What Envoy writes while the control plane refuses it."""
    while True:
        journal.say_as_envoy("warning", "config", REFUSED_STREAM)
        journal.say_as_envoy("warning", "upstream", "HdsDelegate stream/connection failure, will retry in 781 ms.")
        await asyncio.sleep(2)


async def be_envoy(settings):
    counts = tcp.Counts()
    admin = http.EnvoyAdmin(counts)
    keep = [await admin.serve(settings.admin_socket)]
    if settings.on("NEVER_READY"):
        await complain()
    delay = settings.milliseconds("READY_DELAY_MS")
    if delay:
        await asyncio.sleep(delay)
    if settings.envoy_answers_dns():
        try:
            keep.append(dns.serve_envoy(settings))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            # Envoy does without a listener that it cannot have.
            journal.say_as_envoy("warning", "config", "error adding listener 'kuma:dns': cannot bind "
                                 f"'127.0.0.1:{settings.envoy_dns_port}': Address already in use")
    keep.append(await tcp.serve(settings, counts))
    journal.say_as_envoy("info", "main", "all dependencies initialized. starting workers")
    admin.state = "LIVE"
    admin.workers_started = 1
    await forever()


async def be_coredns(settings):
    _responder = dns.serve_coredns(settings)
    await forever()


def envoy(settings):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(be_envoy(settings))


def coredns(settings):
    asyncio.run(be_coredns(settings))
