// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/chain.h"

#include <gtest/gtest.h>

#include <random>

#include "common/x509/openssl_peer_test.h"
#include "common/x509/pki_test.h"

namespace eos::x509 {
namespace {

using testing::at;
using testing::ca_key;
using testing::intermediate_key;
using testing::leaf_key;
using testing::LeafRecipe;
using testing::name;
using testing::one_year;
using testing::Pki;

// What one verification takes, owned.
struct Scene {
    Certificate leaf;
    std::vector<Certificate> intermediates;
    std::vector<Certificate> anchors;
    UnixTime time = at("2026-06-01T12:00:00Z");
    ChainOptions options = {.host = "app.example.test", .purpose = oid::kServerAuth};

    Result<std::vector<Certificate>> verify() const {
        return verify_chain({leaf, intermediates, anchors, time}, options);
    }
};

Scene scene(const Pki& pki = {}) {
    Certificate root = pki.root();
    Certificate intermediate = pki.intermediate(root);
    return {pki.leaf(intermediate), {intermediate}, {root}};
}

// X509_verify_cert() on the same question.
bool openssl_accepts(const Scene& scene) {
    peer::Handle<X509_STORE> store(X509_STORE_new());
    for (const Certificate& anchor : scene.anchors)
        X509_STORE_add_cert(store.get(), peer::certificate(anchor.der()).get());
    std::vector<peer::Handle<X509>> kept;
    peer::Handle<STACK_OF(X509)> untrusted(sk_X509_new_null());
    for (const Certificate& certificate : scene.intermediates) {
        kept.push_back(peer::certificate(certificate.der()));
        sk_X509_push(untrusted.get(), kept.back().get());
    }
    auto leaf = peer::certificate(scene.leaf.der());
    peer::Handle<X509_STORE_CTX> context(X509_STORE_CTX_new());
    X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), untrusted.get());
    X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_time(parameters, scene.time.seconds);
    X509_VERIFY_PARAM_set_depth(parameters, 8);
    // What this project calls an anchor: any certificate in the store, self-signed or not.
    X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (scene.options.host) {
        const std::string& host = *scene.options.host;
        if (X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str()) != 1)
            X509_VERIFY_PARAM_set1_host(parameters, host.c_str(), host.size());
    }
    if (scene.options.purpose == oid::kServerAuth)
        X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_SERVER);
    return X509_verify_cert(context.get()) == 1;
}

enum class Peer { kRefusesToo, kIsLaxer };

void expect_refused(const Scene& scene, const Code& code, Peer peer = Peer::kRefusesToo) {
    auto result = scene.verify();
    ASSERT_FALSE(result.has_value()) << "expected " << code.name;
    EXPECT_EQ(result.error().code(), code) << result.error().message();
    EXPECT_EQ(openssl_accepts(scene), peer == Peer::kIsLaxer) << code.name;
}

void expect_accepted(const Scene& scene) {
    auto result = scene.verify();
    ASSERT_TRUE(result.has_value()) << result.error().message();
    EXPECT_TRUE(openssl_accepts(scene));
}

TEST(Chain, AcceptsWhatThisProjectIssues) {
    Scene sound = scene();
    expect_accepted(sound);
    std::vector<Certificate> path = sound.verify().value();
    ASSERT_EQ(path.size(), 3u);
    EXPECT_EQ(path[0], sound.leaf);
    EXPECT_EQ(path[1], sound.intermediates[0]);
    EXPECT_EQ(path[2], sound.anchors[0]);
}

TEST(Chain, AnIntermediateMayBeTheAnchor) {
    Scene partial = scene();
    partial.anchors = {partial.intermediates[0]};
    expect_accepted(partial);
    partial.intermediates.clear();
    expect_accepted(partial);
    EXPECT_EQ(partial.verify()->size(), 2u);
}

