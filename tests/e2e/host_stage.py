# SPDX-License-Identifier: AGPL-3.0-only
"""The host: restarts, kills, dead, slow and lying quote sources, secrets it must not see."""
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import config_client
import modules
from rig import (BODY_CANARY, ENV_CANARY, PLATFORM, Outcome, ShiftedClock, end, free_ports, host,
                 number_of, wait_for)


def host_sees_no_secret(rig):
    runner, daemon = rig.runner_pid(), rig.daemon.pid
    answer = rig.ask(host("hello"), "POST", "/echo", BODY_CANARY.encode())
    assert answer.text == BODY_CANARY, answer
    canaries = [ENV_CANARY.encode(), BODY_CANARY.encode()]
    log = rig.log_path().read_bytes()
    assert not [c for c in canaries if c in log], "a secret in the daemon's log"
    files = [p for p in rig.state.rglob("*") if p.is_file()]
    assert files, "no state directory"
    for path in files:
        data = path.read_bytes()
        assert not [c for c in canaries if c in data], f"a secret in {path.name}"
    try:
        # The secret is in the trusted process, so a search of memory can find it.
        assert canaries[0] in memory_of(runner), "the search of memory finds nothing at all"
        memory = memory_of(daemon)
    except PermissionError:
        print("    (this user may not read another process's memory: not looked at)")
        return
    assert str(rig.state).encode() in memory, "the search of memory finds nothing at all"
    assert not [c for c in canaries if c in memory], "a secret in the daemon's memory"


def memory_of(pid):
    """All private and shared memory of a process that can be read."""
    parts = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            bounds, rights = line.split()[:2]
            start, stop = (int(text, 16) for text in bounds.split("-"))
            # Memory that was only reserved, as by a sanitizer, is no place for a secret.
            if not rights.startswith("rw") or stop - start > 1 << 30:
                continue
            try:
                memory.seek(start)
                parts.append(memory.read(stop - start))
            except (OSError, OverflowError):
                continue
    return b"\n".join(parts)


def host_restart_keeps_owner_ca_and_apps(rig):
    status, apps = rig.own("mini", "status"), rig.own("app", "list")
    assert rig.stop_daemon() == 0
    rig.start_daemon()
    after = rig.own("mini", "status")
    for key in ("instance_id", "generation", "platform_name", "ca", "policy_root", "platform_root"):
        assert after[key] == status[key], (key, status, after)
    assert rig.own("app", "list") == apps
    assert rig.get(host("hello"), "/").status == 200


def host_starts_a_killed_runner_again(rig):
    old = rig.runner_pid()
    starts = rig.log().count("evidence ready")
    os.kill(old, signal.SIGKILL)
    rig.await_log("evidence ready", starts + 1)
    assert rig.runner_pid() != old
    assert rig.get(host("hello"), "/").status == 200


def host_two_daemons_do_not_share_a_state(rig):
    done = subprocess.run(rig.daemon_command(*free_ports(2)), capture_output=True, text=True, timeout=60)
    second = Outcome(done)
    assert second.code == 1 and "cannot_start" in second.err, second
    assert "state" in second.err, second
    assert rig.get(host("hello"), "/").status == 200


def host_killed_while_apps_are_loaded_loses_nothing_acknowledged(rig):
    module = modules.program("loaded")
    chance = random.Random(7)
    for round_number in range(4):
        acknowledged, tried = [], []

        def load_many():
            for i in range(30):
                changed = modules.with_comment(module, b"%d.%d" % (round_number, i))
                tried.append(changed)
                if rig.load("crash", changed).code != 0:
                    return
                acknowledged.append(changed)
        thread = threading.Thread(target=load_many)
        thread.start()
        target = chance.randint(2, 8)
        wait_for("some loads", lambda: len(acknowledged) >= target, 60)
        threading.Event().wait(chance.uniform(0, 0.08))  # any moment of the next load
        rig.kill_daemon()
        thread.join(60)
        assert not thread.is_alive(), "enclavectl hangs"
        rig.start_daemon()
        found = rig.own("app", "inspect", "crash")["digest"]
        allowed = [digest(m) for m in (acknowledged[-1], tried[-1])]
        assert found in allowed, (round_number, len(acknowledged), len(tried))
        assert rig.get(host("crash"), "/").text == "loaded"
        assert rig.get(host("hello"), "/").status == 200


def digest(module):
    return config_client.reference.sha256(module).hex()


