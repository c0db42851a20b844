# SPDX-License-Identifier: GPL-2.0-or-later
"""Random installations: settings, the sources they come from, and the host they are made on."""

import json
import random

PREFIX = "KUMA_TRANSPARENT_PROXY_"
HOSTS = {"ipv6": 50, "ipv4": 12, "lo-off": 4, "docker": 14, "docker4": 10, "renamed": 4, "nft": 6}
HOME_RESOLV = "nameserver 10.0.0.2\nnameserver fd00::53\n"


class Raw(str):
    """YAML as it is written; everything else is written as JSON, which is YAML too."""


# Values: each function returns (for a file, for the environment, for a flag); None: not possible there.
# A flag has a list of values, one per occurrence. `odd` asks for unusual spellings, `bad` for mistakes.

def flag(rng, odd, bad):
    value = rng.random() < 0.6
    if bad:
        return Raw(rng.choice(['"true"', "1", "[]", "{a: b}", "0.0", "maybe"])), \
            rng.choice(["", "yes", "on", "TrUe", " true"]), [rng.choice(["yes", "", "2"])]
    words = ["1", "t", "T", "TRUE", "true", "True"] if value else ["0", "f", "F", "FALSE", "false", "False"]
    text = rng.choice(words) if odd else words[4]
    spelled = {True: "true True TRUE y Y yes Yes YES on On ON", False: "false False FALSE n N no No NO off Off OFF"}
    return Raw(rng.choice(spelled[value].split())) if odd else value, text, [text]


def number(most):
    def make(rng, odd, bad):
        n = rng.choice([0, 1, 5, 7, 10, rng.randint(0, most)])
        if bad:
            wrong = rng.choice(["-1", "1.5", "x", "5s", str(most + 1)])
            return Raw(rng.choice([wrong, '"5"', "[5]", "true"])), rng.choice([wrong, "", "5.0", "1__0"]), [wrong]
        if not odd:
            return n, str(n), [str(n)]
        forms = [hex(n), oct(n), bin(n), "0" + oct(n)[2:], str(n)]
        file_forms = forms + [f"{n}.0", f"{n}e0", f"+{n}"]
        return Raw(rng.choice(file_forms)), rng.choice(forms), [rng.choice(forms)]
    return make


def port_number(rng):
    return rng.choice([rng.randint(1, 65535)] * 6 + [53, 80, 443, 15001, 15006, 15053, 1, 65535])


def port(rng, odd, bad):
    n = port_number(rng)
    if bad:
        wrong = rng.choice(["0", "65536", "-1", "x", "+80", " 80", "", "80.5"])
        return Raw(rng.choice(["0", "65536", "-1", "x", '"80"', "null", "", "[80]", "80.5"])), wrong, [wrong]
    if not odd:
        return n, str(n), [str(n)]
    zeros = "0" * rng.randint(1, 3) + str(n)
    return Raw(rng.choice([hex(n), "0" + oct(n)[2:], oct(n), f"{n}.0", f"+{n}", f"{n // 10}_{n % 10}" if n > 9 else n])), \
        zeros, [zeros]


def ports(rng, odd, bad):
    items = [port_number(rng) for _ in range(rng.choice([0, 1, 1, 2, 3, 5, 20]))]
    text = ",".join(map(str, items))
    if bad:
        wrong = rng.choice(["80-90", "0", "65536", "x", "80 90", "-1"])
        return Raw(rng.choice(["null", "", "true", "{a: 1}", f'["{wrong}"]', f'"80,{wrong}"', "[0]", "[70000]", "8.5"])), \
            f"80,{wrong}", [wrong]
    if not odd:
        return items, text, [text] if items else None
    spaced = ", ".join(map(str, items)) + rng.choice(["", ",", " , "])
    mixed = [rng.choice([str(n), f'"{n}"', hex(n), f"{n}.0"]) for n in items]
    form = rng.choice([f"[{', '.join(mixed)}]", json.dumps(spaced), str(items[0]) if items else "[]",
                       f'["{text}", 7]', json.dumps(items)])
    return Raw(form), spaced, [spaced, text] if rng.random() < 0.3 else [spaced]


