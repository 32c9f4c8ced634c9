# SPDX-License-Identifier: MIT
# libaccel: shared and static library, accel-info, hello-stream, manual pages.
#
#	ACCEL_SIM=0	leave out the in-process device
#	ACCEL_DRM=0	leave out the kernel driver (and with it libdrm)

ACCEL_SIM ?= 1
ACCEL_DRM ?= 1

ACCEL_SRCS := device.c space.c buffer.c lease.c timeline.c queue.c stream.c builder.c disasm.c \
	program.c transport_null.c
ifeq ($(ACCEL_SIM),1)
ACCEL_SRCS += transport_sim.c sim_memory.c
ACCEL_DEVICE := $(BUILD)/libnibdev.a
ACCEL_LIBS += $(NIBDEV_LIBS)
else
ACCEL_DEFINES += -DACCEL_NO_SIM
endif
ifeq ($(ACCEL_DRM),1)
ACCEL_SRCS += transport_drm.c
ACCEL_LIBS += $(shell $(PKG_CONFIG) --libs libdrm)
else
ACCEL_DEFINES += -DACCEL_NO_DRM
endif
ACCEL_LIBS += $(LLM_LIBS)
ALL_LIBS += $(ACCEL_LIBS)
ACCEL_OBJS := $(ACCEL_SRCS:%.c=$(BUILD)/libaccel/%.o)
ACCEL_ALL_HEADERS := $(wildcard libaccel/include/*.h)
# The other library's; see telemetry.mk.
ACCEL_HEADERS := $(filter-out %/accel_telemetry.h,$(ACCEL_ALL_HEADERS))

$(BUILD)/libaccel/%.o: CFLAGS_EXTRA += -Ifirmware-sim -fvisibility=hidden $(ACCEL_DEFINES)
# Small rather than fast: nothing in the core computes, and a submit is 0.1 us of it.
$(ACCEL_OBJS): CFLAGS_EXTRA += -Os -fno-jump-tables
$(BUILD)/libaccel/transport_drm.o: CFLAGS_EXTRA += $(shell $(PKG_CONFIG) --cflags libdrm)

$(BUILD)/libaccel.a: $(ACCEL_OBJS) $(LLM_OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# The map and the headers must agree.
$(BUILD)/libaccel.so.0: $(ACCEL_OBJS) $(LLM_OBJS) $(ACCEL_DEVICE) libaccel/libaccel.map \
		$(ACCEL_HEADERS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,libaccel.so.0 -Wl,--no-undefined \
		-Wl,--version-script=libaccel/libaccel.map -o $@ $(filter %.o %.a,$^) $(ACCEL_LIBS) \
		-lm -lpthread
	$(Q)nm -D --defined-only $@ | sed -n 's/.* T \(accel_[a-z_]*\)@.*/\1/p' | sort >$@.has
	$(Q)sed -n 's/^[a-z].*[ *]\(accel_[a-z_]*\)(.*[,;]$$/\1/p' $(ACCEL_HEADERS) | sort >$@.wants
	$(Q)diff $@.wants $@.has >&2 || { echo 'libaccel.map: not what the headers declare' >&2; \
		rm -f $@; false; }

$(BUILD)/libaccel.so: $(BUILD)/libaccel.so.0
	$(Q)ln -sf libaccel.so.0 $@

# Linked with the archives, so that they run alone where they are copied to: a guest, say.
$(BUILD)/accel-info $(BUILD)/hello-stream: $(BUILD)/%: $(BUILD)/samples/%.o $(BUILD)/libaccel.a \
		$(ACCEL_DEVICE)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(ACCEL_LIBS) -lm -lpthread

# One page a function, from the comments of the headers.
ACCEL_MAN := $(BUILD)/man/accel.3
$(ACCEL_MAN): libaccel/man/mkman.awk $(ACCEL_ALL_HEADERS) $(wildcard libaccel/man/*.1)
	$(call say,MAN,$(@D))
	$(Q)rm -rf $(@D) && mkdir -p $(@D)
	$(Q)awk -v dir=$(@D) -f $< $(ACCEL_ALL_HEADERS)
	$(Q)cp libaccel/man/*.1 $(@D)
	$(Q)! command -v mandoc >/dev/null || \
		mandoc -Tlint -Wwarning $$(grep -L '^\.so ' $(@D)/*.[13]) >&2

# What the library's own code comes to, without the language models and the in-process device.
libaccel-size: $(ACCEL_OBJS)
	$(Q)size -t $(ACCEL_OBJS) | awk 'END { print "libaccel: " $$1 " bytes of text, at most 51200"; \
		exit $$1 > 51200 }'

ifeq ($(SANITIZE),)
unit-tests: libaccel-size
endif

PROGRAMS += $(BUILD)/libaccel.so $(BUILD)/libaccel.a $(BUILD)/accel-info $(BUILD)/hello-stream \
	$(ACCEL_MAN)

# The transports keep to the same rules in the guest: the same suites, on the kernel driver.
ACCEL_GUEST_TESTS := $(BUILD)/guest/test_accel_conformance $(BUILD)/guest/test_accel_lease \
	$(BUILD)/guest/test_accel_order
guest-tests: $(ACCEL_GUEST_TESTS)
$(ACCEL_GUEST_TESTS): $(BUILD)/guest/%: $(BUILD)/tests/unit/%.o $(BUILD)/libaccel.a $(ACCEL_DEVICE)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(ACCEL_LIBS) -lm -lpthread

INSTALLS += install-libaccel
ACCEL_TO := $(DESTDIR)$(PREFIX)
install-libaccel: programs
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(ACCEL_TO)/include/accel $(ACCEL_TO)/bin \
		$(ACCEL_TO)/share/man/man1 $(ACCEL_TO)/share/man/man3
	install -m 755 $(BUILD)/libaccel.so.0 $(DESTDIR)$(LIBDIR)/libaccel.so.$(VERSION)
	ln -sf libaccel.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libaccel.so.0
	ln -sf libaccel.so.0 $(DESTDIR)$(LIBDIR)/libaccel.so
	install -m 644 $(BUILD)/libaccel.a $(ACCEL_DEVICE) $(DESTDIR)$(LIBDIR)
	install -m 644 $(ACCEL_ALL_HEADERS) $(ACCEL_TO)/include/accel
	install -m 755 $(BUILD)/accel-info $(ACCEL_TO)/bin
	install -m 644 $(BUILD)/man/*.1 $(ACCEL_TO)/share/man/man1
	install -m 644 $(BUILD)/man/*.3 $(ACCEL_TO)/share/man/man3
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' \
		-e 's|@LIBS_PRIVATE@|$(if $(ACCEL_DEVICE),-lnibdev) $(ACCEL_LIBS) -lm -lpthread|' \
		libaccel/accel.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/accel.pc

.PHONY: install-libaccel libaccel-size
