# SPDX-License-Identifier: AGPL-3.0-only
"""Mode C: evidence asked for inside the connection (docs/formats/certificate.md, section 6), by our client, by a
client that is not ours, and with somebody in between."""
import base64
import hashlib
import itertools
import json
import os
import socket
import ssl
import subprocess
import threading

import config_client
from rig import PLATFORM, Channel, host

ATTEST = "/__privasys/attest"
SGX_QUOTE = "1.2.840.113741.1.13.1.0"
PLATFORM_ROOT, PLATFORM_ROOT_V2 = "1.3.6.1.4.1.65230.1.1", "1.3.6.1.4.1.65230.2.1"
REPORT_DATA = slice(368, 432)  # of an SGX quote


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_b64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def key_hash(certificate):
    """SHA-256 of a certificate's SubjectPublicKeyInfo."""
    pem = subprocess.run(["openssl", "x509", "-inform", "der", "-pubkey", "-noout"], input=certificate, check=True,
                         capture_output=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "der"], input=pem, check=True,
                         capture_output=True).stdout
    return hashlib.sha256(der).digest()


class Asker(Channel):
    """A client that knows the protocol and nothing of ours: Python's own TLS."""

    def __init__(self, rig, name, context=None, through_relay=True):
        super().__init__(rig, name, context or asking_context(rig))
        self.port = rig.relay.port if through_relay else rig.port  # challenges are counted by address
        self.connect()
        self.certificate = self.sock.getpeercert(binary_form=True)
        self.leaf = key_hash(self.certificate)

    def post(self, **message):
        return self.ask("POST", ATTEST, json.dumps(message), {"Content-Type": "application/json"})

    def challenge(self, context):
        return self.post(v=2, mode="challenge", leaf=b64(self.leaf), context=b64(context))

    def report_data(self, context):
        answer = self.challenge(context)
        assert answer.status == 200, answer
        return from_b64(answer.json()["quote"])[REPORT_DATA]


def asking_context(rig):
    context = rig.tls()
    context.set_alpn_protocols(["privasys-ratls/1", "http/1.1"])
    return context


def channel_is_the_default_and_shows_level_3(rig):
    for arguments, form, level in (((), "v2-challenge", "level 3"),
                                   (("--mode", "v1-challenge"), "v1-challenge", "level 2")):
        outcome = rig.ctl("--json", "verify", *arguments)
        assert outcome.code == 10, outcome
        assert outcome.json()["claims"]["binding"] == form and level in outcome.out, outcome
        assert rig.ctl("mini", "status", *arguments).code == 0
    outcome = rig.ctl("--json", "verify", "--mode", "v1-deterministic")
    assert outcome.code == 21 and "binding.format" in outcome.out, outcome
    outcome = rig.ctl("mini", "status", "--mode", "deterministic")
    assert outcome.code == 2 and "day old" in outcome.err, outcome


def channel_answers_a_client_that_is_not_ours(rig):
    context = asking_context(rig)
    for name, path in ((PLATFORM, "/healthz"), (host("hello"), "/")):
        channel = Asker(rig, name, context)
        assert channel.sock.selected_alpn_protocol() == "http/1.1"
        assert config_client.extension(channel.certificate, SGX_QUOTE) is None
        answer = channel.post(v=2, mode="deterministic", leaf=b64(channel.leaf)).json()
        minute = answer["quote_time"].encode()
        assert answer["tee"] == "sgx" and answer["client_evidence"] == "none", answer
        assert from_b64(answer["quote"])[REPORT_DATA] == hashlib.sha512(channel.leaf + minute).digest()
        assert channel.ask("GET", path).status == 200
        channel.close()
        # A client that asks for nothing is shown what it always was.
        plain = rig.certificate(name)
        assert config_client.extension(plain, SGX_QUOTE)[REPORT_DATA] != bytes(64)
        assert rig.get(name, path).status == 200
    platform = Asker(rig, PLATFORM, context)
    root = config_client.extension(platform.certificate, PLATFORM_ROOT_V2)
    assert root and root == config_client.extension(rig.certificate(PLATFORM), PLATFORM_ROOT)
    platform.close()


def channel_gives_way_where_a_name_shows_the_first_generation(rig):
    """Stock clients of the first generation may offer the second's ALPN name and want their own leaf."""
    module = (rig.work / "hello.wasm").read_bytes()
    rig.must_load("stock", module, "--ratls-profile", "v1")
    for offered in (["privasys-ratls/1", "http/1.1"], ["http/1.1"]):
        context = rig.tls()
        context.set_alpn_protocols(offered)
        channel = Asker(rig, host("stock"), context)
        assert len(config_client.extension(channel.certificate, SGX_QUOTE)) > 1000, offered
        channel.close()
    rig.must_load("stock", module)
    channel = Asker(rig, host("stock"))
    assert config_client.extension(channel.certificate, SGX_QUOTE) is None
    channel.close()
    outcome = rig.load("stock", module, "--ratls-profile", "v2")
    assert outcome.code == 2 and "v1" in outcome.err, outcome
    assert rig.ctl("app", "unload", "stock").code == 0


