# SPDX-License-Identifier: AGPL-3.0-only
"""The verification service in a confidential VM: behind the machine's minter and proxy, attested like any other service."""
import base64
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

from rig import wait_for
from token_issuer import Issuer

ATTEST = "attest.example.test"
PROGRAM = "enclave-os-attestd-emulated"
REFUSED = 22
# Where a leaf has the machine's evidence: TDX, SEV-SNP.
EVIDENCE = [bytes.fromhex("060b2a864886f84d0105050106"), bytes.fromhex("060a2b0601040183fd4e0401")]
CALLS = 4  # that one address may make


class Verifier:
    """The service, its configuration, and a caller with a token."""

    def __init__(self, machine):
        self.machine, self.work = machine, machine.work
        self.issuer = Issuer(self.work, "one")
        (self.work / "keys.json").write_text(json.dumps(self.issuer.key_set()))
        self.policy = self.work / "attestd-policy.json"
        self.write_policy("first")
        self.socket = self.work / "attestd.sock"
        self.config = self.write_config("attestd.json", self.socket, os.getuid())
        self.roots = ["--test-root", f"lab={machine.guest() / 'root.pem'}"]
        self.log = None

    def write_policy(self, name):
        """Any guest of these vendors, as evidence without a certificate has it."""
        policy = json.loads((self.machine.guest() / "policy.json").read_text())
        del policy["identity"]
        policy |= {"name": name, "allow_any_identity": "i-understand-any-enclave-is-accepted",
                   "bindings": ["report-data"], "require_leaf_binding": False, "waivers": ["assurance"]}
        self.policy.write_text(json.dumps(policy))

    def write_config(self, name, path, user):
        file = self.work / name
        file.write_text(json.dumps({
            "version": 1, "proxy": {"socket": str(path), "user": str(user)}, "policy_file": str(self.policy),
            "issuers": [{"issuer": self.issuer.url, "jwks_file": str(self.work / "keys.json")}],
            "limits": {"address_requests_per_minute": 1, "address_burst": CALLS}}))
        return file

    def digest(self):
        done = subprocess.run([self.machine.bin / PROGRAM, "check", self.config, *self.roots], capture_output=True,
                              text=True, timeout=120)
        assert done.returncode == 0, done
        return done.stdout.split("sha256:")[1].strip()

    def start(self, name, config):
        log = self.machine.start(name, self.machine.bin / PROGRAM, "run", config, *self.roots)
        wait_for(name, lambda: events(log, "listening"))
        return log


def events(log, name):
    lines = [json.loads(line) for line in log.read_text().splitlines(True) if line.startswith("{") and line.endswith("\n")]
    return [line for line in lines if line["event"] == name]


def evidence_of(machine):
    """What the machine's own leaf carries."""
    context = ssl.create_default_context(cafile=machine.work / "pki/root.pem")
    with context.wrap_socket(socket.create_connection(("127.0.0.1", machine.port), 120), server_hostname=ATTEST) as tls:
        der = tls.getpeercert(binary_form=True)
    oid = next(oid for oid in EVIDENCE if oid in der)
    at = der.index(oid) + len(oid)
    assert der[at:at + 2] == b"\x04\x82", der[at:at + 4].hex()
    return der[at + 4:at + 4 + int.from_bytes(der[at + 2:at + 4], "big")]


def ask(verifier, source, body, fields=()):
    """By a client at `source` that trusts the owner's root."""
    machine = verifier.machine
    context = ssl.create_default_context(cafile=machine.work / "pki/root.pem")
    plain = socket.create_connection(("127.0.0.1", machine.port), 120, source_address=(source, 0))
    with context.wrap_socket(plain, server_hostname=ATTEST) as tls:
        connection = http.client.HTTPConnection(ATTEST)
        connection.sock = tls
        connection.request("POST", "/", body, {"Authorization": f"Bearer {verifier.issuer.token()}", **dict(fields)})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def policy_for(verifier, name, digest):
    """The machine's policy, and what must run behind the name."""
    policy = json.loads((verifier.machine.guest() / "policy.json").read_text())
    file = verifier.work / name
    file.write_text(json.dumps(policy | {"required": {"workload_digest": {"hex": digest}}}))
    return file


def is_verified_with_its_program_and_policy(verifier, digest):
    right, wrong = policy_for(verifier, "right.json", digest), policy_for(verifier, "wrong.json", "11" * 32)
    machine = verifier.machine
    for policy, code in ((right, 10), (wrong, REFUSED)):
        done = machine.ctl("verify", f"https://127.0.0.1:{machine.port}", "--server-name", ATTEST, "--policy", policy,
                           "--collateral", machine.collateral)
        assert done.returncode == code, (done.stdout, done.stderr)
    assert "workload_digest" in done.stdout, done.stdout
    print("  the verification service: verified with program, configuration and policy", flush=True)
    return right, wrong


