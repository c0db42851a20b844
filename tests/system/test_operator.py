# SPDX-License-Identifier: GPL-2.0-or-later
"""What an operator sees and asks for: the journal, its catalog, the control socket; and what the processes may do."""

import json
import os
import re

import pytest

import machine as machines
import sample
import schema

MESSAGES = {
    "d70408f3e31d4a53a3f7714ff27dcfda": {"TPROXYD_GENERATION", "TPROXYD_BACKEND"},
    "dc628c58ae0e4848acd7698529f0f21d": {"TPROXYD_GENERATION", "TPROXYD_BACKEND"},
    "24c2369909dc41968adda69266cda1e3": {"TPROXYD_PROCESS", "TPROXYD_PID"},
    "ec93de144d134edd9512cdad23e5e1b1": {"TPROXYD_PROCESS", "TPROXYD_PID", "TPROXYD_EXIT_STATUS"},
}
# Nothing else of the environment reaches the proxy: no credential of the service manager's, no NOTIFY_SOCKET.
ENVIRONMENT = {"PATH", "HOME", "TMPDIR", "LANG"}


def fields_of(text):
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def status(machine, **options):
    return schema.checked(machine.run(["tproxyd", "status", "--json"], check=False, **options).stdout)


def test_the_journal_has_events_with_fields_and_their_explanations(machine):
    sample.configure(machine)
    sample.start(machine)
    sample.stop(machine)
    for message_id, fields in MESSAGES.items():
        entries = machine.journal("-u", "tproxyd", f"MESSAGE_ID={message_id}")
        assert len(entries) == 1, message_id
        assert fields <= entries[0].keys(), message_id
        assert entries[0]["SYSLOG_IDENTIFIER"] == "tproxyd"
    explained = machine.run(["journalctl", "--no-pager", "-x", "-u", "tproxyd", "SYSLOG_IDENTIFIER=tproxyd"]).stdout
    for text in ("Subject: Traffic of this host is redirected", "Subject: Traffic of this host is no longer redirected",
                 "Generation 1, backend iptables.", "Support: man:tproxyd(8)"):
        assert text in explained, text
    # Every @FIELD@ of the catalog was filled in: one that is not there would show by its name.
    assert re.findall(r"(?m)^░░.*\bTPROXYD_(?:PID|PROCESS|GENERATION|BACKEND|EXIT_STATUS)\b.*$", explained) == []


def test_children_speak_under_their_own_names(machine):
    sample.configure(machine, {"coreDNS": {"mode": "tproxyd"}})
    sample.start(machine)
    pids = {name: sample.child(machine, name) for name in ("kuma-dp", "envoy")}
    machine.systemctl("kill", "--kill-whom=main", "--signal=HUP", sample.UNIT)
    machine.wait_until(lambda: [text for text in machine.messages("-t", "tproxyd") if "was read again" in text], 5)
    entries = machine.journal("-u", "tproxyd", "SYSLOG_IDENTIFIER=kuma-dp")
    assert {entry["OBJECT_COMM"] for entry in entries} == {"kuma-dp", "envoy"}
    assert {int(entry["OBJECT_PID"]) for entry in entries} == set(pids.values())
    # tproxyd limits what they say itself: its own words do not count.
    assert machine.show(sample.UNIT, "LogRateLimitIntervalUSec") == "0"
    assert any("all dependencies initialized" in str(entry["MESSAGE"]) for entry in entries)
    listening = machine.sh("ls -l /proc/%d/fd/1 /proc/%d/fd/1 | sed 's/.*-> //'"
                           % (pids["kuma-dp"], sample.child(machine, "coredns"))).split()
    assert len(set(listening)) == 2, "coredns has a stream of its own"


