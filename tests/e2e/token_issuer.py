# SPDX-License-Identifier: AGPL-3.0-only
"""An identity provider of the test's own: keys and tokens by openssl, discovery over HTTPS on loopback."""
import base64
import http.server
import json
import ssl
import subprocess
import threading
import time


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *map(str, arguments)], input=data, check=True,
                          capture_output=True).stdout


def make_key(path, kind):
    options = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if kind == "RSA" else \
        ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    openssl("genpkey", *options, "-out", path)
    path.chmod(0o600)
    return path


def make_certificate(folder, name):
    """A self-signed certificate of 127.0.0.1 and localhost: (certificate, key)."""
    key = make_key(folder / f"{name}.key", "EC")
    certificate = folder / f"{name}.pem"
    openssl("req", "-x509", "-new", "-key", key, "-subj", f"/CN={name}", "-days", "3650", "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", certificate)
    return certificate, key


def raw_signature(der):
    """r and s of an Ecdsa-Sig-Value, 32 bytes each."""
    def number(at):
        size = der[at + 1]
        return der[at + 2:at + 2 + size].lstrip(b"\0").rjust(32, b"\0"), at + 2 + size
    r, at = number(2)
    s, _ = number(at)
    return r + s


def der_signature(raw):
    def number(value):
        value = value.lstrip(b"\0") or b"\0"
        value = b"\0" + value if value[0] & 0x80 else value
        return b"\x02" + bytes([len(value)]) + value
    body = number(raw[:32]) + number(raw[32:])
    return b"\x30" + bytes([len(body)]) + body


class Key:
    """One signing key of an issuer."""

    def __init__(self, folder, kid, kind):
        self.kid, self.kind = kid, kind
        self.path = make_key(folder / f"issuer-{kid}.key", kind)

    def jwk(self):
        base = {"kid": self.kid, "use": "sig"}
        if self.kind == "RSA":
            modulus = openssl("rsa", "-in", self.path, "-modulus", "-noout").split(b"=")[1].strip()
            return base | {"kty": "RSA", "alg": "RS256", "e": "AQAB", "n": b64url(bytes.fromhex(modulus.decode()))}
        point = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")[-64:]
        return base | {"kty": "EC", "crv": "P-256", "alg": "ES256", "x": b64url(point[:32]), "y": b64url(point[32:])}

    def sign(self, text):
        signature = openssl("dgst", "-sha256", "-sign", self.path, data=text)
        return signature if self.kind == "RSA" else raw_signature(signature)


class Issuer:
    """Makes tokens; serves its keys if asked to."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.keys = [Key(folder, f"{name}-rsa", "RSA"), Key(folder, f"{name}-ec", "EC")]
        self.url, self.key_fetches, self.server = f"https://{name}.example.test", 0, None

    def key_set(self):
        return {"keys": [key.jwk() for key in self.keys]}

    def token(self, key=0, header=None, signed_by=None, now=None, **changes):
        """A good token, but for what is changed; a claim that is None is left out."""
        now = int(now or time.time())
        claims = {"iss": self.url, "sub": "alice", "aud": ["attestation-server"], "iat": now - 5,
                  "exp": now + 300, "roles": ["attestation-server:client"]} | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        with_key = self.keys[key]
        head = {"alg": "RS256" if with_key.kind == "RSA" else "ES256", "kid": with_key.kid, "typ": "JWT"}
        text = ".".join(b64url(json.dumps(part).encode()) for part in (head | (header or {}), claims))
        signature = (signed_by or with_key).sign(text.encode())
        return f"{text}.{b64url(signature)}"

    def serve(self):
        """Discovery and keys on loopback."""
        issuer = self
        certificate, key = make_certificate(self.folder, f"{self.name}-web")

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path == "/.well-known/openid-configuration":
                    body = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
                elif self.path == "/keys":
                    issuer.key_fetches += 1
                    body = issuer.key_set()
                else:
                    return self.send_error(404)
                data = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}"
        self.ca_file = certificate
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
