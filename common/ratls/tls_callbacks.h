// SPDX-License-Identifier: AGPL-3.0-only
// What libssl calls back, gathered in one place. Internal to this folder.
#pragma once

#include <openssl/ssl.h>

#include "common/ratls/tls_session.h"

namespace eos::ratls {

/// The functions registered with libssl; each finds its session through the SSL object.
struct TlsSession::Callbacks {
    static void attach(SSL* ssl, TlsSession& session);
    static TlsSession& session(const SSL* ssl);
    static ServerSession& server(SSL* ssl);

    /// Settings that both roles share. Returns whether libssl took them.
    static bool configure(SSL_CTX* context);
    static bool configure_server(SSL_CTX* context);

    static crypto::Digest32 choice_of(SSL* ssl);
    static int client_hello(SSL* ssl, int* alert, void*);
    static void ask_for_client_certificate(SSL* ssl);
    static LeafScheme scheme_asked_for(SSL* ssl);
    static int server_name(SSL* ssl, int* alert, void*);
    static int choose_leaf(SSL* ssl, void*);
    static int choose_protocol(SSL* ssl, const unsigned char** out, unsigned char* out_size,
                               const unsigned char* in, unsigned in_size, void*);
    static int add_extension(SSL* ssl, unsigned type, unsigned context, const unsigned char** out,
                             std::size_t* size, X509*, std::size_t, int* alert, void*);
    static void free_extension(SSL*, unsigned, unsigned, const unsigned char*, void*) {}
    static int parse_extension(SSL* ssl, unsigned type, unsigned context, const unsigned char* in,
                               std::size_t size, X509*, std::size_t, int* alert, void*);
    static void key_logged(const SSL* ssl, const char* line);
    static void message_seen(int is_write, int version, int content_type, const void* data,
                             std::size_t size, SSL* ssl, void*);
    static int await_bound_leaf(SSL* ssl, int* alert);
};

}  // namespace eos::ratls
