# SPDX-License-Identifier: Apache-2.0
"""Values of traced programs as text for people: whatever they hold, it is harmless."""

from __future__ import annotations

import html
from typing import Any


def printable(text: str) -> str:
    """Without what a terminal might obey: such characters are written as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shorten(value: Any, width: int = 60) -> str:
    """A part of a key in one line."""
    if isinstance(value, (tuple, list)):
        return printable(";".join(map(str, value)))
    text = value if isinstance(value, str) else repr(value)
    text = printable(text)
    return text if len(text) <= width else text[: width - 1] + "…"


def cell_html(value: Any) -> str:
    """A value in a table of HTML."""
    if isinstance(value, (tuple, list)):
        return "<br>".join(html.escape(printable(str(part))) for part in value)
    text = value if isinstance(value, str) else repr(value)
    return html.escape(printable(text))
