# SPDX-License-Identifier: GPL-2.0-or-later
"""A program that is no good, made of one that is: one of its functions does something else.

It reads and says all that the good one does, until it comes to that function."""

import os
import platform
import struct
import subprocess

import pytest

# In the place of a function's first bytes (x86-64).
CODE = {
    "crashes": "31 c0 88 00",  # writes to address 0
    "is nonsense": "0f 0b",
    "aborts": "b8 27 00 00 00 0f 05 89 c7 be 06 00 00 00 b8 3e 00 00 00 0f 05",  # kill(getpid(), SIGABRT)
    "calls itself": "e8 fb ff ff ff",  # until the stack has no room any more
    "hangs": "eb fe",
    "fails": "b8 ff ff ff ff c3",  # returns -EPERM
}


def place_of(program, function):
    """Where in the file the function begins."""
    symbols = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout.splitlines()
    found = [int(line.split()[0], 16) for line in symbols if line.split()[1:] in (["t", function], ["T", function])]
    assert len(found) == 1, f"{program} has {len(found)} functions {function}"
    with open(program, "rb") as file:
        elf = file.read()
    begin, size, n = struct.unpack_from("<Q", elf, 32)[0], *struct.unpack_from("<HH", elf, 54)
    for at in range(begin, begin + n * size, size):
        kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", elf, at)
        if kind == 1 and address <= found[0] < address + length:  # PT_LOAD
            return elf, found[0] - address + offset
    raise AssertionError(f"{program}: {function} is in no segment")


def make(program, function, kind, path):
    if platform.machine() != "x86_64":
        pytest.skip("the code of a function is replaced for x86-64 alone")
    elf, at = place_of(program, function)
    code = bytes.fromhex(CODE[kind])
    with open(path, "wb") as file:
        file.write(elf[:at] + code + elf[at + len(code):])
    os.chmod(path, 0o755)
    return path
