#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Holds one connection open across a change of what it was shown, and checks that it is never answered by the new code.

usage: demo_held_connection.py NAME PORT ROOT_PEM STATE_PREFIX   (writes STATE_PREFIX.ready once it has its first answer)
"""
import pathlib
import socket
import ssl
import sys


def main():
    name, port, root, prefix = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    context = ssl.create_default_context(cafile=root)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        with context.wrap_socket(plain, server_hostname=name) as channel:
            request = f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode()
            channel.sendall(request)
            if not channel.recv(65536).startswith(b"HTTP/1.1 200"):
                sys.exit("the first request was not answered")
            pathlib.Path(prefix + ".ready").touch()
            # The server closes the idle connection when what it was shown changes.
            while True:
                data = channel.recv(65536)
                if not data:
                    break
                if data.startswith(b"HTTP/"):
                    sys.exit("a second answer came without a request")
            try:
                channel.sendall(request)
                if channel.recv(65536):
                    sys.exit("a connection was answered under a proof that it was not shown")
            except OSError:
                pass


if __name__ == "__main__":
    main()
