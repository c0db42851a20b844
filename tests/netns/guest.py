#!/usr/bin/python3 -IB
# SPDX-License-Identifier: GPL-2.0-or-later
"""The only program of a guest that vm.py boots: joins it to a mesh with the stand-in, and says what came of it.

Prints one line, "RESULT " and JSON, between what the kernel says."""

import ctypes
import json
import os
import re
import socket
import subprocess
import sys
import time
import traceback

FAR = {"v4": "198.51.100.1", "v6": "2001:db8:7::1"}
CONFIG = """
kumaDP: {path: /standin/kuma-dp, envoyPath: /standin/envoy, cpAddress: "https://198.51.100.10:5678",
         tokenFile: /etc/token, dataplaneFile: /etc/dataplane.yaml}
coreDNS: {path: /standin/coredns}
redirect: {dns: {enabled: true}}
"""
DATAPLANE = """
type: Dataplane
mesh: default
name: web
networking:
  address: 10.77.0.2
  inbound: [{port: 8080, tags: {kuma.io/service: web}}]
  transparentProxying: {redirectPortInbound: 15006, redirectPortOutbound: 15001}
"""
# Says from which port it was asked: from the client's own only where nothing redirected it. Then says everything back.
SERVER = """
import socket, threading
def talk(joined, peer):
    joined.sendall(b"%d\\n" % peer[1])
    while data := joined.recv(100):
        joined.sendall(data)
listener = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
print("listens", flush=True)
while True:
    threading.Thread(target=talk, args=listener.accept(), daemon=True).start()
"""


def mount(kind, place):
    os.makedirs(place, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(kind.encode(), place.encode(), kind.encode(), 0, None) != 0:
        raise OSError(ctypes.get_errno(), f"mount {kind}")


def run(*argv, check=True):
    return subprocess.run(argv, check=check, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def prepare():
    os.environ["PATH"] = "/bin"
    for kind, place in (("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/run"), ("tmpfs", "/tmp")):
        mount(kind, place)
    os.makedirs("/etc", exist_ok=True)
    write("/etc/passwd", "root:x:0:0::/:/bin/sh\nkuma-dp:x:5678:5678::/:/bin/false\n")
    write("/etc/group", "root:x:0:\nkuma-dp:x:5678:\n")
    write("/etc/resolv.conf", "nameserver 198.51.100.53\nnameserver 2001:db8:7::53\n")
    write("/etc/tproxyd.yaml", CONFIG)
    write("/etc/dataplane.yaml", DATAPLANE)
    write("/etc/token", "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjk5OTk5OTk5OTl9.c2ln\n")
    run("ip", "link", "set", "lo", "up")
    run("ip", "netns", "add", "far")
    run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", "far")
    for where, host in ((("-n", "far"), 1), ((), 2)):
        run("ip", *where, "link", "set", "lo", "up")
        run("ip", *where, "address", "add", f"10.77.0.{host}/24", "dev", "eth0")
        run("ip", *where, "address", "add", f"fd77::{host}/64", "dev", "eth0", "nodad")
        run("ip", *where, "link", "set", "eth0", "up")
        run("ip", *where, "route", "add", "default", "via", f"10.77.0.{3 - host}")
        run("ip", *where, "route", "add", "default", "via", f"fd77::{3 - host}")
    run("ip", "-n", "far", "address", "add", f"{FAR['v4']}/32", "dev", "lo")
    run("ip", "-n", "far", "address", "add", f"{FAR['v6']}/128", "dev", "lo", "nodad")
    server = subprocess.Popen(["ip", "netns", "exec", "far", "/bin/python3", "-c", SERVER], stdout=subprocess.PIPE, text=True)
    if server.stdout.readline() != "listens\n":
        raise RuntimeError("no server")


def join(family):
    joined = socket.create_connection((FAR[family], 80), 10)
    joined.settimeout(10)
    seen = int(joined.makefile().readline())
    return joined, "direct" if seen == joined.getsockname()[1] else "redirected"


def connections():
    found = {}
    for family in FAR:
        try:
            joined, found[family] = join(family)
            joined.close()
        except (OSError, ValueError) as error:
            found[family] = f"{type(error).__name__}: {error}"
    return found


def is_alive(joined):
    try:
        joined.sendall(b"still there\n")
        return joined.recv(100) == b"still there\n"
    except OSError:
        return False


def status():
    try:
        return json.loads(run("/bin/tproxyd", "status", "--json", check=False).stdout)
    except ValueError:
        return {}


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def tables():
    """What is in nf_tables, and the legacy tables that there are."""
    found = run("nft", "list", "ruleset", check=False)
    ruleset = "" if found.returncode else found.stdout
    names = [open(f"/proc/net/{name}_tables_names", encoding="ascii").read().split()
             for name in ("ip", "ip6") if os.path.exists(f"/proc/net/{name}_tables_names")]
    return {"nft": ruleset, "legacy": sorted({name for some in names for name in some})}


def story():
    """Everything that is asked of the kernel, from the start to the end of tproxyd."""
    result = {"kernel": os.uname().release, "before": connections()}
    for module in ("ip_tables", "ip6_tables"):  # as the unit wants modprobe@.service
        run("modprobe", "-q", module, check=False)
    log = open("/run/log", "w+", encoding="utf-8")
    daemon = subprocess.Popen(["/bin/tproxyd", "run", "--config-file", "/etc/tproxyd.yaml"], stdin=subprocess.DEVNULL,
                              stdout=log, stderr=log)
    wait_until(lambda: daemon.poll() is not None or status().get("phase") == "redirecting", 120)
    result["status"] = status()
    result["started"] = connections()
    result["tables"] = tables()
    if daemon.poll() is None:
        joined = [join(family)[0] for family in FAR]
        result["flush"] = run("nft", "flush", "ruleset", check=False).returncode
        time.sleep(0.1)
        result["just flushed"] = tables()["nft"]
        time.sleep(3)
        result["flushed"] = connections()
        daemon.terminate()
        result["drains"] = bool(wait_until(lambda: status().get("phase") == "draining", 10))
        result["draining"] = connections()
        result["alive"] = [is_alive(one) for one in joined]
        for one in joined:
            one.close()
    try:
        result["exit"] = daemon.wait(60)
    except subprocess.TimeoutExpired:
        result["exit"] = "it runs on"
        daemon.kill()
    result["stopped"] = connections()
    result["left"] = tables()
    log.seek(0)
    result["log"] = re.sub(r"\x1b\[[0-9;]*m", "", log.read())
    return result


def main():
    try:
        prepare()
        result = story()
    except BaseException:  # whatever it is, the host is told
        result = {"failed": traceback.format_exc()}
    sys.stdout.write("\nRESULT " + json.dumps(result) + "\n")
    sys.stdout.flush()
    time.sleep(0.5)
    ctypes.CDLL(None).reboot(0x4321fedc)  # RB_POWER_OFF


main()
