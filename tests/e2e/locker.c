/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program whose locks the end-to-end tests trace.  Commands come on standard input, a line each; every answer is
 * "ok" and the address of the lock.
 *
 *	mutex KIND N        lock and unlock N times: normal, recursive, adaptive, errorcheck
 *	nested KIND N       lock N times, then unlock as often
 *	try KIND            pthread_mutex_trylock() of a mutex that another thread has
 *	timed KIND          pthread_mutex_timedlock() of such a one, with a time that is over
 *	wrong KIND          unlock a mutex that is not locked
 *	wait KIND           another thread has it: it is given back when this one sleeps
 *	robust KIND         a mutex whose owner has died
 *	c11 KIND            mtx_lock(), mtx_unlock()
 *	cond KIND           pthread_cond_wait() until another thread has signalled
 *	reads WORD, writes WORD     lock and unlock a reader-writer lock
 *	tryread WORD, trywrite WORD of one that another thread has for writing
 *	waitread WORD, waitwrite WORD   as wait
 *	sleep WORD          a futex that is no lock
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static volatile int ready;

static const struct {
	const char *name;
	int kind;
} kinds[] = {
	{ "normal", PTHREAD_MUTEX_NORMAL },
	{ "recursive", PTHREAD_MUTEX_RECURSIVE },
	{ "adaptive", PTHREAD_MUTEX_ADAPTIVE_NP },
	{ "errorcheck", PTHREAD_MUTEX_ERRORCHECK },
};

static void make_mutex(const char *kind, int robust)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, kind) == 0)
			pthread_mutexattr_settype(&a, kinds[i].kind);
	if (robust)
		pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&mutex, &a);
}

/* Returns when that thread sleeps in the kernel for a futex. */
static void until_asleep(int tid)
{
	char path[64], text[512];
	long nr;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	for (;;) {
		FILE *f = fopen(path, "r");

		if (!f)
			exit(1);
		if (fgets(text, sizeof(text), f) && sscanf(text, "%ld", &nr) == 1 && nr == SYS_futex) {
			fclose(f);
			return;
		}
		fclose(f);
		usleep(1000);
	}
}

/* ---- the other thread, which has the lock first -------------------------------------------------------------------- */

enum how { MUTEX, READ, WRITE };
struct holder {
	enum how how;
	int waits_for; /* the thread that is to sleep before the lock is given back */
};

static void *hold(void *arg)
{
	const struct holder *h = arg;

	if (h->how == MUTEX)
		pthread_mutex_lock(&mutex);
	else
		pthread_rwlock_wrlock(&rwlock);
	ready = 1;
	if (h->waits_for)
		until_asleep(h->waits_for);
	else
		while (ready != 2)
			usleep(100);
	if (h->how == MUTEX)
		pthread_mutex_unlock(&mutex);
	else
		pthread_rwlock_unlock(&rwlock);
	return NULL;
}

static pthread_t begin_holding(const struct holder *h)
{
	pthread_t t;

	ready = 0;
	pthread_create(&t, NULL, hold, (void *)h);
	while (!ready)
		usleep(100);
	return t;
}

static void end_holding(pthread_t t)
{
	ready = 2;
	pthread_join(t, NULL);
}

/* ---- commands ------------------------------------------------------------------------------------------------------ */

static void do_mutex(const char *kind, long n)
{
	make_mutex(kind, 0);
	for (long i = 0; i < n; i++) {
		pthread_mutex_lock(&mutex);
		pthread_mutex_unlock(&mutex);
	}
}

static void do_nested(const char *kind, long n)
{
	make_mutex(kind, 0);
	for (long i = 0; i < n; i++)
		pthread_mutex_lock(&mutex);
	for (long i = 0; i < n; i++)
		pthread_mutex_unlock(&mutex);
}

static void do_try(const char *kind, long n)
{
	static const struct holder h = { MUTEX, 0 };
	pthread_t t;

	make_mutex(kind, 0);
	t = begin_holding(&h);
	pthread_mutex_trylock(&mutex);
	end_holding(t);
}

static void do_timed(const char *kind, long n)
{
	static const struct holder h = { MUTEX, 0 };
	struct timespec past = { 1, 0 };
	pthread_t t;

	make_mutex(kind, 0);
	t = begin_holding(&h);
	pthread_mutex_timedlock(&mutex, &past);
	end_holding(t);
}

static void do_wrong(const char *kind, long n)
{
	make_mutex(kind, 0);
	pthread_mutex_unlock(&mutex);
}

