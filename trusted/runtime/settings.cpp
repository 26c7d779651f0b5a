// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/settings.h"

#include <iterator>

namespace eos::runtime {
namespace {

using Tree = config_tree::Scope::Kind;

constexpr SettingInfo kTable[] = {
#define EOS_ROW(tree, name, standard, least, greatest, text)            \
    SettingInfo{Tree::tree,                                             \
                #name,                                                  \
                text,                                                   \
                least,                                                  \
                greatest,                                               \
                {},                                                     \
                [](const Settings& settings) { return settings.name; }, \
                [](Settings& settings, std::uint64_t value) { settings.name = value; }},
    EOS_NUMBER_SETTINGS(EOS_ROW)
#undef EOS_ROW
#define EOS_ROW(tree, name, type, standard, names, text)                                    \
    SettingInfo{                                                                            \
        Tree::tree,                                                                         \
        #name,                                                                              \
        text,                                                                               \
        0,                                                                                  \
        std::size(names) - 1,                                                               \
        names,                                                                              \
        [](const Settings& settings) { return static_cast<std::uint64_t>(settings.name); }, \
        [](Settings& settings, std::uint64_t value) {                                       \
            settings.name = static_cast<type>(value);                                       \
        }},
        EOS_CHOICE_SETTINGS(EOS_ROW)
#undef EOS_ROW
};

}  // namespace

std::span<const SettingInfo> all_settings() {
    return kTable;
}

Result<void> set_setting(Settings& settings, const SettingInfo& info, std::uint64_t value) {
    if (value < info.least || value > info.greatest) {
        return fail(bad_setting, std::string(info.name) + ": " + std::to_string(value) +
                                     " is not from " + std::to_string(info.least) + " to " +
                                     std::to_string(info.greatest));
    }
    info.set(settings, value);
    return {};
}

config_tree::Value setting_value(const Settings& settings, const SettingInfo& info) {
    std::uint64_t value = info.get(settings);
    if (info.choices.empty()) return config_tree::Value::u64(value);
    return config_tree::Value::constant(info.choices[value]);
}

}  // namespace eos::runtime
