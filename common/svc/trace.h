/*
 * trace - the last events of each process, and probes in the same places
 *
 * A ring for each process, in the mapping of the counters: whatever a process died of, the master reads there what led to it, and
 * the admin process shows it without asking. One writer, which overwrites the oldest; an event costs a dozen instructions and no
 * system call. Its time is that of the loop's turn.
 * Where <sys/sdt.h> is there at build time, each event is a USDT probe herold:NAME(conn, a, b) too: an instruction that does nothing.
 */
#ifndef COMMON_SVC_TRACE_H
#define COMMON_SVC_TRACE_H

#include <stdatomic.h>

#include "common/base/ids.h"

#ifdef HEROLD_USDT
#include <sys/sdt.h>
#define TRACE_PROBE(name, conn, a, b) DTRACE_PROBE3(herold, name, conn, a, b)
#else
#define TRACE_PROBE(name, conn, a, b) ((void)0)
#endif

enum trace_kind {
	TRACE_NONE = 0,
#define TRACE_ROW(name, a, b) TRACE_##name,
#include "common/svc/trace.tbl"
	TRACE_KINDS
};

enum { TRACE_EVENTS = 256, TRACE_KIND_BITS = 8 };

struct trace_record {
	_Atomic uint64_t when;		/* milliseconds since 1970 << TRACE_KIND_BITS | kind */
	_Atomic uint64_t conn, a, b;
};

struct trace_ring {
	_Atomic uint64_t written;	/* events so far */
	_Atomic uint64_t now;		/* of the turn, as in `when` */
	_Atomic uint64_t serving;	/* connection; in the broker: link; 0: nobody */
	_Atomic uint64_t prefix;	/* of its connections' ids; 0: they are numbers */
	uint64_t unused[4];
	struct trace_record record[TRACE_EVENTS];
};

/* Of this process; a private one until trace_use(). */
extern struct trace_ring *trace_own;

/* Borrows for life. */
void trace_use(struct trace_ring *ring);
/* Forgets what is in it. */
void trace_clear(struct trace_ring *ring);
void trace_set_ids(const struct id_source *ids);

static inline void trace_set(_Atomic uint64_t *to, uint64_t value) {
	atomic_store_explicit(to, value, memory_order_relaxed);
}

static inline uint64_t trace_get(const _Atomic uint64_t *from) {
	return atomic_load_explicit(from, memory_order_relaxed);
}

static inline void trace_clock(uint64_t wall_ms) {
	trace_set(&trace_own->now, wall_ms << TRACE_KIND_BITS);
}

/* Whom what is done from now on is done for; 0: nobody. */
static inline void trace_serving(uint64_t conn) {
	trace_set(&trace_own->serving, conn);
}

static inline void trace_write(enum trace_kind kind, uint64_t conn, uint64_t a, uint64_t b) {
	struct trace_ring *ring = trace_own;
	uint64_t written = trace_get(&ring->written);
	struct trace_record *r = &ring->record[written % TRACE_EVENTS];

	trace_set(&r->when, trace_get(&ring->now) | (uint64_t)kind);
	trace_set(&r->conn, conn);
	trace_set(&r->a, a);
	trace_set(&r->b, b);
	atomic_store_explicit(&ring->written, written + 1, memory_order_release);
}

/* name: of trace.tbl. conn: its number; 0: none. */
#define trace_event(name, conn, a, b) \
	do { \
		uint64_t trace_conn = (uint64_t)(conn), trace_a = (uint64_t)(a), trace_b = (uint64_t)(b); \
		TRACE_PROBE(name, trace_conn, trace_a, trace_b); \
		trace_write(TRACE_##name, trace_conn, trace_a, trace_b); \
	} while (0)

/* --- reading, also of a living process --- */

struct trace_seen {
	uint64_t wall_ms, conn, a, b;
	enum trace_kind kind;
};

/* The oldest first; how many. */
size_t trace_read(const struct trace_ring *ring, struct trace_seen out[TRACE_EVENTS]);
/* What those are, as the log names them: "conn", or "link". */
const char *trace_conn_key(const struct trace_ring *ring);
/* The connection as the log has it, or the link's number; "" for 0. */
void trace_conn_text(const struct trace_ring *ring, uint64_t conn, char out[ID_TEXT_LEN + 2]);
const char *trace_kind_name(enum trace_kind kind);
/* What a and b are: "" if it has none. */
const char *trace_kind_a(enum trace_kind kind);
const char *trace_kind_b(enum trace_kind kind);

#endif
