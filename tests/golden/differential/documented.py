# SPDX-License-Identifier: GPL-2.0-or-later
"""The one table of what tproxyd does otherwise than kumactl; tproxyd(8) has the same list in its words.

A difference in what is accepted or printed is a translation: kumactl is given what it needs to print the same text, so
that the comparison stays exact. A refusal is known by what tproxyd says.
"""

import ipaddress
import re


def is_address(word):
    try:
        return bool(ipaddress.ip_address(word)) and "%" not in word
    except ValueError:
        return False


def in_texts(case, change):
    """Applies change to everything that can hold settings."""
    case["files"] = {name: text if name.endswith(".conf") else change(text) for name, text in case["files"].items()}
    case["env"] = {name: change(value) for name, value in case["env"].items()}
    case["args"] = [change(word) for word in case["args"]]
    if "stdin" in case:
        case["stdin"] = change(case["stdin"])


def inline(case):
    names = case.get("inline", {})
    case["args"] = [names.get(word, word) for word in case["args"]]


def values(words, option):
    """What is given to the option, as often as it is there."""
    for word, after in zip(words, words[1:] + [""]):
        name, equals, value = word.partition("=")
        if name == option:
            yield value if equals else after


def environment(case):
    given = [*values(case["args"], "--config"), *[*values(case["args"], "--config-file")][-1:]]
    if case["env"] and not any(value.strip() for value in given):
        case["args"] = ["--config", "/dev/null"] + case["args"]


def unprefixed(case):
    case["env"] = {name: value for name, value in case["env"].items() if name.startswith("KUMA_TRANSPARENT_PROXY_")}


def family_mode(case):
    in_texts(case, lambda text: re.sub(r"\bipv4\b", "ipv4", text, flags=re.I))


def unusable_servers(case):
    def usable(line):
        words = line.split()
        return len(words) < 2 or words[0] != "nameserver" or is_address(words[1])

    def change(text):
        return "".join(line for line in text.splitlines(True) if usable(line))

    case["resolv"] = change(case["resolv"])
    case["files"] = {name: change(text) if name.endswith(".conf") else text for name, text in case["files"].items()}


def plain_duration(case):
    words = case["args"]
    for i, word in enumerate(words):
        if word.startswith("--sleep-between-retries="):
            words[i] = "--sleep-between-retries=" + quoted(word.split("=", 1)[1])
        elif word == "--sleep-between-retries" and i + 1 < len(words):
            words[i + 1] = quoted(words[i + 1])


def quoted(text):
    return f'"{text}"' if re.fullmatch(r"[-+]?([\d.]+(ns|us|µs|ms|s|m|h))+", text) else text


def json_slash(case):
    in_texts(case, lambda text: text.replace("\\/", "/"))


def switch_off(case, key, variable, option):
    """Makes the setting false wherever it is true."""
    yes = "1 t T TRUE true True".split()
    case["env"] = {name: "false" if name.endswith(variable) and value in yes else value for name, value in case["env"].items()}
    in_texts(case, lambda text: re.sub(rf'("?{key}"?: *)(true|y|yes|on)\b', r"\1false", text, flags=re.I))
    case["args"] = [f"{option}=false" if word in [option] + [f"{option}={value}" for value in yes] else word
                    for word in case["args"]]


def cni_mode(case):
    switch_off(case, "cniMode", "_CNI_MODE", "--cni-mode")


def firewalld(case):
    switch_off(case, "storeFirewalld", "_STORE_FIREWALLD", "--store-firewalld")


LARGE = {"70001": "60991", "100001": "61991", "200001": "62991"}


def large_uids(case):
    for large, small in LARGE.items():
        in_texts(case, lambda text: re.sub(rf"\b{large}\b", small, text))


