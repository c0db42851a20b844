# SPDX-License-Identifier: GPL-2.0-or-later
"""Two hosts of one mesh with the real kuma-cp, kuma-dp, Envoy and CoreDNS: what becomes of connections from one to the other
while parts of its proxy die or hang, for each `failure.holdRules`; and how long until a crashed proxy serves again. It takes
some minutes for each, and prints figures (-s), which a busy machine spoils.

Environment: KUMA_CP and KUMA_DP, programs of one version; TPROXYD_TEST_PROXIES, a directory with envoy and coredns;
TPROXYD_TEST_CRASHES, how many of each kind (5)."""

import os
import statistics
import time

import pytest

import mesh
from conftest import why_not
from daemon import Daemon
from machine import network
from trial import PROGRAM, TOKEN, Trial

NEEDED = [os.environ.get(name, "") for name in ("KUMA_CP", "KUMA_DP", "TPROXYD_TEST_PROXIES")]
pytestmark = pytest.mark.skipif(not all(NEEDED), reason="KUMA_CP, KUMA_DP and TPROXYD_TEST_PROXIES do not name a real stack")
CONTROL_PLANE, KUMA_DP, PROXIES = NEEDED

STOPPED = 25  # seconds until a process that was stopped goes on, if it is there still
BACK = 90
CRASHES = int(os.environ.get("TPROXYD_TEST_CRASHES", 5))
DELAY = "KUMA_XDS_DATAPLANE_DEREGISTRATION_DELAY"  # so long the control plane refuses a node that has gone


def put_programs(host):
    host.run(["sh", "-ec", """
        sed -i /^kuma-dp:/d /etc/passwd /etc/group
        echo kuma-dp:x:$1:$1::/nonexistent:/usr/sbin/nologin >>/etc/passwd
        echo kuma-dp:x:$1: >>/etc/group
        rm -rf /etc/tproxyd
        mkdir /run/proxies
        touch /run/kuma-dp
        mount --bind "$2" /run/kuma-dp
        mount --bind "$3" /run/proxies""", "sh", network.KUMA_DP, KUMA_DP, PROXIES])


def configure(zone, name, tproxyd):
    host, address = zone.hosts[name], mesh.ADDRESSES[name][0]
    put_programs(host)
    trial = Trial(host, tproxyd)
    trial.resource = mesh.DATAPLANE.format(name=name, address=address, port=mesh.PORT)
    trial.write(TOKEN, zone.token(name))
    with open(f"{zone.work}/kuma-cp.crt", encoding="ascii") as file:
        trial.write("/etc/tproxyd/ca.crt", file.read())
    trial.set(kumaDP__path="/run/kuma-dp", kumaDP__envoyPath="/run/proxies/envoy", coreDNS__path="/run/proxies/coredns",
              kumaDP__cpAddress=f"https://{mesh.ADDRESSES['zone'][0]}:5678", kumaDP__caCertFile="/etc/tproxyd/ca.crt",
              coreDNS__mode="tproxyd", restart__maxDelay="1s")
    return trial


class World:
    def __init__(self, tproxyd, directory, hold):
        self.directory, self.starts = directory, 0
        self.zone = mesh.Mesh(CONTROL_PLANE, directory)
        self.web, app = self.zone.hosts["web"], self.zone.hosts["app"]
        trial = configure(self.zone, "app", tproxyd)
        app.start(["/usr/bin/python3", "-B", mesh.__file__, "serve", mesh.PORT],
                  env={"PYTHONPATH": os.path.dirname(os.path.dirname(network.__file__))})
        self.app = self.start(trial)
        self.trial = configure(self.zone, "web", tproxyd)
        self.trial.set(failure__holdRules=hold)
        self.daemon = self.start(self.trial)
        self.visits = mesh.Visits(self.web)

    def start(self, trial):
        self.starts += 1
        directory = f"{self.directory}/{self.starts}"
        os.mkdir(directory)
        daemon = Daemon(trial, directory)
        daemon.await_("STATUS=Redirecting")
        return daemon

    def await_health(self):
        """Until everything goes through both proxies again; app has to be known to web."""
        end, healthy = time.monotonic() + BACK, False
        while not healthy:
            assert time.monotonic() < end, (found, "".join(self.daemon.log[-40:]))
            self.visits.counts()
            time.sleep(2)
            found, before = self.visits.counts(), self.visits.direct()
            healthy = all(set(counts) == {"ok"} for counts in found.values())
        time.sleep(1)
        assert self.visits.direct() == before

    def pids_of(self, victim):
        if victim == "tproxyd":
            return [self.daemon.process.pid]
        return [pid for pid, name in mesh.processes(self.web).items() if name == victim]


@pytest.fixture
def world(tproxyd, tmp_path, request):
    if why_not():
        pytest.skip(why_not())
    made = World(tproxyd, tmp_path, request.param)
    yield made
    made.zone.close()


