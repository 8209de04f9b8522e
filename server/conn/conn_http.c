/* conn_http - requests and responses: heads, bodies, keep-alive, refusals, and the upgrade that ends them */
#include <inttypes.h>
#include <stdio.h>

#include "common/base/digest.h"
#include "common/svc/stats.h"
#include "common/svc/trace.h"
#include "server/conn/conn_priv.h"
#include "server/ws/ws_handshake.h"

enum { RESPONSE_HEAD_BYTES = 4096, RETRY_SPREAD_S = 5, ANEW_MS = 1000 };

static size_t kept_bytes(const struct conn *c) {
	return c->side != NULL ? c->side->in.len : 0;
}

bool conn_http_is_idle(const struct conn *c) {
	return c->state == CONN_PROXY || (c->state == CONN_HEAD && kept_bytes(c) == 0);
}

size_t conn_http_room(const struct conn *c) {
	size_t kept = kept_bytes(c), most = c->state == CONN_BODY ? c->side->need : CONN_REQUEST_KEEP_BYTES;

	return kept < most ? most - kept : 0;
}

/* --- responses --- */

/* False: there was no memory for it, and the connection is ended. */
static bool answer(struct conn *c, const struct http_response *response) {
	size_t extra = response->extra_headers != NULL ? strlen(response->extra_headers) : 0;
	struct rcbuf *copy = NULL;
	struct buf b;

	buf_init(&b, RESPONSE_HEAD_BYTES + extra + response->body.len);
	http_response_write(response, &b);
	if (!b.failed)
		copy = rcbuf_try_new(b.len);
	if (copy != NULL)
		rcbuf_add(copy, buf_slice(&b));
	buf_fini(&b);
	/* It owes nothing any more, so nobody need be told when it goes. */
	c->user = NULL;
	if (copy == NULL) {
		conn_end(c, CLOSE_internal_error, "no memory for a response");
		return false;
	}
	stat_add(STAT_http_requests, 1);
	stat_add_in(STAT_http_status, http_status_index(response->status));
	c->has_answered = true;
	conn_queue(c, copy);
	return true;
}

void conn_respond(struct conn *c, const struct http_response *response) {
	struct http_response full = *response;

	if (!conn_is_http(c))
		return;
	full.is_head = c->is_head;
	full.close = full.close || !c->keep_alive || c->cs->is_refusing || c->state != CONN_ANSWER;
	if (!answer(c, &full))
		return;
	if (full.close) {
		conn_linger(c);
		return;
	}
	conn_set_state(c, CONN_HEAD);
	/* A proxy's connection carries requests of one client after the other. */
	if (c->is_trusted) {
		conn_limits_leave(c);
		c->peer = c->hop;
	}
	if (!c->is_busy && kept_bytes(c) > 0)
		conns_resume_later(c);
}

/* Sentences are ours, but one of them may have a quotation mark. */
static void add_json_text(struct buf *b, const char *text) {
	buf_add_u8(b, '"');
	for (; *text != '\0'; text++) {
		unsigned char ch = (unsigned char)*text;

		if (ch == '"' || ch == '\\')
			buf_addf(b, "\\%c", ch);
		else if (ch < 0x20)
			buf_addf(b, "\\u%04x", ch);
		else
			buf_add_u8(b, ch);
	}
	buf_add_u8(b, '"');
}

/* A refusal is nobody's page, and for this request alone. */
#define REFUSAL_HEADERS \
	"Cache-Control: no-store\r\nContent-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n" \
	"Referrer-Policy: no-referrer\r\n"

/* Of the request at hand, if it is this connection's. */
static void note_request_id(struct conn *c) {
	struct slice id = c->cs->requester == c ? conn_request_id(c->cs->request) : SLICE_EMPTY;

	if (id.len > 0 && conn_side(c)->request_id == NULL)
		c->side->request_id = slice_dup_text(id);
}

void conn_http_refuse(struct conn *c, enum close_reason reason, unsigned status, const char *sentence, const char *extra_headers) {
	struct http_response response = { .status = status,
		.content_type = "application/json",
		.is_head = c->is_head,
		.close = true };
	char detail[CONN_DETAIL_MAX];
	struct buf body, headers;

	if (!conn_is_http(c))
		return;
	buf_init(&body, RESPONSE_HEAD_BYTES);
	buf_addf(&body, "{\"status\":%u,\"error\":", status);
	add_json_text(&body, sentence);
	buf_add_text(&body, "}\n");
	buf_init(&headers, RESPONSE_HEAD_BYTES);
	buf_add_text(&headers, REFUSAL_HEADERS);
	buf_add_text(&headers, extra_headers != NULL ? extra_headers : "");
	buf_add_u8(&headers, '\0');
	response.body = buf_slice(&body);
	response.extra_headers = headers.failed ? extra_headers : (const char *)headers.data;
	snprintf(detail, sizeof(detail), "%u %s", status, sentence);
	trace_event(refuse, c->id, status, reason);
	conn_set_reason(c, reason, detail);
	note_request_id(c);
	if (answer(c, &response))
		conn_linger(c);
	buf_fini(&headers);
	buf_fini(&body);
}