# What kumactl is given instead, and why.
TRANSLATIONS = [
    ("inline", inline, "2.14 has no inline form of --config; 2.10 has, without \\n"),
    ("environment", environment, "2.14 reads no environment variable unless --config or --config-file is given"),
    ("unprefixed", unprefixed, "kumactl reads some variables without KUMA_TRANSPARENT_PROXY_ too"),
    ("family-mode", family_mode, "kumactl takes IPv4 for dualstack"),
    ("unusable-servers", unusable_servers, "kumactl turns a name server with a zone into a rule for all servers"),
    ("cni-mode", cni_mode, "kumactl does not look the user up in cniMode, which is Kubernetes' alone"),
    ("firewalld", firewalld, "kumactl fails at the first inserted rule; what is stored is in our own order"),
    ("json-slash", json_slash, "kumactl's YAML does not know JSON's \\/"),
    ("plain-duration", plain_duration, "kumactl wants the JSON text \"2s\" behind --sleep-between-retries"),
    ("large-uids", large_uids, "kumactl refuses UIDs above 65535"),
]

# What only tproxyd refuses: the sentence that says so, and why.
REFUSALS = [
    ("unknown-key", r"unknown key ", "a misspelt setting is silently a default"),
    ("twice", r"the key is there twice", "only one of the two can be meant"),
    ("second-document", r"a second document; a file holds one", "it would never be read"),
    ("after-document", r"not YAML: did not find expected <document start>", "it would never be read"),
    ("merge-key", r"merge keys", "kumactl applies them against YAML's rule"),
    ("trailing-comma", r"an item is missing between the comma and the bracket", "an item may have been lost"),
    ("no-port", r'(nothing|"true"|a list) is found where a list of ports', "kumactl drops such items of a list"),
    ("environment-only", r"can be set only by the environment variable", "kumactl ignores chain names in files"),
    ("log-level", r"log\.level: is more than 7", "no such priority: fails in iptables"),
    ("same-port", r"each needs a port of its own", "the redirects would be one"),
    ("chain-twice", r"each chain needs a name of its own", "fails in iptables"),
    ("chain-name", r"is no chain name|is too long: at most", "long ones fail in iptables, others may in scripts"),
    ("inbound-uids", r"an inbound packet has no user", "switches inbound redirection off"),
    ("uid-none", r"no UID is given", "exempts every user"),
    ("uid-backwards", r"runs backwards|does not run upwards", "fails in iptables"),
    ("uid-slots", r"where one rule takes at most 15", "fails in iptables"),
    ("uid-number", r"is not a (port or a range of ports|UID or a range of UIDs): expected numbers",
     "iptables reads a leading zero as octal; three-fold ranges fail there"),
    ("uid-protocol", r"no protocol is given", "makes no rule at all"),
    ("ip-none", r"no address is given", "makes no rule at all"),
    ("ip-length", r"is not (an address|a network): expected <ip>", "a length with leading zeros"),
    ("ip-mapped", r"is an IPv4 address in the notation of IPv6", "fails in iptables"),
    ("control", r"contains a control character", "breaks the restore text"),
    ("vnet-name", r"is not an interface's name", "fails in iptables"),
    ("large-number", r"where a whole number from 0 to 4294967295|\"\d{19,}\" is found where a duration", "up to 2^64 there"),
    ("resolv-empty", r"resolvConfigPath: is empty", "fails once DNS is redirected"),
    ("special-file", r"is not a regular file", "it could block"),
    ("foreign-tag", r"error: the tag .* cannot be used here", "nobody knows what it means"),
    ("executable", r"is not one of iptables, iptables-save", "a misspelt name"),
]


def translate(case):
    """Changes case into what kumactl needs; returns the names of the translations that did something."""
    done = []
    for name, change, _ in TRANSLATIONS:
        before = repr(case)
        change(case)
        if repr(case) != before:
            done.append(name)
    return done


def back(text):
    """What kumactl would have printed without the translations of values."""
    for large, small in LARGE.items():
        text = re.sub(rf"\b{small}\b", large, text)
    return re.sub(r"^# \[ip6?tables\] provided executables will be used .*\n+", "", text, flags=re.M)


def rules_of(stdout):
    """What we print without the document for firewalld."""
    rules, document, _ = stdout.partition("<?xml")
    return rules.rstrip("\n") + "\n" if document else stdout


def refusal(stderr):
    """The documented refusals among what tproxyd says, and what is not documented."""
    errors = [line for line in stderr.splitlines() if "error: " in line]
    names, others = [], []
    for line in errors:
        found = [name for name, pattern, _ in REFUSALS if re.search(pattern, line)]
        names += found[:1]
        others += [] if found else [line]
    return names, others
