// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/mint_protocol/messages.h"

#include <algorithm>
#include <utility>

#include "common/base/assert.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "trusted/runtime/authority.h"
#include "trusted/runtime/leaf_mint.h"
#include "trusted/runtime/provisioning.h"
#include "trusted/runtime/time_guard.h"
#include "trusted/virtual/config/config.h"

namespace eos::cvm {
namespace {

constexpr std::size_t kHeaderBytes = 5;
constexpr std::size_t kMaxValuesPerName = 16;
constexpr std::size_t kMaxOidBytes = 64;
// Of a policy log: 4096 events (trusted/virtual/evidence) of some 260 bytes, and what was there
// before.
constexpr std::size_t kMaxLogBytes = 8 * 1024 * 1024;

// --- one way to write and to read each kind of field ---

/// Writes fields; the same calls on Decoder read them.
class Encoder {
  public:
    Writer& out() { return out_; }

    void field(bool value) { out_.u8(value ? 1 : 0); }
    void field(std::uint32_t value) { out_.u32le(value); }
    void field(std::uint64_t value) { out_.u64le(value); }
    void field(std::int64_t value) { out_.u64le(static_cast<std::uint64_t>(value)); }
    template <std::size_t N>
    void field(const ByteArray<N>& value) {
        out_.bytes(value);
    }
    void field(const Bytes& value, std::size_t most) { run(value, most); }
    void field(const std::string& value, std::size_t most) { run(as_bytes(value), most); }
    template <typename Enum>
    void choice(const Enum& value, Enum last) {
        EOS_ASSERT(value <= last);
        out_.u8(static_cast<std::uint8_t>(value));
    }
    template <typename T, typename Each>
    void list(const std::vector<T>& values, std::size_t most, Each each) {
        EOS_ASSERT(values.size() <= most);
        out_.u32le(static_cast<std::uint32_t>(values.size()));
        for (const T& value : values) each(*this, value);
    }
    template <typename T, typename Each>
    void maybe(const std::optional<T>& value, Each each) {
        field(value.has_value());
        if (value) each(*this, *value);
    }
    void oid(const oid::Oid& value) { run(value.der(), kMaxOidBytes); }

  private:
    void run(ByteView value, std::size_t most) {
        EOS_ASSERT(value.size() <= most);
        out_.u32le(static_cast<std::uint32_t>(value.size())).bytes(value);
    }
    Writer out_;
};

/// Reads fields; the first that fails makes all that follow fail.
class Decoder {
  public:
    explicit Decoder(ByteView in) : in_(in) {}

    void field(bool& value) {
        std::uint8_t byte = take(in_.u8());
        if (byte > 1) refuse(malformed_message, "neither yes nor no");
        value = byte == 1;
    }
    void field(std::uint32_t& value) { value = take(in_.u32le()); }
    void field(std::uint64_t& value) { value = take(in_.u64le()); }
    void field(std::int64_t& value) { value = static_cast<std::int64_t>(take(in_.u64le())); }
    template <std::size_t N>
    void field(ByteArray<N>& value) {
        value = take(in_.array<N>());
    }
    void field(Bytes& value, std::size_t most) { value = to_bytes(run(most)); }
    void field(std::string& value, std::size_t most) {
        ByteView bytes = run(most);
        if (!is_utf8(bytes)) return refuse(malformed_message, "text that is not UTF-8");
        value = to_string(bytes);
    }
    template <typename Enum>
    void choice(Enum& value, Enum last) {
        std::uint8_t byte = take(in_.u8());
        if (byte > static_cast<std::uint8_t>(last))
            return refuse(malformed_message, "a choice that is not known");
        value = static_cast<Enum>(byte);
    }
    template <typename T, typename Each>
    void list(std::vector<T>& values, std::size_t most, Each each) {
        const std::uint32_t count = take(in_.u32le());
        if (count > most) return refuse(message_too_large, "entries of a list");
        for (std::uint32_t i = 0; i < count && !error_; ++i) each(*this, values.emplace_back());
    }
    template <typename T, typename Each>
    void maybe(std::optional<T>& value, Each each) {
        bool is_there = false;
        field(is_there);
        if (is_there) each(*this, value.emplace());
    }
    void oid(oid::Oid& value) {
        Result<oid::Oid> parsed = oid::Oid::from_der(run(kMaxOidBytes));
        if (parsed) {
            value = *parsed;
        } else {
            refuse(malformed_message, "an object identifier");
        }
    }
    Result<void> finish() {
        if (!error_ && in_.remaining() != 0) refuse(malformed_message, "bytes are left over");
        if (error_) return fail(*std::move(error_));
        return {};
    }

