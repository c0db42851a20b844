# SPDX-License-Identifier: GPL-2.0-or-later
"""What the configuration alone gets wrong: `check` and `run` name the place, the setting and what is allowed."""

import json
import re

import pytest

import trial
from machine import network
from trial import CONFIG, PROGRAM, Trial

BAD_CONFIG = 78


@pytest.fixture(scope="module")
def subject(tproxyd):
    """One host for all: nothing here changes it."""
    why = network.unavailable()
    if why:
        pytest.skip(why)
    with network.Network(own_files=True) as made:
        made.inside.run(["sh", "-ec", f"""
            sed -i /^kuma-dp:/d /etc/passwd /etc/group
            echo kuma-dp:x:{network.KUMA_DP}:{network.KUMA_DP}::/nonexistent:/usr/sbin/nologin >>/etc/passwd
            rm -rf /etc/tproxyd"""])
        yield Trial(made.inside, tproxyd)


@pytest.fixture
def fresh(subject):
    subject.settings, subject.resource = dict(trial.SETTINGS), trial.RESOURCE
    subject.arguments, subject.environment, subject.before_exec = [], {}, ""
    subject.host.run(["rm", "-rf", "/etc/tproxyd/tproxyd.d", trial.CONFIG, trial.DATAPLANE])
    return subject


def refuses(subject, *sentences):
    """check and run refuse with these errors, in this order, and leave all as it is; the host's part aside."""
    subject.finish()
    before = subject.state()
    checked, ran = subject.check(), subject.run()
    assert (checked.status, ran.status) == (BAD_CONFIG, BAD_CONFIG), checked.text + ran.text
    assert len(ran.errors) == len(sentences), ran.text
    for sentence, error in zip(sentences, ran.errors):
        assert re.search(sentence, error), f"{error}\nis not\n{sentence}"
    assert set(ran.errors) <= set(checked.errors), checked.text
    assert "The configuration is not valid; nothing was changed" in ran.text
    assert subject.state() ^ before == set()


# One value each: setting, value, what is said of it.
VALUES = [
    ("redirect.inbound.port", 70000, '"70000" is found where a port from 1 to 65535 is expected'),
    ("redirect.inbound.port", "http", 'http.*65535'),
    ("redirect.inbound.port", 0, '"0" .*65535'),
    ("redirect.inbound.port", [1], "list"),
    ("redirect.dns.enabled", "maybe", "maybe.*(true|false)"),
    ("redirect.dns.enabled", "yes", "yes.*(true|false)"),
    ("ipFamilyMode", "ipv6", "ipv6.*dualstack.*ipv4"),
    ("coreDNS.mode", "on", "on.*auto, kuma-dp, tproxyd, embedded.* off"),
    ("backend", "ebpf", "ebpf.*auto, iptables.* nftables"),
    ("logLevel", "loud", "loud.*error.*debug"),
    ("log.level", 9, "(9|7)"),
    ("dryRun", True, "cannot be used by the service; .*install --dry-run"),
    ("failure.holdRules", "soon", "soon.*infinity"),
    ("failure.holdRules", "-1s", "negative"),
    ("restart.delay", "0s", "has to be longer than 0s"),
    ("restart.delay", "1m", "is longer than restart.maxDelay"),
    ("readiness.timeout", "soon", "soon.*(30s|duration)"),
    ("readiness.timeout", "0s", "has to be longer than 0s"),
    ("readiness.interval", "1h", "is longer than readiness.timeout"),
    ("kumaDP.drainTime", "0s", "has to be longer than 0s"),
    ("kumaDP.cpAddress", "http://198.51.100.10:5678", "does not begin with https:// .the token would"),
    ("kumaDP.cpAddress", "https://198.51.100.10:0", "its port is not one from 1 to 65535"),
    ("kumaDP.cpAddress", "https://", "there is no host in it"),
    ("kumaDP.tokenFile", "token", "is not an absolute path: it has to begin with /"),
    ("kumaDP.extraArgs", [""], "item 1 is empty"),
    ("redirect.dns.resolvConfigPath", "", "is empty; it has to name a file, as /etc/resolv.conf"),
    ("redirect.inbound.chainName", "X", "can be set only by the environment variable KUMA_.*_INBOUND_CHAIN_NAME"),
    ("redirect.inbound.excludePortsForUIDs", ["tcp:80:1000"], "an inbound packet has no user"),
    ("redirect.outbound.excludePortsForUIDs", ["tcp:80:nobody-knows"], "nobody-knows"),
    ("redirect.outbound.excludePortsForIPs", ["10.0.0.0/40"], "10.0.0.0/40"),
    ("redirect.vnet.networks", ["docker0"], "docker0"),
    ("coreDNS.mode", "off", "is off while redirect.dns.enabled .*nobody would answer"),
]


