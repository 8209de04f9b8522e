/* bytes - unmasking and UTF-8 validation, each with its plain twin, beside memcpy: GB/s of processor time */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/utf8.h"
#include "server/ws/ws_frame.h"

enum { BUFFER_BYTES = 1 << 16, WORK_BYTES = 1 << 28, ROUNDS = 5 };

static const uint8_t mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
static uint8_t from[BUFFER_BYTES + 8], to[BUFFER_BYTES + 8];

static double cpu_seconds(void) {
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void do_memcpy(size_t bytes) {
	memcpy(to, from + 4, bytes);
	/* The compiler must not know that nobody reads it. */
	__asm__ volatile("" : : "r"(to) : "memory");
}

/* Twice, and the text is as it was; payloads lie behind a header of 6 or 8 bytes. */
static void do_unmask(size_t bytes) {
	ws_unmask(from + 6, bytes, mask, 0);
}

static void do_unmask_plain(size_t bytes) {
	ws_unmask_plain(from + 6, bytes, mask, 0);
}

static void check(bool is_valid) {
	if (is_valid)
		return;
	fputs("bench_bytes: a valid text was refused\n", stderr);
	exit(EXIT_FAILURE);
}

static void do_utf8(size_t bytes) {
	struct utf8_state state = { 0 };

	check(utf8_feed(&state, slice_of(from + 6, bytes)));
}

static void do_utf8_plain(size_t bytes) {
	struct utf8_state state = { 0 };

	check(utf8_feed_plain(&state, slice_of(from + 6, bytes)));
}

/* The best of some rounds: what disturbs makes it slower, nothing makes it faster. */
static double gigabytes(void (*work)(size_t bytes), size_t bytes) {
	double best = 0;

	for (int round = 0; round < ROUNDS; round++) {
		size_t times = WORK_BYTES / ROUNDS / bytes & ~(size_t)1;
		double begin = cpu_seconds(), rate;

		for (size_t i = 0; i < times; i++)
			work(bytes);
		rate = (double)(times * bytes) / (cpu_seconds() - begin) / 1e9;
		best = rate > best ? rate : best;
	}
	return best;
}

int main(void) {
	static const size_t sizes[] = { 64, 1024, 16384, BUFFER_BYTES };
	static const struct {
		const char *name, *text;
		void (*work)(size_t bytes);
	} rows[] = {
		{ "memcpy", "a", do_memcpy },
		{ "unmask", "a", do_unmask },
		{ "unmask, plain", "a", do_unmask_plain },
		{ "UTF-8, ASCII", "a", do_utf8 },
		{ "UTF-8, ASCII, plain", "a", do_utf8_plain },
		{ "UTF-8, 2 bytes each", "\xd0\xb6", do_utf8 },
		{ "UTF-8, 2 bytes each, plain", "\xd0\xb6", do_utf8_plain },
		{ "UTF-8, 3 bytes each", "\xe6\x97\xa5", do_utf8 },
		{ "UTF-8, 3 bytes each, plain", "\xe6\x97\xa5", do_utf8_plain },
		{ "UTF-8, 4 bytes each", "\xf0\x9f\x98\x80", do_utf8 },
		{ "UTF-8, 4 bytes each, plain", "\xf0\x9f\x98\x80", do_utf8_plain },
	};

	printf("%-28s", "GB/s at a time of");
	for (size_t k = 0; k < ARRAY_LEN(sizes); k++)
		printf(" %8zu B", sizes[k]);
	printf("\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = strlen(rows[i].text);

		for (size_t at = 6; at < sizeof(from); at++)
			from[at] = (uint8_t)rows[i].text[(at - 6) % len];
		printf("%-28s", rows[i].name);
		for (size_t k = 0; k < ARRAY_LEN(sizes); k++)
			printf(" %10.1f", gigabytes(rows[i].work, sizes[k]));
		printf("\n");
	}
	return EXIT_SUCCESS;
}
