# SPDX-License-Identifier: GPL-2.0
# Installing the driver: its sources where DKMS builds them for each kernel, and who may use it.

DKMS_TO = $(DESTDIR)/usr/src/nib-$(VERSION)

INSTALLS += install-udev
install-udev:
	install -d $(DESTDIR)$(PREFIX)/lib/udev/rules.d
	install -m 644 kmod/60-nib.rules $(DESTDIR)$(PREFIX)/lib/udev/rules.d

install-dkms: ## Install the driver's sources for DKMS: then dkms install nib/VERSION
	install -d $(DKMS_TO)/kmod $(DKMS_TO)/uapi
	install -m 644 Kbuild $(DKMS_TO)
	install -m 644 kmod/*.[ch] kmod/Makefile kmod/configure $(DKMS_TO)/kmod
	install -m 644 uapi/*.h $(DKMS_TO)/uapi
	sed 's/@VERSION@/$(VERSION)/' kmod/dkms.conf.in >$(DKMS_TO)/dkms.conf

.PHONY: install-udev install-dkms
