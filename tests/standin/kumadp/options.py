# SPDX-License-Identifier: GPL-2.0-or-later
"""kuma-dp's command line and environment: flags are read as cobra reads them, then KUMA_* variables beat them."""

import os
import re

ENV = "KUMA_DATAPLANE_"
RUNTIME = ENV + "RUNTIME_"

# flag: (kind, default, environment variable, first minor version of 2.x, last one or None when 3 has it too)
FLAGS = {
    "cp-address": ("string", "https://localhost:5678", "KUMA_CONTROL_PLANE_URL", 0, None),
    "ca-cert-file": ("string", "", "KUMA_CONTROL_PLANE_CA_CERT_FILE", 0, None),
    "skip-verify": ("bool", False, "KUMA_CONTROL_PLANE_TLS_SKIP_VERIFY", 11, None),
    "name": ("string", "", ENV + "NAME", 0, None),
    "mesh": ("string", "", ENV + "MESH", 0, None),
    "proxy-type": ("string", "dataplane", ENV + "PROXY_TYPE", 0, None),
    "dataplane-file": ("string", "", RUNTIME + "RESOURCE_PATH", 0, None),
    "dataplane": ("string", "", RUNTIME + "RESOURCE", 0, None),
    "dataplane-var": ("map", {}, None, 0, None),
    "dataplane-token-file": ("string", "", RUNTIME + "TOKEN_PATH", 0, None),
    "dataplane-token": ("string", "", RUNTIME + "TOKEN", 0, None),
    "binary-path": ("string", "envoy", RUNTIME + "BINARY_PATH", 0, None),
    "concurrency": ("uint", 0, RUNTIME + "CONCURRENCY", 0, None),
    "work-dir": ("string", "", RUNTIME + "WORK_DIR", 12, None),
    "config-dir": ("string", "", RUNTIME + "CONFIG_DIR", 0, 14),
    "drain-time": ("duration", 30.0, ENV + "DRAIN_TIME", 0, None),
    "envoy-log-level": ("string", "", RUNTIME + "ENVOY_LOG_LEVEL", 0, None),
    "envoy-component-log-level": ("string", "", RUNTIME + "ENVOY_COMPONENT_LOG_LEVEL", 0, None),
    "metrics-cert-path": ("string", "", RUNTIME + "METRICS_CERT_PATH", 0, None),
    "metrics-key-path": ("string", "", RUNTIME + "METRICS_KEY_PATH", 0, None),
    "bind-outbounds": ("bool", False, RUNTIME + "BIND_OUTBOUNDS", 11, None),
    "transparent-proxy": ("bool", False, None, 11, None),
    "transparent-proxy-config": ("array", [], None, 11, None),
    "dns-enabled": ("bool", True, "KUMA_DNS_ENABLED", 0, None),
    "dns-coredns-port": ("uint", 15053, "KUMA_DNS_CORE_DNS_PORT", 0, 14),
    "dns-envoy-port": ("uint", 15054, "KUMA_DNS_ENVOY_DNS_PORT", 0, 14),
    "dns-coredns-path": ("string", "coredns", "KUMA_DNS_CORE_DNS_BINARY_PATH", 0, 14),
    "dns-coredns-config-template-path": ("string", "", "KUMA_DNS_CORE_DNS_CONFIG_TEMPLATE_PATH", 0, 14),
    "dns-server-config-dir": ("string", "", "KUMA_DNS_CONFIG_DIR", 0, 14),
    "dns-prometheus-port": ("uint", 19153, "KUMA_DNS_PROMETHEUS_PORT", 0, 14),
    "dns-enable-logging": ("bool", False, "KUMA_DNS_ENABLE_LOGGING", 0, 14),
    "dns-proxy-port": ("uint", 15053, "KUMA_DNS_PROXY_PORT", 99, None),
    "log-level": ("string", "info", None, 0, None),
    "log-output-path": ("string", "", None, 0, None),
    "log-max-retained-files": ("uint", 1000, None, 0, None),
    "log-max-size": ("uint", 100, None, 0, None),
    "log-max-age": ("uint", 30, None, 0, None),
}
SHORT = {"d": "dataplane-file", "v": "dataplane-var"}

# Settings that only the environment can give.
ENV_ONLY = {
    "readiness-port": ("uint", 9902, "KUMA_READINESS_PORT"),
    "dns-proxy-port": ("uint", 0, "KUMA_DNS_PROXY_PORT"),
}

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
TRUE = ("1", "t", "T", "true", "TRUE", "True")
FALSE = ("0", "f", "F", "false", "FALSE", "False")


class Refused(Exception):
    """What kuma-dp prints after "Error: " before it exits with 1."""


