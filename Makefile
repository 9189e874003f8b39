# drvs: `make demo` and `make test` are all that is needed after a clone. `make help` lists the rest.

VENV   := .venv
BIN    := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
CORE   := src/drvs/core/_core.abi3.so
C      := $(wildcard csrc/*/*.c csrc/*/*.h csrc/include/*/*.h csrc/include/compat/kernel/minix/*.h csrc/lib/*.map) tools/clibrary.py
PREFIX ?= /usr/local
TESTS  ?= tests
QUICK  := -m 'not slow' -n 2 --dist loadfile
# The tests have a watchdog of their own (tests/conftest.py): a hang prints every stack and fails.

.DEFAULT_GOAL := build
.PHONY: help build demo test test-slow test-qemu check-c lint typecheck docs bench dist install-c clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# ---- what everything stands on: a virtual environment with the dependencies, and the extension ----

$(VENV)/.installed: pyproject.toml setup.py tools/prepare
	@tools/prepare
	$(PIP) install 'setuptools>=77'
	$(PIP) install --no-build-isolation --editable '.[dev]'
	@touch $@

# The same step builds libm3ipc, into src/drvs/native.
$(CORE): $(VENV)/.installed setup.py $(C)
	$(BIN)/python setup.py --quiet build_ext --inplace
	@touch -c $@

build: $(CORE) ## the virtual environment and the extension

# ---- the two commands of the README ----

demo: build ## three nodes, a cut link, a sudden death; a program put aside and multiplied; narrated
	$(BIN)/drvs demo

test: build lint check-c ## all checks and the quick tests
	$(PYTEST) $(QUICK) $(TESTS)

# ---- the rest ----

test-slow: build ## the long tests: every instruction killed, full rogue runs, stress, sanitizers
	$(PYTEST) -m slow $(TESTS)

test-qemu: build ## tests on another kernel, in an emulator: TIPC, Yama (qemu-system-x86, linux-image-amd64, busybox-static)
	$(PYTEST) -m slow tests/qemu

lint: build ## ruff and mypy --strict
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy --no-error-summary

# Every C file by itself, with warnings as errors: a warning that the build above only printed fails here.
CHECKED := $(patsubst csrc/%.c,build/check/%.o,$(wildcard csrc/*/*.c))

check-c: $(CHECKED) ## the C sources compile without a warning

build/check/%.o: csrc/%.c $(wildcard csrc/*/*.h csrc/include/*/*.h) | $(VENV)/.installed
	@mkdir -p $(@D)
	@echo "check $<"; gcc -std=gnu11 -O2 -Wall -Wextra -Wconversion -Werror -fvisibility=hidden -DPy_LIMITED_API=0x030B0000 -fPIC \
	  -Icsrc/core -Icsrc/include -I$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))') -c $< -o $@

docs: build ## rewrite the generated pages (docs/reference/)
	$(BIN)/python tools/reference --write

bench: build ## drvs beside its peers on this machine
	$(BIN)/drvs bench local
	$(BIN)/drvs bench images
	$(BIN)/drvs bench executor
	$(BIN)/drvs bench cluster

dist: build ## the wheel, in dist/
	$(PIP) wheel --no-deps --wheel-dir dist .

install-c: ## libm3ipc, its headers and manual pages below PREFIX (default /usr/local; DESTDIR and LIBDIR as usual)
	python3 tools/clibrary.py --prefix '$(PREFIX)' --destdir '$(DESTDIR)' $(if $(LIBDIR),--libdir '$(LIBDIR)')

clean: ## everything that make made
	rm -rf $(VENV) build dist src/drvs/native *.egg-info src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests examples tools -name '*.so' -exec rm -f {} + -o -name '__pycache__' -prune -exec rm -rf {} +
