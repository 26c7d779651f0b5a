# SPDX-License-Identifier: AGPL-3.0-only
"""Reads manifests and proofs of the configuration tree as docs/formats/config-tree.md says, on top of the
second implementation in tests/vectors/config_tree."""
import base64
import importlib.util
import subprocess
from pathlib import Path
from urllib.parse import unquote_to_bytes

FILE = Path(__file__).resolve().parents[1] / "vectors/config_tree/reference.py"
_spec = importlib.util.spec_from_file_location("config_tree_reference", FILE)
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)

KINDS = {name: number for number, name in reference.KINDS.items()}
POLICY_ROOT = "1.3.9900.253909386.222427726.2"
WORKLOAD_ROOT = "1.3.6.1.4.1.65230.3.1"


def read_leaf(entry):
    """A leaf of a manifest or a proof, with its value hash."""
    kind = KINDS[entry["kind"]]
    if kind == 6:
        value_hash = bytes.fromhex(entry["value_hash"])
    else:
        shown = entry["value"]
        value = {"bytes": lambda: base64.b64decode(shown, validate=True),
                 "utf8": lambda: shown.encode(),
                 "u64": lambda: int(shown).to_bytes(8, "big"),
                 "bool": lambda: b"\x01" if shown else b"\x00",
                 "sha256": lambda: bytes.fromhex(shown)}[entry["kind"]]()
        value_hash = reference.value_hash(kind, value, None)
    return {"name": [unquote_to_bytes(c) for c in entry["name"]], "kind": kind, "hash": value_hash}


def manifest_root(manifest):
    leaves = [read_leaf(entry) for entry in manifest["leaves"]]
    names = [leaf["name"] for leaf in leaves]
    assert all(a < b for a, b in zip(names, names[1:])), "leaves out of order"
    return reference.root(reference.SCOPES.index(manifest["scope"]), manifest["scope_id"].encode(),
                          [reference.leaf_hash(leaf) for leaf in leaves])


def root_of_proof(document, proof):
    """The root that one leaf and its path lead to."""
    index, count = proof["index"], document["count"]
    assert 0 <= index < count
    top, path = reference.leaf_hash(read_leaf(proof["leaf"])), [bytes.fromhex(h) for h in proof["path"]]
    while count > 1:
        if index ^ 1 < count:
            sibling = path.pop(0)
            pair = top + sibling if index % 2 == 0 else sibling + top
            top = reference.sha256(b"\x01" + pair)
        index, count = index // 2, (count + 1) // 2
    assert not path, "the path is too long"
    scope_id = document["scope_id"].encode()
    return reference.sha256(b"\x02enclave-os/config-tree/1"
                            + bytes([reference.SCOPES.index(document["scope"])])
                            + reference.u16be(len(scope_id)) + scope_id
                            + document["count"].to_bytes(4, "big") + top)


def check_absence(document, name, root):
    """That both neighbours are in the tree, side by side, and the name belongs between them."""
    before, after = document.get("before"), document.get("after")
    assert before or after, "no neighbour is shown"
    for neighbour in filter(None, (before, after)):
        assert root_of_proof(document, neighbour) == root, "a neighbour is not in the tree"
    if before:
        assert read_leaf(before["leaf"])["name"] < name
    if after:
        assert name < read_leaf(after["leaf"])["name"]
    low = before["index"] if before else -1
    high = after["index"] if after else document["count"]
    assert high == low + 1, "something may lie between the neighbours"


def extension(certificate, oid):
    """The bytes of a certificate's extension; None if there is none."""
    lines = subprocess.run(["openssl", "asn1parse", "-inform", "DER"], input=certificate, check=True,
                           capture_output=True).stdout.decode().splitlines()
    for line, following in zip(lines, lines[1:]):
        if line.endswith(f":{oid}"):
            return bytes.fromhex(following.rsplit("[HEX DUMP]:", 1)[1])
    return None
