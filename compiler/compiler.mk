# SPDX-License-Identifier: MIT
# libaccel-compiler and accelc. The shared library carries libaccel's stream builder, so that
# compiling needs no device library.

COMPILER_SRCS := ac.c chip.c compile.c cost.c disasm.c explain.c gguf.c gguf_tensor.c graph.c \
	hparams.c import_llama.c pass.c pass_code.c pass_format.c pass_fuse.c pass_plan.c program.c \
	quant.c tokenizer.c weights.c
COMPILER_OBJS := $(addprefix $(BUILD)/compiler/,$(COMPILER_SRCS:.c=.o) chips_builtin.o)
COMPILER_STREAM_OBJS := $(addprefix $(BUILD)/,libaccel/builder.o libaccel/disasm.o \
	compiler/stream_check.o)
COMPILER_LIBS = $(shell $(PKG_CONFIG) --libs jansson) -lm
COMPILER_CHIPS := firmware-sim/chips/small.json firmware-sim/chips/edge.json \
	firmware-sim/chips/maia200-class.json
COMPILER_SONAME := libaccel-compiler.so.0

PROGRAMS += $(BUILD)/libaccel-compiler.so $(BUILD)/libaccel-compiler.a $(BUILD)/accelc
INSTALLS += install-compiler

$(BUILD)/compiler/chip.o $(BUILD)/compiler/explain.o: \
	CFLAGS_EXTRA += $(shell $(PKG_CONFIG) --cflags jansson)
# Whole-tensor loops: what -O2 alone does not turn into vectors.
$(BUILD)/compiler/quant.o $(BUILD)/compiler/gguf_tensor.o $(BUILD)/compiler/weights.o: \
	CFLAGS_EXTRA += -O3
$(BUILD)/compiler/accelc.o: CFLAGS_EXTRA += -DACCEL_CHIP_DIR='"$(PREFIX)/share/nibble/chips"'

# The chip files as C strings: the same text that the device embeds.
$(BUILD)/compiler/chips_builtin.c: $(COMPILER_CHIPS)
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q){ echo '#include "chip.h"'; \
	echo 'const struct ac_builtin_chip ac_builtin_chips[] = {'; \
	for f in $(COMPILER_CHIPS); do \
		echo "{ \"$$(basename $$f .json)\","; \
		sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$$/\\n"/' $$f; \
		echo '},'; \
	done; \
	echo '{ 0, 0 } };'; } > $@

$(BUILD)/compiler/chips_builtin.o: $(BUILD)/compiler/chips_builtin.c
	$(call say,CC,$<)
	$(Q)$(CC) $(BASE_CFLAGS) $(CFLAGS) -Icompiler -c -o $@ $<

$(BUILD)/libaccel-compiler.a: $(COMPILER_OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/libaccel-compiler.so: $(COMPILER_OBJS) $(COMPILER_STREAM_OBJS) compiler/compiler.map
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-z,defs -Wl,-soname,$(COMPILER_SONAME) \
		-Wl,--version-script=compiler/compiler.map -o $@ $(filter %.o,$^) $(COMPILER_LIBS)
	$(Q)ln -sf $(@F) $(BUILD)/$(COMPILER_SONAME)

# Linked with the archive, so that it runs alone where it is copied to.
$(BUILD)/accelc: $(BUILD)/compiler/accelc.o $(COMPILER_STREAM_OBJS) $(BUILD)/libaccel-compiler.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(COMPILER_LIBS)

install-compiler: $(BUILD)/libaccel-compiler.so $(BUILD)/libaccel-compiler.a $(BUILD)/accelc
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(LIBDIR) $(DESTDIR)$(PREFIX)/include/accel \
		$(DESTDIR)$(PREFIX)/share/nibble/chips $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 755 $(BUILD)/accelc $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(BUILD)/libaccel-compiler.so $(DESTDIR)$(LIBDIR)/$(COMPILER_SONAME)
	ln -sf $(COMPILER_SONAME) $(DESTDIR)$(LIBDIR)/libaccel-compiler.so
	install -m 644 $(BUILD)/libaccel-compiler.a $(DESTDIR)$(LIBDIR)/
	install -m 644 compiler/include/accel_compiler.h $(DESTDIR)$(PREFIX)/include/accel/
	install -m 644 compiler/accelc.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 $(COMPILER_CHIPS) $(DESTDIR)$(PREFIX)/share/nibble/chips/

.PHONY: install-compiler
