// SPDX-License-Identifier: AGPL-3.0-only
// aesmd's answers, and its transport.
#include "emulation/quoting/aesm_service.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/attestation/evidence/quote.h"
#include "emulation/quoting/provisioning.h"
#include "emulation/quoting/unix_server.h"

namespace eos::emulation::quoting {
namespace {

using aesm::Status;
namespace fs = std::filesystem;

constexpr int kDeadlineMs = 20'000;

class Aesm : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        sgx_cpu::Cpu cpu(sgx_cpu::generate_identity());
        Provisioned made = provision(cpu, UnixTime{::time(nullptr)}).value();
        enclave_ = new QuotingEnclave(QuotingEnclave::create(std::move(cpu), std::move(made.keys),
                                                             std::move(made.pck_chain_pem))
                                          .value());
    }
    static void TearDownTestSuite() { delete enclave_; }

    AesmService service(Faults faults) {
        return AesmService(*enclave_, faults, [this](const std::string& line) { log_ = line; });
    }

    static aesm::InitQuoteRequest init_request() {
        return {.att_key_id = to_bytes(aesm::ecdsa_p256_att_key_id())};
    }
    static aesm::QuoteSizeRequest size_request() {
        return {.att_key_id = to_bytes(aesm::ecdsa_p256_att_key_id())};
    }
    static sgx_arch::Report report() {
        sgx_arch::ReportData data;
        data.fill(std::byte{7});
        return enclave_->cpu().report({}, enclave_->target_info(), data).value();
    }
    static aesm::QuoteRequest quote_request() {
        return {.report = to_bytes(encode(report())),
                .att_key_id = to_bytes(aesm::ecdsa_p256_att_key_id()),
                .buf_size = static_cast<std::uint32_t>(enclave_->quote_size_bytes())};
    }

    static aesm::InitQuoteResponse init(AesmService& service, const aesm::Request& request) {
        return std::get<aesm::InitQuoteResponse>(service.answer(request));
    }
    static aesm::QuoteResponse quote(AesmService& service, const aesm::Request& request) {
        return std::get<aesm::QuoteResponse>(service.answer(request));
    }
    static sgx_arch::ReportBody quoted(ByteView bytes) {
        return std::get<attestation::evidence::SgxQuote>(
                   attestation::evidence::parse_quote(bytes).value().quote())
            .report;
    }

    static inline QuotingEnclave* enclave_ = nullptr;
    std::string log_;
};

TEST_F(Aesm, InitSizeQuote) {
    AesmService service = this->service({});
    const auto initialised = init(service, init_request());
    EXPECT_EQ(initialised.status, Status::kSuccess);
    EXPECT_EQ(initialised.target_info, to_bytes(encode(enclave_->target_info())));
    EXPECT_EQ(initialised.pub_key_id, to_bytes(enclave_->public_key_id()));
    EXPECT_EQ(initialised.pub_key_id_size, 32u);

    const auto size = std::get<aesm::QuoteSizeResponse>(service.answer(size_request()));
    EXPECT_EQ(size.status, Status::kSuccess);
    const auto answer = quote(service, quote_request());
    EXPECT_EQ(answer.status, Status::kSuccess);
    EXPECT_EQ(answer.quote.size(), size.quote_size);
    EXPECT_EQ(quoted(answer.quote), report().body);
}

TEST_F(Aesm, PublicKeyIdIsReturnedOnlyWhenAsked) {
    AesmService service = this->service({});
    aesm::InitQuoteRequest request = init_request();
    request.pub_key_id = aesm::PubKeyId::kOmit;
    request.buf_size = 0;
    const auto answer = init(service, request);
    EXPECT_EQ(answer.status, Status::kSuccess);
    EXPECT_EQ(answer.pub_key_id_size, 32u);
    EXPECT_TRUE(answer.pub_key_id.empty());
    request.pub_key_id = aesm::PubKeyId::kReturn;
    request.buf_size = 31;
    EXPECT_EQ(init(service, request).status, Status::kParameterError);
}

TEST_F(Aesm, NothingIsQuotedBeforeInit) {
    AesmService service = this->service({});
    EXPECT_EQ(quote(service, quote_request()).status, Status::kAttKeyNotInitialised);
    EXPECT_EQ(std::get<aesm::QuoteSizeResponse>(service.answer(size_request())).status,
              Status::kAttKeyNotInitialised);
}

