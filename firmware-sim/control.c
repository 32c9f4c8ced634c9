// SPDX-License-Identifier: MIT
/*
 * Requests of the control socket: JSON to orders, state to JSON. Nothing here knows of sockets, nor
 * does any harm itself: that is nib_fault.h's.
 */
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "control.h"
#include "nib_regs.h"

/**
 * struct request - one being handled.
 * @answer: object that grows; "ok" comes last.
 * @error: what is wrong with it; empty: nothing.
 */
struct request {
	struct nib_device *device;
	json_t *answer;
	char error[160];
	enum nib_control_end end;
};

/* Always false, so that callers can return it. */
__attribute__((format(printf, 2, 3)))
static bool refuse(struct request *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->error, sizeof(r->error), format, args);
	va_end(args);
	return false;
}

/* --- Values --- */

static bool get_number(struct request *r, const char *key, const json_t *json, uint64_t max,
		       uint64_t *value)
{
	json_int_t n = json_integer_value(json);

	if (!json_is_integer(json) || n < 0 || (uint64_t)n > max)
		return refuse(r, "%s: want a number from 0 to %llu", key, (unsigned long long)max);
	*value = (uint64_t)n;
	return true;
}

static bool get_u32(struct request *r, const char *key, const json_t *json, uint32_t max,
		    uint32_t *value)
{
	uint64_t n = 0;

	if (!get_number(r, key, json, max, &n))
		return false;
	*value = (uint32_t)n;
	return true;
}

/* One of @names, by its index; a NULL in them is no name. */
static bool get_name(struct request *r, const char *key, const json_t *json,
		     const char *const *names, unsigned int count, uint32_t *value)
{
	const char *name = json_string_value(json);

	for (unsigned int i = 0; name && i < count; i++) {
		if (names[i] && !strcmp(name, names[i])) {
			*value = i;
			return true;
		}
	}
	return refuse(r, "%s: no such name", key);
}

static bool get_fault(struct request *r, const char *name, enum nib_fault *fault)
{
	for (unsigned int i = 0; i < NIB_FAULTS; i++) {
		if (!strcmp(name, nib_fault_info(i)->name)) {
			*fault = i;
			return true;
		}
	}
	return refuse(r, "no such fault; {\"list\": true} names them");
}

static bool get_true(struct request *r, const char *key, const json_t *json)
{
	return json_is_true(json) || refuse(r, "%s: want true", key);
}

/* --- Members of an order --- */

