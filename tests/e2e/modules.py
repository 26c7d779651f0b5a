# SPDX-License-Identifier: AGPL-3.0-only
"""WebAssembly modules of the end-to-end tests, written as bytes or made by wat2wasm."""
import subprocess
import tempfile
from pathlib import Path

# What it writes; then it ends, spins, traps or takes memory without end.
PROGRAM = """
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 1024) "Content-Type: text/plain\\n\\n%(text)s")
  (data (i32.const 0) "\\00\\04\\00\\00\\%(length)02x\\00\\00\\00")
  (func (export "_start")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    %(act)s))
"""
SPIN = "(loop $l (br $l))"
TRAP = "(drop (i32.div_s (i32.const 1) (i32.load (i32.const 512))))"
MEMORY_BOMB = "(loop $l (drop (memory.grow (i32.const 16))) (br $l))"


def assemble(text):
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "a.wat"), Path(folder, "a.wasm")
        source.write_text(text)
        subprocess.run(["wat2wasm", source, "-o", out], check=True)
        return out.read_bytes()


def program(text, act=""):
    """A CGI app that answers `text`, and does `act` before it ends."""
    length = len("Content-Type: text/plain\n\n") + len(text)
    return assemble(PROGRAM % {"text": text, "length": length, "act": act})


# Answers with its arguments, one after the other with their terminating zeros, and its environment.
FACTS = assemble("""
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_size (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $env_size (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 1024) "Content-Type: application/octet-stream\\n\\n")
  (func $print (param i32 i32)
    (i32.store (i32.const 0) (local.get 0))
    (i32.store (i32.const 4) (local.get 1))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func (export "_start")
    (call $print (i32.const 1024) (i32.const 40))
    (drop (call $args_size (i32.const 16) (i32.const 20)))
    (drop (call $args (i32.const 2048) (i32.const 8192)))
    (call $print (i32.const 8192) (i32.load (i32.const 20)))
    (drop (call $env_size (i32.const 16) (i32.const 20)))
    (drop (call $env (i32.const 2048) (i32.const 16384)))
    (call $print (i32.const 16384) (i32.load (i32.const 20)))))
""")


def with_comment(module, comment):
    """The same behaviour from other bytes: a custom section at the end."""
    name = b"note"
    payload = bytes([len(name)]) + name + comment
    assert len(payload) < 128
    return module + b"\x00" + bytes([len(payload)]) + payload


def padded(module, filling):
    """The same behaviour with so many more bytes: a custom section at the end."""
    size = len(filling) + 2
    length = bytes((size >> 7 * i & 0x7f) | (0x80 if i < 4 else 0) for i in range(5))
    return module + b"\x00" + length + b"\x01x" + filling
