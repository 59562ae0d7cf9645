# SPDX-License-Identifier: Apache-2.0
"""Static probes of Python programs: defined and fired here, seen by every tracer that knows USDT.

A probe is a small shared object made without a compiler: a function that does nothing, a counter of who traces it
and a note that tells tracers about both.  It is kept in a folder of the user's, under a name that stands for
its contents, so that all processes that define the probe share one file; a tracer can attach to the file before
a process runs.  Loading it is a dlopen(), firing it is a call of the function.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import stat
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

__all__ = ["Provider", "StaticProbe"]

MAX_ARGS: Final = 10
REGISTERS: Final = ("%rdi", "%rsi", "%rdx", "%rcx", "%r8", "%r9")
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# A nop for the probe, then the return.
CODE: Final = b"\x90\xc3"


def supported() -> bool:
    """Can static probes be made on this system?"""
    return sys.platform == "linux" and platform.machine() == "x86_64" and sys.maxsize > 2**32


# ---- the shared object --------------------------------------------------------------------------

PAGE: Final = 4096
SHT_PROGBITS, SHT_STRTAB, SHT_HASH, SHT_DYNAMIC, SHT_NOTE, SHT_DYNSYM = 1, 3, 5, 6, 7, 11
WRITE, ALLOC, EXEC = 1, 2, 4


class Section:
    def __init__(
        self,
        name: str,
        kind: int,
        flags: int,
        data: bytes,
        *,
        link: int = 0,
        info: int = 0,
        entry: int = 0,
    ) -> None:
        self.name, self.kind, self.flags, self.data = name, kind, flags, data
        self.link, self.info, self.entry = link, info, entry
        self.at = 0


def align(n: int, to: int) -> int:
    return (n + to - 1) // to * to


def strings(*texts: str) -> tuple[bytes, list[int]]:
    """A string table and where each text is in it."""
    data, offsets = b"\0", []
    for text in texts:
        offsets.append(len(data))
        data += text.encode() + b"\0"
    return data, offsets


def operands(types: tuple[type, ...]) -> str:
    """Where the arguments of the function are when it is entered."""
    out = []
    for i, kind in enumerate(types):
        size = "-8" if issubclass(kind, int) else "8"
        where = REGISTERS[i] if i < len(REGISTERS) else f"{8 * (i - len(REGISTERS) + 1)}(%rsp)"
        out.append(f"{size}@{where}")
    return " ".join(out)


def note(provider: str, name: str, args: str, pc: int, base: int, counter: int) -> bytes:
    desc = struct.pack("<QQQ", pc, base, counter)
    desc += b"".join(text.encode() + b"\0" for text in (provider, name, args))
    head = struct.pack("<III", 8, len(desc), 3) + b"stapsdt\0"
    return head + desc.ljust(align(len(desc), 4), b"\0")


def shared_object(provider: str, name: str, types: tuple[type, ...]) -> bytes:
    """The file of one probe: function `name`, counter `name_counter`."""
    dynstr, (sym, counter_sym, soname) = strings(name, f"{name}_counter", f"{provider}.{name}")
    # Everything up to the second page is code and constants, at addresses that are offsets in the file.
    sections = [
        Section(
            ".hash", SHT_HASH, ALLOC, struct.pack("<IIIIII", 1, 3, 1, 0, 2, 0), link=2, entry=4
        ),
        Section(".dynsym", SHT_DYNSYM, ALLOC, bytes(24 * 3), link=3, info=1, entry=24),
        Section(".dynstr", SHT_STRTAB, ALLOC, dynstr),
        Section(".text", SHT_PROGBITS, ALLOC | EXEC, CODE),
        Section(".stapsdt.base", SHT_PROGBITS, ALLOC, b"\0"),
    ]
    hash_, dynsym, strtab, text, base = sections
    at = 64 + 4 * 56
    for s in sections:
        s.at = at = align(at, 16)
        at += len(s.data)
    code_end = at
    dynamic = Section(".dynamic", SHT_DYNAMIC, ALLOC | WRITE, bytes(16 * 7), link=3, entry=16)
    probes = Section(".probes", SHT_PROGBITS, ALLOC | WRITE, bytes(2))
    dynamic.at = align(at, PAGE)
    probes.at = dynamic.at + len(dynamic.data)
    data_end = probes.at + len(probes.data)
    dynamic.data = struct.pack(
        "<14Q",
        *(14, soname),
        *(4, hash_.at),
        *(5, strtab.at),
        *(6, dynsym.at),
        *(10, len(dynstr)),
        *(11, 24),
        *(0, 0),
    )
    dynsym.data = (
        bytes(24)
        + struct.pack("<IBBHQQ", sym, 0x12, 0, 4, text.at, len(CODE))
        + struct.pack("<IBBHQQ", counter_sym, 0x11, 0, 7, probes.at, 2)
    )
    told = Section(
        ".note.stapsdt",
        SHT_NOTE,
        0,
        note(provider, name, operands(types), text.at, base.at, probes.at),
    )
    sections += [dynamic, probes, told]
    names, offsets = strings(*(s.name for s in sections), ".shstrtab")
    sections.append(Section(".shstrtab", SHT_STRTAB, 0, names))
    at = data_end
    for s in sections[7:]:
        s.at = at = align(at, 16)
        at += len(s.data)
    headers_at = align(at, 16)

    file = bytearray(headers_at)
    file[:64] = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        *(3, 62, 1, 0, 64, headers_at, 0, 64, 56, 4, 64, len(sections) + 1, len(sections)),
    )
    segments = (
        (1, 5, 0, code_end),  # load, read and execute
        (1, 6, dynamic.at, data_end - dynamic.at),  # load, read and write
        (2, 6, dynamic.at, len(dynamic.data)),
        (0x6474E551, 6, 0, 0),  # a stack that is not executable
    )
    for i, (kind, flags, start, size) in enumerate(segments):
        file[64 + i * 56 : 120 + i * 56] = struct.pack(
            "<IIQQQQQQ", kind, flags, start, start, start, size, size, PAGE if kind == 1 else 8
        )
    file += bytes(64)
    for s, offset in zip(sections, offsets, strict=True):
        file[s.at : s.at + len(s.data)] = s.data
        address = s.at if s.flags & ALLOC else 0
        file += struct.pack(
            "<IIQQQQIIQQ",
            *(offset, s.kind, s.flags, address, s.at, len(s.data), s.link, s.info),
            *(1 if s.flags & EXEC else 2 if s.name == ".probes" else 1, s.entry),
        )
    return bytes(file)


# ---- where it is kept ---------------------------------------------------------------------------


def folder() -> Path | None:
    """A folder of our own, which nobody else can write to; None: there is none."""
    path = Path(tempfile.gettempdir()) / f"dtrace-probes-{os.getuid()}"
    try:
        path.mkdir(mode=0o755, exist_ok=True)
        st = path.lstat()
    except OSError:
        return None
    mine = stat.S_ISDIR(st.st_mode) and st.st_uid == os.getuid() and not st.st_mode & 0o022
    return path if mine else None


def keep(data: bytes, provider: str, name: str) -> Path | None:
    """The file with these contents, made when it is not there."""
    where = folder()
    if where is None:
        return None
    path = where / f"{provider}.{name}.{hashlib.sha256(data).hexdigest()[:16]}.so"
    try:
        if path.is_file() and path.read_bytes() == data:
            return path
        with tempfile.NamedTemporaryFile(dir=where, delete=False) as f:
            f.write(data)
        Path(f.name).chmod(0o755)
        Path(f.name).replace(path)
    except OSError:
        return None
    return path


def load(data: bytes, provider: str, name: str) -> tuple[ctypes.PyDLL, str]:
    """Loads it from its file, or from memory where no file can be run."""
    path = keep(data, provider, name)
    if path is not None:
        try:
            return ctypes.PyDLL(str(path)), str(path)
        except OSError:
            pass  # noexec
    fd = os.memfd_create(f"{provider}.{name}.so")
    try:
        os.write(fd, data)
        return ctypes.PyDLL(f"/proc/self/fd/{fd}"), ""
    finally:
        os.close(fd)


# ---- the interface ------------------------------------------------------------------------------


def convert_int(value: Any) -> int:
    return int(value)


def convert_str(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


class StaticProbe:
    """A probe of this program: call it to fire it.

    Nothing happens, and nothing is computed, unless somebody traces it: arguments that are functions are called
    only then.
    """

    def __init__(self, provider: str, name: str, types: tuple[type, ...]) -> None:
        self.provider = provider
        self.name = name
        self.types = types
        self.path = ""
        self._n = len(types)
        self._convert: list[Callable[[Any], Any]] = [
            convert_int if issubclass(t, int) else convert_str for t in types
        ]
        self._counter = ctypes.c_ushort(0)
        self._function: Callable[..., object] | None = None
        if supported():
            self._load()

    def _load(self) -> None:
        data = shared_object(self.provider, self.name, self.types)
        library, self.path = load(data, self.provider, self.name)
        function = library[self.name]
        function.argtypes = [
            ctypes.c_int64 if issubclass(t, int) else ctypes.c_char_p for t in self.types
        ]
        function.restype = None
        self._counter = ctypes.c_ushort.in_dll(library, f"{self.name}_counter")
        self._function = function

    def __repr__(self) -> str:
        types = ", ".join(t.__name__ for t in self.types)
        return f"<StaticProbe {self.provider}:{self.name}({types})>"

    @property
    def enabled(self) -> bool:
        """Does somebody trace it now?"""
        return self._counter.value != 0

    def __call__(self, *args: Any) -> None:
        """Fire it, if somebody traces it."""
        if len(args) != self._n:
            raise TypeError(
                f"{self.provider}:{self.name} takes {self._n} arguments, not {len(args)}"
            )
        if self._counter.value and self._function is not None:
            self._function(
                *(
                    convert(arg() if callable(arg) else arg)
                    for convert, arg in zip(self._convert, args, strict=True)
                )
            )

    fire = __call__


class Provider:
    """Static probes under one name: ``Provider("myapp").probe("request_start", str, int)``.

    In D they are ``myapp$target:::request_start``; two underscores in a name are a dash there.  Arguments are
    ``int``, ``str`` (in UTF-8) and ``bytes``, at most ten.  On systems other than Linux on x86-64 probes can be
    defined and fired, but nobody can trace them.
    """

    def __init__(self, name: str) -> None:
        if not NAME.fullmatch(name) or name[-1].isdigit() or len(name) > 48:
            raise ValueError(
                f"{name!r} is no name for a provider: letters, digits and _, not ending in a digit"
            )
        self.name = name
        self.probes: dict[str, StaticProbe] = {}

    def __repr__(self) -> str:
        return f"<Provider {self.name}: {', '.join(self.probes)}>"

    def probe(self, name: str, *types: type) -> StaticProbe:
        """Define a probe with arguments of these types; the same one again when it is there."""
        if not NAME.fullmatch(name) or len(name) > 63:
            raise ValueError(f"{name!r} is no name for a probe: letters, digits and _")
        if len(types) > MAX_ARGS:
            raise ValueError(f"a probe has at most {MAX_ARGS} arguments")
        for t in types:
            if not isinstance(t, type) or not issubclass(t, (int, str, bytes)):
                raise TypeError(f"arguments of probes are int, str or bytes, not {t!r}")
        known = self.probes.get(name)
        if known is None:
            known = self.probes[name] = StaticProbe(self.name, name, types)
        elif known.types != types:
            raise ValueError(f"probe {self.name}:{name} is there with other arguments")
        return known


for _public in (Provider, StaticProbe):
    _public.__module__ = "dtrace"  # tracebacks and help() show the public name
