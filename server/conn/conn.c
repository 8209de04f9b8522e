/* conn - the life of one connection: states, deadlines, leaving, the end */
#include <stdio.h>

#include "common/base/mem.h"
#include "common/svc/stats.h"
#include "common/svc/trace.h"
#include "server/conn/conn_priv.h"

/* Malloc has a number before each of its blocks. */
STATIC_ASSERT(sizeof(struct conn) <= CONN_BYTES - 8, "an idle connection is small");
STATIC_ASSERT(CLOSE_REASON_COUNT <= STAT_closed_last - STAT_closed + 1, "every reason has its counter");

static const uint64_t NEVER_MS = UINT64_MAX;

uint32_t conn_stamp(const struct conn *c) {
	return (uint32_t)evloop_now_ms(c->cs->loop);
}

struct conn_side *conn_side(struct conn *c) {
	if (c->side == NULL) {
		c->side = mem_zalloc(sizeof(*c->side));
		buf_init(&c->side->in, 2 * CONN_REQUEST_KEEP_BYTES);
	}
	return c->side;
}

void conn_side_trim(struct conn *c) {
	struct conn_side *side = c->side;

	if (side == NULL)
		return;
	if (side->in.len == 0)
		buf_fini(&side->in);
	if (side->in.len > 0 || side->is_resuming || side->deflater != NULL || side->detail[0] != '\0')
		return;
	mem_free(side);
	c->side = NULL;
}

/* From where to where; the bit of each state that may follow. */
static const uint8_t may_follow[CONN_DEAD + 1] = {
	[CONN_PROXY] = 1 << CONN_HEAD | 1 << CONN_DEAD,
	[CONN_HEAD] = 1 << CONN_BODY | 1 << CONN_ANSWER | 1 << CONN_LINGER | 1 << CONN_DEAD,
	[CONN_BODY] = 1 << CONN_ANSWER | 1 << CONN_LINGER | 1 << CONN_DEAD,
	[CONN_ANSWER] = 1 << CONN_HEAD | 1 << CONN_OPEN | 1 << CONN_LINGER | 1 << CONN_DEAD,
	[CONN_OPEN] = 1 << CONN_CLOSING | 1 << CONN_LINGER | 1 << CONN_DEAD,
	[CONN_CLOSING] = 1 << CONN_LINGER | 1 << CONN_DEAD,
	[CONN_LINGER] = 1 << CONN_DEAD,
	[CONN_DEAD] = 0,
};

void conn_set_state(struct conn *c, enum conn_state state) {
	BUG_ON((may_follow[c->state] & 1 << state) == 0);
	if (c->state == CONN_OPEN) {
		stat_sub(STAT_websockets, 1);
		stat_observe(STAT_connection_duration, conn_age_ms(c) * 1000);
	}
	if (state == CONN_OPEN)
		stat_add(STAT_websockets, 1);
	c->state = (uint8_t)state;
	/* A request's time runs on from its head to its body. */
	if (state != CONN_BODY)
		c->since_ms = conn_stamp(c);
	if (state != CONN_DEAD)
		conn_arm(c);
}

/* --- deadlines --- */

static uint64_t ms_after(uint64_t now, uint32_t stamp, uint64_t ms) {
	return now - (uint32_t)((uint32_t)now - stamp) + ms;
}

static uint64_t linger_limit_ms(const struct conn *c) {
	if (c->is_hurried || outq_is_empty(&c->stream.out))
		return CONN_CLOSE_WAIT_MS;
	if (c->state == CONN_CLOSING || c->was_open)
		return CONN_CLOSE_FLUSH_MS;
	return c->cs->settings.send_timeout_ms;
}

static uint64_t send_due(const struct conn *c, uint64_t now) {
	return c->is_blocked ? ms_after(now, c->since_ms, c->cs->settings.send_timeout_ms) : NEVER_MS;
}

static uint64_t heartbeat_due(const struct conn *c, uint64_t now) {
	/* Who is not read from cannot show that it lives; the send timeout watches it. */
	if (c->is_paused)
		return NEVER_MS;
	return ms_after(now, c->beat_ms, c->cs->settings.heartbeat_ms);
}

