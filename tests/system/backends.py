# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests that are run with more than one netfilter backend: hooks of pytest, for a conftest.py that has a fixture nf_backend."""


def pytest_generate_tests(metafunc):
    """A file that names NF_BACKENDS is run with each of them; a test that is marked so, with those that its mark names."""
    if "nf_backend" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("backends")
        if backends := mark.args if mark else getattr(metafunc.module, "NF_BACKENDS", ()):
            metafunc.parametrize("nf_backend", backends)


def pytest_configure(config):
    config.addinivalue_line("markers", "backends(NAME…): netfilter backends to run the test with")
