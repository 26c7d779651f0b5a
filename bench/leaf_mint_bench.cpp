// SPDX-License-Identifier: AGPL-3.0-only
// Minting a leaf with 5 KiB of evidence, 17 extensions and both signatures (leaf_binding, issuer),
// as a ratio to the same certificate through OpenSSL's X509 API in the same run; and parsing it.
// Key generation is not part of either.
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <memory>
#include <vector>

#include "common/base/assert.h"
#include "common/oid/registry.h"
#include "common/x509/builder.h"

namespace eos::x509 {
namespace {

constexpr int kRounds = 15;
constexpr int kMintsPerRound = 200;
constexpr std::size_t kEvidenceBytes = 5000;
constexpr const char* kHost = "app.example.test";
constexpr oid::Oid kValues[] = {oid::kPlatformConfigRoot, oid::kEgressCaBundleHash,
                                oid::kRuntimeVersionHash, oid::kCombinedWorkloadsHash,
                                oid::kImageProfile,       oid::kWorkloadConfigRoot,
                                oid::kWorkloadDigest,     oid::kPolicyRoot,
                                oid::kInstance,           oid::kAssurance};

// CPU time of this thread: what others do on the machine is not in it.
double cpu_us() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

struct Inputs {
    crypto::P256PrivateKey ca_key = crypto::P256PrivateKey::generate();
    crypto::P256PrivateKey leaf_key = crypto::P256PrivateKey::generate();
    Validity validity{{1767225600}, {1767312000}};
    DistinguishedName subject = DistinguishedName::common_name(kHost).value();
    Certificate ca =
        make_root_ca(
            {.subject = DistinguishedName::common_name("CA").value(), .validity = validity}, ca_key)
            .value();
    Bytes evidence = Bytes(kEvidenceBytes, std::byte{0x5a});
    Bytes value = Bytes(32, std::byte{1});
};

Bytes mint_ours(const Inputs& in) {
    CertificateDraft draft({.serial = Serial::random(),
                            .issuer = in.ca.subject_tlv(),
                            .validity = in.validity,
                            .subject = in.subject.der(),
                            .spki = in.leaf_key.public_key().spki()});
    SubjectAltName names;
    names.dns_names = {kHost};
    draft.add(make_basic_constraints({}))
        .add(make_key_usage(kDigitalSignature))
        .add(make_extended_key_usage(std::array{oid::kServerAuth}))
        .add(make_subject_alt_name(names).value())
        .add(make_authority_key_identifier(in.ca.subject_key_identifier()))
        .add(oid::kSgxQuote, Critical::kNo, in.evidence);
    for (const oid::Oid& oid : kValues) draft.add(oid, Critical::kNo, in.value);
    Bytes signature = in.leaf_key.sign_der(draft.contents_digest());
    draft.add(oid::kLeafBinding, Critical::kNo, signature);
    return draft.sign(in.ca_key);
}

// The same through OpenSSL, which is spared what it can be spared: objects are made once.
class OpensslMint {
  public:
    explicit OpensslMint(const Inputs& in) : in_(in) {
        const unsigned char* p = as_uchars(in.ca.der());
        ca_ = d2i_X509(nullptr, &p, static_cast<long>(in.ca.der().size()));
        p = as_uchars(in.subject.der());
        subject_ = d2i_X509_NAME(nullptr, &p, static_cast<long>(in.subject.der().size()));
        for (const oid::Oid& oid : kValues)
            value_objects_.push_back(OBJ_txt2obj(oid.dotted().c_str(), 1));
        quote_object_ = OBJ_txt2obj(oid::kSgxQuote.dotted().c_str(), 1);
        binding_object_ = OBJ_txt2obj(oid::kLeafBinding.dotted().c_str(), 1);
    }
    ~OpensslMint() {
        for (ASN1_OBJECT* object : value_objects_) ASN1_OBJECT_free(object);
        ASN1_OBJECT_free(quote_object_);
        ASN1_OBJECT_free(binding_object_);
        X509_NAME_free(subject_);
        X509_free(ca_);
    }
    OpensslMint(const OpensslMint&) = delete;
    OpensslMint& operator=(const OpensslMint&) = delete;

