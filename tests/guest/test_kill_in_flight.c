/* SPDX-License-Identifier: MIT */
/*
 * Processes with work in flight are killed, at whatever point they are: while they set up, submit,
 * wait. What they held comes back, others do not notice, and fences that others keep end. The
 * keeper's job waits until all are gone, however slow the guest.
 */
#include "life.h"

#include <signal.h>
#include <sys/wait.h>

#define ROUNDS		12
#define PROCESSES	3

/* Never ends by itself. */
static void work(unsigned int seed)
{
	for (;;) {
		struct life_work w = life_begin();

		if (seed & 1)
			w.hbm[0] = 1;
		if (seed & 2)
			syncobj_wait(w.g.fd, w.fence[1], 100);
		if (seed & 4)
			continue;
		life_end(&w);
	}
}

int main(void)
{
	struct life_work keeper = life_begin();
	uint64_t hbm_free = query_memory(keeper.g.fd).hbm_free;
	pid_t pid[PROCESSES];
	int i, j, status;

	guest_patience();
	for (i = 0; i < ROUNDS; i++) {
		for (j = 0; j < PROCESSES; j++) {
			pid[j] = fork();
			if (!pid[j])
				work((unsigned int)(i + j));
			CHECK(pid[j] > 0);
		}
		/* Any point will do: every one must be safe. */
		usleep((useconds_t)(i * 7919 % 60 * 1000));
		for (j = 0; j < PROCESSES; j++) {
			kill(pid[j], SIGKILL);
			CHECK(waitpid(pid[j], &status, 0) == pid[j]);
			CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		}
	}
	life_check_goes_on(&keeper);
	for (i = 0; i < 100 && query_memory(keeper.g.fd).hbm_free != hbm_free; i++)
		usleep(20000);
	EQUAL(query_memory(keeper.g.fd).hbm_free, hbm_free);
	life_end(&keeper);
	return 0;
}
