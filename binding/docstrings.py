# SPDX-License-Identifier: Apache-2.0
"""docstrings.py STUB HEADER: the docstrings of a type stub as C macros, to write them once.

A method becomes DOC_Class_method and starts with its signature in the form that CPython knows
("go($self, /)\\n--\\n\\n..."), from which help() and inspect.signature() take it.
"""

from __future__ import annotations

import ast
import sys


def c_string(text: str) -> str:
    """Text as adjacent C literals, a line each."""
    lines = text.split("\n")
    ends = ["\\n"] * (len(lines) - 1) + [""]
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return " \\\n\t".join(f'"{line}{end}"' for line, end in zip(escaped, ends, strict=True))


def signature(function: ast.FunctionDef) -> str:
    """The arguments without annotations, which CPython's text signatures cannot have."""
    args = function.args
    for arg in [*args.posonlyargs, *args.args, *args.kwonlyargs]:
        arg.annotation = None
    first = (args.posonlyargs or args.args)[0]
    first.arg = "$" + first.arg
    text = ast.unparse(args)
    if len(args.posonlyargs) + len(args.args) == 1 and not args.kwonlyargs:
        text += ", /"
    elif not args.posonlyargs:
        text = text.replace(first.arg, first.arg + ", /", 1)
    return f"{function.name}({text})\n--\n\n"


def is_property(function: ast.FunctionDef) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "property" for d in function.decorator_list)


def docstrings(tree: ast.Module) -> dict[str, str]:
    """Macro names and their texts."""
    docs = {"DOC_module": ast.get_docstring(tree) or ""}
    for cls in tree.body:
        if not isinstance(cls, ast.ClassDef):
            continue
        head = ""
        for function in cls.body:
            if not isinstance(function, ast.FunctionDef):
                continue
            name = f"DOC_{cls.name}_{function.name}"
            doc = ast.get_docstring(function) or ""
            if function.name == "__new__":
                head = signature(function).replace("__new__($cls, /", f"{cls.name}($cls, /")
            elif is_property(function):
                docs[name] = doc
            else:
                docs[name] = signature(function) + doc
        docs[f"DOC_{cls.name}"] = head + (ast.get_docstring(cls) or "")
    return docs


def main() -> None:
    stub, header = sys.argv[1:]
    with open(stub, encoding="utf-8") as f:
        docs = docstrings(ast.parse(f.read()))
    with open(header, "w", encoding="utf-8") as f:
        f.write("/* made by docstrings.py from the type stub */\n")
        for name, text in docs.items():
            f.write(f"#define {name} \\\n\t{c_string(text)}\n")


if __name__ == "__main__":
    main()