def answers_whom_it_proved_itself_to(verifier, body, right, wrong):
    if "ENCLAVEOS_VERIFY_LIBRARY" not in os.environ:
        print("  skipped: a client of the library (ENCLAVEOS_VERIFY_LIBRARY)", flush=True)
        return
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "client/bindings/python"))
    import enclaveos_verify  # noqa: PLC0415: it loads the library
    machine = verifier.machine

    def connect(policy):
        client = enclaveos_verify.Verifier(policy.read_bytes(), machine.collateral.read_bytes(),
                                           (machine.work / "pki/root.pem").read_bytes())
        return client.https("127.0.0.1", machine.port, server_name=ATTEST)
    try:
        connect(wrong)
        raise AssertionError("a connection under a policy that demands another program")
    except enclaveos_verify.Rejected as refused:
        assert "workload_digest" in refused.verdict.text, refused.verdict.text
    assert not events(verifier.log, "answered") and not events(verifier.log, "refused"), verifier.log.read_text()
    with connect(right) as server:
        server.request("POST", "/", body, {"Authorization": f"Bearer {verifier.issuer.token()}"})
        answer = json.loads(server.getresponse().read())
    assert answer["status"] == "EMULATED" and answer["verdict"]["outcome"] == "accepted_emulated", answer
    assert len(events(verifier.log, "answered")) == 1
    print("  asked over the verified connection; not a byte under a policy that it does not meet", flush=True)


def counts_by_the_clients_address(verifier, body):
    other = {"X-Forwarded-For": "192.0.2.9", "Forwarded": "for=192.0.2.9", "X-Real-IP": "192.0.2.9"}
    for i in range(CALLS):
        status, answer = ask(verifier, "127.0.0.2", body, other)
        assert status == 200 and answer["status"] == "EMULATED", (i, status, answer)
    assert ask(verifier, "127.0.0.2", body, other)[0] == 429, "another address in the request is of no help"
    assert ask(verifier, "127.0.0.3", body)[0] == 200, "another client has its own"
    print("  limits by the client's own address", flush=True)


def keeps_its_policy_until_it_is_declared_anew(verifier):
    process = verifier.machine.processes[-1]
    before = verifier.digest()
    assert events(verifier.log, "listening")[0]["service_digest"] == f"sha256:{before}"
    verifier.write_policy("second")
    process.send_signal(signal.SIGHUP)
    wait_for("the refusal", lambda: events(verifier.log, "reload_failed"))
    assert "service_digest" in events(verifier.log, "reload_failed")[0]["why"]
    assert verifier.digest() != before
    verifier.write_policy("first")
    process.send_signal(signal.SIGHUP)
    wait_for("a reload", lambda: events(verifier.log, "reloaded"))
    process.terminate()
    assert process.wait(20) == 0, verifier.log.read_text()


def hears_nobody_else(verifier):
    path = verifier.work / "other.sock"
    log = verifier.start("attestd-other", verifier.write_config("other.json", path, os.getuid() + 1))
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(120)
        stranger.connect(str(path))
        try:
            stranger.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert stranger.recv(1) == b""
        except (BrokenPipeError, ConnectionResetError):
            pass  # it was closed before that was read
    wait_for("the refusal", lambda: events(log, "peer_refused"))
    print("  nobody but the proxy's user is heard", flush=True)


def story(machine):
    verifier = Verifier(machine)
    digest = verifier.digest()
    verifier.log = verifier.start("attestd", verifier.config)
    machine.write_config(f"  - name: attestd\n    hostname: {ATTEST}\n    service_digest: sha256:{digest}\n"
                         f"    upstream:\n      unix_socket: {verifier.socket}\n"
                         "    health:\n      path: /readyz\n      interval_s: 1\n      unhealthy_after: 1\n")
    code, _, error = machine.reload()
    assert code == 0, error
    right, wrong = is_verified_with_its_program_and_policy(verifier, digest)
    quote = evidence_of(machine)
    at = 568 if machine.tee.startswith("tdx") else 80  # report data: in the TD report body, in the SNP report
    body = json.dumps({"quote": base64.b64encode(quote).decode(),
                       "reportData": base64.b64encode(quote[at:at + 64]).decode(),
                       "collateral": base64.b64encode(machine.collateral.read_bytes()).decode()})
    answers_whom_it_proved_itself_to(verifier, body, right, wrong)
    counts_by_the_clients_address(verifier, body)
    keeps_its_policy_until_it_is_declared_anew(verifier)
    hears_nobody_else(verifier)
