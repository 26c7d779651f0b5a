# SPDX-License-Identifier: AGPL-3.0-only
"""What the end-to-end tests stand on: the programs as processes, and clients that a user would have."""
import fcntl
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

PLATFORM = "mini.example.test"
# Secrets that go through the enclave, and must be found nowhere on the host.
ENV_CANARY = "canary-env-7c1f0a52e9d84b36"
BODY_CANARY = "canary-body-d18e44a07b2c4f95"


def wait_for(what, condition, seconds=120):
    """Returns the first true result of condition(); fails after the deadline."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        pause.wait(0.02)


def number_of(metrics, name):
    """Of a metric, with its labels if it has any."""
    return int(re.search(rf"^{re.escape(name)} (\d+)$", metrics, re.M).group(1))


FIRST_TEST_PORT, TEST_PORTS = 10_000, 10_000


def free_ports(count):
    """Ports to listen on, for this test alone: from a range that the kernel gives to no outgoing connection, where one
    of a test that runs beside this one would take a port between its choice and its use, and each port in turn."""
    turn = Path(tempfile.gettempdir()) / f"enclave-os-test-ports.{os.getuid()}"
    ports = []
    with open(os.open(turn, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        last = int(file.read() or 0)
        for last in range(last + 1, last + 1 + TEST_PORTS):
            ports += [FIRST_TEST_PORT + last % TEST_PORTS] if can_listen(FIRST_TEST_PORT + last % TEST_PORTS) else []
            if len(ports) == count:
                break
        file.seek(0)
        file.truncate()
        file.write(str(last))
    assert len(ports) == count, "no free ports"
    return ports


def can_listen(port):
    try:
        socket.create_server(("127.0.0.1", port)).close()
        return True
    except OSError:
        return False


def carry_on(near, target_port, source):
    """Carries a connection on to a port of this machine, from that source address; returns at once."""
    try:
        far = socket.create_connection(("127.0.0.1", target_port), 120, (source, 0))
    except OSError:
        near.close()
        return
    far.settimeout(None)
    for carry in (carry_requests, carry_answers):
        threading.Thread(target=carry, args=(near, far), daemon=True).start()


def pump(source, sink):
    while data := source.recv(65536):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)


def carry_requests(near, far):
    try:
        pump(near, far)
    except OSError:
        # The server takes no more, but its answer may still be under way: go on as if it did.
        try:
            while near.recv(65536):
                pass
        except OSError:
            pass


def carry_answers(near, far):
    try:
        pump(far, near)
    except OSError:
        # One side is gone, so both go. Closed, not only shut down: else the other side goes on sending.
        for side in (near, far):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            side.close()


class Relay:
    """Carries each connection on from a source address of its own, 127.1.0.1 and so on, because challenges
    are counted by address: a command through it comes from a new place, as from another machine."""

    def __init__(self, target_port):
        self.target_port, self.count = target_port, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            source = f"127.1.{self.count // 250}.{self.count % 250 + 1}"
            carry_on(near, self.target_port, source)


class Answer:
    """Of an HTTP request."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode(errors="replace")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.text[:300]!r}"


class Channel(http.client.HTTPSConnection):
    """HTTPS to 127.0.0.1 under any name; several requests over one connection if asked for."""

    def __init__(self, rig, name, context=None, timeout=120):
        super().__init__("127.0.0.1", rig.port, timeout=timeout)
        self.name = name
        self.context = context or rig.tls()

    def connect(self):
        plain = socket.create_connection((self.host, self.port), self.timeout)
        try:
            self.sock = self.context.wrap_socket(plain, server_hostname=self.name)
        except OSError:
            plain.close()
            raise

    def ask(self, method, path, body=None, headers=None):
        fields = {"Host": f"{self.name}:{self.port}" if self.name else "localhost"}
        fields.update(headers or {})
        self.request(method, path, body, fields)
        response = self.getresponse()
        return Answer(response.status, response.headers, response.read())


class Outcome:
    """Of a command."""

    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\n{self.out[-1500:]}{self.err[-1500:]}"


