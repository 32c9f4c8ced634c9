# SPDX-License-Identifier: MIT
# accel-trace: a run as a Perfetto trace.

TRACE_DIR := $(BUILD)/samples/trace
TRACE_OBJS := $(addprefix $(TRACE_DIR)/,writer.o perfetto.pb-c.o)
TRACE_LIBS = $(ALL_LIBS) $(shell $(PKG_CONFIG) --libs libprotobuf-c) -lm -lpthread

$(TRACE_OBJS) $(TRACE_DIR)/accel-trace.o: CFLAGS_EXTRA += -I$(TRACE_DIR) -Isamples/trace \
	$(shell $(PKG_CONFIG) --cflags libprotobuf-c)
$(TRACE_DIR)/writer.o $(TRACE_DIR)/accel-trace.o: | $(TRACE_DIR)/perfetto.pb-c.c

$(TRACE_DIR)/perfetto.pb-c.c: samples/trace/perfetto.proto
	@mkdir -p $(@D)
	$(call say,PROTOC,$<)
	$(Q)protoc-c --proto_path=samples/trace --c_out=$(TRACE_DIR) perfetto.proto

$(TRACE_DIR)/perfetto.pb-c.o: $(TRACE_DIR)/perfetto.pb-c.c
	$(call say,CC,$<)
	$(Q)$(CC) $(BASE_CFLAGS) $(CFLAGS) $(CFLAGS_EXTRA) -c -o $@ $<

$(BUILD)/accel-trace: $(TRACE_DIR)/accel-trace.o $(TRACE_OBJS) $(BUILD)/libaccel.a \
		$(BUILD)/libnibdev.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(TRACE_LIBS)

PROGRAMS += $(BUILD)/accel-trace

INSTALLS += install-trace
install-trace: programs
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BUILD)/accel-trace $(DESTDIR)$(PREFIX)/bin

.PHONY: install-trace
