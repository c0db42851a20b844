# SPDX-License-Identifier: GPL-2.0-or-later
"""The disk of a machine: this host's root with an empty sheet over it, made to look like a freshly installed Debian.

The sheet (a tmpfs) and the mounts are in the warden's own mount namespace and go with it.
"""

import os
import shutil
import stat
import subprocess
import uuid

from . import kernel

# What a machine keeps of the host's top directories. All else (/data, …) is not there.
KEEP = {"bin", "boot", "etc", "lib", "lib32", "lib64", "libx32", "sbin", "usr", "var"}
# Mount points of nspawn's, or of everyone.
EMPTY = ("dev", "proc", "sys", "run", "tmp", "mnt", "media", "srv", "opt", "home", "root")
# Directories that begin empty: what is enabled, installed by hand, logged or lying about on the host is not the machine's.
CLEAN = {
    "etc/systemd/system": 0o755, "etc/tproxyd": 0o755, "etc/ssh": 0o755, "etc/cron.d": 0o755,
    "etc/rc0.d": 0o755, "etc/rc1.d": 0o755, "etc/rc2.d": 0o755, "etc/rc3.d": 0o755, "etc/rc4.d": 0o755,
    "etc/rc5.d": 0o755, "etc/rc6.d": 0o755, "etc/rcS.d": 0o755,
    "usr/local": 0o755, "var/tmp": 0o1777, "var/log": 0o755, "var/cache": 0o755, "var/spool": 0o755,
    "var/lib/systemd": 0o755, "var/lib/private": 0o700,
}
MASK = (
    "systemd-timesyncd.service", "systemd-networkd.service", "systemd-networkd.socket", "systemd-resolved.service",
    "systemd-udevd.service", "systemd-udevd-kernel.socket", "systemd-udevd-control.socket",
    "systemd-udev-trigger.service", "systemd-hwdb-update.service", "systemd-binfmt.service",
    "systemd-firstboot.service", "systemd-repart.service", "systemd-pstore.service", "systemd-oomd.service",
    "systemd-random-seed.service", "systemd-modules-load.service", "systemd-boot-update.service", "ldconfig.service",
    "getty.target", "console-getty.service", "getty-static.service", "nsswitch.service",
)
UNIT_DIRECTORY = "lib/systemd/system"
UNWANTED_KINDS = (".service", ".socket", ".timer", ".path", ".mount", ".automount")
PROXIES = "/opt/proxies"
STANDIN = "/usr/local/lib/standin"


def make(place, spec):
    """Lays the disk out under PLACE, an empty tmpfs, installs what the spec names, and returns its root."""
    upper, work, root = (f"{place}/{name}" for name in ("up", "wk", "root"))
    for path in (upper, work, root):
        os.mkdir(path, 0o755)
    _lay_sheet(upper)
    kernel.mount("overlay", root, "overlay", 0, f"lowerdir=/,upperdir={upper},workdir={work}")
    _identify(root, spec["name"], spec["resolv_conf"])
    _mask(root)
    # The real programs come first: the stand-in's envoy and coredns are for where there are none.
    if spec.get("proxies"):
        os.mkdir(root + PROXIES)
        _link_programs(root, spec["proxies"], PROXIES)
    if spec.get("standin"):
        shutil.copytree(spec["standin"], root + STANDIN, ignore=shutil.ignore_patterns("__pycache__", "*.md"))
        _link_programs(root, root + STANDIN, STANDIN)
    if spec.get("build"):
        _install_build(root, spec["build"])
    for path, text in spec.get("files", {}).items():
        os.makedirs(os.path.dirname(root + path), 0o755, exist_ok=True)
        write(root + path, text)
    _mark_up_to_date(root)
    return root


def _hide(upper, path, mode):
    """An empty directory in the sheet that shows nothing of what is below."""
    full = f"{upper}/{path}"
    os.makedirs(full, 0o755, exist_ok=True)
    os.chmod(full, mode)
    os.setxattr(full, "trusted.overlay.opaque", b"y")


