// SPDX-License-Identifier: GPL-2.0
/*
 * What nib_test.ko tests of nib.ko, where the kernel has KUnit. Nobody else may use it.
 */
#include <kunit/visibility.h>
#include <linux/export.h>

#include "device.h"
#include "mmu.h"
#include "sram.h"
#include "uobj.h"
#include "vram.h"

EXPORT_SYMBOL_IF_KUNIT(nib_burst_name);
EXPORT_SYMBOL_IF_KUNIT(nib_burst_stay);
EXPORT_SYMBOL_IF_KUNIT(nib_hbm_available);
EXPORT_SYMBOL_IF_KUNIT(nib_ipc_create);
EXPORT_SYMBOL_IF_KUNIT(nib_ipc_destroy);
EXPORT_SYMBOL_IF_KUNIT(nib_mmu_fini);
EXPORT_SYMBOL_IF_KUNIT(nib_mmu_flush);
EXPORT_SYMBOL_IF_KUNIT(nib_mmu_init);
EXPORT_SYMBOL_IF_KUNIT(nib_mmu_map_run);
EXPORT_SYMBOL_IF_KUNIT(nib_mmu_unmap);
EXPORT_SYMBOL_IF_KUNIT(nib_pt_need_run);
EXPORT_SYMBOL_IF_KUNIT(nib_pt_need_unmap);
EXPORT_SYMBOL_IF_KUNIT(nib_pt_pool_fini);
EXPORT_SYMBOL_IF_KUNIT(nib_pt_pool_init);
EXPORT_SYMBOL_IF_KUNIT(nib_pt_pool_reserve);
EXPORT_SYMBOL_IF_KUNIT(nib_sram_fini);
EXPORT_SYMBOL_IF_KUNIT(nib_sram_free_bytes);
EXPORT_SYMBOL_IF_KUNIT(nib_sram_give);
EXPORT_SYMBOL_IF_KUNIT(nib_sram_init);
EXPORT_SYMBOL_IF_KUNIT(nib_sram_pick);
EXPORT_SYMBOL_IF_KUNIT(nib_sram_take);
EXPORT_SYMBOL_IF_KUNIT(nib_uobj_get_array);
EXPORT_SYMBOL_IF_KUNIT(nib_uobj_set);
EXPORT_SYMBOL_IF_KUNIT(nib_vram_init);