TEST(Chain, Time) {
    Scene early = scene();
    early.time = one_year().not_before;
    expect_accepted(early);
    early.time = early.time - 1;
    expect_refused(early, not_yet_valid);
    early.time = one_year().not_after;  // included; not so for OpenSSL
    EXPECT_TRUE(early.verify().has_value());
    early.time = early.time + 1;
    expect_refused(early, expired);

    const Validity past{at("2025-01-01T00:00:00Z"), at("2025-12-31T23:59:59Z")};
    Pki old_root;
    old_root.root_options.validity = past;
    expect_refused(scene(old_root), expired);
    Pki old_intermediate;
    old_intermediate.intermediate_options.validity = past;
    expect_refused(scene(old_intermediate), expired);
}

TEST(Chain, UnknownIssuer) {
    Scene missing = scene();
    missing.intermediates.clear();
    expect_refused(missing, unknown_issuer);
    Scene no_anchor = scene();
    no_anchor.anchors.clear();
    expect_refused(no_anchor, unknown_issuer);
    EXPECT_EQ(no_anchor.verify().error().detail(),
              "O=Enclave OS\\, test, CN=intermediate is issued by O=Enclave OS\\, test, CN=root");
}

// The names are right and the key is another: what an attacker without the CA key can make.
TEST(Chain, BadSignature) {
    Scene forged = scene();
    LeafRecipe recipe;
    forged.leaf = recipe.issue(forged.intermediates[0], leaf_key());
    expect_refused(forged, bad_signature);

    Scene other_root = scene();
    other_root.anchors = {
        make_root_ca({.subject = name("root"), .validity = one_year()}, leaf_key()).value()};
    expect_refused(other_root, bad_signature);
}

TEST(Chain, UnsupportedAlgorithm) {
    Scene sha384 = scene();
    auto leaf = peer::certificate(sha384.leaf.der());
    X509_sign(leaf.get(), intermediate_key().handle(), EVP_sha384());
    sha384.leaf = Certificate::parse(peer::to_der(i2d_X509, leaf.get())).value();
    expect_refused(sha384, unsupported_algorithm, Peer::kIsLaxer);
}

TEST(Chain, NotACa) {
    // A leaf that issues a leaf: the classic.
    Scene below_leaf = scene();
    Certificate evil = LeafRecipe{.cn = "evil"}.issue(below_leaf.leaf, leaf_key());
    below_leaf.intermediates.push_back(below_leaf.leaf);
    below_leaf.leaf = evil;
    expect_refused(below_leaf, not_a_ca);
}

TEST(Chain, PathLength) {
    Scene deep = scene();
    Certificate sub =
        make_intermediate_ca({.subject = name("sub"), .validity = one_year()},
                             leaf_key().public_key(), deep.intermediates[0], intermediate_key())
            .value();
    deep.intermediates.push_back(sub);
    deep.leaf = LeafRecipe().issue(sub, leaf_key());
    expect_refused(deep, path_length);

    Pki unlimited;
    unlimited.intermediate_options.path_length = 1;
    Scene allowed = scene(unlimited);
    sub =
        make_intermediate_ca({.subject = name("sub"), .validity = one_year()},
                             leaf_key().public_key(), allowed.intermediates[0], intermediate_key())
            .value();
    allowed.intermediates.push_back(sub);
    allowed.leaf = LeafRecipe().issue(sub, leaf_key());
    expect_accepted(allowed);
    allowed.options.max_certificates = 4;
    expect_accepted(allowed);
    allowed.options.max_certificates = 3;
    EXPECT_EQ(allowed.verify().error().code(), too_long);
    unlimited.root_options.path_length = 0;
    expect_refused(scene(unlimited), path_length);
}