def host_older_state_is_refused_by_whoever_saw_newer(rig):
    state, older, newer = rig.state, rig.work / "state.older", rig.work / "state.newer"
    assert rig.stop_daemon() == 0
    shutil.copytree(state, older)
    rig.start_daemon()
    rig.must_load("later", modules.program("later"))
    status = rig.own("mini", "status")
    assert rig.stop_daemon() == 0
    state.rename(newer)
    older.rename(state)
    rig.start_daemon()  # the enclave cannot know
    outcome = rig.ctl("verify")
    assert outcome.code == 24 and "rejected: state_rollback\n" in outcome.out, outcome
    assert f"at least generation {status['generation']}," in outcome.out, outcome
    # Nothing is sent to it, under no name of it.
    for command in (("mini", "status"), ("verify", "--server-name", host("hello"))):
        outcome = rig.ctl(*command)
        assert outcome.code == 24, (command, outcome)
    # Who saw nothing newer cannot tell, and who says so goes on.
    assert rig.ctl("verify", "--no-memory").code == 10
    seen = rig.own("context", "seen")["instances"]
    assert [i["generation"] for i in seen if i["id"] == status["instance_id"]] == [status["generation"]]
    rig.own("context", "forget", status["instance_id"])
    assert rig.own("mini", "status")["generation"] == status["generation"] - 1
    assert rig.stop_daemon() == 0
    shutil.rmtree(state)
    newer.rename(state)
    rig.start_daemon()
    assert rig.own("mini", "status")["generation"] == status["generation"]


def host_two_copies_of_one_instance_are_a_fork(rig):
    assert rig.stop_daemon() == 0
    twin_state, log = rig.work / "state.twin", rig.work / "twin.log"
    shutil.copytree(rig.state, twin_state)
    rig.start_daemon()
    port, ops_port = free_ports(2)
    command = [twin_state if part == rig.state else part
               for part in rig.daemon_command(port, ops_port)]
    with open(log, "wb") as sink:
        twin = subprocess.Popen(command, stdout=sink, stderr=sink)
    try:
        wait_for("the twin", lambda: "evidence ready" in log.read_text(errors="replace"))
        to_twin = ("--address", f"127.0.0.1:{port}", "--server-name", PLATFORM)
        rig.own("mini", "status")
        rig.own("mini", "status", *to_twin)  # might be the same one, started anew
        outcome = rig.ctl("verify")
        assert outcome.code == 24 and "rejected: state_fork\n" in outcome.out, outcome
    finally:
        end(twin)
    shutil.rmtree(twin_state)
    rig.own("context", "forget", "--all")
    rig.own("mini", "status")


def host_a_damaged_memory_is_an_error_with_a_way_out(rig):
    memory = rig.work / "contexts/seen-instances.json"
    memory.write_text(memory.read_text()[:40])
    outcome = rig.ctl("mini", "status")
    assert outcome.code == 1 and str(memory) in outcome.err, outcome
    assert "context forget --all" in outcome.err and "--no-memory" in outcome.err, outcome
    assert rig.ctl("context", "forget", "--all").code == 0
    rig.own("mini", "status")


def quote_requests(rig):
    return number_of(rig.ops("/metrics").text, "enclave_os_daemon_quote_requests_total")


def host_slow_quotes_slow_only_challenges(rig):
    rig.stop_quoting()
    rig.start_quoting("--latency-ms", "1000")
    before = quote_requests(rig)
    for _ in range(3):
        assert rig.get(host("hello"), "/").status == 200
    assert quote_requests(rig) == before, "mode A asks for quotes"
    begun = time.monotonic()
    rig.own("mini", "status")
    with_challenge = time.monotonic() - begun
    assert with_challenge >= 1, f"a challenge was answered in {with_challenge:.3f} s"
    assert quote_requests(rig) > before
    rig.stop_quoting()
    rig.start_quoting()
    rig.own("mini", "status")


def host_starts_without_quotes_says_so_and_recovers(rig):
    assert rig.stop_daemon() == 0
    rig.stop_quoting()
    rig.start_daemon(until="quoting_failed")

    def reasons():
        answer = rig.ops("/readyz")
        return answer if answer.status == 503 and "quot" in answer.text else None
    answer = wait_for("readyz says why", reasons)
    assert "No such file" in answer.text or "refused" in answer.text, answer
    rig.start_quoting()
    wait_for("ready again", lambda: rig.ops("/readyz").status == 200, 60)
    assert rig.get(host("hello"), "/").status == 200
    rig.own("mini", "status")


