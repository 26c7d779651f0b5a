#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Runs fuzz targets and keeps fuzz/LOG.md, the record of how long each was run on the code as it is now.

usage: fuzz.py run [--minutes M] [--slice S] [TARGET…]   M CPU minutes in all, S a target and turn (default 30, 5);
                                                         whoever has the least on its clock comes first
       fuzz.py status                                    each target's clock and goal
       fuzz.py keep TARGET                               inputs that reach new code go into fuzz/corpus

A target's clock counts CPU time on its present sources: it starts anew when a source of the target or of the
parser changes (fuzz/CMakeLists.txt names it: the files after PARSER, else the folders it links). Before: cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_targets
What was found stays in build/fuzz/findings, and the run ends with exit code 1.
"""
import argparse
import hashlib
import os
import re
import resource
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/fuzz/fuzz"
LOG = ROOT / "fuzz/LOG.md"
# CPU minutes a target owes to the code it tests: two hours where the bytes hold a quote, a report, a certificate
# or CBOR, half an hour elsewhere.
LONG_GOAL, GOAL = 120, 30
LONG = re.compile(r"quote|evidence|vtpm|x509_certificate|foreign")
MAX_KEPT_BYTES = 4096
HEADER = """# Fuzzing log

One row a run: CPU minutes, executions and what was found, on sources with this fingerprint (SHA-256 over the names
and contents of the target and of the parser it tests, tests left out). `tools/fuzz.py status` adds up what counts
for the present sources. Written by `tools/fuzz.py run`.

| date | target | CPU min | executions | sources | revision | found |
|---|---|---|---|---|---|---|
"""


class Target:
    def __init__(self, line):
        self.name, corpus, sources, parser = line.split()
        self.program = BUILD / f"fuzz_{self.name}"
        self.seeds = ROOT / "fuzz/corpus" / corpus
        self.corpus = ROOT / "build/fuzz/corpus" / self.name
        paths = [ROOT / "fuzz" / source for source in sources.split(",")]
        for part in parser.split(","):
            files = ROOT.glob(f"{part}/*" if (ROOT / part).is_dir() else part)
            sources = [p for p in files if p.suffix in {".cpp", ".h", ".c"}]
            paths += sources or sys.exit(f"fuzz/CMakeLists.txt: {self.name}: no sources in {part}")
        digest = hashlib.sha256()
        for path in sorted(p for p in paths if not p.stem.endswith("_test")):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
        self.fingerprint = digest.hexdigest()[:12]
        self.goal = LONG_GOAL if LONG.search(self.name) else GOAL

    def clock(self):
        """CPU minutes on the present sources."""
        rows = re.findall(r"^\| \S+ \| (\S+) \| ([\d.]+) \| \d+ \| (\w+) \|", log_text(), re.M)
        return sum(float(minutes) for name, minutes, sources in rows
                   if (name, sources) == (self.name, self.fingerprint))

    def run(self, minutes):
        """One run; the findings' file names."""
        findings = ROOT / "build/fuzz/findings" / self.name
        for folder in (self.corpus, findings):
            folder.mkdir(parents=True, exist_ok=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [self.program, self.corpus, self.seeds, f"-max_total_time={int(minutes * 60)}", "-timeout=10",
             "-rss_limit_mb=2048", "-print_final_stats=1", f"-artifact_prefix={findings}/"],
            capture_output=True, text=True, errors="replace")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
        executions = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
        found = sorted(p.name for p in findings.iterdir())
        if done.returncode != 0 and not found:
            sys.exit(f"{self.program.name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        record(self, seconds / 60, int(executions.group(1)) if executions else 0, found)
        return found

    def keep(self):
        """Copies the inputs that reach code which fuzz/corpus does not, the small ones."""
        before = set(self.seeds.iterdir())
        subprocess.run([self.program, "-merge=1", f"-max_len={MAX_KEPT_BYTES}", self.seeds, self.corpus],
                       check=True, capture_output=True)
        return len(set(self.seeds.iterdir()) - before)


def log_text():
    return LOG.read_text() if LOG.exists() else HEADER


def record(target, minutes, executions, found):
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True,
                              text=True).stdout.strip()
    date = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    row = (f"| {date} | {target.name} | {minutes:.1f} | {executions} | {target.fingerprint} | {revision} | "
           f"{', '.join(found) or 'nothing'} |\n")
    with LOG.open("a") as log:  # appended whole: several runs may go on at once
        log.write(row if log.tell() else HEADER + row)


def all_targets():
    targets = [Target(path.read_text()) for path in sorted(BUILD.glob("*.target"))]
    if not targets:
        sys.exit(f"no fuzz targets in {BUILD.relative_to(ROOT)}: "
                 "cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_targets")
    return targets


def chosen(names):
    targets = all_targets()
    if unknown := set(names) - {t.name for t in targets}:
        sys.exit(f"no such target: {', '.join(sorted(unknown))}; `fuzz.py status` lists them")
    return [t for t in targets if t.name in names] if names else targets


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "status", "keep"))
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--slice", type=float, default=5)
    options = parser.parse_intermixed_args()
    targets = chosen(options.targets)
    if options.what == "keep":
        for target in targets:
            print(f"{target.name}: {target.keep()} inputs kept")
        return 0
    if options.what == "run":
        os.nice(10)
        left, findings = options.minutes, 0
        while left > 0:
            target = min(targets, key=lambda t: t.clock() / t.goal)
            begun = target.clock()
            found = target.run(min(options.slice, left))
            findings += len(found)
            left -= max(target.clock() - begun, 0.1)
            print(f"{target.name}: {target.clock():.1f} of {target.goal} CPU min, found {found or 'nothing'}", flush=True)
            if found:
                targets.remove(target)
            if not targets:
                break
        return 1 if findings else 0
    for target in targets:
        clock = target.clock()
        print(f"{target.name:24} {clock:6.1f} of {target.goal:3} CPU min  {'done' if clock >= target.goal else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
