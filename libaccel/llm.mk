# SPDX-License-Identifier: MIT
# The language-model half of libaccel, and accel-run. libaccel.mk links LLM_OBJS into the library.

LLM_SRCS := tokenizer.c merge.c spm.c bpe.c pretokenize.c kv.c llm.c upload.c usage.c step.c generate.c
LLM_OBJS := $(addprefix $(BUILD)/libaccel/,$(LLM_SRCS:.c=.o))
LLM_LIBS := $(shell $(PKG_CONFIG) --libs libpcre2-8)

$(BUILD)/libaccel/pretokenize.o: CFLAGS_EXTRA += $(shell $(PKG_CONFIG) --cflags libpcre2-8)

PROGRAMS += $(BUILD)/accel-run $(BUILD)/hello-llm

RUN_LIBS = $(ALL_LIBS) $(shell $(PKG_CONFIG) --libs jansson) -lm -lpthread
$(BUILD)/samples/accel-run-report.o: CFLAGS_EXTRA += $(shell $(PKG_CONFIG) --cflags jansson)

# Linked with the archives, so that they run alone where they are copied to: a guest, say.
$(BUILD)/accel-run: $(BUILD)/samples/accel-run-report.o
$(BUILD)/accel-run $(BUILD)/hello-llm: $(BUILD)/%: $(BUILD)/samples/%.o $(BUILD)/libaccel.a \
		$(BUILD)/libnibdev.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(RUN_LIBS)

INSTALLS += install-run
install-run: programs
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BUILD)/accel-run $(DESTDIR)$(PREFIX)/bin

.PHONY: install-run
