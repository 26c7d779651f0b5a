// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/metrics.h"

#include <algorithm>

#include "common/base/assert.h"

namespace eos::runtime {
namespace {

constexpr StaticText kNoRoute = "(none)";
constexpr StaticText kNoMethod = "(any)";
constexpr std::array<StaticText, 4> kClasses = {"2xx", "3xx", "4xx", "5xx"};

StaticText method_text(http::Method method) {
    switch (method) {
        case http::Method::kGet:
            return "GET";
        case http::Method::kHead:
            return "HEAD";
        case http::Method::kPost:
            return "POST";
        case http::Method::kPut:
            return "PUT";
        case http::Method::kDelete:
            return "DELETE";
        case http::Method::kPatch:
            return "PATCH";
        case http::Method::kOptions:
            return "OPTIONS";
        case http::Method::kConnect:
            return "CONNECT";
    }
    return kNoMethod;
}

std::string label_text(const std::vector<MetricLabel>& labels) {
    std::string out;
    for (const MetricLabel& label : labels) {
        EOS_ASSERT(label.value.view().find_first_of("\"\\\n") == std::string_view::npos);
        out += out.empty() ? "{" : ",";
        out += label.name.view();
        out += "=\"";
        out += label.value.view();
        out += '"';
    }
    if (!out.empty()) out += '}';
    return out;
}

}  // namespace

Metric& MetricRegistry::add(MetricType type, StaticText name, StaticText help,
                            std::vector<MetricLabel> labels) {
    EOS_ASSERT(series_.size() < kMaxSeries);
    std::string text = label_text(labels);
    const bool continues = !series_.empty() && series_.back().name == name;
    for (const Series& other : series_) {
        EOS_ASSERT(other.name.view() != name.view() || (continues && other.labels != text));
    }
    EOS_ASSERT(!continues || (series_.back().type == type && series_.back().help == help));
    series_.push_back({type, name, help, std::move(text), std::make_unique<Metric>()});
    return *series_.back().metric;
}

std::string MetricRegistry::to_text(std::span<const MetricRegistry* const> workers) {
    EOS_ASSERT(!workers.empty());
    const std::vector<Series>& schema = workers.front()->series_;
    std::string out;
    std::string_view family;
    for (std::size_t i = 0; i < schema.size(); ++i) {
        const Series& series = schema[i];
        const std::string name(series.name.view());
        if (name != family) {
            family = series.name.view();
            out += "# HELP " + name + " " + std::string(series.help.view()) + "\n";
            out += "# TYPE " + name;
            out += series.type == MetricType::kCounter ? " counter\n" : " gauge\n";
        }
        std::uint64_t sum = 0;
        for (const MetricRegistry* worker : workers) {
            EOS_ASSERT(worker->series_.size() == schema.size());
            const Series& same = worker->series_[i];
            EOS_ASSERT(same.name == series.name && same.labels == series.labels);
            sum += same.metric->get();
        }
        out += name + series.labels + " " + std::to_string(sum) + "\n";
    }
    return out;
}

HttpMetrics::HttpMetrics(MetricRegistry& registry, std::span<const RouteSpec> table) {
    // A family's series stand together, so the counters of all rows come before their durations.
    const auto add_counts = [&](Row& row, StaticText route, StaticText method) {
        for (std::size_t i = 0; i < kClassCount; ++i) {
            row.by_class[i] =
                &registry.add(MetricType::kCounter, "enclave_os_http_requests_total",
                              "Requests answered, by route template and class of status.",
                              {{"route", route}, {"method", method}, {"class", kClasses[i]}});
        }
    };
    const auto add_duration = [&](Row& row, StaticText route, StaticText method) {
        row.duration_ms =
            &registry.add(MetricType::kCounter, "enclave_os_http_request_milliseconds_total",
                          "Time from a request's head to the end of its response.",
                          {{"route", route}, {"method", method}});
    };
    // A route may stand in the table once for each kind of name; it is counted as one.
    std::vector<RouteSpec> routes;
    for (const RouteSpec& spec : table) {
        const auto same = [&](const RouteSpec& other) {
            return other.pattern == spec.pattern && other.method == spec.method;
        };
        if (std::ranges::none_of(routes, same)) routes.push_back(spec);
    }
    const auto each = [&](const auto& visit) {
        visit(unrouted_, kNoRoute, kNoMethod);
        for (const RouteSpec& spec : routes) {
            visit(rows_[{spec.pattern.view(), spec.method}], spec.pattern,
                  method_text(spec.method));
        }
    };
    each(add_counts);
    each(add_duration);
}

const HttpMetrics::Row& HttpMetrics::row_of(const ExchangeRecord& record) const {
    if (!record.method) return unrouted_;
    auto found = rows_.find({record.route.view(), *record.method});
    if (found == rows_.end() && record.method == http::Method::kHead) {
        found = rows_.find({record.route.view(), http::Method::kGet});
    }
    return found == rows_.end() ? unrouted_ : found->second;
}

void HttpMetrics::answered(const ConnectionInfo&, const ExchangeRecord& record) {
    const Row& row = row_of(record);
    const auto index = static_cast<std::size_t>(std::clamp(record.status / 100, 2, 5) - 2);
    row.by_class[index]->add();
    row.duration_ms->add(record.duration_ms);
}

}  // namespace eos::runtime
