/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What all clients of one user may have together, so that nobody can take all of a device by
 * opening it many times. What one client may have is in drv.h.
 */
#ifndef NIB_LIMITS_H
#define NIB_LIMITS_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/uidgid.h>

struct nib_device;
struct nib_limits_info;

/* What is counted. */
enum nib_limit {
	NIB_LIMIT_CONTEXTS,
	NIB_LIMIT_QUEUES,
	NIB_LIMIT_STREAMS,
	NIB_LIMITS,
};

/**
 * struct nib_users - the users of a device.
 * @lock: protects @list, and the last reference on each user.
 * @list: of struct nib_user.
 */
struct nib_users {
	struct mutex lock;	/* see above */
	struct list_head list;
};

/**
 * struct nib_user - a user of a device.
 * @ref: clients, and VMs that may outlive them.
 * @ndev: device; whoever holds a reference on the user holds one on it.
 * @link: in nib_users.list.
 * @uid: who it is.
 * @count: what he has, by enum nib_limit; until it is really freed.
 */
struct nib_user {
	struct kref ref;
	struct nib_device *ndev;
	struct list_head link;
	kuid_t uid;
	atomic_t count[NIB_LIMITS];
};

int nib_users_init(struct nib_device *ndev);
struct nib_user *nib_user_get_current(struct nib_device *ndev);
struct nib_user *nib_user_get(struct nib_user *user);
void nib_user_put(struct nib_user **user);
int nib_user_charge(struct nib_user *user, enum nib_limit kind);
void nib_user_uncharge(struct nib_user *user, enum nib_limit kind);
void nib_user_get_limits(struct nib_user *user, struct nib_limits_info *info);

#endif
