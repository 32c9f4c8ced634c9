// SPDX-License-Identifier: GPL-2.0
/*
 * Admin messages. Whoever sends one waits for its answer inside the gate and holds no lock; several
 * may be under way. A firmware that does not answer is a case for recovery: it makes the firmware
 * answer, or starts another one, or gives the device up, and each of these ends the wait.
 *
 * A firmware that starts anew knows nothing. It is told of whatever is on the lists of objects; who
 * waited for an answer about one of them then finds that it is known, or forgotten, as was asked.
 */
#include <kunit/static_stub.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/ktime.h>
#include <linux/moduleparam.h>

#include <drm/drm_managed.h>

#include "device.h"
#include "ipc.h"
#include "recovery.h"
#include "trace.h"

static unsigned int nib_admin_ms = 500;
module_param_named(admin_ms, nib_admin_ms, uint, 0644);
MODULE_PARM_DESC(admin_ms, "Time without an answer of the firmware after which recovery is asked");

/*
 * How often a wait looks for an answer whose interrupt was lost. Each look reads a register, so
 * that the device had its turn: of time in which nobody ran not much is counted.
 */
#define NIB_ADMIN_POLL_MS	20u
#define NIB_ADMIN_POLL_MAX_MS	(2 * NIB_ADMIN_POLL_MS)
#define NIB_PING_TIMEOUT_MS	1000u

/* A firmware that does not forget what it is told to is asked again, then rebooted. */
#define NIB_FORGET_TRIES	3u

static const char *nib_admin_op_name(u16 op)
{
	static const char *const names[] = {
		[NIB_ADM_NOP] = "NOP",
		[NIB_ADM_CTX_CREATE] = "CTX_CREATE",
		[NIB_ADM_CTX_DESTROY] = "CTX_DESTROY",
		[NIB_ADM_STREAM_CREATE] = "STREAM_CREATE",
		[NIB_ADM_STREAM_DESTROY] = "STREAM_DESTROY",
		[NIB_ADM_QUEUE_CREATE] = "QUEUE_CREATE",
		[NIB_ADM_QUEUE_DESTROY] = "QUEUE_DESTROY",
		[NIB_ADM_QUEUE_RESET] = "QUEUE_RESET",
		[NIB_ADM_JOB_CANCEL] = "JOB_CANCEL",
	};

	return op < ARRAY_SIZE(names) ? names[op] : "?";
}

int nib_ipc_init(struct nib_device *ndev)
{
	struct nib_ipc *ipc = &ndev->ipc;
	unsigned int i;
	int ret;

	BUILD_BUG_ON(BITS_PER_TYPE(ipc->used) != NIB_ADMIN_SLOTS);
	init_waitqueue_head(&ipc->wait);
	spin_lock_init(&ipc->lock);
	spin_lock_init(&ipc->objects_lock);
	for (i = 0; i < NIB_FW_KINDS; i++)
		INIT_LIST_HEAD(&ipc->objects[i]);
	ret = drmm_mutex_init(&ndev->drm, &ipc->ping_lock);
	if (ret)
		return ret;
	ipc->ctrl = dmam_alloc_coherent(&ndev->pdev->dev, sizeof(*ipc->ctrl), &ipc->ctrl_dma,
					GFP_KERNEL);
	return ipc->ctrl ? 0 : -ENOMEM;
}

/* Vector 0: whoever waits for an answer or a ping looks again. */
void nib_ipc_irq(struct nib_device *ndev)
{
	/* A ping waits for the interrupt, not only for what the device wrote before it. */
	WRITE_ONCE(ndev->ipc.ping_seen, READ_ONCE(ndev->ipc.ctrl->ping));
	wake_up(&ndev->ipc.wait);
}

/* --- One message --- */

/*
 * Takes the next slot, if nobody needs it any more, and sends. Between drm_dev_enter() and
 * drm_dev_exit(). Returns its index, or -1.
 */