/* When there is next something to do about it. */
static uint64_t conn_due(const struct conn *c, uint64_t now) {
	uint64_t send = send_due(c, now), heartbeat, grant;

	switch ((enum conn_state)c->state) {
	case CONN_PROXY:
	case CONN_HEAD:
	case CONN_BODY:
		return c->is_blocked ? send : ms_after(now, c->since_ms, c->cs->settings.handshake_ms);
	case CONN_ANSWER:
		return send;
	case CONN_OPEN:
		heartbeat = heartbeat_due(c, now);
		grant = conn_grant_due(c, now);
		heartbeat = heartbeat < grant ? heartbeat : grant;
		return send < heartbeat ? send : heartbeat;
	case CONN_CLOSING:
	case CONN_LINGER:
		return ms_after(now, c->since_ms, linger_limit_ms(c));
	case CONN_DEAD:
		break;
	}
	return NEVER_MS;
}

void conn_arm(struct conn *c) {
	uint64_t due = conn_due(c, evloop_now_ms(c->cs->loop));

	if (due == NEVER_MS)
		deadline_clear(&c->deadline);
	else
		deadline_set(&c->cs->wheel, &c->deadline, due);
}

static void on_open_deadline(struct conn *c, uint64_t now) {
	if (send_due(c, now) <= now) {
		conn_close(c, CLOSE_send_timeout, NULL);
	} else if (conn_grant_due(c, now) <= now) {
		conn_close(c, CLOSE_token_expired, NULL);
	} else if (c->is_pinged) {
		conn_close(c, CLOSE_ping_timeout, NULL);
	} else {
		conn_ws_ping(c);
		conn_arm(c);
	}
}

void conn_on_deadline(struct conn *c) {
	uint64_t now = evloop_now_ms(c->cs->loop);

	if (conn_due(c, now) > now) {
		conn_arm(c);
		return;
	}
	switch ((enum conn_state)c->state) {
	case CONN_PROXY:
		conn_end(c, CLOSE_proxy_header_timeout, NULL);
		break;
	case CONN_HEAD:
	case CONN_BODY:
	case CONN_ANSWER:
		if (c->is_blocked)
			conn_end(c, CLOSE_send_timeout, NULL);
		else
			conn_http_timeout(c);
		break;
	case CONN_OPEN:
		on_open_deadline(c, now);
		break;
	case CONN_CLOSING:
		c->is_unanswered = true;
		stat_add(STAT_close_timeouts, 1);
		conn_end(c, CLOSE_close_timeout, NULL);
		break;
	case CONN_LINGER:
		conn_end(c, c->is_blocked ? CLOSE_send_timeout : CLOSE_http_done, NULL);
		break;
	case CONN_DEAD:
		break;
	}
}

/* --- the end --- */

void conn_set_reason(struct conn *c, enum close_reason reason, const char *detail) {
	if (c->reason != CLOSE_NONE)
		return;
	c->reason = (uint8_t)reason;
	stat_add_in(STAT_closed, reason);
	trace_event(close, c->id, reason, close_reason_code(reason));
	if (detail == NULL || detail[0] == '\0')
		return;
	strncpy(conn_side(c)->detail, detail, CONN_DETAIL_MAX - 1);
}

/* Cut off by the server, the client will be back at once; by its own doing, perhaps not. */
static bool is_by_server(enum close_reason reason) {
	return reason == CLOSE_going_away || reason == CLOSE_slow_client || reason == CLOSE_send_timeout ||
	    reason == CLOSE_internal_error || reason == CLOSE_token_expired || reason == CLOSE_memory_pressure ||
	    reason == CLOSE_disconnected;
}

void conn_leave(struct conn *c) {
	if (c->is_leaving)
		return;
	if (c->state == CONN_OPEN) {
		c->is_leaving = true;
		c->ops->on_closed(c, is_by_server(c->reason));
	} else if (c->state == CONN_ANSWER && c->user != NULL) {
		c->is_leaving = true;
		c->cs->host.on_gone(c);
	}
}