def strings(one, wrong, split=True):
    """A list of texts, made by one(rng, odd). Where split is False, no item may have a comma in the environment."""
    def make(rng, odd, bad):
        items = [one(rng, odd) for _ in range(rng.choice([0, 1, 1, 2, 3, 4]))]
        if bad:
            items.insert(rng.randint(0, len(items)), rng.choice(wrong))
        env = ",".join(items) if split or not any("," in item for item in items) else None
        if odd and rng.random() < 0.1 and not bad:
            return Raw(rng.choice(["null", "[]", ""])), " ", items or None
        if odd and items and rng.random() < 0.3:
            block = "".join(f"\n- {json.dumps(item)}" for item in items)
            return Raw(block), env, items
        return items, env, items or None
    return make


def uid_entry(rng, odd):
    uids = rng.choice([str(rng.randint(0, 65535)), "1000-2000", "0", "65535", f"{rng.randint(1, 9)}-{rng.randint(10, 99)}"])
    if odd and rng.random() < 0.2:
        uids = rng.choice(["5-5", "70001", "100001-200001", "0-65535"])
    some = [rng.choice([str(port_number(rng)), f"{rng.randint(1, 999)}-{rng.randint(1000, 65535)}"])
            for _ in range(rng.randint(1, 5))]
    port_part = rng.choice(["*", "", ",".join(some), some[0], "53"])
    if odd and rng.random() < 0.15:
        port_part += ","
    proto = rng.choice(["*", "", "tcp", "udp", "tcp,udp", "udp,tcp"])
    if odd:
        proto = rng.choice([proto, "TCP", "Udp,tcp", "tcp,tcp", " tcp , udp", "tcp,"])
    parts = rng.choice([[uids], [port_part, uids], [proto, port_part, uids], [proto, port_part, uids]])
    return ":".join(parts)


BAD_UIDS = ["*", "", "22:", "tcp:22:", "tcp:22:1:2", "x", "icmp:22:1", "tcp:22:1,2", "tcp:x:1", "tcp:65536:1", "tcp:-1:1",
            "tcp:22:-1", "tcp:22:1-", "tcp:20-10:1", "tcp:5-5:1", "tcp:22:9-3", "tcp:1-2-3:1", "tcp:,:1", ",:1:1", "tcp:007:1",
            "tcp:1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16:1", "tcp:22:010", "tcp: 22:1", "tcp:22: 1", "4294967295", "5000000000",
            "tcp:1-2,3-4,5-6,7-8,9-10,11-12,13-14,15-16:1", "tcp:22:kuma-dp", " "]


def address(rng, odd):
    v4 = ".".join(str(rng.randint(0, 255)) for _ in range(4))
    v6 = rng.choice(["fd00::1", "::1", "fe80::1", "2001:db8::a:1", "2001:DB8:0:0::1", "::", "1:2:3:4:5:6:7:8"])
    item = rng.choice([v4, v4 + "/" + str(rng.randint(0, 32)), v6, v6 + "/" + str(rng.randint(0, 128)), "10.0.0.0/8"])
    if odd and rng.random() < 0.2:
        item = rng.choice(["::ffff:10.1.2.3", "10.1.2.3/00", "0.0.0.0/0", "::/0", "10.0.0.0/8", "fe80::/10", "::/128", "127.0.0.1"])
    return item


def addresses(rng, odd):
    items = [address(rng, odd) for _ in range(rng.choice([1, 1, 2, 3]))]
    text = ("," if not odd else rng.choice([",", ", ", " ,", ",,"])).join(items)
    return text + rng.choice(["", "", "", " ", ","]) if odd else text


BAD_ADDRESSES = ["", "x", "10.0.0", "10.0.0.1/33", "fd00::/129", "10.0.0.1/", "10.0.0.1:80", "10.0.0.256", "fe80::1%eth0", " ",
                 ",", "10.0.0.1/032", "10.0.0.1/+8", "10.0.0.01", "10.0.0.1\n", "10.0.0.1\t", "10.0.0.1 10.0.0.2", "10.0.0.1/8/8",
                 "::ffff:10.0.0.1/8", "::ffff:10.0.0.0/104"]


