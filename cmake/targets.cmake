# SPDX-License-Identifier: AGPL-3.0-only
# Target constructors. One folder is one library; its name is the folder's path.

# common/base -> eos_common_base
function(eos_target_name folder out)
  string(REPLACE "/" "_" name "${folder}")
  set(${out} "eos_${name}" PARENT_SCOPE)
endfunction()

function(eos_current_folder out)
  file(RELATIVE_PATH folder "${CMAKE_SOURCE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}")
  set(${out} "${folder}" PARENT_SCOPE)
endfunction()

function(eos_apply_zone_flags target folder)
  foreach(zone IN LISTS EOS_NOEXCEPT_FOLDERS)
    if(folder STREQUAL zone OR folder MATCHES "^${zone}/")
      target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti>)
      target_compile_definitions(${target} PRIVATE JSON_NOEXCEPTION)
      return()
    endif()
  endforeach()
endfunction()

# eos_library(SOURCES a.cpp … HEADERS a.h … DEPS common/base … EXTERNAL OpenSSL::Crypto …)
# The library of the current folder. DEPS are folders and are checked against cmake/zones.cmake.
function(eos_library)
  cmake_parse_arguments(A "" "" "SOURCES;HEADERS;DEPS;EXTERNAL" ${ARGN})
  eos_current_folder(folder)
  eos_target_name("${folder}" target)
  if(NOT A_SOURCES)
    file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/headers_only.cpp" "")
    set(A_SOURCES "${CMAKE_CURRENT_BINARY_DIR}/headers_only.cpp")
  endif()
  add_library(${target} STATIC ${A_SOURCES})
  target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS "${CMAKE_SOURCE_DIR}" FILES ${A_HEADERS})
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX VERIFY_INTERFACE_HEADER_SETS ON)
  eos_apply_zone_flags(${target} "${folder}")
  foreach(dependency IN LISTS A_DEPS)
    eos_check_arrow("${folder}" "${dependency}")
    eos_target_name("${dependency}" name)
    target_link_libraries(${target} PUBLIC ${name})
  endforeach()
  target_link_libraries(${target} PUBLIC ${A_EXTERNAL})
endfunction()

# An executable from SOURCES that may include from the root and links the libraries of the folders in DEPS.
function(eos_executable target)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;EXTERNAL" ${ARGN})
  add_executable(${target} ${A_SOURCES})
  target_include_directories(${target} PRIVATE "${CMAKE_SOURCE_DIR}")
  foreach(dependency IN LISTS A_DEPS)
    eos_target_name("${dependency}" name)
    target_link_libraries(${target} PRIVATE ${name})
  endforeach()
  target_link_libraries(${target} PRIVATE ${A_EXTERNAL})
endfunction()

# eos_program(NAME enclavectl SOURCES … DEPS folders… EXTERNAL …)
# A program: a composition root, the only place that may know every part of its zone.
function(eos_program)
  cmake_parse_arguments(A "" "NAME" "SOURCES;DEPS;EXTERNAL" ${ARGN})
  eos_executable(${A_NAME} SOURCES ${A_SOURCES} DEPS ${A_DEPS} EXTERNAL ${A_EXTERNAL})
  set_target_properties(${A_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
endfunction()

# Evidence that others published: named by the environment, or beside the source tree, or absent; then the tests that
# read it say "skipped: no corpus".
set(EOS_EVIDENCE_DIR "$ENV{EOS_EVIDENCE_DIR}")
if(NOT EOS_EVIDENCE_DIR AND EXISTS "${CMAKE_SOURCE_DIR}/../shared/evidence/index.json")
  cmake_path(ABSOLUTE_PATH CMAKE_SOURCE_DIR NORMALIZE OUTPUT_VARIABLE root)
  cmake_path(APPEND root ".." "shared" "evidence" OUTPUT_VARIABLE EOS_EVIDENCE_DIR)
endif()

# eos_test(NAME common_base SOURCES …_test.cpp DEPS folders… EXTERNAL …)
# One GoogleTest program, which is one CTest test.
function(eos_test)
  cmake_parse_arguments(A "" "NAME" "SOURCES;DEPS;EXTERNAL" ${ARGN})
  set(target "test_${A_NAME}")
  eos_executable(${target} SOURCES ${A_SOURCES} DEPS ${A_DEPS} EXTERNAL ${A_EXTERNAL})
  target_link_libraries(${target} PRIVATE GTest::gmock GTest::gtest_main Threads::Threads)
  target_compile_definitions(${target} PRIVATE EOS_SOURCE_DIR="${CMAKE_SOURCE_DIR}" EOS_BINARY_DIR="${CMAKE_BINARY_DIR}")
  add_test(NAME ${A_NAME} COMMAND ${target} --gtest_brief=1)
  set_tests_properties(${A_NAME} PROPERTIES TIMEOUT 300)
  if(EOS_EVIDENCE_DIR)
    set_tests_properties(${A_NAME} PROPERTIES ENVIRONMENT "EOS_EVIDENCE_DIR=${EOS_EVIDENCE_DIR}")
  endif()
endfunction()

# eos_fuzz(NAME x509_certificate SOURCES certificate_fuzz.cpp DEPS folders… CORPUS folder)
# A fuzz target: one function `extern "C" int LLVMFuzzerTestOneInput(const uint8_t*, size_t)`.
# With EOS_SANITIZE=fuzzer it is a libFuzzer program; otherwise it replays its seed corpus as a test.
function(eos_fuzz)
  cmake_parse_arguments(A "" "NAME;CORPUS" "SOURCES;DEPS;EXTERNAL" ${ARGN})
  set(target "fuzz_${A_NAME}")
  eos_executable(${target} SOURCES ${A_SOURCES} DEPS ${A_DEPS} EXTERNAL ${A_EXTERNAL})
  if(EOS_SANITIZE STREQUAL "fuzzer")
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    # For tools/fuzz.py: target, corpus, and the folders whose change restarts the target's clock.
    list(JOIN A_SOURCES "," sources)
    list(JOIN A_DEPS "," folders)
    file(GENERATE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/${target}.target"
         CONTENT "${A_NAME} ${A_CORPUS} ${sources} ${folders}\n")
    if(NOT TARGET fuzz_targets)
      add_custom_target(fuzz_targets)
    endif()
    add_dependencies(fuzz_targets ${target})
  else()
    target_sources(${target} PRIVATE "${CMAKE_SOURCE_DIR}/fuzz/replay_main.cpp")
    add_test(NAME fuzz_replay_${A_NAME} COMMAND ${target} "${CMAKE_SOURCE_DIR}/fuzz/corpus/${A_CORPUS}")
    set_tests_properties(fuzz_replay_${A_NAME} PROPERTIES TIMEOUT 120)
  endif()
endfunction()

# eos_add_folders(a b/c …): add_subdirectory for each folder that exists, in the order given (bottom first).
function(eos_add_folders)
  foreach(folder IN LISTS ARGN)
    if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${folder}/CMakeLists.txt")
      add_subdirectory(${folder})
    endif()
  endforeach()
endfunction()
