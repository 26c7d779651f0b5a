# SPDX-License-Identifier: AGPL-3.0-only
# The arrows of the architecture, checked at configure time. `tests/lint` checks the #include lines against
# the same table, so that neither can be got round by the other.
#
# One row per folder: FOLDER followed by the folders it may depend on directly. A folder that is not listed
# here cannot be a target. "ANY" is for composition: tests, benches and emulation's main programs.

set(EOS_ARROWS
  "common/base|"
  "common/json|common/base"
  "common/oid|common/base"
  "common/http|common/base"
  "common/jose|common/json common/crypto common/base"
  "common/owner|common/jose common/json common/crypto common/base"
  "common/crypto|common/base"
  "common/sgx_arch|common/base"
  "common/snp_arch|common/base"
  "common/x509|common/crypto common/oid common/base"
  "common/config_tree|common/json common/crypto common/base"
  "common/attestation/evidence|common/sgx_arch common/snp_arch common/x509 common/oid common/crypto common/base common/json"
  "common/attestation/endorsements|common/sgx_arch common/snp_arch common/x509 common/oid common/crypto common/base common/json"
  "common/attestation/verify|common/attestation/evidence common/attestation/endorsements common/sgx_arch common/snp_arch common/x509 common/oid common/crypto common/base common/json"
  "common/attestation/event_log|common/attestation/verify common/crypto common/base common/json"
  "common/attestation/appraise|common/attestation/event_log common/attestation/verify common/attestation/evidence common/attestation/endorsements common/sgx_arch common/snp_arch common/x509 common/oid common/crypto common/base common/json"
  "common/attestation/ear|common/attestation/appraise common/attestation/verify common/jose common/json common/crypto common/base"
  "common/ratls|common/attestation/appraise common/attestation/event_log common/attestation/verify common/attestation/evidence common/attestation/endorsements common/config_tree common/sgx_arch common/snp_arch common/x509 common/oid common/crypto common/base common/json"
  "boundary|common/base common/crypto common/sgx_arch"
  "trusted/platform|common/base common/sgx_arch boundary"
  "trusted/platform/libc|trusted/platform boundary common/base"
  "trusted/runtime|COMMON"
  "trusted/wasm|COMMON"
  "trusted/mini/host_services|trusted/platform trusted/runtime boundary COMMON"
  "trusted/mini/ingress|trusted/runtime boundary COMMON"
  "trusted/mini/apps|trusted/runtime trusted/wasm COMMON"
  "trusted/mini/control|trusted/runtime boundary COMMON"
  "trusted/mini/api|trusted/mini/host_services trusted/mini/control trusted/mini/apps trusted/runtime trusted/wasm boundary COMMON"
  "trusted/mini|trusted/mini/host_services trusted/mini/ingress trusted/mini/apps trusted/mini/control trusted/mini/api trusted/platform trusted/runtime trusted/wasm boundary COMMON"
  "trusted/os|trusted/runtime COMMON"
  "trusted/virtual/evidence|trusted/os COMMON"
  "trusted/attestd|trusted/os trusted/runtime COMMON"
  "trusted/virtual/config|trusted/runtime COMMON"
  "trusted/virtual/mint_protocol|trusted/virtual/config trusted/os trusted/runtime COMMON"
  "trusted/virtual/minter|trusted/virtual/mint_protocol trusted/virtual/evidence trusted/virtual/config trusted/os trusted/runtime COMMON"
  "trusted/virtual/proxy|trusted/virtual/mint_protocol trusted/virtual/config trusted/runtime trusted/os COMMON"
  "untrusted/aesm|common/base"
  "untrusted/daemon|untrusted/aesm boundary COMMON"
  "untrusted/runner|boundary COMMON"
  "emulation/sgx_cpu|COMMON"
  "emulation/snp|COMMON"
  "emulation/quoting|emulation/sgx_cpu untrusted/aesm COMMON"
  "emulation/process|emulation/sgx_cpu trusted/platform trusted/platform/libc boundary COMMON"
  "emulation/tsm|emulation/quoting emulation/snp COMMON"
  "emulation/attestd|trusted/attestd trusted/os COMMON"
  "emulation/proxy|trusted/virtual/proxy trusted/virtual/mint_protocol trusted/virtual/config trusted/runtime trusted/os COMMON"
  "client|COMMON"
  "client/measure|client COMMON"
  "client/policy|client COMMON"
  "client/cli|client client/measure client/policy COMMON"
  "client/bindings/c|client COMMON"
  "client/bindings/node|client/bindings/c"
)

# Zones whose code is linked into a TCB: no exceptions, no RTTI.
set(EOS_NOEXCEPT_FOLDERS common boundary trusted/platform trusted/runtime trusted/os trusted/wasm trusted/mini)

function(eos_allowed_dependencies folder out)
  foreach(row IN LISTS EOS_ARROWS)
    string(REPLACE "|" ";" parts "${row}")
    list(GET parts 0 name)
    if(name STREQUAL folder)
      list(LENGTH parts n)
      set(allowed "")
      if(n GREATER 1)
        list(GET parts 1 allowed)
      endif()
      string(REPLACE " " ";" allowed "${allowed}")
      set(${out} "${allowed}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  message(FATAL_ERROR "${folder} has no row in cmake/zones.cmake: add it to the architecture first")
endfunction()

# Stops the configuration when FOLDER depends on something its row does not allow.
function(eos_check_arrow folder dependency)
  eos_allowed_dependencies("${folder}" allowed)
  if(dependency IN_LIST allowed)
    return()
  endif()
  if("COMMON" IN_LIST allowed AND dependency MATCHES "^common/")
    return()
  endif()
  message(FATAL_ERROR "forbidden arrow: ${folder} -> ${dependency} (cmake/zones.cmake)")
endfunction()