def vnet(rng, odd):
    name = rng.choice(["docker0", "br+", "iface", "virbr0", "eth0", "br-1234567890", "a", "Z9", "br-a.1"])
    if odd and rng.random() < 0.2:
        name = rng.choice(["+", "br_1", "docker0@x", "ä", "veth#1", "x" * 15])
    net = rng.choice(["172.17.0.0/16", "10.0.0.1/24", "::1/64", "fd00::/8", "192.168.0.0/32", "0.0.0.0/0", "2001:DB8::/32"])
    return f"{name}:{net}"


BAD_VNETS = ["", "docker0", "docker0:", ":10.0.0.0/8", "docker0:10.0.0.1", "docker0:10.0.0.0/33", "docker0:x/8",
             "averyveryverylonginterface:10.0.0.0/8", "a b:10.0.0.0/8", "a:10.0.0.0/8 ", "a/b:10.0.0.0/8", 'a"b:10.0.0.0/8',
             "a:10.0.0.0/08", "a:fe80::1%1/64", "!a:10.0.0.0/8", "-a:10.0.0.0/8"]


def duration(rng, odd, bad):
    text = rng.choice(["2s", "250ms", "1m30s", "1h", "10us", "1.5s", "0s"])
    if bad:
        wrong = rng.choice(["", "5x", "s", "1 s", "5", "--1s"])
        return Raw(rng.choice(['"5"', "null", "[1s]", "true", "1d"])), wrong, [rng.choice(['"5"', "x", '"1d"', ""])]
    if odd:
        text = rng.choice(["0", "+1s", "-1s", ".5s", "1.s", "1µs", "1h2m3s4ms5us6ns", text])
        return Raw(rng.choice([json.dumps(text, ensure_ascii=False), text if text != "0" else "0", "5", "1e9", "5.5"])), text, \
            [rng.choice([json.dumps(text, ensure_ascii=False), "5000", text])]
    return text, text, [json.dumps(text)]


def family_mode(rng, odd, bad):
    text = rng.choice(["dualstack", "ipv4"])
    if bad:
        wrong = rng.choice(["ipv6", "v4", "ipv4 ", "both"])
        return Raw(rng.choice([json.dumps(wrong), "4", "[ipv4]", "true"])), wrong, [wrong]
    if odd:
        text = rng.choice(["", "IPv4", "IPV4", "DualStack", "DUALSTACK", text])
        return rng.choice([text, Raw("null"), Raw("")]), text, [text]
    return text, text, [text]


def user(rng, odd, bad):
    text = rng.choice(["kuma-dp", "5678", "proxy", "1234", "70000", "0", "root"])
    if bad:
        wrong = rng.choice(["nobody-here", "4242", "-1", "05678", " kuma-dp", "99999999999", "kuma-dp "])
        return rng.choice([wrong, Raw("[kuma-dp]"), Raw("{a: b}")]), wrong, [wrong]
    if odd:
        return Raw(rng.choice(["5678", "5678.0", "5.678e3", "5_678", "0x162e", '"5678"', "'kuma-dp'", "null", "013056",
                               "!!str 5678", "!!binary a3VtYS1kcA=="])), text, [text]
    return text, text, [text]


def text_of(*choices):
    def make(rng, odd, bad):
        text = rng.choice(choices)
        if bad:
            return Raw("[a]"), None, None
        return text, text, [text]
    return make


def chain(rng, odd, bad):
    if bad:
        return None, rng.choice(["", "a b", "X" * 40, "a\"b", "A'B", "!X", "-X"]), None
    name = rng.choice(["INBOUND", "OUTBOUND", "IN", "OUT_1", "a-b", "IN_REDIRECT"]) + str(rng.randint(0, 99))
    return None, name if not odd else rng.choice([name, "Y" * 18, "OUTBOUND", "INBOUND", "IN.X"]), None