TEST(Chain, NameConstraints) {
    auto with_names = [](std::vector<std::string> names) {
        Pki pki;
        Scene out = scene(pki);
        pki.leaf_recipe.dns_names = std::move(names);
        out.leaf = pki.leaf(out.intermediates[0]);
        out.options.host.reset();
        return out;
    };
    expect_accepted(with_names({"example.test", "deep.app.EXAMPLE.test"}));
    expect_refused(with_names({"app.example.test", "app.other.test"}), name_constraint);
    expect_refused(with_names({"badexample.test"}), name_constraint);
    expect_refused(with_names({"test"}), name_constraint);
    expect_refused(with_names({"secret.example.test"}), name_constraint);
    expect_refused(with_names({"a.Secret.example.test"}), name_constraint);
    // The wildcard stands for secret.example.test too; OpenSSL does not look.
    expect_refused(with_names({"*.example.test"}), name_constraint, Peer::kIsLaxer);
    expect_accepted(with_names({"*.app.example.test"}));
}

TEST(Chain, NameConstraintsOnAddresses) {
    auto with_address = [](std::string_view address) {
        Pki pki;
        NameConstraints rules;
        rules.permitted_ip = {{*IpAddress::parse("10.0.0.0"), 8},
                              {*IpAddress::parse("2001:db8::"), 33}};
        rules.excluded_ip = {{*IpAddress::parse("10.1.0.0"), 15}};
        pki.intermediate_options.name_constraints = rules;
        pki.leaf_recipe.ip_addresses = {*IpAddress::parse(address)};
        Scene out = scene(pki);
        out.options.host = std::string(address);
        return out;
    };
    expect_accepted(with_address("10.2.0.1"));
    expect_accepted(with_address("2001:db8::1"));
    expect_refused(with_address("10.1.0.1"), name_constraint);
    expect_refused(with_address("10.0.0.255"), name_constraint);
    expect_refused(with_address("192.0.2.1"), name_constraint);
    expect_refused(with_address("2001:db8:8000::1"), name_constraint);
}

TEST(Chain, ConstraintsOnOtherFormsAreRefused) {
    // permitted: a directory name, which OpenSSL applies and this project does not.
    DerWriter value;
    value.sequence([&] {
        value.constructed(context_constructed(0), [&] {
            value.sequence([&] {
                value.constructed(context_constructed(4), [&] {
                    value.raw(DistinguishedName::of({{oid::kOrganizationName, "Enclave OS, test"}})
                                  ->der());
                });
            });
        });
    });
    Pki pki;
    pki.intermediate_options.name_constraints.reset();
    pki.intermediate_options.more_extensions = {
        {oid::kNameConstraints, Critical::kYes, to_bytes(value.view())}};
    expect_refused(scene(pki), name_constraint, Peer::kIsLaxer);
}

TEST(Chain, KeyUsage) {
    Pki pki;
    pki.leaf_recipe.key_usage = kKeyEncipherment;
    expect_refused(scene(pki), key_usage, Peer::kIsLaxer);
    pki.leaf_recipe.key_usage = 0;  // without the extension any use is allowed
    expect_accepted(scene(pki));
    pki.leaf_recipe.key_usage = kDigitalSignature;
    pki.leaf_recipe.purposes = {oid::kClientAuth};
    expect_refused(scene(pki), key_usage);
    pki.leaf_recipe.purposes = {};
    expect_accepted(scene(pki));

    // A CA that may only sign revocation lists.
    Scene crl_only = scene();
    auto intermediate = peer::certificate(crl_only.intermediates[0].der());
    int index = X509_get_ext_by_NID(intermediate.get(), NID_key_usage, -1);
    peer::Handle<X509_EXTENSION> removed(X509_delete_ext(intermediate.get(), index));
    peer::add_extension(intermediate.get(), NID_key_usage, "critical,cRLSign");
    crl_only.intermediates = {Certificate::parse(peer::sign(intermediate.get(), ca_key())).value()};
    expect_refused(crl_only, key_usage);

    // A CA whose purposes do not include the leaf's.
    Pki for_clients;
    for_clients.intermediate_options.more_extensions = {
        make_extended_key_usage(std::array{oid::kClientAuth})};
    expect_refused(scene(for_clients), key_usage);
}

