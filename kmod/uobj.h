/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Copying growing objects from and to users; the rules are at the top of nib_drm.h.
 */
#ifndef NIB_UOBJ_H
#define NIB_UOBJ_H

#include <linux/err.h>
#include <linux/stddef.h>

#include "nib_drm.h"

struct drm_device;

void *nib_uobj_get_array(struct drm_device *drm, const struct nib_obj_array *array,
			 size_t min_stride, size_t size);
int nib_uobj_set(struct drm_device *drm, u64 user, u32 user_size, const void *obj, size_t size);

/**
 * NIB_UOBJ_GET_ARRAY() - copy a user array.
 * @drm: device, for messages.
 * @dest: pointer that receives it, NULL for an empty array; kvfree() it.
 * @array: struct nib_obj_array.
 * @last: last field that the first version of the object had.
 *
 * Returns 0 or -EINVAL, -EFAULT, -ENOMEM.
 */
#define NIB_UOBJ_GET_ARRAY(drm, dest, array, last) ({ \
	void *uobj__ = nib_uobj_get_array(drm, array, offsetofend(typeof(*(dest)), last), \
					  sizeof(*(dest))); \
	if (!IS_ERR(uobj__)) \
		(dest) = uobj__; \
	PTR_ERR_OR_ZERO(uobj__); \
})

/* Copies @obj to a user pointer with room for @user_size bytes. */
#define NIB_UOBJ_SET(drm, user, user_size, obj) \
	nib_uobj_set(drm, user, user_size, &(obj), sizeof(obj))

#endif
