# SPDX-License-Identifier: AGPL-3.0-only
"""Collateral: bundles in use, rollback found out, and the rehearsal of what has not happened yet."""
import itertools
import json
import socket
import ssl
import subprocess
import threading

from rig import PLATFORM, Outcome, carry_on


def drill(rig):
    """The file of drills, and each drill's collateral as a file of its own."""
    out = rig.work / "drill.json"
    if not out.exists():
        subprocess.run([rig.bin / "sgx-quoting-emulator", "drill", "--dir", rig.work / "platform",
                        "--out", out], check=True, stdout=subprocess.DEVNULL)
        for event in json.loads(out.read_text())["events"]:
            (rig.work / f"{event['name']}.json").write_text(json.dumps(event["collateral"]))
    return out


def lenient(rig):
    """A policy that takes what an advisory leaves open."""
    policy = json.loads((rig.work / "policy.json").read_text())
    policy["name"] = "lenient"
    policy["tcb"] = {"statuses": ["UpToDate", "SWHardeningNeeded", "OutOfDate"],
                     "advisories": ["EMULATED-SA-00001", "EMULATED-SA-00002"]}
    out = rig.work / "lenient.json"
    out.write_text(json.dumps(policy))
    return out


def verify(rig, home, policy, *arguments, port=None):
    return Outcome(subprocess.run(
        [rig.bin / "enclavectl", "--json", "--home", rig.work / home, "verify", "--address",
         f"127.0.0.1:{port or rig.relay.port}", "--server-name", PLATFORM, "--root",
         rig.work / "pki/root.pem", "--policy", policy, *map(str, arguments)],
        capture_output=True, text=True, errors="replace", timeout=120))


def collateral_comes_from_a_bundle(rig):
    bundle = rig.work / "e2e.bundle"
    made = rig.ctl("bundle", "make", "--import", rig.work / "platform/collateral.json",
                   "--test-root", rig.work / "platform/root.pem", "--out", bundle)
    assert made.code == 0, made
    policy = rig.work / "policy.json"
    outcome = verify(rig, "home-bundle", policy, "--collateral", bundle)
    assert outcome.code == 10, outcome
    without = verify(rig, "home-bundle", policy)
    assert without.code == 23 and "tcb.level" in without.json()["summary"], without
    bundle.write_text(bundle.read_text().replace('"source": "file', '"source": "fake', 1))
    altered = verify(rig, "home-bundle", policy, "--collateral", bundle)
    assert altered.code == 1 and "as its maker signed it" in altered.err, altered


def collateral_that_is_too_old_is_refused_by_policy(rig):
    policy = json.loads((rig.work / "policy.json").read_text())
    policy["max_collateral_age_s"] = 3600
    strict = rig.work / "strict-age.json"
    strict.write_text(json.dumps(policy))
    outcome = verify(rig, "home-age", strict, "--collateral", rig.work / "platform/collateral.json")
    assert outcome.code == 22 and outcome.json()["summary"] == "rejected: collateral.age", outcome


def collateral_that_is_rolled_back_is_found_out(rig):
    drill(rig)
    policy, home = lenient(rig), "home-rollback"
    old = verify(rig, home, policy, "--collateral", rig.work / "unchanged.json")
    assert old.code == 10, old
    # A rejected server teaches nothing: number 18 is not remembered from this one.
    rejected = verify(rig, home, rig.work / "policy.json", "--collateral",
                      rig.work / "sw-hardening-needed.json")
    assert rejected.code == 22 and rejected.json()["summary"] == "rejected: tcb.status", rejected
    assert verify(rig, home, policy, "--collateral", rig.work / "unchanged.json").code == 10
    mixed = verify(rig, home, policy, "--collateral", rig.work / "evaluation-number-rolled-back.json")
    assert mixed.code == 20 and "tcb_info.rollback" in mixed.json()["summary"], mixed
    elsewhere = verify(rig, "home-fresh", policy, "--collateral",
                       rig.work / "evaluation-number-rolled-back.json")
    assert elsewhere.code == 10, elsewhere
    memory = rig.work / home / "collateral-seen.json"
    assert list(json.loads(memory.read_text()).values()) == [17], memory.read_text()
    memory.write_text("{")
    damaged = verify(rig, home, policy, "--collateral", rig.work / "unchanged.json")
    assert damaged.code == 1 and "collateral-seen.json" in damaged.err, damaged


