# SPDX-License-Identifier: MIT
# Nibble. `make help` lists what there is.

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
LIBDIR ?= $(PREFIX)/lib
CC = gcc
PKG_CONFIG ?= pkg-config

VERSION := 0.1.0

CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Werror
BASE_CFLAGS := -std=gnu11 $(WARNINGS) -Iuapi -Ilibaccel/include -Icompiler/include \
	-ffp-contract=off -fno-math-errno -D_GNU_SOURCE -fPIC
ifneq ($(SANITIZE),)
BASE_CFLAGS += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS += -fsanitize=$(SANITIZE)
endif

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

all: programs

# Rules below use these; fragments add to them.
PROGRAMS :=
UNIT_TESTS :=
FUZZERS :=
INSTALLS :=

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(BASE_CFLAGS) $(CFLAGS) $(CFLAGS_EXTRA) -MMD -MP -c -o $@ $<

# Quiet by default; V=1 shows the commands.
ifeq ($(V),1)
Q :=
say =
else
Q := @
say = @printf '  %-8s %s\n' $(1) $(2)
endif

include kmod/kmod.mk
include firmware-sim/firmware-sim.mk
include libaccel/llm.mk
include libaccel/libaccel.mk
include libaccel/telemetry.mk
include compiler/compiler.mk
include samples/samples.mk
include tests/tests.mk

programs: $(PROGRAMS) ## Build the device model, library, compiler and tools (the default)

setup: ## Install the Debian packages that building and testing need (root or sudo)
	$(Q)tests/setup

toolbox: ## Make or refresh the Debian 13 root with QEMU and kernels
	$(Q)tests/toolbox/toolbox ensure

modules: module-6.12 module-backport ## Build nib.ko for Debian 13's kernel and the newest backport

module-%: toolbox
	$(Q)tests/toolbox/toolbox module $*

demo: ## Set up, build, boot a guest, load the driver and let a model speak through it
	$(Q)tests/setup
	$(Q)$(MAKE) --no-print-directory demo-run

demo-run: programs toolbox
	$(Q)BUILD=$(BUILD) samples/demo

check: ## All tests: unit, fuzzers, guests on both kernels
	$(Q)tests/setup
	$(Q)$(MAKE) --no-print-directory check-run

install: programs $(INSTALLS) ## Install library, headers, tools and manual pages (DESTDIR, PREFIX)

clean: ## Remove what was built here (the toolbox stays in its cache)
	rm -rf $(BUILD)

help: ## This list
	@awk -F ':.*## ' '/^[a-z][a-zA-Z0-9.-]*:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST) | sort
	@echo
	@echo 'Variables of make demo: MODEL=file.gguf PROMPT=text TOKENS=n KERNEL=6.12|backport CHIP=name'
	@echo 'Others: BUILD=dir V=1 SANITIZE=address,undefined DESTDIR= PREFIX= NIB_CACHE=dir'

.PHONY: all programs setup toolbox modules demo demo-run check install clean help

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
