# SPDX-License-Identifier: AGPL-3.0-only
"""Verifies hardware evidence, certificates that carry it, and servers, by a written policy.

A thin layer over libenclaveos_verify.so.1 (client/bindings/c/enclaveos_verify.h says what everything means); nothing
is built. The library is found by the loader, or by the path in ENCLAVEOS_VERIFY_LIBRARY.
"""
import ctypes
import http.client
import io
import json
import os
import threading
import time as clock
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint16, c_uint32, c_void_p

ABI_VERSION = 1
ACCEPTED, ACCEPTED_EMULATED = 0, 10
NOT_GENUINE, NOT_BOUND, NOT_ACCEPTABLE, INCOMPLETE, OLD_STATE = 20, 21, 22, 23, 24
# What evidence must be bound to: this connection; this handshake; the server's key and a minute of the last day.
MODES = {"v2-challenge": 2, "v1-challenge": 0, "v1-deterministic": 1}
# When a server is asked for the collateral that it staples: where none was given; always; never.
STAPLED = {None: 1, True: 2, False: 0}
E_ARGUMENT, E_INPUT, E_CONNECTION, E_TIMEOUT, E_INTERNAL = -1, -2, -3, -4, -5


class _Binding(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("form", c_int32), ("reserved", c_int32), ("not_before", c_int64)] + [
        field for name in ("report_data", "spki", "nonce", "binder")
        for field in ((name, c_char_p), (f"{name}_size", c_size_t))]


class _Handshake(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("nonce", c_char_p), ("nonce_size", c_size_t), ("binder", c_char_p),
                ("binder_size", c_size_t)]


class _Endpoint(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("host", c_char_p), ("server_name", c_char_p), ("port", c_uint16),
                ("mode", c_uint16), ("timeout_ms", c_uint32)]


_OUT, _INPUT = POINTER(c_void_p), [c_char_p, c_size_t]
_FUNCTIONS = {
    "eos_verify_abi_version": (c_uint32, []),
    "eos_error_code": (c_char_p, [c_void_p]),
    "eos_error_message": (c_char_p, [c_void_p]),
    "eos_error_destroy": (None, [c_void_p]),
    "eos_verifier_create": (c_int, [*_INPUT, _OUT, _OUT]),
    "eos_verifier_set_collateral": (c_int, [c_void_p, *_INPUT, _OUT]),
    "eos_verifier_set_anchors": (c_int, [c_void_p, *_INPUT, _OUT]),
    "eos_verifier_set_client": (c_int, [c_void_p, *_INPUT, *_INPUT, _OUT]),
    "eos_verifier_set_memory": (c_int, [c_void_p, c_char_p, _OUT]),
    "eos_verifier_set_stapled": (c_int, [c_void_p, c_int, _OUT]),
    "eos_verifier_destroy": (None, [c_void_p]),
    "eos_verdict_summary": (c_char_p, [c_void_p]),
    "eos_verdict_text": (c_char_p, [c_void_p]),
    "eos_verdict_json": (c_char_p, [c_void_p]),
    "eos_verdict_status": (c_int, [c_void_p]),
    "eos_verdict_destroy": (None, [c_void_p]),
    "eos_verify_evidence": (c_int, [c_void_p, *_INPUT, POINTER(_Binding), c_int64, _OUT, _OUT]),
    "eos_verify_certificate": (c_int, [c_void_p, *_INPUT, c_char_p, POINTER(_Handshake), c_int64, _OUT, _OUT]),
    "eos_verify_foreign_certificate": (c_int, [c_void_p, *_INPUT, c_char_p, *_INPUT, c_int64, _OUT, _OUT]),
    "eos_connect": (c_int, [c_void_p, POINTER(_Endpoint), c_int64, _OUT, _OUT, _OUT]),
    "eos_connection_read": (c_int, [c_void_p, c_void_p, c_size_t, POINTER(c_size_t), c_uint32, _OUT]),
    "eos_connection_write": (c_int, [c_void_p, *_INPUT, c_uint32, _OUT]),
    "eos_connection_certificate": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "eos_connection_close": (None, [c_void_p]),
}