def host_quote_of_another_report_is_never_served(rig):
    rig.stop_quoting()
    rig.start_quoting("--wrong-report")
    # The leaf in use was made before; a fresh one needs a quote, and this one is about another report.
    assert rig.get(host("hello"), "/").status == 200
    assert rig.ctl("mini", "status").code == 3
    assert rig.stop_daemon() == 0
    rig.start_daemon(until="no evidence")
    assert rig.get_refused(PLATFORM, "INTERNAL_ERROR"), "a handshake was answered without a first quote"
    rig.stop_quoting()
    rig.start_quoting()
    wait_for("ready again", lambda: rig.ops("/readyz").status == 200, 60)
    rig.own("mini", "status")


def host_time_jump_stops_new_leaves_until_the_owner_confirms(rig):
    clock = ShiftedClock(rig)
    assert rig.stop_daemon() == 0
    rig.start_daemon(clock=clock)
    assert rig.get(host("hello"), "/").status == 200
    assert rig.own("mini", "status")["time_trust"] == "unconfirmed"
    clock.set(30 * 3600)
    # Every leaf of mode A has expired by the new time, and none is made for it.
    wait_for("plain handshakes are refused",
             lambda: rig.get_refused(host("hello"), "INTERNAL_ERROR"))
    rig.await_log("time jumped")
    wait_for("/readyz says so", lambda: rig.ops("/readyz").status == 503)
    answer = rig.ops("/readyz")
    assert "jumped" in answer.text, answer
    # An owner whose clock says otherwise does not believe the leaf, and so confirms nothing.
    outcome = rig.ctl("mini", "confirm-time")
    assert outcome.code not in (0, 4), outcome
    # One for whom it is that late can look, confirm, and do nothing else before.
    status = rig.ctl("--json", "mini", "status", clock=clock)
    assert status.code == 0 and status.json()["time_trust"] == "jumped", status
    outcome = rig.ctl("app", "unload", "hello", clock=clock)
    assert outcome.code == 4 and "time jumped" in outcome.err, outcome
    renewed = rig.log().count("evidence ready")
    outcome = rig.ctl("mini", "confirm-time", clock=clock)
    assert outcome.code == 0, outcome
    rig.await_log("the owner confirmed the time")
    rig.await_log("evidence ready", renewed + 1)
    assert rig.get(host("hello"), "/", context=rig.tls(root=False)).status == 200
    wait_for("ready again", lambda: rig.ops("/readyz").status == 200)
    # Nothing was sealed meanwhile: a restart with the right time finds it right.
    assert rig.stop_daemon() == 0
    rig.start_daemon()
    assert rig.get(host("hello"), "/").status == 200
    assert rig.own("mini", "status")["time_trust"] == "unconfirmed"


def host_ca_rotation_keeps_the_apps(rig):
    before = rig.own("mini", "status")
    issuer = rig.get_chain(host("hello"))
    assert issuer, "no intermediate is shown"
    outcome = rig.ctl("mini", "rotate-ca", "--pki", rig.work / "pki", "--permit", "example.test")
    assert outcome.code == 0, outcome
    wait_for("the new CA is served", lambda: rig.get_chain(host("hello")) != issuer)
    after = rig.own("mini", "status")
    assert after["generation"] > before["generation"], (before, after)
    assert after["policy_root"] != before["policy_root"], "the policy tree names the CA"
    assert rig.get(host("hello"), "/").status == 200


def host_factory_reset_makes_it_unowned_for_good(rig):
    instance = rig.own("mini", "status")["instance_id"]
    outcome = rig.ctl("mini", "factory-reset", "--confirm", instance)
    assert outcome.code == 0, outcome
    anyone = rig.tls(root=False)
    wait_for("unowned", lambda: "unowned" in rig.ops("/readyz").text)
    rig.stop_daemon()
    rig.start_daemon()
    assert rig.get(None, "/healthz", context=anyone).status == 200
    wait_for("unowned", lambda: "unowned" in rig.ops("/readyz").text)
    rig.read_token()
    outcome = rig.provision()
    assert outcome.code == 0, outcome
    status = rig.own("mini", "status")
    assert status["apps"] == 0 and status["instance_id"] != instance, status