TEST_F(Aesm, OtherAttestationKeysAreRefused) {
    AesmService service = this->service({});
    init(service, init_request());
    Bytes other = to_bytes(aesm::ecdsa_p256_att_key_id());
    other[154] = std::byte{3};
    aesm::InitQuoteRequest init_other = init_request();
    init_other.att_key_id = other;
    aesm::QuoteSizeRequest size_other{.att_key_id = other};
    aesm::QuoteRequest quote_other = quote_request();
    quote_other.att_key_id = {};
    EXPECT_EQ(init(service, init_other).status, Status::kParameterError);
    EXPECT_EQ(std::get<aesm::QuoteSizeResponse>(service.answer(size_other)).status,
              Status::kParameterError);
    EXPECT_EQ(quote(service, quote_other).status, Status::kParameterError);
}

TEST_F(Aesm, AlteredReportsAreRefusedAndTheLogSaysWhy) {
    AesmService service = this->service({});
    init(service, init_request());
    for (std::size_t at : {0u, 48u, 64u, 320u, 384u, 431u}) {
        aesm::QuoteRequest request = quote_request();
        request.report[at] ^= std::byte{1};
        log_.clear();
        const auto answer = quote(service, request);
        EXPECT_EQ(answer.status, Status::kParameterError) << at;
        EXPECT_TRUE(answer.quote.empty());
        EXPECT_NE(log_.find("not made by this CPU for this enclave"), std::string::npos) << log_;
    }
    aesm::QuoteRequest request = quote_request();
    request.report.pop_back();
    EXPECT_EQ(quote(service, request).status, Status::kParameterError);
}

TEST_F(Aesm, TooLittleRoomAndQeReportsAreRefused) {
    AesmService service = this->service({});
    init(service, init_request());
    aesm::QuoteRequest request = quote_request();
    --request.buf_size;
    EXPECT_EQ(quote(service, request).status, Status::kParameterError);
    request = quote_request();
    request.qe_report_info = Bytes(960);
    EXPECT_EQ(quote(service, request).status, Status::kParameterError);
}

TEST_F(Aesm, FaultFailEvery) {
    AesmService service = this->service({.fail_every = 3});
    init(service, init_request());
    for (int i = 1; i <= 9; ++i) {
        EXPECT_EQ(quote(service, quote_request()).status,
                  i % 3 == 0 ? Status::kServiceUnavailable : Status::kSuccess)
            << i;
    }
    EXPECT_EQ(service.quote_count(), 9u);
}

TEST_F(Aesm, FaultWrongReportIsAGenuineQuoteOfOtherReportData) {
    AesmService service = this->service({.report = Faults::Report::kAnother});
    init(service, init_request());
    const auto answer = quote(service, quote_request());
    ASSERT_EQ(answer.status, Status::kSuccess);
    sgx_arch::ReportBody expected = report().body;
    expected.report_data[0] ^= std::byte{1};
    EXPECT_EQ(quoted(answer.quote), expected);

    aesm::QuoteRequest altered = quote_request();
    altered.report[70] ^= std::byte{1};
    EXPECT_EQ(quote(service, altered).status, Status::kParameterError);
}

/// A client's end of a connection.
class Client {
  public:
    explicit Client(const fs::path& socket) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::ranges::copy(socket.native(), address.sun_path);
        connected_ =
            ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    ~Client() { ::close(fd_); }

