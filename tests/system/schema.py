# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether what `tproxyd status --json` and `--metrics` say is what is promised, by programs of others."""

import json
import os

import jsonschema
import prometheus_client.openmetrics.parser
import prometheus_client.parser

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
with open(os.path.join(REPOSITORY, "packaging", "status.schema.json"), encoding="utf-8") as file:
    SCHEMA = json.load(file)


def checked(text):
    """The status, which the schema has to describe in full."""
    status = json.loads(text)
    # What is wrong with one of the two forms says more than that neither is right.
    form = "not-running" if status["phase"] == "not-running" else "running"
    jsonschema.Draft202012Validator({"$ref": f"#/$defs/{form}", "$defs": SCHEMA["$defs"]}).validate(status)
    jsonschema.Draft202012Validator(SCHEMA).validate(status)
    return status


def metrics(text):
    """{(name, (label, value)…): number} of the metrics, which OpenMetrics' and node_exporter's format both take."""
    found = {(sample.name, *sorted(sample.labels.items())): sample.value
             for family in prometheus_client.openmetrics.parser.text_string_to_metric_families(text)
             for sample in family.samples}
    older = {(sample.name, *sorted(sample.labels.items())): sample.value
             for family in prometheus_client.parser.text_string_to_metric_families(text)
             for sample in family.samples}
    assert found == older
    return found
