# SPDX-License-Identifier: GPL-2.0-or-later
"""Anything, for a while: what has to be true throughout, looked at from outside.

Environment: TPROXYD_TEST_SOAK, for how many seconds (default 20; an hour is 3600); TPROXYD_TEST_SEED, what happens in which
order (printed)."""

import contextlib
import json
import os
import random
import signal
import threading
import time

from daemon import Daemon
from netfilter import our_rules
from traffic import Traffic
from trial import CONFIG, PROGRAM

NF_BACKENDS = ("iptables", "nftables")
SECONDS = float(os.environ.get("TPROXYD_TEST_SOAK", "20"))
SEED = int(os.environ.get("TPROXYD_TEST_SEED", str(int(time.time()))))
NOTICED = 6.5  # seconds within which what others do without the lock is put right
SETTLED = 0.3  # seconds in which a packet that passed the rules before they came in has left; its processor can be away
LATE = 4.0  # seconds that the end of a hold may be late, with a hang that has to be noticed first


class Watch(threading.Thread):
    """Looks all the time whether what is said is so."""

    def __init__(self, soak):
        super().__init__(daemon=True)
        self.soak, self.problems, self.ended = soak, [], False
        self.looks = self.direct_while_redirecting = 0
        self.holding_since = None

    def said(self):
        text = self.soak.host.run([PROGRAM, "status", "--json"], check=False).stdout
        try:
            return json.loads(text)
        except ValueError:
            return {}

    def look(self):
        calm, begin = self.soak.calm_since, time.monotonic()
        releases = self.soak.releases()
        before = self.said()
        if before.get("seconds") == 0:
            time.sleep(SETTLED)
        first = self.soak.traffic.direct()
        time.sleep(0.05)
        second, after = self.soak.traffic.direct(), self.said()
        self.looks += 1
        if self.soak.calm_since != calm or begin < calm:
            self.holding_since = None
            return
        phases = before.get("phase"), after.get("phase")
        if releases != self.soak.releases():
            self.holding_since = None
            return  # and it serves again, within a second even
        if phases == ("redirecting", "redirecting") and second != first:
            self.problems.append(f"{second - first} connections direct while it says {phases}: {before}, {after}")
        if phases != ("holding", "holding"):
            self.holding_since = None
            return
        self.holding_since = self.holding_since or begin
        held, limit = time.monotonic() - self.holding_since, self.soak.hold
        if second != first:
            self.problems.append(f"{second - first} connections direct while it says that they are held")
        if limit is not None and held > limit + LATE:
            self.problems.append(f"held for {held:.1f} s; {limit} s were told")

    def run(self):
        while not self.ended:
            self.look()