    bool connected() const { return connected_; }
    void send(ByteView bytes) const { ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
    void finish() const { ::shutdown(fd_, SHUT_WR); }
    bool readable_within(int timeout_ms) const {
        pollfd set{.fd = fd_, .events = POLLIN, .revents = 0};
        return ::poll(&set, 1, timeout_ms) == 1;
    }
    /// Everything until the server closes; "stuck" if it does not.
    Bytes receive() const {
        Bytes out;
        std::byte buffer[4096];
        while (readable_within(kDeadlineMs)) {
            const ssize_t got = ::recv(fd_, buffer, sizeof(buffer), 0);
            if (got <= 0) return out;
            append(out, ByteView(buffer, static_cast<std::size_t>(got)));
        }
        return to_bytes("stuck");
    }
    Status status() const {
        const Bytes frame = receive();
        if (frame.size() < aesm::kLengthBytes) return Status::kUnexpectedError;
        const auto response = aesm::parse_response(ByteView(frame).subspan(aesm::kLengthBytes));
        if (!response) return Status::kUnexpectedError;
        return std::visit([](const auto& r) { return r.status; }, *response);
    }

  private:
    int fd_;
    bool connected_ = false;
};

class AesmSocket : public Aesm {
  protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "eos-aesm-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        options_.socket = folder_ / "aesm.socket";
        options_.log = [](const std::string&) {};
        stop_fd_ = ::eventfd(0, EFD_CLOEXEC);
    }
    void TearDown() override {
        stop();
        ::close(stop_fd_);
        fs::remove_all(folder_);
    }

