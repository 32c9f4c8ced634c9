// SPDX-License-Identifier: MIT
/*
 * Leases of SRAM. Who gets how much, and when, is the driver's business; here they are made, named
 * and looked at.
 */
#include "transport.h"

ACCEL_API int accel_lease_create(struct accel_device *device, uint64_t guaranteed, uint64_t burst,
				 uint32_t flags, struct accel_lease **out)
{
	const uint64_t most = 1ull << (NIB_VA_BITS - 2);
	struct accel_lease *lease;
	int err;

	if (flags)
		return accel_fail(device, -EINVAL, "lease: unknown flags %#x", flags);
	if (!(guaranteed | burst) || (guaranteed | burst) % NIB_PAGE_64K || guaranteed > most ||
	    burst > most)
		return accel_fail(device, -EINVAL, "lease: %llu + %llu bytes, want multiples of "
				  "64 KiB", (unsigned long long)guaranteed,
				  (unsigned long long)burst);
	lease = accel_alloc(device, device->ops->lease_size);
	if (!lease)
		return accel_fail(device, -ENOMEM, "lease: no memory for its handle");
	lease->device = device;
	lease->info.struct_size = sizeof(lease->info);
	lease->info.guaranteed = guaranteed;
	lease->info.burst = burst;
	err = device->ops->lease_create(lease);
	if (err) {
		accel_free(device, lease);
		return err;
	}
	*out = lease;
	return 0;
}

ACCEL_API void accel_lease_destroy(struct accel_lease *lease)
{
	if (!lease)
		return;
	lease->device->ops->lease_destroy(lease);
	accel_free(lease->device, lease);
}

ACCEL_API uint64_t accel_lease_address(const struct accel_lease *lease)
{
	return lease->address;
}

ACCEL_API int accel_lease_query(struct accel_lease *lease, struct accel_lease_info *out)
{
	const size_t least = ACCEL_THROUGH(accel_lease_info, restored_bytes);
	int err = lease->device->ops->lease_query(lease);

	if (err)
		return err;
	if (accel_struct_out(out, &lease->info, sizeof(lease->info), least))
		return accel_fail(lease->device, -EINVAL, "lease: struct_size %zu, at least %zu",
				  out->struct_size, least);
	return 0;
}

void accel_lease_count(const struct accel_record *job)
{
	uint32_t i;

	for (i = 0; i < job->n_leases; i++) {
		struct accel_lease_info *info = &job->leases[i]->info;

		if (info->resident == info->guaranteed + info->burst)
			info->hits++;
		else
			info->misses++;
	}
}
