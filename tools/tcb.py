#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Prints what is trusted: the enclave program's size by origin, lines of trusted code, messages to and from
the host, and the library symbols it needs.

usage: tcb.py BUILD_FOLDER      (after `make build`; for example build/dev)
"""
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = "enclave-os-runner-process"
OURS = ("common", "boundary", "trusted")
# A program of its own, of which nothing is in the enclave.
NOT_IN_ENCLAVE = ROOT / "trusted/attestd"
# Sections that are loaded; debug information is not.
LOADED = re.compile(r"^\s\.(text|rodata|data|bss|init_array|fini_array|tbss|tdata|eh_frame|gcc_except_table|data\.rel\.ro)[\w.$]*")


def origin_of(path):
    """Which part of the program an object file of the link map belongs to."""
    archive = re.match(r".*?([^/]+)\.a\(", path)
    if archive:
        name = archive.group(1)
        if name.startswith("libeos_"):
            return "ours: " + name.removeprefix("libeos_").split("_")[0]
        return name
    if "CMakeFiles" in path:
        return "ours: main"
    return "crt and compiler runtime"


def sizes_by_origin(map_file):
    sizes = Counter()
    text = map_file.read_text(errors="replace")
    text = text[text.index("Linker script and memory map"):]
    # A long section name puts address and size on the next line.
    text = re.sub(r"\n(\s\.[\w.$]+)\n\s+0x", r"\n\1 0x", text)
    for line in text.splitlines():
        if not LOADED.match(line):
            continue
        match = re.match(r"^\s\S+\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+(\S.*)$", line)
        if match:
            sizes[origin_of(match.group(2))] += int(match.group(1), 16)
    return sizes


def lines_of_code():
    """Lines that are neither blank nor comment, tests left out, by folder of a trusted zone."""
    lines = Counter()
    for zone in OURS:
        for path in (ROOT / zone).rglob("*"):
            if path.suffix not in {".cpp", ".h", ".S"} or "test" in path.name or path.is_relative_to(NOT_IN_ENCLAVE):
                continue
            folder = "/".join(path.relative_to(ROOT).parts[:2]) if zone != "boundary" else zone
            for line in path.read_text().splitlines():
                stripped = line.strip()
                lines[folder] += bool(stripped) and not stripped.startswith("//")
    return lines


def message_count():
    text = (ROOT / "boundary/messages.h").read_text()
    body = text[text.index("enum class MessageType"):]
    return len(re.findall(r"^\s+k\w+ = \d+,", body[:body.index("};")], re.M))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    program = Path(sys.argv[1]) / "bin" / PROGRAM
    map_file = program.with_suffix(".map")
    if not program.exists() or not map_file.exists():
        sys.exit(f"{program} is not built: make build")

    print(f"{PROGRAM}: size by origin (code, data, bss; without debug information)")
    sizes = sizes_by_origin(map_file)
    for origin, size in sizes.most_common():
        if size >= 1024:
            print(f"  {size / 1024:9.1f} KiB  {origin}")
    print(f"  {sum(sizes.values()) / 1024:9.1f} KiB  in all\n")

    print("lines of trusted code (no blanks, comments, tests)")
    lines = lines_of_code()
    for folder, count in sorted(lines.items()):
        print(f"  {count:9d}  {folder}")
    print(f"  {sum(lines.values()):9d}  in all\n")

    print(f"messages across the boundary: {message_count()} (boundary/README.md)")
    print("system calls of enclave code: none on hardware; the process back end's list is in emulation/process/sandbox.cpp")
    lists = ROOT / "tests/nm"
    for file in (lists / "own.txt", lists / "libraries.txt"):
        names = [l for l in file.read_text().splitlines() if l and not l.startswith("#")]
        print(f"library symbols in {file.relative_to(ROOT)}: {len(names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