TEST(Chain, UnknownCriticalExtension) {
    const Extension critical{oid::kEmulationRootMarker, Critical::kYes, Bytes(2)};
    Pki marked_root;
    marked_root.root_options.more_extensions = {critical};
    Scene emulated = scene(marked_root);
    expect_refused(emulated, unknown_critical_extension);
    emulated.options.known_critical = {oid::kEmulationRootMarker};
    EXPECT_TRUE(emulated.verify().has_value());
    emulated.options.known_critical = {oid::kAssurance};
    expect_refused(emulated, unknown_critical_extension);

    Pki marked_leaf;
    marked_leaf.leaf_recipe.more_extensions = {critical};
    expect_refused(scene(marked_leaf), unknown_critical_extension);
    Pki policies;
    policies.intermediate_options.more_extensions = {
        {oid::kAuthorityInfoAccess, Critical::kYes, Bytes{std::byte{0x30}, std::byte{0}}}};
    expect_refused(scene(policies), unknown_critical_extension);
}

TEST(Chain, WrongName) {
    Scene other = scene();
    for (const char* host : {"example.test", "a.app.example.test", "app.example.test.", "", "*",
                             "app.example.test\n", "192.0.2.1", "*.example.test"}) {
        other.options.host = host;
        auto result = other.verify();
        ASSERT_FALSE(result.has_value()) << host;
        EXPECT_EQ(result.error().code(), wrong_name) << host;
    }
    other.options.host = "APP.example.TEST";
    expect_accepted(other);
    other.options.host.reset();
    expect_accepted(other);

    Pki no_san;  // the CN is not a name
    no_san.leaf_recipe.cn = "app.example.test";
    no_san.leaf_recipe.dns_names.clear();
    expect_refused(scene(no_san), wrong_name);

    Pki text_address;  // an address in text form, in a dNSName
    text_address.leaf_recipe.dns_names = {"192.0.2.1"};
    text_address.intermediate_options.name_constraints.reset();
    Scene address = scene(text_address);
    address.options.host = "192.0.2.1";
    expect_refused(address, wrong_name);
}

TEST(Chain, Wildcards) {
    Pki pki;
    pki.intermediate_options.name_constraints.reset();
    pki.leaf_recipe.dns_names = {"*.example.test"};
    Scene wild = scene(pki);
    expect_refused(wild, wrong_name, Peer::kIsLaxer);
    wild.options.wildcards = Wildcards::kLeftmostLabel;
    expect_accepted(wild);
    for (const char* host :
         {"example.test", "a.b.example.test", "*.example.test", ".example.test"}) {
        wild.options.host = host;
        EXPECT_EQ(wild.verify().error().code(), wrong_name) << host;
    }
}

// Two roots of one name and key, as Intel's are: one expired, one not, in either order.
TEST(Chain, TriesEveryAnchor) {
    Scene renewed = scene();
    Pki old;
    old.root_options.validity = {at("2020-01-01T00:00:00Z"), at("2021-01-01T00:00:00Z")};
    renewed.anchors.insert(renewed.anchors.begin(), old.root());
    EXPECT_TRUE(renewed.verify().has_value());
    std::swap(renewed.anchors[0], renewed.anchors[1]);
    EXPECT_TRUE(renewed.verify().has_value());
    renewed.anchors.erase(renewed.anchors.begin());
    expect_refused(renewed, expired);
}

TEST(Chain, NeverTrustsWhatThePeerSends) {
    Scene self_made = scene();
    self_made.intermediates.push_back(self_made.anchors[0]);
    self_made.anchors = {
        make_root_ca({.subject = name("another"), .validity = one_year()}, leaf_key()).value()};
    expect_refused(self_made, unknown_issuer);
}