def test_an_unnoticed_user_may_ask_for_the_status_and_for_nothing_else(machine):
    for user in (None, "nobody"):
        stopped = machine.run(["tproxyd", "status"], user=user, check=False)
        assert stopped.returncode == 3 and stopped.stdout.startswith("Not running: ")
    sample.configure(machine)
    sample.start(machine)
    for user in (None, "nobody"):
        said = machine.run(["tproxyd", "status"], user=user).stdout
        assert said.startswith("Redirecting IPv4 and IPv6 since ") and "level full, as expected" in said
        found = status(machine, user=user)
        assert found["ok"] is True and found["phase"] == "redirecting"
        assert found["pid"] == sample.main_pid(machine)
        for name, state in {"kuma-dp": "ready", "envoy": "running", "coredns": "running"}.items():
            process = found["processes"][name]
            assert (process["state"], process["pid"]) == (state, sample.child(machine, name))
            assert process["memory-bytes"] > 1 << 20 and process["uptime-seconds"] is not None
        assert found["readiness"] == {"envoy": True, "listeners": True, "dns": True, "missing": ""}
        assert found["user"] == {"name": "kuma-dp", "uid": sample.KUMA_DP}
        for family in ("IPv4", "IPv6"):
            for table in ("raw", "nat", "mangle"):
                assert found["rules"][family][table]["as-expected"] is True
            assert found["rules"][family]["nat"]["rules"] > 10
    for words in (["log-level", "debug"], ["reload"]):
        refused = machine.run(["tproxyd", *words], user="nobody", check=False)
        assert refused.returncode == 1 and "only root may ask for that" in refused.stderr


def test_status_tells_when_somebody_took_a_rule_out(machine):
    sample.configure(machine)
    sample.start(machine)
    machine.run(["iptables-legacy", "-t", "nat", "-D", "KUMA_MESH_OUTBOUND", "1"])
    found = status(machine)["rules"]["IPv4"]["nat"]
    assert found["as-expected"] is False and found["rules"] == found["expected"] - 1
    assert status(machine)["rules"]["IPv6"]["nat"]["as-expected"] is True


def test_log_level_is_set(machine):
    sample.configure(machine)
    sample.start(machine)
    assert status(machine)["log-level"] == "info"
    assert machine.run(["tproxyd", "log-level", "debug"]).returncode == 0
    assert status(machine)["log-level"] == "debug"
    wrong = machine.run(["tproxyd", "log-level", "loud"], check=False)
    assert wrong.returncode == 64 and "error, warning, notice, info, debug" in wrong.stderr
    assert machine.run(["tproxyd", "log-level"], check=False).returncode == 64
    assert machine.show(sample.UNIT, "ActiveState") == "active"


def test_the_unit_is_well_hardened(machine):
    sample.configure(machine)
    sample.start(machine)
    lines = machine.run(["systemd-analyze", "security", "--no-pager", sample.UNIT]).stdout.splitlines()
    exposure = float(re.search(r": (\d+\.\d)", lines[-1]).group(1))
    print(f"exposure level {exposure}")
    assert exposure <= 3.0
    verified = machine.run(["systemd-analyze", "verify", "/lib/systemd/system/tproxyd.service"], check=False)
    complaints = [line for line in verified.stderr.splitlines() if "tproxyd.service" in line and "Command 'man" not in line]
    assert complaints == []


