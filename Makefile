# The main commands are `make run` and `make test`. Both first install missing packages and build everything.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# All packages that kbuild uses, in the list that the executable also reads.
PACKAGE_LIST := Sources/Support/Processes/packages.txt
packages = $(shell awk '/^[a-z]/ && $$2 ~ /^($(1))$$/ { print $$1 }' $(PACKAGE_LIST))
PACKAGES := $(call packages,required|optional|build)
# Those of them that only kbuild's own build needs,
BUILD_PACKAGES := $(call packages,build)
# and those that a run can do without, or needs for some projects only.
OPTIONAL_PACKAGES := $(call packages,optional)
# Further packages for the benchmarks.
BENCH_PACKAGES := python3-venv
# Further packages for `make deb`.
DEB_PACKAGES := dpkg-dev

# The target of `make install`, and a folder in place of the root of the file system.
PREFIX ?= /usr/local
DESTDIR ?=

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
KBUILD := .build/release/kbuild
DEB := .build/kbuild-cli.deb
# Swift's libraries are linked statically, so that kbuild runs without a toolchain, or with another one.
# Lines are enough for a trace of a crash; the whole debug information takes a fifth of the build's time.
BUILD := swift build -c release --static-swift-stdlib -Xswiftc -gline-tables-only
ARGS ?=
# Flags for the build of the tests. Continuous integration leaves out debug information, which takes a fifth of the time.
TESTFLAGS ?=

# A comma for arguments of make functions.
, := ,

# Prints what a command does, runs it, and prints the time it took: $(call step,WHAT,COMMAND)
step = @start=$$(date +%s); echo "==> $(1)"; $(2); echo "==> $(1): $$(( $$(date +%s) - start )) s"

.PHONY: help
help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install the Debian packages that are missing.
	@missing=$$(for package in $(PACKAGES) $(EXTRA_PACKAGES); do \
	    dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || echo $$package; done); \
	if [ -n "$$missing" ]; then \
	    echo "==> installing" $$missing; start=$$(date +%s); \
	    $(SUDO) apt-get update -qq; \
	    DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	    echo "==> installed: $$(( $$(date +%s) - start )) s"; \
	fi

.PHONY: build
build: setup ## Build kbuild in release mode.
	$(call step,building kbuild,$(BUILD) --product kbuild)

.PHONY: run
run: build ## Patch, build, boot and test: the main command. ARGS="..." adds flags.
	$(call step,kbuild run,$(KBUILD) run $(ARGS))

.PHONY: test
test: unit-test bench-test integration-test ## Run all tests except those that build extra kernels.

.PHONY: unit-test
unit-test: setup ## Run the tests that do not need a kernel.
	$(call step,unit tests,swift test $(TESTFLAGS))

.PHONY: integration-test
integration-test: build ## Build a kernel, boot it, and run the guest suites and the tests of kbuild as a whole.
	$(call step,integration tests,KBUILD_TESTS=guest KBUILD_EXECUTABLE=$(abspath $(KBUILD)) swift test $(TESTFLAGS) --no-parallel --filter IntegrationTests)

.PHONY: kernels-test
kernels-test: build ## Run the tests that compile other kernels: every checker, debug information, Linux 6.12, the tutorial, and incremental builds of Linux 6.12 and user-mode Linux.
	$(call step,tests with other kernels,KBUILD_TESTS=kernels KBUILD_EXECUTABLE=$(abspath $(KBUILD)) swift test $(TESTFLAGS) --no-parallel --filter IntegrationTests)

.PHONY: long-test
long-test: build ## Run the tests that compile separate kernels: all of docs/tutorial, the first hour, gdb, KUnit, a guest with Debian, modules, races, coverage's minimum.
	$(call step,long tests,KBUILD_TESTS=long KBUILD_EXECUTABLE=$(abspath $(KBUILD)) swift test $(TESTFLAGS) --no-parallel --filter IntegrationTests)

.PHONY: verify-builds
verify-builds: build ## Show that incremental builds agree with plain ones, on every kernel and after an edit of the table.
	$(call step,verify-builds,KBUILD_TESTS=guest$(,)kernels$(,)proof KBUILD_EXECUTABLE=$(abspath $(KBUILD)) swift test $(TESTFLAGS) --no-parallel --filter VerifyBuildTests)

.PHONY: mutations
mutations: build ## Show that the guest suites notice faulty system calls. ONLY=caesar or ONLY=caesar/one-mutant selects some.
	$(call step,mutations,KBUILD_TESTS=campaign KBUILD_EXECUTABLE=$(abspath $(KBUILD)) MUTATIONS=$(ONLY) swift test $(TESTFLAGS) --no-parallel --filter MutationTests)

