#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""`enclavectl measure` and `enclavectl why` as their users run them; evidence comes from the corpus, if it is there.

usage: measure_cli.py BIN_FOLDER APPS_FOLDER [TEST…]
"""
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import traceback
import uuid
from pathlib import Path

from rig import Outcome

CORPUS = Path(os.environ.get("EOS_EVIDENCE_DIR", "/nowhere"))
TDX_QUOTE, CCEL = "go-tdx-guest/quotes/00b2526ab190.tdx4.bin", "go-tdx-guest/ccel/ccel_data.dat"


class Skipped(Exception):
    pass


class Bench:
    def __init__(self, bin_folder, apps_folder, work):
        self.bin, self.apps, self.work = Path(bin_folder), Path(apps_folder), Path(work)

    def ctl(self, *arguments):
        return Outcome(subprocess.run([self.bin / "enclavectl", "--home", self.work, *map(str, arguments)],
                                      capture_output=True, text=True, errors="replace", timeout=60))

    def measured(self, *arguments):
        outcome = self.ctl("--json", "measure", *arguments)
        assert outcome.code == 0, outcome
        return outcome.json()

    def write(self, name, content):
        file = self.work / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return file

    def real(self, name):
        if not (CORPUS / name).exists():
            raise Skipped("no corpus")
        return CORPUS / name


def a_runner_has_the_identity_of_its_file(bench):
    runner = bench.bin / "enclave-os-runner-process"
    digest = hashlib.sha256(runner.read_bytes()).digest()
    domain = b"enclave-os process back end, no protection"
    shown = bench.measured("enclave", runner)
    assert shown["tee"] == "sgx", shown
    assert shown["mr_enclave"] == hashlib.sha256(domain + digest).hexdigest(), shown
    other = bench.ctl("measure", "enclave", bench.write("text", b"no program"))
    assert other.code == 1 and "neither" in other.err, other


def a_stream_has_the_signer_that_its_sigstruct_names(bench):
    stream = struct.pack("<8sIQ44x", b"ECREATE", 1, 0x2000) + struct.pack("<8sQQ40x", b"EADD", 0, 0x203)
    digest = hashlib.sha256(stream)
    for chunk in range(0, 4096, 256):
        record = struct.pack("<8sQ48x", b"EEXTEND", chunk) + bytes(256)
        stream += record
        digest.update(record)
    image = bench.write("enclave.sgxs", stream)
    sigstruct = bytearray(1808)
    sigstruct[0:16] = bytes.fromhex("06000000e10000000000010000000000")
    sigstruct[24:40] = bytes.fromhex("01010000600000006000000001000000")
    sigstruct[128:512] = b"\xab" * 384
    sigstruct[512] = 3
    sigstruct[928:936] = bytes([4]) + bytes(7)
    sigstruct[960:992] = digest.digest()
    sigstruct[1024:1028] = struct.pack("<HH", 5, 9)
    right = bench.write("enclave.sig", bytes(sigstruct))
    shown = bench.measured("enclave", image, "--sigstruct", right)
    assert shown["mr_enclave"] == digest.hexdigest(), shown
    assert shown["mr_signer"] == hashlib.sha256(b"\xab" * 384).hexdigest(), shown
    assert shown["sigstruct"]["isv_prod_id"] == 5 and shown["sigstruct"]["isv_svn"] == 9, shown
    assert shown["sigstruct"]["attributes"] == "04" + "00" * 15, shown
    text = bench.ctl("measure", "enclave", image, "--sigstruct", right)
    assert text.code == 0 and "isv_svn     9" in text.out, text
    sigstruct[960] ^= 1
    other = bench.ctl("measure", "enclave", image, "--sigstruct", bench.write("other.sig", bytes(sigstruct)))
    assert other.code == 1 and "another enclave" in other.err and "ENCLAVEHASH" in other.err, other
    cut = bench.ctl("measure", "enclave", image, "--sigstruct", bench.write("cut.sig", bytes(sigstruct[:1807])))
    assert cut.code == 1 and "it has 1807 bytes, a SIGSTRUCT has 1808" in cut.err, cut
    runner = bench.ctl("measure", "enclave", bench.bin / "enclave-os-runner-process", "--sigstruct", right)
    assert runner.code == 1 and "SGXS" in runner.err, runner


def a_refusal_says_what_to_do(bench):
    def guid(text):
        return uuid.UUID(text).bytes_le

    image = bytearray(8192)
    entries = struct.pack("<IH", 0x400, 22) + guid("dc886566-984a-4798-a75e-5585a7bf67cc")
    entries += struct.pack("<IH", 0x80b004, 22) + guid("00f771de-1a7e-4fcb-890e-68c77e2fb44e")
    entries += struct.pack("<H", len(entries) + 18) + guid("96b582de-1fb2-45f7-baea-a366c55a082d")
    image[-32 - len(entries):-32] = entries
    image[-0x400:-0x400 + 16] = b"ASEV" + struct.pack("<III", 16, 1, 0)
    firmware = bench.write("image", bytes(image))
    assert bench.ctl("measure", "snp", "--firmware", firmware).code == 0
    model = bench.ctl("measure", "snp", "--firmware", firmware, "--vcpu-type", "EPYC-Genoa-v2")
    assert model.code == 1, model
    assert "EPYC-Genoa-v2" in model.err and "EPYC-Milan-v2" in model.err and "--vcpu-signature" in model.err, model
    device = bench.ctl("measure", "snp", "--firmware", firmware, "--kernel", "/dev/null")
    assert device.code == 1 and "leave --kernel out" in device.err, device


def a_module_has_the_digest_of_its_bytes(bench):
    module = bench.apps / "hello-cgi.wasm"
    digest = hashlib.sha256(module.read_bytes()).hexdigest()
    assert bench.measured("wasm", module)["workload_digest"] == digest
    other = bench.ctl("measure", "wasm", bench.write("text", b"no module"))
    assert other.code == 1 and "not a WebAssembly module" in other.err, other


def an_image_has_the_digest_of_its_manifest(bench):
    def blob(kind, content):
        digest = hashlib.sha256(content).hexdigest()
        bench.write(f"layout/blobs/sha256/{digest}", content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    layer = blob("application/vnd.oci.image.layer.v1.tar", b"a layer")
    config = blob("application/vnd.oci.image.config.v1+json", b"{}")
    manifest = {"schemaVersion": 2, "config": config, "layers": [layer]}
    entry = blob("application/vnd.oci.image.manifest.v1+json", json.dumps(manifest).encode())
    bench.write("layout/oci-layout", {"imageLayoutVersion": "1.0.0"})
    bench.write("layout/index.json", {"schemaVersion": 2, "manifests": [entry]})
    shown = bench.measured("oci", bench.work / "layout")
    assert "sha256:" + shown[0]["workload_digest"] == entry["digest"], shown
    assert shown[0]["layers"][0]["digest"] == layer["digest"], shown
    bench.write("layout/blobs/sha256/" + layer["digest"][7:], b"b layer")
    changed = bench.ctl("measure", "oci", bench.work / "layout")
    assert changed.code == 1 and "not what its name says" in changed.err, changed


def a_manifest_has_the_root_that_its_reader_computes(bench):
    # A tree without leaves, computed by hand from docs/formats/config-tree.md.
    head = b"\x02enclave-os/config-tree/1" + b"\x01" + b"\x00\x00" + b"\x00" * 4
    root = hashlib.sha256(head + hashlib.sha256(b"").digest()).hexdigest()
    manifest = {"format": "enclave-os/config-manifest/1", "scope": "policy", "scope_id": "", "leaves": []}
    assert bench.measured("config", bench.write("manifest.json", manifest))["root"] == root


def why_explains_the_first_difference(bench):
    quote, log = bench.real(TDX_QUOTE), bench.real(CCEL)
    body = quote.read_bytes()[48:]
    right = {"tee": "tdx", "mr_td": body[136:184].hex(), "rtmr1": body[376:424].hex()}
    same = bench.ctl("why", bench.write("right.json", right), quote, "--event-log", log)
    assert same.code == 0 and same.out.startswith("no difference"), same
    assert "not verified" in same.err, same
    wrong = dict(right, rtmr1="ab" * 48)
    wrong["variants"] = [{"change": "no debug shell", "register": "rtmr1", "value": right["rtmr1"]}]
    other = bench.ctl("why", bench.write("wrong.json", wrong), quote)
    assert other.code == 1 and other.out.startswith("first difference: why.rtmr1"), other
    assert "this is the value with: no debug shell" in other.out, other


def why_names_the_event_that_does_not_belong(bench):
    quote, log = bench.real(TDX_QUOTE), bytearray(bench.real(CCEL).read_bytes())
    start = log.index(b"Exit Boot Services Invocation") - 66
    size = 66 + len(b"Exit Boot Services Invocation")
    log[start:start] = log[start:start + size]  # once more
    expected = bench.write("right.json", {"tee": "tdx", "mr_td": quote.read_bytes()[184:232].hex()})
    outcome = bench.ctl("why", expected, quote, "--event-log", bench.write("ccel.bin", bytes(log)))
    assert outcome.code == 1 and "first difference: event_log.rtmr1" in outcome.out, outcome
    assert "without this event the log replays" in outcome.out, outcome
    assert "Exit Boot Services Invocation" in outcome.out, outcome


TESTS = [a_runner_has_the_identity_of_its_file, a_stream_has_the_signer_that_its_sigstruct_names,
         a_refusal_says_what_to_do, a_module_has_the_digest_of_its_bytes,
         an_image_has_the_digest_of_its_manifest, a_manifest_has_the_root_that_its_reader_computes,
         why_explains_the_first_difference, why_names_the_event_that_does_not_belong]


def main(arguments):
    if len(arguments) < 2:
        sys.exit(__doc__)
    tests = [test for test in TESTS if not arguments[2:] or test.__name__ in arguments[2:]]
    failed = 0
    for test in tests:
        with tempfile.TemporaryDirectory(prefix="eos-measure.") as folder:
            try:
                test(Bench(arguments[0], arguments[1], folder))
                print(f"ok    {test.__name__}", flush=True)
            except Skipped as reason:
                print(f"skipped: {reason}: {test.__name__}", flush=True)
            except Exception:  # whatever it is: this test failed, the next one is run
                failed += 1
                print(f"FAIL  {test.__name__}\n{traceback.format_exc()}", flush=True)
    return 0 if tests and failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
