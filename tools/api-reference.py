# SPDX-License-Identifier: Apache-2.0
"""The page "Python, name by name", from the docstrings of the installed package.

api-reference.py > api.md
"""

from __future__ import annotations

import inspect

import dtrace

MODULES = ("compat", "fleet", "jupyter", "otel", "plot", "prometheus", "stacks")


def doc(thing: object) -> str:
    """The docstring; doctest lines and what is indented stay as they are."""
    lines, out, code = (inspect.getdoc(thing) or "").splitlines(), [], False
    for line in lines:
        starts = line.startswith(">>>")
        if starts and not code:
            out += ["", "```python"]
            code = True
        elif code and not line:
            out += ["```"]
            code = False
        out.append(line)
    return "\n".join([*out, "```"] if code else out)


def signature(name: str, thing: object) -> str:
    try:
        return name + str(inspect.signature(thing)).replace("'", "")  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return name


def members(cls: type) -> list[tuple[str, object]]:
    found = []
    for name, thing in vars(cls).items():
        if name.startswith("_") or not inspect.getdoc(thing):
            continue
        if isinstance(thing, (property, staticmethod, classmethod)) or callable(thing):
            found.append((name, thing))
    return found


def show(name: str, thing: object, level: int) -> None:
    print(f"\n{'#' * level} `{name}`\n")
    if inspect.isclass(thing):
        if not issubclass(thing, BaseException):
            print(f"```python\n{signature(name, thing)}\n```\n")
        print(doc(thing))
        for member, what in members(thing):
            inner = getattr(what, "__func__", what)
            head = member if isinstance(what, property) else signature(member, inner)
            print(f"\n**`{head}`**\n\n{doc(what)}")
    elif callable(thing):
        print(f"```python\n{signature(name, thing)}\n```\n\n{doc(thing)}")
    else:
        print(f"`{thing!r}`")


def main() -> None:
    print(
        "# Python, name by name\n\nMade from the docstrings; [Python](python.md) has the overview."
    )
    for name in dtrace.__all__:
        show(f"dtrace.{name}", getattr(dtrace, name), 2)
    for name in MODULES:
        try:
            module = getattr(dtrace, name)
        except ImportError as e:  # an extra that is not installed
            print(f"\n## `dtrace.{name}`\n\n(needs {e.name})")
            continue
        print(f"\n## `dtrace.{name}`\n\n{doc(module)}")
        for member, thing in vars(module).items():
            public = not member.startswith("_") and callable(thing) and inspect.getdoc(thing)
            if public and getattr(thing, "__module__", "").startswith("dtrace"):
                show(f"dtrace.{name}.{member}", thing, 3)


main()