def _lay_sheet(upper):
    os.chmod(upper, 0o755)
    for entry in os.listdir("/"):
        if entry not in KEEP and entry not in EMPTY:
            os.mknod(f"{upper}/{entry}", stat.S_IFCHR | 0o000, os.makedev(0, 0))
    for entry in EMPTY:
        _hide(upper, entry, {"tmp": 0o1777, "root": 0o700}.get(entry, 0o755))
    for path, mode in CLEAN.items():
        if os.path.isdir(f"/{path}"):
            _copy_parents(upper, path)
            _hide(upper, path, mode)
    for name in ("bin", "sbin", "lib", "etc", "share"):
        os.makedirs(f"{upper}/usr/local/{name}", 0o755, exist_ok=True)
    os.makedirs(f"{upper}/var/log/journal", 0o755, exist_ok=True)


def _copy_parents(upper, path):
    """A directory in the sheet decides about mode and owner of the one it covers: take them over."""
    parent = ""
    for part in path.split("/")[:-1]:
        parent = f"{parent}/{part}"
        if not os.path.isdir(upper + parent):
            os.mkdir(upper + parent)
            shutil.copystat(parent, upper + parent)


def write(path, text, mode=0o644):
    """Replaces a file, or a symbolic link, by a file with that text."""
    if os.path.lexists(path):
        os.unlink(path)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def _identify(root, name, resolv_conf):
    # An absent machine-id would make this a first boot, which enables every preset.
    write(f"{root}/etc/machine-id", uuid.uuid4().hex + "\n", 0o444)
    write(f"{root}/etc/hostname", f"{name}\n")
    write(f"{root}/etc/hosts", f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 {name}\n")
    write(f"{root}/etc/resolv.conf", resolv_conf)
    write(f"{root}/etc/fstab", "")
    write(f"{root}/etc/environment", "")
    for file, mode in (("passwd", 0o644), ("group", 0o644), ("shadow", 0o640), ("gshadow", 0o640)):
        path = f"{root}/etc/{file}"
        with open(path, encoding="utf-8", errors="surrogateescape") as old:
            lines = old.readlines()
        kept = [line for line in lines if not line.startswith("kuma-dp:")]
        if kept != lines:
            owner = os.stat(path)
            os.unlink(path)
            with open(path, "w", encoding="utf-8", errors="surrogateescape") as new:
                new.writelines(kept)
            os.chown(path, owner.st_uid, owner.st_gid)
            os.chmod(path, mode)
    policy = f"{root}/usr/sbin/policy-rc.d"
    if os.path.lexists(policy):
        os.unlink(policy)


def _mask(root):
    """Nothing starts by itself but systemd's own, the message bus, and what is under test."""
    units = set(MASK)
    for entry in os.listdir(f"{root}/{UNIT_DIRECTORY}"):
        if entry.endswith((".wants", ".requires")):
            units.update(unit for unit in os.listdir(f"{root}/{UNIT_DIRECTORY}/{entry}")
                         if unit.endswith(UNWANTED_KINDS) and not unit.startswith(("dbus", "systemd-", "tproxyd")))
    for unit in units:
        os.symlink("/dev/null", f"{root}/etc/systemd/system/{unit}")


def programs(directory):
    return [entry for entry in sorted(os.listdir(directory))
            if os.path.isfile(f"{directory}/{entry}") and os.access(f"{directory}/{entry}", os.X_OK)]


def gather_programs(directory, place):
    """Makes the programs of a directory visible in another, also those that are symbolic links to elsewhere."""
    os.mkdir(place)
    for entry in programs(directory):
        with open(f"{place}/{entry}", "wb"):
            pass
        kernel.mount(os.path.realpath(f"{directory}/{entry}"), f"{place}/{entry}", None, kernel.MS_BIND)


def _link_programs(root, directory, seen_as):
    """Every program of the directory gets its name in /usr/local/bin, unless it is taken."""
    for entry in programs(directory):
        link = f"{root}/usr/local/bin/{entry}"
        if not os.path.lexists(link):
            os.symlink(f"{seen_as}/{entry}", link)


def _install_build(root, build):
    """What a package would do: its files, then the triggers for users and the journal's catalog."""
    for argv in (["cmake", "--install", build],
                 ["systemd-sysusers", f"--root={root}"],
                 ["journalctl", f"--root={root}", "--update-catalog"]):
        done = subprocess.run(argv, env={**os.environ, "DESTDIR": root}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise OSError(f"{' '.join(argv)}: exit status {done.returncode}\n{done.stdout}")


def _mark_up_to_date(root):
    """Keeps systemd from rebuilding caches at boot, as it does after an update of /usr."""
    for place in ("etc", "var"):
        write(f"{root}/{place}/.updated", "")
