/* SPDX-License-Identifier: AGPL-3.0-only */
#pragma once
/* The C interface of libenclaveos_verify: verifies hardware evidence and certificates that carry
 * it, offline, by a written policy, and connects to servers that pass. C11 and C++.
 *
 * Return values. Every function that can fail returns an int: 0 or a positive number is a verdict
 * (0: done, or accepted; see enum eos_status), a negative one means that no verdict was reached.
 * Only 0 is "accepted on real hardware"; compare with EOS_OK, not with "not negative".
 *
 * Handles are made by the library, opaque, and destroyed once by the caller; destroying NULL does
 * nothing. Out parameters are set to NULL first, so that they never dangle after a failure. An
 * eos_error is made only when a negative value is returned, and only if its parameter is not NULL.
 *
 * Strings are NUL-terminated UTF-8. A pointer that an accessor returns lives as long as its handle.
 * Input is copied or used up before a function returns. Every buffer comes with its size.
 *
 * Threads. Functions on different handles may run at once. A const handle may be used by any number
 * of threads at once; functions that take a handle without const need it for themselves, which
 * includes reading and writing of one connection, and destroying.
 *
 * Time is a parameter: the library reads no clock but the monotonic one, for timeouts. It reads no
 * file, and only eos_connect() opens sockets. It starts no thread and leaves signals alone.
 */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Functions are only ever added under one number; the shared object's name carries it too. */
#define EOS_VERIFY_ABI_VERSION 1

/// EOS_VERIFY_ABI_VERSION of the library that was loaded.
uint32_t eos_verify_abi_version(void);

/// What functions return. The positive ones are the exit codes of docs/formats/verdict.md.
enum eos_status {
    EOS_OK = 0,                 /* done; of a verdict: accepted */
    EOS_ACCEPTED_EMULATED = 10, /* accepted under test roots: EMULATED, protects nothing */
    EOS_NOT_GENUINE = 20,       /* rejected: the evidence itself failed */
    EOS_NOT_BOUND = 21,         /* rejected: genuine, but not of this peer or certificate */
    EOS_NOT_ACCEPTABLE = 22,    /* rejected: genuine and bound, but not what the policy wants */
    EOS_INCOMPLETE = 23,        /* rejected: nothing failed, but a check was not evaluated */
    EOS_OLD_STATE = 24,    /* rejected: its state is older than what the memory saw, or forked */
    EOS_E_ARGUMENT = -1,   /* the call is wrong: a pointer, size or number */
    EOS_E_INPUT = -2,      /* policy, collateral, certificate or key cannot be read */
    EOS_E_CONNECTION = -3, /* no connection, or it was lost */
    EOS_E_TIMEOUT = -4,    /* not within timeout_ms */
    EOS_E_INTERNAL = -5    /* out of memory, or a fault of the library */
};

/// Policy, collateral and trust anchors: what verifying goes by.
typedef struct eos_verifier eos_verifier;
/// An outcome with its explanation.
typedef struct eos_verdict eos_verdict;
/// An open TLS connection to a server that was verified and not rejected.
typedef struct eos_connection eos_connection;
/// Why a function returned a negative value.
typedef struct eos_error eos_error;

/* ---- errors ------------------------------------------------------------------------------- */

/// The negative value that was returned.
int eos_error_status(const eos_error* error);
/// Which failure, for programs: "client/connect_failed". Stable.
const char* eos_error_code(const eos_error* error);
/// For people: what happened, where, and what to do about it.
const char* eos_error_message(const eos_error* error);
/// Releases it.
void eos_error_destroy(eos_error* error);

/* ---- verifier ----------------------------------------------------------------------------- */

/// Reads a policy (docs/formats/policy.md), JSON of `policy_size` bytes.
int eos_verifier_create(const void* policy, size_t policy_size, eos_verifier** verifier,
                        eos_error** error);
/// Sets the vendor's collateral, a JSON object with root_ca_crl, pck_crl, tcb_info and qe_identity.
/// Without it the checks that need it are not evaluated, which only a waiver lets pass.
int eos_verifier_set_collateral(eos_verifier* verifier, const void* json, size_t json_size,
                                eos_error** error);
/// Sets the root certificates of the operator's private PKI: PEM, or one in DER. With them a
/// certificate chain must lead to one; without, evidence alone decides.
int eos_verifier_set_anchors(eos_verifier* verifier, const void* certificates,
                             size_t certificates_size, eos_error** error);
