# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of packaging/try that comes after the build: boots the container, and shows. With --here: the same checks, on this
very host, of the package that is installed on it."""

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time

DATAPLANE = """\
type: Dataplane
mesh: default
name: app-1
networking:
  address: ADDRESS
  inbound:
    - port: 8080
      tags:
        kuma.io/service: app
        kuma.io/protocol: http
  transparentProxying:
    redirectPortInbound: 15006
    redirectPortOutbound: 15001
"""
# Beside the three values that every host has to say: what a host of this demonstration needs.
ADDITION = "/etc/tproxyd/tproxyd.d/demonstration.yaml"
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
    """The steps, in a machine. What is long goes into the file that is named at the end."""

    def __init__(self, machine, addresses, kuma, directory, listings):
        self.machine = machine
        self.addresses = addresses
        self.kuma = kuma
        self.directory = directory
        self.listings = listings
        self.failed = []

    def say(self, text):
        print("\n" + paint("1;34", f"== {text}"), flush=True)
        print(f"\n== {text}", file=self.listings, flush=True)

    def expect(self, true, sentence):
        print("   " + (paint("32", "yes: ") if true else paint("31", "NO: ")) + sentence, flush=True)
        if not true:
            self.failed.append(sentence)

    def command(self, line, keep=None, **options):
        """Runs a line of shell in the machine and shows it with what it says, or those of its lines that keep() wants."""
        print("   " + paint("1", f"# {line}"), flush=True)
        done = self.listing(line, **options)
        text = done.stdout + done.stderr
        if keep is not None and done.returncode == 0:
            text = "\n".join(filter(keep, text.splitlines()))
        show(text)
        return done

    def listing(self, line, **options):
        """Runs a line of shell in the machine; what it says goes into the file only."""
        done = self.machine.run(["sh", "-c", line], check=False, **options)
        print(f"# {line}\n{done.stdout}{done.stderr}", file=self.listings, flush=True)
        return done

    def install(self, package):
        self.say("install")
        name = os.path.basename(package)
        self.machine.copy(package, f"/root/{name}")
        env = {"DEBIAN_FRONTEND": "noninteractive"}
        done = self.command(f"cd; apt install -y ./{name}", lambda line: "redirects nothing" in line, env=env, timeout=240)
        self.expect(done.returncode == 0, "the package is installed")
        state = self.listing("systemctl is-enabled tproxyd; systemctl is-active tproxyd").stdout.split()
        self.expect(state == ["disabled", "inactive"] and not self.is_redirected(), "nothing is enabled, started or redirected")

    def start_control_plane(self):
        with open(f"{self.directory}/kuma-cp.log", "wb") as log:
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
        return "" if "alternate" in plugins else "coreDNS:\n  mode: tproxyd\n"

    def configure(self):
        self.say("three values: where the control plane is, the token, the Dataplane")
        token, more = unsigned_token() + "\n", "kumaDP:\n  env:\n    STANDIN_ROUTES: shop.mesh={far}:80\n"
        if self.kuma:
            token, certificate = self.start_control_plane()
            more = "kumaDP:\n  caCertFile: /etc/tproxyd/ca.crt\n" + self.dns_mode()
            self.machine.write("/etc/tproxyd/ca.crt", certificate)
        self.command("sed -i 's,https://control-plane.example:5678,https://{outside}:5678,' /etc/tproxyd/tproxyd.yaml".format(
            **self.addresses))
        self.machine.write("/etc/tproxyd/token", token, 0o600)
        self.machine.write("/etc/tproxyd/dataplane.yaml", DATAPLANE.replace("ADDRESS", self.addresses["inside"]))
        # The host's own name servers may be anywhere; those of the demonstration are outside.
        self.machine.write("/etc/tproxyd/resolv.conf", "nameserver {outside}\nnameserver {outside6}\n".format(**self.addresses))
        more += "redirect:\n  dns:\n    resolvConfigPath: /etc/tproxyd/resolv.conf\n"
        self.machine.write(ADDITION, more.format(**self.addresses))
        print("   (and the files /etc/tproxyd/token and /etc/tproxyd/dataplane.yaml)")
        self.listing(f"grep -v '^ *#' /etc/tproxyd/tproxyd.yaml; cat /etc/tproxyd/dataplane.yaml {ADDITION}")
        done = self.command("tproxyd check")
        self.expect(done.returncode == 0, "tproxyd check has no objection")

    def start(self):
        self.say("join the mesh")
        begin = time.monotonic()
        done = self.command("systemctl enable --now --quiet tproxyd", timeout=240)
        took = time.monotonic() - begin
        self.expect(done.returncode == 0, f"redirected, {took:.1f} s later")
        if done.returncode != 0:
            self.command("journalctl -u tproxyd --no-pager --output=cat --lines=20")
            return False
        self.command("tproxyd status")
        self.listing("getent passwd kuma-dp")
        self.listing("ps -eo user:10,pid,comm,args --forest | grep -E '[t]proxyd|[k]uma-dp|[e]nvoy|[c]oredns'")
        self.listing("iptables-legacy-save; ip6tables-legacy-save")
        return True

    def knock(self):
        self.machine.serve([80])
        name = "app.mesh" if self.kuma else "shop.mesh"
        self.say("an application asks its name server for a name of the mesh, and speaks to what it names")
        question = "peer ask {} A {outside}".format(name, **self.addresses)
        if self.kuma:
            # The control plane gives a service that is new its address, and sends it, a moment later.
            self.wait_for(question, "240.0.0.")
        found = self.command(question, user="nobody").stdout
        self.expect("240.0.0." in found, "the mesh answered; the name server itself knows no such address")
        before = self.redirected()
        # A name of the mesh has an address that only the proxy knows a way to.
        answer = self.fetch(self.addresses["far"] if self.kuma else found.split()[-1])
        after = self.redirected()
        self.expect("request GET /" in answer, "a server outside answered")
        self.expect(after > before, f"connections redirected to the proxy: {before} before, {after} after")

    def fetch(self, address):
        """What a server says to an application."""
        answer = self.machine.run(["/usr/bin/python3", "-c", FETCH, f"http://{address}/"], user="nobody", check=False)
        print(f"# fetch http://{address}/\n{answer.stdout}{answer.stderr}", file=self.listings)
        return answer.stdout

    def wait_for(self, line, wanted, timeout=10):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if wanted in self.machine.run(["sh", "-c", line], user="nobody", check=False).stdout:
                return
            time.sleep(0.1)

    def is_redirected(self):
        return "KUMA_MESH" in self.machine.run(["iptables-legacy-save"]).stdout

    def redirected(self):
        """Connections that met the outbound REDIRECT rule: nat sees the first packet of each."""
        lines = self.machine.run(["iptables-legacy-save", "-c", "-t", "nat"]).stdout.splitlines()
        return sum(int(line[1:].split(":")[0]) for line in lines
                   if "OUTBOUND" in line and "-p tcp" in line and "REDIRECT --to-ports" in line)

    def leave(self, line, before):
        """Takes the service or the package out by a line of shell, and compares with what was there before."""
        self.listing("journalctl -u tproxyd --no-pager --output=short")
        self.say("leave the mesh")
        begin = time.monotonic()
        done = self.command(line, lambda _: False, env={"DEBIAN_FRONTEND": "noninteractive"}, timeout=240)
        self.expect(done.returncode == 0, f"it drained and left, {time.monotonic() - begin:.1f} s later")
        after = self.machine.state()
        for key, sentence in (("rules", "rules and policies are as before"), ("addresses", "addresses are as before"),
                              ("files", "files in /etc, /run, /tmp and /var are as before, but for the user and dpkg's own")):
            found = [line for line in differences(before[key], after[key]) if not is_expected(line)]
            self.expect(found == [], sentence)
            show("\n".join(found[:10]))
        left = self.machine.run(["ps", "-u", "kuma-dp", "-o", "args="], check=False).stdout
        self.expect(left == "", "no process of kuma-dp's is left")


def differences(before, after):
    if isinstance(before, list):
        return [f"- {line}" for line in before if line not in after] + [f"+ {line}" for line in after if line not in before]
    return [f"{key}: {before.get(key)} -> {after.get(key)}" for key in sorted({*before, *after})
            if before.get(key) != after.get(key)]


def is_expected(difference):
    """The user stays, as Debian wants; others keep books of what they did."""
    users = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/.pwd.lock")
    books = ("/var/lib/dpkg/", "/var/lib/apt/", "/var/lib/PackageKit/", "/tmp/autopkgtest.")
    return difference.startswith((*users, *books))


def join(show_, shell=False):
    if show_.start():
        show_.knock()
        if shell:
            show_.say("a shell in the container; exit goes on")
            show_.machine.start_command(["bash", "-l"], stdin=sys.stdin, env={"TERM": os.environ.get("TERM", "dumb")}).wait()


def run(show_, options):
    """From a host without the package to one without it."""
    show_.machine.sh("rmdir /etc/tproxyd 2>/dev/null || :")
    show_.machine.make_legacy_tables()
    before = show_.machine.state()
    show_.install(options.package)
    show_.configure()
    join(show_, options.shell)
    show_.leave("apt purge -y tproxyd", before)


def run_here(show_):
    """With the package that is installed on this host, which keeps it."""
    show_.configure()
    show_.machine.make_legacy_tables()
    before = show_.machine.state()
    join(show_)
    show_.leave("systemctl disable --now --quiet tproxyd", before)


def parse():
    parser = argparse.ArgumentParser(prog="try")
    parser.add_argument("repository")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--package", help="a .deb file, to be installed in a container")
    what.add_argument("--here", action="store_true", help="this host has the package, and is thrown away afterwards")
    parser.add_argument("--listings", required=True, help="a file for what is long")
    parser.add_argument("--kuma", help="a directory with Kuma's programs")
    parser.add_argument("--shell", action="store_true")
    return parser.parse_args()


def main():
    options = parse()
    sys.path.insert(0, f"{options.repository}/tests/system")
    import machine as machines
    import machine.here as here

    reason = None if options.here else machines.unavailable()
    if reason:
        print(f"try: no container can be booted here: {reason}", file=sys.stderr)
        return 77
    kuma = os.path.abspath(options.kuma) if options.kuma else None
    addresses = {"inside": machines.INSIDE4, "outside": machines.OUTSIDE4, "outside6": machines.OUTSIDE6, "far": machines.FAR4}
    if options.here:
        wanted = here.Here()
    else:
        print("a container with a real systemd, and " + (f"Kuma from {kuma}" if kuma else "a stand-in for kuma-dp"))
        wanted = machines.Machine(proxies=kuma)
    try:
        with open(options.listings, "w", encoding="utf-8") as listings, \
                tempfile.TemporaryDirectory(prefix="tproxyd-try-") as directory, wanted as machine:
            show_ = Show(machine, addresses, kuma, directory, listings)
            run_here(show_) if options.here else run(show_, options)
    except (machines.MachineError, machines.CommandFailed, OSError, subprocess.SubprocessError) as error:
        print(f"try: {error}", file=sys.stderr)
        return 1
    if not options.here:
        print("\nThe container is gone; this host is as it was.")
    print(f"Rules, processes, journal: {options.listings}")
    for sentence in show_.failed:
        print(paint("31", f"   not as it should be: {sentence}"))
    return 1 if show_.failed else 0


if __name__ == "__main__":
    sys.exit(main())
