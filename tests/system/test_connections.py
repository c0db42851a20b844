# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing that is open breaks: neither by the start, nor by the stop, nor by a lock-out of the operator."""

import contextlib
import json
import os
import subprocess
import time

import pytest

import machine as machines
import sample

NF_BACKENDS = ("iptables", "nftables")
# The default of kumaDP.drainTime: what ends sooner did not wait for it.
DRAIN_TIME = 30
CROWD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "crowd.py")
OUTBOUND = [machines.FAR4, 7, machines.FAR6, 7]  # the servers outside do not say who they see
INBOUND = ["greeted", machines.INSIDE4, 7001, machines.INSIDE6, 7001]
FROM_PROXY = {"from 127.0.0.6", "from ::6"}
FROM_OUTSIDE = {f"from {machines.OUTSIDE4}", f"from {machines.OUTSIDE6}"}
SSHD_PROGRAM = "/usr/local/sbin/sshd"
# An sshd as far as a firewall can tell. The listener of 2223 is gone as soon as it has its one session.
SSHD = """
import socket, threading
def talk(session):
    session.sendall(f"from {session.getpeername()[0].removeprefix('::ffff:')}\\n".encode())
    while data := session.recv(4096):
        session.sendall(data)
def serve(port):
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        while True:
            session, _ = listener.accept()
            threading.Thread(target=talk, args=(session,)).start()
            if port == 2223:
                return
for port in (22, 2222, 2223):
    threading.Thread(target=serve, args=(port,)).start()
"""