def collateral_rehearsal_shows_what_each_policy_would_do(rig):
    # A policy that was written for a server cannot take a stored leaf: mode B is part of it.
    outcome = rig.ctl("--json", "rehearse", rig.work / "policy.json", "--also", lenient(rig),
                      "--drill", drill(rig), f"https://127.0.0.1:{rig.relay.port}", "--server-name",
                      PLATFORM, "--root", rig.work / "pki/root.pem", context=False)
    assert outcome.code == 0, outcome
    rows = {(r["event"], r["policy"]): r for r in outcome.json()["rows"]}
    assert len(rows) == 22, rows.keys()
    expected = {"unchanged": ([], []),
                "tcb-bar-raised": (["tcb.status"], []),
                "svn-rolled-back": (["tcb.status"], []),
                "sw-hardening-needed": (["tcb.status"], []),
                "configuration-needed": (["tcb.status"], ["tcb.status"]),
                "tcb-level-revoked": (["tcb.level"], ["tcb.level"]),
                "tcb-unsupported": (["tcb.level"], ["tcb.level"]),
                "pck-revoked": (["crl.pck"], ["crl.pck"]),
                "tcb-signer-revoked": (["crl.root"], ["crl.root"]),
                "evaluation-number-rolled-back": ([], [])}
    for event, failures in expected.items():
        for policy, failed in zip(("policy.json", "lenient.json"), failures):
            row = rows[event, policy]
            assert row["failed"] == failed and row["differs"] == bool(failed), row
            assert row["outcome"] == ("rejected" if failed else "accepted_emulated"), row
    ended = rows["collateral-expired", "lenient.json"]
    assert set(ended["failed"]) == {"qe_identity.dates", "tcb_info.dates", "crl.root", "crl.pck"}, ended


def collateral_rehearsal_without_drill_varies_time_and_policy_only(rig):
    outcome = rig.ctl("rehearse", rig.work / "policy.json", "--collateral",
                      rig.work / "platform/collateral.json", f"https://127.0.0.1:{rig.relay.port}",
                      "--server-name", PLATFORM, "--root", rig.work / "pki/root.pem", context=False)
    assert outcome.code == 0 and "nobody but the vendor" in outcome.err, outcome
    lines = outcome.out.splitlines()
    assert any("unchanged" in l and "accepted, EMULATED" in l for l in lines), outcome
    assert any("evaluation-number-raised" in l and "tcb.evaluation_data_number" in l
               for l in lines), outcome
    assert any("collateral-unavailable" in l and "not evaluated" in l for l in lines), outcome
    assert any("collateral-expired" in l and "tcb_info.dates" in l for l in lines), outcome


def platform_bundle(rig, name, *arguments):
    out = rig.work / name
    made = rig.ctl("bundle", "make", "--import", rig.work / "platform/collateral.json",
                   "--test-root", rig.work / "platform/root.pem", "--out", out, *arguments)
    assert made.code == 0, made
    return out


def node(outcome, name):
    """The node of that id in a verdict's tree."""
    def find(tree):
        if tree["id"] == name:
            return tree
        return next(filter(None, map(find, tree.get("checks", []))), None)
    return find(outcome.json()["tree"])


