# SPDX-License-Identifier: AGPL-3.0-only
# The front door. CMake presets (dev, asan, tsan, fuzz, bench, release) do the work underneath.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PRESET ?= dev
JOBS ?= $(shell nproc)

help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 18

deps:            ## list and install what build and demo need (Debian packages; asks for nothing else)
	@tools/deps.sh build

deps-bench:      ## install the peers that `make bench` measures against; starts none of them
	@tools/deps.sh bench

deps-test:       ## install what tests and lint need beyond `deps`
	@tools/deps.sh test

build: deps      ## configure and build everything (PRESET=dev by default)
	@cmake --preset $(PRESET) >/dev/null && cmake --build --preset $(PRESET) -j $(JOBS)

PROGRAMS = enclave-os-mini enclave-os-runner-process sgx-quoting-emulator enclavectl state-tamper apps
VIRTUAL_PROGRAMS = enclave-os-minter enclave-os-proxy tsm-emulator enclavectl

demo: deps       ## the whole story on loopback, with explanations; ends with "demo: OK"
	@cmake --preset $(PRESET) >/dev/null && cmake --build --preset $(PRESET) -j $(JOBS) --target $(PROGRAMS) $(VIRTUAL_PROGRAMS)
	@tools/demo.sh build/$(PRESET)/bin && tools/demo-virtual.sh build/$(PRESET)/bin

demo-virtual: deps ## its second act alone: services behind the attested proxy of a confidential VM
	@cmake --preset $(PRESET) >/dev/null && cmake --build --preset $(PRESET) -j $(JOBS) --target $(VIRTUAL_PROGRAMS)
	@tools/demo-virtual.sh build/$(PRESET)/bin

test: deps-test  ## build and run every test, fuzz-corpus replay and lint
	@cmake --preset dev >/dev/null && cmake --build --preset dev -j $(JOBS)
	@ctest --preset dev -j $(JOBS)

test-sanitize: deps-test ## the same tests under address+undefined and thread sanitizers
	@tools/test_sanitize.sh $(JOBS)

lint: deps-test  ## arrows, sizes, doc-comments, formatting, self-contained headers, clang-tidy (slow)
	@cmake --preset dev >/dev/null && cmake --build --preset dev -j $(JOBS) --target all_verify_interface_header_sets
	@tests/lint/lint.py --tidy

tcb: build       ## what is trusted: size by origin, lines, host messages, library symbols
	@tools/tcb.py build/$(PRESET)

bench: deps-bench ## ratios against peers measured in the same run (BENCH=--short: only to see that it runs)
	@cmake --preset bench >/dev/null && cmake --build --preset bench -j $(JOBS) \
	    --target $(PROGRAMS) $(VIRTUAL_PROGRAMS) bench-boundary-ring bench-leaf-mint bench-evidence-verify https-load
	@bench/run.sh build/bench $(BENCH)

clean:           ## remove everything that was built
	rm -rf build

.PHONY: help deps deps-bench deps-test build demo demo-virtual test test-sanitize lint tcb bench clean
