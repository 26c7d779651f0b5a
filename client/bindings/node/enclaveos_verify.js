// SPDX-License-Identifier: AGPL-3.0-only
// Verifies hardware evidence, certificates that carry it, and servers, by a written policy. A thin
// layer over libenclaveos_verify (client/bindings/c/enclaveos_verify.h says what everything means).
"use strict";

const { Duplex } = require("node:stream");

const addon = require(process.env.ENCLAVEOS_VERIFY_ADDON ?? "./enclaveos_verify.node");
const ABI_VERSION = 1;
if (addon.abiVersion() !== ABI_VERSION) {
  throw new Error("libenclaveos_verify is of another version than this module");
}

const ACCEPTED = 0;
const ACCEPTED_EMULATED = 10;
const E_TIMEOUT = -4;
// One operation of a connection runs at a time. A read waits this long before a write may overtake it.
const TURN_MS = 20;
const READ_BYTES = 65536;

/** No verdict was reached; says why, and what to do. */
class VerifyError extends Error {
  constructor(outcome) {
    super(outcome.message);
    this.status = outcome.status;
    this.code = outcome.code;
  }
}

/** The server was rejected; nothing was sent to it. The verdict says why. */
class Rejected extends Error {
  constructor(verdict) {
    super(verdict.summary);
    this.verdict = verdict;
  }
}

/** What was found, and why. `accepted` is true for real hardware only. */
class Verdict {
  constructor({ status, summary, text, json }) {
    Object.assign(this, { status, summary, text, json });
  }
  get accepted() {
    return this.status === ACCEPTED;
  }
  get acceptedEmulated() {
    return this.status === ACCEPTED_EMULATED;
  }
  get tree() {
    return JSON.parse(this.json);
  }
}

function must(outcome) {
  if (outcome.status < 0) throw new VerifyError(outcome);
  return outcome;
}

function bytes(value, name) {
  if (value === undefined || value === null) return null;
  if (typeof value === "string") return Buffer.from(value);
  if (Buffer.isBuffer(value)) return value;
  throw new TypeError(`${name}: a Buffer or a string`);
}

// C takes everything from a NUL on for absent.
function text(value, name) {
  if (value === undefined || value === null) return "";
  if (typeof value === "string" && !value.includes("\0")) return value;
  throw new TypeError(`${name}: a string without NUL`);
}

function integer(value, name, most) {
  if (Number.isInteger(value) && value >= 0 && value <= most) return value;
  throw new TypeError(`${name}: an integer from 0 to ${most}`);
}

function seconds(value) {
  return integer(value ?? Math.floor(Date.now() / 1000), "time", Number.MAX_SAFE_INTEGER);
}

/** What evidence must be bound to: this connection; this handshake; the server's key and a minute of the last day. */
const MODES = Object.freeze({ "v2-challenge": 2, "v1-challenge": 0, "v1-deterministic": 1 });

/** A stream to a server that was verified and not rejected. */
class Connection extends Duplex {
  #handle;
  #timeoutMs;
  #last = Promise.resolve();

  constructor(outcome, timeoutMs) {
    super();
    this.#handle = outcome.connection;
    this.#timeoutMs = timeoutMs;
    this.verdict = new Verdict(outcome.verdict);
    this.certificate = outcome.certificate;
  }

  // Runs after what was begun before.
  #inTurn(operation) {
    const turn = this.#last.then(() => {
      if (this.destroyed) throw new Error("the connection is closed");
      return operation();
    });
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #readOnce() {
    for (;;) {
      const outcome = await this.#inTurn(() => addon.read(this.#handle, READ_BYTES, TURN_MS));
      if (outcome.status !== E_TIMEOUT) return must(outcome).bytes;
    }
  }

  _read() {
    this.#readOnce().then(
      (data) => this.push(data.length === 0 ? null : data),
      (error) => this.destroyed || this.destroy(error));
  }

  _write(data, _encoding, done) {
    this.#inTurn(() => addon.write(this.#handle, data, this.#timeoutMs)).then(
      (outcome) => done(outcome.status < 0 ? new VerifyError(outcome) : null), done);
  }

  _destroy(error, done) {
    this.#last.then(() => addon.close(this.#handle)).then(() => done(error), done);
  }
}

/** When a server is asked for the collateral that it staples. */
function whenStapled(value) {
  if (value === undefined || value === null) return 1; // where none was given
  if (typeof value === "boolean") return value ? 2 : 0;
  throw new TypeError("stapled: true, false or undefined");
}

/** A policy and what to verify with. */
class Verifier {
  #handle;

  /**
   * policy, collateral: JSON; anchors: root certificates of the private PKI; client*: PEM.
   * memory: a folder that exists, in which what was accepted is kept, so that what is older is refused.
   * stapled: whether connect() asks the server for its collateral; undefined: where none is given here.
   */
  constructor({ policy, collateral, anchors, clientChain, clientKey, memory, stapled }) {
    this.#handle = must(addon.createVerifier(
      bytes(policy, "policy"), bytes(collateral, "collateral"), bytes(anchors, "anchors"),
      bytes(clientChain, "clientChain"), bytes(clientKey, "clientKey"), text(memory, "memory"),
      whenStapled(stapled))).verifier;
  }

  /** Evidence as it came, and the 64 bytes that its report data must be. */
  verifyEvidence(evidence, { reportData, time } = {}) {
    return new Verdict(must(addon.verifyEvidence(
      this.#handle, bytes(evidence, "evidence"), bytes(reportData, "reportData"), seconds(time))).verdict);
  }

  /** A certificate with its chain, PEM or DER; nonce and binder: of the handshake that showed it. Without
   *  them it may be another project's, if the policy takes the binding report-data. */
  verifyCertificate(chain, { serverName, nonce, binder, time } = {}) {
    return new Verdict(must(addon.verifyCertificate(
      this.#handle, bytes(chain, "chain"), text(serverName, "serverName"), bytes(nonce, "nonce"),
      bytes(binder, "binder"), seconds(time))).verdict);
  }

  /** A certificate of another project, PEM or DER, if the policy takes the binding report-data. nonce: the 32
   *  bytes that it was made for, which Constellation's need; other formats have none. */
  verifyForeignCertificate(chain, { serverName, nonce, time } = {}) {
    if (nonce?.length === 0) throw new TypeError("nonce: empty");
    return new Verdict(must(addon.verifyForeignCertificate(
      this.#handle, bytes(chain, "chain"), text(serverName, "serverName"), bytes(nonce, "nonce"),
      seconds(time))).verdict);
  }

  /** A Connection. mode: one of MODES. Fails with Rejected, which has the verdict, or VerifyError. */
  async connect({ host, port, serverName, mode = "v2-challenge", timeoutMs = 30000, time }) {
    if (!Object.hasOwn(MODES, mode)) throw new TypeError(`mode: one of ${Object.keys(MODES).join(", ")}`);
    const outcome = must(await addon.connect(
      this.#handle, text(host, "host"), integer(port, "port", 65535), text(serverName, "serverName"),
      MODES[mode], integer(timeoutMs, "timeoutMs", 3600000), seconds(time)));
    if (outcome.connection === undefined) throw new Rejected(new Verdict(outcome.verdict));
    return new Connection(outcome, timeoutMs);
  }
}

module.exports = { MODES, Verifier, Verdict, Connection, VerifyError, Rejected };
