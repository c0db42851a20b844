# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian package: where it is, what is in it, and what an administrator does with it in a machine."""

import glob
import os
import subprocess
import tarfile

import machine as machines
import sample

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DIALOGUE = {"DEBIAN_FRONTEND": "noninteractive"}
DIRECT = "/etc/firewalld/direct.xml"
# Rules of others; and in their midst, as kumactl stores its own.
OTHERS = """\
<?xml version="1.0" encoding="utf-8"?>
<direct>
  <chain ipv="ipv4" table="nat" chain="FOREIGN"/>
  <rule ipv="ipv4" table="nat" chain="OUTPUT" priority="0">-p tcp --dport 11 -j FOREIGN</rule>
{}</direct>
"""
KUMACTLS = """\
  <chain ipv="ipv4" table="nat" chain="KUMA_MESH_OUTBOUND"/>
  <rule ipv="ipv4" table="nat" chain="OUTPUT" priority="3">-p tcp -m comment --comment kuma/mesh/transparent/proxy/ \
-j KUMA_MESH_OUTBOUND</rule>
"""
# What a removal says that is refused.
STAYS = "the package stays until it is stopped"


def path(packages):
    [found] = glob.glob(f"{packages}/tproxyd_*.deb")
    return found


def version(packages):
    return field(packages, "Version")


def field(packages, name):
    return subprocess.run(["dpkg-deb", "--field", path(packages), name], check=True, capture_output=True, text=True).stdout.strip()


def members(packages):
    """What the package lays on the disk: {PATH: (kind, mode, owner, group)}."""
    process = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path(packages)], stdout=subprocess.PIPE)
    with process, tarfile.open(fileobj=process.stdout, mode="r|") as tar:
        return {member.name[1:]: ("directory" if member.isdir() else "file", member.mode, member.uname, member.gname)
                for member in tar if member.name != "."}


def install(machine, packages):
    """What the installation says."""
    name = os.path.basename(path(packages))
    machine.copy(path(packages), f"/root/{name}")
    done = machine.run(["apt-get", "install", "-qq", "-y", f"/root/{name}"], env=DIALOGUE, timeout=240)
    return done.stdout + done.stderr


def configure(machine):
    """The three values: an edit of the file that the package brought, and two files that it names."""
    machine.sh(f"sed -i 's,https://control-plane.example:5678,https://{machines.OUTSIDE4}:5678,' /etc/tproxyd/tproxyd.yaml")
    machine.write("/etc/tproxyd/token", sample.token() + "\n", 0o600)
    machine.write("/etc/tproxyd/dataplane.yaml",
                  sample.DATAPLANE.replace("{{ name }}", "app-1").replace("{{ address }}", machines.INSIDE4))


def remove(machine, verb="remove"):
    done = machine.run(["apt-get", verb, "-qq", "-y", "tproxyd"], env=DIALOGUE, timeout=240)
    return done.stdout + done.stderr


def run_without_unit(machine):
    """Starts `tproxyd run` as something else than its unit would: "systemctl stop elsewhere" ends it."""
    machine.run(["systemd-run", "--quiet", "--unit=elsewhere", "--property=Type=notify", "tproxyd", "run"])
    assert sample.is_redirected(machine)


def store(machine, *more):
    """Stores rules beside those of others, and forgets what a reboot forgets; firewalld puts such rules in as it starts."""
    machine.write(DIRECT, OTHERS.format(""))
    machine.run(["tproxyd", "install", "--kuma-dp-user=kuma-dp", "--store-firewalld", *more])
    assert machine.read(DIRECT).count("KUMA_MESH_OUTBOUND") > 2 and sample.is_redirected(machine)
    machine.run(["rm", "-r", "/run/tproxyd-install"])


def newer(packages, directory):
    """The same package with a higher version, in the directory; returns that."""
    tree = f"{directory}/tree"
    subprocess.run(["dpkg-deb", "--raw-extract", path(packages), tree], check=True)
    with open(f"{tree}/DEBIAN/control", encoding="utf-8") as file:
        control = file.read()
    with open(f"{tree}/DEBIAN/control", "w", encoding="utf-8") as file:
        file.write(control.replace(f"Version: {version(packages)}\n", f"Version: {version(packages)}+next\n"))
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, f"{directory}/tproxyd_next.deb"], check=True)
    return str(directory)
