# SPDX-License-Identifier: GPL-2.0-or-later
"""Many reloads, as fast as they are answered: reloads.py CONFIG COUNT SEED, in the namespace of a daemon that runs. CONFIG is
replaced each time by one that changes rules, times, nothing, or that is not valid or not possible. Prints, as JSON, how many
there were of each kind; ends with 1 and a sentence at the first answer that is not as expected."""

import json
import os
import random
import socket
import sys

CONTROL = "/run/tproxyd/control.root"


def ask(request):
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(60)
        control.connect(CONTROL)
        control.sendall(f"{request}\n".encode())
        answer = b"".join(iter(lambda: control.recv(65536), b""))
        return json.loads(answer) if answer else {"ok": None}


def main():
    path, count, chance = sys.argv[1], int(sys.argv[2]), random.Random(int(sys.argv[3]))
    with open(path, encoding="ascii") as file:
        config = json.load(file)
    outbound = config.setdefault("redirect", {}).setdefault("outbound", {})
    found = {}

    def write(text):
        with open(f"{path}.new", "w", encoding="ascii") as file:
            file.write(text)
        os.rename(f"{path}.new", path)

    for n in range(count):
        kind = chance.choice(["rules", "rules", "rules", "times", "same", "invalid", "refused", "dry"])
        changed = None
        if kind == "rules":
            outbound["excludePorts"] = sorted(chance.sample(range(9000, 9999), chance.randint(1, 40)))
        elif kind == "times":
            config["failure"] = {"holdRules": f"{31 + n % 1000}s"}
        elif kind == "invalid":
            changed = {**config, "logLevel": "loud"}
        elif kind == "refused":
            changed = {**config, "coreDNS": {**config["coreDNS"], "mode": "tproxyd"}}
        elif kind == "dry":
            changed = {**config, "failure": {"holdRules": "1s"}}
        write(json.dumps(changed or config))
        answer = ask("reload dry-run" if kind == "dry" else "reload")
        if answer["ok"] != (kind not in ("invalid", "refused")) or (kind == "rules" and not answer["rules"]):
            sys.exit(f"reload {n}, {kind}: {answer}")
        found[kind] = found.get(kind, 0) + 1
    write(json.dumps(config))
    print(json.dumps(found))


main()
