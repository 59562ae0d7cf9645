# SPDX-License-Identifier: Apache-2.0
"""Makes a header of the classic API with other names, for a file that must see another <dtrace.h> beside it.

    classic.py OUTPUT HEADER...

Whatever begins with dtrace or DTRACE begins with classic or CLASSIC in it; what the headers include of each
other is left out, as they come in order.
"""

from __future__ import annotations

import re
import sys


def renamed(text: str) -> str:
    text = re.sub(r"#include [<\"]dtrace\w*\.h[>\"]\n", "", text)
    text = re.sub(r"\bDT_ACT_", "CLASSIC_ACT_", text)
    text = re.sub(r"(?<![A-Za-z])DTRACE", "CLASSIC", text)
    return re.sub(r"(?<![A-Za-z])dtrace_", "classic_", text)


def main() -> None:
    out, *headers = sys.argv[1:]
    with open(out, "w") as f:
        for header in headers:
            with open(header) as h:
                f.write(renamed(h.read()))


main()
