/* conn_io - a connection's bytes: receiving, queueing, flushing, and holding back who does not take its data */
#include <errno.h>

#include "common/base/mem.h"
#include "common/svc/stats.h"
#include "common/svc/trace.h"
#include "server/conn/conn_priv.h"

enum { FLUSH_FIRST = 64 };	/* entries of conns.flush */

static size_t receive_room(const struct conn *c) {
	if (conn_is_http(c))
		return conn_http_room(c);
	/* First what is kept. */
	return c->side != NULL && c->side->in.len > 0 ? 0 : CONN_RECEIVE_BYTES;
}

static bool is_receiving(const struct conn *c) {
	return c->state != CONN_DEAD && !c->is_eof && !c->is_paused && receive_room(c) > 0;
}

void conn_watch(struct conn *c) {
	short want = 0;

	if (c->state == CONN_DEAD)
		return;
	/* Under TLS each may wait for the other; what it does not wait for would come again and again. */
	if (is_receiving(c))
		want |= c->stream.recv_wants_write ? EVLOOP_WRITE : EVLOOP_READ;
	if (c->is_blocked)
		want |= c->stream.send_wants_read ? EVLOOP_READ : EVLOOP_WRITE;
	evloop_io_want(&c->io, want);
	if (c->stream.has_more && is_receiving(c)) {
		(void)conn_side(c);
		conns_resume_later(c);
	}
}

/* --- in --- */

/* Whose input makes more answers than it takes is not read from until it has taken them. */
static void pause_if_full(struct conn *c) {
	if (c->stream.out.bytes <= CONN_PAUSE_BYTES)
		return;
	if (!c->is_blocked)
		conn_flush(c);
	if (c->state != CONN_OPEN || c->stream.out.bytes <= CONN_PAUSE_BYTES)
		return;
	c->is_paused = true;
	stat_add(STAT_reads_paused, 1);
	conn_watch(c);
}

/* The rest waits for the next turn. */
static void keep_rest(struct conn *c, struct slice rest) {
	struct buf *in = &conn_side(c)->in;

	if (in->max < CONN_RECEIVE_BYTES)
		in->max = CONN_RECEIVE_BYTES;
	buf_add(in, rest);
	if (in->failed) {
		conn_end(c, CLOSE_internal_error, "no memory for frames");
		return;
	}
	conns_resume_later(c);
	conn_watch(c);
}

enum { EMPTY_PONG_BYTES = 6 };

static void on_received(struct conn *c, struct slice bytes) {
	/* What we asked for, which its address or user does not pay for (count_control). */
	bool is_answer = c->is_pinged && bytes.len <= EMPTY_PONG_BYTES;

	stat_add(STAT_bytes_received, bytes.len);
	c->bytes_in += bytes.len;
	c->beat_ms = conn_stamp(c);
	c->is_pinged = is_answer;
	if (c->is_limited && c->state == CONN_OPEN && !is_answer) {
		conn_limits_bytes(c, bytes.len);
		if (c->state == CONN_DEAD)
			return;
	}
	if (conn_is_http(c) || (c->side != NULL && c->side->in.len > 0)) {
		conn_http_input(c, bytes);
	} else if (c->state == CONN_OPEN || c->state == CONN_CLOSING) {
		conn_ws_input(c, &bytes);
		if (bytes.len > 0)
			keep_rest(c, bytes);
	}
	/* else it lingers: what still comes is read so that closing does not reset, and thrown away */
	c->is_pinged = false;
	if (c->state == CONN_OPEN)
		pause_if_full(c);
}

static void on_eof(struct conn *c) {
	c->is_eof = true;
	/* An answer is on its way to a client that only ended its side. */
	if (c->state == CONN_HEAD && !outq_is_empty(&c->stream.out)) {
		conn_linger(c);
		return;
	}
	if (c->state == CONN_LINGER && !outq_is_empty(&c->stream.out)) {
		conn_watch(c);
		return;
	}
	conn_end(c, c->state == CONN_LINGER || (conn_http_is_idle(c) && c->has_answered) ? CLOSE_http_done : CLOSE_client_eof,
	    NULL);
}

/* A client that has its whole answer may end as it likes. */
static void on_broken(struct conn *c) {
	if (c->stream.is_tls && errno == EPROTO)
		conn_end(c, c->stream.is_handshaking ? CLOSE_tls_handshake_failed : CLOSE_tls_error, stream_tls_trouble());
	else if (c->stream.is_tls && errno == EUSERS)
		conn_end(c, CLOSE_tls_handshakes_full, NULL);
	else
		conn_end(c, c->is_shut ? CLOSE_http_done : CLOSE_client_reset, NULL);
}

/* One recv per turn, so that nobody who sends much keeps the others waiting. */
static void conn_receive(struct conn *c) {
	struct conns *cs = c->cs;
	size_t got, room = receive_room(c);
	bool wanted_write = c->stream.recv_wants_write;

	if (room == 0)
		return;
	if (room > CONN_RECEIVE_BYTES)
		room = CONN_RECEIVE_BYTES;
	switch (stream_ops(&c->stream)->recv(&c->stream, cs->receive, room, &got)) {
	case STREAM_OK:
		on_received(c, slice_of(cs->receive, got));
		break;
	case STREAM_AGAIN:
		break;
	case STREAM_EOF:
		on_eof(c);
		break;
	case STREAM_ERROR:
		on_broken(c);
		break;
	}
	if (c->stream.has_more || c->stream.recv_wants_write != wanted_write)
		conn_watch(c);
}

