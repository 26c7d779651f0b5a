#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Checks what a script can check of the project's conventions.

usage: lint.py            arrows, sizes, comments, words, formatting (what `make test` runs)
       lint.py --tidy     also clang-tidy on every translation unit of build/dev (slow)

Every finding is one line, `file:line: rule: what and what to do`; exit code 1 if there are any.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = {".cpp", ".h", ".c", ".S"}
MAX_COLUMNS = 100
MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 70
FORBIDDEN_WORDS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
DECLARATION = re.compile(
    r"^(?:template\s*<.*>\s*)?(?:class|struct|enum(?: class)?)\s+(?:\[\[\w+\]\]\s+)?\w+[^;]*\{"
    r"|^(?:\[\[nodiscard\]\]\s+)?(?:inline\s+|constexpr\s+|static\s+)*[\w:<>,&*\s]+\s[\w~]+\([^;{]*\)[^;{]*;")

NOT_A_DECLARATION = re.compile(r"\s|using |namespace |return|friend |#|\}|//")


def tracked_files():
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True,
                         capture_output=True, text=True).stdout
    return [ROOT / line for line in out.splitlines() if (ROOT / line).is_file()]


def arrows():
    """The table of cmake/zones.cmake: folder -> folders it may include."""
    text = (ROOT / "cmake/zones.cmake").read_text()
    rows = re.findall(r'^\s+"([\w/]+)\|([^"]*)"', text, re.M)
    return {folder: allowed.split() for folder, allowed in rows}


def folder_of(path, table):
    """The longest row of the table that the file lies in."""
    parts = path.relative_to(ROOT).parts[:-1]
    for n in range(len(parts), 0, -1):
        name = "/".join(parts[:n])
        if name in table:
            return name
    return None


def check_arrows(path, lines, table):
    folder = folder_of(path, table)
    composes = path.name.endswith(("_main.cpp", "_test.cpp", "_bench.cpp", "_fuzz.cpp"))
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        target = ROOT / match.group(1)
        if "/" not in match.group(1):
            yield number, "include", "name the zone: every include starts at the root"
            continue
        other = folder_of(target, table)
        if other is None or folder is None or other == folder or composes:
            continue
        allowed = table[folder]
        if other in allowed or ("COMMON" in allowed and other.startswith("common/")):
            continue
        yield number, "arrow", f"{folder} may not include {other} (cmake/zones.cmake)"


def check_text(path, lines):
    code = path.suffix in CODE
    for number, line in enumerate(lines, 1):
        # This file's own word list is not a finding.
        if path != Path(__file__).resolve() and path.suffix != ".md" and FORBIDDEN_WORDS.search(line):
            yield number, "word", "no TODO, FIXME, XXX or HACK in the tree: do it, or file an issue"
        if code and len(line) > MAX_COLUMNS:
            yield number, "columns", f"{len(line)} columns, at most {MAX_COLUMNS}"
        if line != line.rstrip():
            yield number, "space", "white space at the end of the line"
    if code and len(lines) > MAX_FILE_LINES:
        yield 1, "size", f"{len(lines)} lines, at most {MAX_FILE_LINES}: split it"
    if (code or path.suffix in {".py", ".sh", ".cmake"} or path.name in {"CMakeLists.txt", "Makefile"}) \
            and not any("SPDX-License-Identifier: AGPL-3.0-only" in l for l in lines[:3]):
        yield 1, "licence", "the first lines lack the SPDX identifier"
    if path.suffix == ".h" and "#pragma once" not in lines[:8]:
        yield 1, "guard", "no #pragma once"


def check_doc_comments(lines):
    """A declaration at namespace level of a header that starts a paragraph has a comment above or behind it."""
    previous = ""
    for number, line in enumerate(lines, 1):
        if previous == "" and DECLARATION.match(line) and not NOT_A_DECLARATION.match(line) and "///<" not in line:
            yield number, "comment", "a declaration in a header says what it is (/// …)"
        previous = line.strip()


def function_sizes(paths):
    if not shutil.which("ctags"):
        yield "tests/lint/lint.py", 1, "ctags", "universal-ctags is missing: make deps-test"
        return
    run = subprocess.run(["ctags", "--output-format=json", "--fields=+ne", "--kinds-C++=f", "-f", "-", "-L", "-"],
                         input="\n".join(str(p) for p in paths), capture_output=True, text=True, cwd=ROOT)
    for line in run.stdout.splitlines():
        tag = json.loads(line)
        size = tag.get("end", 0) - tag.get("line", 0) + 1
        if tag.get("kind") == "function" and not tag["name"].startswith("__anon") and size > MAX_FUNCTION_LINES:
            yield tag["path"], tag["line"], "function", f"{tag['name']} has {size} lines, at most {MAX_FUNCTION_LINES}"


def run_format(paths):
    run = subprocess.run(["clang-format-19", "--dry-run", "--Werror", *map(str, paths)], cwd=ROOT,
                         capture_output=True, text=True)
    seen = set()
    for line in run.stderr.splitlines():
        match = re.match(r"([^:]+):(\d+):\d+: error: code should be clang-formatted", line)
        if match and match.group(1) not in seen:
            seen.add(match.group(1))
            yield match.group(1), int(match.group(2)), "format", "run clang-format-19 -i"


def run_tidy():
    database = ROOT / "build/dev/compile_commands.json"
    if not database.exists():
        yield "build/dev", 1, "tidy", "no compile_commands.json: make build first"
        return
    files = sorted({entry["file"] for entry in json.loads(database.read_text())
                    if entry["file"].endswith(".cpp") and "/build/" not in entry["file"]})

    def tidy(file):
        command = ["clang-tidy-19", "-p", str(database.parent), "--quiet",
                   "--extra-arg=-Wno-unknown-warning-option"]  # the database is g++'s
        if file.endswith("_test.cpp"):
            command.append("--checks=-clang-analyzer-*")  # gtest's macros take it minutes a file
        done = subprocess.run([*command, file], cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0 and not done.stdout:
            return f"{file}:1:1: error: clang-tidy ended with {done.returncode}: {done.stderr[-300:]}"
        return done.stdout

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for output in pool.map(tidy, files):
            for match in re.finditer(r"^([^\s:]+):(\d+):\d+: (?:warning|error): (.*)$", output, re.M):
                yield match.group(1), int(match.group(2)), "tidy", match.group(3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tidy", "--all", action="store_true", help="also run clang-tidy (slow)")
    options = parser.parse_args()
    table = arrows()
    findings = []
    sources = []
    for path in tracked_files():
        if path.suffix not in CODE | {".py", ".sh", ".cmake", ".txt", ".md"} and path.name != "Makefile":
            continue
        lines = path.read_text(errors="replace").splitlines()
        rules = [check_text(path, lines)]
        if path.suffix in CODE:
            sources.append(path)
            rules.append(check_arrows(path, lines, table))
        if path.suffix == ".h":
            rules.append(check_doc_comments(lines))
        for rule in rules:
            findings += [(path, *finding) for finding in rule]
    findings += function_sizes(sources)
    findings += run_format([p for p in sources if p.suffix in {".cpp", ".h"}])
    if options.tidy:
        findings += run_tidy()
    for path, number, rule, text in findings:
        path = Path(path)
        shown = path.relative_to(ROOT) if path.is_absolute() else path
        print(f"{shown}:{number}: {rule}: {text}")
    print(f"lint: {len(findings)} findings in {len(sources)} source files")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
