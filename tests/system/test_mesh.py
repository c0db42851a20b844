# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of connections while parts of the proxy die or hang, with the real Envoy and CoreDNS: how many fail, go direct
or through the proxy, by IPv4 and IPv6, for each `failure.holdRules`.

A server outside is asked from the port that the client has, where it was asked directly (test_traffic)."""

import json
import subprocess
import time

import pytest

import sample
from test_traffic import FAR, PLAIN

# For each line on stdin: what has become of connections to TARGET… ("host port") since the last one, as JSON.
VISITOR = """
import collections, http.client, json, socket, sys, threading, time
found = {target: collections.Counter() for target in sys.argv[1:]}
def visit(target):
    host, port = target.split()
    asked = http.client.HTTPConnection(host, int(port), timeout=2)
    try:
        asked.connect()
        own = asked.sock.getsockname()[1]
        asked.request("GET", "/", headers={"Connection": "close"})
        answer = asked.getresponse()
        words = answer.read().decode().split()
        if answer.status != 200 or len(words) < 3 or words[0] != "peer":
            return f"HTTP {answer.status}"
        return "direct" if int(words[2]) == own else "redirected"
    except socket.gaierror:
        return "no name"
    except TimeoutError:
        return "no answer"
    except http.client.HTTPException:
        return "closed"
    except OSError as error:
        return error.strerror
    finally:
        asked.close()
def go_on(target):
    while True:
        found[target][visit(target)] += 1
        time.sleep(0.05)
for target in found:
    threading.Thread(target=go_on, args=(target,), daemon=True).start()
for _ in sys.stdin:
    now = {target: dict(count) for target, count in found.items()}
    for count in found.values():
        count.clear()
    print(json.dumps(now), flush=True)
"""
TARGETS = {"IPv4": f"{FAR['IPv4']} {PLAIN}", "IPv6": f"{FAR['IPv6']} {PLAIN}"}


class Visitor:
    def __init__(self, machine):
        self.process = machine.start_command(["/usr/bin/python3", "-c", VISITOR, *TARGETS.values()], user="nobody",
                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def counts(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found = json.loads(self.process.stdout.readline())
        return {name: found[target] for name, target in TARGETS.items()}

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def status(machine):
    text = machine.run(["tproxyd", "status", "--json"], check=False).stdout
    return json.loads(text) if text else {}


def await_phase(machine, wanted, begin, limit=90):
    """Waits until it is so after it was otherwise, or for ten seconds; returns for how many seconds since begin."""
    changed = False
    while time.monotonic() - begin < limit:
        phase = status(machine).get("phase")
        changed = changed or phase != wanted
        if phase == wanted and (changed or time.monotonic() - begin > 10):
            return time.monotonic() - begin
        time.sleep(0.05)
    raise AssertionError(status(machine))


def pid_of(machine, victim):
    if victim == "tproxyd":
        return machine.show(sample.UNIT, "MainPID")
    found = status(machine)["processes"]
    return found["kuma-dp"]["pid"] if victim == "kuma-dp" else sample.child(machine, victim)


def total(counts, what):
    return {name: counts[name].get(what, 0) for name in ("IPv4", "IPv6")}


NONE = {"IPv4": 0, "IPv6": 0}


@pytest.mark.parametrize("hold", ["0s", "30s", "infinity"])
def test_connections_while_parts_of_the_proxy_die_or_hang(boot, build, proxies, hold, request):
    machine = boot(build=build, proxies=proxies)
    machine.serve([PLAIN])
    sample.configure(machine, {"failure": {"holdRules": hold}, "restart": {"delay": "100ms", "maxDelay": "1s"}},
                     {"ENGINE": "envoy"})
    machine.systemctl("start", sample.UNIT)
    visitor = Visitor(machine)
    request.addfinalizer(visitor.end)
    time.sleep(1)
    visitor.counts()
    time.sleep(1)
    healthy = visitor.counts()
    assert all(set(found) == {"redirected"} for found in healthy.values()), healthy
    for victim, sig in (("envoy", "KILL"), ("kuma-dp", "KILL"), ("coredns", "KILL"), ("envoy", "STOP"), ("tproxyd", "KILL")):
        visitor.counts()
        begin = time.monotonic()
        machine.run(["kill", f"-{sig}", str(pid_of(machine, victim))])
        took = await_phase(machine, "redirecting", begin)
        time.sleep(0.3)
        found = visitor.counts()
        print(f"hold {hold}: {sig} of {victim}: serves again after {took:.1f} s; {found}")
        if victim != "tproxyd" and hold != "0s":
            assert total(found, "direct") == NONE, (victim, sig, found)
        if victim == "envoy" and hold == "0s":
            assert NONE not in (total(found, "direct"),), (victim, sig, found)
        if victim == "envoy" and hold == "infinity":
            assert total(found, "Connection refused") != NONE, (victim, sig, found)
        time.sleep(1.2)
        visitor.counts()
        time.sleep(0.5)
        after = visitor.counts()
        assert all(set(counts) == {"redirected"} for counts in after.values()), (victim, sig, after)
    machine.systemctl("stop", sample.UNIT)
    time.sleep(0.3)
    visitor.counts()
    time.sleep(0.5)
    found = visitor.counts()
    assert set(found["IPv4"]) == set(found["IPv6"]) == {"direct"}, found
