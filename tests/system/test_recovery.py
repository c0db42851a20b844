# SPDX-License-Identifier: GPL-2.0-or-later
"""The proxy ends, and the control plane refuses the next one for a while: real Envoy, a control plane that does no more."""

import re
import time

import pytest

import sample

PORT = 5679
REFUSES = 10
REFUSED = "The control plane refuses a proxy that has just ended for about 10 s: kuma-dp is started once more in "
WAITS = r"the control plane to accept this node again, about \d+ s"


@pytest.fixture
def serving(boot, build, proxies):
    """serving(SECONDS) is a machine whose control plane refuses for so long, and that redirects."""
    def begin(seconds):
        machine = boot(build=build, proxies=proxies)
        machine.run(["systemd-run", "--unit=plane", "/usr/local/bin/control-plane", PORT, seconds])
        sample.configure(machine, {"failure": {"holdRules": "60s"}},
                         standin={"ENGINE": "envoy", "CONTROL_PLANE": f"127.0.0.1:{PORT}"})
        sample.start(machine)
        return machine
    return begin


def status(machine):
    return machine.show(sample.UNIT, "StatusText")


def watch(machine, before):
    """What the status says until it redirects again, once it has said what is expected before."""
    said = []

    def redirects_again():
        said.append(status(machine))
        return said[-1].startswith("Redirecting ") and any(text.startswith(before) for text in said)
    machine.wait_until(redirects_again, 20)
    return said


def kill(machine, victim):
    """Returns when, and what the status said until it redirects again."""
    begin = time.time()
    machine.run(["kill", "-KILL", sample.child(machine, victim)])
    return begin, watch(machine, "Holding ")


def tries(machine, since):
    """What the control plane said to each, with the seconds since its refusal ended."""
    texts = machine.messages("-u", "plane", f"--since=@{since:.6f}")
    return [(what, float(seconds)) for what, seconds in (text.split() for text in texts
                                                         if re.match("(refused|taken) ", text))]


def test_there_is_one_more_start_and_its_try_comes_right_behind_the_refusal(serving):
    machine = serving(REFUSES)
    for victim in ("envoy", "kuma-dp"):
        begin, said = kill(machine, victim)
        took = time.time() - begin
        seen = tries(machine, begin)
        print(f"{victim}: serves after {took:.2f} s; tries: {seen}")
        texts = machine.messages("-u", "tproxyd", f"--since=@{begin:.6f}")
        assert sum(text.startswith(REFUSED) for text in texts) == 1
        assert any(re.search(f"^Holding .*: it waits for {WAITS}", text) for text in said), said
        # Whatever the machine has to do beside: no try of Envoy's is missed.
        assert seen[0][0] == "refused" and seen[-1][0] == "taken" and seen[-1][1] < 1, seen
        assert all(what == "refused" for what, _ in seen[:-1]), seen
        assert took > REFUSES
        assert machine.show(sample.UNIT, "NRestarts") == "0"
    sample.stop(machine)


def test_without_a_refusal_it_is_started_once(serving):
    machine = serving(0)
    for victim in ("envoy", "kuma-dp"):
        begin, said = kill(machine, victim)
        print(f"{victim}: serves after {time.time() - begin:.2f} s")
        assert [what for what, _ in tries(machine, begin)] == ["taken"]
        texts = machine.messages("-u", "tproxyd", f"--since=@{begin:.6f}")
        assert not any(text.startswith(REFUSED) for text in texts), texts
        assert not any("accept this node" in text for text in said), said
    sample.stop(machine)


def test_a_restart_of_the_service_is_refused_and_waits(serving):
    machine = serving(REFUSES)
    begin = time.time()
    machine.systemctl("--no-block", "restart", sample.UNIT)
    said = watch(machine, "Waiting for ")
    took, seen = time.time() - begin, tries(machine, begin)
    print(f"restart: serves after {took:.2f} s; tries: {seen}")
    assert any(re.fullmatch(f"Waiting for {WAITS}", text) for text in said), said
    assert [what for what, _ in seen].count("taken") == 1 and seen[0][0] == "refused"
    # When the last stream ended is not known, only that it was before the start.
    assert seen[-1][1] < 4, seen
    texts = machine.messages("-u", "tproxyd", f"--since=@{begin:.6f}")
    assert sum(text.startswith(REFUSED) for text in texts) == 1
    assert machine.show(sample.UNIT, "NRestarts") == "0"
    sample.stop(machine)
