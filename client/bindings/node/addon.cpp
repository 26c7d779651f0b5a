// SPDX-License-Identifier: AGPL-3.0-only
// Node-API over the C interface: what JavaScript cannot do itself. enclaveos_verify.js makes it
// pleasant, and is the only caller: it passes the right types, and one operation of a connection at
// a time. What waits runs in libuv's thread pool.
#include <node_api.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/bindings/c/enclaveos_verify.h"

namespace eos::client::bindings::node {
namespace {

using Bytes = std::vector<unsigned char>;

// The outcome of one function of the library.
struct Outcome {
    int status = EOS_E_INTERNAL;
    eos_verdict* verdict = nullptr;
    eos_connection* connection = nullptr;
    eos_error* error = nullptr;
    Bytes bytes;
};

napi_value make_text(napi_env env, const char* text) {
    napi_value out = nullptr;
    napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &out);
    return out;
}

void set(napi_env env, napi_value object, const char* name, napi_value value) {
    napi_set_named_property(env, object, name, value);
}

napi_value make_buffer(napi_env env, const void* data, std::size_t size) {
    napi_value out = nullptr;
    napi_create_buffer_copy(env, size, data, nullptr, &out);
    return out;
}

// An opaque handle that JavaScript's garbage collector releases.
template <auto Destroy, typename Handle>
napi_value make_handle(napi_env env, Handle* handle) {
    auto release = [](napi_env, void* data, void*) { Destroy(static_cast<Handle*>(data)); };
    napi_value out = nullptr;
    napi_create_external(env, handle, release, nullptr, &out);
    return out;
}

// A connection is closed by the caller or, if he forgets it, with its wrapper.
struct Held {
    eos_connection* connection = nullptr;
};
void destroy_held(Held* held) {
    eos_connection_close(held->connection);
    delete held;
}

// {status, verdict?: {summary, text, json}, connection?, certificate?, code?, message?, bytes?};
// what it takes from the outcome is released.
napi_value to_object(napi_env env, Outcome& outcome) {
    napi_value out = nullptr;
    napi_value status = nullptr;
    napi_create_object(env, &out);
    napi_create_int32(env, outcome.status, &status);
    set(env, out, "status", status);
    if (outcome.verdict != nullptr) {
        napi_value verdict = nullptr;
        napi_create_object(env, &verdict);
        set(env, verdict, "status", status);
        set(env, verdict, "summary", make_text(env, eos_verdict_summary(outcome.verdict)));
        set(env, verdict, "text", make_text(env, eos_verdict_text(outcome.verdict)));
        set(env, verdict, "json", make_text(env, eos_verdict_json(outcome.verdict)));
        set(env, out, "verdict", verdict);
        eos_verdict_destroy(outcome.verdict);
    }
    if (outcome.connection != nullptr) {
        std::size_t size = 0;
        const void* leaf = eos_connection_certificate(outcome.connection, &size);
        set(env, out, "certificate", make_buffer(env, leaf, size));
        set(env, out, "connection", make_handle<destroy_held>(env, new Held{outcome.connection}));
    }
    if (outcome.error != nullptr) {
        set(env, out, "code", make_text(env, eos_error_code(outcome.error)));
        set(env, out, "message", make_text(env, eos_error_message(outcome.error)));
        eos_error_destroy(outcome.error);
    }
    set(env, out, "bytes", make_buffer(env, outcome.bytes.data(), outcome.bytes.size()));
    return out;
}

constexpr std::size_t kMaxArguments = 8;

// The arguments of one call, copied out of JavaScript's memory.
class Arguments {
  public:
    Arguments(napi_env env, napi_callback_info info) : env_(env) {
        napi_get_cb_info(env, info, &count_, values_, nullptr, nullptr);
    }
    // Empty for null and undefined.
    Bytes bytes(std::size_t at) const {
        void* data = nullptr;
        std::size_t size = 0;
        bool is_buffer = false;
        napi_is_buffer(env_, values_[at], &is_buffer);
        if (is_buffer) napi_get_buffer_info(env_, values_[at], &data, &size);
        const auto* begin = static_cast<unsigned char*>(data);
        return size == 0 ? Bytes() : Bytes(begin, begin + size);
    }
    std::int64_t number(std::size_t at) const {
        std::int64_t out = 0;
        napi_get_value_int64(env_, values_[at], &out);
        return out;
    }
    std::string text(std::size_t at) const {
        std::size_t size = 0;
        napi_get_value_string_utf8(env_, values_[at], nullptr, 0, &size);
        std::string out(size + 1, '\0');
        napi_get_value_string_utf8(env_, values_[at], out.data(), out.size(), &size);
        out.resize(size);
        return out;
    }
    template <typename Handle>
    Handle* handle(std::size_t at) const {
        void* data = nullptr;
        napi_get_value_external(env_, values_[at], &data);
        return static_cast<Handle*>(data);
    }
    napi_value value(std::size_t at) const { return values_[at]; }

