#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""`enclavectl bundle` against services on loopback that answer rightly, wrongly, or not at all.

usage: bundle_cli.py BIN_FOLDER [TEST…]
"""
import hashlib
import json
import ssl
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from fake_pcs import FakeKds, FakePcs
from rig import Outcome


class Bench:
    """An emulated platform, its collateral, and enclavectl with a folder of its own."""

    def __init__(self, bin_folder, work):
        self.bin, self.work = Path(bin_folder), Path(work)
        subprocess.run([self.bin / "sgx-quoting-emulator", "init", "--dir", self.work / "platform"],
                       check=True, stdout=subprocess.DEVNULL)
        self.root = self.work / "platform/root.pem"
        self.collateral = json.loads((self.work / "platform/collateral.json").read_text())
        self.fmspc = json.loads(self.collateral["tcb_info"])["fmspc"].lower()
        self.count = 0

    def ctl(self, *arguments):
        return Outcome(subprocess.run(
            [self.bin / "enclavectl", "--home", self.work / "home", *map(str, arguments)],
            capture_output=True, text=True, errors="replace", timeout=60))

    def file(self):
        self.count += 1
        return self.work / f"bundle-{self.count}.json"

    def make(self, out, *urls, more=()):
        arguments = [word for url in urls for word in ("--pcs", url)]
        return self.ctl("bundle", "make", "--fmspc", self.fmspc, "--ca", "platform", "--test-root",
                        self.root, "--out", out, *arguments, *more)

    def made(self):
        """A bundle that was made from the platform's own file."""
        out = self.file()
        done = self.ctl("bundle", "make", "--import", self.work / "platform/collateral.json",
                        "--test-root", self.root, "--out", out)
        assert done.code == 0, done
        return out

    def show(self, file, *arguments):
        return self.ctl("--json", "bundle", "show", file, *arguments)


KINDS = ["intel-root-crl", "intel-pck-crl", "sgx-tcb-info", "sgx-qe-identity"]


def everything_is_fetched_shown_and_checked(bench, pcs):
    out = bench.file()
    done = bench.make(out, pcs.url)
    assert done.code == 0 and "4 pieces" in done.out, done
    shown = bench.show(out)
    assert shown.code == 0, shown
    pieces = shown.json()["pieces"]
    assert [p["kind"] for p in pieces] == KINDS, pieces
    assert all(p["state"] == "current" and p["source"].startswith(pcs.url) for p in pieces), pieces
    assert pieces[2]["key"] == bench.fmspc and pieces[2]["evaluation_data_number"] == 17, pieces
    checked = bench.ctl("bundle", "check", out, "--test-root", bench.root)
    assert checked.code == 10 and "EMULATED" in checked.out, checked


def emulated_pieces_do_not_lead_to_the_vendors_root(bench, pcs):
    checked = bench.ctl("--json", "bundle", "check", bench.made())
    assert checked.code == 20, checked
    assert len([f for f in checked.json()["failed"] if f.endswith(".chain")]) == 4, checked
    fetched = bench.ctl("bundle", "make", "--fmspc", bench.fmspc, "--pcs", pcs.url, "--out",
                        bench.file())
    assert fetched.code == 1 and "expected Intel SGX Root CA" in fetched.err, fetched


def attempt_timeout(fault, seconds):
    """Short only where the time is what is tested."""
    return "--attempt-timeout", str(seconds if fault == "slow" else 20)


def another_source_is_asked_when_one_fails(bench, pcs):
    reasons = {"not_found": "HTTP 404", "too_many": "HTTP 429", "redirect": "points elsewhere",
               "garbage": "JSON", "garbled_chain": "issuer-chain", "truncated": "closed the connection",
               "oversized": "body is over", "slow": "did not answer in time", "altered": ".signature"}
    broken = FakePcs(bench.collateral)
    broken.fault_path = "/tcb"
    try:
        for fault, reason in reasons.items():
            broken.fault = fault
            out = bench.file()
            alone = bench.make(out, broken.url, more=attempt_timeout(fault, 2))
            assert alone.code == 1 and not out.exists(), (fault, alone)
            assert f"sgx-tcb-info {bench.fmspc}" in alone.err, (fault, alone)
            assert reason in alone.err, (fault, alone)
            both = bench.make(out, broken.url, pcs.url, more=attempt_timeout(fault, 5))
            assert both.code == 0, (fault, both)
            sources = [p["source"] for p in bench.show(out).json()["pieces"]]
            assert sources[2].startswith(pcs.url) and sources[3].startswith(broken.url), sources
    finally:
        broken.close()


