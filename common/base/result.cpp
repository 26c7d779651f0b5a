// SPDX-License-Identifier: AGPL-3.0-only
#include "common/base/result.h"

namespace eos {

std::string Error::message() const {
    std::string out(code_.text);
    if (!detail_.empty()) {
        out += ": ";
        out += detail_;
    }
    return out;
}

Error Error::within(std::string_view context) && {
    std::string detail(context);
    if (!detail_.empty()) {
        detail += ": ";
        detail += detail_;
    }
    return Error(code_, std::move(detail));
}

}  // namespace eos