EXECUTABLES = ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"]


def executables(rng, odd, bad):
    names = rng.sample(EXECUTABLES, rng.randint(1, 2))
    if bad:
        wrong = rng.choice(["iptables", "x:/bin/y", ":", "iptables /sbin/x"])
        return Raw(rng.choice(['"iptables:/sbin/x"', "[iptables]"])), wrong, [wrong]
    pairs = {name: "/usr/sbin/" + name + "-none" for name in names}
    text = ",".join(f"{name}:{path}" for name, path in pairs.items())
    return pairs, text if not odd else text + ", ,", [text]


# path, value, environment (behind the prefix), flags, how often
DIRECTION = [
    ("enabled", flag, "ENABLED", 2), ("port", port, "PORT", 2), ("includePorts", ports, "INCLUDE_PORTS", 1),
    ("excludePorts", ports, "EXCLUDE_PORTS", 3),
    ("excludePortsForIPs", strings(addresses, BAD_ADDRESSES, False), "EXCLUDE_PORTS_FOR_IPS", 4),
    ("insertRedirectInsteadOfAppend", flag, "INSERT_REDIRECT_INSTEAD_OF_APPEND", 2),
    ("chainName", chain, "CHAIN_NAME", 0.4), ("redirectChainName", chain, "REDIRECT_CHAIN_NAME", 0.4),
]
FLAGS = {
    "kumaDPUser": ["kuma-dp-user", "kuma-dp-uid"], "ipFamilyMode": ["ip-family-mode"],
    "dropInvalidPackets": ["drop-invalid-packets"], "verbose": ["verbose"], "dryRun": ["dry-run"], "wait": ["wait"],
    "waitInterval": ["wait-interval"], "retry.maxRetries": ["max-retries"], "log.enabled": ["iptables-logs"],
    "retry.sleepBetweenRetries": ["sleep-between-retries"], "comments.disabled": ["disable-comments"],
    "iptablesExecutables": ["iptables-executables"], "redirect.inbound.enabled": ["redirect-inbound"],
    "redirect.inbound.port": ["redirect-inbound-port"], "redirect.outbound.port": ["redirect-outbound-port"],
    "redirect.inbound.excludePorts": ["exclude-inbound-ports"], "redirect.outbound.excludePorts": ["exclude-outbound-ports"],
    "redirect.outbound.excludePortsForUIDs": ["exclude-outbound-ports-for-uids"],
    "redirect.inbound.excludePortsForIPs": ["exclude-inbound-ips"],
    "redirect.outbound.excludePortsForIPs": ["exclude-outbound-ips"],
    "redirect.inbound.insertRedirectInsteadOfAppend": ["redirect-inbound-insert-instead-of-append"],
    "redirect.outbound.insertRedirectInsteadOfAppend": ["redirect-outbound-insert-instead-of-append"],
    "redirect.dns.enabled": ["redirect-dns"], "redirect.dns.port": ["redirect-dns-port"],
    "redirect.dns.captureAll": ["redirect-all-dns-traffic"],
    "redirect.dns.skipConntrackZoneSplit": ["skip-dns-conntrack-zone-split"], "redirect.vnet.networks": ["vnet"],
    "ebpf.instanceIP": ["ebpf-instance-ip"], "ebpf.bpffsPath": ["ebpf-bpffs-path"], "ebpf.cgroupPath": ["ebpf-cgroup-path"],
    "ebpf.programsSourcePath": ["ebpf-programs-source-path"], "ebpf.tcAttachIface": ["ebpf-tc-attach-iface"],
    "ebpf.enabled": ["ebpf-enabled"], "storeFirewalld": ["store-firewalld"],
}
SETTINGS = [
    ("kumaDPUser", user, "KUMA_DP_USER", 3), ("ipFamilyMode", family_mode, "IP_FAMILY_MODE", 2),
    ("dropInvalidPackets", flag, "DROP_INVALID_PACKETS", 3), ("verbose", flag, "VERBOSE", 4),
    ("dryRun", flag, "DRY_RUN", 0.3), ("wait", number(4294967295), "WAIT", 1),
    ("waitInterval", number(4294967295), "WAIT_INTERVAL", 1), ("retry.maxRetries", number(4294967295), "RETRY_MAX_RETRIES", 1),
    ("retry.sleepBetweenRetries", duration, "RETRY_SLEEP_BETWEEN_RETRIES", 1), ("log.enabled", flag, "LOG_ENABLED", 3),
    ("log.level", number(7), "LOG_LEVEL", 2), ("comments.disabled", flag, "COMMENTS_DISABLED", 3),
    ("iptablesExecutables", executables, "IPTABLES_EXECUTABLES", 0.3), ("redirect.dns.enabled", flag, "REDIRECT_DNS_ENABLED", 5),
    ("redirect.dns.port", port, "REDIRECT_DNS_PORT", 2), ("redirect.dns.captureAll", flag, "REDIRECT_DNS_CAPTURE_ALL", 2),
    ("redirect.dns.skipConntrackZoneSplit", flag, "REDIRECT_DNS_SKIP_CONNTRACK_ZONE_SPLIT", 1),
    ("redirect.dns.resolvConfigPath", text_of("other.conf", "none.conf", "/etc/resolv.conf"), "REDIRECT_DNS_RESOLV_CONFIG_PATH", 1),
    ("redirect.vnet.networks", strings(vnet, BAD_VNETS), "REDIRECT_VNET_NETWORKS", 3),
    ("redirect.outbound.excludePortsForUIDs", strings(uid_entry, BAD_UIDS, False),
     "REDIRECT_OUTBOUND_EXCLUDE_PORTS_FOR_UIDS", 4),
    ("redirect.inbound.excludePortsForUIDs", strings(uid_entry, BAD_UIDS, False),
     "REDIRECT_INBOUND_EXCLUDE_PORTS_FOR_UIDS", 0.1),
    ("ebpf.instanceIP", text_of("10.0.0.1"), "EBPF_INSTANCE_IP", 0.2), ("ebpf.bpffsPath", text_of("/x"), "EBPF_BPFFS_PATH", 0.1),
    ("ebpf.cgroupPath", text_of("/x"), "EBPF_CGROUP_PATH", 0.1), ("ebpf.enabled", flag, "EBPF_ENABLED", 0.1),
    ("ebpf.instanceIPEnvVarName", text_of("X"), "EBPF_INSTANCE_IP_ENV_VAR_NAME", 0.1),
    ("ebpf.programsSourcePath", text_of("/x"), "EBPF_PROGRAMS_SOURCE_PATH", 0.1),
    ("ebpf.tcAttachIface", text_of("eth0"), "EBPF_TC_ATTACH_IFACE", 0.1), ("storeFirewalld", flag, "STORE_FIREWALLD", 0.1),
    ("cniMode", flag, "CNI_MODE", 0.1),
] + [(f"redirect.{way}.{key}", value, f"REDIRECT_{way.upper()}_{env}", weight)
     for way in ("inbound", "outbound") for key, value, env, weight in DIRECTION]


