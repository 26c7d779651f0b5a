#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Mini from end to end, as its users see it: the real daemon, the real enclave program, an emulated platform.

usage: mini_e2e.py BIN_FOLDER APPS_FOLDER [TEST…]     (TEST: only these functions; set-up always runs)

Each function below that begins with a stage's name is one test; they run in the order of this file and share
one enclave. Ends with 'N passed, N failed'.
"""
import os
import random
import signal
import ssl
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import config_client
import modules
from rig import PLATFORM, Channel, Outcome, free_ports, host, make_rig, wait_for

ENV_CANARY = "canary-env-7c1f0a52e9d84b36"
BODY_CANARY = "canary-body-d18e44a07b2c4f95"
MEBIBYTE = 1 << 20


# == an enclave without owner ==================================================================

def unowned_answers_healthz_and_nothing_else(rig):
    anyone = rig.tls(root=False)
    answer = rig.get(None, "/healthz", context=anyone)
    assert answer.status == 200 and answer.json() == {"status": "ok"}, answer
    for method, path in OWNER_ROUTES + [("GET", "/api/v1/config/manifest"), ("GET", "/"),
                                        ("GET", "/.well-known/enclave-os/manifest")]:
        answer = rig.ask(None, method, path, context=anyone)
        assert answer.status == 404, (method, path, answer)


def unowned_refuses_provisioning_without_challenge(rig):
    answer = rig.ask(None, "POST", "/api/v1/provision", b"{}", context=rig.tls(root=False))
    assert answer.status == 403 and "challenge" in answer.text, answer


def unowned_refuses_a_wrong_token(rig):
    outcome = rig.provision(token="00" * 16)
    assert outcome.code == 4 and "token" in outcome.err, outcome


def unowned_nothing_is_sent_without_a_policy(rig):
    outcome = rig.provision("--address", f"127.0.0.1:{rig.port}", context=False)
    assert outcome.code == 2 and "policy" in outcome.err, outcome


def unowned_nothing_is_sent_to_another_enclave_than_the_policys(rig):
    policy = rig.make_policy("other.json", "ab" * 32)
    # The right token goes to nobody: were it sent, this enclave would have an owner now.
    outcome = rig.provision("--policy", policy)
    assert outcome.code == 22 and "identity.enclave" in outcome.out, outcome
    assert rig.get(None, "/healthz", context=rig.tls(root=False)).status == 200
    assert "unowned" in rig.ops("/readyz").text, rig.ops("/readyz")


def unowned_becomes_owned(rig):
    outcome = rig.provision()
    assert outcome.code == 0 and f"you own {PLATFORM}" in outcome.out, outcome
    wait_for("ready after provisioning", lambda: rig.ops("/readyz").status == 200)
    status = rig.own("mini", "status")
    assert status["platform_name"] == PLATFORM and status["generation"] >= 1, status
    assert status["ca"]["origin"] == "born_inside" and status["protection"] == "none", status


# == who may do what ===========================================================================

OWNER_ROUTES = [
    ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/api/v1/status"), ("GET", "/api/v1/apps"),
    ("POST", "/api/v1/apps/hello"), ("GET", "/api/v1/apps/hello"), ("DELETE", "/api/v1/apps/hello"),
    ("GET", "/api/v1/apps/hello/logs"), ("POST", "/rpc/hello/add")]
# These also demand that the certificate answers a challenge, and say so first.
CHALLENGE_ROUTES = [("POST", "/api/v1/ca"), ("POST", "/api/v1/factory-reset")]


def owned_cannot_be_provisioned_again(rig):
    outcome = rig.provision()
    assert outcome.code == 4 and "404" in outcome.err, outcome


def owned_refuses_callers_without_certificate(rig):
    for method, path in OWNER_ROUTES:
        answer = rig.ask(PLATFORM, method, path)
        assert answer.status == 401 and answer.headers["WWW-Authenticate"], (method, path, answer)
        assert "error" in answer.json(), answer
    for method, path in CHALLENGE_ROUTES:
        answer = rig.ask(PLATFORM, method, path, b"{}")
        assert answer.status == 403 and "challenge" in answer.text, (method, path, answer)
    answer = rig.get(PLATFORM, "/api/v1/config/manifest?scope=platform")
    assert answer.status in (401, 403), answer


def owned_refuses_another_owners_key(rig):
    key = ("--owner-key", rig.work / "stranger/owner.key")
    module = rig.work / "any.wasm"
    module.write_bytes(modules.program("any"))
    for command in (("mini", "status"), ("mini", "rotate-ca", "--pki", rig.work / "stranger"),
                    ("mini", "factory-reset", "--confirm", "00" * 16), ("app", "list"),
                    ("app", "load", "any", module, "--hostname", host("any")),
                    ("app", "inspect", "any"), ("app", "unload", "any"), ("app", "logs", "any"),
                    ("app", "call", "any", "f")):
        outcome = rig.ctl(*command, *key)
        assert outcome.code == 4 and "403" in outcome.err, (command, outcome)
    assert rig.own("app", "list") == {"apps": []}


def owned_says_what_anyone_may_know(rig):
    assert rig.get(PLATFORM, "/healthz").status == 200
    for path in ("/api/v1/config/manifest?scope=policy", "/api/v1/config/history",
                 "/api/v1/config/proof?scope=policy&name=owner_key"):
        answer = rig.get(PLATFORM, path)
        assert answer.status == 200, (path, answer)
    assert rig.get(PLATFORM, "/nothing/here").status == 404
    answer = rig.ask(PLATFORM, "PUT", "/healthz")
    assert answer.status == 405 and "GET" in answer.headers["Allow"], answer


def owned_refuses_factory_reset_of_another_instance(rig):
    outcome = rig.ctl("mini", "factory-reset", "--confirm", "00" * 16)
    assert outcome.code == 4 and "403" in outcome.err, outcome
    assert rig.own("mini", "status")["platform_name"] == PLATFORM


# == apps ======================================================================================

def apps_cgi_answers_get_and_echoes_post(rig):
    rig.must_load("hello", rig.hello, "--public-env", "GREETING=salve", "--env",
                  f"API_KEY={ENV_CANARY}")
    answer = rig.get(host("hello"), "/?a=b", headers={"User-Agent": "e2e"})
    assert answer.status == 200 and answer.headers["X-App"] == "hello-cgi", answer
    for line in ("REQUEST_METHOD=GET", "QUERY_STRING=a=b", "GREETING=salve", "EOS_APP=hello",
                 f"SERVER_NAME={host('hello')}", "HTTP_USER_AGENT=e2e"):
        assert line in answer.text.splitlines(), (line, answer)
    body = BODY_CANARY.encode() + random.Random(1).randbytes(300_000)
    answer = rig.ask(host("hello"), "POST", "/echo", body)
    assert answer.status == 200 and answer.body == body, answer.status
    assert rig.get(host("hello"), "/no-such-page").status == 404
    answer = rig.get(host("hello"), "/fail")
    assert answer.status == 502 and answer.json()["exit_code"] == 3, answer


def apps_get_their_arguments_and_environment(rig):
    rig.must_load("facts", modules.FACTS, "--arg", "one", "--arg", "two words", "--env",
                  "SECRET=s3cret", "--public-env", "OPEN=yes")
    answer = rig.get(host("facts"), "/", headers={"X-Thing": "1", "Proxy": "evil"})
    assert answer.status == 200, answer
    found = answer.body.split(b"\0")
    assert found[:3] == [b"facts", b"one", b"two words"], found
    assert {b"SECRET=s3cret", b"OPEN=yes", b"HTTP_X_THING=1", b"HTTPS=on"} <= set(found), found
    assert not any(f.startswith(b"HTTP_PROXY") for f in found), found
    # Others see that there is a secret, and not what it is.
    shown = rig.get(host("facts"), "/.well-known/enclave-os/manifest?scope=workload")
    assert "OPEN" in shown.text and "SECRET" in shown.text and "s3cret" not in shown.text, shown


def apps_json_calls(rig):
    rig.must_load("text", rig.text_json)

    def call(function, body):
        return rig.ask(host("text"), "POST", f"/rpc/text/{function}", body,
                       {"Content-Type": "application/json"})
    answer = call("reverse", b'{"args":["abc"]}')
    assert answer.status == 200, answer
    assert answer.json() == {"status": "ok", "returns": [{"type": "string", "value": "cba"}]}, answer
    assert call("add", b'{"args":{"a":"40","b":2}}').json()["returns"][0]["value"] == "42"
    for bad in (b'{"args":[1]}', b'{"args":["a","b","c"]}', b'{"args":[1', b'[]'):
        answer = call("add", bad)
        assert answer.status == 400 and answer.json()["error"], (bad, answer)
    assert call("no_such_function", b'{"args":[]}').status == 404
    assert rig.ask(host("text"), "POST", "/rpc/hello/add", b"{}").status == 404
    answer = call("divide", b'{"args":[1,0]}')
    assert answer.status == 502 and answer.json()["trap"] == "integer_divide_by_zero", answer
    assert rig.own("app", "call", "text", "is_even", "4")["returns"][0]["value"] is True


def apps_infinite_loop_runs_out_of_fuel_and_holds_up_nobody(rig):
    rig.must_load("spin", modules.program("never", modules.SPIN), "--max-fuel", "60000000")
    with ThreadPoolExecutor(1) as pool:
        loop = pool.submit(rig.get, host("spin"), "/")
        meanwhile = 0
        while not loop.done():
            assert rig.get(host("hello"), "/").status == 200
            meanwhile += not loop.done()
    answer = loop.result()
    assert answer.status == 502 and answer.json()["trap"] == "fuel_exhausted", answer
    assert meanwhile >= 3, f"{meanwhile} answers of another app while the loop ran"


def apps_traps_are_named(rig):
    rig.must_load("trap", modules.program("never", modules.TRAP))
    answer = rig.get(host("trap"), "/")
    assert answer.status == 502 and answer.json()["trap"] == "integer_divide_by_zero", answer


def apps_memory_bomb_is_stopped(rig):
    rig.must_load("bomb", modules.program("never", modules.MEMORY_BOMB))
    answer = rig.get(host("bomb"), "/")
    assert answer.status == 502 and answer.json()["trap"] == "memory_limit", answer
    assert rig.get(host("hello"), "/").status == 200


def apps_malformed_module_changes_nothing(rig):
    before = rig.own("app", "inspect", "hello")
    broken = bytearray(rig.hello)
    broken[40:48] = b"\xff" * 8
    for module in (bytes(broken), rig.hello[:-100], b"\0asm\x02\0\0\0", b"#!/bin/sh\n"):
        outcome = rig.load("hello", module)
        assert outcome.code == 4 and "400" in outcome.err, outcome
        assert any(word in outcome.err for word in ("byte", "offset", "position")), outcome
    assert rig.own("app", "inspect", "hello") == before
    assert rig.get(host("hello"), "/").status == 200


def apps_foreign_import_is_refused_by_name(rig):
    module = modules.assemble('(module (import "env" "system" (func)) (func (export "_start")))')
    outcome = rig.load("foreign", module)
    assert outcome.code == 4 and "system" in outcome.err, outcome
    assert rig.get_refused(host("foreign"))


def apps_too_large_upload_is_refused(rig):
    outcome = rig.load("large", modules.program("x") + bytes(16 * MEBIBYTE + 65536))
    assert outcome.code == 4 and "413" in outcome.err, outcome
    assert rig.get_refused(host("large"))


def apps_too_large_body_is_refused_before_it_is_read(rig):
    name = host("hello")
    head = (f"POST /echo HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n"
            f"Content-Length: {MEBIBYTE + 1}\r\n\r\n")
    # No body is sent: the head alone must be answered.
    answer = rig.raw(name, head.encode())
    assert answer.startswith(b"HTTP/1.1 413 "), answer[:200]
    chunked = (f"POST /echo HTTP/1.1\r\nHost: {name}\r\nTransfer-Encoding: chunked\r\n\r\n"
               f"{MEBIBYTE + 1:x}\r\n").encode() + bytes(MEBIBYTE + 1) + b"\r\n0\r\n\r\n"
    assert rig.raw(name, chunked).startswith(b"HTTP/1.1 413 ")
    body = bytes(MEBIBYTE)
    assert rig.ask(name, "POST", "/echo", body).status in (200, 502)


def apps_hostname_of_another_app_is_refused(rig):
    module = rig.work / "thief.wasm"
    module.write_bytes(modules.program("thief"))
    for name in (host("hello"), PLATFORM):
        outcome = rig.ctl("app", "load", "thief", module, "--hostname", name)
        assert outcome.code == 4 and "409" in outcome.err, (name, outcome)


def apps_hostname_outside_the_name_constraints_is_refused(rig):
    module = rig.work / "thief.wasm"
    for name in ("hello.example.org", "notexample.test"):
        outcome = rig.ctl("app", "load", "thief", module, "--hostname", name)
        assert outcome.code == 4 and "403" in outcome.err, (name, outcome)


def apps_logs_are_the_owners(rig):
    lines = rig.own("app", "logs", "hello")["lines"]
    assert any(line["text"] == "greeted someone" for line in lines), lines
    assert rig.get(PLATFORM, "/api/v1/apps/hello/logs").status == 401
    after = lines[-1]["sequence"]
    assert rig.own("app", "logs", "hello", "--after", after)["lines"] == []


def apps_unloaded_name_is_gone(rig):
    rig.must_load("gone", modules.program("here"))
    assert rig.get(host("gone"), "/").text == "here"
    assert rig.own("app", "unload", "gone")["status"] == "unloaded"
    assert rig.get_refused(host("gone"))
    outcome = rig.ctl("app", "inspect", "gone")
    assert outcome.code == 4 and "404" in outcome.err, outcome


# == HTTP and TLS ==============================================================================

def http_authority_must_be_the_connections_name(rig):
    for name in (host("hello"), PLATFORM):
        path = "/healthz" if name == PLATFORM else "/"
        for other in (host("text"), "evil.example", f"{name}.evil.example"):
            answer = rig.get(name, path, headers={"Host": other})
            assert answer.status == 421, (name, other, answer)
        for own in (name, f"{name}:{rig.port}", name.upper()):
            assert rig.get(name, path, headers={"Host": own}).status == 200, own


def http_keep_alive(rig):
    channel = Channel(rig, host("hello"))
    answers = [channel.ask("GET", "/") for _ in range(3)]
    first = channel.sock
    answers.append(channel.ask("POST", "/echo", b"x"))
    assert [a.status for a in answers] == [200] * 4 and channel.sock is first, answers
    channel.close()


def http_ambiguous_requests_are_refused(rig):
    name = host("hello")
    cases = [(f"Host: {name}", f"Host: {host('text')}"), (f"Host: {name}", f"Host: {name}"),
             (), (f"Host: {name}", "Content-Length: 1", "Transfer-Encoding: chunked"),
             (f"Host: {name}", "Content-Length: 1", "Content-Length: 2"),
             (f"Host: {name}", "Folded: a", " b")]

    def send(lines):
        data = "POST /echo HTTP/1.1\r\n" + "".join(line + "\r\n" for line in lines) + "\r\n"
        return rig.raw(name, data.encode())
    # Side by side, because each connection lingers so that its answer arrives.
    with ThreadPoolExecutor(len(cases)) as pool:
        answers = list(pool.map(send, cases))
    for lines, answer in zip(cases, answers):
        assert answer.startswith(b"HTTP/1.1 400 "), (lines, answer[:200])
        assert answer.count(b"HTTP/1.1 ") == 1, (lines, answer)


def tls_unknown_name_is_refused(rig):
    assert rig.get_refused("nobody.example.test")
    assert rig.get_refused("example.org")


def tls_challenges_are_limited_by_address(rig):
    # Not through the relay: all from one address. Others, and clients without challenge, do not suffer.
    direct = ("--address", f"127.0.0.1:{rig.port}", "--server-name", PLATFORM)
    codes = [rig.ctl("mini", "status", *direct).code for _ in range(64)]
    assert codes[0] == 0 and 3 in codes, codes
    assert rig.get(PLATFORM, "/healthz").status == 200
    rig.own("mini", "status")


def tls_12_is_refused(rig):
    context = rig.tls()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        rig.get(PLATFORM, "/healthz", context=context)
    except ssl.SSLError as error:
        assert "version" in str(error).lower(), error
        return
    raise AssertionError("TLS 1.2 was accepted")


def tls_gives_no_session_tickets_and_takes_no_early_data(rig):
    request = f"GET /healthz HTTP/1.1\r\nHost: {PLATFORM}\r\nConnection: close\r\n\r\n".encode()
    said = rig.openssl("-servername", PLATFORM, "-tls1_3", "-msg", "-ign_eof", text=request)
    assert "HTTP/1.1 200" in said, said[-2000:]
    assert "Verify return code: 0 (ok)" in said, said[-2000:]
    assert "NewSessionTicket" not in said, "a session ticket was issued"
    # A client sends early data only if a ticket allows it; it has none, and the server says it takes none.
    assert "Max Early Data: 0" in said or "Max Early Data" not in said, said[-1000:]
    assert "Early data was not sent" in said, said[-1000:]


# == configuration =============================================================================

def config_manifest_roots_are_those_in_the_certificates(rig):
    for name in (PLATFORM, host("hello"), host("facts")):
        prefix = "/api/v1/config" if name == PLATFORM else "/.well-known/enclave-os"
        certificate = rig.certificate(name)
        manifest = rig.get(name, f"{prefix}/manifest?scope=policy").json()
        root = config_client.manifest_root(manifest)
        assert root == config_client.extension(certificate, config_client.POLICY_ROOT), name
        if name != PLATFORM:
            manifest = rig.get(name, f"{prefix}/manifest?scope=workload").json()
            assert manifest["scope_id"] == name.split(".")[0], manifest
            root = config_client.manifest_root(manifest)
            assert root == config_client.extension(certificate, config_client.WORKLOAD_ROOT), name
    assert config_client.extension(rig.certificate(PLATFORM), config_client.WORKLOAD_ROOT) is None


def config_every_leaf_and_an_absent_name_can_be_proved(rig):
    certificate = rig.certificate(host("hello"))
    for scope, oid in (("policy", config_client.POLICY_ROOT),
                       ("workload", config_client.WORKLOAD_ROOT)):
        root = config_client.extension(certificate, oid)
        base = f"/.well-known/enclave-os/%s?scope={scope}"
        for entry in rig.get(host("hello"), base % "manifest").json()["leaves"]:
            name = ".".join(entry["name"])
            proof = rig.get(host("hello"), base % "proof" + f"&name={name}").json()
            assert proof["format"] == "enclave-os/config-inclusion/1", proof
            assert proof["proof"]["leaf"] == entry, proof
            assert config_client.root_of_proof(proof, proof["proof"]) == root, name
            proof["proof"]["leaf"]["name"] = ["forged"]
            assert config_client.root_of_proof(proof, proof["proof"]) != root, name
        for name in ("egress_store", "issuers", "a", "zzz"):
            proof = rig.get(host("hello"), base % "proof" + f"&name={name}").json()
            assert proof["format"] == "enclave-os/config-absence/1", proof
            config_client.check_absence(proof, [name.encode()], root)


def config_trees_belong_to_their_names(rig):
    answer = rig.get(host("hello"), "/.well-known/enclave-os/manifest?scope=platform")
    assert answer.status == 404, answer
    answer = rig.get(PLATFORM, "/api/v1/config/manifest?scope=workload")
    assert answer.status == 404, answer


# == the host: restarts, kills, quotes, secrets ================================================

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


def host_slow_quotes_slow_only_challenges(rig):
    rig.stop_quoting()
    rig.start_quoting("--latency-ms", "300")
    begun = time.monotonic()
    for _ in range(3):
        assert rig.get(host("hello"), "/").status == 200
    without = time.monotonic() - begun
    begun = time.monotonic()
    rig.own("mini", "status")
    with_challenge = time.monotonic() - begun
    assert with_challenge >= 0.3, f"a challenge was answered in {with_challenge:.3f} s"
    # Three handshakes that waited for a quote each would take 0.9 s.
    assert without < 0.9, f"mode A waits for quotes: {without:.3f} s"
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
    assert rig.get_refused(PLATFORM), "a handshake was answered without a first quote"
    rig.stop_quoting()
    rig.start_quoting()
    wait_for("ready again", lambda: rig.ops("/readyz").status == 200, 60)
    rig.own("mini", "status")


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
    assert "unowned" in rig.ops("/readyz").text
    rig.read_token()
    outcome = rig.provision()
    assert outcome.code == 0, outcome
    status = rig.own("mini", "status")
    assert status["apps"] == 0 and status["instance_id"] != instance, status


def host_ends_in_good_order(rig):
    runner = rig.runner_pid()
    assert rig.stop_daemon() == 0
    assert not Path(f"/proc/{runner}").exists(), "the runner outlived the daemon"


# == running them ==============================================================================

STAGES = ("unowned_", "owned_", "apps_", "http_", "tls_", "config_", "host_")


def run(test, rig):
    begun = time.monotonic()
    try:
        test(rig)
    except Exception as error:  # whatever it is: this test failed, the next one is run
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == __file__]
        print(f"FAIL  {test.__name__}, line {lines[-1]}: {type(error).__name__}: {error}", flush=True)
        return False
    print(f"ok    {test.__name__} ({time.monotonic() - begun:.1f} s)", flush=True)
    return True


def main(arguments):
    if len(arguments) < 2:
        sys.exit(__doc__)
    tests = [f for n, f in globals().items() if n.startswith(STAGES) and callable(f)]
    needed = {"unowned_becomes_owned", "apps_cgi_answers_get_and_echoes_post", *arguments[2:]}
    if len(arguments) > 2:
        tests = [f for f in tests if f.__name__ in needed]
    folder, rig = make_rig(arguments[0])
    rig.hello = Path(arguments[1], "hello-cgi.wasm").read_bytes()
    rig.text_json = Path(arguments[1], "text-json.wasm").read_bytes()
    passed = 0
    try:
        rig.start_quoting()
        rig.start_daemon()
        rig.make_owner()
        for test in tests:
            passed += run(test, rig)
    finally:
        rig.close()
        if passed < len(tests):
            print(f"the daemon's last log:\n{rig.log()[-3000:]}")
        folder.cleanup()
    print(f"{passed} passed, {len(tests) - passed} failed")
    return 0 if passed == len(tests) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
