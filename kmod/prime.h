/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Buffers shared with other drivers as dma-bufs, and theirs with us.
 */
#ifndef NIB_PRIME_H
#define NIB_PRIME_H

struct dma_buf;
struct dma_buf_attachment;
struct drm_device;
struct drm_gem_object;
struct iosys_map;
struct nib_bo;
struct nib_device;
struct sg_table;
struct vm_area_struct;

struct dma_buf *nib_prime_export(struct drm_gem_object *obj, int flags);
struct sg_table *nib_prime_get_sg_table(struct drm_gem_object *obj);
int nib_prime_vmap(struct drm_gem_object *obj, struct iosys_map *map);
void nib_prime_vunmap(struct drm_gem_object *obj, struct iosys_map *map);

struct drm_gem_object *nib_prime_import(struct drm_device *drm, struct dma_buf *dma_buf);
struct drm_gem_object *nib_prime_import_sg_table(struct drm_device *drm,
						 struct dma_buf_attachment *attach,
						 struct sg_table *sgt);
int nib_prime_mmap(struct drm_gem_object *obj, struct vm_area_struct *vma);
void nib_prime_destroy(struct nib_bo *bo);
void nib_prime_unmap_imports(struct nib_device *ndev);

#endif
