# SPDX-License-Identifier: GPL-2.0-or-later
"""Which ports are left out of the mesh for SSH, in the unit's sandbox as on the command line; and which are not."""

import json

import machine as machines
import sample

PROGRAMS = "/usr/local/lib/servers"
SERVER = "import socket, sys, time; listener = socket.create_server(('', int(sys.argv[1]))); time.sleep(9999)"
USER = 4242
UNKNOWN = "root listens there with what is no SSH server that is known"
INSTALL = ["tproxyd", "install", "--dry-run", "--safety-protect-ssh=true"]


def serve(machine, unit, program, port, *words, user=None):
    """A service whose program is called so and listens on that port."""
    machine.run(["mkdir", "-p", PROGRAMS])
    machine.write(f"{PROGRAMS}/server.py", SERVER)
    machine.run(["ln", "-sf", "/usr/bin/python3", f"{PROGRAMS}/{program}"])
    argv = [f"{PROGRAMS}/{program}", f"{PROGRAMS}/server.py", port, *words]
    if user:
        machine.run(["systemd-run", "--user", f"--unit={unit}", *argv], user=user,
                    env={"XDG_RUNTIME_DIR": f"/run/user/{USER}"})
    else:
        machine.run(["systemd-run", f"--unit={unit}", *argv])
    wait_for(machine, port)


def wait_for(machine, port):
    machine.wait_until(lambda: machine.run(["ss", "-Hltn", f"sport = :{port}"]).stdout, 5, f"port {port}")


def serve_by_systemd(machine, name, port):
    machine.write(f"/etc/systemd/system/{name}.socket", f"[Socket]\nListenStream={port}\nAccept=yes\n")
    machine.write(f"/etc/systemd/system/{name}@.service", "[Service]\nExecStart=-/bin/cat\nStandardInput=socket\n")
    machine.systemctl("daemon-reload")
    machine.systemctl("start", f"{name}.socket")
    wait_for(machine, port)


def left_out(text):
    """The ports that a set of rules leaves out for SSH, with how often: once a family."""
    rules = [line for line in text.splitlines() if line.startswith("-A KUMA_MESH_INBOUND ") and "SSH" in line]
    return [int(rule.split("--dport ")[1].split()[0]) for rule in rules]


def told(lines):
    """What was said about SSH, without the place."""
    return [line.split("safety.protectSSH: ")[1] for line in lines if "safety.protectSSH: " in line]


def status(machine):
    return json.loads(machine.run(["tproxyd", "status", "--json"], check=False).stdout)["ssh-ports"]


def check(machine, **options):
    return told(machine.run(["tproxyd", "check"], **options).stderr.splitlines())


def test_every_ssh_server_is_left_alone_whatever_its_unit_and_port(machine):
    sample.configure(machine)
    serve(machine, "sshd-second", "sshd", 2222)
    serve(machine, "remote", "dropbear", 2224)
    serve(machine, "tcpserver", "tcpserver", 2225, "/usr/sbin/tinysshd")
    serve_by_systemd(machine, "openssh-2", 2226)
    serve(machine, "web", "web", 8081)
    serve(machine, "appliance", "appliance", 22)
    found = {"22": UNKNOWN, "2222": "sshd listens there", "2224": "dropbear listens there",
             "2225": "tinysshd listens there", "2226": "openssh-2.socket listens there"}
    sentences = [f"port {port} is left out of the mesh: {why}" for port, why in found.items()]
    sentences[0] = (f"port 22 is left out of the mesh, because {UNKNOWN}; to be sure of it, name it in "
                    "redirect.inbound.excludePorts")

    sample.start(machine)
    ports = [int(port) for port in found]
    for tool in ("iptables-legacy-save", "ip6tables-legacy-save"):
        assert left_out("\n".join(sample.rules(machine, tool))) == ports
    assert status(machine) == found
    assert told(machine.messages("-u", sample.UNIT)) == sentences
    assert check(machine) == sentences
    installed = machine.run(INSTALL)
    assert left_out(installed.stdout) == ports + ports
    assert told(installed.stderr.splitlines()) == sentences


def test_what_a_user_calls_ssh_stays_in_the_mesh(machine):
    sample.configure(machine)
    machine.sh(f"useradd -u {USER} -m mallory; systemctl start user@{USER}.service")
    serve(machine, "ssh.service", "listener", 8080, user="mallory")
    serve(machine, "other", "sshd", 8081, "/usr/sbin/sshd", user="mallory")
    sample.start(machine)
    assert left_out("\n".join(sample.rules(machine))) == []
    assert status(machine) == {}
    assert left_out(machine.run(INSTALL).stdout) == []


def test_the_port_of_the_operators_session_is_left_alone_where_what_serves_it_is_unknown(machine):
    sample.configure(machine)
    serve(machine, "appliance", "appliance", 2022)
    serve(machine, "sshd", "sshd", 22)
    session = {"SSH_CONNECTION": f"{machines.OUTSIDE4} 50000 {machines.INSIDE4} 2022"}
    said = check(machine, env=session)
    assert said[0] == "port 22 is left out of the mesh: sshd listens there"
    assert said[1].startswith("port 2022 is left out of the mesh, because you are logged in over it"), said
    assert "redirect.inbound.excludePorts" in said[1] and len(said) == 2
    assert left_out(machine.run(INSTALL, env=session).stdout) == [22, 2022] * 2
    # Known, there is nothing to warn of.
    session["SSH_CONNECTION"] = f"{machines.OUTSIDE4} 50000 {machines.INSIDE4} 22"
    assert check(machine, env=session) == said[:1]


def test_what_prepare_found_is_roots_alone_and_of_this_start(machine):
    sample.configure(machine)
    serve(machine, "sshd-second", "sshd", 2222)
    sample.drop_in(machine, "50-preserve", "[Service]\nRuntimeDirectoryPreserve=yes\n")
    sample.start(machine)
    assert machine.sh("stat -c '%a %U %G' /run/tproxyd/ssh-ports").split() == ["600", "root", "root"]
    sample.stop(machine)

    # The file of the last start is still there, and nobody looks into root's processes for this one.
    sample.drop_in(machine, "60-no-prepare", "[Service]\nExecStartPre=\n")
    assert machine.exists("/run/tproxyd/ssh-ports")
    sample.start(machine)
    assert status(machine) == {}
    said = told(machine.messages("-u", sample.UNIT))
    assert any(text.startswith("an SSH server runs, but on which ports cannot be seen from here") for text in said), said