    Bytes operator()() {
        X509* leaf = X509_new();
        X509_set_version(leaf, X509_VERSION_3);
        Serial serial = Serial::random();
        BIGNUM* number =
            BN_bin2bn(as_uchars(serial.bytes()), static_cast<int>(serial.bytes().size()), nullptr);
        BN_to_ASN1_INTEGER(number, X509_get_serialNumber(leaf));
        BN_free(number);
        X509_set_issuer_name(leaf, X509_get_subject_name(ca_));
        X509_set_subject_name(leaf, subject_);
        ASN1_TIME_set(X509_getm_notBefore(leaf), in_.validity.not_before.seconds);
        ASN1_TIME_set(X509_getm_notAfter(leaf), in_.validity.not_after.seconds);
        X509_set_pubkey(leaf, in_.leaf_key.handle());
        add_standard(leaf);
        add(leaf, quote_object_, in_.evidence);
        for (ASN1_OBJECT* object : value_objects_) add(leaf, object, in_.value);
        add(leaf, binding_object_, in_.leaf_key.sign_der(contents_digest(leaf)));
        X509_sign(leaf, in_.ca_key.handle(), EVP_sha256());
        Bytes out = encode(i2d_X509, leaf);
        X509_free(leaf);
        return out;
    }

  private:
    template <typename T>
    static Bytes encode(int (*i2d)(const T*, unsigned char**), const T* value) {
        Bytes out(static_cast<std::size_t>(i2d(value, nullptr)));
        unsigned char* p = as_writable_uchars(out);
        i2d(value, &p);
        return out;
    }

    static void add(X509* leaf, ASN1_OBJECT* object, ByteView value) {
        ASN1_OCTET_STRING* octets = ASN1_OCTET_STRING_new();
        ASN1_OCTET_STRING_set(octets, as_uchars(value), static_cast<int>(value.size()));
        X509_EXTENSION* extension = X509_EXTENSION_create_by_OBJ(nullptr, object, 0, octets);
        X509_add_ext(leaf, extension, -1);
        X509_EXTENSION_free(extension);
        ASN1_OCTET_STRING_free(octets);
    }

    void add_standard(X509* leaf) const {
        BASIC_CONSTRAINTS* constraints = BASIC_CONSTRAINTS_new();
        X509_add1_ext_i2d(leaf, NID_basic_constraints, constraints, 1, X509V3_ADD_APPEND);
        BASIC_CONSTRAINTS_free(constraints);
        ASN1_BIT_STRING* usage = ASN1_BIT_STRING_new();
        ASN1_BIT_STRING_set_bit(usage, 0, 1);
        X509_add1_ext_i2d(leaf, NID_key_usage, usage, 1, X509V3_ADD_APPEND);
        ASN1_BIT_STRING_free(usage);
        EXTENDED_KEY_USAGE* purposes = EXTENDED_KEY_USAGE_new();
        sk_ASN1_OBJECT_push(purposes, OBJ_nid2obj(NID_server_auth));
        X509_add1_ext_i2d(leaf, NID_ext_key_usage, purposes, 0, X509V3_ADD_APPEND);
        EXTENDED_KEY_USAGE_free(purposes);
        GENERAL_NAMES* names = GENERAL_NAMES_new();
        ASN1_IA5STRING* host = ASN1_IA5STRING_new();
        ASN1_STRING_set(host, kHost, -1);
        GENERAL_NAME* name = GENERAL_NAME_new();
        GENERAL_NAME_set0_value(name, GEN_DNS, host);
        sk_GENERAL_NAME_push(names, name);
        X509_add1_ext_i2d(leaf, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND);
        GENERAL_NAMES_free(names);
        AUTHORITY_KEYID* authority = AUTHORITY_KEYID_new();
        authority->keyid = ASN1_OCTET_STRING_dup(X509_get0_subject_key_id(ca_));
        X509_add1_ext_i2d(leaf, NID_authority_key_identifier, authority, 0, X509V3_ADD_APPEND);
        AUTHORITY_KEYID_free(authority);
    }

