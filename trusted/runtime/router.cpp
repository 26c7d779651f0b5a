// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/router.h"

#include <algorithm>
#include <array>

#include "common/base/assert.h"
#include "common/http/uri.h"
#include "trusted/runtime/responses.h"

namespace eos::runtime {
namespace {

using MethodSet = std::array<bool, http::kMethodCount>;

bool overlaps(RouteNames a, RouteNames b) {
    return (static_cast<unsigned>(a) & static_cast<unsigned>(b)) != 0;
}

std::string allow_list(const MethodSet& methods) {
    std::string out;
    for (std::size_t i = 0; i < methods.size(); ++i) {
        if (!methods[i]) continue;
        if (!out.empty()) out += ", ";
        out += http::to_string(static_cast<http::Method>(i));
    }
    return out;
}

void mark(MethodSet& methods, http::Method method) {
    methods[static_cast<std::size_t>(method)] = true;
    if (method == http::Method::kGet) methods[static_cast<std::size_t>(http::Method::kHead)] = true;
}

bool serves(http::Method route, http::Method request) {
    return route == request || (route == http::Method::kGet && request == http::Method::kHead);
}

void respond_with_field(Exchange& exchange, int status, std::string_view text,
                        http::HeaderView field) {
    http::ResponseHead head = make_head(status, kJsonType);
    EOS_ASSERT(head.headers.add(field.name, field.value).has_value());
    EOS_ASSERT(exchange.respond(head, error_body(text)).has_value());
}

}  // namespace

/// A request's path, taken apart once.
struct Router::Path {
    Result<std::vector<std::string>> segments;
};

/// The best route, or what the answer needs when there is none.
struct Router::Found {
    Route* route = nullptr;
    MethodSet other_methods{};  ///< with which the path exists on this kind of name
};

RouteNames names_of(const ConnectionInfo& connection) {
    if (connection.server_name.empty()) return RouteNames::kUnowned;
    return connection.kind == NameKind::kApp ? RouteNames::kApp : RouteNames::kPlatform;
}

const std::string& RoutedRequest::parameter(std::string_view name) const {
    const auto found =
        std::ranges::find(parameters, name, &std::pair<std::string_view, std::string>::first);
    EOS_ASSERT(found != parameters.end());
    return found->second;
}

std::vector<Router::Segment> Router::parse_pattern(std::string_view pattern) {
    std::vector<Segment> segments;
    EOS_ASSERT(pattern.starts_with('/'));
    std::string_view rest = pattern.substr(1);
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('/'), rest.size());
        std::string_view part = rest.substr(0, end);
        rest.remove_prefix(end);
        if (!rest.empty()) {
            rest.remove_prefix(1);
            EOS_ASSERT(!rest.empty());  // a trailing slash matches nothing
        }
        EOS_ASSERT(!part.empty());
        if (part.front() != '{') {
            segments.push_back({Segment::Kind::kLiteral, part});
            continue;
        }
        EOS_ASSERT(part.size() > 2 && part.back() == '}');
        part = part.substr(1, part.size() - 2);
        const bool takes_rest = part.ends_with("...");
        if (takes_rest) part.remove_suffix(3);
        EOS_ASSERT(!part.empty() && (!takes_rest || rest.empty()));
        segments.push_back({takes_rest ? Segment::Kind::kRest : Segment::Kind::kParameter, part});
    }
    return segments;
}

/// Whether one request could match both, and neither is the more specific.
bool Router::collide(const Route& a, const Route& b) {
    if (!overlaps(a.spec.names, b.spec.names) || a.spec.method != b.spec.method) return false;
    return std::ranges::equal(a.segments, b.segments, [](const Segment& x, const Segment& y) {
        return x.kind == y.kind && (x.kind != Segment::Kind::kLiteral || x.text == y.text);
    });
}

void Router::add(const RouteSpec& spec, RouteFunction function) {
    auto route = std::make_unique<Route>(
        Route{spec, parse_pattern(spec.pattern.view()), std::move(function)});
    EOS_ASSERT(spec.names != RouteNames::kNone);
    for (const auto& other : routes_) EOS_ASSERT(!collide(*route, *other));
    routes_.push_back(std::move(route));
}

bool Router::matches(const Route& route, const Path& path) {
    const bool takes_rest =
        !route.segments.empty() && route.segments.back().kind == Segment::Kind::kRest;
    // What cannot be taken apart safely reaches only a route that takes the raw path as it is.
    if (!path.segments) return takes_rest && route.segments.size() == 1;
    const std::vector<std::string>& segments = *path.segments;
    const std::size_t fixed = route.segments.size() - (takes_rest ? 1 : 0);
    if (takes_rest ? segments.size() < fixed : segments.size() != fixed) return false;
    for (std::size_t i = 0; i < fixed; ++i) {
        const Segment& segment = route.segments[i];
        if (segment.kind == Segment::Kind::kLiteral && segment.text != segments[i]) return false;
    }
    return true;
}

