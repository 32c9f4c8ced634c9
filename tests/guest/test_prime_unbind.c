/* SPDX-License-Identifier: MIT */
/*
 * The driver unbinds while buffers of its are exported and foreign ones imported, mapped and
 * attached: what was given away stays readable, what was taken is given back, and nothing is left
 * behind when the last holder goes.
 */
#include "guest.h"

#include <linux/dma-buf.h>
#include <linux/udmabuf.h>

#define VA	0x100000000ull
#define DRIVER	"/sys/bus/pci/drivers/nib"
#define SIZE	(64 * KIB)

static int udmabuf(int *memory)
{
	struct udmabuf_create create = { .size = SIZE };
	int driver = open("/dev/udmabuf", O_RDWR), buf;

	if (driver < 0)
		SKIP("no udmabuf");
	*memory = memfd_create("test", MFD_ALLOW_SEALING);
	CHECK(*memory >= 0 && !ftruncate(*memory, SIZE));
	CHECK(!fcntl(*memory, F_ADD_SEALS, F_SEAL_SHRINK));
	create.memfd = (uint32_t)*memory;
	buf = ioctl(driver, UDMABUF_CREATE, &create);
	CHECK(buf >= 0);
	close(driver);
	return buf;
}

static void check_unbind(const char *bdf)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	struct guest g = guest_begin();
	int memory, foreign = udmabuf(&memory), ours, vgem;
	uint32_t imported, host, theirs, *words, *view;
	uint32_t *mapped;

	CHECK(!drmPrimeFDToHandle(g.fd, foreign, &imported));
	OK(vm_map(g.fd, g.vm, imported, 0, VA, SIZE, 0));
	mapped = bo_map(g.fd, imported, SIZE);
	OK(bo_create(g.fd, SIZE, NIB_BO_HOST, &host));
	OK(vm_map(g.fd, g.vm, host, 0, VA + SIZE, SIZE, 0));
	words = bo_map(g.fd, host, SIZE);
	words[1] = 77;
	CHECK(!drmPrimeHandleToFD(g.fd, host, DRM_CLOEXEC | DRM_RDWR, &ours));
	view = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, ours, 0);
	CHECK(view != MAP_FAILED);
	vgem = open("/dev/dri/card0", O_RDWR | O_CLOEXEC);
	if (vgem >= 0)
		CHECK(!drmPrimeFDToHandle(vgem, ours, &theirs));

	OK(write_file(DRIVER "/unbind", bdf));

	CHECK(!ioctl(ours, DMA_BUF_IOCTL_SYNC, &sync));
	EQUAL(view[1], 77);
	sync.flags |= DMA_BUF_SYNC_END;
	CHECK(!ioctl(ours, DMA_BUF_IOCTL_SYNC, &sync));
	mapped[3] = 3;
	CHECK(drmPrimeFDToHandle(g.fd, foreign, &imported) && errno == ENODEV);
	close(foreign);
	close(memory);
	munmap(words, SIZE);
	/* With the client go its handles: the exporter gets its buffer back. */
	close(g.fd);
	EQUAL(mapped[3], 3);
	munmap(mapped, SIZE);
	if (vgem >= 0)
		close(vgem);
	EQUAL(view[1], 77);
	close(ours);
	munmap(view, SIZE);
}

int main(void)
{
	int i, fd = guest_open();
	char bdf[64];

	guest_pci_address(fd, bdf, sizeof(bdf));
	close(fd);
	for (i = 0; i < 2; i++) {
		struct stream s = { 0 };
		struct guest g;

		check_unbind(bdf);
		OK(write_file(DRIVER "/bind", bdf));
		g = guest_begin();
		packet_end(&s);
		OK(run_stream(g.fd, g.vm, g.queue, &s));
		close(g.fd);
	}
	return 0;
}
