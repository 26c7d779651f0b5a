#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The verification service as its users run it: real evidence at the time for which its collateral holds,
emulated evidence of a running Mini, tokens of an identity provider of the test's own.

usage: attestd_e2e.py BIN_FOLDER

Recorded evidence of real hardware is that of EOS_EVIDENCE_DIR; what needs it is skipped, by name, without it.
"""
import base64
import calendar
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rig import Answer, Rig, ShiftedClock, end, number_of, wait_for
from token_issuer import Issuer, Key, b64url, der_signature, make_certificate, make_key, openssl

# Real evidence that real collateral calls UpToDate, and when.
REAL = "tdx4-dcapqvl-sample"
CONFIG = {"version": 1, "listen": "127.0.0.1:0", "certificate_file": "server.pem", "key_file": "server.key"}
SGX_QUOTE = bytes.fromhex("060a2a864886f84d010d0100")


class Service:
    """One run of the program."""

    def __init__(self, stage, program, config, *arguments, clock=None):
        self.stage = stage
        stage.count += 1
        self.log_file = stage.folder / f"attestd-{stage.count}.log"
        config_file = stage.write(f"config-{stage.count}.json", CONFIG | config)
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen([stage.bin / program, "run", config_file, *map(str, arguments)],
                                            cwd=stage.folder, stderr=log, env=clock and clock.environment())
        stage.running.append(self.process)
        wait_for("the service listens", lambda: self.events("listening") or self.fail_if_over())
        self.port = int(self.events("listening")[0]["address"].rsplit(":", 1)[1])

    def fail_if_over(self):
        assert self.process.poll() is None, self.log_file.read_text()

    def events(self, name):
        lines = [line for line in self.log_file.read_text().splitlines(True) if line.startswith("{")]
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in events if event["event"] == name]

    def connect(self):
        context = ssl.create_default_context(cafile=self.stage.folder / "server.pem")
        return context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), 120),
                                   server_hostname="localhost")

    def ask(self, method, path, body=b"", token=None, fields=()):
        with self.connect() as channel:
            channel.sendall(head(method, path, len(body), token, fields) + body)
            return read_answer(channel)

    def verify(self, body, token=None):
        return self.ask("POST", "/", json.dumps(body).encode(), token)

    def number(self, name, token=None):
        return number_of(self.ask("GET", "/metrics", token=token).text, name)

    def stop(self):
        assert end(self.process) == 0, self.log_file.read_text()


def head(method, path, size, token=None, fields=()):
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {size}", *fields]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def begin(channel, size, token=None):
    """Sends a request's head, and waits until the server wants the body."""
    channel.sendall(head("POST", "/", size, token, ["Expect: 100-continue"]))
    said = channel.recv(1000)
    assert said == b"HTTP/1.1 100 Continue\r\n\r\n", said


def take_place(channel, size, token):
    """A request that lacks its last byte: what came pays for the time it goes on."""
    begin(channel, size, token)
    channel.sendall(b"x" * (size - 1))


def read_answer(channel):
    data = b""
    while b"\r\n\r\n" not in data:
        part = channel.recv(65536)
        assert part, f"no answer: {data!r}"
        data += part
    top, _, body = data.partition(b"\r\n\r\n")
    lines = top.decode().split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:])
    while len(body) < int(fields.get("content-length", 0)):
        part = channel.recv(65536)
        assert part, "the answer was cut short"
        body += part
    return Answer(int(lines[0].split()[1]), fields, body)


class Stage:
    """A folder, and what runs in it."""

    def __init__(self, bin_folder, folder):
        self.bin, self.folder = Path(bin_folder).resolve(), Path(folder)
        self.count, self.running = 0, []
        make_certificate(self.folder, "server")
        make_key(self.folder / "signer.key", "EC")
        self.issuer, self.other = Issuer(self.folder, "one"), Issuer(self.folder, "two")
        self.write("keys.json", self.issuer.key_set())
        self.tokens = {"issuers": [{"issuer": self.issuer.url, "jwks_file": "keys.json"}]}

    def write(self, name, value):
        path = self.folder / name
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    def check(self, config, *arguments, program="enclave-os-attestd"):
        file = self.write("checked.json", config if isinstance(config, str) else CONFIG | config)
        return subprocess.run([self.bin / program, "check", file, *map(str, arguments)], cwd=self.folder,
                              capture_output=True, text=True, timeout=120)

    def real(self):
        """Quote, collateral, and the time at which they hold; None without the corpus."""
        corpus = Path(os.environ.get("EOS_EVIDENCE_DIR", "/nonexistent"))
        if not (corpus / "index.json").exists():
            return None
        row = next(row for row in json.loads((corpus / "index.json").read_text()) if row["id"] == REAL)
        seconds = calendar.timegm(time.strptime(row["time"], "%Y-%m-%dT%H:%M:%SZ"))
        return (corpus / row["files"][0]).read_bytes(), (corpus / row["files"][1]).read_bytes(), seconds

    def close(self):
        for process in self.running:
            if process.poll() is None:
                end(process)