static int nib_ipc_post(struct nib_device *ndev, u16 op, const u64 *args, unsigned int nargs)
{
	struct nib_ipc *ipc = &ndev->ipc;
	struct nib_admin_msg *msg;
	unsigned int slot;

	spin_lock(&ipc->lock);
	slot = ipc->tail % NIB_ADMIN_SLOTS;
	msg = &ipc->ctrl->admin[slot];
	if (ipc->used & BIT_ULL(slot) &&
	    (!(ipc->abandoned & BIT_ULL(slot)) || READ_ONCE(msg->status) == NIB_ADM_PENDING)) {
		spin_unlock(&ipc->lock);
		return -1;
	}
	ipc->used |= BIT_ULL(slot);
	ipc->abandoned &= ~BIT_ULL(slot);
	memset(msg, 0, sizeof(*msg));
	memcpy(msg->arg, args, nargs * sizeof(*args));
	msg->op = op;
	WRITE_ONCE(msg->status, NIB_ADM_PENDING);
	ipc->tail++;
	/* The message, and what it points to in HBM, before the doorbell. */
	wmb();
	writel(ipc->tail, ndev->doorbells + NIB_DOORBELL_ADMIN);
	spin_unlock(&ipc->lock);
	return slot;
}

static void nib_ipc_release(struct nib_device *ndev, unsigned int slot, bool answered)
{
	struct nib_ipc *ipc = &ndev->ipc;

	spin_lock(&ipc->lock);
	if (answered)
		ipc->used &= ~BIT_ULL(slot);
	else
		ipc->abandoned |= BIT_ULL(slot);
	spin_unlock(&ipc->lock);
	/* Others may wait for a slot. */
	wake_up_all(&ipc->wait);
}

/**
 * struct nib_ipc_call - a message on its way.
 * @op: enum nib_admin_op.
 * @nargs: how many arguments.
 * @args: arguments.
 * @slot: of the ring, -1 while it has none.
 * @owner: the gate is closed, by the sender.
 * @insists: the sender waits until there is an answer, or nobody who could give one.
 * @patience: milliseconds of silence after which something is done about it.
 * @looked: when the last look was.
 * @silent: milliseconds without an answer since something was.
 * @waited: milliseconds before that.
 */
struct nib_ipc_call {
	u16 op;
	unsigned int nargs;
	const u64 *args;
	int slot;
	bool owner;
	bool insists;
	unsigned int patience;
	ktime_t looked;
	unsigned int silent;
	unsigned int waited;
};

/* Who closes the gate does not wait for us; who has closed it is not disturbed by himself. */
static bool nib_ipc_gives_way(struct nib_device *ndev, const struct nib_ipc_call *call)
{
	return !call->owner && nib_gate_is_closed(&ndev->gate);
}

static u32 nib_ipc_status(struct nib_device *ndev, const struct nib_ipc_call *call)
{
	if (call->slot < 0)
		return NIB_ADM_PENDING;
	return READ_ONCE(ndev->ipc.ctrl->admin[call->slot].status);
}

/* True if there is an answer, or will be none. Sends the message as soon as there is a slot. */
static bool nib_ipc_done(struct nib_device *ndev, struct nib_ipc_call *call)
{
	int cookie;

	if (nib_ipc_gives_way(ndev, call) || nib_device_lost(ndev))
		return true;
	if (call->slot < 0) {
		if (!drm_dev_enter(&ndev->drm, &cookie))
			return true;
		call->slot = nib_ipc_post(ndev, call->op, call->args, call->nargs);
		drm_dev_exit(cookie);
	}
	return nib_ipc_status(ndev, call) != NIB_ADM_PENDING;
}

/* The doorbell may have been missed; a second one does no harm. */
static void nib_ipc_ring(struct nib_device *ndev)
{
	struct nib_ipc *ipc = &ndev->ipc;

	spin_lock(&ipc->lock);
	writel(ipc->tail, ndev->doorbells + NIB_DOORBELL_ADMIN);
	spin_unlock(&ipc->lock);
}

/*
 * A look at a firmware that has not answered yet. Returns 0 to go on waiting, or why not to. Who
 * insists waits on after the time is up, but calls for recovery. What a firmware is only slow with
 * is not stopped, but not waited for forever.
 */
