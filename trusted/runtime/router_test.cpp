// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/router.h"

#include <gtest/gtest.h>

#include <set>

#include "trusted/runtime/http_test_peer.h"
#include "trusted/runtime/responses.h"

namespace eos::runtime {
namespace {

using http::Method;

/// Knows a caller by the first byte of its key: 1 is the owner, 2 may monitor, 3 is a stranger.
class TestAuthorizer final : public Authorizer {
  public:
    Permission decide(Access access, const ConnectionInfo& connection,
                      const http::RequestHead&) const override {
        if (access == Access::kAnyone) return Permission::kGranted;
        if (!connection.client_key_hash) return Permission::kUnknownCaller;
        const int who = std::to_integer<int>((*connection.client_key_hash)[0]);
        const bool granted = who == 1 || (who == 2 && access == Access::kMonitoring);
        return granted ? Permission::kGranted : Permission::kRefused;
    }
    std::string_view challenge() const override { return "Bearer"; }
};

constexpr RouteSpec kTable[] = {
    {Method::kGet, "/healthz", RouteNames::kAll, Access::kAnyone, Proof::kAny, 0, "alive"},
    {Method::kPost, "/api/v1/provision", RouteNames::kUnowned, Access::kAnyone, Proof::kBound, 100,
     "takes ownership"},
    {Method::kPost, "/api/v1/ca", RouteNames::kPlatform, Access::kOwner, Proof::kBound, 100,
     "replaces the CA"},
    {Method::kGet, "/api/v1/status", RouteNames::kPlatform, Access::kMonitoring, Proof::kAny, 0,
     "state"},
    {Method::kGet, "/api/v1/apps/{name}", RouteNames::kPlatform, Access::kMonitoring, Proof::kAny,
     0, "one app"},
    {Method::kPost, "/api/v1/apps/{name}", RouteNames::kPlatform, Access::kOwner, Proof::kAny, 1000,
     "loads an app"},
    {Method::kDelete, "/api/v1/apps/{name}", RouteNames::kPlatform, Access::kOwner, Proof::kAny, 0,
     "unloads an app"},
    {Method::kGet, "/api/v1/apps/{name}/logs", RouteNames::kPlatform, Access::kOwner, Proof::kAny,
     0, "its output"},
    {Method::kPost, "/rpc/{app}/{function}", RouteNames::kOwned, Access::kAnyone, Proof::kAny, 100,
     "calls a function"},
    {Method::kGet, "/{path...}", RouteNames::kApp, Access::kAnyone, Proof::kAny, 0, "the app"},
    {Method::kPost, "/{path...}", RouteNames::kApp, Access::kAnyone, Proof::kAny, 100, "the app"},
};

/// A worker whose routes answer with their template and parameters.
class RouterWorld {
  public:
    RouterWorld() : router(authorizer) {
        for (const RouteSpec& spec : kTable) {
            router.add(spec, [this](RoutedRequest request) {
                reached.insert(&request.route);
                std::string text(request.route.pattern.view());
                for (const auto& [name, value] : request.parameters) {
                    text += " " + std::string(name) + "=" + value;
                }
                EXPECT_TRUE(request.exchange.respond(ok_head(), to_bytes(text)));
                return Dispatched{};
            });
        }
    }

    ReadResponse ask(std::string_view start, ConnectionInfo info, std::string_view fields = {}) {
        TestPeer peer(info);
        peer.dispatcher.serve = [&](http::RequestHead head, const ConnectionInfo& connection,
                                    Exchange exchange) {
            return router.dispatch(std::move(head), connection, std::move(exchange));
        };
        const std::string host = info.server_name.empty() ? "unowned" : info.server_name;
        peer.send(std::string(start) + " HTTP/1.1\r\nHost: " + host + "\r\n" + std::string(fields) +
                  "\r\n");
        const bool head = start.starts_with("HEAD ");
        return read_response(peer.sink.written, head ? Method::kHead : Method::kGet);
    }

