// SPDX-License-Identifier: AGPL-3.0-only
#include "common/config_tree/hashing.h"

#include "common/base/assert.h"
#include "common/base/codec.h"

namespace eos::config_tree {
namespace {

constexpr std::uint8_t kLeafPrefix = 0;
constexpr std::uint8_t kNodePrefix = 1;
constexpr std::uint8_t kRootPrefix = 2;
constexpr std::string_view kRootLabel = "enclave-os/config-tree/1";

}  // namespace

Digest32 TreeHasher::leaf(const Leaf& leaf) {
    const std::vector<std::string>& components = leaf.name.components();
    const ByteArray<2> head{std::byte{kLeafPrefix}, static_cast<std::byte>(components.size())};
    hash_.update(head);
    for (const std::string& component : components) {
        const ByteArray<2> size{static_cast<std::byte>(component.size() >> 8),
                                static_cast<std::byte>(component.size())};
        hash_.update(size);
        hash_.update(as_bytes(component));
    }
    const ByteArray<1> kind{static_cast<std::byte>(leaf.value.kind())};
    hash_.update(kind);
    hash_.update(leaf.value.hash());
    return hash_.finish();
}

Digest32 TreeHasher::node(const Digest32& left, const Digest32& right) {
    ByteArray<65> preimage{std::byte{kNodePrefix}};
    std::ranges::copy(left, preimage.begin() + 1);
    std::ranges::copy(right, preimage.begin() + 33);
    hash_.update(preimage);
    return hash_.finish();
}

Digest32 TreeHasher::root(const Scope& scope, std::uint32_t count, const Digest32& top) {
    Writer preimage;
    preimage.u8(kRootPrefix).text(kRootLabel).u8(static_cast<std::uint8_t>(scope.kind()));
    preimage.u16be(static_cast<std::uint16_t>(scope.id().size())).text(scope.id());
    preimage.u32be(count).bytes(top);
    hash_.update(preimage.view());
    return hash_.finish();
}

Digest32 TreeHasher::empty_top() {
    return hash_.finish();
}

PathWalk::PathWalk(std::uint32_t index, std::uint32_t count) : index_(index), count_(count) {
    EOS_ASSERT(index < count);
}

PathWalk::Sibling PathWalk::sibling() const {
    if (index_ % 2 == 1) return Sibling::kLeft;
    return index_ + 1 < count_ ? Sibling::kRight : Sibling::kNone;
}

void PathWalk::up() {
    index_ /= 2;
    count_ = count_ / 2 + count_ % 2;
}

}  // namespace eos::config_tree