def _load():
    library = ctypes.CDLL(os.environ.get("ENCLAVEOS_VERIFY_LIBRARY", "libenclaveos_verify.so.1"))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    if library.eos_verify_abi_version() != ABI_VERSION:
        raise ImportError("libenclaveos_verify is of another version than this module")
    return library


_library = _load()


class VerifyError(Exception):
    """No verdict was reached; says why, and what to do."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code = status, code


class Rejected(Exception):
    """The server was rejected; nothing was sent to it. The verdict says why."""

    def __init__(self, verdict):
        super().__init__(verdict.summary)
        self.verdict = verdict


def _call(name, *arguments):
    """A function whose last parameter is an error: its status, or the error raised."""
    error = c_void_p()
    status = getattr(_library, name)(*arguments, byref(error))
    if status >= 0:
        return status
    code, message = _library.eos_error_code(error).decode(), _library.eos_error_message(error).decode()
    _library.eos_error_destroy(error)
    raise VerifyError(status, code, message)


def _text(value):
    """A name for C, which would take everything from a NUL on for absent."""
    if value is None:
        return None
    if "\0" in value:
        raise ValueError("a name with a NUL in it")
    return value.encode()


def _milliseconds(seconds):
    return max(1, min(int(seconds * 1000), 3_600_000))


class Verdict:
    """What was found, and why. `accepted` is true for real hardware only."""

    def __init__(self, handle):
        self.status = _library.eos_verdict_status(handle)
        self.summary = _library.eos_verdict_summary(handle).decode()
        self.text = _library.eos_verdict_text(handle).decode()
        self.json = _library.eos_verdict_json(handle).decode()
        _library.eos_verdict_destroy(handle)

    @property
    def accepted(self):
        return self.status == ACCEPTED

    @property
    def accepted_emulated(self):
        return self.status == ACCEPTED_EMULATED

    @property
    def tree(self):
        return json.loads(self.json)

    def __bool__(self):
        raise TypeError("a verdict has three outcomes: look at accepted or accepted_emulated")


class Connection:
    """A TLS connection to a server that was verified and not rejected. One thread at a time: others wait."""

    def __init__(self, handle, verdict, timeout):
        self.verdict, self.timeout = verdict, timeout
        self._handle, self._lock = handle, threading.Lock()
        size = c_size_t()
        leaf = _library.eos_connection_certificate(handle, byref(size))
        self.certificate = ctypes.string_at(leaf, size.value)

    def read(self, size=65536):
        """What comes first, at most `size` bytes; b"" when the server ended the stream in order."""
        buffer, count = ctypes.create_string_buffer(size), c_size_t()
        with self._lock:
            _call("eos_connection_read", self._open(), buffer, size, byref(count), _milliseconds(self.timeout))
        return buffer.raw[:count.value]

    def write(self, data):
        """Sends all bytes."""
        data = bytes(data)
        with self._lock:
            if data:
                _call("eos_connection_write", self._open(), data, len(data), _milliseconds(self.timeout))

    def close(self):
        with self._lock:
            handle, self._handle = self._handle, None
            _library.eos_connection_close(handle)

    def _open(self):
        if self._handle is None:
            raise ValueError("the connection is closed")
        return self._handle

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        if getattr(self, "_handle", None) is not None:
            self.close()


class _Stream(io.RawIOBase):
    """A connection as http.client reads it."""

    def __init__(self, connection):
        super().__init__()
        self.connection = connection

    def readable(self):
        return True

    def readinto(self, buffer):
        data = self.connection.read(len(buffer))
        buffer[:len(data)] = data
        return len(data)


class _Socket:
    """A connection in the place of a socket, as far as http.client uses one."""

    def __init__(self, connection):
        self.connection = connection
        self.sendall, self.close = connection.write, connection.close

    def makefile(self, _mode):
        return io.BufferedReader(_Stream(self.connection))


class HTTPSConnection(http.client.HTTPConnection):
    """http.client over a verified connection; `verdict` is known before anything is sent."""

    def __init__(self, connection, host, port):
        super().__init__(host, port)
        self.verdict, self.sock = connection.verdict, _Socket(connection)

    def connect(self):
        raise ConnectionError("the connection is over: verify and connect again")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Verifier:
    """A policy and what to verify with. Does not change; threads may share it."""

    def __init__(self, policy, collateral=None, anchors=None, client_chain=None, client_key=None, memory=None,
                 stapled=None):
        """policy, collateral: JSON; anchors: root certificates of the private PKI; client_*: PEM. All bytes.

        memory: a folder that exists, in which what was accepted is kept, so that what is older is refused.
        stapled: whether connect() asks the server for its collateral; None: where none is given here.
        """
        self._handle = c_void_p()
        _call("eos_verifier_create", policy, len(policy), byref(self._handle))
        if collateral is not None:
            _call("eos_verifier_set_collateral", self._handle, collateral, len(collateral))
        if anchors is not None:
            _call("eos_verifier_set_anchors", self._handle, anchors, len(anchors))
        if client_chain is not None:
            _call("eos_verifier_set_client", self._handle, client_chain, len(client_chain), client_key,
                  len(client_key))
        if memory is not None:
            _call("eos_verifier_set_memory", self._handle, _text(os.fspath(memory)))
        _call("eos_verifier_set_stapled", self._handle, STAPLED[stapled])

    def __del__(self):
        _library.eos_verifier_destroy(self._handle)

    def verify_evidence(self, evidence, report_data=None, time=None):
        """Evidence as it came, and the 64 bytes that its report data must be. time: seconds since 1970."""
        binding = None
        if report_data is not None:
            binding = byref(_Binding(struct_size=ctypes.sizeof(_Binding), form=1, report_data=report_data,
                                     report_data_size=len(report_data)))
        return self._verdict("eos_verify_evidence", evidence, len(evidence), binding, self._time(time))

    def verify_certificate(self, chain, server_name=None, nonce=None, binder=None, time=None):
        """A certificate with its chain, PEM or DER; nonce and binder: of the handshake that showed it.
        Without them it may be another project's, if the policy takes the binding report-data."""
        handshake = None
        if nonce is not None or binder is not None:
            nonce, binder = nonce or b"", binder or b""
            handshake = byref(_Handshake(ctypes.sizeof(_Handshake), nonce, len(nonce), binder, len(binder)))
        return self._verdict("eos_verify_certificate", chain, len(chain), _text(server_name), handshake,
                             self._time(time))

    def verify_foreign_certificate(self, chain, server_name=None, nonce=None, time=None):
        """A certificate of another project, PEM or DER, if the policy takes the binding report-data. nonce: the 32
        bytes that it was made for, which Constellation's need; other formats have none."""
        return self._verdict("eos_verify_foreign_certificate", chain, len(chain), _text(server_name), nonce,
                             0 if nonce is None else len(nonce), self._time(time))

    def connect(self, host, port, server_name=None, mode="v2-challenge", timeout=30, time=None):
        """A Connection. mode: one of MODES. Raises Rejected, with the verdict, or VerifyError."""
        endpoint = _Endpoint(ctypes.sizeof(_Endpoint), _text(host), _text(server_name), port, MODES[mode],
                             _milliseconds(timeout))
        connection, verdict = c_void_p(), c_void_p()
        _call("eos_connect", self._handle, byref(endpoint), self._time(time), byref(connection), byref(verdict))
        explained = Verdict(verdict)
        if not connection:
            raise Rejected(explained)
        return Connection(connection, explained, timeout)

    def https(self, host, port, server_name=None, **options):
        """The same as an http.client connection."""
        connection = self.connect(host, port, server_name=server_name, **options)
        return HTTPSConnection(connection, server_name or host, port)

    def _verdict(self, name, *arguments):
        verdict = c_void_p()
        _call(name, self._handle, *arguments, byref(verdict))
        return Verdict(verdict)

    @staticmethod
    def _time(value):
        return int(clock.time()) if value is None else int(value)
