# SPDX-License-Identifier: MIT
# accel-replay: core dumps shown and replayed. Tests link REPLAY_OBJS.

REPLAY_OBJS := $(addprefix $(BUILD)/samples/replay/,dump.o stage.o packet.o replay.o show.o)
REPLAY_LIBS = $(ALL_LIBS) $(shell $(PKG_CONFIG) --libs jansson) -lm -lpthread

$(REPLAY_OBJS) $(BUILD)/samples/accel-replay.o: CFLAGS_EXTRA += -Ifirmware-sim \
	$(shell $(PKG_CONFIG) --cflags jansson)

# Linked with the archives, so that it runs alone where it is copied to.
$(BUILD)/accel-replay: $(BUILD)/samples/accel-replay.o $(REPLAY_OBJS) $(BUILD)/libaccel.a \
		$(BUILD)/libnibdev.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(REPLAY_LIBS)

PROGRAMS += $(BUILD)/accel-replay

INSTALLS += install-replay
install-replay: programs
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BUILD)/accel-replay $(DESTDIR)$(PREFIX)/bin

.PHONY: install-replay
