/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Changes of address spaces.
 */
#ifndef NIB_BIND_H
#define NIB_BIND_H

#include <drm/drm_gpuvm.h>
#include <drm/gpu_scheduler.h>

struct nib_vm;

extern const struct drm_gpuvm_ops nib_gpuvm_ops;
extern const struct drm_sched_backend_ops nib_bind_sched_ops;

void nib_bind_end_vm(struct nib_vm *vm);

#endif
