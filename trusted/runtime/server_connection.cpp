// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/server_connection.h"

#include "common/base/assert.h"

namespace eos::runtime {
namespace {

// A TLS record: 5 bytes of header, a type byte, a 16-byte tag, for at most 16 KiB.
constexpr std::size_t kRecordOverheadBytes = 22;
constexpr std::size_t kRecordBytes = 16 * 1024;
// Decrypted bytes that wait for the protocol; beyond that the peer gets no credit.
constexpr std::size_t kPlaintextWindowBytes = 64 * 1024;

std::size_t plaintext_that_fits(std::size_t ciphertext_bytes) {
    std::size_t records = ciphertext_bytes / (kRecordBytes + kRecordOverheadBytes) + 1;
    std::size_t overhead = records * kRecordOverheadBytes;
    return ciphertext_bytes > overhead ? ciphertext_bytes - overhead : 0;
}

ratls::LeafRefusal refusal_of(const Error& error) {
    bool is_limit = error.code() == mint_busy || error.code() == mint_rate;
    return is_limit ? ratls::LeafRefusal::kOverLimit : ratls::LeafRefusal::kUnavailable;
}

}  // namespace

ServerConnection::ServerConnection(std::unique_ptr<ratls::ServerSession> session,
                                   ConnectionServices& services, ByteStream& stream,
                                   const ByteArray<16>& peer_address, Changed changed)
    : session_(std::move(session)),
      services_(services),
      stream_(stream),
      peer_address_(peer_address),
      client_address_(peer_address),
      changed_(std::move(changed)),
      self_(std::make_shared<ServerConnection*>(this)) {
    session_->set_known_names([this](std::string_view name) { return knows_name(name); });
    arm(kHandshakeMs);
    changed_();
}

ServerConnection::~ServerConnection() = default;

void ServerConnection::arm(std::uint64_t after_ms) {
    deadline_ms_ = services_.clock().monotonic_ms() + after_ms;
}

void ServerConnection::receive(ByteView ciphertext) {
    if (over_) return;
    owed_credit_ += ciphertext.size();
    has_read_all_ = false;
    session_->receive(ciphertext);
    run();
}

void ServerConnection::input_ended() {
    if (over_ || input_ended_) return;
    input_ended_ = true;
    run();
}

void ServerConnection::peer_left() {
    if (over_ || std::exchange(peer_left_, true)) return;
    run();
}

void ServerConnection::writable() {
    if (over_) return;
    flush();
    resume_protocol();
    run();
}

// Everything that may have become possible, until nothing more is. Protocols call back into this
// object (write, finish); those calls only queue, and are carried on with here.
void ServerConnection::run() {
    if (running_) return;
    running_ = true;
    session_->set_now_ms(services_.clock().monotonic_ms());
    if (!protocol_ && !over_) advance_handshake();
    if (protocol_ && !over_) feed_protocol();
    if (peer_left_ && protocol_ && !over_ && !finishing_) protocol_->peer_left();
    if (!over_) flush();
    running_ = false;
    changed_();
}

// Something was queued from outside run(): send it now, look at further input later.
void ServerConnection::queued() {
    if (running_) return;
    flush();
    must_carry_on_ = true;
    changed_();
}

void ServerConnection::wake() {
    if (running_ || over_) return;
    must_carry_on_ = true;
    changed_();
}

void ServerConnection::carry_on() {
    if (over_ || !must_carry_on_) return;
    must_carry_on_ = false;
    resume_protocol();
    run();
}

// What the protocol writes now goes out with the run() that follows.
void ServerConnection::resume_protocol() {
    if (running_ || !protocol_ || finishing_) return;
    running_ = true;
    protocol_->writable();
    running_ = false;
}

void ServerConnection::advance_handshake() {
    ratls::Progress progress = session_->advance();
    if (progress == ratls::Progress::kNeedsLeaf && !asked_for_leaf_) {
        ask_for_leaf();
        progress = session_->progress();
    }
    if (progress == ratls::Progress::kOpen) return opened();
    if (progress == ratls::Progress::kFailed) return finish();
    if (input_ended_ && progress == ratls::Progress::kNeedsInput) abort();
}

// While nothing is served nobody can say which names there will be: ask_for_leaf() refuses then.
// Asked again after a HelloRetryRequest: what the leaf was chosen from stays what was shown.
bool ServerConnection::knows_name(std::string_view server_name) {
    if (!asked_for_leaf_) shown_ = services_.served();
    return shown_ == nullptr || shown_->find(server_name) != nullptr;
}

void ServerConnection::ask_for_leaf() {
    asked_for_leaf_ = true;
    if (shown_ == nullptr)
        return refuse_leaf(ratls::LeafRefusal::kUnavailable, "nothing is served yet");
    if (session_->offer().nonce) arm(kBoundHandshakeMs);
    request_leaf();
}

void ServerConnection::request_leaf() {
    ratls::HandshakeOffer offer = session_->offer();
    if (shown_->find(offer.server_name)->profile == ratls::Profile::kV1)
        offer.scheme = ratls::LeafScheme::kV1;
    std::weak_ptr<ServerConnection*> weak = self_;
    services_.leaf(shown_, offer, peer_address_, [weak](Result<CredentialPtr> credential) {
        if (auto self = weak.lock()) (*self)->leaf_arrived(std::move(credential));
    });
}

void ServerConnection::leaf_arrived(Result<CredentialPtr> credential) {
    if (over_ || session_->progress() != ratls::Progress::kNeedsLeaf) return;
    if (credential) {
        session_->provide_leaf(std::move(*credential));
        session_->advance();
    } else if (credential.error().code() == state_changed) {
        awaits_change_ = true;
        look_again();
    } else {
        refuse_leaf(refusal_of(credential.error()), credential.error().message());
    }
    run();
}

// Each time that something else is served, and until the deadline of the handshake.
void ServerConnection::look_again() {
    const std::shared_ptr<const Served> now = services_.served();
    if (!awaits_change_ || now == nullptr || now == shown_) return;
    awaits_change_ = false;
    shown_ = now;
    if (shown_->find(session_->offer().server_name) != nullptr) return request_leaf();
    refuse_leaf(ratls::LeafRefusal::kUnavailable, "the name is served no longer");
}

void ServerConnection::refuse_leaf(ratls::LeafRefusal refusal, std::string why) {
    session_->refuse_leaf(refusal, std::move(why));
    session_->advance();
}

void ServerConnection::opened() {
    EOS_ASSERT(shown_ != nullptr);  // no leaf is provided before it is there
    const ratls::HandshakeOffer& offer = session_->offer();
    const ServedName* shown = shown_->find(offer.server_name);
    ConnectionInfo info;
    info.server_name = shown->name;
    info.kind = shown->kind;
    info.app = shown->app;
    info.tag = shown->tag;
    info.peer_address = peer_address_;
    info.client_address = client_address_;
    info.sent_server_name = !offer.server_name.empty();
    info.protocol = session_->protocol();
    info.is_bound = session_->is_bound();
    if (!info.is_bound && shown->epoch) info.channel = channel_end(shown->epoch);
    if (std::optional<crypto::P256PublicKey> key = session_->client_key()) {
        info.client_key_hash = key->spki_hash();
    }
    shown_.reset();
    deadline_ms_ = 0;
    info_ = std::move(info);
    protocol_ = services_.start_protocol(*info_, *this);
    // Between the choice of the leaf and now, what it says may have changed.
    std::shared_ptr<const Served> now = services_.served();
    if (now) served_changed(*now, kCloseMs);
}

std::shared_ptr<ChannelEnd> ServerConnection::channel_end(
    const std::shared_ptr<const KeyEpoch>& epoch) const {
    std::weak_ptr<ServerConnection*> weak = self_;
    return std::make_shared<ChannelEnd>(
        epoch, [weak](const ByteArray<32>& context) -> Result<ratls::ChannelBinding> {
            auto self = weak.lock();
            if (!self) return fail(ratls::tls_failed, "the connection has gone");
            return (*self)->session_->bind_channel(ratls::AttestedEnd::kServer, context);
        });
}

void ServerConnection::feed_protocol() {
    while (!over_ && !finishing_ && protocol_->wants_input()) {
        const std::size_t room = kPlaintextWindowBytes - pending_plaintext_.size();
        if (room > 0 && !has_read_all_) {
            Bytes plaintext = session_->read(room);
            has_read_all_ = plaintext.size() < room;
            if (pending_plaintext_.empty()) {
                pending_plaintext_ = std::move(plaintext);
            } else {
                append(pending_plaintext_, plaintext);
            }
        }
        if (pending_plaintext_.empty()) break;
        std::size_t taken = protocol_->receive(pending_plaintext_);
        EOS_ASSERT(taken <= pending_plaintext_.size());
        if (taken == 0) break;
        // An idle connection keeps no memory for what it received.
        pending_plaintext_ = taken == pending_plaintext_.size()
                                 ? Bytes()
                                 : to_bytes(ByteView(pending_plaintext_).subspan(taken));
    }
    if (over_ || finishing_) return;
    if (session_->progress() == ratls::Progress::kFailed) return finish();
    // What a protocol that pauses has not asked for yet comes before the end.
    bool closed =
        session_->progress() == ratls::Progress::kClosed || (input_ended_ && has_read_all_);
    if (closed && pending_plaintext_.empty()) protocol_->input_ended();
}

void ServerConnection::flush() {
    ByteView output = session_->output();
    std::size_t count = std::min(output.size(), stream_.writable_bytes());
    if (count > 0) {
        stream_.send(output.first(count));
        session_->output_taken(count);
    }
    // Credit is given for what TLS has taken; what it has not taken yet still occupies the window.
    std::size_t unread = session_->unread_bytes();
    if (owed_credit_ > unread) {
        stream_.consumed(owed_credit_ - unread);
        owed_credit_ = unread;
    }
    if (finishing_ && session_->output().empty()) {
        over_ = true;
        stream_.close();
    }
}

std::size_t ServerConnection::writable_bytes() const {
    if (over_ || finishing_) return 0;
    std::size_t queued = session_->output().size();
    std::size_t room = stream_.writable_bytes();
    return room > queued ? plaintext_that_fits(room - queued) : 0;
}

void ServerConnection::write(ByteView plaintext) {
    EOS_ASSERT(plaintext.size() <= writable_bytes());
    session_->write(plaintext);
    queued();
}

void ServerConnection::finish() {
    if (over_ || finishing_) return;
    finishing_ = true;
    session_->close();
    arm(kCloseMs);
    queued();
}

void ServerConnection::abort() {
    if (over_) return;
    over_ = true;
    stream_.abort();
    if (!running_) changed_();
}

void ServerConnection::served_changed(const Served& served, std::uint64_t drain_ms) {
    if (info_) {
        if (!shows(served)) drain(drain_ms);
    } else if (awaits_change_ && !over_) {
        look_again();
        run();
    }
}

bool ServerConnection::is_current() const {
    const std::shared_ptr<const Served> now = services_.served();
    return now != nullptr && shows(*now);
}

bool ServerConnection::shows(const Served& served) const {
    const ServedName* row = served.find(info_->server_name);
    return row != nullptr && row->tag == info_->tag;
}

void ServerConnection::drain(std::uint64_t drain_ms) {
    if (over_ || draining_ || finishing_) return;
    draining_ = true;
    if (!protocol_) return abort();
    arm(drain_ms);
    protocol_->drain();
    queued();
}

void ServerConnection::tick() {
    if (over_) return;
    std::uint64_t now_ms = services_.clock().monotonic_ms();
    if (deadline_ms_ != 0 && now_ms >= deadline_ms_) {
        if (!std::exchange(awaits_change_, false)) return abort();
        refuse_leaf(ratls::LeafRefusal::kUnavailable, "there is no evidence yet for what changed");
    }
    if (protocol_ && !finishing_) protocol_->tick(now_ms);
    run();
}

std::optional<std::uint64_t> ServerConnection::next_deadline_ms() const {
    std::optional<std::uint64_t> next;
    if (deadline_ms_ != 0) next = deadline_ms_;
    if (protocol_ && !finishing_) {
        std::optional<std::uint64_t> inner = protocol_->next_deadline_ms();
        if (inner && (!next || *inner < *next)) next = inner;
    }
    return next;
}

}  // namespace eos::runtime
