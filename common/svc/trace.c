/* trace - reading the last events of a process */
#include "common/svc/trace.h"

#include <stdio.h>

static struct trace_ring alone;
struct trace_ring *trace_own = &alone;

static const struct {
	const char *name, *a, *b;
} kinds[TRACE_KINDS] = {
	[TRACE_NONE] = { "none", "", "" },
#define TRACE_ROW(n, a, b) [TRACE_##n] = { #n, a, b },
#include "common/svc/trace.tbl"
};

void trace_use(struct trace_ring *ring) {
	trace_set(&ring->now, trace_get(&trace_own->now));
	trace_own = ring;
}

void trace_clear(struct trace_ring *ring) {
	trace_set(&ring->written, 0);
	trace_set(&ring->serving, 0);
	trace_set(&ring->prefix, 0);
}

void trace_set_ids(const struct id_source *ids) {
	uint64_t prefix;

	STATIC_ASSERT(sizeof(prefix) == sizeof(ids->prefix), "a prefix is a word");
	memcpy(&prefix, ids->prefix, sizeof(prefix));
	trace_set(&trace_own->prefix, prefix);
}

size_t trace_read(const struct trace_ring *ring, struct trace_seen out[TRACE_EVENTS]) {
	/* The place that comes next may be just being written. */
	enum { SAFE = TRACE_EVENTS - 1 };
	uint64_t end = atomic_load_explicit(&ring->written, memory_order_acquire), begin = end > SAFE ? end - SAFE : 0, safe;
	size_t n = 0, gone;

	for (uint64_t i = begin; i < end; i++) {
		const struct trace_record *r = &ring->record[i % TRACE_EVENTS];
		uint64_t when = trace_get(&r->when), kind = when % (1 << TRACE_KIND_BITS);

		out[n++] = (struct trace_seen){ when >> TRACE_KIND_BITS, trace_get(&r->conn), trace_get(&r->a), trace_get(&r->b),
			kind < TRACE_KINDS ? (enum trace_kind)kind : TRACE_NONE };
	}
	atomic_thread_fence(memory_order_acquire);
	end = trace_get(&ring->written);
	safe = end > SAFE ? end - SAFE : 0;
	gone = safe <= begin ? 0 : safe - begin < n ? (size_t)(safe - begin) : n;
	memmove(out, out + gone, (n - gone) * sizeof(*out));
	return n - gone;
}

const char *trace_conn_key(const struct trace_ring *ring) {
	return trace_get(&ring->prefix) != 0 ? "conn" : "link";
}

void trace_conn_text(const struct trace_ring *ring, uint64_t conn, char out[ID_TEXT_LEN + 2]) {
	uint64_t prefix = trace_get(&ring->prefix);
	struct id_source ids;

	out[0] = '\0';
	if (conn == 0)
		return;
	if (prefix == 0) {
		snprintf(out, ID_TEXT_LEN + 2, "%llu", (unsigned long long)conn);
		return;
	}
	memcpy(ids.prefix, &prefix, sizeof(prefix));
	id_text(&ids, conn, out);
}

const char *trace_kind_name(enum trace_kind kind) {
	return kinds[kind].name;
}

const char *trace_kind_a(enum trace_kind kind) {
	return kinds[kind].a;
}

const char *trace_kind_b(enum trace_kind kind) {
	return kinds[kind].b;
}