def collateral_is_stapled_by_the_owner_and_used_by_clients(rig):
    policy, home = rig.work / "policy.json", "home-stapled"
    before = verify(rig, home, policy)
    assert before.code == 23 and "tcb.level" in before.json()["summary"], before
    assert "HTTP 404" in node(before, "collateral.origin")["notes"][0], before
    bundle = platform_bundle(rig, "staple.bundle")
    stored = rig.ctl("mini", "staple", bundle)
    assert stored.code == 0, stored
    served = rig.get(PLATFORM, "/.well-known/enclave-os/collateral")
    assert served.status == 200 and served.text == bundle.read_text(), served
    outcome = verify(rig, home, policy)
    assert outcome.code == 10, outcome
    assert "stapled by 127.0.0.1" in node(outcome, "collateral.origin")["notes"][0], outcome
    # What one has oneself wins; nobody is asked.
    own = verify(rig, home, policy, "--collateral", rig.work / "platform/collateral.json")
    assert own.code == 10 and node(own, "collateral.origin")["notes"][0].startswith("file "), own
    both = verify(rig, home, policy, "--collateral", rig.work / "platform/collateral.json", "--stapled")
    assert both.code == 10 and "stapled" in json.dumps(both.json()["tree"]), both
    # Nor is anything learnt from it.
    verify(rig, "home-stapled-only", policy)
    assert not (rig.work / "home-stapled-only" / "collateral-seen.json").exists()
    unasked = verify(rig, home, policy, "--no-stapled")
    assert unasked.code == 23 and node(unasked, "collateral.origin") is None, unasked


def collateral_that_is_stapled_is_rehearsed(rig):
    server = f"https://127.0.0.1:{rig.relay.port}"

    def rows(*arguments):
        outcome = rig.ctl("--json", "rehearse", rig.work / "policy.json", server, "--server-name", PLATFORM,
                          "--root", rig.work / "pki/root.pem", *arguments, context=False)
        assert outcome.code == 0, outcome
        return {row["event"]: row for row in outcome.json()["rows"]}
    stapled = rows()
    assert stapled["unchanged"]["outcome"] == "accepted_emulated", stapled
    assert "tcb_info.dates" in stapled["collateral-expired"]["failed"], stapled
    unasked = rows("--no-stapled")
    assert list(unasked) == ["unchanged", "collateral-unavailable"], unasked
    assert "tcb.level" in unasked["unchanged"]["not_evaluated"], unasked
    drilled = rig.ctl("rehearse", rig.work / "policy.json", server, "--drill", drill(rig), "--stapled",
                      context=False)
    assert drilled.code == 2 and "excludes" in drilled.err, drilled


def collateral_stapled_is_as_old_as_any(rig):
    drill(rig)
    policy = json.loads((rig.work / "policy.json").read_text())
    policy["max_collateral_age_s"] = 3600
    strict = rig.work / "strict-stapled.json"
    strict.write_text(json.dumps(policy))
    outcome = verify(rig, "home-stapled-age", strict)
    assert outcome.code == 22 and outcome.json()["summary"] == "rejected: collateral.age", outcome
    # Seen with number 18; the server goes on stapling 17.
    newer = verify(rig, "home-stapled-seen", lenient(rig), "--collateral",
                   rig.work / "sw-hardening-needed.json")
    assert newer.code == 10, newer
    memory = rig.work / "home-stapled-seen" / "collateral-seen.json"
    known = json.loads(memory.read_text())
    memory.write_text(json.dumps({root: 18 for root in known}))
    older = verify(rig, "home-stapled-seen", lenient(rig))
    assert older.code == 20 and "tcb_info.rollback" in older.json()["summary"], older
    forgetful = verify(rig, "home-stapled-seen", lenient(rig), "--no-memory")
    assert forgetful.code == 10, forgetful
    assert json.loads(memory.read_text()) == {root: 18 for root in known}