@pytest.mark.parametrize("mode", ["kuma-dp", "tproxyd"])
def test_the_proxy_has_no_privilege_at_all(machine, mode):
    sample.configure(machine, {"coreDNS": {"mode": mode}})
    sample.start(machine)
    names = sample.processes(machine)
    assert sorted(names.values()) == ["coredns", "envoy", "kuma-dp"]
    for pid, name in names.items():
        found = fields_of(machine.read(f"/proc/{pid}/status"))
        assert {found[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}, name
        assert found["NoNewPrivs"] == "1" and found["Umask"] == "0077", name
        assert found["Uid"].split() == found["Gid"].split() == [str(sample.KUMA_DP)] * 4, name
        assert found["Groups"].strip() == "", name
        # (Go's runtime blocks signals for a moment whenever it makes a thread.)
        machine.wait_until(lambda pid=pid: int(fields_of(machine.read(f"/proc/{pid}/status"))["SigBlk"], 16) == 0, 2, name)
        # In a session of its own: nobody's terminal, and no signal to our group meets it.
        assert found["NSsid"] != machine_session(machine), name
        words = machine.read(f"/proc/{pid}/environ").split("\0")[:-1]
        strangers = {word.split("=")[0] for word in words} - ENVIRONMENT
        assert {stranger for stranger in strangers if not stranger.startswith("KUMA_")} == set(), name
    # What kuma-dp opened itself is numbered from 3; what tproxyd has (netlink, raw sockets, the lock, the record,
    # the control socket) must not be among it.
    ours = inodes(machine, sample.main_pid(machine))
    for pid, name in names.items():
        shared = inodes(machine, pid) & ours
        # Standard output and error are the relay's socket, which tproxyd keeps for the next start.
        streams = inodes(machine, pid, "1", "2")
        assert shared - streams == set(), name


def machine_session(machine):
    return fields_of(machine.read(f"/proc/{sample.main_pid(machine)}/status"))["NSsid"]


def inodes(machine, pid, *numbers):
    """What a process has open: sockets, pipes and files by what /proc calls them, but /dev/null and anonymous ones."""
    lines = machine.sh(f"cd /proc/{pid}/fd; for fd in *; do echo $fd $(readlink $fd); done").splitlines()
    found = {line.split(" ", 1)[1] for line in lines if not numbers or line.split()[0] in numbers}
    return {name for name in found if name != "/dev/null" and not name.startswith("anon_inode:") and "/fd" not in name}


def test_a_token_for_root_alone_reaches_the_proxy_and_nobody_else(machine):
    secret = sample.configure(machine)
    before = sample.prepare(machine)
    sample.start(machine)
    private = sample.seen_by_service(machine, "stat", "-c", "%a %U", "/run/tproxyd/dp/token").split()
    assert private == ["400", "kuma-dp"]
    assert sample.seen_by_service(machine, "cat", "/run/tproxyd/dp/token").strip() == secret
    assert machine.sh("find /run -name token") == ""
    assert secret not in machine.sh("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'")
    machine.run(["tproxyd", "log-level", "debug"])
    sample.stop(machine)
    assert not machine.exists("/run/tproxyd")
    assert secret not in machine.run(["journalctl", "--no-pager", "--all", "--output=export"]).stdout
    sample.assert_as_before(machine, before)


def test_a_token_that_the_proxy_may_read_is_not_copied(machine):
    sample.configure(machine, token_mode=0o644)
    sample.start(machine)
    assert "token" not in sample.seen_by_service(machine, "ls", "/run/tproxyd/dp")
    line = machine.read(f"/proc/{sample.child(machine, 'kuma-dp')}/cmdline").split("\0")
    assert "--dataplane-token-file=/etc/tproxyd/token" in line


DNS_MODES = {
    # mode: processes of kuma-dp's user, what .mesh and another name get
    "kuma-dp": (["coredns", "envoy", "kuma-dp"], "NOERROR 240.0.0.1"),
    "tproxyd": (["coredns", "envoy", "kuma-dp"], "NOERROR 240.0.0.1"),
    "auto": (["coredns", "envoy", "kuma-dp"], "NOERROR 240.0.0.1"),
    "embedded": (["envoy", "kuma-dp"], "NOERROR 240.0.0.1"),
    "off": (["envoy", "kuma-dp"], "NOERROR 192.0.2.53"),
}


@pytest.mark.parametrize("mode", DNS_MODES)
def test_dns_in_every_mode(machine, mode):
    processes, mesh = DNS_MODES[mode]
    redirect = {"dns": {"enabled": mode != "off"}}
    sample.configure(machine, {"coreDNS": {"mode": mode}, "redirect": redirect})
    machine.serve()
    before = sample.prepare(machine)
    sample.start(machine)
    found = sample.processes(machine)
    assert sorted(found.values()) == processes
    for server in machines.DNS_SERVERS:
        assert sample.ask(machine, "backend.mesh", server) == mesh, server
        assert sample.ask(machine, "www.example.com", server) == "NOERROR 192.0.2.53", server
    # auto: the real coredns is a stock one, which kuma-dp could not run.
    if mode == "tproxyd" or (mode == "auto" and os.environ.get("TPROXYD_TEST_PROXIES")):
        parent = fields_of(machine.read(f"/proc/{sample.child(machine, 'coredns')}/status"))["PPid"]
        assert int(parent) == sample.main_pid(machine)
    took = sample.stop(machine)
    assert took < 3
    sample.assert_as_before(machine, before)
    assert sample.processes(machine) == {}
