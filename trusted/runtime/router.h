// SPDX-License-Identifier: AGPL-3.0-only
// From a request's head to its handler. What exists, on which names and for whom is a table of data
// (RouteSpec) that a test walks and the documents print; code only looks it up.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/http/message.h"
#include "trusted/runtime/exchange.h"

namespace eos::runtime {

/// The kinds of name a connection can have been opened to, as bits of a set.
enum class RouteNames : std::uint8_t {
    kNone = 0,
    kUnowned = 1,  ///< an enclave without an owner, which has no name yet
    kPlatform = 2,
    kPlatformAlways = 3,  ///< the platform, with or without an owner
    kApp = 4,
    kOwned = 6,  ///< platform and apps
    kAll = 7,
};

/// The one kind of a connection.
RouteNames names_of(const ConnectionInfo& connection);

/// Who may use a route. What proves it is the Authorizer's business.
enum class Access : std::uint8_t {
    kAnyone,
    kMonitoring,  ///< reads the platform's state; the owner may, too
    kOwner,
};

/// Which connections may use a route.
enum class Proof : std::uint8_t {
    kAny,
    kBound,  ///< mode B or C: the client's own challenge was answered on this connection
};

/// One row of the table.
struct RouteSpec {
    http::Method method = http::Method::kGet;  ///< a GET route answers HEAD, too
    /// "/api/v1/apps/{name}": literal segments, and parameters of one decoded segment each. A last
    /// segment "{name...}" takes any number of segments; its value is the whole raw path, and
    /// "/{name...}" also takes paths that http::split_path() refuses.
    StaticText pattern;
    RouteNames names = RouteNames::kNone;
    Access access = Access::kOwner;
    Proof proof = Proof::kAny;
    std::uint64_t max_body_bytes = 0;
    StaticText summary;  ///< for the documents
};

/// A request that found its route.
struct RoutedRequest {
    http::RequestHead head;
    const ConnectionInfo& connection;
    const RouteSpec& route;
    std::vector<std::pair<std::string_view, std::string>> parameters;
    Exchange exchange;

    /// The decoded value of a parameter that the pattern has (asserted).
    const std::string& parameter(std::string_view name) const;
};

/// What serves a route: takes the exchange and answers it now or later. A handler is returned by
/// those who want the body; Dispatched::route is set by the router.
using RouteFunction = std::move_only_function<Dispatched(RoutedRequest)>;

/// Whether somebody may do what a route does.
enum class Permission : std::uint8_t {
    kGranted,
    kUnknownCaller,  ///< nothing says who it is: 401
    kRefused,        ///< somebody known who may not: 403
};

/// Knows who is who.
class Authorizer {
  public:
    virtual ~Authorizer() = default;
    virtual Permission decide(Access access, const ConnectionInfo& connection,
                              const http::RequestHead& head) const = 0;
    /// The WWW-Authenticate value of a 401, which RFC 9110 §11.6.1 demands.
    virtual std::string_view challenge() const = 0;
};

/// One worker's routes. Decides on the head alone: 404 (no such path on this kind of name), 405
/// with Allow, 401, 403 (not this caller, then not on this connection), 413; the body of a refused
/// request is never kept.
class Router final : public RequestDispatcher {
  public:
    /// `authorizer` outlives the router.
    explicit Router(const Authorizer& authorizer) : authorizer_(authorizer) {}

    /// Adds a route. The table is a programmer's: a malformed pattern, or a second route that some
    /// request could reach as well as this one, is asserted against. Literal segments win over
    /// parameters, parameters over the rest.
    void add(const RouteSpec& spec, RouteFunction function);

    Dispatched dispatch(http::RequestHead head, const ConnectionInfo& connection,
                        Exchange exchange) override;

    /// Every route, in the order added.
    std::vector<RouteSpec> table() const;

  private:
    struct Segment {
        enum class Kind : std::uint8_t { kLiteral, kParameter, kRest };
        Kind kind;
        std::string_view text;  ///< of the pattern: the literal, or the parameter's name
    };
    struct Route {
        RouteSpec spec;
        std::vector<Segment> segments;
        RouteFunction function;
    };
    struct Path;
    struct Found;

    static std::vector<Segment> parse_pattern(std::string_view pattern);
    static bool matches(const Route& route, const Path& path);
    static bool is_more_specific(const Route& a, const Route& b);
    static bool collide(const Route& a, const Route& b);
    Found find(const Path& path, http::Method method, RouteNames names);
    bool refuse(const Route& route, const http::RequestHead& head, const ConnectionInfo& connection,
                Exchange& exchange) const;
    static void respond_not_found(const Found& found, const Path& path, Exchange& exchange);

    const Authorizer& authorizer_;
    std::vector<std::unique_ptr<Route>> routes_;
};

/// "unowned, platform" and so on.
std::string to_string(RouteNames names);

/// "anyone", "monitoring", "owner".
std::string_view to_string(Access access);

/// The table as Markdown, for the documents.
std::string to_markdown(std::span<const RouteSpec> table);

}  // namespace eos::runtime