    void start() {
        server_ = std::make_unique<UnixServer>(UnixServer::listen(service_, options_).value());
        thread_ = std::thread([this] { EXPECT_TRUE(server_->run(stop_fd_).has_value()); });
    }
    void stop() {
        if (!thread_.joinable()) return;
        const std::uint64_t one = 1;
        ASSERT_EQ(::write(stop_fd_, &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
        thread_.join();
        server_.reset();
    }
    Status ask(const aesm::Request& request) const {
        const Client client(options_.socket);
        client.send(aesm::encode(request));
        return client.status();
    }
    std::string listen_code() {
        const auto server = UnixServer::listen(service_, options_);
        return server ? "listening" : std::string(server.error().code().name);
    }

    fs::path folder_;
    ServerOptions options_;
    AesmService service_ = service({});
    int stop_fd_ = -1;
    std::unique_ptr<UnixServer> server_;
    std::thread thread_;
};

TEST_F(AesmSocket, OneRequestAConnection) {
    start();
    EXPECT_EQ(ask(init_request()), Status::kSuccess);
    EXPECT_EQ(ask(size_request()), Status::kSuccess);
    EXPECT_EQ(ask(quote_request()), Status::kSuccess);

    const Bytes request = aesm::encode(aesm::Request(size_request()));
    const Client once(options_.socket);
    once.send(request);
    const Client twice(options_.socket);
    twice.send(concat({request, request}));
    EXPECT_EQ(twice.receive(), once.receive());
}

TEST_F(AesmSocket, RequestsMayComeByteByByte) {
    start();
    const Client client(options_.socket);
    for (std::byte b : aesm::encode(aesm::Request(init_request()))) client.send({&b, 1});
    EXPECT_EQ(client.status(), Status::kSuccess);
}

TEST_F(AesmSocket, MalformedRequestsAreClosedAndOthersServed) {
    start();
    const std::vector<Bytes> bad = {
        to_bytes(std::string("\xff\xff\xff\xff", 4)),  // larger than any message
        to_bytes(std::string("\x01\x00\x01\x00", 4)),  // one byte larger than the limit
        to_bytes(std::string("\x00\x00\x00\x00", 4)),  // empty
        to_bytes(std::string("\x03\x00\x00\x00\xff\xff\xff", 7)),
        to_bytes(std::string("\x02\x00\x00\x00\x08\x01", 6)),
    };
    for (std::size_t i = 0; i < bad.size(); ++i) {
        const Client client(options_.socket);
        client.send(bad[i]);
        EXPECT_TRUE(client.receive().empty()) << i;
    }
    EXPECT_EQ(ask(init_request()), Status::kSuccess);
}

TEST_F(AesmSocket, TruncatedRequestsAreClosed) {
    start();
    const Bytes whole = aesm::encode(aesm::Request(init_request()));
    for (std::size_t size : {std::size_t{0}, std::size_t{3}, std::size_t{4}, whole.size() - 1}) {
        const Client client(options_.socket);
        client.send(ByteView(whole).first(size));
        client.finish();
        EXPECT_TRUE(client.receive().empty()) << size;
    }
    EXPECT_EQ(ask(init_request()), Status::kSuccess);
}

TEST_F(AesmSocket, SlowClientsAreClosedAndHoldUpNobody) {
    options_.io_deadline = std::chrono::milliseconds(200);
    start();
    std::vector<std::unique_ptr<Client>> slow;
    for (std::size_t i = 0; i < kMaxConnections + 10; ++i) {
        slow.push_back(std::make_unique<Client>(options_.socket));
        slow.back()->send(to_bytes("\x10"));
    }
    EXPECT_EQ(ask(init_request()), Status::kSuccess);
    for (const auto& client : slow) EXPECT_TRUE(client->receive().empty());
}

TEST_F(AesmSocket, QuotesAreMadeOneAfterTheOther) {
    options_.quote_latency = std::chrono::milliseconds(100);
    start();
    EXPECT_EQ(ask(init_request()), Status::kSuccess);
    const auto begin = std::chrono::steady_clock::now();
    const Client first(options_.socket);
    first.send(aesm::encode(aesm::Request(quote_request())));
    const Client second(options_.socket);
    second.send(aesm::encode(aesm::Request(quote_request())));
    EXPECT_TRUE(second.readable_within(kDeadlineMs));
    EXPECT_TRUE(first.readable_within(0));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 2 * options_.quote_latency);
    EXPECT_EQ(first.status(), Status::kSuccess);
    EXPECT_EQ(second.status(), Status::kSuccess);
}

TEST_F(AesmSocket, OtherRequestsDoNotWaitForQuotes) {
    options_.quote_latency = std::chrono::milliseconds(60'000);
    start();
    EXPECT_EQ(ask(init_request()), Status::kSuccess);
    const Client waiting(options_.socket);
    waiting.send(aesm::encode(aesm::Request(quote_request())));
    EXPECT_EQ(ask(size_request()), Status::kSuccess);
    EXPECT_EQ(ask(init_request()), Status::kSuccess);
    EXPECT_FALSE(waiting.readable_within(0));
}

TEST_F(AesmSocket, ClientsThatLeaveWhileWaitingDoNoHarm) {
    options_.quote_latency = std::chrono::milliseconds(50);
    start();
    EXPECT_EQ(ask(init_request()), Status::kSuccess);
    for (int i = 0; i < 5; ++i)
        Client(options_.socket).send(aesm::encode(aesm::Request(quote_request())));
    EXPECT_EQ(ask(quote_request()), Status::kSuccess);
}

TEST_F(AesmSocket, StopsWithConnectionsOpenAndRemovesTheSocket) {
    options_.quote_latency = std::chrono::milliseconds(60'000);
    start();
    EXPECT_EQ(ask(init_request()), Status::kSuccess);
    const Client waiting(options_.socket);
    waiting.send(aesm::encode(aesm::Request(quote_request())));
    EXPECT_EQ(ask(size_request()), Status::kSuccess);
    stop();
    EXPECT_TRUE(waiting.receive().empty());
    EXPECT_FALSE(fs::exists(options_.socket));
}

TEST_F(AesmSocket, SocketIsPrivateUnlessAGroupIsNamed) {
    struct stat status{};
    start();
    ASSERT_EQ(::stat(options_.socket.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    stop();
    options_.group = ::getegid();
    start();
    ASSERT_EQ(::stat(options_.socket.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0660u);
    EXPECT_EQ(status.st_gid, ::getegid());
}

TEST_F(AesmSocket, StaleSocketsAreReplacedAndNothingElse) {
    start();
    EXPECT_EQ(listen_code(), "socket_in_use");
    EXPECT_EQ(ask(init_request()), Status::kSuccess);
    stop();

    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::ranges::copy(options_.socket.native(), address.sun_path);
    const int stale = ::socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(::bind(stale, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    ::close(stale);
    EXPECT_EQ(listen_code(), "listening");

    std::ofstream(options_.socket) << "precious";
    EXPECT_EQ(listen_code(), "socket_unusable");
    EXPECT_EQ(fs::file_size(options_.socket), 8u);
    options_.socket = folder_ / std::string(120, 'x');
    EXPECT_EQ(listen_code(), "socket_unusable");
    options_.socket = folder_ / "missing" / "aesm.socket";
    EXPECT_EQ(listen_code(), "socket_unusable");
}

}  // namespace
}  // namespace eos::emulation::quoting
