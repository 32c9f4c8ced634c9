# SPDX-License-Identifier: MIT
# The trainer of samples/tale/tale.gguf. It needs nothing but a POSIX C library and is compiled for
# the machine that it runs on: the model is trained once, by hand, and committed.

TALE_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard samples/tale/*.c))
TALE_NATIVE ?= -march=native
TALE_CFLAGS := -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Werror -O3 $(TALE_NATIVE) \
	-ffp-contract=fast -fno-math-errno -fno-trapping-math -Wno-psabi \
	$(if $(SANITIZE),-fsanitize=$(SANITIZE))

$(BUILD)/samples/tale/%.o: samples/tale/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS) $(TALE_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tale-train: $(TALE_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(TALE_CFLAGS) -o $@ $^ -pthread -lm

tale-train: $(BUILD)/tale-train ## The trainer of the sample model; see samples/tale/README.md

.PHONY: tale-train
