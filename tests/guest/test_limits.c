/* SPDX-License-Identifier: MIT */
/* What one client may have: as many as the query says, then EMFILE, and as many again later. */
#include "guest.h"

int main(void)
{
	int fd = guest_open();
	struct nib_device_info info = query_device(fd);
	struct nib_memory_info before = query_memory(fd);
	struct nib_stream_create create;
	struct stream s = { 0 };
	uint32_t vm, id, i, round;

	packet_end(&s);
	for (round = 0; round < 2; round++) {
		uint32_t *vms = calloc(info.max_vms, sizeof(*vms));
		uint32_t *queues = calloc(info.max_queues, sizeof(*queues));

		for (i = 0; i < info.max_vms; i++)
			OK(vm_create(fd, &vms[i]));
		EXPECT(vm_create(fd, &id), -EMFILE);
		vm = vms[0];
		for (i = 0; i < info.max_queues; i++)
			OK(queue_create(fd, vms[i % info.max_vms], NIB_PRIORITY_LOW, &queues[i]));
		EXPECT(queue_create(fd, vm, NIB_PRIORITY_LOW, &id), -EMFILE);
		for (i = 0; i < info.max_streams; i++)
			OK(stream_create_raw(fd, vm, s.words, 8, &create));
		EXPECT(stream_create_raw(fd, vm, s.words, 8, &create), -EMFILE);
		/* Per VM. */
		OK(stream_create_raw(fd, vms[1], s.words, 8, &create));
		OK(run_stream(fd, vms[1], queues[1], &s));
		for (i = 0; i < info.max_queues; i++)
			OK(queue_destroy(fd, queues[i]));
		for (i = 0; i < info.max_vms; i++)
			OK(vm_destroy(fd, vms[i]));
		free(vms);
		free(queues);
	}
	for (i = 0; i < 100 && query_memory(fd).hbm_free != before.hbm_free; i++)
		usleep(20000);
	EQUAL(query_memory(fd).hbm_free, before.hbm_free);
	return 0;
}