// Certificates that issue each other, and many of one name: bounded, and an answer.
TEST(Chain, LoopsAndFloodsEnd) {
    Certificate a = make_root_ca({.subject = name("a"), .validity = one_year()}, ca_key()).value();
    Certificate b =
        make_root_ca({.subject = name("b"), .validity = one_year()}, intermediate_key()).value();
    Certificate a_by_b = make_intermediate_ca({.subject = name("a"), .validity = one_year()},
                                              ca_key().public_key(), b, intermediate_key())
                             .value();
    Certificate b_by_a = make_intermediate_ca({.subject = name("b"), .validity = one_year()},
                                              intermediate_key().public_key(), a, ca_key())
                             .value();
    Scene loop{LeafRecipe().issue(a, ca_key()), {a_by_b, b_by_a, a, b}, {}};
    loop.options.max_certificates = 100;
    EXPECT_EQ(loop.verify().error().code(), unknown_issuer);

    Scene flood{LeafRecipe().issue(a, ca_key()), {}, {}};
    for (std::size_t i = 0; i < kMaxIntermediates; ++i) {
        flood.intermediates.push_back(
            make_root_ca({.subject = name("a"), .validity = one_year()}, ca_key()).value());
    }
    flood.options.max_certificates = 100;
    EXPECT_EQ(flood.verify().error().code(), too_long);
    flood.intermediates.push_back(a);
    EXPECT_EQ(flood.verify().error().code(), too_many);
}

// Random sets of properties: both implementations give the same answer.
TEST(Chain, AgreesWithOpenSslOnRandomChains) {
    std::mt19937 random(20261106);
    auto one_in = [&](unsigned n) { return random() % n == 0; };
    const Validity past{at("2025-01-01T00:00:00Z"), at("2025-12-31T23:59:59Z")};
    int accepted = 0;
    for (int round = 0; round < 400; ++round) {
        Pki pki;
        if (one_in(12)) pki.root_options.validity = past;
        if (one_in(4)) pki.root_options.path_length = random() % 3;
        if (one_in(12)) pki.intermediate_options.validity = past;
        if (one_in(3)) pki.intermediate_options.name_constraints.reset();
        if (one_in(12)) pki.leaf_recipe.validity = past;
        if (one_in(5)) pki.leaf_recipe.purposes = {oid::kClientAuth};
        if (one_in(5)) pki.leaf_recipe.purposes.clear();
        if (one_in(4)) pki.leaf_recipe.dns_names.push_back("a.other.test");
        if (one_in(4)) pki.leaf_recipe.dns_names.push_back("b.secret.example.test");
        if (one_in(4)) pki.leaf_recipe.ip_addresses = {*IpAddress::parse("192.0.2.1")};
        if (one_in(8)) {
            pki.intermediate_options.more_extensions.push_back(make_extended_key_usage(
                std::array{one_in(2) ? oid::kServerAuth : oid::kClientAuth}));
        }
        if (one_in(12)) {
            pki.leaf_recipe.more_extensions.push_back(
                {oid::kPolicyRoot, one_in(2) ? Critical::kYes : Critical::kNo, Bytes(32)});
        }
        Scene random_scene = scene(pki);
        if (one_in(12)) random_scene.intermediates.clear();
        if (one_in(12)) {
            random_scene.anchors = {random_scene.leaf};
            random_scene.intermediates.clear();  // OpenSSL would use them first, and fail by them
        }
        if (one_in(6)) random_scene.options.host = "192.0.2.1";
        if (one_in(6)) random_scene.options.host = "other.example.test";
        auto result = random_scene.verify();
        accepted += result.has_value() ? 1 : 0;
        ASSERT_EQ(result.has_value(), openssl_accepts(random_scene))
            << "round " << round << ": " << (result ? "accepted" : result.error().message());
    }
    EXPECT_GT(accepted, 50);
    EXPECT_LT(accepted, 350);
}

}  // namespace
}  // namespace eos::x509
