// SPDX-License-Identifier: AGPL-3.0-only
#include "common/config_tree/name.h"

#include "common/base/assert.h"
#include "common/base/encoding.h"

namespace eos::config_tree {
namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";

bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

}  // namespace

Result<Name> Name::from(std::vector<std::string> components) {
    if (components.empty() || components.size() > kMaxNameComponents) {
        return fail(bad_name, std::to_string(components.size()) + " components, 1 to 8 expected");
    }
    for (const std::string& component : components) {
        if (component.empty() || component.size() > kMaxComponentBytes) {
            return fail(bad_name, "a component of " + std::to_string(component.size()) +
                                      " bytes, 1 to 255 expected");
        }
    }
    return Name(std::move(components));
}

Name Name::of(std::initializer_list<std::string_view> components) {
    Result<Name> name = from({components.begin(), components.end()});
    EOS_ASSERT(name.has_value());
    return *std::move(name);
}

std::string Name::text() const {
    std::string out;
    for (const std::string& component : components_) {
        if (!out.empty()) out += '.';
        out += component_text(component);
    }
    return out;
}

std::string component_text(std::string_view component) {
    std::string out;
    out.reserve(component.size());
    for (char c : component) {
        if (is_plain(c)) {
            out += c;
        } else {
            auto byte = static_cast<unsigned char>(c);
            out += {'%', kHexDigits[byte >> 4], kHexDigits[byte & 15]};
        }
    }
    return out;
}

Result<std::string> parse_component(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (is_plain(text[i])) {
            out += text[i];
            continue;
        }
        std::size_t high = i + 1 < text.size() ? kHexDigits.find(text[i + 1]) : kHexDigits.npos;
        std::size_t low = i + 2 < text.size() ? kHexDigits.find(text[i + 2]) : kHexDigits.npos;
        if (text[i] != '%' || high == kHexDigits.npos || low == kHexDigits.npos) {
            return fail(bad_name, "'" + printable(as_bytes(text)) +
                                      "' has a byte that is neither "
                                      "[A-Za-z0-9_-] nor %XX in capitals");
        }
        char byte = static_cast<char>(high << 4 | low);
        if (is_plain(byte)) {
            return fail(bad_name, "'" + printable(as_bytes(text)) + "' encodes a plain byte");
        }
        out += byte;
        i += 2;
    }
    if (out.empty() || out.size() > kMaxComponentBytes) {
        return fail(bad_name,
                    "a component of " + std::to_string(out.size()) + " bytes, 1 to 255 expected");
    }
    return out;
}

Result<Name> parse_name(std::string_view text) {
    std::vector<std::string> components;
    while (true) {
        std::size_t dot = text.find('.');
        if (components.size() == kMaxNameComponents) return fail(bad_name, "over 8 components");
        components.push_back(EOS_TRY(parse_component(text.substr(0, dot))));
        if (dot == text.npos) break;
        text.remove_prefix(dot + 1);
    }
    return Name::from(std::move(components));
}

}  // namespace eos::config_tree
