# SPDX-License-Identifier: GPL-2.0-or-later
"""What the redirect sends traffic to belongs to the proxy alone, dead or alive; and what the proxy may fill is small."""

import json
import os
import subprocess

import pytest

import machine as machines
import sample

SQUAT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "squat.py")
USER = "4242"
NO_RESTART = "[Service]\nRestart=no\n"
SOON = "[Service]\nRestartSec=100ms\n[Unit]\nStartLimitIntervalSec=0\n"
# An application that speaks without end, and a resolver.
SPEAK = f"""
import socket, time
end = time.monotonic() + 4
while time.monotonic() < end:
    for host in ("{machines.FAR4}", "{machines.FAR6}"):
        try:
            with socket.create_connection((host, 80), 0.2) as sock:
                sock.sendall(b"GET / HTTP/1.1\\r\\nhost: x\\r\\nauthorization: secret\\r\\n\\r\\n")
        except OSError:
            pass
    for family, server in ((socket.AF_INET, "{machines.OUTSIDE4}"), (socket.AF_INET6, "{machines.OUTSIDE6}")):
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\6secret\\4mesh\\0\\0\\1\\0\\1", (server, 53))
"""
ENGINES = pytest.mark.parametrize("engine", ["builtin", "envoy"])


def start_squat(machine, seconds):
    with open(SQUAT, encoding="utf-8") as file:
        return machine.start_command(["/usr/bin/python3", "-c", file.read(), seconds], user=USER, text=True,
                                     stdout=subprocess.PIPE)


@pytest.fixture
def attacked(boot, build):
    """attacked(engine, drop-in) boots a machine whose service runs, where an application speaks and a user squats."""
    processes = []

    def begin(engine, text):
        proxies = os.environ.get("TPROXYD_TEST_PROXIES") if engine == "envoy" else None
        if engine == "envoy" and not proxies:
            pytest.skip("no real proxies: TPROXYD_TEST_PROXIES names no directory")
        machine = boot(build=build, proxies=proxies)
        machine.serve()
        sample.configure(machine, standin={"ENGINE": engine})
        sample.drop_in(machine, "10-test", text)
        sample.start(machine)
        squat = start_squat(machine, 4)
        speak = machine.start_command(["/usr/bin/python3", "-c", SPEAK], user="nobody")
        processes.extend((squat, speak))
        return machine, squat

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def what_came(squat):
    return json.loads(squat.communicate(timeout=60)[0])


@ENGINES
def test_nobody_receives_the_hosts_traffic_when_tproxyd_is_killed(attacked, engine):
    machine, squat = attacked(engine, NO_RESTART)
    machine.run(["sleep", "1"])
    machine.run(["kill", "-KILL", str(sample.main_pid(machine))])
    assert what_came(squat)["received"] == {}
    machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") == "failed", 10, "it is down")
    assert not sample.is_redirected(machine)
    # Now the ports are anybody's.
    assert machine.show(sample.UNIT, "NFileDescriptorStore") == "0"
    assert what_came(start_squat(machine, 0.2)) == {"had": [15001, 15006, 15053, 15054], "received": {}}


@ENGINES
@pytest.mark.parametrize("whom", ["tproxyd", "envoy"])
def test_nobody_gets_the_ports_before_the_service_is_back(attacked, engine, whom):
    machine, squat = attacked(engine, SOON)
    victim = sample.main_pid(machine) if whom == "tproxyd" else sample.child(machine, "envoy")
    machine.run(["kill", "-KILL", str(victim)])
    assert what_came(squat) == {"had": [], "received": {}}
    machine.wait_until(lambda: machine.show(sample.UNIT, "StatusText").startswith("Redirecting"), 10, "it is back")
    assert machine.show(sample.UNIT, "NRestarts") == ("1" if whom == "tproxyd" else "0")
    assert machine.show(sample.UNIT, "NFileDescriptorStore") == "7"


def test_what_is_reserved_does_not_keep_another_proxy_away(boot, build):
    """A crash, and at the next start DNS is served by a program that shares no port."""
    machine = boot(build=build)
    sample.configure(machine)
    sample.drop_in(machine, "10-test", "[Service]\nRestartSec=1\n")
    sample.start(machine)
    sample.configure(machine, {"coreDNS": {"mode": "embedded"}})
    machine.systemctl("kill", "--signal=KILL", "--kill-who=main", sample.UNIT)
    machine.wait_until(lambda: machine.show(sample.UNIT, "NRestarts") == "1", 10, "a restart")
    machine.wait_until(lambda: machine.show(sample.UNIT, "ActiveState") == "active", 10, "it is back")
    assert machine.show(sample.UNIT, "NRestarts") == "1"
    assert machine.show(sample.UNIT, "NFileDescriptorStore") == "4"
    assert not any("cannot be reserved" in text for text in machine.messages("-u", sample.UNIT))


FILL = """
import os
made = size = 0
try:
    while made < 100000:
        os.close(os.open(f"/run/tproxyd/dp/{made}", os.O_CREAT | os.O_WRONLY))
        made += 1
except OSError as error:
    print(made, error.strerror)
for name in filter(str.isdigit, os.listdir("/run/tproxyd/dp")):
    try:
        os.chmod(f"/run/tproxyd/dp/{name}", 0o600)
        with open(f"/run/tproxyd/dp/{name}", "wb", buffering=0) as file:
            while size < 1 << 30:
                size += file.write(bytes(1 << 20))
    except OSError as error:
        pass
print(size)
"""


def used(machine):
    return machine.sh("df --output=used,iused /run | tail -n 1").split()


def test_the_proxy_cannot_fill_run(machine):
    sample.configure(machine)
    before = sample.prepare(machine)
    sample.start(machine)
    assert machine.sh("find /run -user kuma-dp -not -path '/run/user/*'") == ""
    empty = used(machine)
    inside = sample.seen_by_service(machine, "df", "--output=size,itotal,used,iused", "/run/tproxyd/dp").split()[-4:]
    assert inside[:2] == ["16384", "256"]
    assert int(inside[2]) < 1024 and int(inside[3]) < 32, inside
    said = sample.seen_by_service(machine, "setpriv", "--reuid=kuma-dp", "--regid=kuma-dp", "--clear-groups",
                                  "/usr/bin/python3", "-c", FILL).split("\n")
    assert said[0].endswith("No space left on device") and int(said[0].split()[0]) < 256
    assert int(said[1]) <= 16 << 20
    assert used(machine) == empty
    # Nothing of it hinders the next start.
    machine.systemctl("restart", sample.UNIT)
    assert "0" not in sample.seen_by_service(machine, "ls", "/run/tproxyd/dp").split()
    sample.stop(machine)
    assert not machine.exists("/run/tproxyd")
    assert not any("work directory" in text for text in machine.messages("-u", sample.UNIT))
    sample.assert_as_before(machine, before)