void conn_refuse(struct conn *c, unsigned status, const char *sentence, const char *extra_headers) {
	conn_http_refuse(c, CLOSE_http_refused, status, sentence, extra_headers);
}

void conn_retry_after(char out[CONN_RETRY_AFTER_MAX], uint64_t wait_ms, bool is_turn) {
	uint8_t dice = 0;

	if (!is_turn)
		random_bytes(&dice, sizeof(dice));
	snprintf(out, CONN_RETRY_AFTER_MAX, "Retry-After: %" PRIu64 "\r\n", (wait_ms + 999) / 1000 + dice % RETRY_SPREAD_S);
}

static void refuse_for_now(struct conn *c, enum close_reason reason, const char *sentence) {
	char header[CONN_RETRY_AFTER_MAX];

	conn_retry_after(header, ANEW_MS, false);
	conn_http_refuse(c, reason, 503, sentence, header);
}

static void refuse_drain(struct conn *c) {
	stat_add(STAT_connections_refused_drain, 1);
	refuse_for_now(c, CLOSE_http_refused, "The server is going away; try again.");
}

void conn_http_refuse_memory(struct conn *c, enum close_reason reason) {
	refuse_for_now(c, reason, "The server is short of memory; try again.");
}

void conn_http_timeout(struct conn *c) {
	if (!conn_http_is_idle(c)) {
		stat_add(STAT_requests_timed_out, 1);
		conn_http_refuse(c, CLOSE_handshake_timeout, 408, "The request was not complete in time.", NULL);
	} else if (c->has_answered) {
		conn_end(c, CLOSE_http_idle, NULL);
	} else {
		conn_end(c, c->stream.is_handshaking ? CLOSE_tls_handshake_timeout : CLOSE_handshake_timeout, NULL);
	}
}

/* --- the upgrade --- */

void conn_upgrade(struct conn *c, const struct http_request *r, const struct conn_ops *ops, void *user,
    uint32_t max_message_bytes) {
	struct ws_deflate_terms deflate;
	struct buf b;
	bool is_deflate;

	BUG_ON(c->state != CONN_ANSWER && c->state < CONN_LINGER);
	if (c->state != CONN_ANSWER)
		return;
	buf_init(&b, RESPONSE_HEAD_BYTES);
	ws_reader_init(&c->reader, max_message_bytes);
	is_deflate = conn_deflate_agree(c, r, &deflate);
	ws_handshake_accept(r, ws_handshake_protocol(r), is_deflate ? &deflate : NULL, &b);
	conn_queue(c, rcbuf_copy(buf_slice(&b)));
	buf_fini(&b);
	c->ops = ops;
	c->user = user;
	c->was_open = true;
	stat_add(STAT_upgrades, 1);
	trace_event(upgrade, c->id, conn_wire(c), max_message_bytes);
	stat_add_in(STAT_http_status, http_status_index(101));
	conn_log_upgrade(c, r);
	conn_set_state(c, CONN_OPEN);
	ops->on_open(c);
	if (!c->is_busy && kept_bytes(c) > 0)
		conns_resume_later(c);
	/* The drain went past this one while it was waiting for its answer. */
	if (c->cs->is_draining)
		conn_close(c, CLOSE_going_away, NULL);
}

/* --- requests --- */

/* False: refused. */
static bool admit(struct conn *c, const struct http_request *r) {
	size_t expects;

	c->is_head = r->method == HTTP_HEAD;
	c->keep_alive = r->keep_alive && r->minor_version >= 1;
	if (c->cs->is_refusing) {
		refuse_drain(c);
		return false;
	}
	if (c->is_limited && !conn_limits_request(c))
		return false;
	/* Who is here already comes first. */
	if (conn_memory_is_short(c->cs) && ws_handshake_is_wanted(r)) {
		stat_add(STAT_upgrades_refused_memory, 1);
		conn_http_refuse_memory(c, CLOSE_limit_reached);
		return false;
	}
	(void)http_header_find(r, "Expect", &expects);
	if (expects > 0 && !http_header_has_token(r, "Expect", "100-continue")) {
		stat_add(STAT_requests_refused, 1);
		conn_refuse(c, 417, "No expectation but 100-continue can be met.", NULL);
		return false;
	}
	if (c->cs->host.on_head != NULL && !c->cs->host.on_head(c, r))
		return false;
	if (r->content_length > 0 && r->content_length > c->cs->host.body_max(r, c->cs->host.arg)) {
		stat_add(STAT_requests_refused, 1);
		conn_refuse(c, 413, "The body is larger than what is accepted here.", NULL);
		return false;
	}
	return true;
}