  private:
    napi_env env_;
    std::size_t count_ = kMaxArguments;
    napi_value values_[kMaxArguments]{};
};

const char* or_null(const std::string& text) {
    return text.empty() ? nullptr : text.c_str();
}

// An operation in the thread pool and the promise of its outcome.
struct Work {
    napi_async_work work = nullptr;
    napi_deferred deferred = nullptr;
    napi_ref keep = nullptr;  ///< the handle that the operation uses
    std::function<Outcome()> run;
    Outcome outcome;
};

void finish(napi_env env, napi_status, void* data) {
    std::unique_ptr<Work> work(static_cast<Work*>(data));
    napi_resolve_deferred(env, work->deferred, to_object(env, work->outcome));
    napi_delete_reference(env, work->keep);
    napi_delete_async_work(env, work->work);
}

napi_value start(napi_env env, napi_value handle, std::function<Outcome()> run) {
    auto work = std::make_unique<Work>();
    work->run = std::move(run);
    napi_value promise = nullptr;
    napi_create_promise(env, &work->deferred, &promise);
    napi_create_reference(env, handle, 1, &work->keep);
    auto execute = [](napi_env, void* data) {
        auto* self = static_cast<Work*>(data);
        self->outcome = self->run();
    };
    napi_create_async_work(env, nullptr, make_text(env, "enclaveos_verify"), execute, finish,
                           work.get(), &work->work);
    napi_queue_async_work(env, work->work);
    work.release();  // finish() has it
    return promise;
}

// (policy, collateral, anchors, chain, key, memory, stapled) → {status, verifier}
napi_value create_verifier(napi_env env, napi_callback_info info) {
    Arguments in(env, info);
    Outcome outcome;
    eos_verifier* verifier = nullptr;
    Bytes policy = in.bytes(0);
    outcome.status = eos_verifier_create(policy.data(), policy.size(), &verifier, &outcome.error);
    if (Bytes json = in.bytes(1); outcome.status == EOS_OK && !json.empty()) {
        outcome.status =
            eos_verifier_set_collateral(verifier, json.data(), json.size(), &outcome.error);
    }
    if (Bytes roots = in.bytes(2); outcome.status == EOS_OK && !roots.empty()) {
        outcome.status =
            eos_verifier_set_anchors(verifier, roots.data(), roots.size(), &outcome.error);
    }
    Bytes key = in.bytes(4);
    if (Bytes chain = in.bytes(3); outcome.status == EOS_OK && !chain.empty()) {
        outcome.status = eos_verifier_set_client(verifier, chain.data(), chain.size(), key.data(),
                                                 key.size(), &outcome.error);
    }
    if (std::string folder = in.text(5); outcome.status == EOS_OK && !folder.empty())
        outcome.status = eos_verifier_set_memory(verifier, folder.c_str(), &outcome.error);
    if (outcome.status == EOS_OK) {
        outcome.status =
            eos_verifier_set_stapled(verifier, static_cast<int>(in.number(6)), &outcome.error);
    }
    napi_value out = to_object(env, outcome);
    set(env, out, "verifier", make_handle<eos_verifier_destroy>(env, verifier));
    return out;
}

// (verifier, evidence, reportData, time)
napi_value verify_evidence(napi_env env, napi_callback_info info) {
    Arguments in(env, info);
    Bytes evidence = in.bytes(1);
    Bytes report_data = in.bytes(2);
    eos_binding binding{};
    binding.struct_size = sizeof binding;
    binding.form = EOS_BINDING_REPORT_DATA;
    binding.report_data = report_data.data();
    binding.report_data_size = report_data.size();
    Outcome outcome;
    outcome.status = eos_verify_evidence(in.handle<eos_verifier>(0), evidence.data(),
                                         evidence.size(), report_data.empty() ? nullptr : &binding,
                                         in.number(3), &outcome.verdict, &outcome.error);
    return to_object(env, outcome);
}

// (verifier, chain, serverName, nonce, binder, time)
napi_value verify_certificate(napi_env env, napi_callback_info info) {
    Arguments in(env, info);
    Bytes chain = in.bytes(1);
    std::string name = in.text(2);
    Bytes nonce = in.bytes(3);
    Bytes binder = in.bytes(4);
    eos_handshake handshake{sizeof(eos_handshake), nonce.data(), nonce.size(), binder.data(),
                            binder.size()};
    bool stored = nonce.empty() && binder.empty();
    Outcome outcome;
    outcome.status = eos_verify_certificate(in.handle<eos_verifier>(0), chain.data(), chain.size(),
                                            or_null(name), stored ? nullptr : &handshake,
                                            in.number(5), &outcome.verdict, &outcome.error);
    return to_object(env, outcome);
}

// (verifier, chain, serverName, nonce, time)
napi_value verify_foreign_certificate(napi_env env, napi_callback_info info) {
    Arguments in(env, info);
    Bytes chain = in.bytes(1);
    std::string name = in.text(2);
    Bytes nonce = in.bytes(3);
    Outcome outcome;
    outcome.status = eos_verify_foreign_certificate(
        in.handle<eos_verifier>(0), chain.data(), chain.size(), or_null(name),
        nonce.empty() ? nullptr : nonce.data(), nonce.size(), in.number(4), &outcome.verdict,
        &outcome.error);
    return to_object(env, outcome);
}

// (verifier, host, port, serverName, mode, timeoutMs, time) → promise
napi_value connect(napi_env env, napi_callback_info info) {
    Arguments in(env, info);
    auto run = [verifier = in.handle<eos_verifier>(0), host = in.text(1), port = in.number(2),
                name = in.text(3), mode = in.number(4), timeout = in.number(5),
                time = in.number(6)] {
        eos_endpoint endpoint{};
        endpoint.struct_size = sizeof endpoint;
        endpoint.host = host.c_str();
        endpoint.server_name = or_null(name);
        endpoint.port = static_cast<std::uint16_t>(port);
        endpoint.mode = static_cast<std::uint16_t>(mode);
        endpoint.timeout_ms = static_cast<std::uint32_t>(timeout);
        Outcome outcome;
        outcome.status = eos_connect(verifier, &endpoint, time, &outcome.connection,
                                     &outcome.verdict, &outcome.error);
        return outcome;
    };
    return start(env, in.value(0), run);
}

// (connection, size, timeoutMs) → promise
napi_value read(napi_env env, napi_callback_info info) {
    Arguments in(env, info);
    auto run = [held = in.handle<Held>(0), size = in.number(1), timeout = in.number(2)] {
        Outcome outcome;
        outcome.bytes.resize(static_cast<std::size_t>(size));
        std::size_t count = 0;
        outcome.status =
            eos_connection_read(held->connection, outcome.bytes.data(), outcome.bytes.size(),
                                &count, static_cast<std::uint32_t>(timeout), &outcome.error);
        outcome.bytes.resize(count);
        return outcome;
    };
    return start(env, in.value(0), run);
}

// (connection, bytes, timeoutMs) → promise
napi_value write(napi_env env, napi_callback_info info) {
    Arguments in(env, info);
    auto run = [held = in.handle<Held>(0), bytes = in.bytes(1), timeout = in.number(2)] {
        Outcome outcome;
        outcome.status = eos_connection_write(held->connection, bytes.data(), bytes.size(),
                                              static_cast<std::uint32_t>(timeout), &outcome.error);
        return outcome;
    };
    return start(env, in.value(0), run);
}

// (connection)
napi_value close(napi_env env, napi_callback_info info) {
    Arguments in(env, info);
    Held* held = in.handle<Held>(0);
    eos_connection_close(held->connection);
    held->connection = nullptr;
    return nullptr;
}

// ()
napi_value abi_version(napi_env env, napi_callback_info) {
    napi_value out = nullptr;
    napi_create_uint32(env, eos_verify_abi_version(), &out);
    return out;
}

struct Function {
    const char* name;
    napi_callback callback;
};
constexpr Function kFunctions[] = {{"abiVersion", abi_version},
                                   {"createVerifier", create_verifier},
                                   {"verifyEvidence", verify_evidence},
                                   {"verifyCertificate", verify_certificate},
                                   {"verifyForeignCertificate", verify_foreign_certificate},
                                   {"connect", connect},
                                   {"read", read},
                                   {"write", write},
                                   {"close", close}};

}  // namespace
}  // namespace eos::client::bindings::node

extern "C" napi_value napi_register_module_v1(napi_env env, napi_value exports) {
    namespace node = eos::client::bindings::node;
    for (const node::Function& function : node::kFunctions) {
        napi_value value = nullptr;
        napi_create_function(env, function.name, NAPI_AUTO_LENGTH, function.callback, nullptr,
                             &value);
        napi_set_named_property(env, exports, function.name, value);
    }
    return exports;
}