def only_what_is_due_is_refreshed(bench, pcs):
    out = bench.made()
    before = out.read_bytes()
    idle = bench.ctl("bundle", "refresh", out, "--pcs", pcs.url, "--test-root", bench.root)
    assert idle.code == 0 and "0 of 4" in idle.out and out.read_bytes() == before, idle
    done = bench.ctl("bundle", "refresh", out, "--all", "--pcs", pcs.url, "--test-root", bench.root)
    assert done.code == 0 and "4 of 4" in done.out, done
    assert all(p["source"].startswith(pcs.url) for p in bench.show(out).json()["pieces"])


def what_cannot_be_refreshed_stays_and_is_named(bench, pcs):
    out = bench.made()
    pcs.fault, pcs.fault_path = "too_many", "/qe/identity"
    done = bench.ctl("bundle", "refresh", out, "--all", "--pcs", pcs.url, "--test-root", bench.root)
    assert done.code == 1 and "3 of 4" in done.out, done
    assert "NOT REFRESHED" in done.out and "sgx-qe-identity" in done.out, done
    sources = [p["source"] for p in bench.show(out).json()["pieces"]]
    assert sources[3] == "file collateral.json" and sources[2].startswith(pcs.url), sources


def statements_under_another_root_are_refused(bench, pcs):
    subprocess.run([bench.bin / "sgx-quoting-emulator", "init", "--dir", bench.work / "other"],
                   check=True, stdout=subprocess.DEVNULL)
    other = json.loads((bench.work / "other/collateral.json").read_text())
    pcs.collateral = dict(other, pck_crl=bench.collateral["pck_crl"],
                          pck_crl_issuer_chain=bench.collateral["pck_crl_issuer_chain"])
    bench.fmspc, fmspc = json.loads(other["tcb_info"])["fmspc"].lower(), bench.fmspc
    out = bench.file()
    made = bench.make(out, pcs.url)
    bench.fmspc = fmspc
    assert made.code == 1 and not out.exists(), made
    assert "sgx-tcb-info" in made.err and ".chain" in made.err, made


def stale_pieces_are_named(bench, pcs):
    out = bench.made()
    late = bench.show(out, "--at", "2050-01-01T00:00:00Z")
    assert late.code == 1 and {p["state"] for p in late.json()["pieces"]} == {"expired"}, late
    early = bench.show(out, "--at", "2020-01-01T00:00:00Z")
    assert early.code == 1 and {p["state"] for p in early.json()["pieces"]} == {"not_yet_valid"}
    checked = bench.ctl("--json", "bundle", "check", out, "--test-root", bench.root, "--at",
                        "2050-01-01T00:00:00Z")
    assert checked.code == 20 and "bundle.sgx-qe-identity.dates" in checked.json()["failed"], checked
    # The platform's statements are dated a day back.
    assert bench.make(bench.file(), pcs.url, more=("--max-age-days", "2")).code == 0
    made = bench.make(bench.file(), pcs.url, more=("--max-age-days", "1"))
    assert made.code == 1 and "too old" in made.err, made
    assert {p["state"] for p in bench.show(out, "--max-age-days", "1").json()["pieces"]} == {"too_old"}


def an_altered_bundle_is_refused(bench, _pcs):
    out = bench.made()
    text = out.read_text()
    out.write_text(text.replace('"source": "file', '"source": "fake', 1))
    for command in (("show", out), ("check", out), ("refresh", out)):
        done = bench.ctl("bundle", *command)
        assert done.code == 1 and "as its maker signed it" in done.err, (command, done)


def plain_http_needs_loopback_or_a_word(bench, _pcs):
    out = bench.file()
    done = bench.make(out, "http://192.0.2.1:9")
    assert done.code == 1 and "only for this machine" in done.err, done
    done = bench.make(out, "ftp://127.0.0.1")
    assert done.code == 1 and "not an http or https address" in done.err, done