static void await_body(struct conn *c, const struct http_request *r, size_t need) {
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct conn_side *side = conn_side(c);

	side->need = need;
	if (side->in.max < need)
		side->in.max = need;
	if (r->minor_version >= 1 && http_header_has_token(r, "Expect", "100-continue"))
		conn_queue(c, rcbuf_copy(slice_of(go_on, sizeof(go_on) - 1)));
	conn_set_state(c, CONN_BODY);
}

/* The same as below, of a whole head. */
static bool serve(struct conn *c, const struct http_request *r, size_t head_len, struct slice *rest) {
	struct slice body;

	if (c->state == CONN_HEAD) {
		trace_event(request, c->id, r->method, head_len);
		if (c->is_trusted)
			conn_learn_client(c, r);
		if (!admit(c, r))
			return false;
		if (rest->len - head_len < r->content_length) {
			await_body(c, r, head_len + (size_t)r->content_length);
			return false;
		}
	}
	body = slice_of(rest->ptr + head_len, (size_t)r->content_length);
	*rest = slice_skip(*rest, head_len + body.len);
	conn_set_state(c, CONN_ANSWER);
	c->cs->host.on_request(c, r, body);
	return true;
}

/* Uses one request from the front of *rest. False: it is not complete, or it was refused. */
static bool use_request(struct conn *c, struct slice *rest) {
	struct conns *cs = c->cs;
	struct http_parse_error error;
	struct http_request r;
	size_t head_len;
	bool is_used;

	if (c->state == CONN_BODY && rest->len < c->side->need)
		return false;
	switch (http_request_parse(*rest, &r, &head_len, &error)) {
	case HTTP_PARSE_MORE:
		return false;
	case HTTP_PARSE_BAD:
		c->is_head = false;
		stat_add(STAT_requests_refused, 1);
		conn_refuse(c, error.status, error.sentence, NULL);
		return false;
	case HTTP_PARSE_DONE:
		break;
	}
	cs->request = &r;
	cs->requester = c;
	is_used = serve(c, &r, head_len, rest);
	cs->request = NULL;
	cs->requester = NULL;
	return is_used;
}

/* Advances *rest past what was used. */
static void use(struct conn *c, struct slice *rest) {
	bool was_http = conn_is_http(c);

	while (rest->len > 0 && (c->state == CONN_HEAD || c->state == CONN_BODY)) {
		/* A few bytes ask for many: who does not take its answers is not given more. */
		if (c->stream.out.bytes >= CONN_PAUSE_BYTES) {
			c->is_held = true;
			return;
		}
		if (!use_request(c, rest))
			break;
	}
	if (conn_is_http(c))
		return;
	/* What came with the handshake was not known to be a WebSocket's. */
	if (was_http && rest->len > 0 && c->state == CONN_OPEN && c->is_limited)
		conn_limits_bytes(c, rest->len);
	if (rest->len > 0 && (c->state == CONN_OPEN || c->state == CONN_CLOSING))
		conn_ws_input(c, rest);
	else
		rest->len = 0;
}

void conn_http_input(struct conn *c, struct slice fresh) {
	bool is_kept = kept_bytes(c) > 0;
	struct slice rest = fresh;

	/* The time for a further request begins with its first byte. */
	if (c->state == CONN_HEAD && !is_kept && c->has_answered && !c->is_blocked)
		c->since_ms = conn_stamp(c);
	if (is_kept) {
		buf_add(&c->side->in, fresh);
		rest = buf_slice(&c->side->in);
	}
	if (!is_kept || !c->side->in.failed) {
		c->is_busy = true;
		use(c, &rest);
		c->is_busy = false;
	}
	if (is_kept && !c->side->in.failed)
		buf_drop_front(&c->side->in, c->side->in.len - rest.len);
	else if (rest.len > 0)
		buf_add(&conn_side(c)->in, rest);
	if (c->side != NULL && c->side->in.failed)
		conn_end(c, CLOSE_internal_error, "no memory for a request");
	else if (!conn_is_http(c) && kept_bytes(c) > 0)
		conns_resume_later(c);
	conn_side_trim(c);
	conn_watch(c);
}