/// Sets the client certificate for eos_connect() in modes B and C: its chain and its key, PEM.
int eos_verifier_set_client(eos_verifier* verifier, const void* chain, size_t chain_size,
                            const void* key, size_t key_size, eos_error** error);
/// Sets a folder that exists, where what was accepted is kept from one run to the next: instances
/// that eos_connect() met (docs/formats/instance-memory.md), and the highest evaluation data number
/// of the vendor's statements. What is older than that is refused from then on. Whoever can write
/// there can make the verifier forget. Any number of processes may use one folder. NULL: none.
/// What cannot be read or kept there makes later calls fail with EOS_E_INPUT.
int eos_verifier_set_memory(eos_verifier* verifier, const char* folder, eos_error** error);
/// When eos_connect() asks the server for the vendors' collateral that it staples, before it
/// verifies it: on a connection of its own, on which nothing secret is, within five seconds and the
/// timeout. What is stapled is verified to its vendor's root as if eos_verifier_set_collateral()
/// had brought it, which wins piece by piece; the memory learns no evaluation data number from it.
enum eos_stapled {
    EOS_STAPLED_NEVER = 0,       /* as long as eos_verifier_set_stapled() was not called */
    EOS_STAPLED_WITHOUT_OWN = 1, /* if no collateral was set */
    EOS_STAPLED_ALWAYS = 2       /* to complete the collateral that was set */
};
int eos_verifier_set_stapled(eos_verifier* verifier, int when, eos_error** error);
/// Releases it. Connections that were made with it stay usable.
void eos_verifier_destroy(eos_verifier* verifier);

/* ---- verdicts ----------------------------------------------------------------------------- */

/// EOS_OK, EOS_ACCEPTED_EMULATED, or one of the rejections.
int eos_verdict_status(const eos_verdict* verdict);
/// One line: "accepted", "accepted, EMULATED: protects nothing", or "rejected: " and what decided.
const char* eos_verdict_summary(const eos_verdict* verdict);
/// The whole tree for a person.
const char* eos_verdict_text(const eos_verdict* verdict);
/// The whole tree for a program: docs/formats/verdict.md.
const char* eos_verdict_json(const eos_verdict* verdict);
/// Releases it.
void eos_verdict_destroy(eos_verdict* verdict);

/* ---- evidence and certificates ------------------------------------------------------------ */

/// What evidence must be bound to.
enum eos_binding_form {
    EOS_BINDING_UNKNOWN = 0,          /* nothing is known: EOS_INCOMPLETE at best */
    EOS_BINDING_REPORT_DATA = 1,      /* report_data: 64 bytes worked out by the caller */
    EOS_BINDING_V1_DETERMINISTIC = 2, /* spki and not_before of the certificate it came in */
    EOS_BINDING_V1_CHALLENGE = 3,     /* spki, nonce that was sent, binder of the handshake */
    EOS_BINDING_V2_CHALLENGE = 4      /* spki, nonce: the context that was sent, 32 bytes;
                                         binder: the exporter value of the connection, 32 bytes */
};

/// Zero it, set struct_size to sizeof and the members that the form names; the others stay zero.
typedef struct eos_binding {
    size_t struct_size;
    int32_t form;            /* enum eos_binding_form */
    int32_t reserved;        /* 0 */
    int64_t not_before;      /* seconds since 1970 */
    const void* report_data; /* 64 bytes */
    size_t report_data_size;
    const void* spki; /* SubjectPublicKeyInfo of a P-256 key, 91 bytes */
    size_t spki_size;
    const void* nonce; /* 16 to 64 bytes, but not 17 */
    size_t nonce_size;
    const void* binder; /* 32 bytes */
    size_t binder_size;
} eos_binding;

/// Verifies evidence (a quote, as it came) and appraises it.
/// in:      binding: NULL is EOS_BINDING_UNKNOWN. time: the instant to verify at, seconds since
///          1970. verdict: may not be NULL.
/// returns: the verdict's status, or EOS_E_ARGUMENT, EOS_E_INTERNAL.
int eos_verify_evidence(const eos_verifier* verifier, const void* evidence, size_t evidence_size,
                        const eos_binding* binding, int64_t time, eos_verdict** verdict,
                        eos_error** error);

/// The handshake in which a certificate was shown, for mode B.
typedef struct eos_handshake {
    size_t struct_size;
    const void* nonce; /* that was sent in extension 0xFFBB, 16 to 64 bytes, but not 17 */
    size_t nonce_size;
    const void* binder; /* derived from the handshake, 32 bytes */
    size_t binder_size;
} eos_handshake;

