// SPDX-License-Identifier: MIT
/*
 * Guards against bus errors. The handler runs in whatever thread made the access, perhaps deep in a
 * kernel: it looks through a table without locks, and puts zeros where the file was.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include "guard.h"

#define GUARDS 4096u

/**
 * struct nib_guard - a guarded mapping.
 * @at: its address; 0: the entry is free. Written last, cleared first.
 */
struct nib_guard {
	_Atomic uintptr_t at;
	_Atomic size_t bytes;
	atomic_bool lost;
};

static struct nib_guard guards[GUARDS];
static atomic_uint guards_end; /* none is in use from there on */
static pthread_mutex_t guards_lock = PTHREAD_MUTEX_INITIALIZER; /* who adds and removes */

static void guard_lose(struct nib_guard *guard, uintptr_t at, size_t bytes)
{
	atomic_store(&guard->lost, true);
	mmap((void *)at, bytes, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

static void guard_handle(int number, siginfo_t *info, void *context)
{
	uintptr_t address = (uintptr_t)info->si_addr;
	unsigned int end = atomic_load(&guards_end);
	int saved = errno;

	(void)context;
	for (unsigned int i = 0; i < end; i++) {
		uintptr_t at = atomic_load(&guards[i].at);
		size_t bytes = atomic_load(&guards[i].bytes);

		if (at && address >= at && address - at < bytes) {
			guard_lose(&guards[i], at, bytes);
			errno = saved;
			return;
		}
	}
	/* Not ours: the access is made again, and ends the process. */
	signal(number, SIG_DFL);
	errno = saved;
}

int nib_guard_install(void)
{
	struct sigaction action = { .sa_sigaction = guard_handle, .sa_flags = SA_SIGINFO };

	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) ? -errno : 0;
}

struct nib_guard *nib_guard_add(void *at, size_t bytes)
{
	struct nib_guard *guard = NULL;

	pthread_mutex_lock(&guards_lock);
	for (unsigned int i = 0; i < GUARDS && !guard; i++) {
		if (atomic_load(&guards[i].at))
			continue;
		guard = &guards[i];
		atomic_store(&guard->lost, false);
		atomic_store(&guard->bytes, bytes);
		atomic_store(&guard->at, (uintptr_t)at);
		if (i >= atomic_load(&guards_end))
			atomic_store(&guards_end, i + 1);
	}
	pthread_mutex_unlock(&guards_lock);
	return guard;
}

void nib_guard_remove(struct nib_guard *guard)
{
	if (!guard)
		return;
	pthread_mutex_lock(&guards_lock);
	atomic_store(&guard->at, 0);
	pthread_mutex_unlock(&guards_lock);
}

bool nib_guard_is_lost(const struct nib_guard *guard)
{
	return guard && atomic_load(&guard->lost);
}