def version():
    return os.environ.get("STANDIN_VERSION", "2.14.3")


def duration(text):
    """Seconds of a Go duration such as 1m30s; None when it is none."""
    if text == "0":
        return 0.0
    if text.startswith("-"):
        positive = duration(text[1:])
        return None if positive is None else -positive
    parts = re.findall(r"([0-9]+(?:\.[0-9]*)?)(ns|us|µs|ms|s|m|h)", text)
    if not parts or "".join(n + unit for n, unit in parts) != text:
        return None
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def convert(kind, text):
    """The value of a text and None, or None and what Go says about it."""
    if kind == "bool":
        if text in TRUE or text in FALSE:
            return text in TRUE, None
        return None, f'strconv.ParseBool: parsing "{text}": invalid syntax'
    if kind == "uint":
        if re.fullmatch("[0-9]+", text) and int(text) < 1 << 32:
            return int(text), None
        return None, f'strconv.ParseUint: parsing "{text}": invalid syntax'
    if kind == "duration":
        value = duration(text)
        return value, None if value is not None else f'time: invalid duration "{text}"'
    if kind == "map":
        pairs = [pair.partition("=") for pair in text.split(",") if pair]
        for key, equals, _ in pairs:
            if not equals:
                return None, f"{key} must be formatted as key=value"
        return {key: value for key, _, value in pairs}, None
    return text, None


def offered():
    """The flags that the imitated version has."""
    major, minor = (int(part) for part in version().split(".")[:2])
    if major > 2:
        return {name: flag for name, flag in FLAGS.items() if flag[4] is None}
    return {name: flag for name, flag in FLAGS.items()
            if flag[3] <= minor and (flag[4] is None or minor <= flag[4])}


def split_command(arguments):
    """The subcommand and what is left; kuma-dp's global flags may stand before it."""
    for i, argument in enumerate(arguments):
        before = arguments[i - 1] if i else ""
        if not argument.startswith("-") and not (before.startswith("--log-") and "=" not in before):
            if argument not in ("run", "version"):
                raise Refused(f'unknown command "{argument}" for "kuma-dp"\nRun \'kuma-dp --help\' for usage.')
            return argument, arguments[:i] + arguments[i + 1:]
    return None, arguments


def store(values, name, kind, text):
    value, problem = convert(kind, text)
    if problem:
        shown = f"-v, --{name}" if name == "dataplane-var" else f"--{name}"
        raise Refused(f'invalid argument "{text}" for "{shown}" flag: {problem}')
    if kind == "map":
        values[name] = {**values[name], **value}
    elif kind == "array":
        values[name] = values[name] + [value]
    else:
        values[name] = value


def parse_flags(arguments):
    flags = offered()
    values = {name: flag[1] for name, flag in flags.items()}
    queue = list(arguments)
    while queue:
        argument = queue.pop(0)
        if argument == "--":
            break
        if argument.startswith("--"):
            name, equals, text = argument[2:].partition("=")
            shown = f"--{name}"
            if name not in flags:
                raise Refused(f"unknown flag: --{name}")
        elif argument.startswith("-") and len(argument) > 1:
            name = SHORT.get(argument[1])
            shown = f"'{argument[1]}' in {argument}"
            if name is None:
                raise Refused(f"unknown shorthand flag: {shown}")
            text = argument[2:].removeprefix("=")
            equals = bool(text)
        else:
            continue
        kind = flags[name][0]
        if not equals and kind == "bool":
            text = "true"
        elif not equals:
            if not queue:
                raise Refused(f"flag needs an argument: {shown}")
            text = queue.pop(0)
        store(values, name, kind, text)
    return values


def parse(arguments, environment):
    """All settings by flag name, flags first and then the environment over them."""
    values = parse_flags(arguments)
    if values["log-level"] not in ("off", "info", "debug"):
        raise Refused(f'unknown log level "{values["log-level"]}"')
    named = {name: (flag[0], flag[2]) for name, flag in FLAGS.items() if name in values and flag[2]}
    for name, (kind, default, variable) in ENV_ONLY.items():
        named.setdefault(name, (kind, variable))
        values.setdefault(name, default)
    for name, (kind, variable) in named.items():
        if variable not in environment:
            continue
        value, problem = convert(kind, environment[variable])
        if problem:
            raise Refused(f"processing environment variables failed: envconfig.Process: assigning {variable}: "
                          f"converting '{environment[variable]}' to type {kind}. details: {problem}")
        values[name] = value
    if values["drain-time"] <= 0:
        raise Refused("configuration validation failed: .Dataplane is not valid: .DrainTime must be positive")
    return values
