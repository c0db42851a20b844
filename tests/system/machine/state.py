# SPDX-License-Identifier: GPL-2.0-or-later
"""Prints, as JSON, what a stopped tproxyd has to leave as it found it. Runs in a machine."""

import hashlib
import json
import os
import stat
import subprocess

TOPS = ("/etc", "/run", "/tmp", "/var/lib", "/var/tmp")
# systemd's own, and what any login or boot changes.
IGNORED = ("/run/systemd", "/run/log", "/run/udev", "/run/dbus", "/run/credentials", "/run/utmp", "/run/user",
           "/run/host", "/run/lock", "/run/initctl", "/var/lib/systemd", "/etc/.updated", "/run/motd.dynamic",
           "/var/lib/rpm")  # the last: of the machine underneath, where packages are built beside

LARGE = 100_000


def is_ignored(path):
    return any(path == top or path.startswith(top + "/") for top in IGNORED) or "/systemd-private-" in path


def describe(path):
    found = os.lstat(path)
    text = f"{stat.filemode(found.st_mode)} {found.st_uid}:{found.st_gid}"
    if stat.S_ISLNK(found.st_mode):
        return f"{text} -> {os.readlink(path)}"
    if stat.S_ISREG(found.st_mode):
        if found.st_size > LARGE:
            return f"{text} {found.st_size} {found.st_mtime_ns}"
        with open(path, "rb") as file:
            return f"{text} {found.st_size} {hashlib.sha256(file.read()).hexdigest()[:16]}"
    return text


def files():
    found = {}
    for top in TOPS:
        for where, directories, names in os.walk(top):
            directories[:] = [name for name in directories if not is_ignored(f"{where}/{name}")]
            for name in directories + names:
                path = f"{where}/{name}"
                if not is_ignored(path):
                    try:
                        found[path] = describe(path)
                    except FileNotFoundError:
                        pass
    return found


def output(*argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()


def rules():
    """Policies and rules without counters: a test of counters asks iptables-legacy-save -c itself."""
    found = {}
    for tool in ("iptables-legacy-save", "ip6tables-legacy-save"):
        found[tool] = [line.split(" [")[0] for line in output(tool) if not line.startswith("#")]
    found["nft"] = output("nft", "-s", "list", "ruleset")
    return found


def addresses():
    return sorted(" ".join(line.split("valid_lft")[0].split()) for line in output("ip", "-o", "addr"))


if __name__ == "__main__":
    print(json.dumps({"rules": rules(), "addresses": addresses(), "files": files()}))