  private:
    template <typename T>
    T take(Result<T> value) {
        if (value) return *value;
        refuse(malformed_message, value.error().detail());
        return T{};
    }
    ByteView run(std::size_t most) {
        const std::uint32_t size = take(in_.u32le());
        if (size > most) {
            refuse(message_too_large, std::to_string(size) + " bytes");
            return {};
        }
        return take(in_.bytes(size));
    }
    void refuse(const Code& code, std::string detail) {
        if (!error_) error_.emplace(code, std::move(detail));
        in_.rest();
    }
    Reader in_;
    std::optional<Error> error_;
};

// --- the fields of each message, once for both directions ---

template <typename C, typename M>
concept Of = std::same_as<std::remove_const_t<C>, M>;

template <typename Coder>
void fields(Coder& c, Of<Hello> auto& m) {
    c.field(m.version);
}
template <typename Coder>
void fields(Coder&, Of<AskChallenge> auto&) {}
template <typename Coder>
void fields(Coder& c, Of<OwnerRequest> auto& m) {
    c.choice(m.purpose, owner::Purpose::kConfirmTime);
    c.field(m.owner_key);
    c.field(m.statement, owner::kMaxStatementBytes);
}
template <typename Coder>
void fields(Coder&, Of<Reload> auto&) {}
template <typename Coder>
void fields(Coder& c, Of<Attest> auto& m) {
    c.field(m.leaf_key);
}
template <typename Coder>
void fields(Coder& c, Of<DraftLeaf> auto& m) {
    c.field(m.name, kMaxTextBytes);
    c.field(m.generation);
    c.choice(m.scheme, ratls::LeafScheme::kV2);
    c.field(m.leaf_key);
    c.maybe(m.challenge, [](auto& coder, auto& challenge) {
        coder.field(challenge.nonce, ratls::kMaxNonceBytes);
        coder.field(challenge.binder);
        coder.field(challenge.peer_address);
    });
}
template <typename Coder>
void fields(Coder& c, Of<SignLeaf> auto& m) {
    c.field(m.draft);
    c.field(m.binding, kMaxTextBytes);
}
template <typename Coder>
void fields(Coder& c, Of<AttestChannel> auto& m) {
    c.field(m.leaf_key);
    c.field(m.channel.context);
    c.field(m.channel.exporter);
    c.field(m.peer_address);
}
template <typename Coder>
void fields(Coder& c, Of<ReadTree> auto& m) {
    c.choice(m.kind, config_tree::Scope::Kind::kWorkload);
    c.field(m.workload, kMaxTextBytes);
}

template <typename Coder>
void fields(Coder& c, Of<runtime::ServedName> auto& m) {
    c.field(m.name, kMaxTextBytes);
    c.choice(m.kind, runtime::NameKind::kApp);
    c.field(m.app, kMaxTextBytes);
    c.choice(m.profile, ratls::Profile::kV1);
    c.list(m.values, kMaxValuesPerName, [](auto& coder, auto& value) {
        coder.oid(value.oid);
        coder.field(value.value, kMaxTextBytes);
    });
}
template <typename Coder>
void fields(Coder& c, Of<State> auto& m) {
    c.field(m.is_owned);
    c.field(m.instance.instance_id);
    c.field(m.instance.boot_id);
    c.field(m.instance.generation);
    c.field(m.policy_root);
    c.field(m.owner_key_hash);
    c.field(m.ca_not_after);
    c.field(m.assurance, kMaxTextBytes);
    c.field(m.tee, kMaxTextBytes);
    c.field(m.time_trust, kMaxTextBytes);
    c.field(m.version, kMaxTextBytes);
    c.field(m.config, kMaxReplyBytes);
    c.field(m.policy_log, kMaxLogBytes);
    c.list(m.chain, runtime::kMaxChainCertificates, [](auto& coder, auto& certificate) {
        coder.field(certificate, runtime::kMaxCertificateBytes);
    });
    c.list(m.names, kMaxServedNames, [](auto& coder, auto& name) { fields(coder, name); });
}
template <typename Coder>
void fields(Coder&, Of<Done> auto&) {}
template <typename Coder>
void fields(Coder& c, Of<CaRequest> auto& m) {
    c.field(m.csr, kMaxTextBytes);
    c.field(m.evidence, kMaxEvidenceBytes);
}
template <typename Coder>
void fields(Coder& c, Of<OpenChallenge> auto& m) {
    c.field(m.challenge);
}
template <typename Coder>
void fields(Coder& c, Of<Evidence> auto& m) {
    c.field(m.not_before);
    c.field(m.bytes, kMaxEvidenceBytes);
}
template <typename Coder>
void fields(Coder& c, Of<Draft> auto& m) {
    c.field(m.draft);
    c.field(m.binding_message, kMaxTextBytes);
}
template <typename Coder>
void fields(Coder& c, Of<SignedLeaf> auto& m) {
    c.field(m.is_to_be_signed);
    c.field(m.leaf, 2 * kMaxEvidenceBytes);
}
template <typename Coder>
void fields(Coder& c, Of<TreeText> auto& m) {
    c.field(m.text, kMaxReplyBytes);
}
template <typename Coder>
void fields(Coder& c, Of<Failed> auto& m) {
    c.field(m.library, kMaxTextBytes);
    c.field(m.name, kMaxTextBytes);
    c.field(m.detail, kMaxTextBytes);
}

// --- frames ---

// A message's type is its place in the variant; replies are from 128.
template <typename Variant>
Bytes encode_frame(const Numbered<Variant>& in, std::uint8_t first_type) {
    Encoder body;
    std::visit([&](const auto& message) { fields(body, message); }, in.message);
    Writer frame;
    frame.u32le(static_cast<std::uint32_t>(body.out().view().size() + kHeaderBytes));
    frame.u8(static_cast<std::uint8_t>(first_type + in.message.index())).u32le(in.id);
    frame.bytes(body.out().view());
    return to_bytes(frame.view());
}

template <typename Variant, std::size_t I = 0>
Result<Variant> decode_body(std::size_t index, ByteView body) {
    if constexpr (I == std::variant_size_v<Variant>) {
        static_cast<void>(index);
        static_cast<void>(body);
        return fail(malformed_message, "a type that is not known");
    } else {
        if (index != I) return decode_body<Variant, I + 1>(index, body);
        std::variant_alternative_t<I, Variant> message;
        Decoder in(body);
        fields(in, message);
        EOS_TRY(in.finish());
        return Variant(std::in_place_index<I>, std::move(message));
    }
}

template <typename Variant>
Result<Numbered<Variant>> decode_frame(ByteView frame, std::uint8_t first_type) {
    Reader in(frame);
    Result<std::uint8_t> type = in.u8();
    Result<std::uint32_t> id = in.u32le();
    if (!type || !id || *type < first_type) return fail(malformed_message, "type and id");
    return Numbered<Variant>{*id, EOS_TRY(decode_body<Variant>(
                                      static_cast<std::size_t>(*type - first_type), in.rest()))};
}

constexpr std::uint8_t kFirstRequest = 1;
constexpr std::uint8_t kFirstReply = 128;

constexpr Code kCarriedCodes[] = {
    not_attested,
    runtime::state_changed,
    unknown_name,
    unknown_draft,
    key_has_other_use,
    bad_config,
    bad_yaml,
    runtime::mint_busy,
    runtime::mint_rate,
    runtime::wrong_stage,
    runtime::wrong_token,
    runtime::not_the_owner,
    owner::wrong_statement,
    owner::stale_statement,
    runtime::no_pending_request,
    runtime::bad_ca,
    runtime::time_disputed,
    runtime::time_jumped,
    runtime::name_not_permitted,
};

}  // namespace

Bytes encode(const Numbered<MintRequest>& request) {
    return encode_frame(request, kFirstRequest);
}

Bytes encode(const Numbered<MintReply>& reply) {
    return encode_frame(reply, kFirstReply);
}

Result<Numbered<MintRequest>> decode_request(ByteView frame) {
    if (frame.size() > kMaxRequestBytes) return fail(message_too_large);
    return decode_frame<MintRequest>(frame, kFirstRequest);
}

Result<Numbered<MintReply>> decode_reply(ByteView frame) {
    if (frame.size() > kMaxReplyBytes) return fail(message_too_large);
    return decode_frame<MintReply>(frame, kFirstReply);
}

Result<std::optional<Bytes>> FrameReader::next() {
    Reader in(buffer_);
    Result<std::uint32_t> size = in.u32le();
    if (!size) return std::nullopt;
    if (*size > max_bytes_) return fail(message_too_large, std::to_string(*size) + " bytes");
    if (*size < kHeaderBytes) return fail(malformed_message, "too short");
    Result<ByteView> frame = in.bytes(*size);
    if (!frame) return std::nullopt;
    Bytes out = to_bytes(*frame);
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(4 + out.size()));
    return out;
}

Failed to_failed(const Error& error) {
    // Each byte may take four to be printable.
    auto cut = [](std::string text) { return printable(as_bytes(text), (kMaxTextBytes - 8) / 4); };
    return {std::string(error.code().library), std::string(error.code().name), cut(error.detail())};
}

Error to_error(const Failed& failed) {
    auto found = std::ranges::find_if(kCarriedCodes, [&](const Code& code) {
        return code.library == failed.library && code.name == failed.name;
    });
    if (found != std::end(kCarriedCodes)) return Error(*found, failed.detail);
    return Error(minter_failed, printable(as_bytes(failed.name)) + ": " + failed.detail);
}

}  // namespace eos::cvm
