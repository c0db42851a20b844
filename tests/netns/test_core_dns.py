# SPDX-License-Identifier: GPL-2.0-or-later
"""The real CoreDNS, run by tproxyd: names of the host resolve whatever becomes of the proxy's DNS."""

import os
import signal
import subprocess
import time

import pytest

from daemon import PATIENCE, Daemon
from trial import Trial

PROXIES = os.environ.get("TPROXYD_TEST_PROXIES", "")
pytestmark = pytest.mark.skipif(not PROXIES, reason="TPROXYD_TEST_PROXIES does not name a directory with coredns")

# A name of the host every 50 ms, each with a socket of its own as a resolver does; a line when it is answered,
# after how long, or when it is not within 4 s. Silence for that patience, or an error, makes a resolver ask again.
ASK = """
import random, socket, sys, threading, time
def ask(number):
    begin = time.monotonic()
    query = number.to_bytes(2, "big") + bytes.fromhex("010000010000000000000468 6f73740374787400 00010001".replace(" ", ""))
    answered = False
    while not answered and time.monotonic() - begin < 4:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(float(sys.argv[2]))
        try:
            s.connect((sys.argv[1], 53))
            s.send(query)
            answer = s.recv(512)
            answered = answer[3] % 16 == 0 and answer[7] == 1
        except OSError:
            time.sleep(0.05)
    print(f"{begin:.3f} {time.monotonic() - begin:.3f} {int(answered)}", flush=True)
number = 0
while True:
    number = number % 65535 + 1
    threading.Thread(target=ask, args=(number,)).start()
    time.sleep(0.05)
"""


class Asker:
    def __init__(self, host, server, patience=4):
        self.process = host.start(["/usr/bin/python3", "-c", ASK, server, str(patience)], stdout=subprocess.PIPE, text=True)

    def end(self):
        """Begin, duration and whether it was answered, of each query that has had its time."""
        time.sleep(4.5)
        self.process.kill()
        lines = self.process.stdout.read().splitlines()
        return [(float(begin), float(took), answered == "1") for begin, took, answered in
                (line.split() for line in lines if line.count(" ") == 2)]


@pytest.fixture
def daemon(host, tproxyd, world, tmp_path):
    trial = Trial(host, tproxyd)
    host.run(["mkdir", "/run/proxies"])
    host.run(["cp", f"{PROXIES}/coredns", "/run/proxies/coredns"])
    trial.set(coreDNS__mode="tproxyd", coreDNS__path="/run/proxies/coredns")
    made = Daemon(trial, tmp_path)
    made.await_("READY=1")
    return made


def pid_of(daemon, name):
    return daemon.status()["processes"][name]["pid"]


def await_line(daemon, text):
    """Returns when it was there."""
    end = time.monotonic() + PATIENCE
    while not any(text in line for line in daemon.log):
        assert time.monotonic() < end, "".join(daemon.log)
        time.sleep(0.01)
    return time.monotonic()


def test_a_coredns_that_dies_comes_back_alone(daemon, dns_servers):
    kuma_dp, coredns = pid_of(daemon, "kuma-dp"), pid_of(daemon, "coredns")
    # What coredns had taken when it died is asked once more.
    said, asker = len(daemon.said), Asker(daemon.host, dns_servers[0], patience=1)
    time.sleep(1)
    os.kill(coredns, signal.SIGKILL)
    at = daemon.await_("STATUS=Degraded: DNS goes direct", said)
    daemon.await_("STATUS=Redirecting", at)
    assert daemon.level() == "full"
    assert pid_of(daemon, "kuma-dp") == kuma_dp and pid_of(daemon, "coredns") not in (0, coredns)
    queries = asker.end()
    assert len(queries) > 50 and all(answered for _, _, answered in queries), queries
    print(f"longest {max(took for _, took, _ in queries):.3f} s of {len(queries)}")
    assert max(took for _, took, _ in queries) < 2, queries
    daemon.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["dies", "hangs"])
def test_names_of_the_host_resolve_without_envoys_dns(daemon, dns_servers, number):
    """coredns waits 5 s for an answer of Envoy's: once that is known not to come, nobody waits for it."""
    envoy, asker = daemon.child("envoy"), Asker(daemon.host, dns_servers[0])
    time.sleep(1)
    begin = time.monotonic()
    os.kill(envoy, number)
    known = await_line(daemon, "DNS of the mesh does not answer: DNS goes direct")
    assert known - begin < (1 if number == signal.SIGKILL else 6)
    time.sleep(5)
    queries = asker.end()
    later = [query for query in queries if query[0] > known + 0.1]
    print(f"known after {known - begin:.2f} s; longest {max(took for _, took, _ in later):.3f} s of {len(later)}")
    assert len(later) > 50 and all(answered and took < 2 for _, took, answered in later), later
    daemon.stop()