class Soak:
    def __init__(self, trial, directory):
        self.trial, self.host, self.directory = trial, trial.host, directory
        self.chance = random.Random(SEED)
        self.hold, self.starts, self.n = 30.0, 0, 0
        self.stopped = []  # processes under SIGSTOP, and when they go on
        self.calm_since = 0.0
        self.counts = {}
        self.traffic = Traffic(trial.host, 0.9)
        self.start()

    def disturb(self, seconds=NOTICED):
        """What comes next may be seen as direct for so long."""
        self.calm_since = max(self.calm_since, time.monotonic() + seconds)

    def start(self):
        self.starts += 1
        directory = self.directory / str(self.starts)
        directory.mkdir()
        self.trial.write(CONFIG, self.trial.config())
        self.daemon = Daemon(self.trial, directory)
        self.daemon.await_("READY=1")

    def releases(self):
        return self.starts, sum(message.startswith("STATUS=Released") for message in self.daemon.said)

    def children(self):
        found = self.daemon.status().get("processes", {})
        return [(name, process["pid"]) for name, process in found.items() if process and process.get("pid")]

    def proxies(self):
        """The proxy's user's processes in this namespace, which others may have elsewhere."""
        net, found = os.fstat(self.host.net).st_ino, []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.stat(f"/proc/{pid}").st_uid == 5678 and os.stat(f"/proc/{pid}/ns/net").st_ino == net:
                    found.append(int(pid))
            except OSError:
                pass  # gone
        return found

    # What can happen.

    def kill(self):
        name, pid = self.chance.choice(self.children() or [("nobody", 0)])
        if pid:
            os.kill(pid, signal.SIGKILL)
        return name

    def stop_child(self):
        name, pid = self.chance.choice(self.children() or [("nobody", 0)])
        seconds = self.chance.choice([0.2, 3, 15])
        if pid:
            os.kill(pid, signal.SIGSTOP)
            self.stopped.append((time.monotonic() + seconds, pid))
        return f"{name} for {seconds} s"

    def freeze(self):
        seconds = self.chance.choice([0.5, 3, 8])
        os.kill(self.daemon.process.pid, signal.SIGSTOP)
        self.disturb(seconds + NOTICED)
        time.sleep(seconds)
        os.kill(self.daemon.process.pid, signal.SIGCONT)
        return f"for {seconds} s"

    def restart(self):
        self.disturb(60)
        self.go_on(everybody=True)
        self.daemon.stop()
        self.nothing_is_left()
        self.start()
        self.calm_since = time.monotonic() + 1

    def murder(self):
        """As systemd does it: the children go first, then ExecStopPost= cleans up, and it is started again."""
        self.disturb(60)
        self.go_on(everybody=True)
        self.daemon.process.kill()
        self.daemon.process.wait()
        for pid in self.proxies():
            with contextlib.suppress(ProcessLookupError):  # one of them may end with another
                os.kill(pid, signal.SIGKILL)
        self.host.run([PROGRAM, "uninstall", "--recorded", "--quiet"])
        self.nothing_is_left()
        self.start()
        self.calm_since = time.monotonic() + 1

    def reload(self):
        self.n += 1
        how = self.chance.choice(["rules", "rules", "hold", "same", "invalid"])
        if how == "rules":
            self.trial.set(redirect__outbound__excludePorts=[9000 + self.n % 100])
        elif how == "hold":
            self.disturb(LATE)
            self.hold = self.chance.choice([0.0, 3.0, 30.0, None])
            self.trial.set(failure__holdRules="infinity" if self.hold is None else f"{self.hold:.0f}s")
        config = self.trial.config()
        self.trial.write(CONFIG, config if how != "invalid" else config.replace("15054", "70000") + "nonsense: [")
        status = self.host.run([PROGRAM, "reload"], check=False, timeout=120).returncode
        self.trial.write(CONFIG, config)
        assert status in ((78,) if how == "invalid" else (0, 1)), (how, status)
        return f"{how}: {status}"

    def edit(self):
        scripts = [
            "iptables-legacy -w -t nat -F",
            "iptables-legacy -w -t nat -D OUTPUT 1; true",
            "ip6tables-legacy -w -t nat -F",
            "iptables-legacy -w -t nat -I OUTPUT -d 192.0.2.1 -j RETURN",
            "iptables-legacy -w -t nat -F OUTPUT; iptables-legacy -w -t nat -F KUMA_MESH_OUTBOUND; true",
            "export XTABLES_LOCKFILE=/run/nobodys.lock; iptables-legacy -t nat -F; true",
            "ip address del ::6/128 dev lo; true",
            "nft delete table ip tproxyd; true",
            "nft insert rule ip6 tproxyd KUMA_MESH_OUTBOUND return; true",
            "nft add table ip others; nft delete table ip others",
        ]
        self.disturb()
        script = self.chance.choice(scripts)
        self.host.run(["sh", "-c", script], check=False)
        self.disturb()
        return script

    def lock(self):
        self.host.run(["flock", "/run/xtables.lock", "sleep", "0.7"])

    def nothing(self):
        pass

    def go_on(self, everybody=False):
        for until, pid in self.stopped[:]:
            if everybody or time.monotonic() >= until:
                self.stopped.remove((until, pid))
                try:
                    os.kill(pid, signal.SIGCONT)
                except ProcessLookupError:
                    pass

    def nothing_is_left(self):
        assert not our_rules(self.host)
        assert "::6/128" not in str(self.host.addresses())
        assert not self.proxies()
        assert self.host.run(["test", "-e", "/run/tproxyd-state/record"], check=False).returncode

    def turn(self):
        happens = self.chance.choice([self.kill, self.kill, self.stop_child, self.stop_child, self.freeze, self.restart,
                                      self.murder, self.reload, self.reload, self.edit, self.edit, self.lock, self.nothing])
        detail = happens()
        name = happens.__name__
        self.counts[name] = self.counts.get(name, 0) + 1
        end = time.monotonic() + self.chance.choice([0.1, 1, 4])
        while time.monotonic() < end:
            self.go_on()
            time.sleep(0.05)
        assert self.daemon.process.poll() is None, "it has ended by itself\n" + "".join(self.daemon.log[-40:])
        return f"{name}{f' ({detail})' if detail else ''}"


def test_what_is_said_is_so_whatever_happens(trial, tmp_path, world):
    trial.set(restart__delay="10ms", restart__maxDelay="1s")
    soak = Soak(trial, tmp_path)
    watch = Watch(soak)
    watch.start()
    story, end = [], time.monotonic() + SECONDS
    while time.monotonic() < end:
        story.append(f"{SECONDS - end + time.monotonic():.1f} {soak.turn()}")
        if watch.problems:
            raise AssertionError("\n".join([f"seed {SEED}", *watch.problems, *story[-20:], *soak.daemon.log[-60:]]))
    watch.ended = True
    watch.join()
    soak.go_on(everybody=True)
    print(f"seed {SEED}: {SECONDS:.0f} s, {soak.counts}, {watch.looks} looks; connections: {soak.traffic.end()}")
    # Whatever it was, it serves again by itself.
    soak.daemon.await_status(lambda found: found.get("phase") == "redirecting")
    log = "".join(soak.daemon.log)
    soak.daemon.stop()
    assert "Sanitizer" not in log, log
    soak.nothing_is_left()
    assert not watch.problems, (f"seed {SEED}", watch.problems)
