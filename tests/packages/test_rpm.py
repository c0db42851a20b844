# SPDX-License-Identifier: GPL-2.0-or-later
"""The RPM, built with Debian's tools: nothing of it has been tried on RHEL or Fedora."""

import glob
import os
import re
import shutil
import subprocess

import deb
import pytest
import sample

# Where Debian keeps what RPM distributions keep elsewhere.
ELSEWHERE = {
    "/lib/systemd/system": "/usr/lib/systemd/system",
    "/usr/share/zsh/vendor-completions": "/usr/share/zsh/site-functions",
    "/usr/share/doc/tproxyd/copyright": "/usr/share/licenses/tproxyd/LICENSE",
}
# RPM has the list of changes among its own data.
DEBIAN_ONLY = ("/usr/share/doc/tproxyd/changelog.gz", "/etc/needrestart/restart.d/tproxyd.service")
# Directories that a package owns, as the files in them are its own alone.
OWN = ("/etc/tproxyd", "/usr/share/tproxyd")


def rpm_path(rpms):
    [path] = [name for name in glob.glob(f"{rpms}/tproxyd-[0-9]*.rpm") if not name.endswith(".src.rpm")]
    return path


def query(rpms, *words):
    return subprocess.run(["rpm", "-qp", "--nosignature", *words, rpm_path(rpms)], check=True, capture_output=True, text=True).stdout


def elsewhere(path):
    for here, there in ELSEWHERE.items():
        if path == here or path.startswith(here + "/"):
            return there + path[len(here):]
    return path


def is_listed(path, kind):
    return path not in DEBIAN_ONLY and (kind == "file" or path.startswith(OWN))


def test_files_and_modes_are_those_of_the_deb(packages, rpms):
    wanted = {elsewhere(path): (kind, oct(mode), owner, group)
              for path, (kind, mode, owner, group) in deb.members(packages).items() if is_listed(path, kind)}
    found = {}
    for line in query(rpms, "--qf", "[%{FILENAMES} %{FILEMODES} %{FILEUSERNAME} %{FILEGROUPNAME}\n]").splitlines():
        path, mode, owner, group = line.split()
        kind = "directory" if int(mode) & 0o40000 else "file"
        if kind == "file" or path.startswith(OWN):
            found[path] = (kind, oct(int(mode) & 0o7777), owner, group)
    assert found == wanted


def test_the_configuration_is_the_administrators(rpms):
    assert query(rpms, "--configfiles").split() == ["/etc/tproxyd/tproxyd.yaml"]
    assert "%config(noreplace)" in open(os.path.join(deb.REPOSITORY, "packaging/rpm/tproxyd.spec"), encoding="utf-8").read()


def test_version_and_changes_are_those_of_the_deb(packages, rpms):
    assert query(rpms, "--qf", "%{VERSION}") == deb.version(packages)
    assert f" - {deb.version(packages)}-1\n- " in query(rpms, "--changelog")


def test_scripts_name_nothing_of_debians(rpms):
    said = query(rpms, "--scripts")
    assert "tproxyd uninstall --recorded" in said
    assert re.findall(r"dpkg|deb-systemd|apt|(?<!/usr)/lib/", said) == []


def test_rpmlint_finds_no_error(repository, rpms):
    if shutil.which("rpmlint") is None:
        pytest.skip("rpmlint is not installed")
    done = subprocess.run(["rpmlint", "--config", f"{repository}/packaging/rpm/rpmlint.toml", *glob.glob(f"{rpms}/*.rpm"),
                           f"{repository}/packaging/rpm/tproxyd.spec"], capture_output=True, text=True, check=False)
    assert " 0 errors" in done.stdout, done.stdout + done.stderr


def install(machine, rpms):
    """What the installation says."""
    machine.copy(rpm_path(rpms), "/root/tproxyd.rpm")
    return machine.run(["rpm", "--dbpath=/var/tmp/rpm", "-i", "--nodeps", "/root/tproxyd.rpm"]).stdout


def remove(machine, check=True):
    return machine.run(["rpm", "--dbpath=/var/tmp/rpm", "-e", "tproxyd"], check=check, timeout=120)


def test_its_scripts_install_and_remove(machine, rpms):
    machine.make_legacy_tables()
    rules = machine.state()["rules"]
    assert "redirects nothing yet" in install(machine, rpms)
    assert machine.run(["id", "-u", "kuma-dp"]).stdout == "5678\n"
    machine.systemctl("daemon-reload")
    assert machine.show("tproxyd.service", "UnitFileState") == "disabled"
    deb.configure(machine)
    machine.systemctl("enable", "--now", "tproxyd", timeout=60)
    assert sample.is_redirected(machine)
    remove(machine)
    assert machine.state()["rules"] == rules and sample.processes(machine) == {}
    left = machine.sh("find /usr /lib /run /etc -name '*tproxyd*' | sort").split()
    assert [path for path in left if not path.startswith("/etc/")] == []
    assert machine.run(["ls", "/etc/tproxyd"]).stdout.split() == ["dataplane.yaml", "token", "tproxyd.yaml.rpmsave"]


def test_the_package_stays_while_a_daemon_runs(machine, rpms):
    machine.make_legacy_tables()
    install(machine, rpms)
    deb.configure(machine)
    deb.run_without_unit(machine)
    refused = remove(machine, check=False)
    assert refused.returncode != 0 and deb.STAYS in refused.stderr, refused.stdout + refused.stderr
    assert machine.exists("/usr/sbin/tproxyd") and sample.is_redirected(machine)
    machine.systemctl("stop", "elsewhere", timeout=60)
    remove(machine)
    assert not machine.exists("/usr/sbin/tproxyd") and not sample.is_redirected(machine)


def test_removal_takes_out_what_install_stored_for_firewalld(machine, rpms):
    machine.make_legacy_tables()
    install(machine, rpms)
    deb.store(machine)
    remove(machine)
    assert machine.read(deb.DIRECT) == deb.OTHERS.format("")
    assert not sample.is_redirected(machine)