class ShiftedClock:
    """A wall clock that can be set, for programs that are started with its environment."""

    def __init__(self, rig):
        self.library = rig.bin.resolve().parent / "tests/support/shifted_clock.so"
        self.file = rig.work / "clock-shift"
        self.set(0)

    def set(self, seconds):
        """From now on the clock is ahead by that much. In one write: the programs map the file."""
        with open(self.file, "r+b" if self.file.exists() else "wb") as file:
            file.write(seconds.to_bytes(8, "little"))

    def environment(self):
        # A sanitizer wants to be the first library, and is content with less.
        return os.environ | {"LD_PRELOAD": str(self.library), "EOS_TEST_CLOCK_SHIFT": str(self.file),
                             "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}


class Rig:
    """One emulated platform, one daemon, one owner, in a folder of their own."""

    def __init__(self, bin_folder, work):
        self.bin, self.work = Path(bin_folder), Path(work)
        self.port, self.ops_port = free_ports(2)
        self.relay = Relay(self.port)
        self.state = self.work / "state"
        self.quoting = self.daemon = None
        self.log_number = 0
        self.token = self.mrenclave = None

    # -- processes ------------------------------------------------------------------------------
    def start_quoting(self, *arguments):
        platform, sock = self.work / "platform", self.work / "aesm.sock"
        if not platform.exists():
            subprocess.run([self.bin / "sgx-quoting-emulator", "init", "--dir", platform],
                           check=True, stdout=subprocess.DEVNULL)
        with open(self.work / "quoting.log", "ab") as log:
            self.quoting = subprocess.Popen(
                [self.bin / "sgx-quoting-emulator", "serve", "--dir", platform, "--socket", sock,
                 *arguments], stdout=log, stderr=log)
        wait_for("the quoting emulator", lambda: self.can_connect(sock))

    @staticmethod
    def can_connect(path):
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(path)) == 0

    def stop_quoting(self):
        end(self.quoting)
        self.quoting = None
        (self.work / "aesm.sock").unlink(missing_ok=True)

    def daemon_command(self, port, ops_port):
        return [self.bin / "enclave-os-mini", "run", "--listen", f"127.0.0.1:{port}",
                "--ops-listen", f"127.0.0.1:{ops_port}", "--state-dir", self.state,
                "--quote-socket", self.work / "aesm.sock", "--drain-timeout", "2",
                "--runner-arg=--identity", f"--runner-arg={self.work / 'platform/cpu.identity'}"]

    def start_daemon(self, until="evidence ready", clock=None):
        self.log_number += 1
        with open(self.log_path(), "wb") as log:
            self.daemon = subprocess.Popen(self.daemon_command(self.port, self.ops_port),
                                           stdout=log, stderr=log, env=clock and clock.environment())
        self.await_log(until)

    def await_log(self, text, count=1):
        def seen():
            if self.log().count(text) >= count:
                return True
            assert self.daemon.poll() is None, f"the daemon ended:\n{self.log()[-2000:]}"
            return False
        wait_for(f"{count} × {text!r} in the daemon's log", seen)

    def log_path(self):
        return self.work / f"mini-{self.log_number}.log"

    def log(self):
        return self.log_path().read_text(errors="replace")

    def stop_daemon(self):
        code = end(self.daemon)
        self.daemon = None
        return code

    def kill_daemon(self):
        runner = self.runner_pid()
        self.daemon.kill()
        self.daemon.wait()
        self.daemon = None
        wait_for("the runner ends with its daemon", lambda: not Path(f"/proc/{runner}").exists())

    def runner_pid(self):
        """Of the runner that was started last."""
        return int(re.findall(r"runner_started.* pid (\d+)", self.log())[-1])

    def close(self):
        self.relay.listener.close()
        for process in (self.daemon, self.quoting):
            if process is not None and process.poll() is None:
                end(process)

    # -- clients --------------------------------------------------------------------------------
    def ctl(self, *arguments, context=True, clock=None):
        home = self.work / ("contexts" if context else "no-contexts")
        return Outcome(subprocess.run(
            [self.bin / "enclavectl", "--home", home, *map(str, arguments)],
            capture_output=True, text=True, errors="replace", timeout=120,
            env=clock and clock.environment()))

    def start_ctl(self, *arguments, **streams):
        """enclavectl as a process that goes on."""
        return subprocess.Popen([self.bin / "enclavectl", "--home", self.work / "contexts",
                                 *map(str, arguments)], **streams)

    def own(self, *arguments):
        """enclavectl, which must succeed; its JSON."""
        outcome = self.ctl("--json", *arguments)
        assert outcome.code == 0, outcome
        return outcome.json()

    def load(self, name, module, *arguments, hostname=None):
        path = self.work / f"{name}.wasm"
        path.write_bytes(module)
        return self.ctl("app", "load", name, path, "--hostname", hostname or host(name), *arguments)

    def must_load(self, name, module, *arguments):
        outcome = self.load(name, module, *arguments)
        assert outcome.code == 0, outcome

    def tls(self, root=True):
        """What a client has that knows the private root (or nothing at all)."""
        if root:
            return ssl.create_default_context(cafile=self.work / "pki/root.pem")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def ask(self, name, method, path, body=None, headers=None, context=None):
        channel = Channel(self, name, context)
        try:
            return channel.ask(method, path, body, headers)
        finally:
            channel.close()

    def get(self, name, path, **more):
        return self.ask(name, "GET", path, **more)

    def get_refused(self, name, alert="UNRECOGNIZED_NAME"):
        """Whether the handshake for this name is refused, with exactly this alert."""
        try:
            self.get(name, "/")
        except ssl.SSLError as error:
            return (error.reason or "").endswith(f"_{alert}")
        return False

    def raw(self, name, data):
        """Sends bytes as they are, and returns all that comes until the end."""
        with socket.create_connection(("127.0.0.1", self.port), 120) as plain:
            with self.tls().wrap_socket(plain, server_hostname=name) as channel:
                out = b""
                try:
                    channel.sendall(data)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # refused early; the answer may be there
                try:
                    while chunk := channel.recv(65536):
                        out += chunk
                except ConnectionResetError:
                    pass
                return out

    def curl(self, name, path, *arguments):
        """What curl gets over HTTP/2: (version, status, body)."""
        body = self.work / "curl.out"
        body.write_bytes(b"")
        done = subprocess.run(
            ["curl", "--silent", "--show-error", "--http2", "--max-time", "60", "--output", body,
             "--cacert", self.work / "pki/root.pem", "--resolve", f"{name}:{self.port}:127.0.0.1",
             "--write-out", "%{http_version} %{http_code}", *arguments, f"https://{name}:{self.port}{path}"],
            capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done
        version, status = done.stdout.split()
        return version, int(status), body.read_bytes()

    def certificate(self, name):
        with socket.create_connection(("127.0.0.1", self.port), 120) as plain:
            with self.tls().wrap_socket(plain, server_hostname=name) as channel:
                return channel.getpeercert(binary_form=True)

    def get_chain(self, name):
        """All certificates the server shows, PEM, without the leaf."""
        said = self.openssl("-servername", name, "-showcerts")
        return re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END", said, re.S)[1:]

    def ops(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ops_port}{path}", timeout=60) as r:
                return Answer(r.status, r.headers, r.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def openssl(self, *arguments, text=b""):
        """openssl s_client: all it says."""
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-CAfile",
             str(self.work / "pki/root.pem"), *arguments],
            input=text, capture_output=True, timeout=120)
        return (done.stdout + done.stderr).decode(errors="replace")

    # -- set-up ---------------------------------------------------------------------------------
    def make_owner(self):
        """PKI, policy and context of the owner; a second PKI of a stranger."""
        self.mrenclave = re.search(r"MRENCLAVE ([0-9a-f]{64})", self.log()).group(1)
        self.read_token()
        for folder in ("pki", "stranger"):
            made = self.ctl("pki", "--dir", self.work / folder, "init", "--organization", folder)
            assert made.code == 0, made
        self.make_policy("policy.json", self.mrenclave)
        added = self.ctl("context", "add", "e2e", "--address", f"127.0.0.1:{self.relay.port}",
                         "--server-name", PLATFORM, "--policy", self.work / "policy.json",
                         "--root", self.work / "pki/root.pem",
                         "--owner-key", self.work / "pki/owner.key",
                         "--collateral", self.work / "platform/collateral.json")
        assert added.code == 0, added

    def read_token(self):
        """The one that was printed last."""
        self.token = re.findall(r"provisioning token ([0-9a-f]{32})", self.log())[-1]

    def make_policy(self, file, mrenclave, *arguments):
        made = self.ctl("policy", "init", "--name", file, "--mrenclave", mrenclave, "--test-root",
                        self.work / "platform/root.pem", *arguments, "--out", self.work / file)
        assert made.code == 0, made
        return self.work / file

    def provision(self, *arguments, token=None, context=True):
        return self.ctl("mini", "provision", "--pki", self.work / "pki", "--token",
                        token or self.token, "--platform-name", PLATFORM, "--permit",
                        "example.test", *arguments, context=context)


def host(name):
    return f"{name}.example.test"


def end(process):
    """SIGTERM, and its exit code; SIGKILL if it does not end."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError("a process did not end after SIGTERM") from None


def make_rig(bin_folder):
    folder = tempfile.TemporaryDirectory(prefix="eos-e2e.")
    os.chmod(folder.name, 0o700)
    return folder, Rig(bin_folder, folder.name)
