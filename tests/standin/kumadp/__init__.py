# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of the stand-in kuma-dp. Imports are few on purpose: it has to start as fast as a compiled program."""
