/* SPDX-License-Identifier: MIT */
/*
 * libaccel: devices, memory, streams, queues, programs.
 *
 * Manners. Functions return 0 (or a count) or -errno, and never print, abort, exit or start a
 * thread. The text behind the last error of a device is accel_last_error(): it names the object,
 * the field and the limit. Outputs come last. Structs that grow begin with struct_size, which the
 * caller sets to sizeof(); what the library does not know must be zero. Objects belong to their
 * device and must be destroyed before it. A device and its objects may be used by one thread at a
 * time; different devices are independent. Nothing on the submit path allocates.
 *
 * Work is ordered by timelines: a submit waits for points and signals points; failure travels
 * through them. All addresses are device virtual addresses of the device handle's own space.
 */
#ifndef ACCEL_H
#define ACCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct accel_device;
struct accel_buffer;
struct accel_lease;
struct accel_timeline;
struct accel_stream;
struct accel_queue;
struct accel_program;

/* Version of the library this header belongs to. */
#define ACCEL_VERSION_MAJOR 0
#define ACCEL_VERSION_MINOR 1

/* How to reach a device. */
enum accel_transport {
	ACCEL_TRANSPORT_AUTO = 0,	/* drm where a device node of driver nib exists, else sim */
	ACCEL_TRANSPORT_DRM = 1,	/* the kernel driver */
	ACCEL_TRANSPORT_SIM = 2,	/* the device model in this process */
	ACCEL_TRANSPORT_NULL = 3,	/* accepts everything, computes nothing */
};

enum accel_log_level {
	ACCEL_LOG_ERROR = 0,
	ACCEL_LOG_WARNING = 1,
	ACCEL_LOG_INFO = 2,
	ACCEL_LOG_DEBUG = 3,
};

/* What a struct accel_trace_event tells of, and what a packet may keep busy. */
enum accel_trace_kind {
	ACCEL_TRACE_PACKET = 0,		/* a packet has run */
	ACCEL_TRACE_WORK = 1,		/* a thread of the device model has worked on a part of one */
};

enum accel_trace_engine {
	ACCEL_TRACE_TENSOR = 0,
	ACCEL_TRACE_VECTOR = 1,
	ACCEL_TRACE_HBM = 2,
	ACCEL_TRACE_SRAM = 3,
	ACCEL_TRACE_HOST = 4,
	ACCEL_TRACE_ENGINES = 5,
};

/**
 * struct accel_trace_event - what the device model did, on its own clock and on the host's.
 * @kind: enum accel_trace_kind. WORK has @op, @thread and the host's times only.
 * @op: enum nib_op.
 * @queue: number of the queue on the device.
 * @thread: 0 for the one that calls the library, others for those of the model.
 * @packet: index in its stream.
 * @status: enum nib_done_status.
 * @seqno: of the job, in its queue.
 * @host_start_ns: CLOCK_MONOTONIC; so is @host_end_ns.
 * @start_ps: modelled clock when the packet started.
 * @time_ps: how long it took, modelled.
 * @engine_ps: of that, how long each engine was busy; they overlap.
 * @read: bytes from HBM, SRAM and host memory.
 * @write: bytes to them.
 * @ops: arithmetic operations.
 * @energy_pj: modelled.
 */
struct accel_trace_event {
	uint32_t kind;
	uint32_t op;
	uint32_t queue;
	uint32_t thread;
	uint32_t packet;
	uint32_t status;
	uint64_t seqno;
	uint64_t host_start_ns;
	uint64_t host_end_ns;
	uint64_t start_ps;
	uint64_t time_ps;
	uint64_t engine_ps[ACCEL_TRACE_ENGINES];
	uint64_t read[3];
	uint64_t write[3];
	uint64_t ops;
	uint64_t energy_pj;
};

/**
 * struct accel_open_params - how to open a device.
 * @struct_size: sizeof(struct accel_open_params).
 * @transport: see enum accel_transport.
 * @path: drm: device node, or NULL for the first of driver nib.
 * @chip: sim, null: chip name or chip file, or NULL for "small".
 * @alloc: allocator: realloc(3) semantics, size 0 frees; NULL for the C library's.
 * @log: receives one line at a time, without newline; NULL for silence.
 * @user: first argument of the hooks.
 * @threads: sim: threads that compute at once inside the library's calls, the caller's included;
 *	0 for 1, which starts none. Results do not depend on it.
 * @trace: sim: receives what the device model does, from any of its threads; must not call the
 *	library. NULL for nothing. Other transports refuse it: -EOPNOTSUPP.
 */
