# SPDX-License-Identifier: GPL-2.0-or-later
"""Who would notice a gap: 200 open connections, new ones all the time, and names of the mesh asked for without a pause."""

import json
import subprocess

import machine as machines
from test_connections import OUTBOUND, Crowd
from test_reload import LOAD, Load

# Asks for a name of the mesh without a pause until its input ends; counts what it is told.
DNS = """
import collections, json, select, socket, sys
found = collections.Counter()
question = b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + b"".join(
    bytes([len(part)]) + part.encode() for part in sys.argv[2].split(".")) + b"\\0\\0\\1\\0\\1"
while not select.select([sys.stdin], [], [], 0)[0]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        try:
            sock.connect((sys.argv[1], 53))
            sock.send(question)
            answer = sock.recv(512)
            found[socket.inet_ntoa(answer[-4:]) if answer[7] else f"code {answer[3] & 15}"] += 1
        except OSError as error:
            found[type(error).__name__] += 1
print(json.dumps(found))
"""


# The real Envoy has no word for who asks with HTTP/1.0.
HTTP_1_1 = LOAD.replace("HTTP/1.0", "HTTP/1.1\\r\\nHost: a\\r\\nConnection: close")


class NewConnections(Load):
    def __init__(self, machine, clients=4):
        self.clients = [machine.start_command(["/usr/bin/python3", "-c", HTTP_1_1, machines.FAR4], user="nobody",
                                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                        for _ in range(clients)]


class Witnesses:
    """An echo server and a server of HTTP outside are needed: machine.serve([80])."""

    def __init__(self, machine):
        self.crowd = Crowd(machine.start_command, 75, 25, OUTBOUND, "nobody")
        self.asks = machine.start_command(["/usr/bin/python3", "-c", DNS, machines.OUTSIDE4, "backend.mesh"], user="nobody",
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.load = NewConnections(machine)

    def end(self):
        """Nobody noticed anything; returns what became of new connections and of questions, each counted."""
        found, names = self.load.end(), json.loads(self.asks.communicate("\n", timeout=60)[0])
        assert set(found) == {"redirected"}, found
        assert set(names) == {"240.0.0.1"}, names
        open_ones = self.crowd.speak()
        self.crowd.close()
        assert open_ones == {"alive": 200, "lost": {}}, open_ones
        return found, names
