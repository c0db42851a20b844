# SPDX-License-Identifier: GPL-2.0-or-later
"""A newcomer's way through README, in a machine: tests/readme does it."""

import os
import subprocess

import conftest


def test_readme_can_be_followed_from_top_to_bottom():
    if conftest.why_not():
        conftest.pytest.skip(conftest.why_not())
    done = subprocess.run([os.path.join(conftest.REPOSITORY, "tests", "readme")], capture_output=True, text=True, check=False)
    print(done.stdout + done.stderr)
    if done.returncode == 77:
        conftest.pytest.skip(done.stderr.strip())
    assert done.returncode == 0