# Files.

def put(tree, path, value):
    *sections, key = path.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
    tree[key] = value


def any_case(rng, key):
    return rng.choice([key.lower(), key.upper(), key.capitalize()])


def block(rng, tree, indent, odd):
    lines = []
    for key, value in tree.items():
        name = any_case(rng, key) if odd and rng.random() < 0.2 else key
        pad = " " * indent
        if isinstance(value, dict):
            if odd and rng.random() < 0.2 and not block_in(value):
                lines.append(f"{pad}{name}: {flow(value)}")
            else:
                lines.append(f"{pad}{name}:")
                lines += block(rng, value, indent + rng.choice([1, 2, 4]), odd)
        elif isinstance(value, Raw):
            text = value.replace("\n", "\n" + pad)
            lines.append(f"{pad}{name}: {text}".rstrip(" "))
        else:
            lines.append(f"{pad}{name}: {json.dumps(value, ensure_ascii=False)}")
        if odd and rng.random() < 0.15:
            lines.append(rng.choice(["", pad + "# a remark", "#", "   "]))
    return lines


def block_in(tree):
    return any(block_in(value) if isinstance(value, dict) else "\n" in str(value) for value in tree.values())


def flow(tree):
    parts = []
    for key, value in tree.items():
        if isinstance(value, dict):
            text = flow(value)
        elif isinstance(value, Raw):
            text = value
        else:
            text = json.dumps(value, ensure_ascii=False)
        parts.append(f"{key}: {text}")
    return "{" + ", ".join(parts) + "}"


