# SPDX-License-Identifier: GPL-2.0-or-later
"""The sample configuration that tests start from, and words to say what a running tproxyd looks like.

    sample.configure(machine, {"readiness": {"timeout": "2s"}}, standin={"NEVER_READY": 1})
    before = sample.prepare(machine)      # everything that may stay behind is there already
    machine.systemctl("start", "tproxyd")
    …
    assert machine.state() == before
"""

import base64
import json
import re
import time

import machine as machines

UNIT = "tproxyd.service"
CONFIG = "/etc/tproxyd/tproxyd.yaml"
DROP_INS = f"/etc/systemd/system/{UNIT}.d"
KUMA_DP = 5678
# The real coredns is a stock one. The stand-in kuma-dp, whose Corefile has no `alternate`, can run it all the same:
# with this in its place as if it were Kuma's build.
KUMAS_CORE_DNS = "/usr/local/lib/kuma/coredns"
KUMAS_CORE_DNS_TEXT = """\
#!/bin/sh
[ "$1" = -plugins ] && echo "  dns.alternate"
exec /usr/local/bin/coredns "$@"
"""
DATAPLANE = """\
type: Dataplane
mesh: default
name: {{ name }}
networking:
  address: {{ address }}
  inbound:
    - port: 8080
      tags:
        kuma.io/service: app
        kuma.io/protocol: http
  transparentProxying:
    redirectPortInbound: 15006
    redirectPortOutbound: 15001
"""
SETTINGS = {
    "kumaDP": {
        "cpAddress": f"https://{machines.OUTSIDE4}:5678",
        "tokenFile": "/etc/tproxyd/token",
        "dataplaneFile": "/etc/tproxyd/dataplane.yaml",
        "dataplaneVars": {"name": "app-1", "address": machines.INSIDE4},
    },
    "redirect": {"dns": {"enabled": True}},
    "coreDNS": {"path": KUMAS_CORE_DNS},
}


def token(expires_in=30 * 86400):
    """A token in the form of a control plane's; the stand-in looks at no signature."""
    def part(value):
        return base64.urlsafe_b64encode(value).decode().rstrip("=")
    now = int(time.time())
    claims = {"Name": "", "Mesh": "default", "Tags": {}, "Type": "", "iat": now, "nbf": now - 300,
              "exp": now + expires_in}
    return ".".join((part(json.dumps({"alg": "RS256", "kid": "1", "typ": "JWT"}).encode()),
                     part(json.dumps(claims).encode()), part(b"unsigned")))


def merged(base, changes):
    """The settings with the changes; a change to None takes a setting out."""
    result = dict(base)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result


def settings(changes=None, standin=None):
    """The text of a configuration file. standin: switches of the stand-in, without "STANDIN_"."""
    result = merged(SETTINGS, changes or {})
    if result["coreDNS"].get("mode") in ("tproxyd", "auto"):
        del result["coreDNS"]["path"]
    if standin:
        switches = {f"STANDIN_{key}": str(value) for key, value in standin.items()}
        result["kumaDP"] = {**result["kumaDP"], "env": {**result["kumaDP"].get("env", {}), **switches}}
    return json.dumps(result, indent=2) + "\n"


def configure(machine, changes=None, standin=None, dataplane=DATAPLANE, token_mode=0o600, path=CONFIG):
    """Writes the configuration and what it names; returns the token."""
    text = token()
    machine.write(KUMAS_CORE_DNS, KUMAS_CORE_DNS_TEXT, 0o755)
    machine.write("/etc/tproxyd/token", text + "\n", token_mode)
    machine.write("/etc/tproxyd/dataplane.yaml", dataplane)
    machine.write(path, settings(changes, standin))
    return text


def drop_in(machine, name, text):
    """A drop-in for the unit, as `systemctl edit` makes one."""
    machine.write(f"{DROP_INS}/{name}.conf", text)
    machine.systemctl("daemon-reload")


def prepare(machine):
    """Brings into being what a stop may leave behind (tables, lock), and returns the state to compare with."""
    machine.make_legacy_tables()
    machine.sh("install -d -m 700 /run/tproxyd-state; install -m 600 /dev/null /run/tproxyd-state/lock")
    return machine.state()


def start(machine, timeout=60):
    """Starts the unit and returns how long `systemctl start` took, in seconds."""
    begin = time.monotonic()
    machine.systemctl("start", UNIT, timeout=timeout)
    return time.monotonic() - begin


def stop(machine, timeout=60):
    """Stops the unit and returns how long `systemctl stop` took, in seconds."""
    begin = time.monotonic()
    machine.systemctl("stop", UNIT, timeout=timeout)
    return time.monotonic() - begin


def differences(before, after):
    """What changed between two states, one line each."""
    found = []
    for key in before:
        old, new = before[key], after[key]
        if isinstance(old, list):
            old, new = dict.fromkeys(old, ""), dict.fromkeys(new, "")
        found += [f"{key} {name}: {old.get(name)} -> {new.get(name)}" for name in sorted({*old, *new})
                  if old.get(name) != new.get(name)]
    return found


def assert_as_before(machine, before):
    found = differences(before, machine.state())
    assert not found, found


def rules(machine, tool="iptables-legacy-save"):
    """Every rule and policy of one family's legacy tables, without counters and comments."""
    return [line.split(" [")[0] for line in machine.run([tool]).stdout.splitlines() if not line.startswith("#")]


def nft_rules(machine):
    """Of ours in nf_tables, with their counters."""
    shown = machine.run(["nft", "list", "ruleset"]).stdout
    return "\n".join(re.findall(r"^table ip6? tproxyd \{.*?^\}", shown, flags=re.M | re.S))


def is_redirected(machine):
    return any("KUMA_MESH" in line for line in rules(machine)) or nft_rules(machine) != ""


def redirected(machine):
    """How many connections met a REDIRECT: the nat tables see the first packet of each."""
    found = [int(n) for n in re.findall(r"l4proto tcp counter packets (\d+) bytes \d+ redirect to", nft_rules(machine))]
    for tool in ("iptables-legacy-save", "ip6tables-legacy-save"):
        for line in machine.run([tool, "-c", "-t", "nat"]).stdout.splitlines():
            if "-A KUMA_MESH_" in line and "_REDIRECT -p tcp" in line:
                found.append(int(line[1:].split(":")[0]))
    return sum(found)


def processes(machine, user=KUMA_DP):
    """The command names of that user's processes, by pid."""
    lines = machine.run(["ps", "-U", str(user), "-o", "pid=,comm="], check=False).stdout.splitlines()
    return {int(line.split()[0]): line.split()[1] for line in lines}


def child(machine, name):
    """The pid of the one process of kuma-dp's user with that name."""
    found = [pid for pid, comm in processes(machine).items() if comm == name]
    assert len(found) == 1, f"{name}: {processes(machine)}"
    return found[0]


def seen_by_service(machine, *argv):
    """The output of a command, run as root, that sees the files as the service does."""
    return machine.run(["nsenter", f"--target={main_pid(machine)}", "--mount", "--root", "--", *argv]).stdout


def main_pid(machine):
    return int(machine.show(UNIT, "MainPID"))


def ask(machine, name, server=machines.OUTSIDE4, kind="A", user="nobody"):
    """What an application gets for a name from a name server, as `peer ask` prints it."""
    return machine.run(["peer", "ask", name, kind, server], user=user, check=False).stdout.strip()
