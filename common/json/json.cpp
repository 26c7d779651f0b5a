// SPDX-License-Identifier: AGPL-3.0-only
#include "common/json/json.h"

#include <algorithm>

#include "common/base/encoding.h"

namespace eos::json {
namespace {

constexpr std::size_t kBytesPerValue = 16;
constexpr std::size_t kLeastValues = 65536;

std::size_t most_values(const Limits& limits) {
    return limits.values.value_or(std::max(kLeastValues, limits.size_bytes / kBytesPerValue));
}

/// Builds the value and stops at the first repeated member, which nlohmann's own builder would let
/// overwrite the earlier one. Texts are copied: a moved one would take the lexer's buffer along,
/// which would then have to grow anew.
class Builder {
  public:
    explicit Builder(const Limits& limits)
        : max_depth_(limits.depth), max_values_(most_values(limits)) {}

    bool null() { return add(nullptr); }
    bool boolean(bool value) { return add(value); }
    bool number_integer(std::int64_t value) { return add(value); }
    bool number_unsigned(std::uint64_t value) { return add(value); }
    bool number_float(double value, const std::string&) { return add(value); }
    bool string(const std::string& value) { return add(value); }
    bool binary(const Value::binary_t&) { return false; }
    bool start_object(std::size_t) { return open(Value::object()); }
    bool start_array(std::size_t) { return open(Value::array()); }
    bool end_object() { return close(); }
    bool end_array() { return close(); }
    bool key(const std::string& name) {
        auto& members = open_.back()->get_ref<Value::object_t&>();
        auto [member, is_new] = members.try_emplace(name);
        if (!is_new) {
            error_.emplace(repeated_member, printable(as_bytes(name), 64));
            return false;
        }
        member_ = &member->second;
        return true;
    }
    bool parse_error(std::size_t position, const std::string&, const Value::exception&) {
        error_.emplace(bad_syntax, "at byte " + std::to_string(position));
        return false;
    }

    Result<Value> finish() {
        if (error_.has_value()) return fail(*std::move(error_));
        if (!done_) return fail(bad_syntax);
        return std::move(root_);
    }

  private:
    bool open(Value container) {
        if (open_.size() >= max_depth_) {
            error_.emplace(too_large, "more than " + std::to_string(max_depth_) + " levels");
            return false;
        }
        if (!count_one()) return false;
        open_.push_back(&place(std::move(container)));
        return true;
    }

    bool close() {
        open_.pop_back();
        done_ = open_.empty();
        return true;
    }

    bool add(Value value) {
        if (!count_one()) return false;
        place(std::move(value));
        done_ = open_.empty();
        return true;
    }

    bool count_one() {
        if (++values_ <= max_values_) return true;
        error_.emplace(too_large, "more than " + std::to_string(max_values_) + " values");
        return false;
    }

    /// Puts the value where it belongs. What is open stays where it is: its own container does not
    /// grow before it is closed.
    Value& place(Value&& value) {
        if (open_.empty()) return root_ = std::move(value);
        if (open_.back()->is_array()) return open_.back()->emplace_back(std::move(value));
        return *member_ = std::move(value);
    }

    std::size_t max_depth_;
    std::size_t max_values_;
    std::size_t values_ = 0;
    std::vector<Value*> open_;  ///< from the outermost container inwards
    Value* member_ = nullptr;   ///< of the object that is open: waits for its value
    Value root_;
    bool done_ = false;
    std::optional<Error> error_;
};

std::string join_path(std::string_view path, std::string_view name) {
    std::string out(path);
    if (!out.empty()) out += '.';
    return out + std::string(name);
}

}  // namespace

Result<Value> parse(ByteView text, const Limits& limits) {
    if (text.size() > limits.size_bytes) {
        return fail(too_large, "more than " + std::to_string(limits.size_bytes) + " bytes");
    }
    Builder builder(limits);
    const std::string_view chars = as_chars(text);
    Value::sax_parse(chars.begin(), chars.end(), &builder);
    return builder.finish();
}

Result<Object> Object::of(const Value& value, std::string path) {
    if (!value.is_object()) {
        return fail(wrong_type, (path.empty() ? "the text" : path) + ": expected an object");
    }
    return Object(value, std::move(path));
}

const Value* Object::find(std::string_view name) {
    auto it = value_->find(name);
    if (it == value_->end()) return nullptr;
    read_.push_back(&*it);
    return &*it;
}

Result<const Value*> Object::require(std::string_view name) {
    const Value* value = find(name);
    if (value == nullptr) return fail(missing_member, path(name));
    return value;
}

Result<std::string> Object::text(std::string_view name, std::size_t max_bytes) {
    const Value* value = EOS_TRY(require(name));
    // Where it stands is put into words if need be.
    Result<std::string> out = as_text(*value, {}, max_bytes);
    return out ? std::move(out) : as_text(*value, path(name), max_bytes);
}

Result<std::uint64_t> Object::number(std::string_view name, std::uint64_t max) {
    const Value* value = EOS_TRY(require(name));
    const Result<std::uint64_t> out = as_number(*value, {}, max);
    return out ? out : as_number(*value, path(name), max);
}

Result<const Value*> Object::array(std::string_view name, std::size_t max_count) {
    const Value* value = find(name);
    if (value == nullptr) return value;
    if (!value->is_array()) return fail(wrong_type, path(name) + ": expected an array");
    if (value->size() > max_count) {
        return fail(out_of_range,
                    path(name) + ": more than " + std::to_string(max_count) + " elements");
    }
    return value;
}

Result<void> Object::finish() const {
    for (const auto& [name, value] : value_->items()) {
        if (std::ranges::find(read_, &value) == read_.end()) {
            return fail(unknown_member, path(printable(as_bytes(name), 64)));
        }
    }
    return {};
}

std::string Object::path(std::string_view name) const {
    return join_path(path_, name);
}

Result<std::string> as_text(const Value& value, std::string_view path, std::size_t max_bytes) {
    const auto* text = value.get_ptr<const std::string*>();
    if (text == nullptr) return fail(wrong_type, std::string(path) + ": expected a string");
    if (text->size() > max_bytes) {
        return fail(out_of_range,
                    std::string(path) + ": longer than " + std::to_string(max_bytes) + " bytes");
    }
    return *text;
}

Result<std::uint64_t> as_number(const Value& value, std::string_view path, std::uint64_t max) {
    const auto* number = value.get_ptr<const std::uint64_t*>();
    if (number == nullptr) {
        return fail(value.is_number() ? out_of_range : wrong_type,
                    std::string(path) + ": expected an integer from 0 to " + std::to_string(max));
    }
    if (*number > max) {
        return fail(out_of_range, std::string(path) + ": greater than " + std::to_string(max));
    }
    return *number;
}

std::string element_path(std::string_view path, std::size_t index) {
    return std::string(path) + "[" + std::to_string(index) + "]";
}

std::string compact(const Value& value) {
    return value.dump(-1, ' ', false, Value::error_handler_t::replace);
}

std::string pretty(const Value& value) {
    return value.dump(2, ' ', false, Value::error_handler_t::replace);
}

}  // namespace eos::json
