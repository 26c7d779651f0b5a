// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/signature_memo.h"

#include <cstring>

#include "common/attestation/verify/signatures.h"
#include "common/base/assert.h"

namespace eos::attestation::verify {
namespace {

/// Hashes parts so that no two lists of parts give the same bytes: each with its length, absent
/// ones apart from empty ones.
class Framed {
  public:
    explicit Framed(std::string_view domain) { add(as_bytes(domain)); }

    void add(ByteView part) { write(1, part); }
    void add(const std::optional<Bytes>& part) {
        if (part.has_value()) return add(ByteView(*part));
        write(0, {});
    }
    void add(const std::optional<endorsements::SignedObject>& object) {
        if (!object.has_value()) return write(0, {});
        add(ByteView(object->body));
        add(ByteView(object->signature));
        add(as_bytes(object->issuer_chain_pem));
    }
    void count(std::size_t n) { write(2, {}, n); }
    crypto::Digest32 finish() { return hash_.finish(); }

  private:
    void write(std::uint8_t kind, ByteView part) { write(kind, part, part.size()); }
    void write(std::uint8_t kind, ByteView part, std::size_t size) {
        ByteArray<9> head{std::byte{kind}};
        for (std::size_t i = 0; i < 8; ++i) head[i + 1] = std::byte(size >> (8 * i));
        hash_.update(head);
        hash_.update(part);
    }
    crypto::Sha256 hash_;
};

void add_roots(Framed& out, const Roots& roots) {
    out.count(roots.kind() == RootKind::vendor ? 0 : 1);
    // A vendor's roots are compiled in: its name stands for them.
    out.count(roots.vendors().size());
    for (Vendor vendor : roots.vendors()) out.add(as_bytes(vendor_name(vendor)));
    out.count(roots.test_roots().size());
    for (const TestRoot& root : roots.test_roots()) out.add(root.certificate.der());
}

}  // namespace

crypto::Digest32 digest_of_endorsements(const endorsements::Endorsements& used,
                                        const Roots& roots) {
    Framed out("enclave-os/signature-memo/endorsements/1");
    add_roots(out, roots);
    out.add(used.root_ca_crl);
    out.add(used.pck_crl);
    out.add(used.tcb_info);
    out.add(used.qe_identity);
    out.count(used.amd.certificates.size());
    for (const Bytes& certificate : used.amd.certificates) out.add(ByteView(certificate));
    out.add(used.amd.ark_crl);
    out.add(used.amd.ask_crl);
    return out.finish();
}

crypto::Digest32 digest_of_inputs(ByteView evidence, const crypto::Digest32& endorsements) {
    Framed out("enclave-os/signature-memo/inputs/1");
    out.add(ByteView(endorsements));
    out.add(evidence);
    return out.finish();
}

BoundedSignatureMemo::BoundedSignatureMemo(std::size_t max_entries) : max_entries_(max_entries) {
    EOS_ASSERT(max_entries > 0);
}

std::size_t BoundedSignatureMemo::FirstBytes::operator()(const crypto::Digest32& digest) const {
    std::size_t out = 0;
    std::memcpy(&out, digest.data(), sizeof out);
    return out;
}

SignatureSet BoundedSignatureMemo::begin(const crypto::Digest32& inputs) {
    auto found = by_inputs_.find(inputs);
    if (found == by_inputs_.end()) return {};
    order_.splice(order_.begin(), order_, found->second);
    return found->second->good;
}

void BoundedSignatureMemo::end(const crypto::Digest32& inputs, SignatureSet good) {
    if (good.is_empty()) return;
    if (auto found = by_inputs_.find(inputs); found != by_inputs_.end()) {
        found->second->good.add(good);
        return;
    }
    if (order_.size() == max_entries_) {
        by_inputs_.erase(order_.back().inputs);
        order_.pop_back();
    }
    order_.push_front({inputs, good});
    by_inputs_.emplace(inputs, order_.begin());
}

}  // namespace eos::attestation::verify
