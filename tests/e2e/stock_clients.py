#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The reference's own client libraries, unchanged, against Mini and against the proxy in guests of TDX and SEV-SNP.

usage: stock_clients.py BIN_FOLDER APPS_FOLDER

They are not part of this repository: EOS_STOCK_CLIENTS names a folder with ratls_client.py (v1, Python) and
ratls_client.js (v1, compiled from TypeScript); without them this is skipped (docs/stock-clients.md).
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rig import PLATFORM as RIG_PLATFORM
from rig import host, make_rig
from virtual_e2e import PLATFORM, SHOP, Machine

SKIPPED = 77
ARC = "1.3.6.1.4.1.65230."
CONFIG_ROOT, WORKLOAD_CONFIG_ROOT = ARC + "1.1", ARC + "3.1"

# A user of each library: connects, verifies, asks for /healthz, and says what came of it. Its argument is what to do.
PYTHON = """
import json, sys
from ratls_client import *
ask = json.loads(sys.argv[1])
try:
    with RaTlsClient(ask["host"], ask["port"], ca_cert=ask["root"]) as client:
        policy = VerificationPolicy(tee=TeeType[ask["tee"]], report_data=ReportDataMode.DETERMINISTIC,
            expected_oids=[ExpectedOid(oid, bytes.fromhex(value)) for oid, value in ask["oids"].items()],
            allow_debug_images=ask["allow_debug_images"], **{ask["field"]: bytes.fromhex(ask["measurement"])})
        info = client.verify_certificate(policy)
        print(json.dumps({"oids": {e.oid: e.value.hex() for e in info.custom_oids},
                          "healthz": client.healthz() if ask["healthz"] else None}))
except (ValueError, OSError) as error:
    print(json.dumps({"refused": str(error)}))
"""
NODE = """
// Node.js looks for PEM before it takes bytes for DER, and at the start of every line: in the leaf it finds the chain
// inside Intel's quote, and parses that instead of what it was given. Whole PEM leaves it no choice.
const crypto = require("crypto");
const Parser = crypto.X509Certificate;
const lines = (der) => der.toString("base64").match(/.{1,64}/g).join("\\n");
crypto.X509Certificate = class extends Parser {
  constructor(der) {
    super(`-----BEGIN CERTIFICATE-----\\n${lines(der)}\\n-----END CERTIFICATE-----\\n`);
  }
};
const { RaTlsClient, TeeType, ReportDataMode } = require("ratls_client.js");
const ask = JSON.parse(process.argv[1]);
const tees = { SGX: TeeType.Sgx, TDX: TeeType.Tdx, SEV_SNP: TeeType.SevSnp };
const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
(async () => {
  const client = new RaTlsClient(ask.host, ask.port, { caCert: ask.root ?? undefined });
  try {
    await client.connect();
    const info = await client.verifyCertificate({
      tee: tees[ask.tee], reportData: ReportDataMode.Deterministic, allowDebugImages: ask.allow_debug_images,
      expectedOids: Object.entries(ask.oids).map(([oid, v]) => ({ oid, expectedValue: Buffer.from(v, "hex") })),
      [camel(ask.field)]: Buffer.from(ask.measurement, "hex") });
    const oids = Object.fromEntries(info.customOids.map((e) => [e.oid, e.value.toString("hex")]));
    console.log(JSON.stringify({ oids, healthz: ask.healthz ? await client.healthz() : null }));
  } catch (error) {
    console.log(JSON.stringify({ refused: error.message }));
  } finally {
    client.close();
  }
})();
"""


class Server:
    """What a client has to know of one."""

    def __init__(self, port, root, stranger, tee, measurement, names):
        self.port, self.root, self.stranger, self.tee, self.names = port, root, stranger, tee, names
        self.field, self.measurement = measurement

    def ask(self, name, **changes):
        return {"host": name, "port": self.port, "root": str(self.root), "tee": self.tee, "field": self.field,
                "measurement": self.measurement, "oids": {}, "allow_debug_images": True, "healthz": False} | changes


class Client:
    """One of the libraries. That for Node.js never asks for a name (SNI), so that it meets the platform only."""

    def __init__(self, folder, hosts, file, command):
        self.name, self.command, self.hosts = file, command, hosts
        self.sends_name = file.endswith(".py")
        self.environment = os.environ | {"PYTHONPATH": str(folder), "NODE_PATH": str(folder)}

    def run(self, ask):
        # The libraries connect to the name that they ask for, so it has to lead here: in a name space of their own.
        inside = 'mount --bind "$0" /etc/hosts && exec "$@"'
        done = subprocess.run(["unshare", "--map-root-user", "--mount", "sh", "-c", inside, str(self.hosts),
                               *self.command, json.dumps(ask)], env=self.environment, capture_output=True, text=True,
                              timeout=60)
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    def accepts(self, ask):
        answer = self.run(ask)
        assert "refused" not in answer, (self.name, ask, answer)
        return answer

    def refuses(self, ask, words):
        answer = self.run(ask)
        assert words in answer.get("refused", "").lower(), (self.name, ask, words, answer)
        print(f"    refuses: {answer['refused'].splitlines()[0][:100]}")


