#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The C program and the examples in the READMEs of the bindings, run against an emulated Mini and recorded evidence.

usage: bindings_e2e.py BIN_FOLDER APPS_FOLDER LIBRARY NODE_ADDON   (NODE_ADDON: "-" without Node.js)

Recorded evidence of real hardware is that of EOS_EVIDENCE_DIR; what needs it is skipped, by name, without it.
"""
import base64
import calendar
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from collateral_stage import platform_bundle
from rig import host, make_rig

BINDINGS = Path(__file__).resolve().parents[2] / "client/bindings"
HELLO = host("hello")
EMULATED = "accepted, EMULATED: protects nothing"
# A real quote that real collateral calls SWHardeningNeeded; a trust domain's, UpToDate.
RECORDED = "sgx-automata-evalnum17"
RECORDED_TD = "tdx4-dcapqvl-near"


class Language:
    """How the examples of one README are run."""

    def __init__(self, name, fence, command, environment, unasked):
        self.name, self.command, self.environment = name, command, environment
        self.unasked = [unasked]  # what turns stapled collateral off
        text = (BINDINGS / name / "README.md").read_text()
        self.examples = re.findall(rf"^```{fence}\n(.*?)^```$", text, re.M | re.S)
        assert len(self.examples) == 5, f"{name}: connection, stapled and memory, certificate, evidence, foreign"

    def run(self, number, folder, port, *more):
        """The example as it stands in the README, but for the port and what else is to be replaced."""
        code = self.examples[number].replace("8443", str(port))
        for text, other in more:
            assert text in code, (self.name, number, text)
            code = code.replace(text, other)
        return subprocess.run([*self.command, code], cwd=folder, env={**os.environ, **self.environment},
                              capture_output=True, text=True, timeout=120)


def set_up(rig, apps):
    rig.start_quoting()
    rig.start_daemon()
    rig.make_owner()
    assert rig.provision().code == 0
    rig.must_load("hello", Path(apps, "hello-cgi.wasm").read_bytes())
    folder = rig.work / "example"
    folder.mkdir()
    shutil.copy(rig.work / "policy.json", folder)
    shutil.copy(rig.work / "platform/collateral.json", folder)
    shutil.copy(rig.work / "pki/root.pem", folder)
    stored = json.loads((folder / "policy.json").read_text())
    stored["bindings"] = ["v1-deterministic"]
    (folder / "policy-stored.json").write_text(json.dumps(stored))
    chain = rig.openssl("-servername", HELLO, "-showcerts")
    pem = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", chain, re.S)
    (folder / "chain.pem").write_text("\n".join(pem) + "\n")
    return folder


def recorded(corpus, case):
    """A row of the corpus: itself, its evidence, the file of its collateral and the second to judge it at."""
    row = next(r for r in json.loads(Path(corpus, "index.json").read_text()) if r["id"] == case)
    collateral = next(f for f in row["files"] if "/collateral/" in f)
    seconds = calendar.timegm(time.strptime(row["time"], "%Y-%m-%dT%H:%M:%SZ"))
    return row, Path(corpus, row["files"][0]).read_bytes(), Path(corpus, collateral), seconds


def openssl(*arguments):
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout


def record_foreign(folder, corpus):
    """A certificate as Constellation makes it, around a trust domain's quote that was made for another key."""
    _, quote, collateral, seconds = recorded(corpus, RECORDED_TD)
    key, leaf = folder / "constellation.key", folder / "constellation.pem"
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    spki = openssl("pkey", "-in", key, "-pubout", "-outform", "DER")
    document = json.dumps({"RawQuote": base64.b64encode(quote).decode(),
                           "UserData": base64.b64encode(hashlib.sha256(spki).digest()).decode()}).encode()
    configuration = folder / "constellation.cnf"
    configuration.write_text("[req]\ndistinguished_name = name\nx509_extensions = more\nprompt = no\n"
                             f"[name]\nCN = node\n[more]\n1.3.9900.5.99 = DER:{document.hex()}\n")
    openssl("req", "-x509", "-new", "-key", key, "-config", configuration, "-days", "1", "-out", leaf)
    policy = {"version": 1, "name": RECORDED_TD, "roots": {"vendor": ["intel"]}, "tees": ["tdx"],
              "allow_any_identity": "i-understand-any-enclave-is-accepted", "bindings": ["report-data"],
              "require_leaf_binding": False, "waivers": ["assurance"]}
    (folder / "policy-foreign.json").write_text(json.dumps(policy))
    shutil.copy(collateral, folder / "collateral-foreign.json")
    (folder / "nonce.bin").write_bytes(bytes(range(32)))
    (folder / "time-foreign.txt").write_text(str(seconds))


