# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that kuma-dp is given: the Dataplane resource, the transparent proxy's settings, the token.

YAML is read in the subset that such files are written in: block mappings and sequences, scalars on one line, flow
values as JSON writes them. Anything else is an error, never a guess.
"""

import base64
import binascii
import json
import os
import re

from .options import Refused

BAD_TOKEN = ("dataplane token is invalid, in Kubernetes you must mount a serviceAccount token, in universal you must "
             "start your proxy with a generated token.: ")
LIMIT = 1 << 20


class BadDocument(Exception):
    """A document that this reader does not understand."""


class Lines:
    """The lines of a document that say something, as (number, indentation, text)."""

    def __init__(self, text):
        self.rows = []
        for number, line in enumerate(text.splitlines(), 1):
            body = strip_comment(line).rstrip()
            if not body.strip() or (body == "---" and not self.rows):
                continue
            if "\t" in body[:len(body) - len(body.lstrip())]:
                raise BadDocument(f"line {number}: found character that cannot start any token")
            self.rows.append((number, len(body) - len(body.lstrip()), body.strip()))
        self.next = 0

    def peek(self):
        return self.rows[self.next] if self.next < len(self.rows) else (0, -1, "")


def strip_comment(line):
    quote = ""
    for i, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'" and (i == 0 or line[i - 1] in " :[{,-"):
            quote = char
        elif char == "#" and (i == 0 or line[i - 1] in " \t"):
            return line[:i]
    return line


def flow(text, number):
    """A flow sequence or mapping: JSON, whose words may go without quotes."""
    quoted = re.sub(r'"(?:[^"\\]|\\.)*"|[^\s\[\]{},:"][^\[\]{},:"]*',
                    lambda m: m[0] if m[0][0] == '"' else json.dumps(scalar(m[0].strip(), number)), text)
    quoted = re.sub(r'([{,]\s*)(true|false|null|-?[0-9.]+)(\s*:)', r'\1"\2"\3', quoted)
    try:
        return json.loads(quoted)
    except ValueError:
        raise BadDocument(f"line {number}: did not find expected node content") from None


def scalar(text, number):
    if text[:1] in "[{" and text:
        return flow(text, number)
    if text[:1] in "|>&*!%@`" and text:
        raise BadDocument(f"line {number}: this reader takes no such value: {text}")
    if len(text) > 1 and text[0] == text[-1] == '"':
        return json.loads(text)
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if re.search(r":(\s|$)|^- ", text):
        raise BadDocument(f"line {number}: mapping values are not allowed in this context")
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch("-?(0|[1-9][0-9]*)", text):
        return int(text)
    return text


def split_pair(text, number):
    match = re.match(r'("(?:[^"\\]|\\.)*"|\'(?:[^\']|\'\')*\'|[^\s#:][^#]*?)\s*:(?:\s+(.*))?$', text)
    if not match:
        raise BadDocument(f"line {number}: could not find expected ':'")
    return str(scalar(match[1], number)), match[2] or ""


def block(lines, indent):
    """The mapping or sequence whose entries stand at this indentation."""
    is_list = lines.peek()[2] == "-" or lines.peek()[2].startswith("- ")
    result = [] if is_list else {}
    while lines.peek()[1] == indent:
        number, _, text = lines.peek()
        if is_list != (text == "-" or text.startswith("- ")):
            break
        if is_list:
            rest = text[1:].strip()
            if rest and re.match(r'[^\[{"\']*?[^\s]:(\s|$)', rest):
                # The mapping's first key stands behind the dash: read it as a line of its own.
                inner = indent + len(text) - len(rest)
                lines.rows[lines.next] = (number, inner, rest)
                result.append(block(lines, inner))
                continue
            lines.next += 1
            result.append(scalar(rest, number) if rest else nested(lines, indent, False))
        else:
            lines.next += 1
            key, value = split_pair(text, number)
            result[key] = scalar(value, number) if value else nested(lines, indent, True)
    if lines.peek()[1] > indent:
        raise BadDocument(f"line {lines.peek()[0]}: did not find expected key")
    return result


def nested(lines, indent, list_may_align):
    _, deeper, text = lines.peek()
    if deeper > indent or (list_may_align and deeper == indent and (text == "-" or text.startswith("- "))):
        return block(lines, deeper)
    return None


def read_yaml(text):
    """A document as dicts, lists and scalars."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    lines = Lines(text)
    if not lines.rows:
        return None
    number, indent, first = lines.rows[0]
    if len(lines.rows) == 1 and ":" not in first:
        return scalar(first, number)
    if first[0] in "[{":
        return flow(" ".join(row[2] for row in lines.rows), number)
    document = block(lines, indent)
    if lines.next < len(lines.rows):
        raise BadDocument(f"line {lines.peek()[0]}: did not find expected <document start>")
    return document