def check(client, server):
    platform, named = server.names
    demands = [(platform, CONFIG_ROOT, True)] + [(named, WORKLOAD_CONFIG_ROOT, False)] * client.sends_name
    for name, oid, healthz in demands:
        found = client.accepts(server.ask(name, healthz=healthz))
        assert found["healthz"] == ({"status": "ok"} if healthz else None), found
        client.accepts(server.ask(name, oids={oid: found["oids"][oid]}))
        client.accepts(server.ask(name, root=None))
        print(f"    accepts {name}, with {' '.join(sorted(o.removeprefix(ARC) for o in found['oids']))}")
    # By address no name is asked for. Without roots neither library looks at the name in the certificate.
    client.accepts(server.ask("127.0.0.1", root=None, healthz=True))
    for name, oid, _ in demands:
        client.refuses(server.ask(name, allow_debug_images=False), "image")
        client.refuses(server.ask(name, measurement="ab" * (len(server.measurement) // 2)), "mismatch")
        client.refuses(server.ask(name, oids={oid: "00" * 32}), "mismatch")
        client.refuses(server.ask(name, root=str(server.stranger)), "certificate")


def mini(bin_folder, apps, visit):
    work, rig = make_rig(bin_folder)
    try:
        rig.start_quoting()
        rig.start_daemon()
        rig.make_owner()
        assert rig.provision().code == 0
        rig.must_load("hello", Path(apps, "hello-cgi.wasm").read_bytes())
        visit(Server(rig.port, rig.work / "pki/root.pem", rig.work / "stranger/root.pem", "SGX",
                     ("mr_enclave", rig.mrenclave), (RIG_PLATFORM, host("hello"))))
    finally:
        rig.close()
        work.cleanup()


def virtual(bin_folder, tee, visit):
    with tempfile.TemporaryDirectory() as work:
        machine = Machine(bin_folder, Path(work), tee)
        try:
            machine.own()
            machine.must("pki", "--dir", machine.work / "stranger", "init", "--organization", "stranger")
            identity = json.loads((machine.guest() / "policy.json").read_text())["identity"][0]
            kind, field = ("TDX", "mr_td") if tee.startswith("tdx") else ("SEV_SNP", "measurement")
            visit(Server(machine.port, machine.work / "pki/root.pem", machine.work / "stranger/root.pem", kind,
                         (field, identity[field]), (PLATFORM, SHOP)))
        finally:
            machine.close()


def make_clients(folder, hosts):
    known = {"ratls_client.py": [sys.executable, "-c", PYTHON], "ratls_client.js": ["node", "-e", NODE]}
    return [Client(folder, hosts, file, command) for file, command in known.items() if (folder / file).exists()]


def skip_where_it_cannot_run(bin_folder, folder):
    lacks = subprocess.run([bin_folder / "tsm-emulator", "check"], capture_output=True, text=True)
    if lacks.returncode == SKIPPED:
        print("skipped:", lacks.stdout.strip() or lacks.stderr.strip())
        sys.exit(SKIPPED)
    if not folder or not make_clients(Path(folder), None):
        print("skipped: no stock clients (EOS_STOCK_CLIENTS)")
        sys.exit(SKIPPED)


def main(bin_folder, apps):
    bin_folder, folder = Path(bin_folder).resolve(), os.environ.get("EOS_STOCK_CLIENTS")
    skip_where_it_cannot_run(bin_folder, folder)
    with tempfile.TemporaryDirectory() as work:
        hosts = Path(work, "hosts")
        hosts.write_text(f"127.0.0.1 localhost {RIG_PLATFORM} {PLATFORM} {SHOP} {host('hello')}\n")
        clients = make_clients(Path(folder), hosts)

        def visit(server):
            for client in clients:
                print(f"  {client.name}", flush=True)
                check(client, server)
        print("Mini")
        mini(bin_folder, apps, visit)
        for tee in ("tdx-v4", "snp-milan", "snp-genoa", "snp-turin"):
            print(f"Virtual, {tee}")
            virtual(bin_folder, tee, visit)
    print(f"ok    {len(clients)} clients")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