def https_needs_a_known_ca(bench, _pcs):
    key, certificate = bench.work / "web.key", bench.work / "web.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=fake",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, stderr=subprocess.DEVNULL)
    secure = FakePcs(bench.collateral, (certificate, key))
    try:
        out = bench.file()
        unknown = bench.make(out, secure.url)
        assert unknown.code == 1 and "did not prove who it is" in unknown.err, unknown
        assert secure.requests == [], secure.requests
        known = bench.make(out, secure.url, more=("--ca-file", certificate))
        assert known.code == 0, known
        wrong_name = bench.make(bench.file(), secure.url.replace("127.0.0.1", "localhost"),
                                more=("--ca-file", certificate))
        assert wrong_name.code == 1 and "mismatch" in wrong_name.err, wrong_name
    finally:
        secure.close()


AMD_KINDS = ["amd-vcek", "amd-vcek-issuers", "amd-crl"]


def chip(bench, name, product):
    folder = bench.work / name
    subprocess.run([bench.bin / "sev-snp-emulator", "init", "--dir", folder, "--product", product],
                   check=True, stdout=subprocess.DEVNULL)
    return folder


def a_chips_certificate_is_fetched_by_id_and_tcb(bench, _pcs):
    for product in ("Milan", "Genoa", "Turin"):
        folder = chip(bench, f"chip-{product}", product.lower())
        kds, out = FakeKds(folder, product), bench.file()
        root = ("--test-root", folder / "root.pem")
        try:
            done = bench.ctl("bundle", "make", "--for", folder / "report.bin", "--kds", kds.url, *root,
                             "--out", out)
            assert done.code == 0 and "3 pieces" in done.out, done
            assert len(kds.requests) == 3, kds.requests
            assert [p["kind"] for p in bench.show(out).json()["pieces"]] == AMD_KINDS
            checked = bench.ctl("bundle", "check", out, *root)
            assert checked.code == 10 and "not evaluated" not in checked.out, checked
            assert bench.ctl("bundle", "check", out).code == 20
            assert bench.ctl("bundle", "check", out, *root, "--at", "2050-01-01T00:00:00Z").code == 20
            too_old = bench.ctl("--json", "bundle", "check", out, *root, "--max-age-days", "0", "--at",
                                "2050-01-01T00:00:00Z")
            assert f"bundle.amd-crl.{product.lower()}.dates" in too_old.json()["failed"], too_old
            again = bench.ctl("bundle", "refresh", out, "--all", "--kds", kds.url, *root)
            assert again.code == 0 and "3 of 3" in again.out, again
            # Evidence that brings its certificate needs none.
            brought = bench.ctl("bundle", "make", "--for", folder / "leaf.pem", "--kds", kds.url, *root,
                                "--out", bench.file())
            assert brought.code == 0 and "2 pieces" in brought.out, brought
            # One policy file verifies the leaf with what was fetched.
            policy = bench.work / f"{product}.policy.json"
            policy.write_text(json.dumps({
                "version": 1, "name": "guests", "tees": ["snp"], "bindings": ["v1-deterministic"],
                "assurance": ["debug"], "allow_any_identity": "i-understand-any-enclave-is-accepted",
                "snp": {"products": [product.lower()]}, "roots": {"test": [test_root(folder)]}}))
            verified = bench.ctl("--json", "verify", folder / "leaf.pem", "--policy", policy,
                                 "--collateral", out)
            assert verified.code == 10, verified
            without = bench.ctl("--json", "verify", folder / "leaf.pem", "--policy", policy)
            assert without.code == 23 and "crl.ark" in without.json()["summary"], without
        finally:
            kds.close()


def test_root(folder):
    pem = (folder / "root.pem").read_text()
    return {"name": folder.name, "certificate_pem": pem,
            "sha256": hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()}


