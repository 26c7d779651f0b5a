#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Both ends of a WebSocket (RFC 6455), small enough to read: an echo service, and a client who says one thing.

usage: demo_websocket.py serve PORT                    plain HTTP on 127.0.0.1, until a signal comes
       demo_websocket.py say TEXT NAME PORT ROOT_PEM   over TLS; prints the echo
"""
import base64
import hashlib
import os
import socket
import ssl
import sys
import threading

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def read_exactly(channel, size):
    data = b""
    while len(data) < size:
        piece = channel.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def read_head(channel):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += read_exactly(channel, 1)
    return head.decode("latin-1")


def field(head, name):
    return next(line.split(":", 1)[1].strip() for line in head.split("\r\n") if line.lower().startswith(name + ":"))


def read_message(channel):
    """One text frame of less than 126 bytes."""
    first, size = read_exactly(channel, 2)
    if first != 0x81:
        raise EOFError
    mask = read_exactly(channel, 4) if size & 0x80 else bytes(4)
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(read_exactly(channel, size & 0x7f)))


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + MAGIC).digest()).decode()


def echo(channel):
    with channel:
        try:
            head = read_head(channel)
            channel.sendall(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Accept: {accept_of(field(head, 'sec-websocket-key'))}\r\n\r\n").encode())
            while True:
                text = read_message(channel)
                channel.sendall(bytes([0x81, len(text)]) + text)
        except (EOFError, OSError, StopIteration):
            pass


def serve(port):
    with socket.create_server(("127.0.0.1", int(port))) as listener:
        while True:
            threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()


def say(text, name, port, root):
    key = base64.b64encode(os.urandom(16)).decode()
    context = ssl.create_default_context(cafile=root)
    with socket.create_connection(("127.0.0.1", int(port)), timeout=30) as plain:
        with context.wrap_socket(plain, server_hostname=name) as channel:
            channel.sendall((f"GET /chat HTTP/1.1\r\nHost: {name}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
            head = read_head(channel)
            if " 101 " not in head.split("\r\n")[0] or field(head, "sec-websocket-accept") != accept_of(key):
                sys.exit("no WebSocket: " + head.split("\r\n")[0])
            mask, data = os.urandom(4), text.encode()
            channel.sendall(bytes([0x81, 0x80 | len(data)]) + mask +
                            bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)))
            print("the echo over the WebSocket:", read_message(channel).decode())


if __name__ == "__main__":
    {"serve": serve, "say": say}[sys.argv[1]](*sys.argv[2:])
