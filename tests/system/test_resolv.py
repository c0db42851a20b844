# SPDX-License-Identifier: GPL-2.0-or-later
"""When resolv.conf names other servers, the rules follow in one commit, and nothing restarts."""

import machine as machines
import sample

OTHER = "198.51.100.53"


def redirected_servers(machine, tool="iptables-legacy-save"):
    """The servers whose UDP queries the rules redirect."""
    return [rule.split(" -d ")[1].split("/")[0] for rule in sample.rules(machine, tool)
            if rule.startswith("-A OUTPUT -d ") and "REDIRECT" in rule]


def write_resolv_conf(machine, *servers):
    """As resolvers do it: a new file, renamed over the old one."""
    machine.write("/etc/resolv.conf.new", "".join(f"nameserver {server}\n" for server in servers))
    machine.run(["mv", "/etc/resolv.conf.new", "/etc/resolv.conf"])


def test_the_rules_follow_the_name_servers(machine):
    sample.configure(machine)
    before = sample.prepare(machine)
    sample.start(machine)
    children = sample.processes(machine)
    assert redirected_servers(machine) == [machines.OUTSIDE4]

    write_resolv_conf(machine, OTHER, machines.OUTSIDE4, machines.OUTSIDE6)
    machine.wait_until(lambda: redirected_servers(machine) == [OTHER, machines.OUTSIDE4])
    assert redirected_servers(machine, "ip6tables-legacy-save") == [machines.OUTSIDE6]

    # Written in place, and with fewer servers: none for IPv6.
    machine.write("/etc/resolv.conf", f"nameserver {OTHER}\n")
    machine.wait_until(lambda: redirected_servers(machine) == [OTHER])
    machine.wait_until(lambda: redirected_servers(machine, "ip6tables-legacy-save") == [])
    assert sample.processes(machine) == children
    assert any("generation 3" in text for text in machine.messages("-u", sample.UNIT))

    # The file's return to what it was is followed too, through a link this time.
    machine.write("/run/resolver/resolv.conf", "".join(f"nameserver {s}\n" for s in machines.DNS_SERVERS))
    machine.run(["ln", "-sfn", "/run/resolver/resolv.conf", "/etc/resolv.conf"])
    machine.wait_until(lambda: redirected_servers(machine) == [machines.OUTSIDE4])
    machine.write("/run/resolver/resolv.conf", f"nameserver {OTHER}\n")
    machine.wait_until(lambda: redirected_servers(machine) == [OTHER])

    machine.run(["rm", "-r", "/run/resolver", "/etc/resolv.conf"])
    machine.write("/etc/resolv.conf", "".join(f"nameserver {s}\n" for s in machines.DNS_SERVERS))
    machine.wait_until(lambda: redirected_servers(machine) == [machines.OUTSIDE4])
    sample.stop(machine)
    assert sample.differences({"rules": before["rules"]}, {"rules": machine.state()["rules"]}) == []


def test_a_file_that_is_gone_or_names_nobody_keeps_the_rules_that_are_in(machine):
    sample.configure(machine)
    sample.start(machine)
    machine.run(["rm", "/etc/resolv.conf"])
    machine.wait_until(lambda: any("Keeping the rules" in text for text in machine.messages("-u", sample.UNIT)))
    assert redirected_servers(machine) == [machines.OUTSIDE4]
    assert machine.show(sample.UNIT, "ActiveState") == "active"


def test_a_change_that_leads_to_the_same_rules_is_no_news(machine):
    sample.configure(machine)
    sample.start(machine)
    count = len(machine.messages("-u", sample.UNIT))
    machine.write("/etc/resolv.conf", "# a comment\n" + "".join(f"nameserver {s}\n" for s in machines.DNS_SERVERS))
    # The next real change shows that the first one had been looked at by then.
    write_resolv_conf(machine, OTHER)
    machine.wait_until(lambda: redirected_servers(machine) == [OTHER])
    news = machine.messages("-u", sample.UNIT)[count:]
    assert sum("have changed" in text for text in news) == 1
    assert not any("generation 3" in text for text in news)
