# SPDX-License-Identifier: Apache-2.0
"""complete.py TEMPLATE OPTIONS.DEF OUTPUT: puts the names of the engine's options into a shell's completion."""

from __future__ import annotations

import re
import sys

template, options, output = sys.argv[1:]
with open(options, encoding="utf-8") as f:
    names = re.findall(r'^OPTION\(\w+, "(\w+)", (?!PENDING|ACCEPT)', f.read(), re.M)
with open(template, encoding="utf-8") as f:
    text = f.read()
with open(output, "w", encoding="utf-8") as f:
    f.write(text.replace("@OPTIONS@", " ".join(sorted(names))))
