# SPDX-License-Identifier: GPL-2.0-or-later
"""What `check` says of the Dataplane's inbounds, held against what clients at the other end of the cable get."""

import pytest

import trial
from machine import network
from trial import Trial

APPLICATION, INBOUND = 8080, 15006
# Tells every client the port at which it has arrived: 8080 is the application, 15006 the proxy.
SERVE = """
import socket, sys, threading
def serve(port):
    s = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    started.release()
    while True:
        client = s.accept()[0]
        client.sendall(str(port).encode())
        client.close()
started = threading.Semaphore(0)
for port in sys.argv[1:]:
    threading.Thread(target=serve, args=(int(port),)).start()
for port in sys.argv[1:]:
    started.acquire()
print("ready", flush=True)
"""
CONNECT = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 2, (sys.argv[3], 0) if sys.argv[3] else None) as s:
        print(s.recv(100).decode())
except ConnectionRefusedError:
    print("refused")
except TimeoutError:
    print("silence")
"""


def reached(client, address, port=APPLICATION, source=""):
    """Where a client that asks for the port arrives: "8080", "15006", "refused" or "silence"."""
    return client.run(["/usr/bin/python3", "-c", CONNECT, address, str(port), source]).stdout.strip()


@pytest.fixture
def subject(host, tproxyd):
    made = Trial(host, tproxyd)
    made.set(safety__protectSSH=False, redirect__dns__enabled=False)
    made.resource = trial.RESOURCE
    server = host.start(["/usr/bin/python3", "-c", SERVE, APPLICATION, INBOUND], stdout=-1, text=True)
    assert server.stdout.readline() == "ready\n"
    return made


# Settings, the same for install, whom it lets past the mesh, and what check has to say.
LEFT_OUT = {
    "excluded": (
        {"excludePorts": [8080]}, {"EXCLUDE_PORTS": "8080"}, "all",
        "redirect.inbound.excludePorts: leaves inbounds of the Dataplane (8080) out of the mesh"),
    "another is excluded": ({"excludePorts": [9090]}, {"EXCLUDE_PORTS": "9090"}, "none", None),
    "not included": (
        {"includePorts": [9090]}, {"INCLUDE_PORTS": "9090"}, "all",
        "redirect.inbound.includePorts: leaves inbounds of the Dataplane (8080) out of the mesh"),
    "included": ({"includePorts": [8080]}, {"INCLUDE_PORTS": "8080"}, "none", None),
    "nothing is redirected": (
        {"enabled": False}, {"ENABLED": "false"}, "all",
        "redirect.inbound.enabled: leaves inbounds of the Dataplane (8080) out of the mesh"),
    "clients by address": (
        {"excludePortsForIPs": ["198.51.100.0/24"]}, {"EXCLUDE_PORTS_FOR_IPS": "198.51.100.0/24"}, "some",
        "redirect.inbound.excludePortsForIPs: lets 198.51.100.0/24 reach inbounds of the Dataplane (8080) past the mesh"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_an_inbound_that_is_not_redirected_is_told_of(host, peer, subject, tproxyd, name):
    settings, environment, past, sentence = LEFT_OUT[name]
    subject.set(**{f"redirect__inbound__{setting}": value for setting, value in settings.items()})
    subject.finish()
    said = subject.check()
    assert said.status == 0, said.text
    told = [line for line in said.warnings if "the mesh:" in line]
    assert len(told) == (sentence is not None) and all(sentence in line for line in told), said.text

    host.run([tproxyd, "install", "--kuma-dp-user", "5678"],
             env={f"KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_{name}": value for name, value in environment.items()})
    assert reached(peer, network.INSIDE4, source=network.FAR4) == str(INBOUND if past == "none" else APPLICATION)
    assert reached(peer, network.INSIDE4) == str(APPLICATION if past == "all" else INBOUND)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.77.0.2/24", "[fd77::2]"])
def test_an_address_that_no_client_can_use_is_refused(subject, address):
    subject.resource = trial.RESOURCE.replace("10.77.0.2", f"'{address}'")
    subject.finish()
    said = subject.check()
    assert said.status == 78 and len(said.errors) == 1, said.text
    assert f"kumaDP.dataplaneFile: networking.address {address}" in said.errors[0].replace("'", "")
