# SPDX-License-Identifier: MIT
# Tests. Programs in tests/unit are named after what they test; every other .c there is a helper
# that they share. `make check` is the whole ladder; see tests/check.

TEST_LIBS := $(BUILD)/libaccel-compiler.a $(BUILD)/libaccel.a $(BUILD)/libnibdev.a
TEST_HELPERS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c)))
UNIT_TESTS += $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
FUZZERS += $(patsubst tests/fuzz/%.c,$(BUILD)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))
GUEST_TESTS := $(patsubst tests/guest/%.c,$(BUILD)/guest/%,$(wildcard tests/guest/*.c))
BENCHES := $(patsubst tests/bench/%.c,$(BUILD)/tests/%,$(wildcard tests/bench/bench_*.c)) \
	$(BUILD)/tests/mkmodel

$(BUILD)/tests/unit/%.o $(BUILD)/tests/bench/%.o $(BUILD)/tests/fuzz/%.o: \
	CFLAGS_EXTRA += -Ifirmware-sim -Ilibaccel -Icompiler -Itests/unit -I$(BUILD) \
		$(shell $(PKG_CONFIG) --cflags check libdrm libnl-genl-3.0 2>/dev/null)

$(BUILD)/tests/test_%: $(BUILD)/tests/unit/test_%.o $(TEST_HELPERS) $(TEST_LIBS)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(ALL_LIBS) $(shell $(PKG_CONFIG) --libs check) -lm -lpthread

# Core dumps are read and replayed by samples/replay.
DUMP_TESTS := dump_format dump_replay
$(patsubst %,$(BUILD)/tests/unit/test_%.o,$(DUMP_TESTS)) $(BUILD)/tests/fuzz/fuzz_dump.o: \
	CFLAGS_EXTRA += -Isamples
$(patsubst %,$(BUILD)/tests/test_%,$(DUMP_TESTS)) $(BUILD)/tests/fuzz_dump: $(REPLAY_OBJS)

# What accel-trace writes is read by the code that protoc-c makes for it, from the same description.
$(BUILD)/tests/unit/test_trace_file.o: CFLAGS_EXTRA += -I$(TRACE_DIR) \
	$(shell $(PKG_CONFIG) --cflags libprotobuf-c)
$(BUILD)/tests/unit/test_trace_file.o: | $(TRACE_DIR)/perfetto.pb-c.c
$(BUILD)/tests/test_trace_file: $(TRACE_DIR)/perfetto.pb-c.o
$(BUILD)/tests/test_trace_file: ALL_LIBS += $(shell $(PKG_CONFIG) --libs libprotobuf-c)

# Of the other library.
$(BUILD)/tests/test_telemetry $(BUILD)/tests/fuzz_telemetry: $(BUILD)/libaccel-telemetry.a
$(BUILD)/tests/test_telemetry $(BUILD)/tests/fuzz_telemetry: ALL_LIBS += $(TELEMETRY_LIBS)

$(BUILD)/tests/mkmodel: $(BUILD)/tests/bench/mkmodel.o
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^

$(BUILD)/tests/bench_%: $(BUILD)/tests/bench/bench_%.o $(BUILD)/tests/bench/roofline.o \
		$(BUILD)/tests/bench/operands.o $(TEST_LIBS)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(ALL_LIBS) -lm -lpthread

$(BUILD)/tests/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/standalone.o $(TEST_HELPERS) \
		$(TEST_LIBS)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) $(FUZZ_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(ALL_LIBS) $(shell $(PKG_CONFIG) --libs check) \
		-lm -lpthread

# Writes the seeds of the fuzzers; see tests/fuzz/seeds.
$(BUILD)/tests/mkseeds: $(patsubst %,$(BUILD)/tests/%.o,fuzz/mkseeds fuzz/mkseeds_device \
	unit/dump_make unit/packets unit/tiny_gguf unit/tiny_model) $(BUILD)/libaccel.a $(BUILD)/libnibdev.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(ALL_LIBS) -lm -lpthread

$(BUILD)/tests/guest/%.o: CFLAGS_EXTRA += \
	$(shell $(PKG_CONFIG) --cflags libdrm libnl-genl-3.0 2>/dev/null)
# The page that tells of tokens.
$(BUILD)/tests/guest/test_accel_top.o: CFLAGS_EXTRA += -Ilibaccel
$(BUILD)/guest/test_netlink $(BUILD)/guest/test_netlink_fuzz: GUEST_LIBS := $(shell $(PKG_CONFIG) --libs libnl-genl-3.0 2>/dev/null)
$(BUILD)/guest/test_telemetry_events: $(BUILD)/libaccel-telemetry.a
$(BUILD)/guest/test_telemetry_events: GUEST_LIBS := $(TELEMETRY_LIBS)
$(BUILD)/guest/%: $(BUILD)/tests/guest/%.o
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs libdrm) $(GUEST_LIBS) -lpthread

# Kernels and the device's arithmetic again, in builds of their own: with AddressSanitizer and
# UndefinedBehaviorSanitizer, and, where clang has its run-time, with MemorySanitizer.
SANITIZED_TESTS := kernels_attention kernels_codec kernels_gemm kernels_math kernels_sample \
	kernels_vec format format_tables device_packets device_models
sanitized-tests: $(SANITIZED_TESTS:%=$(BUILD)/tests/test_%)
sanitized-address:
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/sanitized/address SANITIZE=address,undefined \
		CFLAGS='-O1 -g' KERNELS_OPT=-O1 sanitized-tests
sanitized-memory:
	$(Q)if echo 'int main(void) { return 0; }' | \
		clang -fsanitize=memory -x c - -o $(BUILD)/msan-works 2>/dev/null; then \
		$(MAKE) --no-print-directory BUILD=$(BUILD)/sanitized/memory CC=clang SANITIZE=memory \
			CFLAGS='-O1 -g' KERNELS_OPT=-O1 sanitized-tests; \
	else \
		rm -rf $(BUILD)/sanitized/memory; \
	fi

# Of chip files jansson knows more than it shows: see tests/unit/msan.c.
ifeq ($(SANITIZE),memory)
$(BUILD)/tests/test_%: private LDFLAGS += -Wl,--wrap=fwrite -Wl,--wrap=nib_chip_load
$(BUILD)/firmware-sim/chip.o: CFLAGS_EXTRA += -fno-sanitize=memory
endif

unit-tests: $(UNIT_TESTS)
fuzzers: $(FUZZERS)
guest-tests: $(GUEST_TESTS)

# A build that is sanitized as a whole has no variants of its own.
SANITIZED := $(if $(SANITIZE),,sanitized-address sanitized-memory)
CHECK := BUILD=$(BUILD) SANITIZED_TESTS='$(if $(SANITIZED),$(SANITIZED_TESTS))' tests/check

check-unit: programs unit-tests $(SANITIZED) ## Unit tests, of kernels with sanitizers, too; no guest, no root, minutes
	$(Q)$(CHECK) unit

check-asan: ## The unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/asan SANITIZE=address,undefined check-unit

check-run: programs unit-tests $(SANITIZED) guest-tests toolbox fuzz-build
	$(Q)$(CHECK) all

fuzz-build: $(BUILD)/tests/mkseeds
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=clang \
		SANITIZE=fuzzer-no-link,address,undefined FUZZ_LDFLAGS=-fsanitize=fuzzer fuzzers

fuzz: fuzz-build ## Every fuzzer for FUZZ_SECONDS (600), with its corpus in build/
	$(Q)BUILD=$(BUILD) FUZZ_SECONDS=$${FUZZ_SECONDS:-600} tests/check fuzz

bench: programs $(BENCHES) $(GUEST_TESTS) ## Benchmarks of kernels, packets and models (PEER=llama-bench)
	$(Q)BUILD=$(BUILD) tests/bench/run

check-guest-6.12: ## The in-guest suite on Debian 13's kernel
check-guest-backport: ## The in-guest suite on the newest backport
check-guest-6.12 check-guest-backport: check-guest-%: programs guest-tests toolbox
	$(Q)BUILD=$(BUILD) tests/check guest-$*

check-debug: programs guest-tests toolbox ## On a kernel with KASAN, lockdep, ...: the suite, sweeps, ioctl fuzzer
	$(Q)tests/toolbox/toolbox debug-kernel
	$(Q)BUILD=$(BUILD) tests/check debug

check-static: toolbox ## checkpatch, sparse, kernel-doc and the like over the driver
	$(Q)BUILD=$(BUILD) tests/check static

check-emulated: unit-tests toolbox ## Tests of kernels on an emulated processor with AVX-512 (slow)
	$(Q)BUILD=$(BUILD) tests/check emulated

.PHONY: sanitized-tests sanitized-address sanitized-memory check-emulated check-static check-debug check-guest-6.12 check-guest-backport unit-tests fuzzers guest-tests check-unit check-asan check-run fuzz-build fuzz bench

$(BUILD)/tests/model/kld.o: CFLAGS_EXTRA += $(shell $(PKG_CONFIG) --cflags jansson 2>/dev/null)
$(BUILD)/tests/kld: $(BUILD)/tests/model/kld.o
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs jansson) -lm
unit-tests guest-tests: $(BUILD)/tests/kld
