# SPDX-License-Identifier: AGPL-3.0-only
"""HTTP, TLS and the configuration as a client on the network sees them."""
import json
import os
import socket
import ssl
import struct
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import config_client
from channel_stage import Asker
from rig import PLATFORM, Channel, host, wait_for


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


class Http2Channel:
    """A connection on which frames are sent and read one by one (RFC 9113, 4.1)."""
    DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
    END_STREAM, END_HEADERS, ACK = 1, 4, 1

    def __init__(self, rig, name):
        context = rig.tls()
        context.set_alpn_protocols(["http/1.1", "h2"])
        self.name = name
        self.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", rig.port), 120), server_hostname=name)
        assert self.sock.selected_alpn_protocol() == "h2"
        self.sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.send(self.SETTINGS)

    def send(self, kind, flags=0, stream=0, payload=b""):
        self.sock.sendall(struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload)

    def get(self, stream, path):
        fields = {":method": "GET", ":scheme": "https", ":authority": self.name, ":path": path}
        block = b"".join(b"\0" + bytes([len(n)]) + n.encode() + bytes([len(v)]) + v.encode() for n, v in fields.items())
        self.send(self.HEADERS, self.END_STREAM | self.END_HEADERS, stream, block)

    def read(self, size):
        out = b""
        while len(out) < size:
            piece = self.sock.recv(size - len(out))
            if not piece:
                raise EOFError
            out += piece
        return out

    def frames(self):
        """(type, flags, stream, payload) of every frame until the end of the connection; PINGs are answered."""
        while True:
            try:
                head = self.read(9)
            except EOFError:
                return
            kind, flags, stream = struct.unpack(">BBI", head[3:])
            payload = self.read(int.from_bytes(head[:3], "big"))
            if kind == self.PING and not flags & self.ACK:
                try:
                    self.send(self.PING, self.ACK, 0, payload)
                except OSError:
                    pass  # the server is gone; what it sent before is still to be read
            yield kind, flags, stream, payload

    def next(self, kind):
        return next(frame for frame in self.frames() if frame[0] == kind)


def http_two_is_spoken_to_whoever_offers_it(rig):
    name = host("hello")
    version, status, body = rig.curl(name, "/?a=b")
    assert (version, status) == ("2", 200), (version, status)
    for line in (b"SERVER_PROTOCOL=HTTP/2.0", b"QUERY_STRING=a=b", f"SERVER_NAME={name}".encode()):
        assert line in body.splitlines(), (line, body)
    sent = rig.work / "http2-body"
    sent.write_bytes(bytes(range(256)) * 4000)
    assert rig.curl(name, "/echo", "--data-binary", f"@{sent}") == ("2", 200, sent.read_bytes())
    _, status, body = rig.curl(host("text"), "/rpc/text/reverse", "--json", '{"args":["abc"]}')
    assert status == 200 and json.loads(body)["returns"][0]["value"] == "cba", (status, body)
    assert rig.curl(name, "/", "--http1.1")[0] == "1.1"


def http_two_keeps_the_same_limits(rig):
    name = host("hello")
    large = rig.work / "http2-large"
    with open(large, "wb") as file:
        file.truncate(17 << 20)  # of 16 MiB
    version, status, body = rig.curl(name, "/echo", "--data-binary", f"@{large}")
    assert (version, status) == ("2", 413) and b"limit" in body, (version, status, body[:200])
    for other in (host("text"), "evil.example"):
        assert rig.curl(name, "/", "--header", f"Host: {other}")[:2] == ("2", 421), other
    assert rig.curl(name, "/", "--request", "BREW")[1] == 501


def http_two_drains_when_what_was_shown_changes(rig):
    rig.must_load("second", rig.hello, "--public-env", "V=1")
    channel = Http2Channel(rig, host("second"))
    channel.get(1, "/")
    assert channel.next(channel.DATA)[2] == 1
    rig.must_load("second", rig.hello, "--public-env", "V=2")
    goaways = [payload for kind, _, _, payload in channel.frames() if kind == channel.GOAWAY]
    assert goaways == [struct.pack(">II", 0x7fffffff, 0), struct.pack(">II", 1, 0)], goaways
    rig.own("app", "unload", "second")


def http_two_resets_are_limited(rig):
    channel = Http2Channel(rig, host("hello"))
    try:
        for stream in range(1, 2001, 2):  # CVE-2023-44487
            channel.get(stream, "/")
            channel.send(channel.RST_STREAM, 0, stream, struct.pack(">I", 8))
    except OSError:
        pass
    try:
        code = struct.unpack(">II", channel.next(channel.GOAWAY)[3])[1]
    except (StopIteration, ConnectionResetError):
        code = None
    assert code == 11, code  # ENHANCE_YOUR_CALM
    assert rig.get(host("hello"), "/").status == 200


def tls_unknown_name_is_refused(rig):
    assert rig.get_refused("nobody.example.test")
    assert rig.get_refused("example.org")


def tls_leaves_are_read_by_gnutls(rig):
    """Another parser of certificates than OpenSSL's, with the platform's root alone."""
    for name in (PLATFORM, host("hello")):
        done = subprocess.run(["gnutls-cli", "--x509cafile", rig.work / "pki/root.pem", "--sni-hostname", name,
                               "--verify-hostname", name, "--port", str(rig.port), "127.0.0.1"],
                              input=b"", capture_output=True, timeout=120)
        assert b"Handshake was completed" in done.stdout and b"certificate is trusted" in done.stdout, done


class AllChallenges:
    """Takes every challenge that 127.0.0.1 may ask for, as they come free."""

    def __init__(self, rig):
        self.asker = Asker(rig, PLATFORM, through_relay=False)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.wait(0.02):
            answer = self.asker.challenge(os.urandom(32))
            assert answer.status in (200, 503), answer

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.asker.close()


def tls_challenges_are_limited_by_address(rig):
    # Not through the relay: all from one address. Others, and clients without challenge, do not suffer.
    direct = ("--address", f"127.0.0.1:{rig.port}", "--server-name", PLATFORM)
    assert rig.ctl("mini", "status", *direct).code == 0

    def refused():
        # In one second there is no time to try again.
        outcome = rig.ctl("--timeout", "1", "mini", "status", "--mode", "v1-challenge", *direct)
        return outcome if "alert 49" in outcome.err else None

    def waiting():
        # With the usual time limit a command waits and tries again by itself: nothing was sent.
        patient = rig.start_ctl("mini", "status", *direct, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if any("trying again in" in line for line in patient.stderr):
            return patient
        assert patient.wait() == 0
        return None

    with AllChallenges(rig):
        outcome = wait_for("a refused challenge", refused)
        assert outcome.code == 3 and "try again in a few seconds" in outcome.err, outcome
        assert rig.get(PLATFORM, "/healthz").status == 200
        rig.own("mini", "status")
        patient = wait_for("a command that meets the limit", waiting)
    said = patient.communicate(timeout=60)
    assert patient.returncode == 0, said


def tls_the_client_says_what_an_alert_means(rig):
    outcome = rig.ctl("--json", "verify", "--server-name", "nobody.example.test")
    error = json.loads(outcome.err)["error"]
    assert outcome.code == 3 and error["code"] == "name_unknown", outcome
    assert "no app with that name" in error["message"] and "app list" in error["message"], outcome


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