def read_file(path, describe):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(LIMIT)
    except OSError as error:
        raise Refused(describe(os.strerror(error.errno).lower())) from None


def render(template, variables):
    """The mustache that Dataplane files use: an unknown name becomes nothing."""
    return re.sub(r"\{\{\{?&?\s*([\w.\-]+)\s*\}?\}\}", lambda match: variables.get(match[1], ""), template)


def dataplane(values):
    """The Dataplane resource, or None when none was given."""
    text = values["dataplane"]
    path = values["dataplane-file"]
    if path:
        text = read_file("/dev/stdin" if path == "-" else path,
                         lambda why: f"error while reading provided file: open {path}: {why}")
    if not text.strip():
        return None
    try:
        resource = read_yaml(render(text, values["dataplane-var"]))
    except BadDocument as error:
        raise Refused(f'invalid meta type: "error converting YAML to JSON: yaml: {error}"') from None
    if not isinstance(resource, dict):
        raise Refused('invalid meta type: "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal '
                      'string into Go value of type v1alpha1.ResourceMeta"')
    if resource.get("type") != "Dataplane":
        raise Refused(f'invalid resource type "{resource.get("type", "")}"')
    if not isinstance(resource.get("networking"), dict):
        raise Refused("networking: must be defined")
    empty = [f"{key}: cannot be empty" for key in ("name", "mesh") if not resource.get(key)]
    if empty:
        raise Refused("; ".join(empty))
    return resource


def lower_keys(value):
    """Keys of the transparent proxy's settings match in any case."""
    if isinstance(value, dict):
        return {key.lower(): lower_keys(inner) for key, inner in value.items()}
    return value


def transparent_proxy_files(paths):
    """The settings of --transparent-proxy-config, later files over earlier ones, by what kuma-dp looks at."""
    merged = {"ipfamilymode": "dualstack", "inbound": (True, 15006), "outbound": (True, 15001)}
    for path in paths:
        prefix = "failed to load transparent proxy configuration from provided input: "
        text = read_file("/dev/stdin" if path == "-" else path,
                         lambda why, path=path: prefix + f"unable to access configuration file '{path}', please check "
                                                         "if the file exists and has the correct permissions")
        where = prefix + f"parsing configuration from file '{path}' failed: unable to parse configuration: "
        try:
            document = lower_keys(read_yaml(text))
        except BadDocument as error:
            raise Refused(where + f"error converting YAML to JSON: yaml: {error}") from None
        document = {} if document is None else document
        if not isinstance(document, dict):
            raise Refused(where + "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into "
                                  "Go value of type dataplane.DataplaneConfig")
        merged["ipfamilymode"] = str(document.get("ipfamilymode") or merged["ipfamilymode"]).lower()
        redirect = document.get("redirect") or {}
        for direction in ("inbound", "outbound"):
            section = redirect.get(direction) or {}
            enabled = section.get("enabled", merged[direction][0])
            port = section.get("port", merged[direction][1])
            if str(port).isdigit() is False or not 1 <= int(port) <= 65535:
                raise Refused(where + "error unmarshaling JSON: while decoding JSON: value "
                                      f"'{port}' is not a valid port (uint16 in the range [1, 65535])")
            merged[direction] = (bool(enabled), int(port))
    return merged


def check_segment(segment, what):
    """The JSON in one part of a token."""
    padded = segment + "=" * (-len(segment) % 4)
    try:
        decoded = base64.b64decode(padded.encode(), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        decoded = None
    malformed = BAD_TOKEN + "not valid JWT token. Can't parse it.: token is malformed: "
    if decoded is None:
        raise Refused(malformed + f"could not base64 decode {what}: illegal base64 data")
    try:
        return json.loads(decoded)
    except ValueError:
        raise Refused(malformed + f"could not JSON decode {what}") from None


def check_token(path):
    """Refuses a token file as kuma-dp does before it asks the control plane for anything."""
    if not os.path.exists(path):
        raise Refused(BAD_TOKEN + f"could not read file {path}: stat {path}: no such file or directory")
    text = read_file(path, lambda why: BAD_TOKEN + f"could not read the token in the file {path}: open {path}: {why}")
    if not text:
        raise Refused(BAD_TOKEN + f"token under file {path} is empty")
    if len(text.strip().splitlines()) != 1:
        raise Refused(BAD_TOKEN + "Token shouldn't contain line breaks within the token, only at the start or end")
    parts = text.strip().split(".")
    if len(parts) != 3:
        raise Refused(BAD_TOKEN + "not valid JWT token. Can't parse it.: token is malformed: "
                                  "token contains an invalid number of segments")
    head = check_segment(parts[0], "header")
    check_segment(parts[1], "claims")
    if not isinstance(head, dict) or not head.get("alg"):
        raise Refused(BAD_TOKEN + "not valid JWT token. Can't parse it.: token is unverifiable: "
                                  "signing method (alg) is unspecified")