def another_key_service_is_asked_when_one_fails(bench, _pcs):
    folder, other = chip(bench, "chip-a", "genoa"), chip(bench, "chip-b", "genoa")
    broken, good = FakeKds(folder, "Genoa"), FakeKds(folder, "Genoa")
    broken.others = FakeKds(other, "Genoa").files
    reasons = {"not_found": "HTTP 404", "too_many": "HTTP 429", "redirect": "points elsewhere",
               "truncated": "closed the connection", "oversized": "body is over",
               "slow": "did not answer in time", "garbage": "amd-"}
    faults = [(path, *fault) for path in ("/crl", "SPL=") for fault in reasons.items()]
    faults += [("/crl", "altered", ".signature"), ("SPL=", "altered", ".chain"),
               ("SPL=", "another_chip", "the VCEK of another chip"), ("cert_chain", "altered", "amd-"),
               ("cert_chain", "garbage", "amd-")]
    try:
        for broken.fault_path, broken.fault, reason in faults:
            def make(seconds, *urls):
                return bench.ctl("bundle", "make", "--for", folder / "report.bin", "--test-root",
                                 folder / "root.pem", "--out", out, *attempt_timeout(broken.fault, seconds),
                                 *(w for url in urls for w in ("--kds", url)))
            out = bench.file()
            alone = make(2, broken.url)
            assert alone.code == 1 and not out.exists(), (broken.fault, broken.fault_path, alone)
            assert reason in alone.err, (broken.fault, broken.fault_path, alone)
            both = make(5, broken.url, good.url)
            assert both.code == 0, (broken.fault, both)
    finally:
        broken.close()
        good.close()


def rehearsed(bench, tee, leaf, drill, root, more):
    """What each event of a drill does to a policy that takes any evidence under this root."""
    policy = bench.work / f"{tee}.rehearsal.json"
    policy.write_text(json.dumps({
        "version": 1, "name": tee, "tees": [tee], "bindings": ["v1-deterministic"],
        "assurance": ["debug"], "debug": "allow-emulated", "roots": {"test": [test_root(root)]},
        "allow_any_identity": "i-understand-any-enclave-is-accepted", **more}))
    outcome = bench.ctl("--json", "rehearse", policy, "--drill", drill, leaf)
    assert outcome.code == 0, outcome
    rows = {row["event"]: row for row in outcome.json()["rows"]}
    for event, row in rows.items():
        assert row["differs"] == bool(row["failed"]), (event, row)
        assert row["outcome"] == ("rejected" if row["failed"] else "accepted_emulated"), (event, row)
    return {event: set(row["failed"]) for event, row in rows.items()}


def trust_domains_are_rehearsed(bench, _pcs):
    platform = bench.work / "platform"
    leaf, drill = bench.work / "td.pem", bench.work / "td.drill.json"
    for arguments in (("td-leaf", "--out", leaf), ("drill", "--tee", "tdx", "--out", drill)):
        subprocess.run([bench.bin / "sgx-quoting-emulator", *arguments, "--dir", platform], check=True,
                       stdout=subprocess.DEVNULL)
    levels = {"tcb.level", "tcb.current_level"}
    assert rehearsed(bench, "tdx", leaf, drill, platform, {}) == {
        "unchanged": set(), "evaluation-number-rolled-back": set(),
        "tcb-bar-raised": {"tcb.status"}, "svn-rolled-back": {"tcb.status"},
        "sw-hardening-needed": {"tcb.status"}, "configuration-needed": {"tcb.status"},
        "tdx-module-bar-raised": {"tcb.status"}, "tcb-level-revoked": levels, "tcb-unsupported": levels,
        "pck-revoked": {"crl.pck"}, "tcb-signer-revoked": {"crl.root"},
        "collateral-expired": {"tcb_info.dates", "qe_identity.dates", "crl.pck", "crl.root"}}