def raw_in(tree):
    return any(raw_in(value) if isinstance(value, dict) else isinstance(value, Raw) for value in tree.values())


def document(rng, tree, odd):
    """The text of a file. JSON where the values allow it, else a block."""
    style = rng.choice(["block", "block", "json", "flow"])
    if style == "json" and not raw_in(tree):
        return json.dumps(tree, indent=rng.choice([None, 2]), ensure_ascii=False)
    if style == "flow" and not block_in(tree):
        return flow(tree)
    text = "\n".join(block(rng, tree, 0, odd)) + "\n"
    if odd:
        text = rng.choice(["", "", "---\n", "# a remark\n", "\ufeff", "%YAML 1.1\n---\n"]) + text
        text = text.replace("\n", "\r\n") if rng.random() < 0.1 else text
    return text


def spoil(rng, text):
    """A file that is no configuration."""
    return rng.choice(["[]", "text", "a: b: c\n", "\t" + text, text + "\n\tx: y\n", "{", '"', "redirect: 5\n", "redirect: [a]\n",
                       "verbose: true\nverbose: maybe\n", "- verbose\n", "%YAML 1.2\n---\n" + text, "null: 1\n", "[a]: 1\n"])


# What is rare in files: some of it both take, some of it one of the two refuses.
RARE = [
    "unknownKey: 1\n", "verbose: false\nverbose: true\n", "---\nverbose: true\n---\nlog: {}\n", "log: {enabled: true,}\n",
    "x: &a {enabled: true}\nlog:\n  <<: *a\n", "redirect: {dns: {enable: true}}\n", '{"kumaDPUser": "\\/"}',
    "redirect: {inbound: {chainName: X}}\n", "redirect: {outbound: {excludePorts: [80, null, true]}}\n",
    "log: {}\n...\nverbose: true\n", "kumaDPUser: !!binary a3VtYS1kcA==\n", "verbose: !!bool yes\n", "log: &a {enabled: true}\n",
    "? verbose\n: true\n", "verbose: true # x\n---\n", "verbose: true\n...\n", "--- {verbose: true}\n...\n",
    "kumaDPUser: >-\n  kuma-dp\n", "5: x\n", "true: x\n", "verbose: on\rlog: {enabled: on}\r", "verbose: on\x85log: {enabled: on}\n",
    "verbose: true\u2028", "redirect: null\n", "log: ~\n", "redirect: {outbound: {excludePortsForUIDs: [1e3, 1.0, 0o10, 1_0]}}\n",
    "redirect: {outbound: {excludePortsForUIDs: [yes]}}\n", "redirect: {outbound: {excludePortsForIPs: [10.0.0.1, ~]}}\n",
    "redirect: {outbound: {excludePorts: 80}}\n", "redirect: {inbound: {excludePorts: '80, 81'}}\n", "verbose: tRue\n",
    "retry: {sleepBetweenRetries: 9223372036854775808}\n", "wait: 18446744073709551615\n", "log: {level: 70000}\n",
    "redirect: {outbound: {excludePorts: [[80]]}}\n", "log: {level: 8}\n", "redirect: {inbound: {port: 1:30}}\n",
    "redirect: {inbound: {port: 080}}\n", "wait: 5.0\nwaitInterval: -0\n", "redirect: {inbound: {excludePorts: [0x50, 1e2]}}\n",
    "redirect: {vnet: {networks: [a:10.0.0.0/8, a:fd00::/8, a:10.1.0.0/16]}}\n", "redirect: {vnet: {networks: a:10.0.0.0/8}}\n",
    "comments: {disabled: 'yes'}\n", "iptablesExecutables: {Iptables-Save: /x}\n", "iptablesExecutables: {ip: /x}\n",
    "redirect: {dns: {resolvConfigPath: ''}}\n", "redirect: {dns: {enabled: true, resolvConfigPath: /dev/null}}\n",
    "redirect: {outbound: {excludePortsForUIDs: [tcp:53,80:1000]}}\n", "storeFirewalld: true\n", "kumaDPUser: 013056\n",
    "redirect: {inbound: {excludePortsForIPs: [fe80::1, 10.0.0.1]}}\n", "ipFamilyMode: ~\nlog: {level: null}\nverbose: null\n",
    "!!map {verbose: true}\n", "log: !x {enabled: true}\n", "verbose: !x true\n", "kumaDPUser: \"kuma\\x2ddp\"\n", "\x7f: x\n",
    "# nothing\n...\n", "kumaDPUser: 'kuma-dp'\nKUMADPUSER: 'proxy'\n", "verbose: true\n# \u00e4\n", "kumaDPUser: \u00e4\n",
    "redirect: {dns: {enabled: true}, dns: {captureAll: true}}\n", "redirect.dns.enabled: true\n", "verbose : true\n", "verbose:true\n",
]