def request(quote, collateral=None, **more):
    body = {"quote": base64.b64encode(quote).decode()} | more
    if collateral is not None:
        body["collateral"] = base64.b64encode(collateral).decode()
    return body


def wrong_configurations_are_refused(stage):
    good = stage.check(stage.tokens)
    assert good.returncode == 0 and "keys from a file" in good.stdout, good
    assert "metrics for attestation-server:monitoring" in good.stdout, good
    several = [stage.tokens["issuers"][0] | {"issuer": name} for name in ("https://a.test", "https://b.test")]
    good = stage.check({"issuers": several})
    assert good.returncode == 0 and good.stdout.count("metrics for none of its callers") == 2, good

    def refused(config, why, *arguments):
        done = stage.check(config, *arguments)
        assert done.returncode == 1 and why in done.stderr, done
    refused({}, "no issuers")
    refused({"listen": "0.0.0.0:0"}, "loopback", "--no-auth")
    refused(stage.tokens, "contradicts", "--no-auth")
    refused({"accept_emulated": True}, "not known here", "--no-auth")
    refused("{", "not well-formed", "--no-auth")
    stage.write("leaves.json", {"version": 1, "name": "m", "roots": {"vendor": ["intel"]},
                                "allow_any_identity": "i-understand-any-enclave-is-accepted"})
    refused({"policy_file": "leaves.json"}, '"require_leaf_binding": false', "--no-auth")
    refused({"key_file": "missing.key"}, "missing.key", "--no-auth")
    (stage.folder / "open.key").write_bytes((stage.folder / "server.key").read_bytes())
    (stage.folder / "open.key").chmod(0o644)
    refused({"key_file": "open.key"}, "chmod 600", "--no-auth")
    refused({"key_file": "signer.key"}, "do not make a credential", "--no-auth")
    helped = subprocess.run([stage.bin / "enclave-os-attestd", "--help"], capture_output=True, text=True)
    assert helped.returncode == 0 and "check" in helped.stdout and "test-root" not in helped.stdout, helped


def callers_must_say_who_they_are(stage):
    service = Service(stage, "enclave-os-attestd", stage.tokens)
    issuer, body = stage.issuer, request(bytes(100))

    def refused(token, status=401):
        answer = service.verify(body, token)
        assert answer.status == status and answer.json().get("success") is False, (token, answer)
        return answer
    assert "bearer" in refused(None).headers["www-authenticate"]
    refused("nonsense")
    good = issuer.token()
    text, _, signature = good.rpartition(".")
    refused(f"{text}.{signature[:-4]}AAAA")
    claims = text.split(".")[1]
    for alg in ("none", "None", "HS256"):
        forged = b64url(json.dumps({"alg": alg, "kid": "one-rsa"}).encode())
        refused(f"{forged}.{claims}.")
        refused(f"{forged}.{claims}.{signature}")
    refused(issuer.token(exp=int(time.time()) - 61))
    refused(issuer.token(exp=None))
    refused(issuer.token(nbf=int(time.time()) + 120))
    refused(issuer.token(aud="another"))
    refused(issuer.token(aud=None))
    refused(stage.other.token())
    refused(stage.other.token(iss=issuer.url))
    refused(issuer.token(signed_by=stage.other.keys[0]))
    refused(issuer.token(header={"jwk": stage.other.keys[0].jwk()}, signed_by=stage.other.keys[0]))
    refused(issuer.token(roles=["somebody"]), 403)
    for key in (0, 1):
        answer = service.verify(body, issuer.token(key, exp=int(time.time()) - 30))
        assert answer.status == 200 and answer.json()["status"] == "VERIFICATION_FAILED", answer
    assert service.ask("GET", "/metrics").status == 401
    assert service.ask("GET", "/metrics", token=good).status == 403
    monitor = issuer.token(roles=["attestation-server:monitoring"])
    assert service.number('attestd_answers_total{status="VERIFICATION_FAILED"}', monitor) == 2
    assert service.number("attestd_refused_total", monitor) > 15
    assert service.ask("GET", "/healthz").json() == {"status": "ok"}
    assert service.ask("GET", "/readyz").json() == {"status": "ready"}
    log = service.log_file.read_text()
    assert good.split(".")[2] not in log and "alice" not in log, "the log has what belongs to callers"
    service.stop()


