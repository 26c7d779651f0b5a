#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""What the enclave program needs from the C library: two lists, and a check that nothing was added.

own.txt        names that our own trusted objects need. Each new one is a decision.
libraries.txt  names that OpenSSL, libstdc++ and the other libraries of the TCB drag in besides. May only shrink.

usage: symbols.py check|update OBJECTS_FILE
  OBJECTS_FILE (written by CMake) has one archive or library a line: "own PATH" or "library PATH_OR_-lNAME".
  check   fails when a name is needed that is on neither list
  update  rewrites both lists; say why in the commit
"""
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The compiler's and the linker's own, from no library.
NOT_LIBC = {"_GLOBAL_OFFSET_TABLE_", "_DYNAMIC", "__dso_handle", "__tls_get_addr", "_ITM_deregisterTMCloneTable",
            "_ITM_registerTMCloneTable", "__gmon_start__", "__ehdr_start", "_init", "_fini", "main"}
# Weak hooks for transactional memory and purely virtual calls, in every C++ program and never filled.
NOT_LIBC_PREFIXES = ("_ITM_", "_ZGTt", "__cxa_pure_virtual", "_ZN3eos")
RUNTIME = ["-lstdc++", "-lgcc", "-lgcc_eh"]


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def undefined(path):
    return {line.split()[-1].split("@")[0] for line in run("nm", "-u", str(path)).splitlines()
            if line and not line.endswith(":")}


def defined(path):
    names = set()
    for line in run("nm", "--defined-only", "-g", str(path)).splitlines():
        if line and not line.endswith(":"):
            names.add(line.split()[-1].split("@")[0])
    return names


def library_path(entry):
    if not entry.startswith("-l"):
        return entry
    return run("g++", f"-print-file-name=lib{entry[2:]}.a").strip()


def measure(objects_file):
    own, libraries = [], []
    for line in Path(objects_file).read_text().split("\n"):
        kind, _, path = line.strip().partition(" ")
        if kind == "own":
            own.append(path)
        elif kind == "library":
            libraries.append(path)
    if not own:
        sys.exit(f"{objects_file}: names no archive of ours")

    wanted = set().union(*(undefined(path) for path in own))
    given = set().union(*(defined(path) for path in own))
    for entry in libraries + RUNTIME:
        given |= defined(library_path(entry))
    own_names = wanted - given - NOT_LIBC

    # All of ours, and what of the libraries it pulls in, as one object: what stays open is libc's.
    with tempfile.TemporaryDirectory() as folder:
        joined = Path(folder) / "enclave.o"
        run("g++", "-r", "-nostdlib", "-o", str(joined), "-Wl,--whole-archive", *own, "-Wl,--no-whole-archive",
            "-Wl,--start-group", *libraries, *RUNTIME, "-Wl,--end-group")
        all_names = undefined(joined) - NOT_LIBC
    # Ours that is undefined is eos::enclave_main, where the program is not part of the archives.
    return tuple({name for name in names if not name.startswith(NOT_LIBC_PREFIXES)}
                 for names in (own_names, all_names - own_names))


def read_list(name):
    path = HERE / name
    if not path.exists():
        return set()
    return {line for line in path.read_text().splitlines() if line and not line.startswith("#")}


def write_list(name, purpose, names):
    lines = [f"# {purpose}", "# Checked and rewritten by symbols.py.", *sorted(names)]
    (HERE / name).write_text("\n".join(lines) + "\n")


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("check", "update"):
        sys.exit(__doc__)
    own, libraries = measure(sys.argv[2])
    if sys.argv[1] == "update":
        write_list("own.txt", "What our own trusted objects need from the C library.", own)
        write_list("libraries.txt", "What the libraries of the TCB drag in from the C library besides; may only shrink.",
                   libraries)
    allowed_own, allowed = read_list("own.txt"), read_list("own.txt") | read_list("libraries.txt")
    new_own, new = own - allowed_own, libraries - allowed
    for name in sorted(new_own):
        print(f"our own code now needs {name} from the C library (not in tests/nm/own.txt)")
    for name in sorted(new):
        print(f"a library now drags in {name} from the C library (not in tests/nm/libraries.txt)")
    if new_own or new:
        print("an enclave has no system behind these: do without, or answer them in trusted/platform/libc;\n"
              "if they are harmless: tests/nm/symbols.py update BUILD_FOLDER/tests/nm/objects.txt, and say why")
        return 1
    unused = (allowed_own - own) | (allowed - libraries - own)
    print(f"{len(own)} names for our own code, {len(libraries)} for libraries; {len(unused)} on the lists are not needed "
          "in this build")
    return 0


if __name__ == "__main__":
    sys.exit(main())