# Sources and hosts.

def resolv_conf(rng, odd):
    servers = ["10.0.0.2", "127.0.0.53", "8.8.8.8", "fd00::53", "::1", "127.0.0.1", "2001:DB8:0::1", "::ffff:9.9.9.9", "10.0.0.2"]
    lines = ["nameserver " + rng.choice(servers) for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 6]))]
    if odd:
        lines += rng.sample(["search mesh", "#nameserver 1.1.1.1", "\tnameserver\t1.0.0.1 # x", "options edns0", "nameserver",
                             "nameserver 9.9.9.9 8.8.8.8", "Nameserver 1.1.1.1", "nameserver  4.4.4.4\r", "; x", "nameserver:1.2.3.4",
                             "nameserver 01.2.3.4", "nameserver fe80::1%eth0", "nameserver localhost", "  nameserver fd00::5"],
                            rng.randint(0, 3))
        rng.shuffle(lines)
    return "\n".join(lines) + rng.choice(["\n", "\n", "", "\n\n"])


def switches(rng, name, values, is_flag):
    words = []
    for value in values:
        if is_flag and value in ("true", "1") and rng.random() < 0.6:
            words.append(f"--{name}")
        elif is_flag or rng.random() < 0.5 or value.startswith("-"):
            words.append(f"--{name}={value}")
        else:
            words += [f"--{name}", value]
    return words


ODD_WORDS = [["--log-level", "debug"], ["--no-config"], ["--no-config=false"], ["word"], ["-"], ["--context=x"], ["--config", " "],
             ["--api-timeout", "5s"], ["--verbose", "false"], ["--config-file="], ["--exclude-inbound-ports="], ["--config", " - "],
             ["--ip-family-mode="], ["--max-retries=0x1_0"], ['--sleep-between-retries= "5s" '], ["--iptables-executables="],
             ["--kuma-dp-user", "proxy", "--kuma-dp-uid", "1234"], ["--redirect-dns=1", "--redirect-all-dns-traffic=0"]]


class Source:
    def __init__(self, rng, kind):
        self.kind, self.tree, self.rng = kind, {}, rng


