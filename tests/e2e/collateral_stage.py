# SPDX-License-Identifier: AGPL-3.0-only
"""Collateral: bundles in use, rollback found out, and the rehearsal of what has not happened yet."""
import json
import subprocess

from rig import PLATFORM, Outcome


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


def verify(rig, home, policy, *arguments):
    return Outcome(subprocess.run(
        [rig.bin / "enclavectl", "--json", "--home", rig.work / home, "verify", "--address",
         f"127.0.0.1:{rig.relay.port}", "--server-name", PLATFORM, "--root", rig.work / "pki/root.pem",
         "--policy", policy, *map(str, arguments)],
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