struct accel_open_params {
	size_t struct_size;
	enum accel_transport transport;
	const char *path;
	const char *chip;
	void *(*alloc)(void *user, void *ptr, size_t size);
	void (*log)(void *user, enum accel_log_level level, const char *line);
	void *user;
	uint32_t threads;
	void (*trace)(void *user, const struct accel_trace_event *event);
};

/**
 * accel_open - open a device.
 * @params: NULL for all defaults.
 *
 * Returns 0; -ENODEV (no such device), -EACCES, -EPROTONOSUPPORT (driver of another major),
 * -EINVAL, -EOPNOTSUPP, -ENOMEM. On an error accel_last_error(NULL) has the text, per thread.
 */
int accel_open(const struct accel_open_params *params, struct accel_device **device);
void accel_close(struct accel_device *device);

/* Text of the last error of @device (NULL: of accel_open and accel_program_open in this thread). */
const char *accel_last_error(const struct accel_device *device);

/**
 * struct accel_device_info - what a device is.
 * @struct_size: sizeof(struct accel_device_info).
 * @transport: which one serves it.
 * @hw_version: major << 16 | minor.
 * @fw_api: major << 16 | minor.
 * @isa_version: major << 16 | minor.
 * @reset_count: resets since the driver bound.
 * @hbm_bytes: size; and so on.
 * @max_args: arguments of a job.
 * @max_queues: of one handle.
 * @max_streams: of one handle.
 * @max_jobs: in flight in one queue.
 * @priorities: bit per enum accel_priority that this user may use.
 * @chip: name.
 * @fw_version: text.
 * @driver: "nib 1.0.0", "sim", "null".
 * @node: device node, or "".
 * @function_resets: of @reset_count, those that lost what was in device memory: buffers in HBM and
 *	SRAM hold nothing until they are written again, and queues from before are ACCEL_QUEUE_LOST.
 */
struct accel_device_info {
	size_t struct_size;
	enum accel_transport transport;
	uint32_t hw_version;
	uint32_t fw_api;
	uint32_t isa_version;
	uint32_t reset_count;
	uint64_t hbm_bytes;
	uint64_t hbm_free;
	uint64_t sram_bytes;
	uint64_t sram_free;
	uint32_t max_args;
	uint32_t max_queues;
	uint32_t max_streams;
	uint32_t max_jobs;
	uint32_t priorities;
	char chip[32];
	char fw_version[32];
	char driver[32];
	char node[64];
	uint32_t function_resets;
};

int accel_device_query(struct accel_device *device, struct accel_device_info *info);

/**
 * accel_device_list - device nodes of driver nib, from /sys/class/accel.
 * @paths: receives up to @max paths of 64 bytes.
 *
 * Returns how many there are.
 */
int accel_device_list(char (*paths)[64], unsigned int max);

enum accel_memory {
	ACCEL_MEMORY_HBM = 0,		/* device memory; mapped write-combined */
	ACCEL_MEMORY_SRAM = 1,		/* on-die; never mapped */
	ACCEL_MEMORY_HOST = 2,		/* host memory that the device reaches by DMA */
};

#define ACCEL_BUFFER_NO_MAP	(1u << 0)	/* HBM that the CPU will not map */
#define ACCEL_BUFFER_READONLY	(1u << 1)	/* the device may not write it */
#define ACCEL_BUFFER_DUMPABLE	(1u << 2)	/* core dumps of the device may hold its contents */

/**
 * accel_buffer_create - allocate zeroed memory and map it into the device's address space.
 * @bytes: rounded up to whole pages.
 * @flags: ACCEL_BUFFER_*.
 *
 * Returns 0; -ENOSPC (that memory is full), -EINVAL, -ENOMEM, -ENODEV.
 */
int accel_buffer_create(struct accel_device *device, enum accel_memory memory, uint64_t bytes,
			uint32_t flags, struct accel_buffer **buffer);
/* Frees it once the device no longer uses it; the caller has waited for its jobs. */
void accel_buffer_destroy(struct accel_buffer *buffer);
uint64_t accel_buffer_address(const struct accel_buffer *buffer);
uint64_t accel_buffer_bytes(const struct accel_buffer *buffer);
enum accel_memory accel_buffer_memory(const struct accel_buffer *buffer);

/**
 * accel_buffer_map - CPU address of a buffer; stays until the buffer goes.
 *
 * Returns 0; -EACCES (SRAM, NO_MAP), -ENOMEM, -ENODEV.
 */
int accel_buffer_map(struct accel_buffer *buffer, void **ptr);