def record_evidence(folder):
    """One row of the corpus with a policy that fits; its report data, or None without corpus."""
    corpus = os.environ.get("EOS_EVIDENCE_DIR")
    if not corpus:
        return None
    record_foreign(folder, corpus)
    row, quote, collateral, seconds = recorded(corpus, RECORDED)
    report_data = quote[368:432]
    policy = {"version": 1, "name": RECORDED, "roots": {"vendor": ["intel"]},
              "identity": [{"mr_enclave": quote[112:144].hex()}], "bindings": ["report-data"],
              "tcb": {"statuses": ["UpToDate", row["verdict"]], "advisories": row["advisories"]},
              "require_leaf_binding": False, "waivers": ["assurance"]}
    (folder / "policy-evidence.json").write_text(json.dumps(policy))
    (folder / "quote.bin").write_bytes(quote)
    shutil.copy(collateral, folder / "collateral-evidence.json")
    (folder / "report_data.bin").write_bytes(report_data)
    (folder / "time.txt").write_text(str(seconds))
    return report_data


def other_enclave(folder, rig):
    """The folder again, with policies that pin another enclave."""
    twin = folder.with_name("other")
    shutil.copytree(folder, twin)
    for name in ("policy.json", "policy-stored.json"):
        policy = json.loads((twin / name).read_text())
        policy["identity"] = [{"mr_enclave": "ab" * 32}]
        (twin / name).write_text(json.dumps(policy))
    assert rig.mrenclave not in (twin / "policy.json").read_text()
    return twin


def check_c(rig, folder, twin, report_data):
    def get(where, port, path="/"):
        return subprocess.run([rig.bin / "verify_example", "get", "policy.json", "collateral.json", "root.pem",
                               "127.0.0.1", str(port), HELLO, path], cwd=where, capture_output=True, text=True,
                              timeout=120)
    done = get(folder, rig.relay.port)
    assert done.returncode == 10 and EMULATED in done.stderr and "200 OK" in done.stdout, done
    done = get(twin, rig.relay.port)
    assert done.returncode == 22 and "identity.enclave" in done.stderr and done.stdout == "", done
    done = get(folder, 1)
    assert done.returncode == 1 and "check host and port" in done.stderr, done
    if report_data is not None:
        for expected, code in ((report_data, 0), (bytes(63) + b"\1", 21)):
            done = subprocess.run([rig.bin / "verify_example", "evidence", "policy-evidence.json",
                                   "collateral-evidence.json", "quote.bin", expected.hex(),
                                   (folder / "time.txt").read_text()], cwd=folder, capture_output=True, text=True,
                                  timeout=60)
            assert done.returncode == code, done
            assert done.stdout.startswith("rejected: report_data" if code else "accepted\n"), done