class Crowd:
    """Open connections, made by crowd.py; greetings are what the servers said first."""

    def __init__(self, start, idle, busy, words, user):
        self.size = (idle + busy) * sum(isinstance(word, int) for word in words)
        with open(CROWD, encoding="utf-8") as file:
            argv = ["/usr/bin/python3", "-c", file.read(), idle, busy, *words]
        self.process = start([str(word) for word in argv], user=user, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        self.greetings = self._answer()
        assert len(self.greetings) == self.size

    def _answer(self):
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return json.loads(line)

    def speak(self, command="speak"):
        """A line over every connection and back: how many are alive, and why others are lost."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._answer()

    def is_alive(self):
        return self.speak() == {"alive": self.size, "lost": {}}

    def keep(self, number):
        """Closes all but that many in an orderly way."""
        found = self.speak(f"close {self.size - number}")
        self.size = number
        return found

    def close(self):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()


class World:
    """A machine with an echo server inside and one outside, and who talks to them."""

    def __init__(self, machine, stack):
        self.machine = machine
        self.stack = stack
        machine.serve()
        application = machine.start_command(["peer", "serve", 7001], user="nobody", stdout=subprocess.PIPE, text=True)
        stack.callback(application.wait)
        stack.callback(application.kill)
        stack.enter_context(application.stdout)
        assert application.stdout.readline() == "serving\n"

    def outbound(self, idle, busy, words=None):
        return self._add(Crowd(self.machine.start_command, idle, busy, words or OUTBOUND, "nobody"))

    def inbound(self, idle, busy, words=None):
        return self._add(Crowd(self.machine.outside.start, idle, busy, words or INBOUND, None))

    def _add(self, crowd):
        self.stack.callback(crowd.close)
        return crowd

    def redirected(self):
        return sample.redirected(self.machine)

    def ask_to_stop(self):
        self.machine.systemctl("stop", "--no-block", sample.UNIT)
        return time.monotonic()

    def wait_stopped(self, since, timeout=10):
        """Seconds from then until the unit was down; it has to have ended well."""
        self.machine.wait_until(lambda: self.state() in ("inactive", "failed"), timeout, "the unit is down")
        took = time.monotonic() - since
        assert self.machine.show(sample.UNIT, "Result") == "success"
        assert not sample.is_redirected(self.machine)
        return took

    def state(self):
        return self.machine.show(sample.UNIT, "ActiveState")

    def status(self):
        return self.machine.show(sample.UNIT, "StatusText")


@pytest.fixture
def world(boot, build):
    """world(engine) boots a machine with the sample configuration; what runs in it ends with the test."""
    with contextlib.ExitStack() as stack:
        def begin(engine="builtin", changes=None):
            proxies = os.environ.get("TPROXYD_TEST_PROXIES") if engine == "envoy" else None
            if engine == "envoy" and not proxies:
                pytest.skip("no real proxies: TPROXYD_TEST_PROXIES names no directory")
            machine = boot(build=build, proxies=proxies)
            sample.configure(machine, changes, {"ENGINE": engine})
            return World(machine, stack)
        yield begin


def both_engines(test):
    return pytest.mark.parametrize("engine", ["builtin", "envoy"])(test)


@both_engines
def test_no_connection_of_200_is_lost_or_redirected_by_a_start_or_a_stop(world, engine):
    world = world(engine)
    before = sample.prepare(world.machine)
    outbound, inbound = world.outbound(25, 25), world.inbound(25, 25)
    assert outbound.size + inbound.size == 200
    assert set(inbound.greetings) == FROM_OUTSIDE
    # Where conntrack is at work already it knows these connections, and no redirect would break them.
    assert world.machine.read("/proc/sys/net/netfilter/nf_conntrack_count") == "0\n"
    sample.start(world.machine)
    for _ in range(3):
        assert outbound.is_alive() and inbound.is_alive()
        time.sleep(0.3)
    assert world.redirected() == 0
    # New ones are redirected, or this would be easy.
    assert set(world.inbound(1, 0).greetings) == FROM_PROXY
    assert world.outbound(1, 0).is_alive()
    assert world.redirected() == 4
    world.wait_stopped(end_new_ones(world))
    assert outbound.is_alive() and inbound.is_alive()
    sample.assert_as_before(world.machine, before)


def end_new_ones(world):
    world.machine.systemctl("stop", "--no-block", sample.UNIT)
    world.machine.wait_until(lambda: world.status().startswith("Draining: 4 "), 5, "four connections are drained")
    world.machine.systemctl("kill", "-s", "TERM", "--kill-who=main", sample.UNIT)
    return time.monotonic()


@both_engines
def test_a_stop_waits_for_redirected_connections_and_sends_new_ones_direct(world, engine):
    world = world(engine)
    sample.start(world.machine)
    outbound, inbound = world.outbound(5, 5), world.inbound(5, 5)
    assert set(inbound.greetings) == FROM_PROXY
    assert world.redirected() == 40
    assert sample.ask(world.machine, "backend.mesh") == "NOERROR 240.0.0.1"

    world.ask_to_stop()
    world.machine.wait_until(lambda: world.status().startswith("Draining: 40 redirected connections are open, for at most "), 5, "a count")
    assert set(world.inbound(1, 0).greetings) == FROM_OUTSIDE
    assert world.outbound(1, 0).is_alive()
    assert sample.ask(world.machine, "backend.mesh") == "NOERROR 192.0.2.53"
    for _ in range(4):
        assert outbound.is_alive() and inbound.is_alive()
        assert world.state() == "deactivating"
        time.sleep(0.5)
    assert world.status().startswith("Draining: 40 redirected connections are open, for at most ")

    inbound.keep(0)
    assert outbound.keep(1) == {"alive": 1, "lost": {}}
    time.sleep(0.5)
    assert outbound.is_alive()
    assert world.status().startswith("Draining: 1 redirected connection is open, for at most ")
    outbound.keep(0)
    took = world.wait_stopped(time.monotonic())
    print(f"{engine}: down {took:.2f} s after the last redirected connection was closed")
    assert took < DRAIN_TIME
    assert sample.processes(world.machine) == {}


def test_a_drain_may_take_longer_than_the_units_stop_timeout_and_ends_with_the_proxys(world):
    world = world(changes={"kumaDP": {"drainTime": "12s"}})
    sample.drop_in(world.machine, "10-short", "[Service]\nTimeoutStopSec=5\n")
    sample.start(world.machine)
    outbound, inbound = world.outbound(1, 1), world.inbound(1, 1)
    begin = world.ask_to_stop()
    while time.monotonic() - begin < 10:
        assert outbound.is_alive() and inbound.is_alive(), f"after {time.monotonic() - begin:.1f} s"
        time.sleep(0.5)
    took = world.wait_stopped(begin)
    print(f"down {took:.2f} s after the stop was asked for, with a drain of 12 s and TimeoutStopSec=5")
    assert took > 11.9
    assert outbound.speak()["alive"] == inbound.speak()["alive"] == 0


@both_engines
def test_a_second_sigterm_ends_the_drain(world, engine):
    world = world(engine)
    sample.start(world.machine)
    outbound = world.outbound(1, 1)
    world.ask_to_stop()
    world.machine.wait_until(lambda: world.status().startswith("Draining: 4 "), 5, "a count")
    assert outbound.is_alive()
    world.machine.systemctl("kill", "-s", "TERM", "--kill-who=main", sample.UNIT)
    took = world.wait_stopped(time.monotonic())
    print(f"{engine}: down {took:.2f} s after the second SIGTERM")
    assert took < DRAIN_TIME
    assert outbound.speak()["alive"] == 0
    assert "Asked to stop again: not waiting for open connections" in world.machine.messages("-u", sample.UNIT)


def test_new_connections_are_served_at_every_moment_of_a_start_and_a_stop(world):
    world = world()
    before = sample.prepare(world.machine)
    done = 0
    for verb in ("start", "stop"):
        world.machine.systemctl(verb, "--no-block", sample.UNIT)
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            for crowd in (world.outbound(5, 0), world.inbound(5, 0)):
                assert crowd.is_alive(), f"{verb}: {crowd.speak()}"
                crowd.keep(0)
                done += 1
    assert done >= 4
    world.wait_stopped(time.monotonic())
    sample.assert_as_before(world.machine, before)


def start_sshd(machine):
    machine.write("/usr/local/lib/sshd.py", SSHD)
    machine.run(["ln", "-s", "/usr/bin/python3", SSHD_PROGRAM])
    machine.run(["systemd-run", "--unit=sshd-second", SSHD_PROGRAM, "/usr/local/lib/sshd.py"])
    for port in (22, 2222, 2223):
        machine.wait_until(lambda port=port: machine.run(["ss", "-Hltn", f"sport = :{port}"]).stdout, 5, f"port {port}")


def ssh_rules(machine, tool):
    return [line for line in sample.rules(machine, tool) if line.startswith("-A KUMA_MESH_INBOUND ") and "SSH" in line]


@pytest.mark.backends("iptables")
def test_ssh_is_left_out_of_the_mesh_wherever_it_listens_and_whoever_is_logged_in(world):
    world = world()
    start_sshd(world.machine)
    logged_in = world.inbound(1, 1, ["greeted", machines.INSIDE4, 2222, machines.INSIDE6, 2222])
    last_one = world.inbound(1, 0, ["greeted", machines.INSIDE4, 2223])
    sample.start(world.machine)
    for tool in ("iptables-legacy-save", "ip6tables-legacy-save"):
        ports = [rule.split("--dport ")[1].split()[0] for rule in ssh_rules(world.machine, tool)]
        assert ports == ["22", "2222", "2223"]
    for port in (22, 2222):
        seen = world.inbound(1, 0, ["greeted", machines.INSIDE4, port, machines.INSIDE6, port]).greetings
        assert set(seen) == FROM_OUTSIDE
    assert logged_in.is_alive() and last_one.is_alive()
    assert world.redirected() == 0
    assert set(world.inbound(1, 0).greetings) == FROM_PROXY
    told = [text for text in world.machine.messages("-u", sample.UNIT) if "protectSSH" in text]
    assert [text.split()[3] for text in told] == ["22", "2222", "2223"], told
    assert told[2].endswith("a session of sshd is open there")


@pytest.mark.backends("iptables")
def test_without_protection_ssh_goes_through_the_proxy_and_everybody_is_warned(world):
    world = world(changes={"safety": {"protectSSH": False}})
    start_sshd(world.machine)
    warning = "safety.protectSSH: is false: SSH goes through the proxy, and a proxy that fails locks you out"
    check = world.machine.run(["tproxyd", "check"])
    assert any("warning" in line and line.endswith(warning) for line in check.stderr.splitlines()), check.stderr
    sample.start(world.machine)
    for tool in ("iptables-legacy-save", "ip6tables-legacy-save"):
        assert ssh_rules(world.machine, tool) == []
    seen = world.inbound(1, 0, ["greeted", machines.INSIDE4, 22, machines.INSIDE6, 22]).greetings
    assert set(seen) == FROM_PROXY
    warned = [entry for entry in world.machine.journal("-u", sample.UNIT) if warning in str(entry["MESSAGE"])]
    assert [entry["PRIORITY"] for entry in warned] == ["4"]