void conn_resume(struct conn *c) {
	if (c->state != CONN_DEAD && c->side->in.len > 0 && !c->is_paused) {
		conn_http_input(c, SLICE_EMPTY);
		if (c->state == CONN_OPEN)
			pause_if_full(c);
	}
	if (c->stream.has_more && is_receiving(c))
		conn_receive(c);
}

void conn_unpause(struct conn *c) {
	if (!c->is_paused)
		return;
	c->is_paused = false;
	conns_resume_later(c);
}

void conn_on_ready(int fd, short ready, void *arg) {
	struct conn *c = arg;
	size_t input = conn_input_bytes(c);

	(void)fd;
	trace_serving(c->id);
	/* Receiving first: a peer that sent its last words and is gone makes sending fail. */
	if ((ready & (c->stream.recv_wants_write ? EVLOOP_WRITE : EVLOOP_READ)) != 0 && is_receiving(c)) {
		conn_receive(c);
		conn_input_changed(c, input);
	}
	if (c->is_blocked && (ready & (c->stream.send_wants_read ? EVLOOP_READ : EVLOOP_WRITE)) != 0 && c->state != CONN_DEAD)
		conn_flush(c);
	trace_serving(0);
}

/* --- out --- */

static void flush_later(struct conn *c) {
	struct conns *cs = c->cs;

	if (c->is_flushing || c->is_blocked)
		return;
	c->is_flushing = true;
	if (cs->flush_count == cs->flush_room) {
		cs->flush_room = cs->flush_room > 0 ? 2 * cs->flush_room : FLUSH_FIRST;
		cs->flush = mem_realloc(cs->flush, cs->flush_room * sizeof(cs->flush[0]));
	}
	cs->flush[cs->flush_count++] = c;
}

void conn_queue(struct conn *c, struct rcbuf *r) {
	c->cs->queued_bytes += r->len;
	outq_take(&c->stream.out, r);
	flush_later(c);
}

void conn_queue_shared(struct conn *c, struct rcbuf *r) {
	c->cs->queued_bytes += r->len;
	outq_add(&c->stream.out, r);
	flush_later(c);
}

static void count_out(struct conn *c, size_t bytes) {
	stat_add(STAT_bytes_sent, bytes);
	c->bytes_out += bytes;
}

size_t conn_offer(struct conn *c, struct slice head, struct slice body) {
	size_t sent;

	if (c->stream.is_tls || c->is_blocked || !outq_is_empty(&c->stream.out))
		return 0;
	sent = stream_plain_send_now(&c->stream, head, body);
	count_out(c, sent);
	return sent;
}

void conn_skip_begun(struct conn *c, size_t sent) {
	outq_consume(&c->stream.out, sent);
	c->cs->queued_bytes -= sent;
}

void conn_drop_unstarted(struct conn *c) {
	size_t before = c->stream.out.bytes;

	stream_drop_unstarted(&c->stream);
	c->cs->queued_bytes -= before - c->stream.out.bytes;
}

static void resume(struct conn *c) {
	if (c->is_held) {
		c->is_held = false;
		conns_resume_later(c);
	}
	if (c->is_paused) {
		conn_unpause(c);
		/* It could not show that it lives. */
		c->beat_ms = conn_stamp(c);
		c->is_pinged = false;
		conn_arm(c);
	}
}

/* A slow line is no reason to cut off what was promised, as long as it takes some of it; but who was too slow already, or
 * silent, has had its time. */
static bool progress_counts(const struct conn *c) {
	return !c->is_hurried;
}

static void on_blocked(struct conn *c, bool has_progress) {
	bool is_news = !c->is_blocked;

	if (is_news)
		stat_add(STAT_slow_readers, 1);
	c->is_blocked = true;
	if ((is_news || has_progress) && progress_counts(c))
		c->since_ms = conn_stamp(c);
	if (c->stream.out.bytes < CONN_RESUME_BYTES)
		resume(c);
	conn_watch(c);
	if (is_news)
		conn_arm(c);
}

static void on_drained(struct conn *c) {
	bool was_blocked = c->is_blocked;

	if (was_blocked)
		stat_sub(STAT_slow_readers, 1);
	c->is_blocked = false;
	resume(c);
	if (c->state == CONN_LINGER && !c->is_shut) {
		c->is_shut = true;
		stream_ops(&c->stream)->shutdown(&c->stream);
	} else if (!was_blocked && c->state != CONN_CLOSING) {
		return;
	}
	if (c->is_eof) {
		conn_end(c, CLOSE_http_done, NULL);
		return;
	}
	c->since_ms = conn_stamp(c);
	conn_watch(c);
	conn_arm(c);
}

void conn_flush(struct conn *c) {
	size_t sent;
	enum stream_result result = stream_ops(&c->stream)->send(&c->stream, &sent);

	count_out(c, sent);
	c->cs->queued_bytes -= sent;
	if (result == STREAM_OK)
		on_drained(c);
	else if (result == STREAM_AGAIN)
		on_blocked(c, sent > 0);
	else
		on_broken(c);
}