def host_expired_ca_is_named_and_replaced(rig):
    instance = rig.own("mini", "status")["instance_id"]
    begun = time.monotonic()
    assert rig.ctl("mini", "factory-reset", "--confirm", instance).code == 0
    took = time.monotonic() - begun
    wait_for("unowned", lambda: "unowned" in rig.ops("/readyz").text)
    rig.read_token()
    # Two commands must be through before the end, on however slow a machine.
    chain, key, end = short_lived_ca(rig, seconds=8 + round(10 * took))
    outcome = rig.provision("--import-chain", chain, "--import-key", key)
    assert outcome.code == 0, outcome
    assert rig.own("mini", "status")["ca"]["origin"] == "imported"
    wait_for("the CA's end", lambda: datetime.now(timezone.utc) > end + timedelta(seconds=1), 300)
    outcome = rig.ctl("mini", "status")
    assert outcome.code == 21 and "certificate.chain" in outcome.out and "expired" in outcome.out, outcome
    rotate = ("mini", "rotate-ca", "--pki", rig.work / "pki", "--permit", "example.test")
    assert rig.ctl(*rotate).code == 21
    outcome = rig.ctl(*rotate, "--ca-expired")
    assert outcome.code == 0, outcome
    # Born inside now, but what was imported once is said for ever.
    assert rig.own("mini", "status")["ca"]["origin"] == "imported"
    assert rig.get(PLATFORM, "/healthz").status == 200


def short_lived_ca(rig, seconds):
    """An intermediate under the owner's root that ends so soon: chain, key, its end."""
    folder = rig.work / "short"
    folder.mkdir()
    end = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=seconds)
    (folder / "index").touch()
    (folder / "ca.cnf").write_text(f"""[ca]
default_ca = short
[short]
database = {folder}/index
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = intermediate
[any]
commonName = supplied
[intermediate]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
nameConstraints = critical, permitted;DNS:example.test
""")
    for command in (
            ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-subj", "/CN=Short",
             "-keyout", folder / "key.pem", "-out", folder / "request.pem"],
            ["ca", "-batch", "-notext", "-config", folder / "ca.cnf", "-in", folder / "request.pem",
             "-cert", rig.work / "pki/root.pem", "-keyfile", rig.work / "pki/root.key",
             "-startdate", (end - timedelta(days=2)).strftime("%Y%m%d%H%M%SZ"),
             "-enddate", end.strftime("%Y%m%d%H%M%SZ"), "-out", folder / "intermediate.pem"]):
        done = subprocess.run(["openssl", *map(str, command)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    chain = folder / "chain.pem"
    chain.write_text((folder / "intermediate.pem").read_text() + (rig.work / "pki/root.pem").read_text())
    return chain, folder / "key.pem", end


def reset_state(rig):
    done = subprocess.run([rig.bin / "enclave-os-mini", "--reset-state", "--state-dir", rig.state],
                          capture_output=True, text=True, timeout=60)
    return Outcome(done)


def host_reset_state_puts_it_aside(rig):
    status = rig.own("mini", "status")
    refused = reset_state(rig)
    assert refused.code == 1 and "stop the daemon first" in refused.err, refused
    assert rig.stop_daemon() == 0
    done = reset_state(rig)
    assert done.code == 0 and "blobs.reset-1" in done.err, done
    rig.start_daemon()
    wait_for("unowned", lambda: "unowned" in rig.ops("/readyz").text)
    # What was put aside is whole: put back, it is yesterday's state, which is accepted.
    assert rig.stop_daemon() == 0
    (rig.state / "blobs").rename(rig.state / "another")
    (rig.state / "blobs.reset-1").rename(rig.state / "blobs")
    rig.start_daemon()
    after = rig.own("mini", "status")
    assert after["instance_id"] == status["instance_id"], (status, after)
    assert after["generation"] == status["generation"], (status, after)


def host_a_missing_file_of_the_state_is_named(rig):
    assert rig.stop_daemon() == 0
    current = rig.state / "blobs/CURRENT"
    content = current.read_bytes()
    current.unlink()
    done = Outcome(subprocess.run(rig.daemon_command(rig.port, rig.ops_port), capture_output=True, text=True,
                                  timeout=60))
    assert done.code == 1 and "CURRENT is missing" in done.err and "backup" in done.err, done
    current.write_bytes(content)
    current.chmod(0o600)
    rig.start_daemon()
    assert rig.get(PLATFORM, "/healthz").status == 200


def host_ends_in_good_order(rig):
    runner = rig.runner_pid()
    with socket.create_connection(("127.0.0.1", rig.port), 120) as plain:
        with rig.tls(root=False).wrap_socket(plain, server_hostname=PLATFORM) as stalled:
            stalled.sendall(f"POST /__privasys/attest HTTP/1.1\r\nHost: {PLATFORM}\r\nContent-Length: 100\r\n\r\n".encode())
            assert rig.stop_daemon() == 0
    assert not Path(f"/proc/{runner}").exists(), "the runner outlived the daemon"
    assert "drain_timeout" not in rig.log(), "the enclave cuts what is left when the drain ends, and ends in good order"