def requests_are_bounded(stage):
    limits = {"body_bytes": 4096, "burst": 12, "requests_per_minute": 1}
    service = Service(stage, "enclave-os-attestd", stage.tokens | {"limits": limits})
    token = stage.issuer.token()
    for path, method, status in (("/nothing", "GET", 404), ("/", "GET", 405), ("/healthz", "POST", 405)):
        assert service.ask(method, path, token=token).status == status
    for body, status in ((b"{", 400), (b'{"quote":"AAA"}', 400), (b'{"quote":"AAAA","x":1}', 400),
                         (b'{"quote":"AAAA","quote":"AAAA"}', 400), (b"x" * 4097, 413)):
        answer = service.ask("POST", "/", body, token)
        assert answer.status == status, (body[:40], answer)
    with service.connect() as channel:
        channel.sendall(head("POST", "/", 0, token).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
        channel.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n1000\r\n" + b"x" * 4096 + b"\r\n0\r\n\r\n")
        assert read_answer(channel).status == 413
    statuses = [service.verify(request(bytes(9)), token).status for _ in range(8)]
    assert statuses[0] == 200 and statuses[-1] == 429, statuses
    # Another caller has an allowance of its own.
    assert service.verify(request(bytes(9)), stage.issuer.token(sub="bob")).status == 200
    service.stop()


def nobody_takes_all_places(stage):
    limits = {"in_flight_per_caller": 3, "connections_per_address": 6, "body_bytes": 65536,
              "body_memory_bytes": 262144}
    service = Service(stage, "enclave-os-attestd", stage.tokens | {"limits": limits})
    token, bob = stage.issuer.token(), stage.issuer.token(sub="bob")
    slow = [service.connect() for _ in range(3)]
    take_place(slow[0], 65000, token)
    take_place(slow[1], 65000, token)
    assert service.ask("POST", "/", b"x" * 10000, token).status == 503, "a caller's share of the memory"
    begin(slow[2], 10000, token)
    assert service.verify(request(bytes(9)), token).status == 429, "a fourth one of the same caller"
    assert service.ask("POST", "/", b"x" * 60000, bob).status == 400, "others have theirs"
    assert service.verify(request(bytes(9)), bob).status == 200
    # Those of the requests above may still be about to be forgotten.
    more = [wait_for("a place", lambda: connected(service)) for _ in range(3)]
    assert connected(service) is None, "a seventh connection of one address"
    for channel in slow + more:
        channel.close()
    wait_for("places are free again", lambda: is_answered(service, token))
    service.stop()


def connected(service):
    try:
        return service.connect()
    except OSError:
        return None


def is_answered(service, token):
    try:
        return service.verify(request(bytes(9)), token).status == 200
    except (OSError, AssertionError):
        return False


def a_large_answer_arrives_whole(stage, rig, quote):
    # Events are listed for genuine evidence only.
    service = Service(stage, "enclave-os-attestd-emulated", {}, "--no-auth", "--test-root",
                      f"lab={rig.work / 'platform/root.pem'}")
    collateral = (rig.work / "platform/collateral.json").read_bytes()
    events = [{"imr": 3, "event_type": 1, "digest": f"{i:096x}", "event": f"e{i}", "event_payload": ""}
              for i in range(6000)]
    log = base64.b64encode(json.dumps(events).encode()).decode()
    large = request(quote, collateral, eventLog=log, includeEventLog=True)
    answer = service.verify(large)
    assert answer.status == 200 and len(answer.body) > 1_000_000, answer
    assert len(answer.json()["eventLog"]) == 6000
    # One who does not read is no obstacle to the others.
    body = json.dumps(large).encode()
    with service.connect() as idle:
        idle.sendall(head("POST", "/", len(body)) + body)
        assert service.verify(request(bytes(9))).status == 200
        assert len(read_answer(idle).json()["eventLog"]) == 6000
    service.stop()


def policies_of_test_roots_are_not_taken(stage, emulated_policy):
    service = Service(stage, "enclave-os-attestd", {}, "--no-auth")
    answer = service.verify(request(bytes(9), policy=emulated_policy))
    assert answer.status == 400 and "emulated" in answer.json()["error"], answer
    stage.write("emulated-policy.json", emulated_policy)
    done = stage.check({"policy_file": "emulated-policy.json"}, "--no-auth")
    assert done.returncode == 1 and "emulated" in done.stderr, done
    service.stop()


class Clock(ShiftedClock):
    """The one of the rig, which may also be behind."""

    def __init__(self, stage):
        self.library = stage.bin.parent / "tests/support/shifted_clock.so"
        self.file = stage.folder / "clock-shift"
        self.set(0)

    def set(self, seconds):
        with open(self.file, "r+b" if self.file.exists() else "wb") as file:
            file.write(seconds.to_bytes(8, "little", signed=True))


def real_evidence_is_ok_while_its_collateral_holds(stage):
    real = stage.real()
    if real is None:
        print("skipped: real evidence: no corpus (EOS_EVIDENCE_DIR)")
        return
    quote, collateral, seconds = real
    clock = Clock(stage)
    clock.set(seconds - int(time.time()))
    token = {"token": {"issuer": "https://attest.example.test", "key_file": "signer.key"}}
    stage.write("collateral.json", collateral.decode())
    service = Service(stage, "enclave-os-attestd", token, "--no-auth", clock=clock)
    missing = service.verify(request(quote)).json()
    assert missing["status"] == "INCOMPLETE" and missing["success"] is False, missing
    answer = service.verify(request(quote, collateral)).json()
    assert answer["status"] == "OK" and answer["success"] is True, answer
    assert answer["teeType"] == "tdx" and answer["mrtd"] == quote[184:232].hex(), answer
    assert answer["rtmrs"] == [quote[at:at + 48].hex() for at in range(376, 568, 48)], answer
    assert answer["tcbStatus"] == "UpToDate" and answer["pckRevocationChecked"] is True, answer
    altered = bytearray(quote)
    altered[200] ^= 1
    answer = service.verify(request(bytes(altered), collateral)).json()
    assert answer["status"] == "VERIFICATION_FAILED" and "quote.signature" in answer["message"], answer

    hits = service.number("attestd_signature_cache_hits_total")
    assert service.verify(request(quote, collateral)).json()["status"] == "OK"
    assert service.number("attestd_signature_cache_hits_total") == hits + 1
    results_are_signed_for_one_audience(stage, service, request(quote, collateral), quote[568:632])
    # The clock goes on and the collateral ends: known signatures are of no help then.
    clock.set(seconds - int(time.time()) + 60 * 86400)
    answer = service.verify(request(quote, collateral)).json()
    assert answer["status"] == "VERIFICATION_FAILED" and "tcb_info.dates" in answer["message"], answer
    assert service.number("attestd_signature_cache_hits_total") > hits + 1
    service.stop()
    collateral_is_read_again(stage, clock, seconds, quote)


def results_are_signed_for_one_audience(stage, service, body, report_data):
    wanted = {"token": {"audience": "relying-party", "nonce": "nonce-of-theirs"},
              "reportData": base64.b64encode(report_data).decode()}
    answer = service.verify(body | wanted).json()
    assert answer["status"] == "OK" and answer["verdict"]["outcome"] == "accepted", answer
    header, claims, signature = answer["token"].split(".")
    key = service.ask("GET", "/.well-known/jwks.json").json()["keys"][0]
    decode = lambda text: base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    stage.write("signer.pub", openssl("pkey", "-in", stage.folder / "signer.key", "-pubout").decode())
    (stage.folder / "signature").write_bytes(der_signature(decode(signature)))
    openssl("dgst", "-sha256", "-verify", stage.folder / "signer.pub", "-signature",
            stage.folder / "signature", data=f"{header}.{claims}".encode())
    assert json.loads(decode(header))["kid"] == key["kid"]
    said = json.loads(decode(claims))
    assert said["aud"] == "relying-party" and said["eat_nonce"] == "nonce-of-theirs", said
    assert said["exp"] - said["iat"] <= 300, said
    module = said["submods"]["tdx"]
    assert module["enclave_os.policy"]["decided_by"] == "service", module
    assert module["ear.appraisal-policy-id"] == "sha-256:" + answer["policy"]["sha256"], module
    # Any program was taken, and the token says so.
    assert module["ear.status"] == "warning", module
    policy = {"version": 1, "name": "mine", "roots": {"vendor": ["intel"]}, "tees": ["tdx"],
              "allow_any_identity": "i-understand-any-enclave-is-accepted", "bindings": ["report-data"],
              "require_leaf_binding": False, "waivers": ["assurance"]}
    callers = service.verify(body | {"policy": policy}).json()
    assert callers["policy"]["decidedBy"] == "caller" and "token" not in callers, callers
    refused = service.verify(body | wanted | {"policy": policy})
    assert refused.status == 400 and "token" in refused.json()["error"], refused


def collateral_is_read_again(stage, clock, seconds, quote):
    clock.set(seconds - int(time.time()))
    folder = stage.folder / "collateral"
    folder.mkdir()
    stage.write("collateral/a.json", "{}")
    service = Service(stage, "enclave-os-attestd", {"collateral": ["collateral"]}, "--no-auth", clock=clock)
    assert service.verify(request(quote)).json()["status"] == "INCOMPLETE"
    stage.write("collateral/b.json", "{")
    service.process.send_signal(1)
    wait_for("a failed reload", lambda: service.events("reload_failed"))
    assert "b.json" in service.events("reload_failed")[0]["why"], service.events("reload_failed")
    (folder / "b.json").write_text((stage.folder / "collateral.json").read_text())
    service.process.send_signal(1)
    wait_for("a reload", lambda: service.events("reloaded"))
    assert service.verify(request(quote)).json()["status"] == "OK"
    assert service.number("attestd_collateral_ends_seconds") > seconds
    # Many at once with the same evidence: all are answered, and its signatures verified no more.
    misses = service.number("attestd_signature_cache_misses_total")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: service.verify(request(quote)).json()["status"], range(24)))
    assert answers == ["OK"] * 24, answers
    assert service.number("attestd_signature_cache_misses_total") == misses
    service.stop()


