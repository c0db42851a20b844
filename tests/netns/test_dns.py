# SPDX-License-Identifier: GPL-2.0-or-later
"""Who answers DNS: nobody but the proxy may, and no query runs in a circle."""

import subprocess

import pytest

from test_hold import Daemon
from trial import Trial

STRANGER = 4242

# Answers whatever comes, as the DNS library of coredns would or in its own way.
ANSWER = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
server = socket.socket(family, socket.SOCK_DGRAM)
server.bind((sys.argv[1], int(sys.argv[2])))
print("up", flush=True)
while True:
    query, client = server.recvfrom(4096)
    server.sendto(query[:2] + bytes([query[2] | 0x80]) + query[3:], client)
"""


@pytest.fixture
def trial(host, tproxyd):
    return Trial(host, tproxyd)


def answerer(host, address, port, user):
    process = host.start(["/usr/bin/python3", "-c", ANSWER, address, port], user=user, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "up\n"
    return process


def test_another_user_at_envoys_dns_port_keeps_dns_out_of_the_mesh_and_is_named(trial, tmp_path):
    trial.set(readiness__timeout="5s")
    answerer(trial.host, "127.0.0.1", "15054", STRANGER)
    daemon = Daemon(trial, tmp_path)
    daemon.await_(f"STATUS=.*Envoy's DNS: user {STRANGER} listens there")
    assert daemon.process.wait(60) == 1
    assert any("did not serve within 5 s" in line and f"Envoy's DNS: user {STRANGER} listens there" in line
               for line in daemon.log), "".join(daemon.log)
    assert "READY=1" not in daemon.said and daemon.level() == "none"