static void do_wait(const char *kind, long n)
{
	struct holder h = { MUTEX, gettid() };
	pthread_t t;

	make_mutex(kind, 0);
	t = begin_holding(&h);
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
	pthread_join(t, NULL);
}

static void *die(void *arg)
{
	pthread_mutex_lock(&mutex);
	return NULL;
}

static void do_robust(const char *kind, long n)
{
	pthread_t t;

	make_mutex(kind, 1);
	pthread_create(&t, NULL, die, NULL);
	pthread_join(t, NULL);
	pthread_mutex_lock(&mutex);
	pthread_mutex_consistent(&mutex);
	pthread_mutex_unlock(&mutex);
}

static void do_c11(const char *kind, long n)
{
	make_mutex(kind, 0);
	mtx_lock((mtx_t *)&mutex);
	mtx_unlock((mtx_t *)&mutex);
}

static void *signal_once(void *arg)
{
	until_asleep(*(int *)arg);
	pthread_mutex_lock(&mutex);
	ready = 1;
	pthread_mutex_unlock(&mutex);
	pthread_cond_signal(&cond);
	return NULL;
}

static void do_cond(const char *kind, long n)
{
	int tid = gettid();
	pthread_t t;

	make_mutex(kind, 0);
	pthread_mutex_lock(&mutex);
	ready = 0;
	pthread_create(&t, NULL, signal_once, &tid);
	while (!ready)
		pthread_cond_wait(&cond, &mutex);
	pthread_mutex_unlock(&mutex);
	pthread_join(t, NULL);
}

static void do_reads(const char *word, long n)
{
	pthread_rwlock_rdlock(&rwlock);
	pthread_rwlock_unlock(&rwlock);
}

static void do_writes(const char *word, long n)
{
	pthread_rwlock_wrlock(&rwlock);
	pthread_rwlock_unlock(&rwlock);
}

static void do_tryread(const char *word, long n)
{
	static const struct holder h = { WRITE, 0 };
	pthread_t t = begin_holding(&h);

	pthread_rwlock_tryrdlock(&rwlock);
	end_holding(t);
}

static void do_trywrite(const char *word, long n)
{
	static const struct holder h = { WRITE, 0 };
	pthread_t t = begin_holding(&h);

	pthread_rwlock_trywrlock(&rwlock);
	end_holding(t);
}

static void do_waitread(const char *word, long n)
{
	struct holder h = { WRITE, gettid() };
	pthread_t t = begin_holding(&h);

	do_reads(word, 1);
	pthread_join(t, NULL);
}

static void do_waitwrite(const char *word, long n)
{
	struct holder h = { WRITE, gettid() };
	pthread_t t = begin_holding(&h);

	do_writes(word, 1);
	pthread_join(t, NULL);
}

static void do_sleep(const char *word, long n)
{
	static int futex;
	const struct timespec soon = { 0, 1000000 };

	do_mutex("normal", 1);
	syscall(SYS_futex, &futex, FUTEX_WAIT, 0, &soon, NULL, 0);
}

static const struct {
	const char *name;
	void (*run)(const char *word, long n);
	void *lock;
} commands[] = {
	{ "mutex", do_mutex, &mutex },
	{ "nested", do_nested, &mutex },
	{ "try", do_try, &mutex },
	{ "timed", do_timed, &mutex },
	{ "wrong", do_wrong, &mutex },
	{ "wait", do_wait, &mutex },
	{ "robust", do_robust, &mutex },
	{ "c11", do_c11, &mutex },
	{ "cond", do_cond, &mutex },
	{ "reads", do_reads, &rwlock },
	{ "writes", do_writes, &rwlock },
	{ "tryread", do_tryread, &rwlock },
	{ "trywrite", do_trywrite, &rwlock },
	{ "waitread", do_waitread, &rwlock },
	{ "waitwrite", do_waitwrite, &rwlock },
	{ "sleep", do_sleep, &mutex },
};

static void run(const char *name, const char *word, long n)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(name, commands[i].name) == 0) {
			commands[i].run(word, n);
			printf("ok %lu\n", (unsigned long)commands[i].lock);
			fflush(stdout);
		}
}

int main(int argc, char **argv)
{
	char line[256], name[32], word[32];
	long n;

	if (argc > 2) { /* one command from the command line, for processes that are created */
		run(argv[1], argv[2], argc > 3 ? atol(argv[3]) : 1);
		return 0;
	}
	printf("ok 0\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		n = 1;
		if (sscanf(line, "%31s %31s %ld", name, word, &n) >= 2)
			run(name, word, n);
	}
	return 0;
}