def collateral_is_not_stapled_for_strangers_nor_as_garbage(rig):
    bundle = rig.work / "staple.bundle"
    for method in ("PUT", "DELETE"):
        answer = rig.ask(PLATFORM, method, "/api/v1/collateral", bundle.read_bytes())
        assert answer.status == 401, answer
    altered = rig.work / "altered.bundle"
    altered.write_text(bundle.read_text().replace('"source": "file', '"source": "fake', 1))
    refused = rig.ctl("mini", "staple", altered)
    assert refused.code == 1 and "as its maker signed it" in refused.err, refused
    assert rig.get(PLATFORM, "/.well-known/enclave-os/collateral").text == bundle.read_text()


def collateral_of_a_hostile_server_gets_a_verdict(rig):
    """The answer comes from somebody else than the enclave: a relay gives the first connection of each run to a
    server of its own, which any name server or host could do, and the others to the enclave."""
    bundle = (rig.work / "staple.bundle").read_bytes()
    foreign = rig.work / "foreign"
    subprocess.run([rig.bin / "sgx-quoting-emulator", "init", "--dir", foreign], check=True,
                   stdout=subprocess.DEVNULL)
    elsewhere = rig.work / "foreign.bundle"
    made = rig.ctl("bundle", "make", "--import", foreign / "collateral.json", "--test-root",
                   foreign / "root.pem", "--out", elsewhere)
    assert made.code == 0, made
    head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n"
    answers = {
        "nothing at all": (b"", 23, ""),
        "garbage": (b"\0" * 4096, 23, ""),
        "another status": (head % (b"500 No", 0), 23, "HTTP 500"),
        "a redirect": (b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
                       23, "HTTP 302"),
        "no bundle": (head % (b"200 OK", 2) + b"{}", 23, ""),
        "cut": (head % (b"200 OK", len(bundle)) + bundle[:-100], 23, ""),
        "oversize": (head % (b"200 OK", 1 << 40) + b" " * (1 << 20), 23, "body is over"),
        "altered": (head % (b"200 OK", len(bundle)) + bundle.replace(b'"file ', b'"fake ', 1), 23,
                    "as its maker signed it"),
        "slow": (None, 23, "did not answer in time"),
        "another platform's": (head % (b"200 OK", elsewhere.stat().st_size) + elsewhere.read_bytes(), 20,
                               None),
    }
    with HostileServer(rig.port, rig.work) as server:
        for name, (answer, code, reason) in answers.items():
            server.answer, server.count = answer, 0
            outcome = verify(rig, "home-hostile", rig.work / "policy.json", port=server.port)
            assert outcome.code == code, (name, outcome)
            origin = node(outcome, "collateral.origin")
            assert origin["verdict"] == ("pass" if reason is None else "not_evaluated"), (name, origin)
            assert reason is None or reason in origin["notes"][0], (name, origin)
            assert server.count == 2, (name, server.count)


def collateral_can_be_stapled_no_more(rig):
    removed = rig.ctl("mini", "staple", "--remove")
    assert removed.code == 0, removed
    assert rig.get(PLATFORM, "/.well-known/enclave-os/collateral").status == 404
    assert rig.ctl("mini", "staple").code == 2


class HostileServer:
    """Answers each first connection itself, with a certificate of its own; carries each second one on."""

    def __init__(self, enclave_port, work):
        self.enclave_port, self.answer, self.count = enclave_port, b"", 0
        key, certificate = work / "hostile.key", work / "hostile.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=x"],
                       check=True, stderr=subprocess.DEVNULL)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.released = threading.Event()

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self.listener.close()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            serve = self.lie if self.count == 1 else self.carry
            threading.Thread(target=serve, args=(near,), daemon=True).start()

    def lie(self, near):
        try:
            with self.context.wrap_socket(near, server_side=True) as tls:
                tls.recv(65536)
                if self.answer is None:
                    self.released.wait(60)
                else:
                    tls.sendall(self.answer)
        except OSError:
            pass  # the client had enough

    def carry(self, near):
        # Challenges are counted by address: each run comes from a new place.
        carry_on(near, self.enclave_port, f"127.3.0.{next(PLACES)}")


PLACES = itertools.count(1)