def channel_evidence_is_of_one_connection(rig):
    # One TLS context, one challenge: each connection has evidence of its own.
    context, challenge = asking_context(rig), os.urandom(32)
    first, second = Asker(rig, PLATFORM, context), Asker(rig, PLATFORM, context)
    assert not second.sock.session_reused
    assert first.leaf == second.leaf
    mine = first.report_data(challenge)
    assert mine == first.report_data(challenge)
    assert mine != first.report_data(os.urandom(32))
    assert mine != second.report_data(challenge)
    first.close()
    second.close()


def channel_signs_nothing_else(rig):
    channel, good = Asker(rig, PLATFORM), os.urandom(32)
    assert channel.post(v=2, mode="challenge", leaf=b64(bytes(32)), context=b64(good)).status == 404
    assert channel.post(v=2, mode="present", context=b64(good), quote="").status == 403
    for wrong in ({"v": 1}, {"context": b64(good[:31])}, {"context": None}, {"mode": "any"}, {"leaf": "*"}):
        message = {"v": 2, "mode": "challenge", "leaf": b64(channel.leaf), "context": b64(good)} | wrong
        assert channel.post(**message).status == 400, wrong
    assert channel.ask("GET", ATTEST).status == 405
    assert channel.report_data(good)
    channel.close()


def channel_management_waits_for_an_answer(rig):
    context = asking_context(rig)
    context.load_cert_chain(rig.work / "pki/owner.pem", rig.work / "pki/owner.key")
    channel = Asker(rig, PLATFORM, context)
    assert channel.ask("GET", "/api/v1/status").status == 200
    refused = channel.ask("POST", "/api/v1/confirm-time", "{}")
    assert refused.status == 403 and "challenge" in refused.text, refused
    assert channel.challenge(os.urandom(32)).status == 200
    assert channel.ask("POST", "/api/v1/confirm-time", "{}").status == 400
    channel.close()


def channel_limits_are_those_of_mode_b(rig):
    channel = Asker(rig, PLATFORM)
    # 32 at once, then one a second: whoever is slow needs a few more.
    answers = (channel.challenge(os.urandom(32)) for _ in range(400))
    limited = list(itertools.islice((answer for answer in answers if answer.status == 503), 5))
    assert limited and all(answer.headers["Retry-After"] for answer in limited), limited
    assert channel.ask("GET", "/healthz").status == 200
    channel.close()
    rig.own("mini", "status")  # from elsewhere


class Between:
    """Ends the client's TLS with a key of its own, and answers each request by `answer`."""

    def __init__(self, rig, answer):
        self.answer, self.received = answer, []
        key, self.file = rig.work / "between.key", rig.work / "between.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", self.file, "-subj", f"/CN={PLATFORM}", "-addext",
                        f"subjectAltName=DNS:{PLATFORM}"], check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # and gives tickets
        self.context.load_cert_chain(self.file, key)
        self.context.set_alpn_protocols(["http/1.1"])
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                with self.context.wrap_socket(near, server_side=True) as channel:
                    self.talk(channel)
            except OSError:
                pass  # the client may leave as it likes

    def talk(self, channel):
        request = b""
        while not request.endswith((b"}", b"\r\n\r\n") if request.startswith(b"GET ") else b"}"):
            data = channel.recv(65536)
            if not data:
                return
            request += data
        if request.startswith(b"GET "):  # for stapled collateral, on a connection of its own
            channel.sendall(b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n")
            return
        self.received.append(request)
        status, body = self.answer(json.loads(request.partition(b"\r\n\r\n")[2]))
        channel.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
        while data := channel.recv(65536):
            self.received.append(data)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.listener.close()


def channel_relayed_evidence_is_refused_and_nothing_is_sent(rig):
    def pass_on(message):
        channel = Asker(rig, PLATFORM)
        answer = channel.challenge(from_b64(message["context"]))  # the client's own challenge
        channel.close()
        return answer.status, answer.body
    between = Between(rig, pass_on)
    module = rig.work / "relayed.wasm"
    module.write_bytes(rig.hello)
    there = ("--address", f"127.0.0.1:{between.port}", "--server-name", PLATFORM)
    outcome = rig.ctl("--json", "verify", *there)
    failed = json.dumps(outcome.json())
    assert outcome.code == 21 and "report_data" in outcome.json()["summary"], failed
    assert rig.ctl("app", "load", "relayed", module, "--hostname", host("relayed"), *there).code == 21
    between.close()
    # Of both commands the challenge, and no byte more.
    assert [message.split(b" ", 2)[1] for message in between.received] == [ATTEST.encode()] * 2, between.received


def channel_a_server_without_it_is_named(rig):
    between = Between(rig, lambda _: (404, b'{"error":"no such thing"}'))
    outcome = rig.ctl("mini", "status", "--address", f"127.0.0.1:{between.port}", "--server-name", PLATFORM)
    between.close()
    assert outcome.code == 3 and "--mode v1-challenge" in outcome.err, outcome
    assert len(between.received) == 1, between.received
