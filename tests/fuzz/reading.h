/*
 * reading - a stream of frames read by a ws_reader, whole or in parts, into a log that can be compared
 */
#ifndef TESTS_FUZZ_READING_H
#define TESTS_FUZZ_READING_H

#include "server/ws/ws_reader.h"
#include "tests/fuzz/fuzz.h"

struct reading {
	uint32_t max_message_bytes;
	const struct ws_deflate_terms *deflate;	/* NULL: none */
	/* Lengths of the parts, each 1 more than said; the rest comes in one piece. */
	struct slice parts;
};

/* Each part is in memory of its own, freed after it was read. The log grows by what was said. */
void reading_run(const struct reading *how, struct slice stream, struct buf *log);

#endif
