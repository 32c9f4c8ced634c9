# SPDX-License-Identifier: MIT
# The device: a library (libnibdev.a), a server for QEMU (nib-sim), a firmware image (nib_fw.bin).

include firmware-sim/kernels/kernels.mk

NIBDEV_DIR := $(BUILD)/firmware-sim
NIBDEV_OBJS := $(addprefix $(NIBDEV_DIR)/,builtin.o chip.o device.o device_fault.o regs.o pool.o place.o \
	trouble.o control.o control_socket.o \
	hw_init.o hw_mem.o hw_mmu.o hw_timing.o \
	hw_exec.o hw_exec_attention.o hw_exec_dma.o hw_exec_gemm.o hw_exec_conv.o hw_exec_scan.o \
	hw_exec_vec.o \
	fw_admin.o fw_boot.o fw_sched.o fw_trouble.o sha256.o \
	pci.o vfio_user.o guard.o) $(KERNELS_OBJS)
# What a program that links libnibdev.a needs besides.
NIBDEV_LIBS := $(shell $(PKG_CONFIG) --libs jansson) -lm -lpthread
# Without hwloc (NIB_HWLOC=0, or where it is not installed) threads are not bound to cores.
NIB_HWLOC ?= $(shell $(PKG_CONFIG) --exists hwloc && echo 1)
ifeq ($(NIB_HWLOC),1)
NIBDEV_LIBS += $(shell $(PKG_CONFIG) --libs hwloc)
$(NIBDEV_DIR)/place.o: CFLAGS_EXTRA += -DNIB_HWLOC $(shell $(PKG_CONFIG) --cflags hwloc)
endif
NIB_FW_VERSION := $(VERSION)

$(NIBDEV_DIR)/%.o: CFLAGS_EXTRA += -Ifirmware-sim
$(NIBDEV_DIR)/chip.o $(NIBDEV_DIR)/control.o: CFLAGS_EXTRA += $(shell $(PKG_CONFIG) --cflags jansson)

# The assembler includes these: make has to know.
$(NIBDEV_DIR)/builtin.o: CFLAGS_EXTRA += -DNIB_CHIPS_DIR='"firmware-sim/chips"' \
	-DNIB_FIRMWARE_FILE='"$(BUILD)/nib_fw.bin"'
$(NIBDEV_DIR)/builtin.o: $(wildcard firmware-sim/chips/*.json) $(BUILD)/nib_fw.bin

$(BUILD)/libnibdev.a: $(NIBDEV_OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/nib-sim: $(NIBDEV_DIR)/main.o $(BUILD)/libnibdev.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(NIBDEV_LIBS)

$(BUILD)/mkfw: $(NIBDEV_DIR)/fw/mkfw.o $(NIBDEV_DIR)/sha256.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^

$(BUILD)/nib_fw.bin: $(BUILD)/mkfw
	$(call say,FW,$@)
	$(Q)$(BUILD)/mkfw --version $(NIB_FW_VERSION) $@

PROGRAMS += $(BUILD)/nib-sim $(BUILD)/nib_fw.bin $(BUILD)/mkfw $(BUILD)/libnibdev.a

INSTALLS += install-device
install-device: programs
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/firmware/nibble \
		$(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/include/nibble
	install -m 755 $(BUILD)/nib-sim $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(BUILD)/nib_fw.bin $(DESTDIR)$(PREFIX)/lib/firmware/nibble
	install -m 644 firmware-sim/nib-sim.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 uapi/*.h firmware-sim/nib_device.h \
		firmware-sim/nib_fault.h $(DESTDIR)$(PREFIX)/include/nibble

.PHONY: install-device
