# SPDX-License-Identifier: GPL-2.0-or-later
"""This host in place of a container, with what is installed on it: for one that is thrown away after the test."""

import os
import shutil
import subprocess

from . import Machine, STANDIN, network

# Not where the tests are: that may be /tmp, and the service has one of its own.
PLACE = "/usr/local/lib/tproxyd-standin"
PROGRAMS = "/usr/local/bin"
CABLE = "tproxyd-test"


class Here(Machine):
    """Speaks as a Machine does, of the host that it runs on; outside is a namespace at the other end of a cable."""

    def start(self, timeout=60):
        self.leader = 1
        self._links = [name for name in ("coredns", "envoy", "kuma-dp", "peer") if not os.path.lexists(f"{PROGRAMS}/{name}")]
        shutil.copytree(STANDIN, PLACE, ignore=shutil.ignore_patterns("__pycache__"))
        for name in self._links:
            os.symlink(f"{PLACE}/{name}", f"{PROGRAMS}/{name}")
        self.outside = network.Namespace("outside")
        subprocess.run(["ip", "link", "add", CABLE, "type", "veth", "peer", "name", "eth0", "netns",
                        f"/proc/self/fd/{self.outside.net}"], check=True, pass_fds=(self.outside.net,))
        self.outside.run(["ip", "-batch", "-"], input=f"""
            addr add {network.OUTSIDE4}/24 dev eth0
            addr add {network.OUTSIDE6}/64 dev eth0 nodad
            addr add {network.FAR4}/32 dev lo
            addr add {network.FAR6}/128 dev lo nodad
            link set eth0 up
            """)
        subprocess.run(["ip", "-batch", "-"], check=True, text=True, input=f"""
            addr add {network.INSIDE4}/24 dev {CABLE}
            addr add {network.INSIDE6}/64 dev {CABLE} nodad
            link set {CABLE} up
            route add {network.FAR4} via {network.OUTSIDE4}
            route add {network.FAR6} via {network.OUTSIDE6}
            route add default via {network.OUTSIDE4} metric 100000
            """)
        return self

    def serve(self, ports=(80,)):
        return network.serve(self.outside, ports)

    def stop(self):
        """The cable goes with the namespace at its end."""
        if self.outside is not None:
            self.outside.close()
            self.outside = None
            for name in self._links:
                os.unlink(f"{PROGRAMS}/{name}")
            shutil.rmtree(PLACE)