static int nib_ipc_look_at(struct nib_device *ndev, struct nib_ipc_call *call)
{
	ktime_t now = ktime_get();

	nib_ipc_ring(ndev);
	call->silent += min_t(s64, ktime_ms_delta(now, call->looked), NIB_ADMIN_POLL_MAX_MS);
	call->looked = now;
	if (nib_read(ndev, NIB_REG_FW_STATE) == NIB_FW_READY && call->silent < call->patience)
		return 0;
	if (!call->insists)
		return -ETIMEDOUT;
	nib_recovery_request(ndev, NIB_RUNG_ENGINE, NULL, "no answer");
	call->waited += call->silent;
	call->silent = 0;
	if (call->waited >= NIB_ADMIN_SLOW_MS)
		nib_recovery_request(ndev, NIB_RUNG_FIRMWARE, NULL, "no answer");
	return 0;
}

/* The same, unless there is nobody to look at, or somebody wants to have him for himself. */
static int nib_ipc_look(struct nib_device *ndev, struct nib_ipc_call *call)
{
	int ret = nib_device_lost(ndev), cookie;

	if (ret)
		return ret;
	if (nib_ipc_gives_way(ndev, call))
		return -EAGAIN;
	if (!drm_dev_enter(&ndev->drm, &cookie))
		return -ENODEV;
	ret = nib_ipc_look_at(ndev, call);
	drm_dev_exit(cookie);
	return ret;
}

/*
 * Sends a message and waits for the answer. Returns 0; -EAGAIN if the gate is being closed; -ENODEV
 * or -EIO if the device is lost or unplugged; -EPROTO if the firmware refuses; -ETIMEDOUT after @ms
 * of silence, or at once if the firmware has stopped. With @ms 0 silence only calls for recovery.
 *
 * Not interruptible: what the firmware may have been told has to be known before memory is freed.
 * It ends by itself, since recovery either makes the firmware answer or gives the device up.
 */
static int nib_ipc_transact(struct nib_device *ndev, struct nib_ipc_call *call, unsigned int ms)
{
	ktime_t start = ktime_get();
	u32 status;
	int ret = 0;

	call->slot = -1;
	call->looked = start;
	call->insists = !ms;
	call->patience = ms ?: nib_admin_ms;
	call->silent = 0;
	call->waited = 0;
	for (;;) {
		wait_event_timeout(ndev->ipc.wait, nib_ipc_done(ndev, call),
				   msecs_to_jiffies(NIB_ADMIN_POLL_MS));
		status = nib_ipc_status(ndev, call);
		if (status != NIB_ADM_PENDING)
			break;
		ret = nib_ipc_look(ndev, call);
		if (ret)
			goto out;
	}
	/* What the message asked for has happened before its status says so. */
	dma_rmb();
	if (status != NIB_ADM_OK) {
		drm_err(&ndev->drm, "firmware refused %s (%#llx, %#llx): status %u\n",
			nib_admin_op_name(call->op), call->nargs > 0 ? call->args[0] : 0,
			call->nargs > 1 ? call->args[1] : 0, status);
		ret = -EPROTO;
	} else {
		ret = 0;
	}
out:
	trace_nib_ipc_call(ndev, call->op, call->nargs ? call->args[0] : 0, ret,
			   ktime_to_ns(ktime_sub(ktime_get(), start)));
	if (call->slot >= 0)
		nib_ipc_release(ndev, call->slot, status != NIB_ADM_PENDING);
	return ret;
}

/* --- What the firmware knows --- */

/* Brings about that the firmware knows of an object, or does not. */
static int nib_ipc_settle(struct nib_device *ndev, struct nib_fw_object *object, bool known, u16 op,
			  const u64 *args, unsigned int nargs)
{
	struct nib_ipc_call call = { .op = op, .args = args, .nargs = nargs };
	struct nib_gate *gate = &ndev->gate;
	unsigned int refused = 0;
	bool knows;
	int ret;

	do {
		/* Also for the sake of who has just restored the object and may look at it. */
		nib_gate_enter(gate);
		ret = nib_device_lost(ndev);
		knows = object->generation == gate->generation;
		if (!ret && knows != known) {
			ret = nib_ipc_transact(ndev, &call, 0);
			if (!ret)
				object->generation = known ? gate->generation : 0;
		}
		nib_gate_leave(gate);
		/* What it knows it may use: that has to end before memory is given to others. */
		if (ret == -EPROTO && !known && !drm_dev_is_unplugged(&ndev->drm)) {
			if (++refused >= NIB_FORGET_TRIES)
				nib_recovery_request(ndev, NIB_RUNG_FIRMWARE, NULL,
						     "firmware does not forget");
			msleep(NIB_ADMIN_POLL_MS);
			ret = -EAGAIN;
		}
	} while (ret == -EAGAIN);
	return ret == -EPROTO ? -EIO : ret;
}