def check_stapled_c(rig, folder, code):
    done = subprocess.run([rig.bin / "verify_example", "get", "policy.json", "-", "root.pem", "127.0.0.1",
                           str(rig.relay.port), HELLO, "/"], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done


def check_stapled(language, rig, folder):
    """With the collateral that the server staples, and with a memory."""
    seen = folder / "seen"
    shutil.rmtree(seen, ignore_errors=True)
    done = language.run(1, folder, rig.relay.port)
    assert done.returncode != 0 and "there is no such folder" in done.stderr, done
    seen.mkdir()
    done = language.run(1, folder, rig.relay.port, *language.unasked)
    assert done.returncode != 0 and "tcb.level" in done.stderr and not list(seen.iterdir()), done
    done = language.run(1, folder, rig.relay.port)
    assert done.returncode == 0 and done.stdout == EMULATED + "\n", done
    # Of whoever staples no number is learnt, but the instance is known from now on.
    instances = seen / "seen-instances.json"
    assert [f.name for f in seen.iterdir() if f.suffix == ".json"] == [instances.name], list(seen.iterdir())
    known = json.loads(instances.read_text())
    known["instances"][0].update(generation=1000000, boot_ids=["ab" * 16])
    instances.write_text(json.dumps(known))
    done = language.run(1, folder, rig.relay.port)
    assert done.returncode != 0 and "state_rollback" in done.stderr, done


def check_language(language, rig, folder, twin, report_data):
    done = language.run(0, folder, rig.relay.port)
    assert done.returncode == 0 and EMULATED in done.stdout and "ello" in done.stdout, done
    done = language.run(0, twin, rig.relay.port)
    assert done.returncode != 0 and "identity.enclave" in done.stderr and done.stdout == "", done
    done = language.run(0, folder, 1)
    assert done.returncode != 0 and "check host and port" in done.stderr, done
    done = language.run(2, folder, 0)
    assert done.returncode == 0 and done.stdout.startswith(EMULATED + "\n"), done
    done = language.run(2, twin, 0)
    assert done.returncode == 0 and done.stdout.startswith("rejected: identity.enclave\n"), done
    if report_data is None:
        print(f"skipped: recorded evidence, {language.name}: no corpus (EOS_EVIDENCE_DIR)")
        return
    done = language.run(3, folder, 0)
    assert done.returncode == 0 and done.stdout == "accepted\n", done
    (folder / "report_data.bin").write_bytes(bytes(63) + b"\1")
    done = language.run(3, folder, 0)
    assert done.returncode == 0 and done.stdout == "rejected: report_data\n", done
    (folder / "report_data.bin").write_bytes(report_data)
    check_foreign(language, folder)


def check_foreign(language, folder):
    """The nonce arrives, and decides; that a key which is bound is accepted, tests in C++ show."""
    nonce = (folder / "nonce.bin").read_bytes()
    done = language.run(4, folder, 0)
    assert done.returncode == 0 and done.stdout.startswith("rejected: ") and "report_data" in done.stdout, done
    assert "nonce" not in done.stdout, done
    (folder / "nonce.bin").write_bytes(nonce[:31])
    done = language.run(4, folder, 0)
    assert done.returncode != 0 and "nonce: 32 bytes" in done.stderr, done
    (folder / "nonce.bin").write_bytes(nonce)
    without = re.search(r"^ *nonce.*\n", language.examples[4], re.M).group()
    done = language.run(4, folder, 0, (without, ""))
    assert done.returncode == 0 and "rejected: nonce" in done.stdout, done


def main(bin_folder, apps, library, addon):
    languages = [Language("python", "python", [sys.executable, "-c"],
                          {"ENCLAVEOS_VERIFY_LIBRARY": library, "PYTHONPATH": str(BINDINGS / "python")},
                          ('memory="seen"', 'memory="seen", stapled=False'))]
    if addon != "-":
        languages.append(Language("node", "js", ["node", "-e"], {
            "ENCLAVEOS_VERIFY_ADDON": addon, "NODE_PATH": str(BINDINGS / "node")},
            ('memory: "seen"', 'memory: "seen", stapled: false')))
    work, rig = make_rig(Path(bin_folder).resolve())
    try:
        folder = set_up(rig, apps)
        report_data = record_evidence(folder)
        twin = other_enclave(folder, rig)
        check_c(rig, folder, twin, report_data)
        check_stapled_c(rig, folder, 23)
        assert rig.ctl("mini", "staple", platform_bundle(rig, "staple.bundle")).code == 0
        check_stapled_c(rig, folder, 10)
        print("ok    c")
        for language in languages:
            check_language(language, rig, folder, twin, report_data)
            check_stapled(language, rig, folder)
            print(f"ok    {language.name}")
    finally:
        rig.close()
        work.cleanup()


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
