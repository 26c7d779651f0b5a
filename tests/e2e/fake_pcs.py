# SPDX-License-Identifier: AGPL-3.0-only
"""Services on loopback that answer as Intel's PCS, a PCCS and AMD's KDS do, from an emulated platform's collateral,
and that can be told to fail in the ways services fail."""
import http.server
import json
import ssl
import threading
import urllib.parse

CHAINS = {"tcb": "TCB-Info-Issuer-Chain", "qe/identity": "SGX-Enclave-Identity-Issuer-Chain",
          "pckcrl": "SGX-PCK-CRL-Issuer-Chain"}


class FakePcs:
    """fault: None, or the name of a method below; only for paths that contain fault_path."""

    def __init__(self, collateral, certificate=None):
        self.collateral = collateral
        self.fault, self.fault_path, self.requests = None, "", []
        self.released = threading.Event()
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                service.requests.append(self.path)
                broken = service.fault and service.fault_path in self.path
                try:
                    (getattr(service, service.fault) if broken else service.answer)(self)
                except OSError:
                    pass  # the client went away

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    # -- right answers --------------------------------------------------------------------------
    def content(self, path):
        """Body and chain of an answer, or None."""
        have = self.collateral
        call = urllib.parse.urlparse(path)
        name = call.path.removeprefix("/sgx/certification/v4/")
        if name == "tcb" and f"fmspc={json.loads(have['tcb_info'])['fmspc'].lower()}" == call.query:
            body = '{"tcbInfo":%s,"signature":"%s"}' % (have["tcb_info"], have["tcb_info_signature"])
            return body.encode(), have["tcb_info_issuer_chain"]
        if name == "qe/identity":
            body = '{"enclaveIdentity":%s,"signature":"%s"}' % (
                have["qe_identity"], have["qe_identity_signature"])
            return body.encode(), have["qe_identity_issuer_chain"]
        if name == "pckcrl" and call.query == "ca=platform&encoding=der":
            return bytes.fromhex(have["pck_crl"]), have["pck_crl_issuer_chain"]
        if name == "rootcacrl":
            return have["root_ca_crl"].encode(), None
        return None

    def send(self, handler, status, body, fields=()):
        handler.send_response(status)
        for name, value in fields:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def answer(self, handler):
        found = self.content(handler.path)
        if found is None:
            self.send(handler, 404, b"no data")
            return
        body, chain = found
        name = urllib.parse.urlparse(handler.path).path.removeprefix("/sgx/certification/v4/")
        fields = [(CHAINS[name], urllib.parse.quote(chain))] if chain else []
        self.send(handler, 200, body, fields)

    # -- faults ---------------------------------------------------------------------------------
    def not_found(self, handler):
        self.send(handler, 404, b"")

    def too_many(self, handler):
        self.send(handler, 429, b"", [("Retry-After", "60")])

    def redirect(self, handler):
        self.send(handler, 302, b"", [("Location", "http://127.0.0.1:1/")])

    def garbage(self, handler):
        _, chain = self.content(handler.path)
        self.send(handler, 200, b"<html>captive portal</html>",
                  [(name, urllib.parse.quote(chain)) for name in CHAINS.values()])

    def garbled_chain(self, handler):
        body, _ = self.content(handler.path)
        self.send(handler, 200, body, [(name, "x") for name in CHAINS.values()])

    def truncated(self, handler):
        body, _ = self.content(handler.path)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:len(body) // 2])

    def oversized(self, handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 30))
        handler.end_headers()
        for _ in range(64):
            handler.wfile.write(b" " * (1 << 16))

    def slow(self, handler):
        self.released.wait(60)

    def altered(self, handler):
        """Every answer well-formed and with its chain, but not what was signed."""
        body, chain = self.content(handler.path)
        body = body.replace(b'"tcbEvaluationDataNumber":17', b'"tcbEvaluationDataNumber":18')
        self.send(handler, 200, body, [(CHAINS["tcb"], urllib.parse.quote(chain))])


class FakeKds(FakePcs):
    """AMD's key service, for the chip in a folder of sev-snp-emulator."""

    def __init__(self, folder, product):
        self.product = product
        self.files = {f.name: f.read_bytes() for f in folder.iterdir()}
        super().__init__({})

    def content(self, path):
        report = self.files["report.bin"]
        turin = self.product == "Turin"
        # 0x180: REPORTED_TCB, 0x1a0: CHIP_ID (56860).
        tcb, chip = report[0x180:0x188], report[0x1a0:0x1a0 + (8 if turin else 64)]
        parts = ([("fmc", 0), ("bl", 1), ("tee", 2), ("snp", 3), ("ucode", 7)] if turin
                 else [("bl", 0), ("tee", 1), ("snp", 6), ("ucode", 7)])
        query = "&".join(f"{name}SPL={tcb[at]:02}" for name, at in parts)
        answers = {f"/vcek/v1/{self.product}/cert_chain": "vcek_chain.pem",
                   f"/vlek/v1/{self.product}/cert_chain": "vlek_chain.pem",
                   f"/vcek/v1/{self.product}/crl": "crl.der",
                   f"/vcek/v1/{self.product}/{chip.hex()}?{query}": "vcek.der"}
        return (self.files[answers[path]], None) if path in answers else None

    def answer(self, handler):
        found = self.content(handler.path)
        self.send(handler, *((404, b"") if found is None else (200, found[0])))

    def garbage(self, handler):
        self.send(handler, 200, b"<html>captive portal</html>")

    def altered(self, handler):
        """The last byte, which is of a signature, or of a chain's last line."""
        body = bytearray(self.content(handler.path)[0])
        body[-1 if body[0] == 0x30 else -60] ^= 1
        self.send(handler, 200, bytes(body))

    def another_chip(self, handler):
        self.send(handler, 200, self.others["vcek.der"])
