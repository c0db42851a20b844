# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of packaging/try that comes after the build: boots the container, and shows."""

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time

CONTROL_PLANE_PORT = 5678
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
SETTINGS = """\
kumaDP:
  cpAddress: {cp}
  tokenFile: /etc/tproxyd/token
  dataplaneFile: /etc/tproxyd/dataplane.yaml
  dataplaneVars:
    name: app-1
    address: {address}
{more}
redirect:
  dns:
    enabled: true
"""
FETCH = """\
import sys, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode(), end="")
except OSError as error:
    sys.exit(f"fetch: {error}")
"""
TOKEN = ("import json, sys, urllib.request; "
         "asked = urllib.request.Request('http://127.0.0.1:5681/tokens/dataplane', sys.argv[1].encode(), "
         "{'Content-Type': 'application/json'}); "
         "print(urllib.request.urlopen(asked, timeout=5).read().decode().strip())")


def paint(code, text):
    return f"\x1b[{code}m{text}\x1b[0m" if sys.stdout.isatty() else text


def say(text):
    print("\n" + paint("1;34", f"== {text}"), flush=True)


def show(text):
    for line in text.rstrip("\n").splitlines():
        print(f"   {line}")
    sys.stdout.flush()


def unsigned_token():
    """A token in the form of a control plane's; the stand-in looks at no signature."""
    def part(value):
        return base64.urlsafe_b64encode(value).decode().rstrip("=")
    now = int(time.time())
    claims = {"Name": "", "Mesh": "default", "Tags": {}, "Type": "", "iat": now, "nbf": now - 300, "exp": now + 30 * 86400}
    return ".".join((part(json.dumps({"alg": "RS256", "kid": "1", "typ": "JWT"}).encode()),
                     part(json.dumps(claims).encode()), part(b"unsigned")))


class Show:
    def __init__(self, machine, kuma, directory):
        self.machine = machine
        self.kuma = kuma
        self.directory = directory
        self.failed = []

    def expect(self, true, sentence):
        print("   " + (paint("32", "yes: ") if true else paint("31", "NO: ")) + sentence, flush=True)
        if not true:
            self.failed.append(sentence)

    def command(self, line, **options):
        """Runs a line of shell in the machine and shows it with what it says."""
        print("   " + paint("1", f"# {line}"))
        done = self.machine.run(["sh", "-c", line], check=False, **options)
        show(done.stdout + done.stderr)
        return done

    def start_control_plane(self):
        log = open(f"{self.directory}/kuma-cp.log", "wb")
        with log:
            self.machine.outside.start([f"{self.kuma}/kuma-cp", "run"], stdout=log, stderr=log, cwd=self.directory,
                                       env={"HOME": self.directory, "KUMA_GENERAL_WORK_DIR": self.directory})
        wanted = json.dumps({"mesh": "default", "name": "app-1", "tags": {}, "validFor": "24h"})
        end = time.monotonic() + 60
        while True:
            answer = self.machine.outside.run(["/usr/bin/python3", "-c", TOKEN, wanted], check=False)
            if answer.returncode == 0 and answer.stdout.count(".") == 2:
                break
            if time.monotonic() > end:
                with open(f"{self.directory}/kuma-cp.log", encoding="utf-8", errors="replace") as file:
                    raise OSError("kuma-cp gives no token:\n" + "".join(file.readlines()[-10:]))
            time.sleep(0.2)
        with open(f"{self.directory}/kuma-cp.crt", encoding="ascii") as file:
            return answer.stdout, file.read()

    def dns_mode(self):
        """Only Kuma's own build of coredns knows what kuma-dp writes for it; tproxyd drives any other."""
        plugins = subprocess.run([f"{self.kuma}/coredns", "-plugins"], capture_output=True, text=True, check=False).stdout
        return "" if "alternate" in plugins else "\ncoreDNS:\n  mode: tproxyd"

    def configure(self, addresses):
        more = "  env:\n    STANDIN_ROUTES: shop.mesh={}:80".format(addresses["far"])
        token, certificate = unsigned_token() + "\n", None
        if self.kuma:
            token, certificate = self.start_control_plane()
            more = "  caCertFile: /etc/tproxyd/ca.crt" + self.dns_mode()
            self.machine.write("/etc/tproxyd/ca.crt", certificate)
        settings = SETTINGS.format(cp=f"https://{addresses['outside']}:{CONTROL_PLANE_PORT}", more=more,
                                   address=addresses["inside"])
        self.machine.write("/etc/tproxyd/token", token, 0o600)
        self.machine.write("/etc/tproxyd/dataplane.yaml", DATAPLANE)
        self.machine.write("/etc/tproxyd/tproxyd.yaml", settings)
        self.command("cat /etc/tproxyd/tproxyd.yaml")
        self.command("tproxyd check")

    def start(self):
        begin = time.monotonic()
        done = self.command("systemctl start tproxyd", timeout=240)
        if done.returncode != 0:
            self.command("journalctl -u tproxyd --no-pager --output=cat --lines=40")
            return False
        print(f"   serving after {time.monotonic() - begin:.1f} s")
        return True

    def look_around(self):
        say("user and processes")
        self.command("getent passwd kuma-dp")
        self.command("ps -eo user:10,pid,comm,args --forest | grep -E '[t]proxyd|[k]uma-dp|[e]nvoy|[c]oredns' | cut -c1-150")
        say("rules (nat, IPv4; the same for IPv6, and raw)")
        self.command("iptables-legacy-save -t nat | grep ^-A")
        say("tproxyd status")
        self.command("tproxyd status")

    def knock(self, addresses):
        self.machine.serve([80])
        name = "app.mesh" if self.kuma else "shop.mesh"
        say("a DNS query of an application, to the name server of /etc/resolv.conf")
        question = f"peer ask {name} A {addresses['outside']}"
        if self.kuma:
            # The control plane gives a service that is new its address, and sends it, a moment later.
            self.wait_for(question, "240.0.0.")
        found = self.command(question, user="nobody").stdout
        self.expect("240.0.0." in found, "the mesh answered; the name server itself knows no such address")
        say("a request of an application")
        before = self.redirected()
        url = f"http://{addresses['far']}/" if self.kuma else "http://shop.mesh/"
        print("   " + paint("1", f"$ fetch {url}"))
        answer = self.machine.run(["/usr/bin/python3", "-c", FETCH, url], user="nobody", check=False)
        show(answer.stdout + answer.stderr)
        after = self.redirected()
        self.expect("request GET /" in answer.stdout, "a server outside answered")
        self.expect(after > before, f"connections redirected to the proxy: {before} before, {after} after")

    def wait_for(self, line, wanted, timeout=10):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if wanted in self.machine.run(["sh", "-c", line], user="nobody", check=False).stdout:
                return
            time.sleep(0.1)

    def redirected(self):
        """Connections that met the outbound REDIRECT rule: nat sees the first packet of each."""
        lines = self.machine.run(["iptables-legacy-save", "-c", "-t", "nat"]).stdout.splitlines()
        return sum(int(line[1:].split(":")[0]) for line in lines
                   if "OUTBOUND" in line and "-p tcp" in line and "REDIRECT --to-ports" in line)

    def stop(self, before):
        begin = time.monotonic()
        self.command("systemctl stop tproxyd", timeout=120)
        print(f"   after {time.monotonic() - begin:.1f} s")
        after = self.machine.state()
        for key, sentence in (("rules", "rules and policies are as before"), ("addresses", "addresses are as before"),
                              ("files", "files in /etc, /run, /tmp and /var are as before")):
            self.expect(after[key] == before[key], sentence)
            if after[key] != before[key]:
                show("\n".join(differences(before[key], after[key])[:10]))
        left = self.machine.run(["ps", "-u", "kuma-dp", "-o", "args="], check=False).stdout
        self.expect(left == "", "no process of kuma-dp's is left")