@pytest.mark.parametrize(("setting", "value", "sentence"), VALUES,
                         ids=[f"{setting}={json.dumps(value)[:20]}" for setting, value, _ in VALUES])
def test_a_value_that_cannot_be_is_refused_with_its_place_and_what_can_be(fresh, setting, value, sentence):
    fresh.settings[setting] = value
    text = fresh.config()
    key = setting.split(".")[-1]
    start = json.dumps(value, indent=2).splitlines()[0]
    line = next(n for n, row in enumerate(text.splitlines(), 1) if f'"{key}": {start}' in row)
    # An item of a list stands in the line after the list begins.
    refuses(fresh, rf"^{CONFIG}:({line}|{line + isinstance(value, list)}):\d+: error: {setting}: .*{sentence}")


def test_every_mistake_of_a_file_is_told_at_once(fresh):
    fresh.write(CONFIG, "kumaDP:\n  cpAdress: x\nredirect:\n  inbound:\n    port: 99999\n  dns:\n    enabled: 3\n"
                        "redirect:\n  dns: {}\n")
    said = fresh.check()
    places = [re.match(f"{CONFIG}:(\\d+):\\d+: error", line) for line in said.errors]
    assert sorted(int(place[1]) for place in places if place) == [2, 5, 7, 8], said.text
    assert "did you mean kumaDP.cpAddress?" in said.text and "the key is there twice" in said.text