    TestAuthorizer authorizer;
    Router router;
    std::set<const RouteSpec*> reached;
};

enum class Caller : int { kNobody = 0, kOwner = 1, kMonitor = 2, kStranger = 3 };

ConnectionInfo connection_to(RouteNames kind, Caller caller, bool is_bound = true) {
    ConnectionInfo info;
    info.server_name = kind == RouteNames::kUnowned ? ""
                       : kind == RouteNames::kApp   ? "app.example"
                                                    : "mini.example";
    info.kind = kind == RouteNames::kApp ? NameKind::kApp : NameKind::kPlatform;
    info.sent_server_name = true;
    info.is_bound = is_bound;
    if (caller != Caller::kNobody) {
        info.client_key_hash.emplace();
        (*info.client_key_hash)[0] = static_cast<std::byte>(caller);
    }
    return info;
}

ConnectionInfo owner() {
    return connection_to(RouteNames::kPlatform, Caller::kOwner);
}

/// What the table says must happen, worked out without the router.
int expected_status(const RouteSpec& row, RouteNames kind, Caller caller, bool is_bound) {
    const bool on_this_name = (static_cast<unsigned>(row.names) & static_cast<unsigned>(kind)) != 0;
    if (!on_this_name) {
        // An app has a route for every path; the other names answer 404 or 405.
        const bool app_takes_it = row.method == Method::kGet || row.method == Method::kPost;
        if (kind == RouteNames::kApp) return app_takes_it ? 200 : 405;
        return 404;
    }
    const bool may = row.access == Access::kAnyone || caller == Caller::kOwner ||
                     (row.access == Access::kMonitoring && caller == Caller::kMonitor);
    if (!may) return caller == Caller::kNobody ? 401 : 403;
    return row.proof == Proof::kBound && !is_bound ? 403 : 200;
}

TEST(Router, EveryRowOnEveryKindOfNameForEveryCaller) {
    RouterWorld world;
    ASSERT_EQ(world.router.table().size(), std::size(kTable));
    int asked = 0;
    for (const RouteSpec& row : kTable) {
        std::string path(row.pattern.view());
        for (std::size_t open; (open = path.find('{')) != std::string::npos;) {
            path.replace(open, path.find('}') - open + 1, "x");
        }
        for (RouteNames kind : {RouteNames::kUnowned, RouteNames::kPlatform, RouteNames::kApp}) {
            for (Caller caller :
                 {Caller::kNobody, Caller::kOwner, Caller::kMonitor, Caller::kStranger}) {
                for (bool is_bound : {false, true}) {
                    const std::string start = std::string(to_string(row.method)) + " " + path;
                    const ReadResponse response =
                        world.ask(start, connection_to(kind, caller, is_bound));
                    EXPECT_EQ(response.status, expected_status(row, kind, caller, is_bound))
                        << start << " on " << to_string(kind);
                    EXPECT_EQ(response.headers.first("www-authenticate").has_value(),
                              response.status == 401);
                    EXPECT_EQ(response.headers.first("allow").has_value(), response.status == 405);
                    ++asked;
                }
            }
        }
    }
    EXPECT_EQ(asked, 264);
    EXPECT_EQ(world.reached.size(), std::size(kTable));
}

TEST(Router, ParametersAreDecodedAndTheRestIsRaw) {
    RouterWorld world;
    EXPECT_EQ(world.ask("GET /api/v1/apps/my%20app", owner()).body,
              "/api/v1/apps/{name} name=my app");
    EXPECT_EQ(world.ask("GET /api/v1/%61pps/x/logs", owner()).body,
              "/api/v1/apps/{name}/logs name=x");
    const ConnectionInfo app = connection_to(RouteNames::kApp, Caller::kNobody);
    EXPECT_EQ(world.ask("GET /", app).body, "/{path...} path=/");
    EXPECT_EQ(world.ask("GET /a//b%2Fc/../?q", app).body, "/{path...} path=/a//b%2Fc/../");
    EXPECT_EQ(world.ask("GET /healthz", app).body, "/healthz");
    EXPECT_EQ(world.ask("GET /healthz/", app).body, "/{path...} path=/healthz/");
}

TEST(Router, PathsThatCouldBeReadInTwoWaysReachNoPlatformRoute) {
    RouterWorld world;
    for (std::string_view path : {"/api/v1/apps/..", "/api/v1/apps/%2e%2E", "/api/v1/apps/a%2fb",
                                  "//healthz", "/healthz/", "/x/../healthz", "/healthz%00"}) {
        EXPECT_EQ(world.ask("GET " + std::string(path), owner()).status, 400) << path;
    }
    EXPECT_TRUE(world.reached.empty());
}

TEST(Router, WrongMethodsAreToldTheRightOnes) {
    RouterWorld world;
    const ReadResponse response = world.ask("PATCH /api/v1/apps/x", owner());
    EXPECT_EQ(response.status, 405);
    EXPECT_EQ(response.headers.first("allow"), "GET, HEAD, POST, DELETE");
    EXPECT_EQ(world.ask("DELETE /healthz", owner()).headers.first("allow"), "GET, HEAD");
    EXPECT_EQ(world.ask("GET /nowhere", owner()).status, 404);
    EXPECT_EQ(world.ask("OPTIONS *", owner()).status, 400);
    // The most specific path decides, whatever its methods.
    const ConnectionInfo app = connection_to(RouteNames::kApp, Caller::kNobody);
    EXPECT_EQ(world.ask("POST /healthz", app).status, 405);
}

TEST(Router, HeadIsServedByGet) {
    RouterWorld world;
    const ReadResponse response = world.ask("HEAD /healthz", owner());
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.headers.first("content-length"), "8");
}

TEST(Router, ADeclaredBodyOverTheRoutesLimitIsRefusedOnTheHead) {
    RouterWorld world;
    EXPECT_EQ(world.ask("POST /api/v1/apps/x", owner(), "Content-Length: 1001\r\n").status, 413);
    EXPECT_EQ(world.ask("GET /healthz", owner(), "Content-Length: 1\r\n").status, 413);
    // Who may not do it at all hears that first.
    EXPECT_EQ(world
                  .ask("POST /api/v1/apps/x", connection_to(RouteNames::kPlatform, Caller::kNobody),
                       "Content-Length: 1001\r\n")
                  .status,
              401);
    EXPECT_TRUE(world.reached.empty());
}

TEST(Router, TheTemplateIsTheMetricsLabel) {
    RouterWorld world;
    TestPeer peer;
    peer.dispatcher.serve = [&](http::RequestHead head, const ConnectionInfo& info,
                                Exchange exchange) {
        return world.router.dispatch(std::move(head), info, std::move(exchange));
    };
    for (std::string_view path : {"/api/v1/apps/secret-name", "/secret-path"}) {
        peer.send("GET " + std::string(path) + " HTTP/1.1\r\nHost: mini.example\r\n\r\n");
    }
    ASSERT_EQ(peer.observer.records.size(), 2u);
    EXPECT_EQ(peer.observer.records[0].route, StaticText("/api/v1/apps/{name}"));
    EXPECT_EQ(peer.observer.records[0].status, 401);
    EXPECT_EQ(peer.observer.records[1].route, StaticText());
    EXPECT_EQ(peer.observer.records[1].status, 404);
}

TEST(Router, TheTablePrintsItself) {
    const std::string text = to_markdown(std::span(kTable).subspan(1, 1));
    EXPECT_TRUE(
        text.ends_with("| POST | `/api/v1/provision` | unowned | anyone | mode B or C | 100 | "
                       "takes ownership |\n"))
        << text;
    EXPECT_EQ(to_string(RouteNames::kOwned), "platform, app");
}

using RouterDeathTest = ::testing::Test;

TEST(RouterDeathTest, AMistakeInTheTableStopsTheProgram) {
    TestAuthorizer authorizer;
    const auto add = [&](std::initializer_list<StaticText> patterns) {
        Router router(authorizer);
        for (StaticText pattern : patterns) {
            router.add({Method::kGet, pattern, RouteNames::kPlatform},
                       [](RoutedRequest) { return Dispatched{}; });
        }
    };
    EXPECT_DEATH(add({"/a", "/a"}), "assertion failed");
    EXPECT_DEATH(add({"/a/{x}", "/a/{y}"}), "assertion failed");
    EXPECT_DEATH(add({"a"}), "assertion failed");
    EXPECT_DEATH(add({"/a/"}), "assertion failed");
    EXPECT_DEATH(add({"/{x...}/a"}), "assertion failed");
    EXPECT_DEATH(add({"/{}"}), "assertion failed");
    add({"/a", "/{x}", "/{x}/b", "/a/{y}", "/{z...}"});
}

}  // namespace
}  // namespace eos::runtime
