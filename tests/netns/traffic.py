# SPDX-License-Identifier: GPL-2.0-or-later
"""New connections of a host to its peer, one after the other, and how many go past the proxy.

As a program, traffic.py HOST PORT PAUSE PATIENCE prints, for each line on standard input, what has become of those since the last one,
as JSON: {"ok": N, "Connection refused": N, ...}."""

import collections
import json
import socket
import subprocess
import sys
import threading
import time

FAR = "10.77.0.1"
# SYNs that leave the host by others than the proxy, counted behind all rules of nat.
COUNT = f"""table inet watch {{
    counter direct {{ }}
    chain out {{
        type filter hook postrouting priority 300
        meta skuid != 5678 ip daddr {FAR} tcp dport 80 tcp flags & (syn | ack) == syn counter name direct
    }}
}}"""


class Traffic:
    def __init__(self, host, patience):
        """With a patience of less than a second no SYN is sent twice: one that is counted is of a connection that begins."""
        self.host = host
        host.run(["nft", "-f", "-"], input=COUNT)
        self.process = host.start(["/usr/bin/python3", "-B", __file__, FAR, "80", "0.02", str(patience)], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)

    def direct(self):
        text = self.host.run(["nft", "-j", "list", "counter", "inet", "watch", "direct"]).stdout
        return next(item["counter"]["packets"] for item in json.loads(text)["nftables"] if "counter" in item)

    def counts(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self):
        """The last counts."""
        found = self.counts()
        self.process.kill()
        self.process.wait()
        self.host.run(["nft", "delete", "table", "inet", "watch"])
        return found


def ask(host, port, patience):
    try:
        with socket.create_connection((host, port), patience) as connection:
            connection.settimeout(patience)
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return "ok" if connection.recv(4096) else "closed"
    except socket.timeout:
        return "no answer"
    except OSError as error:
        return error.strerror


def main():
    host, port, pause, patience = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    found = collections.Counter()

    def go_on():
        while True:
            found[ask(host, port, patience)] += 1
            time.sleep(pause)

    threading.Thread(target=go_on, daemon=True).start()
    for _ in sys.stdin:
        now = dict(found)
        found.clear()
        print(json.dumps(now), flush=True)


if __name__ == "__main__":
    main()