BROKEN = {
    "a key that is there twice": ('backend: auto\nbackend: auto\n', r":2:1: error: (backend: )?the key is there twice"),
    "a second document": ("{}\n---\n{}\n", r":\d:\d+: error: a second document; a file holds one"),
    "a tab": ("redirect:\n\tdns: {}\n", r":2:1: error: not YAML: a tab in the indentation; indent with blanks"),
    "no YAML": ("a: [\n", r":\d:\d+: error: not YAML: .*"),
    "a list": ("- 1\n", r":1:1: error: a list is found where a mapping of settings is expected"),
    "too deep": ("a: " + "[" * 40 + "]" * 40 + "\n", r":1:\d+: error: nested deeper than 16 levels"),
    "too long": ("#" * (1 << 20) + "\n", r"error: longer than 1048576 bytes"),
    "no text": ("a: \0\n", r":1:4: error: a NUL byte; this is not a text file"),
    "a merge key": ("<<: {}\n", r":1:1: error: merge keys"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_configuration_is_refused(fresh, name):
    text, sentence = BROKEN[name]
    fresh.write(CONFIG, text)
    fresh.finish()
    said, ran = fresh.check(), fresh.run()
    assert (said.status, ran.status) == (BAD_CONFIG, BAD_CONFIG), said.text
    for errors in (said.errors, ran.errors):
        assert any(re.match(CONFIG + sentence if sentence[0] == ":" else f"{CONFIG}.*{sentence}", line)
                   for line in errors), errors


def test_an_unknown_key_is_refused_with_the_one_that_was_meant(fresh):
    fresh.settings["redirect.inbond.port"] = 1
    refuses(fresh, r"unknown key .*redirect.inbond.*; did you mean redirect.inbound")


def test_a_dropin_is_named_when_it_is_wrong(fresh):
    fresh.write("/etc/tproxyd/tproxyd.d/50-ports.yaml", "redirect:\n  inbound:\n    port: 1000000\n")
    refuses(fresh, r"^/etc/tproxyd/tproxyd.d/50-ports.yaml:3:11: error: redirect.inbound.port: .1000000. .*65535")


def test_a_variable_is_named_when_it_is_wrong(fresh):
    fresh.environment = {"KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_PORT": "inbound"}
    refuses(fresh, r"^\$KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_PORT: error: redirect.inbound.port: .*inbound.*65535")


@pytest.mark.parametrize(("name", "sentence"), [
    ("A B", "is no chain name: letters, digits, _ and - can be used"),
    ("A" * 40, "is too long: at most [0-9]+ characters can follow KUMA_MESH_"),
    ("OUTBOUND", "each chain needs a name of its own"),
    ("", "is empty; a chain needs a name"),
])
def test_a_chain_name_that_cannot_be_is_refused(fresh, name, sentence):
    fresh.environment = {"KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_CHAIN_NAME": name}
    refuses(fresh, f"error: redirect.(in|out)bound.chainName: .*{sentence}")


def test_an_option_is_named_when_its_value_is_wrong(fresh):
    fresh.arguments = ["--redirect-inbound-port=inbound"]
    refuses(fresh, r"^--redirect-inbound-port: error: redirect.inbound.port: .*inbound.*65535")


def test_a_file_that_was_named_has_to_be_there(fresh):
    fresh.environment = {"TPROXYD_CONFIG_FILE": "/etc/none.yaml"}
    fresh.finish()
    said, ran = fresh.check(), fresh.run()
    assert (said.status, ran.status) == (BAD_CONFIG, BAD_CONFIG)
    assert ran.errors == ["/etc/none.yaml: error: cannot be read: No such file or directory"] == said.errors[:1]


def test_a_configuration_for_another_user_only_is_refused_as_the_service_would_see_it(fresh):
    fresh.finish()
    fresh.host.run(["sh", "-ec", f"chown 1234 {CONFIG}; chmod 0400 {CONFIG}"])
    said, ran = fresh.check(), fresh.run()
    assert (said.status, ran.status) == (BAD_CONFIG, BAD_CONFIG), said.text + ran.text
    assert ran.errors == [f"{CONFIG}: error: cannot be read: Permission denied"] == said.errors[:1], said.text


@pytest.mark.parametrize("verb", ["run", "check", "prepare", "install", "uninstall", "status", "show-config"])
def test_an_unknown_option_is_a_mistake_of_usage(fresh, verb):
    said = fresh.shell(f"exec {PROGRAM} {verb} --no-such-option")
    assert said.status == 64 and "unknown option --no-such-option" in said.text, said.text


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_a_wrong_value_is_no_value_left_out(fresh, verb):
    before = fresh.state()
    said = fresh.shell(f"exec {PROGRAM} {verb} --dry-run=maybe")
    assert said.status == BAD_CONFIG and "dryRun" in said.text, said.text
    assert fresh.state() == before


@pytest.mark.parametrize("words", ["", "start", "--redirect-dns"])
def test_no_verb_is_a_mistake_of_usage(fresh, words):
    assert fresh.shell(f"exec {PROGRAM} {words}").status == 64


@pytest.mark.parametrize("verb", ["run", "prepare", "install --kuma-dp-user=5678", "uninstall"])
def test_who_is_not_root_may_not(fresh, verb):
    fresh.finish()
    fresh.host.run(["chmod", "0644", trial.TOKEN])
    before = fresh.state()
    said = fresh.shell(f"exec setpriv --reuid=65534 --clear-groups {PROGRAM} {verb}")
    assert said.status == 77 and "needs root" in said.text, said.text
    assert fresh.state() ^ before == set()


def test_check_without_root_judges_the_configuration_and_says_what_it_left_out(fresh):
    fresh.settings["redirect.inbound.port"] = 70000
    fresh.finish()
    said = fresh.shell(f"exec setpriv --reuid=65534 --clear-groups {PROGRAM} check")
    assert said.status == BAD_CONFIG and len(said.errors) == 1, said.text
    assert any("judging this host needs root" in line for line in said.notices)


@pytest.mark.parametrize(("setting", "value", "severity", "sentence"), [
    ("safety.protectSSH", False, "warnings", "safety.protectSSH: .*SSH .* locks you out"),
    ("safety.keepConnections", False, "warnings", "safety.keepConnections: .*open TCP connections may be reset"),
    ("kumaDP.cpAddress", "https://10.77.0.2:5678", "warnings", "kumaDP.cpAddress: .*is this host: .*excludePorts"),
    ("kumaDP.env", {"KUMA_DATAPLANE_MESH": "x"}, "warnings", "KUMA_DATAPLANE_MESH beats kumaDP.mesh"),
    ("ebpf.enabled", False, "notices", "ebpf.enabled: is accepted because kumactl knows it; it has no effect here"),
    ("cniMode", True, "notices", "cniMode: is accepted because kumactl knows it; it has no effect here"),
])
def test_what_works_but_is_risky_or_idle_is_told_and_no_reason_to_refuse(fresh, setting, value, severity, sentence):
    fresh.settings[setting] = value
    fresh.finish()
    said = fresh.check()
    assert (said.status, said.errors) == (0, []), said.text
    assert any(re.search(sentence, line) for line in getattr(said, severity)), said.text


def test_a_line_break_in_a_value_makes_no_line_of_its_own(fresh):
    fresh.settings["kumaDPUser"] = "nobody\n<0>error: forged"
    fresh.settings["kumaDP.path"] = "/run/none\n<0>error: forged"
    fresh.settings["user.create"] = False
    fresh.finish()
    for said in (fresh.check(), fresh.run()):
        assert said.status, said.text
        assert not [line for line in said.text.splitlines() if line.startswith("<0>")], said.text


@pytest.mark.parametrize("field", ["type", "name", "mesh", "address"])
def test_what_a_resource_says_does_nothing_to_a_terminal(fresh, field):
    odd = '"\\e]0;x\\a\\u009b31m\\nerror: forged"'
    fresh.resource = re.sub(f"(?m)^( *{field}:).*", lambda found: f"{found[1]} {odd}", fresh.resource, count=1)
    fresh.finish()
    assert odd in fresh.resource
    for said in (fresh.check(), fresh.run()):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]|^error: forged", said.text, re.M), said.text


def test_a_bad_configuration_leaves_a_redirect_of_kumactl_alone(fresh):
    fresh.settings["backend"] = "ebpf"
    fresh.finish()
    assert fresh.shell(f"exec {PROGRAM} install --kuma-dp-user=5678 --redirect-dns").status == 0
    try:
        before = fresh.state()
        assert any("KUMA_MESH_OUTBOUND" in line for line in before)
        assert fresh.run().status == BAD_CONFIG
        assert fresh.shell(f"exec {PROGRAM} uninstall --recorded --quiet").status == 0
        assert fresh.state() ^ before == set()
    finally:
        fresh.shell(f"exec {PROGRAM} uninstall")


@pytest.mark.parametrize("words", ["show-config", "describe yaml", "run --help"])
def test_output_that_could_not_be_written_is_an_error(fresh, words):
    fresh.finish()
    said = fresh.shell(f"exec {PROGRAM} {words} >/dev/full")
    assert said.status == 1 and re.search("output could not be written|No space left on device", said.text), said.text