/// Verifies an RA-TLS certificate with its chain, leaf first (PEM, or one in DER).
/// in:      server_name: that the leaf must be for; NULL: any. handshake:
///          NULL for a stored certificate, whose evidence then must be of the deterministic form,
///          or be another project's: then as eos_verify_foreign_certificate() without a nonce.
/// returns: the verdict's status, or EOS_E_ARGUMENT, EOS_E_INPUT (no certificate, or another
///          project's that is malformed), EOS_E_INTERNAL.
int eos_verify_certificate(const eos_verifier* verifier, const void* chain, size_t chain_size,
                           const char* server_name, const eos_handshake* handshake, int64_t time,
                           eos_verdict** verdict, eos_error** error);

/// Verifies a certificate of another project (docs/evidence.md), leaf first (PEM, or one in DER):
/// its evidence is held against the certificate's key, if the policy takes the binding report-data.
/// That a peer holds the key, and that the nonce was its own, the caller must see.
/// in:      server_name: that the leaf must be for; NULL: any. nonce: that the certificate was made
///          for, 32 bytes, which Constellation's receiver sends before it and without which nothing
///          ties the evidence to the key; NULL with size 0: none, as all other formats have none.
/// returns: the verdict's status, or EOS_E_ARGUMENT (also: a nonce of another size), EOS_E_INPUT
///          (no certificate, none of another project, one that is malformed, or a nonce where the
///          format has none), EOS_E_INTERNAL.
/// since:   minor version 1 (the file's name: libenclaveos_verify.so.1.1).
int eos_verify_foreign_certificate(const eos_verifier* verifier, const void* chain,
                                   size_t chain_size, const char* server_name, const void* nonce,
                                   size_t nonce_size, int64_t time, eos_verdict** verdict,
                                   eos_error** error);

/* ---- connections -------------------------------------------------------------------------- */

/// How evidence is asked for.
enum eos_mode {
    EOS_MODE_CHALLENGE = 0,     /* mode B: fresh, bound to this handshake by a nonce */
    EOS_MODE_DETERMINISTIC = 1, /* mode A: up to a day old; for reading what is public */
    EOS_MODE_EXPORTER = 2 /* mode C: fresh, bound to this connection; choose this one. The server
                             answers a challenge inside the connection, in HTTP/1.1 */
};

/// Zero it, set struct_size to sizeof and what applies.
typedef struct eos_endpoint {
    size_t struct_size;
    const char* host;        /* name or address to connect to */
    const char* server_name; /* SNI, and whose certificate it must be; NULL: none */
    uint16_t port;
    uint16_t mode;       /* enum eos_mode */
    uint32_t timeout_ms; /* for all of eos_connect(); 1 to 3,600,000 */
} eos_endpoint;

/// Connects with TLS 1.3, verifies, and hands over the connection only if the server was not
/// rejected: under a policy with vendor roots that is EOS_OK, under one with test roots
/// EOS_ACCEPTED_EMULATED. No byte of the caller's has been sent when this returns; in mode C a
/// random challenge has, and the question for stapled collateral if that was wanted.
/// in:      connection: may not be NULL. verdict: may be, and is made also for a rejection.
/// returns: the verdict's status, or EOS_E_ARGUMENT, EOS_E_CONNECTION, EOS_E_TIMEOUT,
///          EOS_E_INTERNAL.
int eos_connect(const eos_verifier* verifier, const eos_endpoint* endpoint, int64_t time,
                eos_connection** connection, eos_verdict** verdict, eos_error** error);

/// Reads what comes first, at most `size` bytes, at least one. *count is 0 with EOS_OK exactly when
/// the server ended the stream in order; a stream that is cut off is EOS_E_CONNECTION. After
/// EOS_E_TIMEOUT one may read again.
int eos_connection_read(eos_connection* connection, void* buffer, size_t size, size_t* count,
                        uint32_t timeout_ms, eos_error** error);
/// Sends all bytes. After a failure it is not known how many were sent: close the connection.
int eos_connection_write(eos_connection* connection, const void* bytes, size_t size,
                         uint32_t timeout_ms, eos_error** error);
/// The certificate that the server showed and that was verified, DER.
const void* eos_connection_certificate(const eos_connection* connection, size_t* size);
/// Ends the stream in order as far as that takes no waiting, closes, and releases the handle.
void eos_connection_close(eos_connection* connection);

#ifdef __cplusplus
}
#endif
