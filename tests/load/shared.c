/* shared - one anonymous mapping */
#include "tests/load/shared.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "tests/load/plain.h"

static void *map(size_t bytes) {
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		die(NULL, "no %zu bytes of shared memory: %s", bytes, strerror(errno));
	return at;
}

struct shared *shared_new(uint32_t processes, uint32_t publishers, uint32_t rooms) {
	struct shared *s = map(sizeof(*s) + processes * sizeof(s->process[0]));

	s->process_count = processes;
	s->coordinator = getpid();
	s->publishers = map((publishers + 1) * sizeof(s->publishers[0]));
	s->room_tops = map((rooms + 1) * sizeof(s->room_tops[0]));
	s->order = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (s->order < 0)
		die(NULL, "eventfd: %s", strerror(errno));
	random_bytes(&s->run, sizeof(s->run));
	s->run &= 0xfffff;
	return s;
}

void cause_add(struct cause causes[CAUSES_MAX], const char *text, uint64_t count) {
	char plain[CAUSE_TEXT];

	snprintf(plain, sizeof(plain), "%s", text);
	plain_text(plain, "\"\\");
	for (size_t i = 0; i < CAUSES_MAX; i++) {
		struct cause *c = &causes[i];

		if (c->text[0] == '\0')
			snprintf(c->text, sizeof(c->text), "%s", i == CAUSES_MAX - 1 ? "other" : plain);
		if (strcmp(c->text, plain) == 0 || i == CAUSES_MAX - 1) {
			c->count += count;
			return;
		}
	}
}

void shared_set_problem(struct shared *s, const char *format, ...) {
	va_list args;

	if (atomic_flag_test_and_set(&s->has_problem))
		return;
	va_start(args, format);
	vsnprintf(s->problem, sizeof(s->problem), format, args);
	va_end(args);
	plain_text(s->problem, "");
}

uint64_t now_ns(void) {
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void die(struct shared *s, const char *format, ...) {
	va_list args;

	if (s == NULL || !atomic_flag_test_and_set(&s->has_died)) {
		fputs("herold-load: ", stderr);
		va_start(args, format);
		vfprintf(stderr, format, args);
		va_end(args);
		fputc('\n', stderr);
	}
	exit(EXIT_FAILURE);
}
