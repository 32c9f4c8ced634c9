/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Moving buffers: a buffer gets another place, its contents are copied there by the copy queue, and
 * page tables follow, in order with the jobs that use it. Nobody waits.
 */
#ifndef NIB_MOVE_H
#define NIB_MOVE_H

struct drm_exec;
struct nib_bo;
struct nib_place;
struct nib_pt_pool;

int nib_bo_move(struct nib_bo *bo, struct drm_exec *exec, struct nib_place *place);
int nib_bo_move_with_tables(struct nib_bo *bo, struct drm_exec *exec, struct nib_place *place,
			    struct nib_pt_pool *pool);
int nib_bo_drop_contents(struct nib_bo *bo, struct drm_exec *exec, struct nib_place *place);
void nib_bo_remap_locked(struct nib_bo *bo, struct nib_pt_pool *pool);

#endif