    crypto::Digest32 contents_digest(X509* leaf) const {
        crypto::Sha256 hash;
        hash.update(encode(i2d_ASN1_INTEGER, X509_get0_serialNumber(leaf)));
        hash.update(encode(i2d_X509_NAME, X509_get_issuer_name(leaf)));
        hash.update(encode(i2d_ASN1_TIME, X509_get0_notBefore(leaf)));
        hash.update(encode(i2d_ASN1_TIME, X509_get0_notAfter(leaf)));
        hash.update(encode(i2d_X509_NAME, X509_get_subject_name(leaf)));
        hash.update(encode(i2d_X509_PUBKEY, X509_get_X509_PUBKEY(leaf)));
        for (int i = 0; i < X509_get_ext_count(leaf); ++i)
            hash.update(encode(i2d_X509_EXTENSION, X509_get_ext(leaf, i)));
        return hash.finish();
    }

    const Inputs& in_;
    X509* ca_ = nullptr;
    X509_NAME* subject_ = nullptr;
    std::vector<ASN1_OBJECT*> value_objects_;
    ASN1_OBJECT* quote_object_ = nullptr;
    ASN1_OBJECT* binding_object_ = nullptr;
};

double median(std::vector<double> values) {
    std::ranges::nth_element(values,
                             values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
    return values[values.size() / 2];
}

template <typename Work>
double per_call_us(Work work) {
    double start = cpu_us();
    for (int i = 0; i < kMintsPerRound; ++i) work();
    return (cpu_us() - start) / kMintsPerRound;
}

// Both made the same certificate: as many extensions, and verified by the other's reader.
void check_equivalence(const Inputs& in, const Bytes& ours, const Bytes& theirs) {
    Certificate a = Certificate::parse(ours).value();
    Certificate b = Certificate::parse(theirs).value();
    EOS_ASSERT(a.extensions().size() == b.extensions().size() && a.extensions().size() == 17);
    EOS_ASSERT(equal(a.validity_tlv(), b.validity_tlv()) && a.subject() == b.subject());
    for (std::size_t i = 0; i + 1 < a.extensions().size(); ++i)
        EOS_ASSERT(equal(a.extensions()[i].whole, b.extensions()[i].whole));
    EOS_ASSERT(a.verify_signed_by(in.ca_key.public_key()));
    EOS_ASSERT(b.verify_signed_by(in.ca_key.public_key()));
}

void run() {
    Inputs in;
    OpensslMint openssl_mint(in);
    Bytes leaf = mint_ours(in);
    check_equivalence(in, leaf, openssl_mint());
    std::vector<double> ours, theirs, floor, ratios, parse, parse_theirs;
    for (int round = 0; round < kRounds; ++round) {
        ours.push_back(per_call_us([&] { (void)mint_ours(in); }));
        theirs.push_back(per_call_us([&] { (void)openssl_mint(); }));
        floor.push_back(per_call_us([&] {
            (void)in.leaf_key.sign_der(crypto::sha256(in.evidence));
            (void)in.ca_key.sign_der(in.evidence);
        }));
        parse.push_back(per_call_us([&] { (void)Certificate::parse(leaf); }));
        parse_theirs.push_back(per_call_us([&] {
            const unsigned char* p = as_uchars(leaf);
            X509_free(d2i_X509(nullptr, &p, static_cast<long>(leaf.size())));
        }));
        ratios.push_back(ours.back() / theirs.back());
    }
    std::printf("leaf, %zu bytes: median CPU of %d rounds of %d\n", leaf.size(), kRounds,
                kMintsPerRound);
    std::printf("mint   %7.1f us   OpenSSL X509 API %7.1f us   ratio %.2f, target 0.4\n",
                median(ours), median(theirs), median(ratios));
    std::printf("       %7.1f us of it are two signatures and two hashes\n", median(floor));
    std::printf("parse  %7.1f us   OpenSSL d2i_X509 %7.1f us   ratio %.2f\n", median(parse),
                median(parse_theirs), median(parse) / median(parse_theirs));
}

}  // namespace
}  // namespace eos::x509

int main() {
    eos::x509::run();
    return 0;
}
