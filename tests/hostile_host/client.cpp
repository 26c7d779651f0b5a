// SPDX-License-Identifier: AGPL-3.0-only
#include "tests/hostile_host/client.h"

#include <ctime>

#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/random.h"
#include "common/x509/pem.h"

namespace eos::hostile {
namespace {

using boundary::ConnData;

client::Pki make_pki(const Machine& machine) {
    const std::filesystem::path folder = machine.folder() / "pki";
    client::Pki::init(folder, "Hostile Host Tests", UnixTime{::time(nullptr)}).value();
    return client::Pki::open(folder).value();
}

// "HTTP/1.1 200 OK\r\n…\r\n\r\nbody"
Answer parse_answer(std::string_view text, std::string trouble) {
    const std::size_t end = text.find("\r\n\r\n");
    if (!text.starts_with("HTTP/1.1 ") || end == text.npos)
        return {.status = 0, .body = {}, .trouble = std::move(trouble)};
    return {.status = std::atoi(std::string(text.substr(9, 3)).c_str()),
            .body = std::string(text.substr(end + 4)),
            .trouble = {}};
}

// (module (func (export "_start"))), and a custom section that makes it large.
Bytes make_module(std::size_t size_bytes) {
    Bytes out = from_hex(
                    "0061736d010000000104016000000302010007"
                    "0a01065f737461727400000a040102000b")
                    .value();
    if (size_bytes == 0) return out;
    append(out, from_hex("00").value());
    std::size_t size = size_bytes + 2;
    for (int i = 0; i < 5; ++i, size >>= 7)
        out.push_back(static_cast<std::byte>((size & 0x7f) | (i < 4 ? 0x80 : 0)));
    append(out, from_hex("0178").value());  // its name: "x"
    Bytes filling(size_bytes);
    crypto::fill_random(filling);
    append(out, filling);
    return out;
}

}  // namespace

Client::Client(HostileHost& host, const Options& options)
    : host_(host),
      name_(options.server_name.empty() ? "localhost" : options.server_name),
      conn_id_(host.open(options.worker)) {
    ratls::ClientOptions choice{.server_name = options.server_name,
                                .nonce = std::nullopt,
                                .credential = options.credential};
    if (options.challenges) choice.nonce = crypto::random_array<32>();
    session_ = ratls::ClientContext::make().value().connect(choice).value();
    session_->advance();
    carry();
}

void Client::carry() {
    HostileHost::Wire& wire = host_.wire(conn_id_);
    session_->receive(wire.received);
    wire.received.clear();
    if (session_->progress() == ratls::Progress::kNeedsInput) session_->advance();
    while (!session_->output().empty() && wire.window > 0 && !wire.is_closed) {
        ByteView part = session_->output();
        part = part.first(std::min({part.size(), wire.window, boundary::kMaxConnDataBytes}));
        host_.send(ConnData{.conn_id = conn_id_, .bytes = part}, wire.worker);
        wire.window -= part.size();
        session_->output_taken(part.size());
    }
}

bool Client::shake_hands() {
    host_.serve_until([this] {
        carry();
        return session_->progress() != ratls::Progress::kNeedsInput ||
               host_.wire(conn_id_).is_closed;
    });
    return session_->progress() == ratls::Progress::kOpen;
}

Answer Client::ask(std::string_view request) {
    if (!shake_hands())
        return {.status = 0, .body = {}, .trouble = "handshake: " + session_->failure()};
    session_->write(as_bytes(request));
    std::string answer;
    host_.serve_until([&] {
        carry();
        answer += to_string(session_->read(64 * 1024));
        return session_->progress() != ratls::Progress::kOpen ||
               (host_.wire(conn_id_).is_closed && host_.wire(conn_id_).received.empty());
    });
    return parse_answer(answer, "the connection ended without an answer");
}

Answer Client::ask(std::string_view method, std::string_view path, ByteView body,
                   std::string_view content_type) {
    std::string request = std::string(method) + " " + std::string(path) +
                          " HTTP/1.1\r\nHost: " + name_ + "\r\nConnection: close\r\n";
    if (method == "POST") {
        request += "Content-Type: " + std::string(content_type) +
                   "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    }
    return ask(request + "\r\n" + to_string(body));
}

std::string visit(HostileHost& host, const Client::Options& options) {
    Client client(host, options);
    Answer answer = client.ask("GET", "/healthz");
    if (!host.violation().empty()) return host.violation();
    if (answer == Answer{.status = 200, .body = "{\"status\":\"ok\"}", .trouble = {}})
        return "served";
    return std::to_string(answer.status) + " " + answer.body + answer.trouble;
}

Owner::Owner(const Machine& machine) : pki_(make_pki(machine)) {}

Client::Options Owner::proof(const std::string& server_name) const {
    return {.server_name = server_name,
            .credential = pki_.owner_credential(),
            .challenges = true,
            .worker = 0};
}

std::string Owner::provision(HostileHost& host) {
    if (!host.serve_until_logged(boundary::LogCode::kUnowned)) return "it is not unowned";
    const boundary::Numbers numbers = host.numbers_of(boundary::LogCode::kProvisioningToken);
    const std::string token =
        hex(std::move(Writer().u64be(numbers.values[0]).u64be(numbers.values[1])).take());
    json::Value first = {{"step", "request-csr"},
                         {"token", token},
                         {"platform_name", kPlatformName},
                         {"nonce", base64(crypto::random_array<32>())}};
    Answer asked = Client(host, proof("")).ask("POST", "/api/v1/provision", as_bytes(first.dump()));
    if (asked.status != 200) return asked.body + asked.trouble;
    json::Value made = json::parse(as_bytes(asked.body), {}).value();
    auto csr = x509::CertificateRequest::parse(from_base64(made["csr"].get<std::string>()).value())
                   .value();
    x509::Certificate ca = pki_.sign_intermediate(csr, {.permitted_names = {"example.test"},
                                                        .now = UnixTime{::time(nullptr)}})
                               .value();
    json::Value second = {{"step", "complete"},
                          {"token", token},
                          {"ca_chain", x509::encode_pem("CERTIFICATE", ca.der()) +
                                           x509::encode_pem("CERTIFICATE", pki_.root().der())}};
    Answer done = Client(host, proof("")).ask("POST", "/api/v1/provision", as_bytes(second.dump()));
    return done.status == 200 ? "owned" : done.body + done.trouble;
}

Answer Owner::load(HostileHost& host, const std::string& name, std::size_t size_bytes) {
    std::string description = json::Value{{"hostname", name + ".example.test"}}.dump();
    Bytes body = std::move(Writer().u32be(static_cast<std::uint32_t>(description.size()))).take();
    append(body, as_bytes(description));
    append(body, make_module(size_bytes));
    return Client(host, proof(kPlatformName))
        .ask("POST", "/api/v1/apps/" + name, body, "application/vnd.enclave-os.app");
}

Answer Owner::ask(HostileHost& host, std::string_view method, std::string_view path) {
    return Client(host, proof(kPlatformName)).ask(method, path);
}

std::string Owner::apps(HostileHost& host) {
    Answer answer = ask(host, "GET", "/api/v1/apps");
    if (answer.status != 200) return std::to_string(answer.status) + answer.body + answer.trouble;
    const json::Value list = json::parse(as_bytes(answer.body), {}).value();
    std::string names;
    for (const json::Value& app : list["apps"])
        names += (names.empty() ? "" : " ") + app["name"].get<std::string>();
    return names;
}

}  // namespace eos::hostile
