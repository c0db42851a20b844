# SPDX-License-Identifier: GPL-2.0-or-later
"""python3 tests/system/machine VERB …: machines from the command line."""

import argparse
import os
import subprocess
import sys

if __package__ in (None, ""):
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import machine
from machine import warden


def parse(words):
    parser = argparse.ArgumentParser(prog="machine", description="disposable machines with a real systemd")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    run = verbs.add_parser("run", help="boots a machine, runs a command in it (a shell, if none), throws it away")
    run.add_argument("--build", help="a CMake build directory to install")
    run.add_argument("--proxies", default=os.environ.get("TPROXYD_TEST_PROXIES"), help="a directory with envoy and coredns")
    run.add_argument("command", nargs="*")
    verbs.add_parser("cleanup", help="removes what a killed test left behind")
    verbs.add_parser("check", help="says whether a machine can be booted here")
    verbs.add_parser("warden")
    return parser.parse_args(words)


def main():
    options = parse(sys.argv[1:])
    if options.verb == "warden":
        warden.main()
        return 0
    reason = machine.unavailable()
    if reason:
        print(f"machine: {reason}", file=sys.stderr)
        return 77
    if options.verb == "cleanup":
        for name in machine.sweep():
            print(name)
    elif options.verb == "run":
        with machine.Machine(build=options.build, proxies=options.proxies) as booted:
            command = booted.start_command(options.command or ["bash", "-l"], stdin=sys.stdin,
                                           env={"TERM": os.environ.get("TERM", "dumb")})
            return command.wait()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (machine.MachineError, machine.CommandFailed, OSError, subprocess.SubprocessError) as error:
        print(f"machine: {error}", file=sys.stderr)
        sys.exit(1)
