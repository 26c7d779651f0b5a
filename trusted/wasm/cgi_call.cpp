// SPDX-License-Identifier: AGPL-3.0-only
#include "common/base/assert.h"
#include "trusted/wasm/cgi.h"

namespace eos::wasm {

namespace {

constexpr std::string_view kEntry = "_start";

class CgiCall : public AppCall {
  public:
    CgiCall(const WasiWorld& world, WasiProgram program, const Budget& budget, http::Method method)
        : wasi_(world, std::move(program)), budget_(budget), method_(method) {}

    Result<void> begin(const Module& module) {
        instance_ = EOS_TRY(Instance::create(module, wasi_, budget_));
        return instance_->begin(kEntry, {});
    }

    Progress step(std::uint64_t slice) override {
        const Outcome outcome = instance_->run(slice);
        if (std::holds_alternative<OutOfSlice>(outcome)) return StillRunning{};
        if (const auto* request = std::get_if<HostRequest>(&outcome)) return *request;
        return finish(outcome);
    }

    std::uint64_t fuel_used() const override { return budget_.fuel - instance_->fuel_left(); }

  private:
    AppResponse finish(const Outcome& outcome) {
        if (const auto* trap = std::get_if<Trap>(&outcome)) {
            const bool success = trap->code == TrapCode::kExit && trap->exit_code == 0;
            if (!success) return trap_response(*trap);
        }
        auto output = parse_cgi_output(wasi_.take_output(), method_);
        if (!output) return error_response(output.error());
        AppResponse response;
        response.head = std::move(output->head);
        response.body = std::move(output->body);
        return response;
    }

    Wasi wasi_;
    Budget budget_;
    http::Method method_;
    std::unique_ptr<Instance> instance_;  // refers to wasi_
};

}  // namespace

bool has_cgi_entry(const Module& module) {
    const ModuleExport* entry = module.find_function(kEntry);
    return entry != nullptr && entry->type == FunctionType{};
}

Result<std::unique_ptr<AppCall>> begin_cgi_call(const Module& module, const WasiWorld& world,
                                                const AppConfig& config, CgiRequest request) {
    WasiProgram program;
    program.arguments.push_back(config.name);
    program.arguments.insert(program.arguments.end(), config.arguments.begin(),
                             config.arguments.end());
    program.environment = EOS_TRY(cgi_environment(request, config));
    program.input = std::move(request.body);
    program.output_limit_bytes = config.output_limit_bytes;
    auto call =
        std::make_unique<CgiCall>(world, std::move(program), config.budget, request.head.method);
    EOS_TRY(call->begin(module));
    return call;
}

}  // namespace eos::wasm