void conn_end(struct conn *c, enum close_reason reason, const char *detail) {
	if (c->state == CONN_DEAD)
		return;
	conn_set_reason(c, reason, detail);
	conn_leave(c);
	if (c->state == CONN_DEAD)
		return; /* on_closed sent something, which failed and came here first */
	conn_set_state(c, CONN_DEAD);
	conn_limits_leave(c);
	if (c->is_blocked)
		stat_sub(STAT_slow_readers, 1);
	conn_log_end(c);
	deadline_clear(&c->deadline);
	evloop_io_stop(&c->io);
	/* It does not get all in any case. What the kernel has of it could stay there for minutes, in a socket that nobody counts. */
	if ((c->is_blocked && !outq_is_empty(&c->stream.out)) || (c->reason == CLOSE_memory_pressure && !c->is_eof))
		sock_reset_at_close(c->stream.fd);
	stream_ops(&c->stream)->close(&c->stream);
	c->cs->queued_bytes -= c->stream.out.bytes;
	outq_fini(&c->stream.out);
	conns_remove(c);
}

void conn_linger(struct conn *c) {
	conn_set_state(c, CONN_LINGER);
	conn_unpause(c);
	conn_watch(c);
	/* Nothing may be waiting, and then no flush would come by. */
	if (outq_is_empty(&c->stream.out))
		conn_flush(c);
}

/* The peer's close frame is waited for, unless its frames cannot be read any more. */
static void close_open(struct conn *c, enum close_reason reason, uint16_t code, const char *detail) {
	char text[2 * CONN_DETAIL_MAX];

	if (reason == CLOSE_slow_client || reason == CLOSE_ping_timeout || reason == CLOSE_memory_pressure)
		c->is_hurried = true;
	if (reason == CLOSE_slow_client || reason == CLOSE_memory_pressure)
		conn_drop_unstarted(c);
	/* Who sends too much is not read further for the sake of its close frame. */
	if (reason == CLOSE_rate_limited)
		c->is_deaf = true;
	snprintf(text, sizeof(text), "%s%s%s", close_reason_text(reason), detail != NULL ? ": " : "",
	    detail != NULL ? detail : "");
	c->close_code = code;
	conn_ws_send_close(c, code, text);
	if (c->state != CONN_OPEN)
		return;
	if (c->is_deaf) {
		conn_linger(c);
		return;
	}
	conn_set_state(c, CONN_CLOSING);
	conn_unpause(c);
	conn_watch(c);
}

void conn_close(struct conn *c, enum close_reason reason, const char *detail) {
	conn_close_with(c, reason, close_reason_code(reason), detail);
}

void conn_close_with(struct conn *c, enum close_reason reason, uint16_t code, const char *detail) {
	if (conn_is_ending(c))
		return;
	if (c->state != CONN_OPEN || code == 0) {
		conn_end(c, reason, detail);
		return;
	}
	conn_set_reason(c, reason, detail);
	/* Before the close frame, because whoever uses it may have messages gathered for it that go out first. */
	conn_leave(c);
	if (c->state == CONN_OPEN)
		close_open(c, reason, code, detail);
}

void conn_free(struct conn *c) {
	c->cs->input_bytes -= conn_input_bytes(c);
	if (c->side != NULL) {
		buf_fini(&c->side->in);
		mem_free(c->side->request_id);
		ws_deflater_free(&c->side->deflater);
		mem_free(c->side);
	}
	if (c->was_open)
		ws_reader_fini(&c->reader);
	grant_drop(&c->grant);
	mem_free(c);
}

/* --- what others ask --- */

bool conn_is_open(const struct conn *c) {
	return c->state == CONN_OPEN && c->reason == CLOSE_NONE;
}

bool conn_is_ending(const struct conn *c) {
	return c->reason != CLOSE_NONE || c->state >= CONN_LINGER;
}

uint64_t conn_age_ms(const struct conn *c) {
	return evloop_now_ms(c->cs->loop) - c->start_ms;
}

void *conn_user(const struct conn *c) {
	return c->user;
}

void conn_set_user(struct conn *c, void *user) {
	c->user = user;
}

struct conns *conn_conns(const struct conn *c) {
	return c->cs;
}

void conn_id_text(const struct conn *c, char out[ID_TEXT_LEN + 1]) {
	id_text(&c->cs->ids, c->id, out);
}

uint64_t conn_number(const struct conn *c) {
	return c->id;
}

const struct sock_peer *conn_peer(const struct conn *c) {
	return &c->peer;
}
