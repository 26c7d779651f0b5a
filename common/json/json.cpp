// SPDX-License-Identifier: AGPL-3.0-only
#include "common/json/json.h"

#include "common/base/encoding.h"

namespace eos::json {
namespace {

/// Builds the value and stops at the first repeated member, which nlohmann's own builder would let
/// overwrite the earlier one.
class Builder {
  public:
    explicit Builder(std::size_t max_depth) : max_depth_(max_depth) {}

    bool null() { return add(nullptr); }
    bool boolean(bool value) { return add(value); }
    bool number_integer(std::int64_t value) { return add(value); }
    bool number_unsigned(std::uint64_t value) { return add(value); }
    bool number_float(double value, const std::string&) { return add(value); }
    bool string(std::string& value) { return add(std::move(value)); }
    bool binary(Value::binary_t&) { return false; }
    bool start_object(std::size_t) { return open(Value::object()); }
    bool start_array(std::size_t) { return open(Value::array()); }
    bool end_object() { return close(); }
    bool end_array() { return close(); }
    bool key(std::string& name) {
        Frame& top = stack_.back();
        if (top.value.contains(name)) {
            error_.emplace(repeated_member, printable(as_bytes(name), 64));
            return false;
        }
        top.key = std::move(name);
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
    struct Frame {
        Value value;
        std::string key;
    };

    bool open(Value container) {
        if (stack_.size() >= max_depth_) {
            error_.emplace(too_large, "more than " + std::to_string(max_depth_) + " levels");
            return false;
        }
        stack_.push_back({std::move(container), {}});
        return true;
    }

    bool close() {
        Value value = std::move(stack_.back().value);
        stack_.pop_back();
        return add(std::move(value));
    }

    bool add(Value value) {
        if (stack_.empty()) {
            root_ = std::move(value);
            done_ = true;
            return true;
        }
        Frame& top = stack_.back();
        if (top.value.is_array()) {
            top.value.push_back(std::move(value));
        } else {
            top.value[top.key] = std::move(value);
        }
        return true;
    }

    std::size_t max_depth_;
    std::vector<Frame> stack_;
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
    Builder builder(limits.depth);
    std::string_view chars = as_chars(text);
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
    read_.emplace(name);
    auto it = value_->find(name);
    return it == value_->end() ? nullptr : &*it;
}

Result<const Value*> Object::require(std::string_view name) {
    const Value* value = find(name);
    if (value == nullptr) return fail(missing_member, path(name));
    return value;
}

Result<std::string> Object::text(std::string_view name, std::size_t max_bytes) {
    const Value* value = EOS_TRY(require(name));
    return as_text(*value, path(name), max_bytes);
}

Result<std::uint64_t> Object::number(std::string_view name, std::uint64_t max) {
    const Value* value = EOS_TRY(require(name));
    return as_number(*value, path(name), max);
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
        if (!read_.contains(name)) {
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
