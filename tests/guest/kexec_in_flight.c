/* SPDX-License-Identifier: MIT */
/*
 * Another kernel takes over while the device writes to host memory: kexec_in_flight KERNEL INITRD
 * COMMAND-LINE. Does not return if it works. Not part of run-all: it needs a guest of its own,
 * which goes on in the other kernel.
 */
#include "guest.h"

#include <linux/reboot.h>
#include <sys/syscall.h>

#define VA	0x100000000ull
#define BYTES	(16 * MIB)
#define JOBS	100

static void load(const char *kernel, const char *initrd, const char *line)
{
	int kernel_fd = open(kernel, O_RDONLY), initrd_fd = open(initrd, O_RDONLY);

	if (kernel_fd < 0 || initrd_fd < 0)
		FAIL("%s or %s: %s", kernel, initrd, strerror(errno));
	if (!syscall(SYS_kexec_file_load, kernel_fd, initrd_fd, strlen(line) + 1, line, 0ul))
		return;
	if (errno == ENOSYS)
		SKIP("this kernel cannot load another one");
	FAIL("kexec_file_load: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	struct guest g = guest_begin();
	struct stream s = { 0 };
	uint32_t *host, fill, wait, done, i;

	CHECK(argc == 4);
	load(argv[1], argv[2], argv[3]);
	host = guest_buffer(&g, VA, BYTES, NIB_BO_HOST);
	packet_fill(&s, VA, BYTES / 4 - 1024, 0x5ca1ab1e);
	packet_end(&s);
	fill = stream_create(g.fd, g.vm, &s);
	s.count = 0;
	packet_sem(&s, VA + BYTES - 64, 1, NIB_SEM_WAIT_GE);
	packet_end(&s);
	wait = stream_create(g.fd, g.vm, &s);
	done = syncobj(g.fd);
	for (i = 0; i < JOBS; i++)
		OK(submit(g.fd, g.queue, fill, done));
	/* And one that would never end by itself. */
	OK(submit(g.fd, g.queue, wait, done));
	while (*(volatile uint32_t *)host != 0x5ca1ab1e)
		usleep(1000);
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
	FAIL("kexec: %s", strerror(errno));
}