/**
 * accel_lease_create - lease a window of SRAM, zeroed, in the device's address space.
 * @guaranteed: bytes that stay in SRAM as long as the lease; they come first. 64 KiB aligned.
 * @burst: bytes behind them that are in SRAM while nobody needs the room more, 64 KiB aligned.
 * @flags: must be 0.
 *
 * Where the burst part is changes its speed, never its address or contents: HBM for it is set aside
 * by this call. Jobs that name the lease bring it back to SRAM if there is room, or if leases that
 * were named longer ago can give some. In process and on the null transport there is nobody to share
 * with: the burst part stays where there was room for it when the lease was made.
 *
 * Returns 0; -ENOSPC (no SRAM for the guaranteed part, or no HBM to set aside), -EINVAL, -ENOMEM,
 * -EOPNOTSUPP (the driver has no leases), -ENODEV.
 */
int accel_lease_create(struct accel_device *device, uint64_t guaranteed, uint64_t burst,
		       uint32_t flags, struct accel_lease **lease);
/* Ends it; the caller has waited for the jobs that use or name it. */
void accel_lease_destroy(struct accel_lease *lease);
uint64_t accel_lease_address(const struct accel_lease *lease);

/**
 * struct accel_lease_info - a lease, now.
 * @struct_size: sizeof(struct accel_lease_info).
 * @guaranteed: bytes.
 * @burst: bytes.
 * @resident: bytes that are in SRAM.
 * @generation: grows whenever the burst part moves.
 * @hits: jobs that named the lease and found all of it in SRAM.
 * @misses: jobs that named it and did not.
 * @spills: moves to HBM.
 * @restores: moves back.
 * @spilled_bytes: by @spills.
 * @restored_bytes: by @restores.
 */
struct accel_lease_info {
	size_t struct_size;
	uint64_t guaranteed;
	uint64_t burst;
	uint64_t resident;
	uint64_t generation;
	uint64_t hits;
	uint64_t misses;
	uint64_t spills;
	uint64_t restores;
	uint64_t spilled_bytes;
	uint64_t restored_bytes;
};

int accel_lease_query(struct accel_lease *lease, struct accel_lease_info *info);

/**
 * accel_timeline_create - a 64-bit counter that only grows.
 * @value: where it starts.
 *
 * Points are promised in ascending order, by jobs and by accel_timeline_signal(). A point is
 * reached when it and all before it are over, whether well or not.
 */
int accel_timeline_create(struct accel_device *device, uint64_t value,
			  struct accel_timeline **timeline);
void accel_timeline_destroy(struct accel_timeline *timeline);

/**
 * accel_timeline_wait - wait until a point is reached.
 * @timeout_ns: relative; 0 polls; UINT64_MAX for ever.
 *
 * Returns 0; -ETIME; or how the job that was to signal the point failed: -EFAULT (unmapped
 * address), -EINVAL (argument out of range), -ECANCELED (its queue died), -EIO (reset), -ENODEV;
 * a job that waited for a point that failed has failed the same way. A wait that nothing in flight
 * can end returns at once: -EDEADLK if it was for ever, else -ETIME.
 */
int accel_timeline_wait(struct accel_timeline *timeline, uint64_t value, uint64_t timeout_ns);
int accel_timeline_query(struct accel_timeline *timeline, uint64_t *value);

/**
 * accel_timeline_signal - advance from the CPU.
 *
 * Returns 0; -EINVAL (not after all points promised before), -EBUSY (a job in flight is to signal
 * one of those).
 */
int accel_timeline_signal(struct accel_timeline *timeline, uint64_t value);

/**
 * accel_stream_create - hand a command stream to the device; it is copied, checked and frozen.
 * @data: 64-bit words as in uapi/nib_isa.h.
 *
 * Returns 0; -EINVAL: accel_last_error() names the packet and the reason; -EMFILE, -ENOSPC.
 */
int accel_stream_create(struct accel_device *device, const void *data, size_t bytes,
			struct accel_stream **stream);
void accel_stream_destroy(struct accel_stream *stream);
/* How many arguments a job must bring. */
uint32_t accel_stream_nargs(const struct accel_stream *stream);

enum accel_priority {
	ACCEL_PRIORITY_LOW = 0,
	ACCEL_PRIORITY_NORMAL = 1,
	ACCEL_PRIORITY_HIGH = 2,
	ACCEL_PRIORITY_REALTIME = 3,
};

/**
 * accel_queue_create - a queue of jobs that run in order.
 * @weight: share among queues of equal priority, 1..255; 0 for the default.
 *
 * Returns 0; -EACCES (priority not allowed), -EMFILE, -EINVAL, -ENOMEM.
 */
int accel_queue_create(struct accel_device *device, enum accel_priority priority, uint32_t weight,
		       struct accel_queue **queue);
/* Cancels what is in flight: its points are reached, with -ECANCELED. */
void accel_queue_destroy(struct accel_queue *queue);

