# SPDX-License-Identifier: Apache-2.0
"""``python -m dtrace``: the command line."""

from .cli import script

script()