def a_stop_waits_for_what_is_under_way(stage):
    service = Service(stage, "enclave-os-attestd", {}, "--no-auth")
    body = json.dumps(request(bytes(5000))).encode()
    idle = service.connect()
    idle.sendall(head("GET", "/healthz", 0))
    read_answer(idle)
    with service.connect() as channel:
        begin(channel, len(body))
        channel.sendall(body[:100])
        service.process.terminate()
        wait_for("it stops", lambda: service.events("stopping"))
        assert idle.recv(1) == b"", "an idle connection is closed"
        refused = socket.socket()
        wait_for("no new connections", lambda: refused.connect_ex(("127.0.0.1", service.port)) != 0)
        assert service.process.poll() is None
        channel.sendall(body[100:])
        answer = read_answer(channel)
        assert answer.status == 200 and answer.json()["status"] == "VERIFICATION_FAILED", answer
    assert service.process.wait(20) == 0
    assert service.events("stopped")[0]["connections_cut"] == "0", service.events("stopped")


def emulated_quote(stage, rig):
    """Evidence of a Mini that nobody owns yet, out of its certificate."""
    rig.start_quoting()
    rig.start_daemon()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", rig.port), 120) as plain:
        with context.wrap_socket(plain) as channel:
            der = channel.getpeercert(binary_form=True)
    at = der.index(SGX_QUOTE) + len(SGX_QUOTE)
    assert der[at:at + 2] == b"\x04\x82", der[at:at + 4].hex()
    size = int.from_bytes(der[at + 2:at + 4], "big")
    rig.stop_daemon()
    return der[at + 4:at + 4 + size]


