# SPDX-License-Identifier: GPL-2.0-or-later
"""`systemctl reload` under a real systemd: what changes, what does not, and what connections notice of it.

Environment: TPROXYD_TEST_RELOADS, how many reloads of rules are done under load (default 25)."""

import json
import os
import subprocess
import time

import machine as machines
import sample

RELOADS = int(os.environ.get("TPROXYD_TEST_RELOADS", "25"))
PORT = 80
# HOST: asks without a pause until its input ends, then says how each connection went. The server says from which port
# it was asked: from the client's own only where nothing redirected it.
LOAD = """
import collections, json, select, socket, sys
found = collections.Counter()
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        with socket.create_connection((sys.argv[1], 80), 20) as s:
            s.settimeout(20)
            own = s.getsockname()[1]
            s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            text = s.makefile().read()
            seen = [line.split()[2] for line in text.splitlines() if line.startswith("peer ")]
            found["nothing" if not seen else "direct" if int(seen[0]) == own else "redirected"] += 1
    except OSError as error:
        found[type(error).__name__] += 1
print(json.dumps(found))
"""


class Load:
    def __init__(self, machine, clients=4):
        self.clients = [machine.start_command(["/usr/bin/python3", "-c", LOAD, machines.FAR4], user="nobody",
                                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                        for _ in range(clients)]

    def end(self):
        found = {}
        for client in self.clients:
            for how, n in json.loads(client.communicate("\n", timeout=60)[0]).items():
                found[how] = found.get(how, 0) + n
        return found


def reload(machine, check=True):
    return machine.systemctl("reload", sample.UNIT, check=check, timeout=120)


def status(machine):
    return json.loads(machine.run(["tproxyd", "status", "--json"], check=False).stdout)


def excluded(machine):
    return [rule.split(" --dport ")[1].split()[0] for rule in sample.rules(machine)
            if rule.startswith("-A KUMA_MESH_OUTBOUND ") and "--dport 9" in rule]


def exclude_with_another_token(machine, port, **changes):
    machine.write("/etc/tproxyd/token", sample.token(31 * 86400) + "\n", 0o600)
    configure_again(machine, {"redirect": {"outbound": {"excludePorts": [port]}}, **changes})


def configure_again(machine, changes):
    """Another configuration alone: the files that it names stay what they are."""
    machine.write(sample.CONFIG, sample.settings(changes))


def test_reloads_of_rules_under_load_lose_no_connection(machine):
    sample.configure(machine)
    machine.serve([PORT])
    before = sample.prepare(machine)
    sample.start(machine)
    assert machine.show(sample.UNIT, "CanReload") == "yes"
    children = sample.processes(machine)
    load, took = Load(machine), []
    for n in range(RELOADS):
        configure_again(machine, {"redirect": {"outbound": {"excludePorts": [9000 + n % 100]}}})
        begin = time.monotonic()
        reload(machine)
        took.append(time.monotonic() - begin)
        assert excluded(machine) == [str(9000 + n % 100)]
    found = load.end()
    took.sort()
    print(f"{RELOADS} reloads: median {took[len(took) // 2] * 1000:.0f} ms, worst {took[-1] * 1000:.0f} ms; {found}")
    assert set(found) == {"redirected"} and found["redirected"] > RELOADS, found
    assert sample.processes(machine) == children
    assert status(machine)["generation"] == RELOADS + 1
    assert machine.show(sample.UNIT, "ActiveState") == "active" and machine.show(sample.UNIT, "NRestarts") == "0"
    sample.stop(machine)
    assert sample.differences({"rules": before["rules"]}, {"rules": machine.state()["rules"]}) == []


def test_a_reload_of_a_bad_configuration_changes_nothing_and_says_all(machine):
    sample.configure(machine)
    sample.start(machine)
    before, children = sample.rules(machine), sample.processes(machine)
    machine.write(sample.CONFIG, sample.settings({"redirect": {"outbound": {"port": 70000}}, "nonsense": 1}))
    done = reload(machine, check=False)
    assert done.returncode != 0
    asked = machine.run(["tproxyd", "reload"], check=False)
    assert asked.returncode == 78
    assert f"{sample.CONFIG}:" in asked.stderr and "redirect.outbound.port" in asked.stderr and "nonsense" in asked.stderr
    assert "everything stays as it is" in asked.stderr
    assert sample.rules(machine) == before and sample.processes(machine) == children
    assert machine.show(sample.UNIT, "ActiveState") == "active"
    said = "\n".join(machine.messages("-u", sample.UNIT))
    assert "redirect.outbound.port" in said and "nonsense" in said
    # What cannot be changed while it runs is refused with the reason, and the exit status is another.
    machine.run(["useradd", "-r", "other"])
    configure_again(machine, {"kumaDPUser": "other"})
    asked = machine.run(["tproxyd", "reload"], check=False)
    assert asked.returncode == 1 and "kumaDPUser: " in asked.stderr and "restart the service" in asked.stderr, asked.stderr
    # The next one that is valid is what the service goes on with.
    configure_again(machine, {"redirect": {"outbound": {"excludePorts": [9007]}}})
    reload(machine)
    assert excluded(machine) == ["9007"]
    sample.stop(machine)


def test_dry_run_says_what_a_reload_would_do(machine):
    sample.configure(machine)
    sample.start(machine)
    before = sample.rules(machine)
    assert "nothing changes" in machine.run(["tproxyd", "reload", "--dry-run"]).stdout
    exclude_with_another_token(machine, 9001, failure={"holdRules": "5s"})
    said = machine.run(["tproxyd", "reload", "--dry-run"]).stdout
    assert "the rules change, kuma-dp restarts, tproxyd takes over its own settings" in said
    for reason in ("redirect.outbound.excludePorts: 9001 instead of nothing", "the token", "failure.holdRules: 5s instead of 30s"):
        assert reason in said, said
    assert sample.rules(machine) == before and status(machine)["generation"] == 1
    sample.stop(machine)


def test_the_rules_stay_until_a_kuma_dp_with_another_token_serves(machine):
    sample.configure(machine)
    machine.serve([PORT])
    sample.start(machine)
    kuma_dp = sample.child(machine, "kuma-dp")
    load = Load(machine, 1)
    exclude_with_another_token(machine, 9002)
    asked = machine.start_command(["tproxyd", "reload"], stdout=subprocess.PIPE, text=True)
    # systemd is told at once, and again when it is over.
    machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") == "reloading")
    assert excluded(machine) == [] and sample.is_redirected(machine)
    said = asked.communicate(timeout=120)[0]
    assert asked.returncode == 0 and "kuma-dp restarts" in said and "the token" in said, said
    assert excluded(machine) == ["9002"]
    assert sample.child(machine, "kuma-dp") != kuma_dp
    machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") == "active")
    found = load.end()
    print(found)
    assert "direct" not in found, found
    sample.stop(machine)


def test_a_signal_is_a_reload_without_an_answer(machine):
    sample.configure(machine)
    sample.start(machine)
    configure_again(machine, {"redirect": {"outbound": {"excludePorts": [9003]}}})
    machine.systemctl("kill", "--signal=HUP", "--kill-who=main", sample.UNIT)
    machine.wait_until(lambda: excluded(machine) == ["9003"])
    machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") == "active")
    sample.stop(machine)
