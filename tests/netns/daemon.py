# SPDX-License-Identifier: GPL-2.0-or-later
"""`tproxyd run` with a service manager that only listens, and others who do not let go of the lock."""

import json
import re
import socket
import subprocess
import threading
import time

from trial import PROGRAM

# What does not come within so many seconds does not come: a limit to waiting, not to how long something may take.
PATIENCE = 120

KNOCK = ("import socket, sys; s = socket.create_connection((sys.argv[1], 80), 3); s.settimeout(3);"
         "s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n'); print(s.makefile().read())")


class Daemon:
    """`tproxyd run` with a service manager that only listens."""

    def __init__(self, trial, directory, before=()):
        """before: what the program is started by."""
        self.trial, self.host = trial, trial.host
        self.said, self.said_at = [], []  # messages to the service manager, one variable each; time.monotonic() of each
        self.log = []
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(f"{directory}/notify")
        trial.finish()
        self.process = trial.host.start([*before, PROGRAM, "run", *trial.arguments], stderr=subprocess.PIPE, text=True,
                                        env={**trial.environment, "NOTIFY_SOCKET": f"{directory}/notify"})
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._read, daemon=True).start()

    def _listen(self):
        while True:
            said = self.manager.recv(65536).decode().split("\n")
            self.said_at += [time.monotonic()] * len(said)
            self.said += said

    def _read(self):
        for line in self.process.stderr:
            self.log.append(line)

    def await_(self, pattern, since=0):
        """Waits until the service manager is told so; returns after which message."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for n, message in enumerate(self.said[since:], since):
                if re.match(pattern, message):
                    return n + 1
            time.sleep(0.01)
        raise AssertionError(f"no {pattern} within {PATIENCE} s: {self.said[since:]}\n{''.join(self.log)}")

    def await_status(self, condition):
        end = time.monotonic() + PATIENCE
        while not condition(found := self.status()):
            assert time.monotonic() < end, found
            time.sleep(0.1)

    def status(self):
        return json.loads(self.host.run([PROGRAM, "status", "--json"], check=False).stdout)

    def level_in_tables(self):
        text = self.host.run(["nft", "list", "ruleset"]).stdout
        if "table ip tproxyd" not in text:
            return "none"
        table = text[text.index("table ip tproxyd"):].partition("\n}")[0]
        if not re.search(r"jump KUMA_MESH_OUTBOUND\b(?!_)", table):
            return "drain"
        return "full" if re.search("dport 53 .*redirect to", table) else "no-dns"

    def level(self):
        if self.trial.settings.get("backend") == "nftables":
            return self.level_in_tables()
        rules = "\n".join(line for tables in self.host.legacy(False).values() for lines in tables.values()
                          for line in lines)
        if "-j KUMA_MESH_OUTBOUND" not in re.sub(r"-A KUMA_MESH_\S+ .*", "", rules):
            return "drain" if "KUMA_MESH" in rules else "none"
        return "full" if re.search("-A OUTPUT .*--dport 53 .*(REDIRECT|CT)", rules) else "no-dns"

    def child(self, name):
        """The pid of kuma-dp's child of that name."""
        parent = self.status()["processes"]["kuma-dp"]["pid"]
        with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:
            for pid in map(int, file.read().split()):
                with open(f"/proc/{pid}/comm", encoding="ascii") as comm:
                    if comm.read() == f"{name}\n":
                        return pid
        raise AssertionError(f"no {name}")

    def stop(self, status=0):
        self.process.terminate()
        assert self.process.wait(PATIENCE) == status, "".join(self.log)


def lock(trial):
    """Somebody who has the lock, until the file is closed."""
    process = trial.host.start(["flock", "/run/xtables.lock", "sh", "-c", "echo locked; exec sleep 600"],
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "locked\n"
    return process


def unlock(process):
    # flock(1) waits for its child, which has the lock as well.
    subprocess.run(["pkill", "-KILL", "-P", str(process.pid)], check=True)
    process.wait()