def generate(seed):
    """One case. Everything in it follows from the seed."""
    rng = random.Random(seed)
    odd = rng.random() < 0.4
    mistake = rng.choice(["value", "value", "value", "file", "rare", "rare", "flag"]) if rng.random() < 0.2 else None
    files = [Source(rng, rng.choice(["path", "path", "inline", "stdin"])) for _ in range(rng.choice([0, 0, 1, 1, 2, 3]))]
    names, weights = [s[0] for s in SETTINGS], [s[3] for s in SETTINGS]
    chosen = dict.fromkeys(rng.choices(names, weights, k=rng.choice([0, 1, 2, 3, 4, 6, 8, 12, 20])))
    words, env = [], {}
    broken = rng.choice(list(chosen)) if mistake == "value" and chosen else None
    for path, make, variable, _ in SETTINGS:
        if path not in chosen:
            continue
        for _ in range(rng.choice([1, 1, 1, 2])):
            in_file, in_env, in_flag = make(rng, odd, path == broken)
            where = rng.choice(["file", "file", "env", "flag"])
            flags = FLAGS.get(path)
            if where == "file" and files and in_file is not None:
                put(rng.choice(files).tree, path, in_file)
            elif where == "env" and in_env is not None:
                env[PREFIX + variable] = in_env
            elif flags and in_flag is not None and path != "dryRun":
                words.append(switches(rng, rng.choice(flags), in_flag, make is flag))
            elif in_env is not None:
                env[PREFIX + variable] = in_env
    case = {"seed": seed, "host": rng.choices(list(HOSTS), list(HOSTS.values()))[0], "env": env, "files": {},
            "resolv": resolv_conf(rng, odd) if rng.random() < 0.8 else HOME_RESOLV,
            "users": rng.choice([{"kuma-dp": 5678}] * 6 + [{"kuma-dp": 999}, {"mesh": 5678}, {"kuma-dp": 100000}] * 2 + [{}])}
    case["users"].update({"proxy": 1234, "1234": 77, "big": 70000})
    case["files"]["other.conf"] = resolv_conf(rng, odd)
    words += sources(rng, case, files, odd, mistake)
    if odd and rng.random() < 0.05:
        env[rng.choice(["IP_FAMILY_MODE", "KUMA_DP_USER", "CNI_MODE", "INSTANCE_IP", "EXCLUDE_PORTS_FOR_IPS"])] = "x"
    if odd and rng.random() < 0.2:
        words.append(rng.choice(ODD_WORDS))
    if mistake == "flag":
        words.append(rng.choice([["--unknown"], ["-x"], ["--redirect-dns", "--redirect-all-dns-traffic"], ["--config"], ["--vnet"],
                                 ["--redirect-inbound-port=x"], ["--config", "missing.yaml"], ["--config-file=missing.yaml"],
                                 ["--=x"], ["---x"], ["--verbos"], ["--api-timeout", "5"], ["--no-config=x"], ["--max-retries=-1"],
                                 ["--redirect-inbound="], ["--config", "0.yaml,1.yaml"], ["--config", "/etc"], ["--log-level"]]))
        last = words.pop()
        rng.shuffle(words)
        words.append(last)
    else:
        rng.shuffle(words)
    case["args"] = ["--dry-run"] + [word for group in words for word in group]
    if odd and rng.random() < 0.1:
        case["args"] += ["--", "--unknown", "x"]
    return case


def sources(rng, case, files, odd, mistake):
    """Writes the files, and returns what names them on the command line. Their order does not matter to the words."""
    words, stdin = [], False
    for i, source in enumerate(files):
        text = document(rng, source.tree, odd)
        if i == 0 and mistake == "file":
            text = spoil(rng, text)
        if i == 0 and mistake == "rare":
            text = rng.choice(RARE)
        if source.kind == "stdin" and not stdin:
            stdin, case["stdin"] = True, text
            words.append(rng.choice([["--config", "-"], ["--config=-"], ["--config-file", "-"]]))
        elif source.kind == "inline" and text.strip() and "\n" in text.strip("\n") and "\\n" not in text and "\r" not in text \
                and not text.startswith("{"):
            case["files"][f"{i}.yaml"] = text
            words.append(["--config", text.replace("\n", "\\n")])
            case.setdefault("inline", {})[words[-1][1]] = f"{i}.yaml"
        else:
            case["files"][f"{i}.yaml"] = text
            words.append([rng.choice(["--config", "--config", "--config", "--config-file"]), f"{i}.yaml"])
    return words
