# SPDX-License-Identifier: MIT
# libaccel-telemetry, and accel-top. A library of its own: who computes needs neither netlink nor
# /proc, and who watches need not compute.

TELEMETRY_SRCS := telemetry.c telemetry_proc.c telemetry_sysfs.c telemetry_wire.c
TELEMETRY_OBJS := $(TELEMETRY_SRCS:%.c=$(BUILD)/libaccel/%.o)
TELEMETRY_LIBS := $(shell $(PKG_CONFIG) --libs libnl-genl-3.0)
TELEMETRY_HEADER := libaccel/include/accel_telemetry.h
TOP_OBJS := $(patsubst %,$(BUILD)/samples/%.o,accel-top accel-top-json accel-top-sample accel-top-view)

$(TELEMETRY_OBJS): CFLAGS_EXTRA += -Os $(shell $(PKG_CONFIG) --cflags libnl-genl-3.0)
$(TOP_OBJS): CFLAGS_EXTRA += $(shell $(PKG_CONFIG) --cflags jansson ncursesw)

$(BUILD)/libaccel-telemetry.a: $(TELEMETRY_OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# The map and the header must agree.
$(BUILD)/libaccel-telemetry.so.0: $(TELEMETRY_OBJS) libaccel/libaccel-telemetry.map $(TELEMETRY_HEADER)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,libaccel-telemetry.so.0 -Wl,--no-undefined \
		-Wl,--version-script=libaccel/libaccel-telemetry.map -o $@ $(filter %.o,$^) \
		$(TELEMETRY_LIBS)
	$(Q)nm -D --defined-only $@ | sed -n 's/.* T \(accel_[a-z_]*\)@.*/\1/p' | sort >$@.has
	$(Q)sed -n 's/^[a-z].*[ *]\(accel_[a-z_]*\)(.*[,;]$$/\1/p' $(TELEMETRY_HEADER) | sort >$@.wants
	$(Q)diff $@.wants $@.has >&2 || { echo 'libaccel-telemetry.map: not what the header declares' >&2; \
		rm -f $@; false; }

$(BUILD)/libaccel-telemetry.so: $(BUILD)/libaccel-telemetry.so.0
	$(Q)ln -sf libaccel-telemetry.so.0 $@

# Linked with the archive, so that it runs alone where it is copied to: a guest, say.
$(BUILD)/accel-top: $(TOP_OBJS) $(BUILD)/libaccel-telemetry.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(TELEMETRY_LIBS) $(shell $(PKG_CONFIG) --libs jansson ncursesw)

PROGRAMS += $(BUILD)/libaccel-telemetry.so $(BUILD)/libaccel-telemetry.a $(BUILD)/accel-top

INSTALLS += install-telemetry
install-telemetry: programs
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BUILD)/libaccel-telemetry.so.0 $(DESTDIR)$(LIBDIR)/libaccel-telemetry.so.$(VERSION)
	ln -sf libaccel-telemetry.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libaccel-telemetry.so.0
	ln -sf libaccel-telemetry.so.0 $(DESTDIR)$(LIBDIR)/libaccel-telemetry.so
	install -m 644 $(BUILD)/libaccel-telemetry.a $(DESTDIR)$(LIBDIR)
	install -m 755 $(BUILD)/accel-top $(DESTDIR)$(PREFIX)/bin
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' \
		-e 's|@LIBS_PRIVATE@|$(TELEMETRY_LIBS)|' libaccel/accel-telemetry.pc.in \
		>$(DESTDIR)$(LIBDIR)/pkgconfig/accel-telemetry.pc

.PHONY: install-telemetry