static void nib_ipc_unlist(struct nib_device *ndev, struct nib_fw_object *object)
{
	spin_lock(&ndev->ipc.objects_lock);
	list_del_init(&object->link);
	spin_unlock(&ndev->ipc.objects_lock);
}

/**
 * nib_ipc_create - tell the firmware of an object, now and whenever it starts anew.
 * @ndev: device.
 * @object: with @kind and @restore set, else zeroed.
 * @op: enum nib_admin_op.
 * @args: of the message.
 * @nargs: how many.
 *
 * Sleeps. Paired with nib_ipc_destroy(). Returns 0; -ENODEV or -EIO, with nothing done, if the
 * device is lost; -EIO if the firmware refuses, which is a bug of one of the two.
 */
int nib_ipc_create(struct nib_device *ndev, struct nib_fw_object *object, u16 op, const u64 *args,
		   unsigned int nargs)
{
	int ret;

	KUNIT_STATIC_STUB_REDIRECT(nib_ipc_create, ndev, object, op, args, nargs);
	ret = nib_pm_get(ndev);
	if (ret)
		return ret;
	spin_lock(&ndev->ipc.objects_lock);
	list_add_tail(&object->link, &ndev->ipc.objects[object->kind]);
	spin_unlock(&ndev->ipc.objects_lock);
	ret = nib_ipc_settle(ndev, object, true, op, args, nargs);
	if (ret) {
		nib_ipc_unlist(ndev, object);
		/* Somebody may have it in hand just now. */
		nib_gate_enter(&ndev->gate);
		nib_gate_leave(&ndev->gate);
	}
	nib_pm_put(ndev);
	return ret;
}

/**
 * nib_ipc_destroy - make the firmware forget an object.
 * @ndev: device.
 * @object: object.
 * @op: enum nib_admin_op.
 * @args: of the message.
 * @nargs: how many.
 *
 * Sleeps. When it returns the firmware does not know the object, or there is no firmware that can
 * touch memory any more. Returns as nib_ipc_create().
 */
int nib_ipc_destroy(struct nib_device *ndev, struct nib_fw_object *object, u16 op, const u64 *args,
		    unsigned int nargs)
{
	int ret;

	KUNIT_STATIC_STUB_REDIRECT(nib_ipc_destroy, ndev, object, op, args, nargs);
	ret = nib_pm_get(ndev);
	nib_ipc_unlist(ndev, object);
	if (ret)
		return ret;
	ret = nib_ipc_settle(ndev, object, false, op, args, nargs);
	nib_pm_put(ndev);
	return ret;
}

/**
 * nib_ipc_try - send a message about an object, if the firmware knows it, and do not insist.
 * @ndev: device.
 * @object: object, or NULL.
 * @ms: silence after which to give up.
 * @op: enum nib_admin_op.
 * @args: of the message.
 * @nargs: how many.
 *
 * For recovery. Between drm_dev_enter() and drm_dev_exit(). Returns 0, also if the object is not
 * known; -ETIMEDOUT; -ENODEV, -EIO, -EPROTO.
 */
int nib_ipc_try(struct nib_device *ndev, const struct nib_fw_object *object, unsigned int ms,
		u16 op, const u64 *args, unsigned int nargs)
{
	struct nib_ipc_call call = { .op = op, .args = args, .nargs = nargs };
	struct nib_gate *gate = &ndev->gate;
	int ret;

	do {
		nib_gate_enter(gate);
		ret = nib_device_lost(ndev);
		if (!ret && (!object || object->generation == gate->generation))
			ret = nib_ipc_transact(ndev, &call, ms);
		nib_gate_leave(gate);
	} while (ret == -EAGAIN);
	return ret;
}

