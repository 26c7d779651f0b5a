#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""A second implementation of the configuration tree, written from docs/formats/config-tree.md.

It shares nothing with the C++ one: trees and paths are the recursive definitions of RFC 9162 §2.1.
usage:  reference.py vectors                the published vectors, docs/formats/config-tree-vectors.json
        reference.py random SEED COUNT      COUNT random trees in the same form
        reference.py table FILE             the table of docs/formats/config-tree.md
"""
import base64
import hashlib
import hmac
import json
import random
import sys

SCOPES = ("platform", "policy", "workload")
KINDS = {1: "bytes", 2: "utf8", 3: "u64", 4: "bool", 5: "sha256", 6: "salted"}
PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def sha256(data):
    return hashlib.sha256(data).digest()


def u16be(n):
    return n.to_bytes(2, "big")


def value_hash(kind, value, salt):
    if kind == 6:
        return hmac.new(salt, value, "sha256").digest()
    return value if kind == 5 else sha256(value)


def leaf_hash(leaf):
    name = b"".join(u16be(len(c)) + c for c in leaf["name"])
    return sha256(b"\x00" + bytes([len(leaf["name"])]) + name + bytes([leaf["kind"]]) + leaf["hash"])


def split(n):
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def top(hashes):
    if not hashes:
        return sha256(b"")
    if len(hashes) == 1:
        return hashes[0]
    k = split(len(hashes))
    return sha256(b"\x01" + top(hashes[:k]) + top(hashes[k:]))


def path(index, hashes):
    if len(hashes) == 1:
        return []
    k = split(len(hashes))
    if index < k:
        return path(index, hashes[:k]) + [top(hashes[k:])]
    return path(index - k, hashes[k:]) + [top(hashes[:k])]


def root(scope, scope_id, hashes):
    return sha256(b"\x02enclave-os/config-tree/1" + bytes([scope]) + u16be(len(scope_id)) + scope_id
                  + len(hashes).to_bytes(4, "big") + top(hashes))


def component_text(component):
    return "".join(chr(b) if b in PLAIN else "%%%02X" % b for b in component)


def manifest(scope, scope_id, leaves):
    out = []
    for leaf in leaves:
        kind, value = leaf["kind"], leaf["value"]
        entry = {"name": [component_text(c) for c in leaf["name"]], "kind": KINDS[kind]}
        if kind == 6:
            entry["value_hash"] = leaf["hash"].hex()
        else:
            entry["value"] = {1: lambda: base64.b64encode(value).decode(), 2: value.decode,
                              3: lambda: str(int.from_bytes(value, "big")),
                              4: lambda: value == b"\x01", 5: value.hex}[kind]()
        out.append(entry)
    return json.dumps({"format": "enclave-os/config-manifest/1", "scope": SCOPES[scope],
                       "scope_id": scope_id.decode(), "leaves": out},
                      sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def describe(label, scope, scope_id, leaves, absent):
    for leaf in leaves:
        leaf["hash"] = value_hash(leaf["kind"], leaf["value"], leaf.get("salt"))
    leaves = sorted(leaves, key=lambda leaf: leaf["name"])  # lists of bytes: the specified order
    hashes = [leaf_hash(leaf) for leaf in leaves]
    names = [leaf["name"] for leaf in leaves]
    rows = []
    for i, leaf in enumerate(leaves):
        row = {"name": [c.hex() for c in leaf["name"]],
               "text": ".".join(component_text(c) for c in leaf["name"]), "kind": leaf["kind"],
               "value": leaf["value"].hex(), "value_hash": leaf["hash"].hex(),
               "leaf_hash": hashes[i].hex(), "path": [h.hex() for h in path(i, hashes)]}
        if leaf["kind"] == 6:
            row["salt"] = leaf["salt"].hex()
        rows.append(row)
    gaps = []
    for name in absent:
        if name in names:
            continue
        after = sum(1 for n in names if n < name)
        gaps.append({"name": [c.hex() for c in name], "before": after - 1 if after else None,
                     "after": after if after < len(names) else None})
    return {"label": label, "scope": scope, "scope_id": scope_id.decode(), "leaves": rows,
            "absent": gaps, "top": top(hashes).hex(), "root": root(scope, scope_id, hashes).hex(),
            "manifest": manifest(scope, scope_id, leaves)}


def history(changes):
    head, rows = bytes(32), []
    for generation, policy_root, time in changes:
        head = sha256(b"\x03" + head + generation.to_bytes(8, "big") + policy_root
                      + time.to_bytes(8, "big"))
        rows.append({"generation": str(generation), "policy_root": policy_root.hex(), "time": time,
                     "history": head.hex()})
    return rows


def leaf(name, kind, value, salt=None):
    return {"name": name, "kind": kind, "value": value, "salt": salt}


def every_kind():
    return [leaf([b"drain_time_s"], 3, (30).to_bytes(8, "big")),
            leaf([b"log_level"], 2, b"info"),
            leaf([b"owner", b"spki_hash"], 5, sha256(b"owner")),
            leaf([b"blob"], 1, b"\x00\xff"),
            leaf([b"feature", b"on"], 4, b"\x01"),
            leaf([b"feature", b"off"], 4, b"\x00"),
            leaf([b"env", b"TOKEN"], 6, b"hunter2", bytes(range(32)))]


def published():
    order = [[b"a"], [b"a", b"a"], [b"a.a"], [b"aa"], [b"b"], [b"\x80"], [b"\xff"] * 8, [b"z" * 255],
             [b"a", b"b", b"c"], ["é".encode()], [b" %."]]
    gaps = [[b"0"], [b"a", b"a", b"a"], [b"a\x00"], [b"m"], [b"\xff"] * 7]
    trees = [describe("no leaves", 1, b"", [], [[b"a"]]),
             describe("one leaf", 0, b"", [leaf([b"a"], 2, b"")], [[b"A"], [b"b"]]),
             describe("every kind", 1, b"", every_kind(), [[b"blo"], [b"blob", b"x"], [b"zzz"]]),
             describe("the same leaves in a workload's tree", 2, b"hello", every_kind(), []),
             describe("order of names", 0, b"", [leaf(n, 2, b"v") for n in order], gaps)]
    for count in (2, 3, 4, 5, 6, 7, 8, 9, 33):
        leaves = [leaf([b"n%03d" % i], 3, i.to_bytes(8, "big")) for i in range(count)]
        trees.append(describe("%d leaves" % count, 2, b"x-1", leaves, [[b"n000x"], [b"n"], [b"o"]]))
    changes = [(1, sha256(b"1"), 0), (2, sha256(b"2"), 1788516930), (2 ** 63, bytes(32), 253402300799)]
    return {"trees": trees, "history": history(changes)}


def random_name(rng):
    alphabet = rng.choice((b"ab", b"a.%\x00\xff", bytes(range(256))))
    def component():
        size = rng.choice((1, 1, 2, 3, rng.randint(1, 255)))
        return bytes(rng.choice(alphabet) for _ in range(size))
    return [component() for _ in range(rng.choice((1, 1, 2, rng.randint(1, 8))))]


def random_leaf(rng, name):
    kind = rng.randint(1, 6)
    text = "".join(chr(rng.choice((rng.randint(0, 0x7f), rng.randint(0xa0, 0xd7ff), 0x1f512)))
                   for _ in range(rng.randint(0, 9))).encode()
    value = {1: rng.randbytes(rng.randint(0, 70)), 2: text, 3: rng.randbytes(8),
             4: bytes([rng.randint(0, 1)]), 5: rng.randbytes(32), 6: text}[kind]
    return leaf(name, kind, value, rng.randbytes(32))


def randoms(seed, count):
    rng = random.Random(seed)
    trees = []
    for i in range(count):
        names = {tuple(random_name(rng)) for _ in range(rng.choice((0, 1, 2, rng.randint(0, 70))))}
        leaves = [random_leaf(rng, list(n)) for n in sorted(names)]
        scope = rng.randint(0, 2)
        scope_id = rng.choice((b"a", b"hello", b"x" * 63)) if scope == 2 else b""
        trees.append(describe("random %d of seed %d" % (i, seed), scope, scope_id, leaves,
                              [random_name(rng) for _ in range(6)]))
    changes = [(rng.randint(i << 32, ((i + 1) << 32) - 1), rng.randbytes(32),
                rng.randint(0, 253402300799)) for i in range(20)]
    return {"trees": trees, "history": history(changes)}


def table(document):
    lines = ["| tree | leaves | top | root |", "|---|---|---|---|"]
    for tree in document["trees"]:
        lines.append("| %s | %d | `%s` | `%s` |"
                     % (tree["label"], len(tree["leaves"]), tree["top"], tree["root"]))
    return "\n".join(lines)


def main(arguments):
    if arguments == ["vectors"]:
        print(json.dumps(published(), indent=1))
    elif len(arguments) == 3 and arguments[0] == "random":
        print(json.dumps(randoms(int(arguments[1]), int(arguments[2]))))
    elif len(arguments) == 2 and arguments[0] == "table":
        with open(arguments[1], encoding="utf-8") as file:
            print(table(json.load(file)))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
