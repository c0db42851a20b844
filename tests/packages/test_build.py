# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages as files: built twice, looked at by lintian, compared with each other."""

import hashlib
import os
import shutil
import subprocess

import deb
import pytest

PROGRAMS = ("/usr/sbin/tproxyd", "/etc/needrestart/restart.d/tproxyd.service")


def digests(place):
    found = {}
    for name in os.listdir(place):
        if name.endswith((".deb", ".dsc", ".tar.xz")):
            with open(f"{place}/{name}", "rb") as file:
                found[name] = hashlib.sha256(file.read()).hexdigest()
    return found


def test_the_same_tree_gives_the_same_bytes(repository, packages, tmp_path):
    """From a copy without git, in another place, of another age, with other permissions, at another hour of the world."""
    listed = subprocess.run([f"{repository}/packaging/list-files"], check=True, capture_output=True).stdout
    for name in listed.decode().rstrip("\0").split("\0"):
        os.makedirs(os.path.dirname(tmp_path / "copy" / name), exist_ok=True)
        shutil.copy(f"{repository}/{name}", tmp_path / "copy" / name)
    subprocess.run(["chmod", "-R", "g-rwx,o-rwx", tmp_path / "copy"], check=True)
    subprocess.run(["nice", "-n", "19", tmp_path / "copy" / "packaging" / "build-deb", tmp_path / "again"],
                   check=True, umask=0o077,
                   env={**os.environ, "TZ": "Pacific/Auckland", "LC_ALL": "C.UTF-8", "TMPDIR": str(tmp_path)})
    assert len(digests(packages)) == 4
    assert digests(tmp_path / "again") == digests(packages)


def test_lintian_has_nothing_to_say(packages):
    if shutil.which("lintian") is None:
        pytest.skip("lintian is not installed")
    [changes] = [name for name in os.listdir(packages) if name.endswith(".changes")]
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", "--show-overrides", f"{packages}/{changes}"],
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_what_is_installed_belongs_to_root_and_is_for_everybody_to_read(packages):
    for path, (kind, mode, owner, group) in deb.members(packages).items():
        wanted = 0o755 if kind == "directory" or path in PROGRAMS else 0o644
        assert (oct(mode), owner, group) == (oct(wanted), "root", "root"), path


def test_debugging_symbols_are_those_of_the_program(packages, tmp_path):
    [symbols] = [name for name in os.listdir(packages) if name.startswith("tproxyd-dbgsym_") and name.endswith(".deb")]
    subprocess.run(["dpkg-deb", "--extract", deb.path(packages), tmp_path], check=True)
    said = subprocess.run(["readelf", "--notes", tmp_path / "usr/sbin/tproxyd"], check=True, capture_output=True, text=True).stdout
    [build] = [line.split()[-1] for line in said.splitlines() if "Build ID" in line]
    listed = subprocess.run(["dpkg-deb", "--contents", f"{packages}/{symbols}"], check=True, capture_output=True, text=True).stdout
    assert f"/.build-id/{build[:2]}/{build[2:]}.debug" in listed