def differences(before, after):
    if isinstance(before, list):
        return [f"- {line}" for line in before if line not in after] + [f"+ {line}" for line in after if line not in before]
    return [f"{key}: {before.get(key)} -> {after.get(key)}" for key in sorted({*before, *after})
            if before.get(key) != after.get(key)]


def run(show_, machines, options):
    machine = show_.machine
    addresses = {"inside": machines.INSIDE4, "outside": machines.OUTSIDE4, "far": machines.FAR4}
    say("the configuration")
    show_.configure(addresses)
    machine.make_legacy_tables()
    before = machine.state()
    say("start")
    if show_.start():
        show_.look_around()
        show_.knock(addresses)
        if options.shell:
            say("a shell in the container; exit goes on")
            machine.start_command(["bash", "-l"], stdin=sys.stdin, env={"TERM": os.environ.get("TERM", "dumb")}).wait()
        say("the journal")
        show(machine.run(["journalctl", "-u", "tproxyd", "--no-pager", "--output=short", "-n", "30"]).stdout)
    else:
        show_.failed.append("systemctl start tproxyd")
    say("stop")
    show_.stop(before)


def main():
    parser = argparse.ArgumentParser(prog="try")
    parser.add_argument("repository")
    parser.add_argument("--kuma")
    parser.add_argument("--shell", action="store_true")
    options = parser.parse_args()
    sys.path.insert(0, f"{options.repository}/tests/system")
    import machine as machines

    reason = machines.unavailable()
    if reason:
        print(f"try: no container can be booted here: {reason}", file=sys.stderr)
        return 77
    kuma = os.path.abspath(options.kuma) if options.kuma else None
    say("a container with a real systemd" + (f", and Kuma from {kuma}" if kuma else ", and a stand-in for kuma-dp"))
    try:
        with tempfile.TemporaryDirectory(prefix="tproxyd-try-") as directory, \
                machines.Machine(build=f"{options.repository}/build/release", proxies=kuma) as machine:
            show_ = Show(machine, kuma, directory)
            show_.command("systemctl is-system-running; ip -br addr; cat /etc/resolv.conf")
            run(show_, machines, options)
    except (machines.MachineError, machines.CommandFailed, OSError, subprocess.SubprocessError) as error:
        print(f"try: {error}", file=sys.stderr)
        return 1
    say("the container is gone; this host is as it was")
    for sentence in show_.failed:
        print(paint("31", f"   not as it should be: {sentence}"))
    return 1 if show_.failed else 0


if __name__ == "__main__":
    sys.exit(main())