static const char *const rungs[] = { "queue", "engine", "firmware", "function" };
static const char *const fields[] = { "seqno", "status", "phase" };
static const char *const fw_errors[] = { NULL, "dma", "magic", "size", "api", "digest", "state" };
static const char *const ops[] = {
	"nop", "context-create", "context-destroy", "stream-create", "stream-destroy",
	"queue-create", "queue-destroy", "queue-reset", "job-cancel",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool set_count(struct request *r, const json_t *json, struct nib_fault_order *order)
{
	if (json_is_string(json) && !strcmp(json_string_value(json), "forever")) {
		order->count = NIB_FAULT_FOREVER;
		return true;
	}
	return get_u32(r, "count", json, NIB_FAULT_FOREVER - 1, &order->count);
}

/* A queue, or for interrupts the vector of one that is there. */
static bool set_queue(struct request *r, const json_t *json, struct nib_fault_order *order)
{
	enum nib_chance chance = nib_fault_info(order->fault)->chance;
	struct nib_queue_state queue;

	if (chance == NIB_CHANCE_MESSAGE || chance == NIB_CHANCE_BOOT ||
	    chance == NIB_CHANCE_ADMIN_DOORBELL)
		return refuse(r, "queue: not for this fault");
	if (!get_u32(r, "queue", json, NIB_MAX_QUEUES - 1, &order->key))
		return false;
	if (chance != NIB_CHANCE_INTERRUPT)
		return true;
	if (!nib_device_queue_state(r->device, order->key, &queue) || !queue.used)
		return refuse(r, "queue: there is no queue %u, so it has no vector", order->key);
	order->key = queue.vector;
	return true;
}

static bool set_key(struct request *r, const char *name, const json_t *json,
		    struct nib_fault_order *order)
{
	enum nib_chance chance = nib_fault_info(order->fault)->chance;

	if (!strcmp(name, "vector"))
		return chance == NIB_CHANCE_INTERRUPT ?
		       get_u32(r, name, json, NIB_MSIX_VECTORS - 1, &order->key) :
		       refuse(r, "vector: not for this fault");
	return chance == NIB_CHANCE_MESSAGE ? get_name(r, name, json, ops, COUNT(ops), &order->key) :
	       refuse(r, "op: not for this fault");
}

/* What the value of a fault is called there, and what it may be. */
static bool set_value(struct request *r, const char *name, const json_t *json,
		      struct nib_fault_order *order)
{
	switch (order->fault) {
	case NIB_FAULT_STUCK_PACKET:
	case NIB_FAULT_FIRMWARE_HANG:
		if (!strcmp(name, "rung"))
			return get_name(r, name, json, rungs, COUNT(rungs), &order->value);
		break;
	case NIB_FAULT_CORRUPT_COMPLETION:
		if (!strcmp(name, "field"))
			return get_name(r, name, json, fields, COUNT(fields), &order->value);
		break;
	case NIB_FAULT_FIRMWARE_REFUSED:
		if (!strcmp(name, "error"))
			return get_name(r, name, json, fw_errors, COUNT(fw_errors), &order->value);
		break;
	case NIB_FAULT_FIRMWARE_API:
		if (!strcmp(name, "api"))
			return get_u32(r, name, json, UINT16_MAX, &order->value);
		break;
	case NIB_FAULT_BAD_ANSWER:
		if (!strcmp(name, "status"))
			return get_u32(r, name, json, UINT32_MAX, &order->value);
		break;
	case NIB_FAULT_ECC_CORRECTED:
	case NIB_FAULT_ECC_FATAL:
		if (!strcmp(name, "address"))
			return get_number(r, name, json, INT64_MAX, &order->address);
		break;
	default:
		break;
	}
	return refuse(r, "%.40s: %s has no such member", name, nib_fault_info(order->fault)->name);
}

static bool set_member(struct request *r, const char *name, const json_t *json,
		       struct nib_fault_order *order)
{
	if (!strcmp(name, "count"))
		return set_count(r, json, order);
	if (!strcmp(name, "after"))
		return get_u32(r, name, json, UINT32_MAX, &order->after);
	if (!strcmp(name, "ms"))
		return get_u32(r, name, json, NIB_FAULT_MAX_MS, &order->ms);
	if (!strcmp(name, "others"))
		return get_u32(r, name, json, UINT32_MAX, &order->others);
	if (!strcmp(name, "queue"))
		return set_queue(r, json, order);
	if (!strcmp(name, "vector") || !strcmp(name, "op"))
		return set_key(r, name, json, order);
	return set_value(r, name, json, order);
}

/* Fills an order from all members of an object but @but. */
static bool get_order(struct request *r, json_t *object, const char *but,
		      struct nib_fault_order *order)
{
	const char *name;
	json_t *json;

	json_object_foreach(object, name, json)
		if (strcmp(name, but) && !set_member(r, name, json, order))
			return false;
	return true;
}

/* --- Requests --- */

static bool do_inject(struct request *r, json_t *object, json_t *json)
{
	struct nib_fault_order order;
	enum nib_fault fault = 0;
	int err;

	if (!json_is_string(json))
		return refuse(r, "inject: want the name of a fault");
	if (!get_fault(r, json_string_value(json), &fault))
		return false;
	order = nib_fault_order(fault);
	if (!get_order(r, object, "inject", &order))
		return false;
	err = nib_device_inject(r->device, &order);
	if (err)
		return refuse(r, err == -ENOSPC ? "too many orders are open" :
			      "a value is out of range for this fault");
	return true;
}

/* One member of "random": a probability, or an object with more. */
static bool get_storm(struct request *r, const char *name, json_t *json,
		      struct nib_fault_order *order, uint32_t *ppm)
{
	json_t *number = json_is_object(json) ? json_object_get(json, "probability") : json;
	double p = json_number_value(number);
	enum nib_fault fault = 0;

	if (!get_fault(r, name, &fault))
		return false;
	if (!json_is_number(number) || !(p >= 0 && p <= 1))
		return refuse(r, "%s: want a probability from 0 to 1", nib_fault_info(fault)->name);
	*ppm = (uint32_t)(p * 1e6 + 0.5);
	*order = nib_fault_order(fault);
	if (!json_is_object(json))
		return true;
	if (json_object_get(json, "count") || json_object_get(json, "after"))
		return refuse(r, "random: count and after are for orders");
	return get_order(r, json, "probability", order);
}

static bool do_random(struct request *r, json_t *object, json_t *random)
{
	struct nib_fault_order orders[NIB_FAULTS];
	uint32_t ppm[NIB_FAULTS], count = 0;
	uint64_t seed = 1;
	const char *name;
	json_t *json;

	if (!json_is_object(random) || json_object_size(random) > NIB_FAULTS)
		return refuse(r, "random: want an object of faults and probabilities");
	json_object_foreach(object, name, json) {
		if (!strcmp(name, "seed")) {
			if (!get_number(r, name, json, INT64_MAX, &seed))
				return false;
		} else if (strcmp(name, "random")) {
			return refuse(r, "%.40s: not beside random", name);
		}
	}
	json_object_foreach(random, name, json) {
		if (!get_storm(r, name, json, &orders[count], &ppm[count]))
			return false;
		count++;
	}
	for (uint32_t i = 0; i < count; i++)
		if (nib_device_storm(r->device, &orders[i], ppm[i], seed))
			return refuse(r, "%s: a value is out of range",
				      nib_fault_info(orders[i].fault)->name);
	return true;
}

static bool do_list(struct request *r, json_t *object, json_t *json)
{
	static const char *const chances[] = {
		[NIB_CHANCE_INTERRUPT] = "interrupt", [NIB_CHANCE_DOORBELL] = "doorbell",
		[NIB_CHANCE_ADMIN_DOORBELL] = "admin-doorbell", [NIB_CHANCE_PACKET] = "packet",
		[NIB_CHANCE_COMPLETION] = "completion", [NIB_CHANCE_MESSAGE] = "message",
		[NIB_CHANCE_BOOT] = "boot",
	};
	struct nib_fault_state states[NIB_FAULTS];
	json_t *faults = json_object();

	(void)object;
	if (!get_true(r, "list", json)) {
		json_decref(faults);
		return false;
	}
	nib_device_faults(r->device, states);
	for (unsigned int i = 0; i < NIB_FAULTS; i++) {
		const struct nib_fault_info *info = nib_fault_info(i);
		const struct nib_fault_state *s = &states[i];

		json_object_set_new(faults, info->name, json_pack(
			"{s:s, s:s, s:s, s:s, s:I, s:I, s:f}", "what", info->what, "driver",
			info->driver, "half", info->firmware ? "firmware" : "hardware", "chance",
			chances[info->chance], "struck", (json_int_t)s->struck, "pending",
			s->pending == NIB_FAULT_FOREVER ? (json_int_t)-1 : (json_int_t)s->pending,
			"probability", s->ppm / 1e6));
	}
	json_object_set_new(r->answer, "faults", faults);
	return true;
}

static json_t *queue_json(uint32_t id, const struct nib_queue_state *q)
{
	return json_pack("{s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:b, s:b}", "queue", (int)id,
			 "context", (int)q->context, "priority", (int)q->priority, "vector",
			 (int)q->vector, "rung", (json_int_t)q->tail, "done", (json_int_t)q->head,
			 "packets", (json_int_t)q->packets, "running", q->running, "halted",
			 q->halted);
}

static bool do_status(struct request *r, json_t *object, json_t *json)
{
	static const char *const states[] = { "off", "booting", "ready", "failed", "crashed" };
	struct nib_device_state s;
	struct nib_queue_state q;
	json_t *queues;

	(void)object;
	if (!get_true(r, "status", json))
		return false;
	nib_device_state(r->device, &s);
	json_object_set_new(r->answer, "firmware", json_pack(
		"{s:s, s:b, s:i, s:I}", "state", s.fw_state < COUNT(states) ? states[s.fw_state] :
		"?", "hung", s.hung, "error", (int)s.fw_error, "heartbeat",
		(json_int_t)s.heartbeat));
	json_object_set_new(r->answer, "link", json_string(s.link ? "up" : "down"));
	json_object_set_new(r->answer, "link_losses", json_integer(s.link_losses));
	json_object_set_new(r->answer, "resets", json_integer(s.resets));
	json_object_set_new(r->answer, "packets", json_integer((json_int_t)s.packets));
	json_object_set_new(r->answer, "interrupts", json_integer((json_int_t)s.interrupts));
	json_object_set_new(r->answer, "held", json_integer(s.held));
	queues = json_array();
	for (uint32_t i = 0; nib_device_queue_state(r->device, i, &q); i++)
		if (q.used)
			json_array_append_new(queues, queue_json(i, &q));
	json_object_set_new(r->answer, "queues", queues);
	return true;
}

static bool do_clear(struct request *r, json_t *object, json_t *json)
{
	(void)object;
	if (!get_true(r, "clear", json))
		return false;
	nib_device_inject_clear(r->device);
	return true;
}

static bool do_link(struct request *r, json_t *object, json_t *json)
{
	static const char *const names[] = { "down", "up" };
	uint32_t up;

	(void)object;
	if (!get_name(r, "link", json, names, COUNT(names), &up))
		return false;
	nib_device_link(r->device, up);
	return true;
}

static bool do_remove(struct request *r, json_t *object, json_t *json)
{
	(void)object;
	if (!get_true(r, "remove", json))
		return false;
	r->end = NIB_CONTROL_REMOVE;
	return true;
}

static bool do_quit(struct request *r, json_t *object, json_t *json)
{
	(void)object;
	if (!get_true(r, "quit", json))
		return false;
	r->end = NIB_CONTROL_QUIT;
	return true;
}

static bool dispatch(struct request *r, json_t *object)
{
	static const struct {
		const char *name;
		bool (*handle)(struct request *r, json_t *object, json_t *json);
		bool alone;
	} requests[] = {
		{ "inject", do_inject, false }, { "random", do_random, false },
		{ "list", do_list, true }, { "status", do_status, true },
		{ "clear", do_clear, true }, { "link", do_link, true },
		{ "remove", do_remove, true }, { "quit", do_quit, true },
	};

	if (!json_is_object(object))
		return refuse(r, "want a JSON object");
	for (unsigned int i = 0; i < COUNT(requests); i++) {
		json_t *json = json_object_get(object, requests[i].name);

		if (!json)
			continue;
		if (requests[i].alone && json_object_size(object) != 1)
			return refuse(r, "%s: want nothing beside it", requests[i].name);
		return requests[i].handle(r, object, json);
	}
	return refuse(r, "no such request: inject, random, clear, list, status, link, remove, quit");
}

/* As a line. The error may hold half a character of the request: then it says less. */
static char *answer_line(struct request *r, bool ok)
{
	json_t *json = ok ? json_incref(r->answer) : json_pack("{s:s}", "error", r->error);
	char *text, *line = NULL;
	size_t bytes;

	if (!ok && !json)
		json = json_pack("{s:s}", "error", "a member is not known");
	if (ok)
		json_object_set_new(json, "ok", json_true());
	text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	if (!text)
		return NULL;
	bytes = strlen(text);
	line = realloc(text, bytes + 2);
	if (!line) {
		free(text);
		return NULL;
	}
	memcpy(line + bytes, "\n", 2);
	return line;
}

char *nib_control_execute(struct nib_device *device, const char *line, size_t bytes,
			  enum nib_control_end *end)
{
	struct request r = { .device = device, .answer = json_object() };
	json_error_t where;
	json_t *object;
	char *answer;
	bool ok;

	object = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, &where);
	if (object)
		ok = dispatch(&r, object);
	else
		ok = refuse(&r, "not JSON: column %d: %.80s", where.column, where.text);
	json_decref(object);
	answer = answer_line(&r, ok);
	json_decref(r.answer);
	*end = ok ? r.end : NIB_CONTROL_STAY;
	return answer;
}
