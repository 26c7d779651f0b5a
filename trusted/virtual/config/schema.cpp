// SPDX-License-Identifier: AGPL-3.0-only
// The JSON Schema of the file, from the same tables as everything else, and what check.cpp demands
// of presence.
#include "trusted/virtual/config/config.h"

namespace eos::cvm {
namespace {

/// Describes one section; a visitor.
class SchemaWriter {
  public:
    template <typename Section>
    static json::Value write() {
        Section section;
        SchemaWriter writer;
        Result<void> written = Section::visit(section, writer);
        static_cast<void>(written);  // nothing in it fails
        json::Value out = {{"type", "object"}, {"additionalProperties", false}};
        out["properties"] = std::move(writer.properties_);
        if (!writer.required_.empty()) out["required"] = std::move(writer.required_);
        return out;
    }

    Result<void> number(const NumberRow& row, std::uint64_t&) {
        const bool is_demanded = row.standard < row.least || row.standard > row.greatest;
        json::Value out = {{"type", "integer"}, {"minimum", row.least}, {"maximum", row.greatest}};
        if (!is_demanded) out["default"] = row.standard;
        return put(row, std::move(out), is_demanded ? Need::kDemanded : Need::kOptional);
    }
    template <typename Choice>
    Result<void> choice(const ChoiceRow& row, Choice& standard) {
        json::Value out = {{"type", "string"}};
        for (std::string_view word : row.words) out["enum"].push_back(word);
        out["default"] = row.words[static_cast<std::size_t>(standard)];
        return put(row, std::move(out), Need::kOptional);
    }
    Result<void> text(const TextRow& row, std::string&) {
        json::Value out = {
            {"type", "string"}, {"minLength", row.least_bytes}, {"maxLength", row.most_bytes}};
        return put(row, std::move(out), row.least_bytes > 0 ? Need::kDemanded : Need::kOptional);
    }
    Result<void> texts(const ListRow& row, std::vector<std::string>&) {
        json::Value item = {{"type", "string"}, {"maxLength", row.most_bytes}};
        return put(row, list_of(row, std::move(item)), Need::kOptional);
    }
    template <typename Section>
    Result<void> section(const Row& row, Section&) {
        json::Value out = write<Section>();
        const Need need = out.contains("required") ? Need::kDemanded : Need::kOptional;
        return put(row, std::move(out), need);
    }
    template <typename Section>
    Result<void> list(const ListRow& row, std::vector<Section>&) {
        return put(row, list_of(row, write<Section>()), Need::kOptional);
    }

  private:
    enum class Need { kOptional, kDemanded };

    static json::Value list_of(const ListRow& row, json::Value item) {
        return {{"type", "array"}, {"maxItems", row.most}, {"items", std::move(item)}};
    }

    Result<void> put(const Row& row, json::Value schema, Need need) {
        schema["description"] = row.text;
        properties_[std::string(row.name)] = std::move(schema);
        if (need == Need::kDemanded) required_.push_back(row.name);
        return {};
    }

    json::Value properties_ = json::Value::object();
    json::Value required_ = json::Value::array();
};

/// One of the two, and text in it: what is empty counts as left out.
json::Value either(std::string_view one, std::string_view other) {
    json::Value out = json::Value::array();
    for (std::string_view name : {one, other}) {
        json::Value branch = {{"required", json::Value::array({name})}};
        branch["properties"][std::string(name)]["minLength"] = 1;
        out.push_back(std::move(branch));
    }
    return out;
}

void demand(json::Value& section, std::string_view name) {
    section["required"].push_back(name);
}

/// What check_config() demands beyond the tables.
void add_demands(json::Value& schema) {
    json::Value& platform = schema["properties"]["platform"];
    platform["properties"]["listen"]["minItems"] = 1;
    demand(platform, "listen");
    json::Value& route = schema["properties"]["routes"]["items"];
    route["properties"]["upstream"]["oneOf"] = either("tcp", "unix_socket");
    demand(route, "upstream");
}

}  // namespace

json::Value config_schema() {
    json::Value out = SchemaWriter::write<Config>();
    add_demands(out);
    out["$schema"] = "https://json-schema.org/draft/2020-12/schema";
    out["title"] = "Enclave OS Virtual: configuration of minter and proxy";
    return out;
}

}  // namespace eos::cvm