/// Of two routes that match one path: the first difference decides.
bool Router::is_more_specific(const Route& a, const Route& b) {
    const std::size_t common = std::min(a.segments.size(), b.segments.size());
    for (std::size_t i = 0; i < common; ++i) {
        if (a.segments[i].kind != b.segments[i].kind) {
            return a.segments[i].kind < b.segments[i].kind;
        }
    }
    return a.segments.size() < b.segments.size();  // "/a" before "/a/{rest...}"
}

Router::Found Router::find(const Path& path, http::Method method, RouteNames names) {
    Found found;
    Route* best_path = nullptr;
    for (const auto& route : routes_) {
        if (!overlaps(route->spec.names, names) || !matches(*route, path)) continue;
        // The most specific path decides, whatever its methods: "DELETE /api/v1/status" is 405 even
        // where a broader route would take any DELETE.
        if (best_path != nullptr && is_more_specific(*best_path, *route)) continue;
        if (best_path == nullptr || is_more_specific(*route, *best_path)) {
            found = {};
            best_path = route.get();
        }
        mark(found.other_methods, route->spec.method);
        const bool exact = route->spec.method == method;
        if (exact || (found.route == nullptr && serves(route->spec.method, method))) {
            found.route = route.get();
        }
    }
    return found;
}

void Router::respond_not_found(const Found& found, const Path& path, Exchange& exchange) {
    const std::string allowed = allow_list(found.other_methods);
    if (!allowed.empty()) {
        return respond_with_field(exchange, 405, "this path takes " + allowed, {"allow", allowed});
    }
    if (!path.segments) return respond_error(exchange, 400, path.segments.error().message());
    respond_error(exchange, 404, "there is nothing at this path on this name");
}

bool Router::refuse(const Route& route, const http::RequestHead& head,
                    const ConnectionInfo& connection, Exchange& exchange) const {
    switch (authorizer_.decide(route.spec.access, connection, head)) {
        case Permission::kGranted:
            break;
        case Permission::kUnknownCaller:
            respond_with_field(exchange, 401, "this needs a caller who is known",
                               {"www-authenticate", authorizer_.challenge()});
            return true;
        case Permission::kRefused:
            respond_error(exchange, 403, "this caller may not do this");
            return true;
    }
    if (route.spec.proof == Proof::kBound && !connection.is_challenged()) {
        respond_error(exchange, 403,
                      "this needs a connection on which evidence answered the client's own "
                      "challenge");
        return true;
    }
    if (head.body.bytes > route.spec.max_body_bytes) {
        respond_error(exchange, 413,
                      "the limit here is " + std::to_string(route.spec.max_body_bytes) + " bytes");
        return true;
    }
    return false;
}

Dispatched Router::dispatch(http::RequestHead head, const ConnectionInfo& connection,
                            Exchange exchange) {
    const Path path{http::split_path(head.path)};
    const Found found = find(path, head.method, names_of(connection));
    if (found.route == nullptr) {
        respond_not_found(found, path, exchange);
        return {};
    }
    Route& route = *found.route;
    const StaticText label = route.spec.pattern;
    if (refuse(route, head, connection, exchange)) return {nullptr, 0, label};

    RoutedRequest request{{}, connection, route.spec, {}, std::move(exchange)};
    for (std::size_t i = 0; i < route.segments.size(); ++i) {
        const Segment& segment = route.segments[i];
        if (segment.kind == Segment::Kind::kParameter) {
            request.parameters.emplace_back(segment.text, (*path.segments)[i]);
        } else if (segment.kind == Segment::Kind::kRest) {
            request.parameters.emplace_back(segment.text, head.path);
        }
    }
    request.head = std::move(head);
    Dispatched result = route.function(std::move(request));
    result.max_body_bytes = std::min(result.max_body_bytes, route.spec.max_body_bytes);
    result.route = label;
    return result;
}

std::vector<RouteSpec> Router::table() const {
    std::vector<RouteSpec> table;
    table.reserve(routes_.size());
    for (const auto& route : routes_) table.push_back(route->spec);
    return table;
}

std::string to_string(RouteNames names) {
    std::string out;
    const auto add = [&](RouteNames kind, std::string_view text) {
        if (!overlaps(names, kind)) return;
        if (!out.empty()) out += ", ";
        out += text;
    };
    add(RouteNames::kUnowned, "unowned");
    add(RouteNames::kPlatform, "platform");
    add(RouteNames::kApp, "app");
    return out;
}

std::string_view to_string(Access access) {
    switch (access) {
        case Access::kAnyone:
            return "anyone";
        case Access::kMonitoring:
            return "monitoring";
        case Access::kOwner:
            return "owner";
    }
    return "";
}

std::string to_markdown(std::span<const RouteSpec> table) {
    std::string out =
        "| method | path | names | who | connection | body at most | "
        "|\n|---|---|---|---|---|---|---|\n";
    for (const RouteSpec& row : table) {
        out += "| ";
        out += http::to_string(row.method);
        out += " | `";
        out += row.pattern.view();
        out += "` | " + to_string(row.names) + " | ";
        out += to_string(row.access);
        out += row.proof == Proof::kBound ? " | mode B or C" : " | any";
        out += " | " + std::to_string(row.max_body_bytes) + " | ";
        out += row.summary.view();
        out += " |\n";
    }
    return out;
}

}  // namespace eos::runtime
