# SPDX-License-Identifier: AGPL-3.0-only
# Compiler, warnings, sanitizers and third-party packages, decided once for the whole tree.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS ON)
set(CMAKE_C_STANDARD 17)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(EOS_SANITIZE "" CACHE STRING "address | thread | fuzzer | empty")
option(EOS_BENCH "build bench/" OFF)
option(EOS_PRECOMPILE "precompile the large headers: for builds that start from nothing" OFF)

find_program(EOS_CCACHE ccache)
if(EOS_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${EOS_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${EOS_CCACHE})
endif()

add_compile_options(-Wall -Wextra -Wshadow -Wconversion
                    $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor> $<$<COMPILE_LANGUAGE:CXX>:-Wold-style-cast>
                    -Wno-sign-conversion -Wno-missing-field-initializers -Werror
                    # g++ 12 takes moves of std::variant for uses of uninitialised memory.
                    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
                    -fstack-protector-strong -fno-strict-aliasing
                    -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)
# What g++ 12 says about std::string and std::vector when it optimises fully is wrong (GCC bugs 105651,
# 105762); the dev preset keeps these warnings.
add_compile_options("$<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:Release>>:-Wno-restrict;-Wno-array-bounds;-Wno-stringop-overflow;-Wno-stringop-overread>")
add_link_options(-Wl,-z,relro,-z,now)

# vptr: it needs the type information that -fno-rtti leaves out.
if(EOS_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(EOS_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
elseif(EOS_SANITIZE STREQUAL "fuzzer")
  add_compile_options(-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize=vptr
                      -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(NOT EOS_SANITIZE STREQUAL "")
  message(FATAL_ERROR "EOS_SANITIZE is '${EOS_SANITIZE}': use address, thread, fuzzer or nothing")
endif()
if(EOS_SANITIZE)
  add_compile_definitions(EOS_SANITIZED=1)
  add_link_options(-fuse-ld=lld)  # a hundred programs, each with all its debug lines
endif()

# Enclave programs are static files; sanitizers need the dynamic linker.
if(NOT EOS_SANITIZE)
  set(OPENSSL_USE_STATIC_LIBS ON)
  if("${OPENSSL_CRYPTO_LIBRARY}" MATCHES "\\.so$")  # a build folder from before this rule
    unset(OPENSSL_CRYPTO_LIBRARY CACHE)
    unset(OPENSSL_SSL_LIBRARY CACHE)
  endif()
endif()
find_package(OpenSSL 3.0 REQUIRED)
find_package(Threads REQUIRED)
find_package(GTest REQUIRED)
find_package(nlohmann_json REQUIRED)
