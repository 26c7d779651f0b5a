// SPDX-License-Identifier: AGPL-3.0-only
#include <algorithm>
#include <map>
#include <set>

#include "common/base/assert.h"
#include "common/http/uri.h"
#include "trusted/wasm/cgi.h"

namespace eos::wasm {

namespace {

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

// The fields that Connection declares to be of this hop only.
std::set<std::string> named_by_connection(const http::Headers& headers) {
    std::set<std::string> out;
    for (std::string_view value : headers.all("connection")) {
        while (!value.empty()) {
            const std::size_t comma = std::min(value.find(','), value.size());
            std::string_view token = value.substr(0, comma);
            token.remove_prefix(std::min(token.find_first_not_of(" \t"), token.size()));
            token = token.substr(0, token.find_last_not_of(" \t") + 1);
            out.insert(lower(token));
            value.remove_prefix(std::min(comma + 1, value.size()));
        }
    }
    return out;
}

// Names are in lower case already.
bool is_passed_on(std::string_view name, const CgiRequest& request) {
    const auto fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    };
    if (!std::ranges::all_of(name, fits)) return false;
    if (http::is_connection_specific(name) || name.starts_with("x-privasys-")) return false;
    if (name == "proxy" || name == "proxy-authorization" || name == "content-type") return false;
    const bool credentials = name == "authorization" || name == "cookie";
    return !(credentials && request.owner == NameOwner::kPlatform);
}

std::string variable_name(std::string_view field) {
    std::string out = "HTTP_";
    for (char c : field) {
        if (c == '-') c = '_';
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
        out += c;
    }
    return out;
}

void add_fields(const CgiRequest& request, std::map<std::string, std::string>& out) {
    const http::Headers& headers = request.head.headers;
    const std::set<std::string> of_this_hop = named_by_connection(headers);
    for (std::size_t i = 0; i < headers.count(); ++i) {
        const http::HeaderView field = headers[i];
        if (!is_passed_on(field.name, request)) continue;
        if (of_this_hop.contains(std::string(field.name))) continue;
        const auto [place, fresh] = out.try_emplace(variable_name(field.name), field.value);
        if (fresh) continue;
        place->second += field.name == "cookie" ? "; " : ", ";
        place->second += field.value;
    }
}

std::string_view protocol(http::Version version) {
    switch (version) {
        case http::Version::kHttp10:
            return "HTTP/1.0";
        case http::Version::kHttp11:
            return "HTTP/1.1";
        case http::Version::kHttp2:
            return "HTTP/2.0";
    }
    return "HTTP/1.1";
}

Result<void> add_meta_variables(const CgiRequest& request,
                                std::map<std::string, std::string>& out) {
    const http::RequestHead& head = request.head;
    const bool bracketed = head.authority.kind == http::Authority::Kind::kIpv6;
    out["GATEWAY_INTERFACE"] = "CGI/1.1";
    out["SERVER_SOFTWARE"] = "enclave-os";
    out["SERVER_PROTOCOL"] = protocol(head.version);
    out["SERVER_NAME"] = bracketed ? "[" + head.authority.host + "]" : head.authority.host;
    out["SERVER_PORT"] = std::to_string(head.authority.port.value_or(443));
    out["HTTPS"] = "on";
    out["REQUEST_METHOD"] = http::to_string(head.method);
    out["REQUEST_URI"] = head.query ? head.path + "?" + *head.query : head.path;
    out["SCRIPT_NAME"] = "";
    out["PATH_INFO"] = EOS_TRY(http::percent_decode(head.path));
    out["QUERY_STRING"] = head.query.value_or("");
    // The variable has to be there; whom the host connected is nothing the enclave could know.
    out["REMOTE_ADDR"] = "0.0.0.0";
    if (head.body.kind != http::BodyKind::kNone || request.body.size() > 0) {
        out["CONTENT_LENGTH"] = std::to_string(request.body.size());
    }
    if (const auto type = head.headers.first("content-type")) out["CONTENT_TYPE"] = *type;
    return {};
}

}  // namespace

Result<std::vector<EnvironmentVariable>> cgi_environment(const CgiRequest& request,
                                                         const AppConfig& config) {
    std::map<std::string, std::string> variables;
    add_fields(request, variables);
    EOS_TRY(add_meta_variables(request, variables));
    for (const EnvironmentVariable& fact : request.platform_facts) {
        EOS_ASSERT(fact.name.starts_with("EOS_"));
        variables[fact.name] = fact.value;
    }
    std::vector<EnvironmentVariable> out;
    for (auto& [name, value] : variables) out.push_back({name, std::move(value)});
    // check_app_config has refused names that would stand above.
    out.insert(out.end(), config.environment.begin(), config.environment.end());
    out.insert(out.end(), config.secrets.begin(), config.secrets.end());
    return out;
}

}  // namespace eos::wasm
