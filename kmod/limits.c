// SPDX-License-Identifier: GPL-2.0
/*
 * Limits of users. A user is whoever opened the device, by the uid of the opener; passing the file
 * on does not change who pays. CAP_SYS_RESOURCE lifts the limits, as it does for rlimits.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include <drm/drm_managed.h>

#include "compat.h"
#include "device.h"
#include "limits.h"
#include "nib_drm.h"

/* Of the contexts and queues of a device, the part of one user, if nothing else is said. */
#define NIB_USER_SHARE_NUM	3u
#define NIB_USER_SHARE_DEN	4u
/* Streams are limited by HBM more than by ids. */
#define NIB_USER_STREAMS	16384u

static int nib_max_user_contexts = -1;
module_param_named(max_user_contexts, nib_max_user_contexts, int, 0644);
MODULE_PARM_DESC(max_user_contexts, "VMs of one user (0: no limit, -1: 3/4 of the device's)");

static int nib_max_user_queues = -1;
module_param_named(max_user_queues, nib_max_user_queues, int, 0644);
MODULE_PARM_DESC(max_user_queues, "Queues of one user (0: no limit, -1: 3/4 of the device's)");

static int nib_max_user_streams = -1;
module_param_named(max_user_streams, nib_max_user_streams, int, 0644);
MODULE_PARM_DESC(max_user_streams, "Streams of one user (0: no limit, -1: 16384)");

/* The limit in force; 0 is none. */
static u32 nib_user_limit(const struct nib_device *ndev, enum nib_limit kind)
{
	int limit;

	switch (kind) {
	case NIB_LIMIT_CONTEXTS:
		limit = READ_ONCE(nib_max_user_contexts);
		if (limit < 0)
			limit = ndev->num_contexts * NIB_USER_SHARE_NUM / NIB_USER_SHARE_DEN;
		break;
	case NIB_LIMIT_QUEUES:
		limit = READ_ONCE(nib_max_user_queues);
		if (limit < 0)
			limit = ndev->num_queues * NIB_USER_SHARE_NUM / NIB_USER_SHARE_DEN;
		break;
	default:
		limit = READ_ONCE(nib_max_user_streams);
		if (limit < 0)
			limit = NIB_USER_STREAMS;
	}
	return limit;
}

int nib_users_init(struct nib_device *ndev)
{
	INIT_LIST_HEAD(&ndev->users.list);
	return drmm_mutex_init(&ndev->drm, &ndev->users.lock);
}

/**
 * nib_user_get_current - the user that the calling task is. Paired with nib_user_put().
 * @ndev: device.
 *
 * Returns the user or ERR_PTR(-ENOMEM).
 */
struct nib_user *nib_user_get_current(struct nib_device *ndev)
{
	struct nib_users *users = &ndev->users;
	struct nib_user *user;
	kuid_t uid = current_uid();

	mutex_lock(&users->lock);
	list_for_each_entry(user, &users->list, link) {
		if (uid_eq(user->uid, uid)) {
			kref_get(&user->ref);
			goto out;
		}
	}
	user = kzalloc_obj(*user, GFP_KERNEL_ACCOUNT);
	if (!user) {
		user = ERR_PTR(-ENOMEM);
		goto out;
	}
	kref_init(&user->ref);
	user->ndev = ndev;
	user->uid = uid;
	list_add(&user->link, &users->list);
out:
	mutex_unlock(&users->lock);
	return user;
}

struct nib_user *nib_user_get(struct nib_user *user)
{
	if (user)
		kref_get(&user->ref);
	return user;
}

static void nib_user_release(struct kref *ref)
{
	struct nib_user *user = container_of(ref, struct nib_user, ref);

	list_del(&user->link);
	mutex_unlock(&user->ndev->users.lock);
	kfree(user);
}

/* The caller still holds a reference on the DRM device. */
void nib_user_put(struct nib_user **user)
{
	if (*user)
		kref_put_mutex(&(*user)->ref, nib_user_release, &(*user)->ndev->users.lock);
	*user = NULL;
}

static bool nib_user_try_charge(struct nib_user *user, enum nib_limit kind, u32 limit)
{
	atomic_t *count = &user->count[kind];
	int old = atomic_read(count);

	do {
		if (limit && old >= limit)
			return false;
	} while (!atomic_try_cmpxchg(count, &old, old + 1));
	return true;
}

/**
 * nib_user_charge - count one more object. Paired with nib_user_uncharge().
 * @user: who pays; NULL for the driver itself, which has no limit.
 * @kind: kind of object.
 *
 * May wait for objects that are on their way out. Returns 0 or -EDQUOT.
 */
int nib_user_charge(struct nib_user *user, enum nib_limit kind)
{
	u32 limit;

	if (!user)
		return 0;
	limit = nib_user_limit(user->ndev, kind);
	if (nib_user_try_charge(user, kind, limit))
		return 0;
	nib_device_flush_cleanup(user->ndev);
	if (nib_user_try_charge(user, kind, capable(CAP_SYS_RESOURCE) ? 0 : limit))
		return 0;
	drm_dbg(&user->ndev->drm, "uid %u has %u objects of kind %u already\n",
		from_kuid(&init_user_ns, user->uid), limit, kind);
	return -EDQUOT;
}

void nib_user_uncharge(struct nib_user *user, enum nib_limit kind)
{
	if (user)
		atomic_dec(&user->count[kind]);
}

void nib_user_get_limits(struct nib_user *user, struct nib_limits_info *info)
{
	const struct nib_device *ndev = user->ndev;

	*info = (struct nib_limits_info){
		.max_contexts = nib_user_limit(ndev, NIB_LIMIT_CONTEXTS),
		.contexts = atomic_read(&user->count[NIB_LIMIT_CONTEXTS]),
		.max_queues = nib_user_limit(ndev, NIB_LIMIT_QUEUES),
		.queues = atomic_read(&user->count[NIB_LIMIT_QUEUES]),
		.max_streams = nib_user_limit(ndev, NIB_LIMIT_STREAMS),
		.streams = atomic_read(&user->count[NIB_LIMIT_STREAMS]),
	};
}
