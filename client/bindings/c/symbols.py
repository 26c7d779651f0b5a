#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The shared object exports exactly the functions of its header, and has its versioned name.

usage: symbols.py LIBRARY HEADER self-contained|sanitized    (sanitized builds link OpenSSL dynamically)
"""
import re
import subprocess
import sys
from pathlib import Path


def main(library, header, build):
    listed = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True,
                            text=True).stdout
    # The last word is NAME@@VERSION; the version itself is listed as an absolute symbol.
    rows = [line.split()[-2:] for line in listed.splitlines()]
    exported = {name for kind, name in rows if kind != "A"}
    text = Path(header).read_text()
    version = re.search(r"#define EOS_VERIFY_ABI_VERSION (\d+)", text).group(1)
    declared = {f"{name}@@EOS_VERIFY_{version}" for name in re.findall(r"\b(eos_\w+)\(", text)
                if re.search(rf"^[\w *]+[ *]{name}\([^;]*;", text, re.M)}
    assert len(declared) > 15, declared
    assert exported == declared, (f"exported but not declared: {sorted(exported - declared)}; "
                                  f"declared but not exported: {sorted(declared - exported)}")
    dynamic = subprocess.run(["readelf", "-d", library], check=True, capture_output=True, text=True).stdout
    assert f"Library soname: [libenclaveos_verify.so.{version}]" in dynamic, dynamic
    assert build == "sanitized" or "libssl" not in dynamic and "libcrypto" not in dynamic, dynamic
    print(f"{len(exported)} functions, soname libenclaveos_verify.so.{version}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
