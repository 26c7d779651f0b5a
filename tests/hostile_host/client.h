// SPDX-License-Identifier: AGPL-3.0-only
// Clients of the enclave behind a hostile host: they see what a user would see.
#pragma once

#include <memory>
#include <string>

#include "client/pki.h"
#include "common/json/json.h"
#include "common/ratls/tls_session.h"
#include "tests/hostile_host/hostile_host.h"

namespace eos::hostile {

/// An HTTP answer, or why there was none.
struct Answer {
    int status = 0;  ///< 0: none came
    std::string body;
    std::string trouble;  ///< of a status 0

    friend bool operator==(const Answer&, const Answer&) = default;
};

/// One TLS connection through the host's rings.
class Client {
  public:
    struct Options {
        std::string server_name;  ///< empty: none is sent
        std::shared_ptr<const ratls::Credential> credential;
        bool challenges = false;  ///< mode B
        unsigned worker = 0;
    };
    /// Opens a connection and sends the ClientHello. `host` outlives this.
    explicit Client(HostileHost& host) : Client(host, Options{}) {}
    Client(HostileHost& host, const Options& options);

    std::uint64_t conn_id() const { return conn_id_; }
    /// Serves until the handshake is over; whether it succeeded.
    bool shake_hands();
    /// The whole exchange on this connection, which the server closes at its end.
    Answer ask(std::string_view request);
    /// The same in JSON, with a body if there is one.
    Answer ask(std::string_view method, std::string_view path, ByteView body = {},
               std::string_view content_type = "application/json");

    /// Moves bytes between the TLS session and the host's wire, as far as they go.
    void carry();
    ratls::ClientSession& session() { return *session_; }

  private:
    HostileHost& host_;
    std::string name_;
    std::unique_ptr<ratls::ClientSession> session_;
    std::uint64_t conn_id_;
};

/// A fresh connection, a handshake, GET /healthz: "served", or what came instead.
std::string visit(HostileHost& host, const Client::Options& options);
inline std::string visit(HostileHost& host) {
    return visit(host, Client::Options{});
}

inline constexpr const char* kPlatformName = "mini.example.test";

/// The owner-to-be of an enclave, with a PKI in the machine's folder.
class Owner {
  public:
    explicit Owner(const Machine& machine);

    /// Takes ownership by the token in the log. "owned", or what came instead.
    std::string provision(HostileHost& host);
    /// Loads a CGI app of about so many bytes under this name.
    Answer load(HostileHost& host, const std::string& name, std::size_t size_bytes = 0);
    /// Any request with the owner's proof, on the platform's name.
    Answer ask(HostileHost& host, std::string_view method, std::string_view path);
    /// The names of the apps, as the enclave lists them.
    std::string apps(HostileHost& host);

  private:
    Client::Options proof(const std::string& server_name) const;
    client::Pki pki_;
};

}  // namespace eos::hostile
