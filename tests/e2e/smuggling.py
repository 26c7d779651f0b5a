#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""What can be read in two ways, sent through our proxy, nginx and HAProxy to services that note every byte.

usage: smuggling.py BIN [--table]     --table prints all rows, not only those in which the three differ

A cell says how many requests arrived ("cut": one that broke off), and what the client was told.

Ours must never hand on more requests, or answers, than were sent, never in a form that could be counted in another way,
and nothing that both others refuse.
"""
import concurrent.futures
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from proxy_e2e import NAME, Proxy, Upstream, can_connect
from rig import end, free_ports, wait_for

QUIET_S = 1.5
SMUGGLED = "GET /{0}/smuggled HTTP/1.1\r\nHost: a.example.test\r\n\r\n"
FORGED = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"


# --- what is sent over HTTP/1.1: {0} is the row's own path, {S} a request that nobody sent, {L} its length ---

def post(fields, body="", path="/{0}"):
    return f"POST {path} HTTP/1.1\r\nHost: {NAME}\r\n{fields}\r\n{body}"


# Of these, what hides is a request by every reading.
TWO = {"two GETs", "CL 00000", "TE named with an underscore", "Upgrade websocket, and more"}
END = "0\r\n\r\n"
HTTP1 = {
    "plain GET": f"GET /{{0}} HTTP/1.1\r\nHost: {NAME}\r\n\r\n",
    "two GETs": f"GET /{{0}} HTTP/1.1\r\nHost: {NAME}\r\n\r\n{{S}}",
    "body is a request": post("Content-Length: {L}\r\n", "{S}"),
    "chunked body is a request": post("Transfer-Encoding: chunked\r\n", "{X}\r\n{S}\r\n" + END),
    "CL.TE": post("Content-Length: {LE}\r\nTransfer-Encoding: chunked\r\n", END + "{S}"),
    "TE.CL": post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "{X}\r\n{S}\r\n" + END),
    "CL 0, TE": post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", END + "{S}"),
    "CL twice, differing": post("Content-Length: 0\r\nContent-Length: {L}\r\n", "{S}"),
    "CL twice, the same": post("Content-Length: 0\r\nContent-Length: 0\r\n", "{S}"),
    "CL as a list": post("Content-Length: 0, {L}\r\n", "{S}"),
    "CL as a list of equals": post("Content-Length: 0, 0\r\n", "{S}"),
    "CL +0": post("Content-Length: +0\r\n", "{S}"),
    "CL -1": post("Content-Length: -1\r\n", "{S}"),
    "CL 0x0": post("Content-Length: 0x0\r\n", "{S}"),
    "CL 1e1": post("Content-Length: 1e1\r\n", "0123456789{S}"),
    "CL 2^64": post("Content-Length: 18446744073709551616\r\n", "{S}"),
    "CL 00000": post("Content-Length: 00000\r\n", "{S}"),
    "CL empty": post("Content-Length:\r\n", "{S}"),
    "CL with a space before the colon": post("Content-Length : {L}\r\n", "{S}"),
    "CL after a bare CR": post("X: y\rContent-Length: {L}\r\n", "{S}"),
    "CL after a bare LF": post("X: y\nContent-Length: {L}\r\n", "{S}"),
    "CL folded": post("X: y\r\n Content-Length: {L}\r\n", "{S}"),
    "CL folded inside": post("Content-Length:\r\n {L}\r\n", "{S}"),
    "CL with a vertical tab": post("Content-Length:\x0b{L}\r\n", "{S}"),
    "TE twice": post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", END + "{S}"),
    "TE twice, identity": post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", END + "{S}"),
    "TE xchunked": post("Transfer-Encoding: xchunked\r\n", END + "{S}"),
    "TE chunked, identity": post("Transfer-Encoding: chunked, identity\r\n", END + "{S}"),
    "TE gzip, chunked": post("Transfer-Encoding: gzip, chunked\r\n", END + "{S}"),
    "TE chunked, chunked": post("Transfer-Encoding: chunked, chunked\r\n", END + "{S}"),
    "TE identity": post("Transfer-Encoding: identity\r\n", "{S}"),
    "TE identity, CL": post("Transfer-Encoding: identity\r\nContent-Length: 0\r\n", "{S}"),
    "TE in quotes": post('Transfer-Encoding: "chunked"\r\n', END + "{S}"),
    "TE with a vertical tab": post("Transfer-Encoding:\x0bchunked\r\n", END + "{S}"),
    "TE with a trailing tab": post("Transfer-Encoding: chunked\t\r\n", END + "{S}"),
    "TE with a space before the colon": post("Transfer-Encoding : chunked\r\n", END + "{S}"),
    "TE folded": post("Transfer-Encoding:\r\n chunked\r\n", END + "{S}"),
    "TE with a NUL": post("Transfer-Encoding: chunked\0\r\n", END + "{S}"),
    "TE in upper case": post("TRANSFER-ENCODING: CHUNKED\r\n", END),
    "TE in HTTP/1.0": f"POST /{{0}} HTTP/1.0\r\nHost: {NAME}\r\nTransfer-Encoding: chunked\r\n\r\n" + END + "{S}",
    "TE named with an underscore": post("Transfer_Encoding: chunked\r\nContent-Length: 0\r\n", "{S}"),
    "chunk extension": post("Transfer-Encoding: chunked\r\n", "1;a=b\r\nx\r\n" + END),
    "chunk extension with a bare LF": post("Transfer-Encoding: chunked\r\n", "1;a\nb\r\nx\r\n" + END + "{S}"),
    "chunk extension with a bare CR": post("Transfer-Encoding: chunked\r\n", "1;a\rb\r\nx\r\n" + END + "{S}"),
    "chunk extension in quotes": post("Transfer-Encoding: chunked\r\n", '1;a="\r\n"\r\nx\r\n' + END + "{S}"),
    "chunk size with a space": post("Transfer-Encoding: chunked\r\n", "0 \r\n\r\n{S}"),
    "chunk size 0x0": post("Transfer-Encoding: chunked\r\n", "0x0\r\n\r\n{S}"),
    "chunk size -0": post("Transfer-Encoding: chunked\r\n", "-0\r\n\r\n{S}"),
    "chunk size 2^64": post("Transfer-Encoding: chunked\r\n", "10000000000000000\r\n{S}"),
    "chunk size 2^64+1": post("Transfer-Encoding: chunked\r\n", "10000000000000001\r\nx\r\n" + END + "{S}"),
    "chunk size empty": post("Transfer-Encoding: chunked\r\n", "\r\n\r\n{S}"),
    "chunk that ends in LF": post("Transfer-Encoding: chunked\r\n", "1\r\nx\n" + END + "{S}"),
    "chunk size that ends in LF": post("Transfer-Encoding: chunked\r\n", "0\n\n{S}"),
    "chunk without its end": post("Transfer-Encoding: chunked\r\n", "1\r\nxy\r\n" + END + "{S}"),
    "trailer CL": post("Transfer-Encoding: chunked\r\n", "0\r\nContent-Length: {L}\r\n\r\n"),
    "trailer folded": post("Transfer-Encoding: chunked\r\n", "0\r\nX: y\r\n z\r\n\r\n{S}"),
    "head in bare LFs": f"GET /{{0}} HTTP/1.1\nHost: {NAME}\n\n",
    "field with a NUL": post("X: a\0b\r\nContent-Length: 0\r\n"),
    "field without a colon": post("nothing\r\nContent-Length: 0\r\n"),
    "field without a name": post(": x\r\nContent-Length: 0\r\n"),
    "field with a control character": post("X: a\x01b\r\nContent-Length: 0\r\n"),
    "name with a space": post("X Y: z\r\nContent-Length: 0\r\n"),
    "first field folded": f"GET /{{0}} HTTP/1.1\r\n X: y\r\nHost: {NAME}\r\n\r\n",
    "no Host": "GET /{0} HTTP/1.1\r\n\r\n",
    "Host twice": f"GET /{{0}} HTTP/1.1\r\nHost: {NAME}\r\nHost: other\r\n\r\n",
    "Host twice, the same": f"GET /{{0}} HTTP/1.1\r\nHost: {NAME}\r\nHost: {NAME}\r\n\r\n",
    "Host of another": "GET /{0} HTTP/1.1\r\nHost: other.example.test\r\n\r\n",
    "Host with a path": f"GET /{{0}} HTTP/1.1\r\nHost: {NAME}/x\r\n\r\n",
    "absolute form": f"GET https://{NAME}/{{0}} HTTP/1.1\r\nHost: {NAME}\r\n\r\n",
    "absolute form of another": f"GET http://other/{{0}} HTTP/1.1\r\nHost: {NAME}\r\n\r\n",
    "absolute form, other Host": f"GET https://{NAME}/{{0}} HTTP/1.1\r\nHost: other\r\n\r\n",
    "absolute form with user": f"GET https://{NAME}@other/{{0}} HTTP/1.1\r\nHost: {NAME}\r\n\r\n",
    "space in the target": f"GET /{{0}} /x HTTP/1.1\r\nHost: {NAME}\r\n\r\n",
    "tab for a space": f"GET\t/{{0}}\tHTTP/1.1\r\nHost: {NAME}\r\n\r\n",
    "two spaces": f"GET  /{{0}}  HTTP/1.1\r\nHost: {NAME}\r\n\r\n",
    "space at the end": f"GET /{{0}} HTTP/1.1 \r\nHost: {NAME}\r\n\r\n",
    "NUL in the target": f"GET /{{0}}\0 HTTP/1.1\r\nHost: {NAME}\r\n\r\n",
    "fragment in the target": f"GET /{{0}}#x HTTP/1.1\r\nHost: {NAME}\r\n\r\n",
    "HTTP/1.2": f"GET /{{0}} HTTP/1.2\r\nHost: {NAME}\r\n\r\n",
    "HTTP/2.0": f"GET /{{0}} HTTP/2.0\r\nHost: {NAME}\r\n\r\n",
    "HTTP/0.9": "GET /{0}\r\n\r\n",
    "method in lower case": f"get /{{0}} HTTP/1.1\r\nHost: {NAME}\r\n\r\n",
    "empty lines before": f"\r\n\r\nGET /{{0}} HTTP/1.1\r\nHost: {NAME}\r\n\r\n",
    "GET with a body": f"GET /{{0}} HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {{L}}\r\n\r\n{{S}}",
    "CONNECT": f"CONNECT /{{0}} HTTP/1.1\r\nHost: {NAME}\r\n\r\n{{S}}",
    "Connection names CL": post("Connection: content-length\r\nContent-Length: {L}\r\n", "{S}"),
    "Connection names Host": f"GET /{{0}} HTTP/1.1\r\nHost: {NAME}\r\nConnection: host\r\n\r\n",
    "Upgrade h2c": f"GET /{{0}} HTTP/1.1\r\nHost: {NAME}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                   "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n",
    "Upgrade websocket, and more": f"GET /{{0}} HTTP/1.1\r\nHost: {NAME}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                   "Sec-WebSocket-Version: 777\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n{S}",
    "Expect 100": post("Expect: 100-continue\r\nContent-Length: {L}\r\n", "{S}"),
    "Expect 200": post("Expect: 200-maybe\r\nContent-Length: {L}\r\n", "{S}"),
}


# --- what is sent over HTTP/2: fields as they are encoded, then DATA ---

def fields(*more, method=b"GET", path=b"/{0}", authority=NAME.encode()):
    return [(b":method", method), (b":scheme", b"https"), (b":path", path), (b":authority", authority), *more]


def body(*more):
    return fields(*more, method=b"POST")


CRLF = b"x\r\n\r\n{S}"
HTTP2 = {
    "plain GET": (fields(), None, None),
    "body is a request": (body(), b"{S}", None),
    "CRLF in a value": (fields((b"x", CRLF)), None, None),
    "LF in a value": (fields((b"x", b"y\nx-injected: 1")), None, None),
    "CR in a value": (fields((b"x", b"y\rx-injected: 1")), None, None),
    "NUL in a value": (fields((b"x", b"y\0")), None, None),
    "space around a value": (fields((b"x", b" y ")), None, None),
    "CRLF in a name": (fields((b"x: y\r\nx-injected", b"1")), None, None),
    "colon in a name": (fields((b"transfer-encoding: chunked\r\nx", b"1")), None, None),
    "upper case in a name": (fields((b"X-Upper", b"1")), None, None),
    "space in a name": (fields((b"x y", b"1")), None, None),
    "no name": (fields((b"", b"1")), None, None),
    "CRLF in :path": (fields(path=b"/{0} HTTP/1.1\r\nHost: a\r\n\r\n{S}"), None, None),
    "space in :path": (fields(path=b"/{0} HTTP/1.1"), None, None),
    "LF in :path": (fields(path=b"/{0}\nx"), None, None),
    "no slash in :path": (fields(path=b"{0}"), None, None),
    "absolute :path": (fields(path=b"http://other/{0}"), None, None),
    ":path empty": (fields((b"x-row", b"/{0}"), path=b""), None, None),
    ":path *": (fields((b"x-row", b"/{0}"), path=b"*"), None, None),
    "fragment in :path": (fields(path=b"/{0}#x"), None, None),
    "CRLF in :method": (fields(method=b"GET /{0} HTTP/1.1\r\nHost: a\r\n\r\n{S}"), None, None),
    "space in :method": (fields(method=b"GET /{0}"), None, None),
    ":method CONNECT": (fields(method=b"CONNECT"), None, None),
    "CRLF in :authority": (fields(authority=NAME.encode() + b"\r\nx-injected: 1"), None, None),
    ":authority of another": (fields(authority=b"other.example.test"), None, None),
    ":authority with user": (fields(authority=b"other@" + NAME.encode()), None, None),
    "CRLF in :scheme": ([(b":method", b"GET"), (b":scheme", b"https\r\nx: y"), (b":path", b"/{0}"),
                         (b":authority", NAME.encode())], None, None),
    ":scheme with a path": ([(b":method", b"GET"), (b":scheme", b"https://other/{0}?"), (b":path", b"/{0}"),
                             (b":authority", NAME.encode())], None, None),
    "host of another": (fields((b"host", b"other.example.test")), None, None),
    "host alone": ([(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/{0}"), (b"host", NAME.encode())], None, None),
    "host twice": (fields((b"host", NAME.encode()), (b"host", b"other")), None, None),
    ":path twice": (fields((b":path", b"/{0}/smuggled")), None, None),
    ":method twice": (fields((b":method", b"POST")), None, None),
    ":authority twice": (fields((b":authority", b"other")), None, None),
    "pseudo-header after others": ([(b":method", b"GET"), (b":scheme", b"https"), (b"x", b"y"), (b":path", b"/{0}"),
                                    (b":authority", NAME.encode())], None, None),
    "unknown pseudo-header": ([(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/{0}"), (b":x", b"y"),
                               (b":authority", NAME.encode())], None, None),
    ":status in a request": ([(b":status", b"200"), *fields()], None, None),
    "no :method": ([(b":scheme", b"https"), (b":path", b"/{0}"), (b":authority", NAME.encode())], None, None),
    "no :scheme": ([(b":method", b"GET"), (b":path", b"/{0}"), (b":authority", NAME.encode())], None, None),
    ":protocol unasked": (fields((b":protocol", b"websocket")), None, None),
    "connection": (fields((b"connection", b"keep-alive")), None, None),
    "connection names a field": (fields((b"connection", b"x"), (b"x", b"y")), None, None),
    "keep-alive": (fields((b"keep-alive", b"1")), None, None),
    "proxy-connection": (fields((b"proxy-connection", b"keep-alive")), None, None),
    "upgrade": (fields((b"upgrade", b"h2c")), None, None),
    "te trailers": (fields((b"te", b"trailers")), None, None),
    "te gzip": (fields((b"te", b"gzip")), None, None),
    "transfer-encoding chunked": (body((b"transfer-encoding", b"chunked")), b"0\r\n\r\n{S}", None),
    "transfer-encoding identity": (body((b"transfer-encoding", b"identity")), b"{S}", None),
    "transfer_encoding": (body((b"transfer_encoding", b"chunked")), b"0\r\n\r\n{S}", None),
    "CL 0 with DATA": (body((b"content-length", b"0")), b"{S}", None),
    "CL more than DATA": (body((b"content-length", b"500")), b"{S}", None),
    "CL less than DATA": (body((b"content-length", b"1")), b"x{S}", None),
    "CL twice, differing": (body((b"content-length", b"0"), (b"content-length", b"{L}")), b"{S}", None),
    "CL twice, the same": (body((b"content-length", b"{L}"), (b"content-length", b"{L}")), b"{S}", None),
    "CL as a list": (body((b"content-length", b"{L}, {L}")), b"{S}", None),
    "CL +": (body((b"content-length", b"+{L}")), b"{S}", None),
    "CL with no DATA": (fields((b"content-length", b"5")), None, None),
    "trailers": (body(), b"x", [(b"x-trailer", b"1")]),
    "trailer :path": (body(), b"x", [(b":path", b"/{0}/smuggled")]),
    "trailer CL": (body(), b"x", [(b"content-length", b"0")]),
    "trailer transfer-encoding": (body(), b"x", [(b"transfer-encoding", b"chunked")]),
    "trailer with CRLF": (body(), b"x", [(b"x", b"y\r\n\r\n{S}")]),
    "trailer host": (body(), b"x", [(b"host", b"other")]),
}

# --- what a service answers; another answer hides in each ---
RESPONSES = {
    "plain": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "more than CL": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + FORGED,
    "more than chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + FORGED,
    "CL and TE": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (5 + len(FORGED)) + FORGED,
    "CL twice": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(FORGED) + FORGED,
    "CL as a list": b"HTTP/1.1 200 OK\r\nContent-Length: 0, 5\r\n\r\n" + FORGED,
    "CL -1": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + FORGED,
    "TE twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + FORGED,
    "TE xchunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + FORGED,
    "TE with a NUL": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n" + FORGED,
    "TE in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + FORGED,
    "folded": b"HTTP/1.1 200 OK\r\nX: y\r\n Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + FORGED,
    "bare CR": b"HTTP/1.1 200 OK\r\nX: y\rSet-Cookie: forged=1\r\nContent-Length: 0\r\n\r\n" + FORGED,
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n" + FORGED,
    "NUL in a value": b"HTTP/1.1 200 OK\r\nX: y\0z\r\nContent-Length: 0\r\n\r\n" + FORGED,
    "chunk size with LF": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\n\n" + FORGED,
    "chunk size 2^64": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n" + FORGED,
    "204 with a body": b"HTTP/1.1 204 No Content\r\nContent-Length: %d\r\n\r\n" % len(FORGED) + FORGED,
    "304 with a body": b"HTTP/1.1 304 Not Modified\r\nContent-Length: %d\r\n\r\n" % len(FORGED) + FORGED,
    "101 unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + FORGED,
    "100, then 200": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + FORGED,
    "100 with CL": b"HTTP/1.1 100 Continue\r\nContent-Length: %d\r\n\r\n" % len(FORGED) + FORGED,
    "many 100s": b"HTTP/1.1 100 Continue\r\n\r\n" * 200 + FORGED,
    "status 2000": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n" + FORGED,
    "status 20": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n" + FORGED,
    "HTTP/9.9": b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n" + FORGED,
    "no status line": b"Content-Length: 0\r\n\r\n" + FORGED,
}


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def hpack(block):
    """Literal fields, never indexed, as they are: RFC 7541 6.2.3."""
    def text(data):
        size = len(data)
        if size < 127:
            return bytes([size]) + data
        out, size = b"\x7f", size - 127
        while size > 127:
            out, size = out + bytes([size & 0x7f | 0x80]), size >> 7
        return out + bytes([size]) + data
    return b"".join(b"\x10" + text(name) + text(value) for name, value in block)


def filled(data, row):
    """A row with its own path, the request that hides in it, and lengths."""
    is_text = isinstance(data, str)
    data = data.encode("latin-1") if is_text else data
    hidden = SMUGGLED.format(row).encode()
    for mark, value in ((b"{S}", hidden), (b"{LE}", b"%d" % (len(hidden) + 5)), (b"{L}", b"%d" % len(hidden)),
                        (b"{X}", b"%x" % len(hidden)), (b"{0}", row.encode())):
        data = data.replace(mark, value)
    return data


class Recorder:
    """Reads requests strictly, notes every head, answers each; what it cannot read is noted as such."""

    def __init__(self):
        self.lock, self.heads, self.begun, self.unreadable = threading.Lock(), [], [], []
        self.upstream = Upstream(self.serve)
        self.port = self.upstream.port

    def serve(self, _, connection):
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                piece = connection.recv(65536)
                if not piece:
                    return self.note(self.unreadable, buffer) if buffer else None
                buffer += piece
            head, buffer = buffer.split(b"\r\n\r\n", 1)
            row = re.search(rb"/r(\d+) ", head)
            if row:
                self.note(self.heads, head)
                connection.sendall(list(RESPONSES.values())[int(row.group(1))])
                continue
            try:
                buffer = self.skip_body(head, buffer, connection)
            except OSError:
                return self.note(self.begun, head)
            if buffer is None:
                return self.note(self.unreadable, head)
            self.note(self.heads, head)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ngenuine")

    def note(self, where, data):
        with self.lock:
            where.append(data)

    @staticmethod
    def skip_body(head, buffer, connection):
        """What follows the body; nothing if its end cannot be told."""
        def more():
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionError
            return piece
        framing = [line.lower() for line in head.split(b"\r\n")[1:]
                   if line.lower().startswith((b"content-length:", b"transfer-encoding:"))]
        if not framing:
            return buffer
        name, value = framing[0].split(b":", 1)
        if len(framing) > 1 or not re.fullmatch(rb" ?(\d+|chunked)", value):
            return None
        if name == b"content-length":
            while len(buffer) < int(value):
                buffer += more()
            return buffer[int(value):]
        while True:
            while b"\r\n" not in buffer:
                buffer += more()
            size, buffer = buffer.split(b"\r\n", 1)
            if not re.fullmatch(rb"[0-9a-fA-F]{1,15}", size.split(b";")[0]):
                return None
            size = int(size.split(b";")[0], 16)
            while len(buffer) < size + 2:
                buffer += more()
            if size == 0:
                while not (buffer.startswith(b"\r\n") or b"\r\n\r\n" in buffer):
                    buffer += more()
                return buffer[2:] if buffer.startswith(b"\r\n") else buffer.split(b"\r\n\r\n", 1)[1]
            if buffer[size:size + 2] != b"\r\n":
                return None
            buffer = buffer[size + 2:]


def of_row(heads, row):
    return [head for head in heads if re.search(rb"/%s(?![0-9a-z])" % row.encode(), head)]


class Peer:
    """A proxy, and the service behind it."""

    def __init__(self, name, port, recorder, stop):
        self.name, self.port, self.recorder, self.stop = name, port, recorder, stop

    def connect(self, protocol):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols([protocol])
        plain = socket.create_connection(("127.0.0.1", self.port), 120)
        connection = context.wrap_socket(plain, server_hostname=NAME)
        assert connection.selected_alpn_protocol() == protocol, (self.name, connection.selected_alpn_protocol())
        return connection

    def send(self, protocol, data, is_done=lambda data: False):
        """Everything that comes until it is done, ends, or is quiet for a while."""
        out = b""
        with self.connect(protocol) as connection:
            try:
                connection.sendall(data)
                connection.settimeout(QUIET_S)
                while piece := connection.recv(65536):
                    out += piece
                    if is_done(out):
                        break
            except (OSError, ssl.SSLError):
                pass
        return out

    def http1(self, row, seed):
        answer = self.send("http/1.1", filled(seed, row))
        return ",".join(code.decode() for code in re.findall(rb"HTTP/1\.[01] (\d{3})", answer)) or "closed"

    def http2(self, row, seed):
        block, data, trailers = seed
        encode = lambda some: hpack([(filled(n, row), filled(v, row)) for n, v in some])
        out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
        out += frame(1, 4 if data is not None else 5, 1, encode(block))
        if data is not None:
            out += frame(0, 0 if trailers else 1, 1, filled(data, row))
        if trailers:
            out += frame(1, 5, 1, encode(trailers))
        return describe_frames(self.send("h2", out, lambda got: ends_stream(got)))

    def answers(self, row):
        """What came of a strange answer, and of the next request on that connection."""
        def get(path):
            return f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()
        with self.connect("http/1.1") as connection:
            connection.sendall(get(f"/r{row}"))
            first = read_until_quiet(connection)
            second = b""
            try:
                connection.sendall(get("/next"))
                second = read_until_quiet(connection)
            except OSError:
                pass
        # What is behind the first answer's own end came unasked.
        forged = b"forged" in second or b"200 OK\r\nContent-Length: 6\r\n\r\nforged" in first and first.count(b"HTTP/1.") > 1
        if b"forged=1" in first and b"\nSet-Cookie" in first.replace(b"\r", b"\n"):
            forged = True
        status = re.match(rb"HTTP/1\.\d (\d{3})", first)
        then = "forged" if forged else "genuine" if second.endswith(b"genuine") else "closed"
        return (status.group(1).decode() if status else "closed") + ", next " + then


def read_until_quiet(connection):
    """What comes, until nothing has come for a while after the first bytes."""
    out = b""
    connection.settimeout(120)
    try:
        while piece := connection.recv(65536):
            out += piece
            connection.settimeout(QUIET_S)
            if is_whole(out):
                break
    except (OSError, ssl.SSLError):
        pass
    return out


def is_whole(data):
    """An answer with Content-Length, of which all is there, and a moment for what comes behind it."""
    head, _, rest = data.partition(b"\r\n\r\n")
    size = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return size is not None and len(rest) == int(size.group(1)) and b"forged" not in data


def frames_of(data):
    at = 0
    while at + 9 <= len(data):
        size = int.from_bytes(data[at:at + 3], "big")
        if at + 9 + size > len(data):
            return
        yield data[at + 3], data[at + 4], int.from_bytes(data[at + 5:at + 9], "big"), data[at + 9:at + 9 + size]
        at += 9 + size


def ends_stream(data):
    return any(kind in (3, 7) or stream == 1 and kind in (0, 1) and flags & 1 for kind, flags, stream, _ in frames_of(data))


def describe_frames(data):
    out = []
    for kind, _, stream, payload in frames_of(data):
        if kind == 1 and stream == 1:
            known = {0x88: "200", 0x89: "204", 0x8c: "400", 0x8d: "404", 0x8e: "500"}
            out.append(known.get(payload[0] if payload else 0, "other status"))
        elif kind == 3:
            out.append(f"reset {int.from_bytes(payload[:4], 'big')}")
        elif kind == 7 and payload[4:8] != bytes(4):
            out.append(f"goaway {int.from_bytes(payload[4:8], 'big')}")
    return ",".join(out) or "closed"


def ours(bin_folder, work):
    recorder = Recorder()
    proxy = Proxy(bin_folder, work, [(NAME, recorder.port, "      response_timeout_s: 5\n")])
    return Peer("ours", proxy.port, recorder, proxy.stop)


def certificate(work):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", work / "key.pem",
                    "-out", work / "cert.pem"], check=True, capture_output=True)
    (work / "both.pem").write_bytes((work / "cert.pem").read_bytes() + (work / "key.pem").read_bytes())


def start(name, work, port, *command):
    log = open(work / f"{name}.log", "wb")
    process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)
    wait_for(name, lambda: can_connect(port))
    return lambda: end(process)


def nginx(work):
    recorder = Recorder()
    port, = free_ports(1)
    folders = "".join(f"{kind}_temp_path {work}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (work / "nginx.conf").write_text(
        f"{'user root; ' if os.geteuid() == 0 else ''}daemon off; worker_processes 1; pid {work}/nginx.pid;\n"
        f"events {{ worker_connections 1024; }}\nhttp {{ access_log off; {folders}\n"
        f"upstream up {{ server 127.0.0.1:{recorder.port}; keepalive 8; }}\n"
        f"server {{ listen 127.0.0.1:{port} ssl http2; server_name {NAME}; ssl_certificate {work}/cert.pem;\n"
        f"ssl_certificate_key {work}/key.pem; location / {{ proxy_http_version 1.1; proxy_set_header Connection \"\";\n"
        f"proxy_set_header Host $http_host; proxy_request_buffering off; proxy_pass http://up; }} }} }}\n")
    return Peer("nginx", port, recorder, start("nginx", work, port, "nginx", "-e", work / "nginx.err", "-c", work / "nginx.conf"))


def haproxy(work):
    recorder = Recorder()
    port, = free_ports(1)
    (work / "haproxy.cfg").write_text(
        "defaults\n mode http\n timeout connect 5s\n timeout client 10s\n timeout server 10s\n"
        f"frontend f\n bind 127.0.0.1:{port} ssl crt {work}/both.pem alpn h2,http/1.1\n default_backend b\n"
        f"backend b\n server s 127.0.0.1:{recorder.port}\n")
    return Peer("haproxy", port, recorder, start("haproxy", work, port, "haproxy", "-db", "-f", work / "haproxy.cfg"))


def check_form(head):
    """What our proxy writes can be read in one way."""
    lines = head.split(b"\r\n")
    assert not re.search(rb"[\0\r\n]", b"".join(lines)), head
    assert re.fullmatch(rb"[A-Z]+ /[!-~]* HTTP/1\.1", lines[0]), head
    names = [line.split(b":", 1)[0].lower() for line in lines[1:]]
    assert all(re.fullmatch(rb"[a-z0-9-]+", name) for name in names), head
    framing = [name for name in names if name in (b"content-length", b"transfer-encoding")]
    assert len(framing) <= 1 and names.count(b"host") == 1, head
    assert re.search(rb"(?mi)^host: a\.example\.test(:\d+)?\r?$", head), head


class Table:
    def __init__(self, peers):
        self.peers, self.rows, self.wrong = peers, [], []

    def add(self, kind, seeds, run):
        """Runs every seed through every peer, a few at a time."""
        jobs = [(peer, f"{kind}{index}", name, seed) for peer in self.peers for index, (name, seed) in enumerate(seeds.items())]
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            said = list(pool.map(lambda job: run(job[0], job[1], job[3]), jobs))
        by_row = {}
        for (peer, row, name, _), answer in zip(jobs, said):
            by_row.setdefault((row, name), {})[peer.name] = (peer, answer)
        for (row, name), answers in by_row.items():
            self.compare(kind, row, name, answers)

    def compare(self, kind, row, name, answers):
        counts, cells = {}, {}
        for peer_name, (peer, _) in answers.items():
            recorder = peer.recorder
            heads = of_row(recorder.heads, row) + of_row(recorder.unreadable, row)
            begun = of_row(recorder.begun, row)
            counts[peer_name] = (len(heads), sum(b"/smuggled" in head.split(b"\r\n")[0] for head in heads + begun))
            cells[peer_name] = str(len(heads)) if heads else "cut" if begun else "-"
        mine, smuggled = counts["ours"]
        is_two = kind == "a" and name in TWO
        if is_two != (smuggled == 1) or mine > 1 + is_two:
            self.wrong.append((kind, name, counts))
        others = [count for peer, (count, _) in counts.items() if peer != "ours"]
        if mine > 0 and len(others) == 2 and max(others) == 0:
            self.wrong.append((kind, name, "both others refuse it", counts))
        self.rows.append((kind, name, {peer: f"{cells[peer]:3} {answer[1]}" for peer, answer in answers.items()}))

    def print(self, is_whole_table):
        names = [peer.name for peer in self.peers]
        print(f"{'':4}{'what is sent':36}" + "".join(f"{name:26}" for name in names))
        for kind, what, cells in self.rows:
            differs = len({cell.split()[0] for cell in cells.values()}) > 1
            if differs or is_whole_table:
                print(f"{kind:4}{what:36}" + "".join(f"{cells.get(name, ''):26}" for name in names))


def main():
    bin_folder = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="smuggling-") as folder:
        work = Path(folder)
        certificate(work)
        began = time.monotonic()
        peers = [ours(bin_folder, work)]
        try:
            for name, make in (("nginx", nginx), ("haproxy", haproxy)):
                if shutil.which(name) or Path(f"/usr/sbin/{name}").exists():
                    peers.append(make(work))
                else:
                    print(f"without {name}, which is not installed")
            table = Table(peers)
            table.add("a", HTTP1, lambda peer, row, seed: peer.http1(row, seed))
            table.add("b", HTTP2, lambda peer, row, seed: peer.http2(row, seed))
            for head in peers[0].recorder.heads + peers[0].recorder.begun:
                check_form(head)
            assert not peers[0].recorder.unreadable, peers[0].recorder.unreadable
            with concurrent.futures.ThreadPoolExecutor(24) as pool:
                said = {peer.name: list(pool.map(peer.answers, range(len(RESPONSES)))) for peer in peers}
            for index, name in enumerate(RESPONSES):
                table.rows.append(("c", name, {peer: answers[index] for peer, answers in said.items()}))
                if "forged" in said["ours"][index]:
                    table.wrong.append(("c", name, said["ours"][index]))
            assert said["ours"][0] == "200, next genuine" and said["ours"][1] == "200, next genuine", said["ours"][:2]
            table.print("--table" in sys.argv)
        finally:
            for peer in peers:
                peer.stop()
        for row in table.wrong:
            print("WRONG", row)
        print(f"{len(table.rows)} rows, {len(table.wrong)} wrong ({time.monotonic() - began:.1f} s)")
        sys.exit(1 if table.wrong else 0)


if __name__ == "__main__":
    main()