def start_emulated(stage, rig):
    """The program for emulated evidence, with an issuer that is found by discovery."""
    issuer = Issuer(stage.folder, "three")
    issuer.serve()
    tokens = {"issuers": [{"issuer": issuer.url, "ca_file": str(issuer.ca_file)}]}
    no_root = stage.check(tokens, program="enclave-os-attestd-emulated")
    assert no_root.returncode != 0 and "test-root" in no_root.stderr, no_root
    service = Service(stage, "enclave-os-attestd-emulated", tokens, "--test-root",
                      f"lab={rig.work / 'platform/root.pem'}")
    wait_for("keys by discovery", lambda: service.ask("GET", "/readyz").status == 200)
    return service, issuer, tokens


def emulated_evidence_is_for_its_own_program(stage, rig, quote, service, issuer, tokens):
    collateral = (rig.work / "platform/collateral.json").read_bytes()
    stated = {"reportData": base64.b64encode(quote[368:432]).decode()}
    answer = service.verify(request(quote, collateral, **stated), issuer.token()).json()
    assert answer["status"] == "EMULATED" and answer["success"] is False, answer
    assert answer["verdict"]["summary"] == "accepted, EMULATED: protects nothing", answer
    assert answer["mrenclave"] == quote[112:144].hex(), answer
    other = {"reportData": base64.b64encode(bytes(63) + b"x").decode()}
    answer = service.verify(request(quote, collateral, **other), issuer.token()).json()
    assert answer["verdict"]["outcome"] == "rejected", answer
    vendor = {"version": 1, "name": "v", "roots": {"vendor": ["intel"]},
              "allow_any_identity": "i-understand-any-enclave-is-accepted"}
    assert service.verify(request(quote, policy=vendor), issuer.token()).status == 400
    keys_are_rotated(stage, service, issuer)
    service.stop()

    production = Service(stage, "enclave-os-attestd", tokens)
    wait_for("loopback is refused", lambda: production.events("keys_not_fetched"))
    assert "of this machine" in production.events("keys_not_fetched")[0]["why"]
    assert production.ask("GET", "/readyz").status == 503
    production.stop()
    production = Service(stage, "enclave-os-attestd", {}, "--no-auth")
    answer = production.verify(request(quote, collateral)).json()
    assert answer["status"] == "VERIFICATION_FAILED" and "pck.root" in answer["message"], answer
    production.stop()