def watch(world, pids, begin):
    """Until it redirects again, after it did not; what it said meanwhile, and how many connections went direct against that."""
    phases, wrong, stopped = [], 0, True
    while time.monotonic() - begin < BACK:
        before, first = world.daemon.status()["phase"], world.visits.direct()
        time.sleep(0.05)
        second, after = world.visits.direct(), world.daemon.status()["phase"]
        if before == after and before in ("redirecting", "holding"):
            wrong += second - first
        if not phases or phases[-1][1] != after:
            phases.append((round(time.monotonic() - begin, 1), after))
        if stopped and time.monotonic() - begin > STOPPED:
            mesh.send(pids, "CONT")
            stopped = False
        if phases[-1][1] == "redirecting" and (len(phases) > 2 or phases[0][1] != "redirecting"):
            break
    return phases, wrong


def hang_tproxyd(world):
    """What it has put in stays, and goes on."""
    time.sleep(20)
    mesh.send([world.daemon.process.pid], "CONT")
    found = world.visits.counts()
    assert all(set(counts) == {"ok"} for counts in found.values()), found
    return found


def kill_tproxyd(world, begin):
    """As systemd does it: all processes of the service, then ExecStopPost=. Nothing is left, and the next start is as the first."""
    mesh.send(mesh.processes(world.web), "KILL")
    world.web.run([PROGRAM, "uninstall", "--recorded", "--quiet"])
    print(f"cleaned up after {time.monotonic() - begin:.2f} s", end="; ")
    time.sleep(3)
    found = world.visits.counts()
    assert "KUMA_MESH" not in str(world.web.legacy()) and "::6/128" not in str(world.web.addresses())
    assert not mesh.processes(world.web)
    assert world.web.run(["find", "/run/tproxyd"], check=False).stdout == ""
    assert all("ok" in found[family] for family in ("IPv4", "IPv6")) and world.visits.direct() > 0, found
    world.daemon = world.start(world.trial)
    return found


@pytest.mark.parametrize("world", ["0s", "30s", "infinity"], indirect=True)
def test_connections_while_parts_of_a_proxy_die_or_hang(world, request):
    hold = request.node.callspec.params["world"]
    for victim in ("envoy", "kuma-dp", "coredns", "tproxyd"):
        for name in ("KILL", "STOP"):
            world.await_health()
            world.visits.counts()
            direct, pids, begin = world.visits.direct(), world.pids_of(victim), time.monotonic()
            assert pids
            mesh.send(pids, name)
            phases, wrong = [], 0
            if victim != "tproxyd":
                phases, wrong = watch(world, pids, begin)
                found = world.visits.counts()
                assert phases[-1][1] == "redirecting", (phases, "".join(world.daemon.log[-40:]))
            else:
                found = kill_tproxyd(world, begin) if name == "KILL" else hang_tproxyd(world)
            direct = world.visits.direct() - direct
            print(f"holdRules {hold}: {name} of {victim}: {phases}; {found}; {direct} direct, {wrong} of them unsaid", flush=True)
            assert wrong == 0
            assert direct == 0 or hold == "0s" or (victim, name) == ("tproxyd", "KILL")
    world.daemon.stop()
    world.app.stop()


@pytest.mark.parametrize("victim", ["envoy", "kuma-dp"])
@pytest.mark.parametrize("refusal, limit", [("10s", 11.5), ("0s", 3)])
def test_how_long_until_it_redirects_again(tproxyd, tmp_path, victim, refusal, limit):
    if why_not():
        pytest.skip(why_not())
    zone, times = mesh.Mesh(CONTROL_PLANE, tmp_path, **{DELAY: refusal}), []
    try:
        web = zone.hosts["web"]
        trial = configure(zone, "web", tproxyd)
        with open(f"{tmp_path}/journal", "w", encoding="utf-8") as journal:
            web.start(["/usr/bin/python3", "-B", mesh.__file__, "journal"], stdout=journal,
                      env={"PYTHONPATH": os.path.dirname(os.path.dirname(network.__file__))})
        web.run(["sh", "-c", "until test -S $1; do sleep 0.1; done", "sh", mesh.JOURNAL])
        daemon = Daemon(trial, tmp_path, before=mesh.TO_JOURNAL)
        daemon.await_("STATUS=Redirecting")
        for _ in range(CRASHES):
            time.sleep(12)  # what the control plane refuses has ended
            since, begin = len(daemon.said), time.monotonic()
            mesh.send([pid for pid, name in mesh.processes(web).items() if name == victim], "KILL")
            redirecting = daemon.await_("STATUS=Redirecting", since) - 1
            assert any(message.startswith("STATUS=") for message in daemon.said[since:redirecting])  # something else before
            times.append(round(daemon.said_at[redirecting] - begin, 2))
            print(times[-1], end=" ", flush=True)
        daemon.stop()
    finally:
        zone.close()
        print(f"; refusal {refusal}, {victim}: median {statistics.median(times):.2f}, worst {max(times)}, "
              f"{sum(took <= limit for took in times)} of {len(times)} within {limit} s", flush=True)