/**
 * nib_ipc_tell - send a message to a firmware that one has for oneself.
 * @ndev: device, whose gate the caller has closed.
 * @op: enum nib_admin_op.
 * @args: of the message.
 * @nargs: how many.
 *
 * Returns 0, -ETIMEDOUT, -ENODEV, -EIO, -EPROTO.
 */
int nib_ipc_tell(struct nib_device *ndev, u16 op, const u64 *args, unsigned int nargs)
{
	struct nib_ipc_call call = { .op = op, .args = args, .nargs = nargs, .owner = true };

	return nib_ipc_transact(ndev, &call, nib_admin_ms ?: 1);
}

/* The next object of a kind that was not looked at in this generation; those move to the end. */
static struct nib_fw_object *nib_ipc_next(struct nib_device *ndev, enum nib_fw_kind kind)
{
	struct list_head *list = &ndev->ipc.objects[kind];
	struct nib_fw_object *object;

	spin_lock(&ndev->ipc.objects_lock);
	object = list_first_entry_or_null(list, struct nib_fw_object, link);
	if (object && object->visited == ndev->gate.generation) {
		object = NULL;
	} else if (object) {
		object->visited = ndev->gate.generation;
		list_move_tail(&object->link, list);
	}
	spin_unlock(&ndev->ipc.objects_lock);
	return object;
}

/**
 * nib_ipc_restore - tell a firmware that has just booted what there is.
 * @ndev: device, whose gate the caller has closed.
 * @lost: the memories of the device have lost their contents.
 *
 * Allocates nothing. Returns 0 or -errno.
 */
int nib_ipc_restore(struct nib_device *ndev, bool lost)
{
	struct nib_fw_object *object;
	unsigned int kind;
	int ret = 0;

	for (kind = 0; kind < NIB_FW_KINDS && !ret; kind++)
		while (!ret && (object = nib_ipc_next(ndev, kind)))
			ret = object->restore(ndev, object, lost);
	return ret;
}

/* The firmware has stopped, and the gate is closed: a new one starts with empty rings. */
void nib_ipc_reset(struct nib_device *ndev)
{
	struct nib_ipc *ipc = &ndev->ipc;

	spin_lock(&ipc->lock);
	ipc->tail = 0;
	ipc->used = 0;
	ipc->abandoned = 0;
	memset(ipc->ctrl->admin, 0, sizeof(ipc->ctrl->admin));
	spin_unlock(&ipc->lock);
	nib_irq_reset(ndev);
	/* Skips 0: no object is known to a firmware that never was. */
	ndev->gate.generation = ndev->gate.generation + 1 ?: 1;
}

/* --- Pings --- */

/**
 * nib_ipc_ping - one bare round trip: doorbell, device, interrupt, this process.
 * @ndev: device.
 * @ns: out: how long it took.
 *
 * The lock is the turn of who measures, and is what he is here for: nobody else wants it. Returns
 * 0, or -ENODEV, -EIO, -ERESTARTSYS.
 */
int nib_ipc_ping(struct nib_device *ndev, u64 *ns)
{
	struct nib_ipc *ipc = &ndev->ipc;
	int cookie;
	ktime_t start;
	long left;

	lockdep_assert_held(&ipc->ping_lock);

	if (nib_device_lost(ndev) || !drm_dev_enter(&ndev->drm, &cookie))
		return -ENODEV;
	ipc->ping_value++;
	start = ktime_get();
	writel(ipc->ping_value, ndev->doorbells + NIB_DOORBELL_PING);
	drm_dev_exit(cookie);
	left = wait_event_interruptible_timeout(ipc->wait,
						READ_ONCE(ipc->ping_seen) == ipc->ping_value,
						msecs_to_jiffies(NIB_PING_TIMEOUT_MS));
	*ns = ktime_to_ns(ktime_sub(ktime_get(), start));
	return left < 0 ? left : left ? 0 : -EIO;
}