def keys_are_rotated(stage, service, issuer):
    body = request(bytes(9))
    issuer.keys = [Key(stage.folder, "three-new", "EC")]
    fresh = issuer.token()
    before = issuer.key_fetches

    def taken():
        answer = service.verify(body, fresh)
        assert answer.status in (200, 401, 503), answer
        assert answer.status != 503 or answer.headers["retry-after"] == "1"
        return answer.status == 200
    wait_for("the new key", taken)
    assert issuer.key_fetches >= before + 1, "a fetch for a new key"
    # Names of keys that do not exist do not make the service ask again and again: once in 5 s.
    strange = [issuer.token(header={"kid": f"none-{i}"}) for i in range(20)]
    began, fetches = time.monotonic(), issuer.key_fetches
    statuses = {service.verify(body, token).status for token in strange}
    assert statuses <= {401, 503} and 401 in statuses, statuses
    assert issuer.key_fetches <= fetches + 1 + (time.monotonic() - began) // 5


def main():
    with tempfile.TemporaryDirectory(prefix="eos-attestd.") as folder:
        stage, rig = Stage(sys.argv[1], folder), Rig(Path(sys.argv[1]).resolve(), folder)
        try:
            quote = emulated_quote(stage, rig)
            made = rig.ctl("policy", "init", "--name", "e", "--mrenclave", "00" * 32, "--test-root",
                           rig.work / "platform/root.pem", "--out", rig.work / "e.json", context=False)
            assert made.code == 0, made
            # Its keys are fetched at once, and not again for some seconds: those pass meanwhile.
            emulated = start_emulated(stage, rig)
            steps = [(wrong_configurations_are_refused, ()), (callers_must_say_who_they_are, ()),
                     (requests_are_bounded, ()), (nobody_takes_all_places, ()),
                     (a_large_answer_arrives_whole, (rig, quote)),
                     (policies_of_test_roots_are_not_taken, (json.loads((rig.work / "e.json").read_text()),)),
                     (real_evidence_is_ok_while_its_collateral_holds, ()),
                     (a_stop_waits_for_what_is_under_way, ()),
                     (emulated_evidence_is_for_its_own_program, (rig, quote, *emulated))]
            for step, arguments in steps:
                began = time.monotonic()
                step(stage, *arguments)
                print(f"{time.monotonic() - began:5.1f} s  {step.__name__}", flush=True)
        finally:
            stage.close()
            rig.close()
    print("attestd: OK")


if __name__ == "__main__":
    main()