/* A point of a timeline. */
struct accel_point {
	struct accel_timeline *timeline;
	uint64_t value;
};

/**
 * struct accel_job_stats - modelled cost of a job, as the device reports it.
 * @status: 0, or -errno as accel_timeline_wait() gives it.
 * @fault_code: enum nib_done_status.
 * @packet: packets that ran; on a fault, which one failed.
 * @fault_address: what it touched.
 * @start_ns: modelled device clock; and so on, see struct nib_completion.
 */
struct accel_job_stats {
	int32_t status;
	uint32_t fault_code;
	uint32_t packet;
	uint32_t zero;
	uint64_t fault_address;
	uint64_t start_ns;
	uint64_t end_ns;
	uint64_t cycles;
	uint64_t hbm_read;
	uint64_t hbm_write;
	uint64_t sram_read;
	uint64_t sram_write;
	uint64_t host_read;
	uint64_t host_write;
	uint64_t energy_pj;
	uint64_t ops;
	uint64_t kv_pages_sram;
	uint64_t kv_pages_other;
};

/**
 * struct accel_job - one run of a stream.
 * @struct_size: sizeof(struct accel_job).
 * @stream: what to run.
 * @args: arguments, copied.
 * @nargs: at least accel_stream_nargs().
 * @n_waits: points to wait for.
 * @n_signals: points to signal, also when the job fails.
 * @stats: filled when one of the job's points has been waited for (or, without signals, by
 *	accel_queue_sync() or accel_queue_destroy()); may be NULL. Must live until then.
 * @leases: leases that should be in SRAM when the job runs; copied.
 * @n_leases: how many.
 */
struct accel_job {
	size_t struct_size;
	struct accel_stream *stream;
	const uint64_t *args;
	uint32_t nargs;
	uint32_t n_waits;
	const struct accel_point *waits;
	const struct accel_point *signals;
	uint32_t n_signals;
	struct accel_job_stats *stats;
	struct accel_lease *const *leases;
	uint32_t n_leases;
};

/**
 * accel_queue_submit - submit jobs: all, or none.
 *
 * Points to wait for need not be promised yet: the job starts when its timelines get there, and
 * those behind it in its queue wait with it. While the queue is full (max_jobs) the call blocks.
 *
 * Returns 0; -EINVAL, -ECANCELED (the queue is dead), -EBUSY (the queue is full of jobs that wait
 * for points nobody has promised), -ENODEV, -ENOMEM.
 */
int accel_queue_submit(struct accel_queue *queue, const struct accel_job *jobs, uint32_t count);

/* Wait until the queue is empty. Returns as accel_timeline_wait(), for the first job that failed. */
int accel_queue_sync(struct accel_queue *queue, uint64_t timeout_ns);

#define ACCEL_QUEUE_GUILTY	(1u << 0)	/* a job of it faulted or was stuck */
#define ACCEL_QUEUE_INNOCENT	(1u << 1)	/* it lost jobs by a reset or by memory that failed */
#define ACCEL_QUEUE_BANNED	(1u << 2)	/* it takes no more jobs */
#define ACCEL_QUEUE_LOST	(1u << 3)	/* device memory lost its contents */

struct accel_queue_state {
	size_t struct_size;
	uint32_t state;			/* ACCEL_QUEUE_* */
	uint32_t fault_code;		/* enum nib_done_status */
	uint32_t fault_packet;
	uint64_t fault_address;
	uint64_t jobs;
	uint64_t run_ns;		/* modelled */
	uint64_t energy_pj;		/* modelled */
};

int accel_queue_query(struct accel_queue *queue, struct accel_queue_state *state);

/* --- Programs: what the compiler wrote. --- */

/**
 * accel_program_open - map and check a program file.
 *
 * Returns 0; -errno of the file; -EINVAL (not a program, damaged), -EPROTONOSUPPORT (another
 * version). accel_last_error(NULL) has the text.
 */
int accel_program_open(const char *path, struct accel_program **program);
/* The same from memory, which must stay until accel_program_close(). */
int accel_program_open_memory(const void *data, size_t bytes, struct accel_program **program);
void accel_program_close(struct accel_program *program);

struct nib_program_header;
struct nib_program_model;
const struct nib_program_header *accel_program_header(const struct accel_program *program);
/* NULL when the program is not a language model. */
const struct nib_program_model *accel_program_model(const struct accel_program *program);

/**
 * accel_program_section - contents of a section.
 * @type: enum nib_program_section_type.
 * @id: which one of them.
 *
 * Returns NULL, with *bytes 0, when there is none.
 */
const void *accel_program_section(const struct accel_program *program, uint32_t type, uint32_t id,
				  size_t *bytes);

#ifdef __cplusplus
}
#endif

#endif
