// SPDX-License-Identifier: MIT
/* See place.h. The one file that knows hwloc. */
#include <limits.h>
#include <sched.h>
#include <string.h>

#include "place.h"

bool nib_place_thread(pthread_t thread, const struct nib_core *core)
{
	return !pthread_setaffinity_np(thread, sizeof(core->cpus), (const cpu_set_t *)core->cpus);
}

#ifdef NIB_HWLOC
#include <hwloc.h>
#include <hwloc/glibc-sched.h>

bool nib_place_works(void)
{
	return true;
}

/* Only what the calling thread may use. */
static int restrict_to_ours(hwloc_topology_t topology)
{
	hwloc_cpuset_t ours = hwloc_bitmap_alloc();
	struct nib_core mask;
	int err = -1;

	memset(&mask, 0, sizeof(mask));
	if (ours && !sched_getaffinity(0, sizeof(mask.cpus), (cpu_set_t *)mask.cpus) &&
	    !hwloc_cpuset_from_glibc_sched_affinity(topology, ours, (cpu_set_t *)mask.cpus,
						    sizeof(mask.cpus)))
		err = hwloc_topology_restrict(topology, ours, 0);
	hwloc_bitmap_free(ours);
	return err;
}

/* NULL where the machine cannot be looked at. */
static hwloc_topology_t look(const char *machine)
{
	hwloc_topology_t topology;

	if (hwloc_topology_init(&topology))
		return NULL;
	if ((!machine || !hwloc_topology_set_synthetic(topology, machine)) &&
	    !hwloc_topology_load(topology) && (machine || !restrict_to_ours(topology)))
		return topology;
	hwloc_topology_destroy(topology);
	return NULL;
}

static bool copy_core(struct nib_core *core, hwloc_const_cpuset_t set)
{
	const unsigned int bits = 8 * sizeof(core->cpus[0]);
	unsigned int cpu;

	memset(core, 0, sizeof(*core));
	hwloc_bitmap_foreach_begin(cpu, set)
		if (cpu >= NIB_PLACE_CPUS)
			return false;
		core->cpus[cpu / bits] |= 1ul << cpu % bits;
	hwloc_bitmap_foreach_end();
	return true;
}

unsigned int nib_place_choose(const char *machine, unsigned int threads, struct nib_core *cores)
{
	hwloc_topology_t topology = look(machine);
	hwloc_obj_t root, core;
	hwloc_cpuset_t sets[256] = { NULL };
	unsigned int i, placed = 0;
	int depth, n;

	if (!topology)
		return 0;
	root = hwloc_get_root_obj(topology);
	/* A virtual machine may have processors that belong to no core. */
	depth = hwloc_get_type_or_below_depth(topology, HWLOC_OBJ_CORE);
	n = (int)hwloc_get_nbobjs_by_depth(topology, depth);
	if (!threads || threads > sizeof(sets) / sizeof(sets[0]) || n <= (int)threads ||
	    hwloc_distrib(topology, &root, 1, sets, threads, depth, 0))
		goto out;
	/* A share may be larger than a core: its first one. */
	for (i = 0; i < threads; i++) {
		core = hwloc_get_next_obj_inside_cpuset_by_depth(topology, sets[i], depth, NULL);
		if (!core || !copy_core(&cores[i], core->cpuset))
			goto out;
	}
	placed = threads;
out:
	for (i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		hwloc_bitmap_free(sets[i]);
	hwloc_topology_destroy(topology);
	return placed;
}

void nib_place_memory(void *at, size_t bytes)
{
	hwloc_topology_t topology = look(NULL);
	hwloc_obj_t root;

	if (!topology)
		return;
	root = hwloc_get_root_obj(topology);
	if (hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE) > 1)
		hwloc_set_area_membind(topology, at, bytes, root->nodeset,
				       HWLOC_MEMBIND_INTERLEAVE, HWLOC_MEMBIND_BYNODESET);
	hwloc_topology_destroy(topology);
}

#else

bool nib_place_works(void)
{
	return false;
}

unsigned int nib_place_choose(const char *machine, unsigned int threads, struct nib_core *cores)
{
	(void)machine;
	(void)threads;
	(void)cores;
	return 0;
}

void nib_place_memory(void *at, size_t bytes)
{
	(void)at;
	(void)bytes;
}
#endif
