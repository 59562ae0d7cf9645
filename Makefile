# SPDX-License-Identifier: Apache-2.0
#
# Only a menu: everything is done by meson and by the scripts of script/.

.PHONY: help build check golden test asan fuzz kernels bench demo fmt clean

help:
	@echo 'make build     build everything in build/dev'
	@echo 'make check     what needs no privilege: linters, C tests, golden files'
	@echo 'make golden    rewrite the kept dumps of the compiler (look at the diff)'
	@echo 'make test      everything (as root: also what traces this kernel)'
	@echo 'make asan      the tests under the sanitizers'
	@echo 'make fuzz      each fuzzer for some seconds'
	@echo 'make kernels   the kernel tests on stock kernels under qemu (K="6.1 6.12")'
	@echo 'make bench     pydtrace beside bpftrace, bcc and a hand-written program'
	@echo 'make demo      real D programs from Python'
	@echo 'make fmt       lay out the sources'

build:
	@bash -euo pipefail -c '. script/lib.sh; need run test; build_dev'

check:
	@script/test --only format,ruff,mypy,tidy,unit,golden

golden: build
	@build/venv/bin/python tests/golden/run.py --dt-golden build/dev/tests/golden/dt-golden --update

test:
	@script/test

asan fuzz:
	@script/test --only $@

kernels:
	@script/kernels $(K)

bench demo:
	@script/$@

fmt:
	@script/format

clean:
	rm -rf build/dev build/asan build/fuzz build/wheel build/test build/bench build/kernels build/log
