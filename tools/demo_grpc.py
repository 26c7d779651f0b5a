#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Both ends of gRPC in Debian's own library: an echo service with one method of each kind, and a client who says one thing.

Messages are bytes as they are, so that nothing needs to be generated.
usage: demo_grpc.py serve ADDRESS                   plain HTTP/2 (127.0.0.1:PORT or unix:PATH), until a signal comes
       demo_grpc.py say TEXT NAME PORT ROOT_PEM     over TLS, with nothing but that root; prints the echo
"""
import concurrent.futures
import sys
import threading

import grpc

SERVICE = "demo.Echo"


def say(text, context):
    """One message for one; what the client said about itself comes back in the trailers."""
    said = dict(context.invocation_metadata())
    context.set_trailing_metadata((("x-said", said.get("x-say", "")), ("x-left", f"{context.time_remaining() or 0:.0f}")))
    if text == b"fail":
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as you wish: 100 %")
    if text == b"wait":
        threading.Event().wait(5)
    return text


def count(text, context):
    """As many messages as the client says."""
    for number in range(int(text)):
        yield b"%d" % number


def join(texts, context):
    return b" ".join(texts)


def chat(texts, context):
    yield from texts


def serve(address):
    kinds = {
        "Say": grpc.unary_unary_rpc_method_handler(say),
        "Count": grpc.unary_stream_rpc_method_handler(count),
        "Join": grpc.stream_unary_rpc_method_handler(join),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
    }
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(64))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, kinds),))
    server.add_insecure_port(address)
    server.start()
    print("serving", flush=True)
    server.wait_for_termination()


def channel_to(name, port, root_pem):
    return grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(root_pem),
                               (("grpc.ssl_target_name_override", name), ("grpc.default_authority", name)))


def say_once(text, name, port, root):
    with open(root, "rb") as file, channel_to(name, port, file.read()) as channel:
        print("the echo over gRPC:", channel.unary_unary(f"/{SERVICE}/Say")(text.encode(), timeout=30).decode())
        answers = channel.stream_stream(f"/{SERVICE}/Chat")(iter([b"both", b"ways", b"at", b"once"]), timeout=30)
        print("and of a stream of messages:", b" ".join(answers).decode())


if __name__ == "__main__":
    {"serve": serve, "say": say_once}[sys.argv[1]](*sys.argv[2:])
