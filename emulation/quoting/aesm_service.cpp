// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/quoting/aesm_service.h"

#include <string_view>

namespace eos::emulation::quoting {

namespace {

sgx_cpu::EnclaveIdentity reported_enclave(const sgx_arch::ReportBody& body) {
    sgx_cpu::EnclaveIdentity out;
    out.mr_enclave = body.mr_enclave;
    out.mr_signer = body.mr_signer;
    out.attributes = body.attributes;
    out.misc_select = body.misc_select;
    out.isv_prod_id = body.isv_prod_id;
    out.isv_svn = body.isv_svn;
    out.config_svn = body.config_svn;
    out.config_id = body.config_id;
    out.isv_family_id = body.isv_family_id;
    out.isv_ext_prod_id = body.isv_ext_prod_id;
    return out;
}

}  // namespace

aesm::Response AesmService::answer(const aesm::Request& request) {
    if (const auto* init = std::get_if<aesm::InitQuoteRequest>(&request)) return init_quote(*init);
    if (const auto* size = std::get_if<aesm::QuoteSizeRequest>(&request)) return quote_size(*size);
    return quote(std::get<aesm::QuoteRequest>(request));
}

aesm::Status AesmService::refuse(aesm::Status status, std::string_view why) const {
    log_("refused: " + std::string(why));
    return status;
}

aesm::Status AesmService::check_key(ByteView att_key_id, KeyState needed) const {
    if (!equal(att_key_id, aesm::ecdsa_p256_att_key_id())) {
        return refuse(aesm::Status::kParameterError,
                      "att_key_id does not name the ECDSA P-256 quoting enclave");
    }
    if (needed == KeyState::kInitialised && key_state_ != KeyState::kInitialised) {
        return refuse(aesm::Status::kAttKeyNotInitialised,
                      "no initQuoteEx since this program's start");
    }
    return aesm::Status::kSuccess;
}

aesm::InitQuoteResponse AesmService::init_quote(const aesm::InitQuoteRequest& request) {
    const aesm::Status status = check_key(request.att_key_id, KeyState::kUnused);
    if (status != aesm::Status::kSuccess) return {.status = status};
    const crypto::Digest32 key_id = enclave_.public_key_id();
    const bool return_key_id = request.pub_key_id == aesm::PubKeyId::kReturn;
    if (return_key_id && request.buf_size < key_id.size()) {
        return {.status = refuse(aesm::Status::kParameterError,
                                 "initQuoteEx: buf_size has no room for the public key id")};
    }
    key_state_ = KeyState::kInitialised;
    return {.status = aesm::Status::kSuccess,
            .target_info = to_bytes(encode(enclave_.target_info())),
            .pub_key_id_size = key_id.size(),
            .pub_key_id = return_key_id ? to_bytes(key_id) : Bytes{}};
}

aesm::QuoteSizeResponse AesmService::quote_size(const aesm::QuoteSizeRequest& request) const {
    const aesm::Status status = check_key(request.att_key_id, KeyState::kInitialised);
    if (status != aesm::Status::kSuccess) return {.status = status};
    return {.status = status,
            .quote_size = static_cast<std::uint32_t>(enclave_.quote_size_bytes())};
}

aesm::QuoteResponse AesmService::quote(const aesm::QuoteRequest& request) {
    const aesm::Status status = check_key(request.att_key_id, KeyState::kInitialised);
    if (status != aesm::Status::kSuccess) return {.status = status};
    if (request.qe_report_info.has_value()) {
        return {.status = refuse(aesm::Status::kParameterError,
                                 "getQuoteEx: qe_report_info is not emulated")};
    }
    if (request.buf_size < enclave_.quote_size_bytes()) {
        return {.status = refuse(aesm::Status::kParameterError,
                                 "getQuoteEx: buf_size has no room for the quote")};
    }
    ++quote_count_;
    if (faults_.fail_every != 0 && quote_count_ % faults_.fail_every == 0)
        return {.status = refuse(aesm::Status::kServiceUnavailable, "--fail-every")};
    Result<Bytes> quote = quote_of(request.report);
    if (!quote) {
        return {.status = refuse(aesm::Status::kParameterError,
                                 "getQuoteEx: " + quote.error().message())};
    }
    return {.status = aesm::Status::kSuccess, .quote = *std::move(quote)};
}

Result<Bytes> AesmService::quote_of(ByteView report) const {
    if (faults_.report == Faults::Report::kAsSent) return enclave_.quote(report);
    const sgx_arch::Report sent =
        EOS_TRY(sgx_cpu::verify_report(enclave_.cpu(), quoting_enclave_identity(), report));
    sgx_arch::ReportData other = sent.body.report_data;
    other[0] ^= std::byte{1};
    const sgx_arch::Report another =
        EOS_TRY(enclave_.cpu().report(reported_enclave(sent.body), enclave_.target_info(), other));
    return enclave_.quote(encode(another));
}

}  // namespace eos::emulation::quoting