def event_logs_are_replayed_beside_a_trust_domain(bench, _pcs):
    platform = bench.work / "platform"
    leaf, log_file = bench.work / "logged.pem", bench.work / "log.json"
    subprocess.run([bench.bin / "sgx-quoting-emulator", "td-leaf", "--dir", platform, "--out", leaf,
                    "--event-log", log_file], check=True, stdout=subprocess.DEVNULL)
    log = json.loads(log_file.read_text())
    composition = {"rtmr": 3, "digest": log[3]["digest"]}

    def verified(events, given):
        policy = bench.work / "logged.policy.json"
        tdx = {} if events is None else {"tdx": {"event_log": {"required_events": events}}}
        policy.write_text(json.dumps({
            "version": 1, "name": "logged", "tees": ["tdx"], "bindings": ["v1-deterministic"],
            "assurance": ["debug"], "debug": "allow-emulated", "roots": {"test": [test_root(platform)]},
            "allow_any_identity": "i-understand-any-enclave-is-accepted", **tdx}))
        arguments = []
        if given is not None:
            (bench.work / "given.json").write_text(json.dumps(given) if isinstance(given, list) else given)
            arguments = ["--event-log", bench.work / "given.json"]
        outcome = bench.ctl("--json", "verify", leaf, "--policy", policy, "--collateral",
                            platform / "collateral-tdx.json", *arguments)
        return outcome.code, outcome.json()["summary"]

    emulated = (10, "accepted, EMULATED: protects nothing")
    assert verified(None, None) == emulated
    assert verified(None, log) == emulated
    assert verified([composition], log) == emulated
    assert verified([composition], None) == (23, "rejected: not evaluated: event_log.given")
    assert verified([dict(composition, rtmr=2)], log) == (22, "rejected: event_log.required_events")
    renamed = [*log[:3], {**log[3], "event_payload": "00"}]
    assert verified([composition], renamed) == (22, "rejected: event_log.content")
    assert verified([composition], log[:3]) == (22, "rejected: event_log.rtmr3, event_log.required_events")
    assert verified(None, [log[0], *log[2:]]) == (22, "rejected: event_log.rtmr2")
    code, summary = verified(None, "no log")
    assert code == 22 and summary.startswith("rejected: event_log.syntax"), summary


def guests_of_sev_snp_are_rehearsed(bench, _pcs):
    for product in ("milan", "genoa", "turin"):
        folder = chip(bench, f"drilled-{product}", product)
        assert rehearsed(bench, "snp", folder / "leaf.pem", folder / "drill.json", folder,
                         {"snp": {"products": [product]}}) == {
            "unchanged": set(), "tcb-bar-raised": {"snp.tcb"}, "ask-revoked": {"crl.ark"},
            "vcek-revoked": {"crl.ask"}, "collateral-expired": {"crl.ark", "crl.ask"}}


def drills_are_read_strictly(bench, _pcs):
    folder = chip(bench, "drilled-badly", "genoa")
    good = json.loads((folder / "drill.json").read_text())
    bar = {"boot_loader": 1, "tee": 1, "snp": 1, "microcode": 1}
    for bad in ([], {"rome": bar}, {"genoa": {**bar, "more": 1}}, {"genoa": {**bar, "snp": 256}},
                {"genoa": {"snp": 1}}):
        good["events"][0]["snp_min_tcb"] = bad
        drill = bench.work / "bad.drill.json"
        drill.write_text(json.dumps(good))
        outcome = bench.ctl("rehearse", bench.work / "snp.rehearsal.json", "--drill", drill,
                            folder / "leaf.pem")
        assert outcome.code == 1 and "snp_min_tcb" in outcome.err, (bad, outcome)


TESTS = [trust_domains_are_rehearsed, event_logs_are_replayed_beside_a_trust_domain, guests_of_sev_snp_are_rehearsed, drills_are_read_strictly,
         a_chips_certificate_is_fetched_by_id_and_tcb, another_key_service_is_asked_when_one_fails,
         everything_is_fetched_shown_and_checked, emulated_pieces_do_not_lead_to_the_vendors_root,
         another_source_is_asked_when_one_fails, only_what_is_due_is_refreshed,
         what_cannot_be_refreshed_stays_and_is_named, statements_under_another_root_are_refused,
         stale_pieces_are_named, an_altered_bundle_is_refused, plain_http_needs_loopback_or_a_word,
         https_needs_a_known_ca]


def main(arguments):
    if not arguments:
        sys.exit(__doc__)
    tests = [test for test in TESTS if not arguments[1:] or test.__name__ in arguments[1:]]
    passed = 0
    with tempfile.TemporaryDirectory(prefix="eos-bundle.") as folder:
        bench = Bench(arguments[0], folder)
        for test in tests:
            pcs = FakePcs(bench.collateral)
            try:
                test(bench, pcs)
                passed += 1
                print(f"ok    {test.__name__}", flush=True)
            except Exception:  # whatever it is: this test failed, the next one is run
                print(f"FAIL  {test.__name__}\n{traceback.format_exc()}", flush=True)
            finally:
                pcs.close()
    print(f"{passed} passed, {len(tests) - passed} failed")
    return 0 if tests and passed == len(tests) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
