# SPDX-License-Identifier: GPL-2.0-or-later
"""For tests that run the stand-in: network namespaces that end with the test, and a handle on a running stand-in.

Nothing is named or mounted on the machine itself: a namespace lives as long as the process that holds it.
"""

import base64
import json
import os
import signal
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.realpath(__file__))
UID = 5678

# Where a namespace has these files: the path to the repository may be closed to the proxy's user.
KUMA_DP = "/run/standin/kuma-dp"
PEER = "/run/standin/peer"
PROXIES = "/run/proxies"

DATAPLANE = """type: Dataplane
mesh: default
name: {{ name }}
networking:
  address: 127.0.0.1
  inbound:
    - port: 8080   # the application
      tags:
        kuma.io/service: backend
  transparentProxying:
    redirectPortInbound: 15006
    redirectPortOutbound: 15001
"""


class Namespace:
    """A network namespace (and a mount namespace, for its own resolv.conf) held by a process that waits on a pipe."""

    def __init__(self, nameserver="127.0.0.1", proxies=None):
        steps = ["resolv=$(readlink -m /etc/resolv.conf)",  # on many hosts a link into /run
                 "mount -t tmpfs -o mode=755 tmpfs /run", f"echo nameserver {nameserver} >/run/resolv.conf",
                 'case $resolv in /run/*) mkdir -p "${resolv%/*}"; touch "$resolv" ;; esac',
                 'mount --bind /run/resolv.conf "$resolv"',
                 "mkdir /run/standin /run/proxies", 'mount --bind "$1" /run/standin',
                 'if [ -n "$2" ]; then mount --bind "$2" /run/proxies; fi', "echo up", "exec cat"]
        self.holder = subprocess.Popen(
            ["unshare", "-n", "-m", "sh", "-ec", "\n".join(steps), "sh", HERE, proxies or ""],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
        if self.holder.stdout.readline() != "up\n":
            raise RuntimeError("a namespace could not be made")
        self.pid = self.holder.pid
        self.children = []
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *arguments):
        # --root and --wd: in a chroot, entering a mount namespace alone leads out of it.
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--root", "--wd", "--", *arguments]

    def run(self, *arguments, check=True, stdin=None):
        """Runs a program to its end; its output, or the error with what it said."""
        done = subprocess.run(self.command(*arguments), input=stdin, capture_output=True, text=True, timeout=60,
                              check=False)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: exit {done.returncode}: {done.stderr or done.stdout}")
        return done.stdout.strip()

    def start(self, *arguments, **options):
        child = subprocess.Popen(self.command(*arguments), text=True, **options)
        self.children.append(child)
        return child

    def serve(self, *arguments):
        """Starts `peer serve` or `peer resolve` and waits until it listens."""
        child = self.start(PEER, *arguments, stdout=subprocess.PIPE)
        if child.stdout.readline() != "serving\n":
            raise RuntimeError(f"peer {' '.join(arguments)} does not serve")
        return child

    def peer(self, *arguments):
        return self.run(PEER, *arguments)

    def close(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream:
                    stream.close()
        self.holder.stdin.close()
        self.holder.wait()
        self.holder.stdout.close()


def join(left, right, link="up0"):
    """A veth pair between two namespaces; each is the other's default route, as mesh addresses need one."""
    left.run("ip", "link", "add", link, "type", "veth", "peer", "name", link, "netns", str(right.pid))
    for number, space in ((1, left), (2, right)):
        space.run("ip", "addr", "add", f"10.44.0.{number}/24", "dev", link)
        space.run("ip", "-6", "addr", "add", f"fd44::{number}/64", "dev", link, "nodad")
        space.run("ip", "link", "set", link, "up")
    for number, space in ((2, left), (1, right)):
        space.run("ip", "route", "add", "default", "via", f"10.44.0.{number}")
        space.run("ip", "-6", "route", "add", "default", "via", f"fd44::{number}")


RULES = {
    "4": ("iptables-legacy-restore", "127.0.0.6/32", "127.0.0.1/32", "10.44.0.2"),
    "6": ("ip6tables-legacy-restore", "::6/128", "::1/128", "fd44::2"),
}


def redirect(space):
    """Puts in what kumactl would: all TCP in and out but the proxy's own, and DNS to the host's resolver."""
    for restore, passthrough, loopback, resolver in RULES.values():
        space.run(restore, stdin=f"""*nat
:MESH_IN - [0:0]
:MESH_OUT - [0:0]
:TO_IN - [0:0]
:TO_OUT - [0:0]
-A PREROUTING -p tcp -j MESH_IN
-A OUTPUT -p udp --dport 53 -m owner --uid-owner {UID} -j RETURN
-A OUTPUT -p udp --dport 53 -d {resolver} -j REDIRECT --to-ports 15053
-A OUTPUT -p tcp -j MESH_OUT
-A MESH_IN -j TO_IN
-A MESH_OUT -s {passthrough} -o lo -j RETURN
-A MESH_OUT -p tcp -o lo ! -d {loopback} -m owner --uid-owner {UID} -j TO_IN
-A MESH_OUT -p tcp -o lo -m owner ! --uid-owner {UID} -j RETURN
-A MESH_OUT -m owner --uid-owner {UID} -j RETURN
-A MESH_OUT -d {loopback} -j RETURN
-A MESH_OUT -j TO_OUT
-A TO_IN -p tcp -j REDIRECT --to-ports 15006
-A TO_OUT -p tcp -j REDIRECT --to-ports 15001
COMMIT
""")
    space.run("ip", "-6", "addr", "add", "::6/128", "dev", "lo")


def state(pid):
    """The state of a process as /proc says it in one letter, X for one that is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(") ")[2][0]
    except (OSError, IndexError):
        return "X"


def alive(pid):
    """Whether a process runs; one that only waits to be reaped does not."""
    return state(pid) not in "ZX"


def token():
    """A JWT that kuma-dp takes: it looks at the form only."""
    parts = ({"alg": "RS256", "typ": "JWT", "kid": "1"}, {"Name": "app", "Mesh": "default"})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join(encoded + ["c2lnbmF0dXJl"])


class StandIn:
    """A running `kuma-dp run` with files of its own in a directory, as the user 5678."""

    def __init__(self, space, directory, *flags, engine="builtin", token_text=None, **switches):
        self.space = space
        self.directory = str(directory)
        self.work = os.path.join(self.directory, "work")
        self.admin = os.path.join(self.work, "kuma-envoy-admin.sock")
        self.make_files(token_text if token_text is not None else token())
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "STANDIN_ENGINE": engine}
        environment.update({name if name.startswith("KUMA_") else "STANDIN_" + name: str(value)
                            for name, value in switches.items()})
        arguments = [KUMA_DP, "run", "--cp-address=https://192.0.2.1:5678",
                     f"--dataplane-file={self.directory}/dataplane.yaml", "--dataplane-var=name=app",
                     f"--dataplane-token-file={self.directory}/token",
                     f"--work-dir={self.work}", f"--dns-server-config-dir={self.work}"]
        if engine == "envoy":
            arguments += [f"--binary-path={PROXIES}/envoy", f"--dns-coredns-path={PROXIES}/coredns"]
        self.output = open(os.path.join(self.directory, "output"), "w+", encoding="utf-8")
        self.started = time.monotonic()
        self.process = space.start(
            "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs", "--inh-caps=-all",
            *arguments, *flags, env=environment, stdout=self.output, stderr=self.output)

    def make_files(self, token_text):
        os.makedirs(self.work, exist_ok=True)
        os.chmod(self.directory, 0o755)
        os.chown(self.work, UID, UID)
        for name, text in (("dataplane.yaml", DATAPLANE), ("token", token_text),
                           ("redirect.yaml", "redirect:\n  dns: {enabled: true}\n")):
            with open(os.path.join(self.directory, name), "w", encoding="utf-8") as file:
                file.write(text)

    def log(self):
        self.output.flush()
        with open(self.output.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def ask_admin(self, request):
        """The raw answer of the admin socket, or "" where there is none."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(3)
                connection.connect(self.admin)
                connection.sendall(request.encode())
                return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        except OSError:
            return ""

    def get(self, target):
        return self.ask_admin(f"GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")

    def is_live(self):
        return self.get("/ready").startswith("HTTP/1.1 200")

    def wait_live(self, patience=20.0):
        """Seconds from the start until Envoy's admin said LIVE."""
        deadline = time.monotonic() + patience
        while not self.is_live():
            if self.process.poll() is not None:
                raise RuntimeError(f"the stand-in ended with {self.process.returncode}:\n{self.log()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"the stand-in is not live after {patience} s:\n{self.log()}")
            time.sleep(0.005)
        return time.monotonic() - self.started

    def ready(self):
        """Status and body of the readiness port."""
        script = ("import http.client as h; c = h.HTTPConnection('127.0.0.1', 9902, timeout=3); "
                  "c.request('GET', '/ready'); r = c.getresponse(); print(r.status, r.read().decode())")
        return self.space.run("/usr/bin/python3", "-I", "-c", script, check=False)

    def listeners(self, transport="-t"):
        """What listens in the namespace, as (address, port) pairs."""
        rows = self.space.run("ss", "-Hln", transport).splitlines()
        return {tuple(row.split()[3].rsplit(":", 1)) for row in rows}

    def pids(self):
        """The processes of the stand-in by name."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                    head, _, tail = file.read().rpartition(") ")
            except OSError:
                continue
            fields = tail.split()
            if fields[0] != "Z" and (int(pid) == self.process.pid or int(fields[1]) == self.process.pid):
                found[head.split("(", 1)[1]] = int(pid)
        return found

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, patience=20.0):
        """The exit status and how long it took to come."""
        begin = time.monotonic()
        status = self.process.wait(patience)
        return status, time.monotonic() - begin

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.output.close()


class World:
    """A host whose traffic is redirected to a stand-in, and the peer it talks to."""

    def __init__(self, engine, directory, proxies):
        self.engine = engine
        self.host = Namespace(nameserver="10.44.0.2", proxies=proxies)
        self.peer = Namespace()
        join(self.host, self.peer)
        self.peer.serve("serve", "7000", "80/http")
        for address in ("10.44.0.2", "fd44::2"):
            self.peer.serve("resolve", address)
        self.host.serve("serve", "7001", "8080/http")
        self.standin = StandIn(self.host, directory, f"--transparent-proxy-config={directory}/redirect.yaml",
                                   "--drain-time=3s", engine=engine, ROUTES="shop.mesh=10.44.0.2:80")
        self.start_time = self.standin.wait_live()
        redirect(self.host)

    def connections(self):
        """TCP connections that the builtin engine has taken, by direction."""
        body = self.standin.get("/standin/connections")
        directions = json.loads(body[body.index("{"):body.rindex("}") + 1])
        return {name: counts["total"] for name, counts in directions.items()}

    def close(self):
        self.standin.close()
        self.host.close()
        self.peer.close()
