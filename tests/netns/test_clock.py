# SPDX-License-Identifier: GPL-2.0-or-later
"""Time that stands still for some or all, a token that ends or is replaced, and a redirect that waits to be confirmed."""

import json
import os
import re
import signal
import time

import pytest

from daemon import KNOCK, PATIENCE, Daemon
from netfilter import our_rules
from trial import CONFIG, PROGRAM, TOKEN, token

DAY = 86400


def await_line(daemon, pattern):
    end = time.monotonic() + PATIENCE
    while not any(re.search(pattern, line) for line in daemon.log):
        assert time.monotonic() < end, f"no {pattern}: {''.join(daemon.log)}"
        time.sleep(0.05)


def family_of(daemon):
    """tproxyd's own process and those of the proxy."""
    processes = daemon.status()["processes"]
    return {"tproxyd": daemon.status()["pid"], "kuma-dp": processes["kuma-dp"]["pid"],
            "envoy": daemon.child("envoy"), "coredns": daemon.child("coredns")}


def stop_for(pids, sec):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(sec)
    # tproxyd comes first in the list: it looks around while the others still wake up.
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("who", [["tproxyd"], ["tproxyd", "kuma-dp", "envoy", "coredns"]], ids=["tproxyd", "all"])
def test_who_was_frozen_finds_nothing_wrong_afterwards(daemon, world, who):
    """For longer than a proxy that hangs is given, and than the hold."""
    before, said = family_of(daemon), len(daemon.said)
    stop_for([before[name] for name in who], 35)
    await_line(daemon, "tproxyd did not run for 3[0-9] s")
    for _ in range(30):
        assert daemon.status()["phase"] == "redirecting"
        time.sleep(0.2)
    assert family_of(daemon) == before and daemon.level() == "full"
    assert not [message for message in daemon.said[said:] if message.startswith("STATUS=")]
    daemon.host.run(["/usr/bin/python3", "-c", KNOCK, "10.77.0.1"])
    daemon.stop()


def test_a_token_that_ends_soon_is_told_once_and_one_that_ends_is_no_failure(trial, tmp_path):
    end = int(time.time()) + 15
    trial.write(TOKEN, token(exp=end))
    daemon = Daemon(trial, tmp_path)
    daemon.await_("READY=1")
    assert [line for line in daemon.log if "expires on" in line and "warning: " in line], "".join(daemon.log)
    assert daemon.status()["token"]["expires-unix-seconds"] == end
    await_line(daemon, f"^error: The token in {TOKEN} expired on ")
    assert time.time() >= end
    time.sleep(3)
    assert daemon.status()["phase"] == "redirecting" and daemon.process.poll() is None
    assert len([line for line in daemon.log if re.search("expire[sd] on", line)]) == 2, "".join(daemon.log)
    daemon.stop()


@pytest.mark.parametrize("how", ["in place", "renamed over"])
def test_a_token_that_was_replaced_is_said_to_need_a_reload(daemon, how):
    assert daemon.status()["token"]["replaced"] is False
    time.sleep(1)
    assert not [line for line in daemon.log if "was replaced" in line]
    new = token(exp=int(time.time()) + 60 * DAY, jti="another")
    if how == "in place":
        daemon.trial.write(TOKEN, new)
    else:
        daemon.trial.write(f"{TOKEN}.new", new, mode="0600")
        daemon.host.run(["mv", f"{TOKEN}.new", TOKEN])
    await_line(daemon, f"The token in {TOKEN} was replaced: .*tproxyd reload")
    assert daemon.status()["token"]["replaced"] is True
    daemon.host.run(["touch", TOKEN])
    time.sleep(1.5)
    assert len([line for line in daemon.log if "was replaced" in line]) == 1
    daemon.stop()


def confirm(daemon, user=None):
    return daemon.host.run([PROGRAM, "confirm"], user=user, check=False)


def test_a_redirect_that_nobody_confirms_is_released_until_somebody_does(trial, tmp_path, world):
    trial.arguments = ["--safety-confirm=3s"]
    daemon = Daemon(trial, tmp_path)
    refused = confirm(daemon)
    assert refused.returncode == 1, refused
    at = daemon.await_("READY=1")
    started = time.monotonic()
    assert daemon.level() == "full"
    assert any(re.match("STATUS=Redirecting .* released in 3 s unless confirmed", message) for message in daemon.said)
    at = daemon.await_("STATUS=Released: nobody has confirmed", at)
    assert 2.5 < time.monotonic() - started < 10
    assert daemon.level() == "drain" and daemon.status()["phase"] == "released"
    assert daemon.status()["confirmation"]["state"] == "missing"
    daemon.host.run(["/usr/bin/python3", "-c", KNOCK, "10.77.0.1"])
    time.sleep(5)
    assert daemon.level() == "drain" and daemon.process.poll() is None
    stranger = confirm(daemon, user=65534)
    assert stranger.returncode == 1 and "only root may ask for that" in stranger.stderr
    assert daemon.level() == "drain"
    assert confirm(daemon).returncode == 0
    daemon.await_("STATUS=Redirecting IPv4 and IPv6;", at)
    time.sleep(4)
    assert daemon.level() == "full" and daemon.status()["phase"] == "redirecting"
    daemon.stop()
    assert daemon.level() == "none"


def test_a_redirect_that_is_confirmed_in_time_stays(trial, tmp_path):
    trial.set(safety__confirm="4s")
    daemon = Daemon(trial, tmp_path)
    at = daemon.await_("READY=1")
    assert json.loads(daemon.host.run([PROGRAM, "status", "--json"]).stdout)["confirmation"]["state"] == "awaited"
    said = confirm(daemon)
    assert said.returncode == 0 and "the redirect stays" in said.stdout
    daemon.await_("STATUS=Redirecting IPv4 and IPv6;", at)
    time.sleep(6)
    assert daemon.level() == "full" and daemon.status()["phase"] == "redirecting"
    daemon.stop()


def excludes(daemon):
    return re.search(r"\bdport 9999\b", "\n".join(our_rules(daemon.host)))


def reload_with(daemon, *flags, **settings):
    daemon.trial.set(**settings)
    daemon.trial.write(CONFIG, daemon.trial.config())
    done = daemon.host.run([PROGRAM, "reload", *flags], check=False)
    assert done.returncode == 0, done


@pytest.mark.backends("iptables", "nftables")
def test_a_reload_that_nobody_confirms_is_taken_back(daemon):
    pid = daemon.status()["processes"]["kuma-dp"]["pid"]
    changes = {"redirect__inbound__excludePorts": [9999], "safety__confirm": "3s"}
    reload_with(daemon, **changes)
    assert excludes(daemon)
    daemon.await_("STATUS=Redirecting .* back to the former configuration in [0-9] s unless confirmed")
    await_line(daemon, "Nobody has confirmed the reload in time: the former configuration comes back")
    daemon.await_status(lambda found: found["phase"] == "redirecting" and not excludes(daemon))
    reload_with(daemon, "--confirm", **changes)
    assert excludes(daemon)
    assert confirm(daemon).returncode == 0
    time.sleep(5)
    assert excludes(daemon) and daemon.status()["phase"] == "redirecting"
    assert daemon.status()["processes"]["kuma-dp"]["pid"] == pid
    daemon.stop()