.PHONY: soak
soak: build ## Boot 500 guests that misbehave and count wrong verdicts, orphans and leaks. BOOTS=50 SEED=7 changes the run.
	$(call step,soak,KBUILD_TESTS=campaign KBUILD_EXECUTABLE=$(abspath $(KBUILD)) BOOTS=$(BOOTS) SEED=$(SEED) swift test $(TESTFLAGS) --no-parallel --filter SoakTests)

.PHONY: staleness
staleness: build ## Change each kind of input before and during builds and count stale verdicts. TRIES=40 SEED=7 ONLY=patch changes the run.
	$(call step,staleness,KBUILD_TESTS=campaign KBUILD_EXECUTABLE=$(abspath $(KBUILD)) TRIES=$(TRIES) SEED=$(SEED) ONLY=$(ONLY) swift test $(TESTFLAGS) --no-parallel --filter StalenessTests)

.PHONY: patches-test
patches-test: ## Compare kbuild with git on 5,000 damaged patches and mails. MUTATIONS=300 SEED=7 changes the run.
	$(call step,mutated patches,KBUILD_PATCH_MUTATIONS=$(or $(MUTATIONS),5000) KBUILD_PATCH_SEED=$(or $(SEED),1) swift test $(TESTFLAGS) --filter PatchMutationTests)

.PHONY: matrix
matrix: build ## Test every call on both kernels, in QEMU and in user-mode Linux, and print the table.
	$(call step,matrix,KBUILD_TESTS=campaign KBUILD_EXECUTABLE=$(abspath $(KBUILD)) swift test $(TESTFLAGS) --no-parallel --filter MatrixTests)

# The rows are those of Benchmarks/RESULTS.md. virtme-ng is installed from PyPI into an environment in kbuild's cache.
.PHONY: bench
bench: EXTRA_PACKAGES := $(BENCH_PACKAGES)
bench: build ## Measure against targets and peers. ROUNDS=5, ONLY=boot,uml selects rows, COLD=1 adds the long ones.
	$(call step,building the benchmarks,swift build --package-path Benchmarks -c release --product bench)
	$(call step,bench,KBUILD_EXECUTABLE=$(abspath $(KBUILD)) ROUNDS=$(ROUNDS) ONLY=$(ONLY) COLD=$(COLD) Benchmarks/.build/release/bench)

.PHONY: bench-test
bench-test: ## Test the benchmarks' calculations.
	$(call step,tests of the benchmarks,swift test --package-path Benchmarks)

# The user who calls make builds; only copying may need more privileges.
.PHONY: install
install: build man ## Install kbuild, completions, man pages and documents below PREFIX (/usr/local), in DESTDIR.
	$(if $(DESTDIR),,$(SUDO)) $(STAGE) install $(STAGED)

.PHONY: uninstall
uninstall: ## Remove the files of `make install` with the same PREFIX and DESTDIR.
	$(if $(DESTDIR),,$(SUDO)) $(STAGE) remove $(STAGED)

STAGE := Packaging/stage.sh
STAGED = "$(DESTDIR)" "$(PREFIX)" "$(PREFIX)/share/doc/kbuild" "$(PREFIX)/share/zsh/site-functions"

.PHONY: pictures
pictures: EXTRA_PACKAGES := tmux python3
pictures: build ## Make the README's pictures again, from runs of a new project. This compiles a kernel.
	$(call step,pictures,docs/pictures/make.sh $(KBUILD))

.PHONY: man
man: build ## Make the man pages from the command-line parser.
	$(call step,man pages,Packaging/make-man.sh)

.PHONY: deb
deb: EXTRA_PACKAGES := $(DEB_PACKAGES)
deb: build man ## Make a Debian package, .build/kbuild-cli.deb.
	$(call step,the Debian package,Packaging/make-deb.sh $(DEB) "$(filter-out $(BUILD_PACKAGES) $(OPTIONAL_PACKAGES),$(PACKAGES))" "$(OPTIONAL_PACKAGES)")

.PHONY: deb-test
deb-test: deb ## Show that the package is complete and works where it is unpacked.
	$(call step,test of the Debian package,Packaging/test-deb.sh $(DEB))

.PHONY: check
check: ## Check the licence headers, the width of comments and the format of the sources.
	$(call step,checking the licence headers and comments,Packaging/check-headers.sh)
	$(call step,checking the format,swift format lint --strict --parallel --recursive Package.swift Sources Plugins Tests rootfs Benchmarks)

.PHONY: docs
docs: setup ## Make the documentation of SyscallTesting, in .build/SyscallTesting.doccarchive.
	$(call step,the documentation of SyscallTesting,Packaging/make-docs.sh .build/SyscallTesting.doccarchive)

.PHONY: format
format: ## Format the sources.
	swift format --in-place --parallel --recursive Package.swift Sources Plugins Tests rootfs Benchmarks

.PHONY: clean
clean: ## Remove the build's files here. `kbuild clean` empties the cache.
	rm -rf .build Benchmarks/.build
