/* conn_limits - what a connection's client may take: at the door, at an upgrade, and of what it sends */
#define LOG_AREA LOG_AREA_limits
#include "common/svc/log.h"
#include "common/svc/stats.h"
#include "server/conn/conn_priv.h"

enum {
	FULL_WAIT_MS = 5000,	/* until somebody has gone; nobody knows when that is */
	RECOVERED_MS = 1000,	/* so long without a refusal, and the next one is news again */
};

static const struct {
	enum stat_id counter;
	unsigned status;
	const char *sentence;
	const char *option;	/* what an operator would change */
} refusals[CONN_LIMIT_KINDS] = {
	[CONN_LIMIT_CONNECTIONS] = { STAT_limited_connections, 503, "the server has as many clients as it takes",
	    "max_connections, worker_connections" },
	[CONN_LIMIT_CONNECTS] = { STAT_limited_connects, 429, "too many new connections from this address",
	    "address_connects_per_second" },
	[CONN_LIMIT_ADDRESS] = { STAT_limited_address_connections, 429, "too many connections from this address",
	    "address_connections" },
	[CONN_LIMIT_HANDSHAKES] = { STAT_limited_handshakes, 503, "too many WebSockets are being opened at the moment",
	    "handshakes_per_second" },
	[CONN_LIMIT_USER] = { STAT_limited_user_connections, 429, "too many connections of this user", "user_connections" },
	[CONN_LIMIT_REQUESTS] = { STAT_limited_requests, 429, "too many requests from this address", "bytes_per_second" },
};

static const struct {
	enum stat_id warned, closed;
} rates[LIMIT_RATES] = {
	[LIMIT_MESSAGES] = { STAT_limited_messages, STAT_limited_messages_closed },
	[LIMIT_BYTES] = { STAT_limited_bytes, STAT_limited_bytes_closed },
	[LIMIT_JOINS] = { STAT_limited_joins, STAT_limited_joins_closed },
};

static uint64_t now_ms(const struct conn *c) {
	return evloop_now_ms(c->cs->loop);
}

/* The first of a flood? */
static bool is_news(uint64_t *latest_ms, uint64_t now) {
	bool is_first = *latest_ms == 0 || now - *latest_ms >= RECOVERED_MS;

	*latest_ms = now;
	return is_first;
}

/* One that is turned away at the door has no id yet: then it is "". */
static const char *id_of(const struct conn *c, char text[ID_TEXT_LEN + 1]) {
	text[0] = '\0';
	if (c->id != 0)
		conn_id_text(c, text);
	return text;
}

/* Better to let in who is not counted than nobody; but whoever runs this has to know. */
static void note_uncounted(struct conn *c) {
	char peer[SOCK_TEXT_MAX], id[ID_TEXT_LEN + 1];

	if (!is_news(&c->cs->uncounted_ms, now_ms(c)))
		return;
	sock_peer_text(&c->peer, peer);
	log_line(LOG_WARN, "clients are not counted, and so not limited: limit_entries is too small",
	    LF_TEXT("peer", peer), LF_TEXT("conn", id_of(c, id)));
}

/* --- who may come --- */

enum conn_limit conn_limits_enter(struct conn *c, uint64_t *wait_ms) {
	struct limits *l = c->cs->settings.limits;
	enum conn_limit why = CONN_LIMIT_NONE;

	c->is_limited = l != NULL && !limits_is_exempt(l, &c->peer);
	if (!c->is_limited)
		return CONN_LIMIT_NONE;
	*wait_ms = FULL_WAIT_MS;
	c->is_counted = limits_hold_connection(l);
	if (!c->is_counted)
		return CONN_LIMIT_CONNECTIONS;
	if (limits_knock(l, &c->peer, now_ms(c), wait_ms) != LIMIT_OK) {
		why = CONN_LIMIT_CONNECTS;
	} else if (!limits_hold_address(l, &c->peer, now_ms(c), &c->address_limit)) {
		*wait_ms = FULL_WAIT_MS;
		why = CONN_LIMIT_ADDRESS;
	} else if (c->address_limit == 0) {
		note_uncounted(c);
	}
	if (why != CONN_LIMIT_NONE)
		conn_limits_leave(c);
	return why;
}

void conn_limits_leave(struct conn *c) {
	struct limits *l = c->cs->settings.limits;

	if (c->is_turned_away) {
		c->is_turned_away = false;
		c->cs->turned_away--;
	}
	if (!c->is_limited)
		return;
	c->is_limited = false;
	limits_drop(l, c->user_limit);
	limits_drop(l, c->address_limit);
	c->user_limit = c->address_limit = 0;
	if (c->is_counted)
		limits_drop_connection(l);
	c->is_counted = false;
}

/* Each is counted; a line is written for the first of a flood. */
void conn_limits_note(struct conn *c, enum conn_limit why) {
	char peer[SOCK_TEXT_MAX], id[ID_TEXT_LEN + 1];

	stat_add(refusals[why].counter, 1);
	if (!is_news(&c->cs->limited_ms[why], now_ms(c)))
		return;
	sock_peer_text(&c->peer, peer);
	log_line(LOG_WARN, "clients are refused, a limit is reached", LF_TEXT("peer", peer),
	    LF_TEXT("why", refusals[why].sentence), LF_TEXT("option", refusals[why].option), LF_TEXT("conn", id_of(c, id)),
	    LF_TEXT("audit", "refusal"));
}

static void refuse(struct conn *c, enum conn_limit why, uint64_t wait_ms, bool is_turn) {
	char header[CONN_RETRY_AFTER_MAX];

	conn_retry_after(header, wait_ms, is_turn);
	conn_http_refuse(c, CLOSE_limit_reached, refusals[why].status, refusals[why].sentence, header);
}

bool conn_limits_can_tell(const struct conn *c) {
	return !c->stream.is_tls && c->cs->turned_away < CONN_TURNED_AWAY_MAX;
}

void conn_limits_turn_away(struct conn *c, enum conn_limit why, uint64_t wait_ms) {
	conn_limits_note(c, why);
	if (!conn_limits_can_tell(c)) {
		sock_reset_at_close(c->stream.fd);
		conn_end(c, CLOSE_limit_reached, refusals[why].sentence);
		return;
	}
	c->is_turned_away = true;
	c->cs->turned_away++;
	refuse(c, why, wait_ms, false);
}

/* --- requests and upgrades --- */

/* The address's also where a token says who it is: that is asked later, and costs more. */
bool conn_limits_request(struct conn *c) {
	struct limits *l = c->cs->settings.limits;
	uint64_t wait_ms;

	if (limits_take(l, c->address_limit, LIMIT_BYTES, LIMIT_REQUEST_BYTES, now_ms(c), &wait_ms) == LIMIT_OK)
		return true;
	conn_limits_note(c, CONN_LIMIT_REQUESTS);
	refuse(c, CONN_LIMIT_REQUESTS, wait_ms, false);
	return false;
}

bool conn_admit_upgrade(struct conn *c, enum limit_asker asker) {
	uint64_t wait_ms;
	enum conn_limit why = c->is_trusted ? conn_limits_enter(c, &wait_ms) : CONN_LIMIT_NONE;

	if (why == CONN_LIMIT_NONE && c->is_limited && limits_take_handshake(c->cs->settings.limits, asker, now_ms(c), &wait_ms) != LIMIT_OK)
		why = CONN_LIMIT_HANDSHAKES;
	if (why == CONN_LIMIT_NONE)
		return true;
	conn_limits_note(c, why);
	refuse(c, why, wait_ms, why == CONN_LIMIT_HANDSHAKES && asker != LIMIT_ASKER_DEAF);
	return false;
}

/* False: the user has as many connections as he may. */
static bool hold_user(struct conn *c, struct slice user) {
	bool is_held = limits_hold_user(c->cs->settings.limits, user, now_ms(c), &c->user_limit);

	if (is_held && c->user_limit == 0)
		note_uncounted(c);
	return is_held;
}

bool conn_admit_user(struct conn *c) {
	if (!c->is_limited || c->grant == NULL || hold_user(c, grant_user(c->grant)))
		return true;
	conn_limits_note(c, CONN_LIMIT_USER);
	refuse(c, CONN_LIMIT_USER, FULL_WAIT_MS, false);
	return false;
}

void conn_hold_user(struct conn *c, struct slice user) {
	if (c->is_limited && c->user_limit == 0 && !hold_user(c, user))
		c->user_limit = 0;
}

limit_id conn_user_limit(const struct conn *c) {
	return c->user_limit;
}

limit_id conn_client_limit(const struct conn *c) {
	return c->grant != NULL && c->user_limit != 0 ? c->user_limit : c->address_limit;
}

/* --- rates and rooms --- */

static enum limit_verdict take(struct conn *c, enum limit_rate rate, uint64_t cost, uint64_t *wait_ms) {
	return limits_take(c->cs->settings.limits, conn_client_limit(c), rate, cost, now_ms(c), wait_ms);
}

static void close_limited(struct conn *c, enum limit_rate rate) {
	stat_add(rates[rate].closed, 1);
	conn_close(c, CLOSE_rate_limited, NULL);
}

bool conn_take(struct conn *c, enum limit_rate rate, uint64_t cost, uint64_t *wait_ms) {
	enum limit_verdict verdict = c->is_limited ? take(c, rate, cost, wait_ms) : LIMIT_OK;

	if (verdict == LIMIT_WARN) {
		stat_add(rates[rate].warned, 1);
	} else if (verdict == LIMIT_OVER) {
		*wait_ms = 0;
		close_limited(c, rate);
	}
	return verdict == LIMIT_OK;
}

bool conn_hold_room(struct conn *c) {
	return !c->is_limited || limits_hold_room(c->cs->settings.limits, conn_client_limit(c));
}

void conn_drop_room(struct conn *c) {
	if (c->is_limited)
		limits_drop_room(c->cs->settings.limits, conn_client_limit(c));
}

bool conn_limits_message(struct conn *c, bool is_text, struct slice data) {
	uint64_t wait_ms;

	if (conn_take(c, LIMIT_MESSAGES, 1, &wait_ms))
		return true;
	if (wait_ms > 0)
		c->ops->on_limited(c, is_text, data, wait_ms);
	return false;
}

/* They are here in any case, and were not taken. So who sends a few between many, which would be in order, is not warned again and again. */
void conn_limits_bytes(struct conn *c, size_t bytes) {
	uint64_t wait_ms;
	enum limit_verdict verdict = take(c, LIMIT_BYTES, bytes, &wait_ms);

	if (verdict == LIMIT_OK)
		return;
	if (verdict == LIMIT_OVER || c->is_warned) {
		close_limited(c, LIMIT_BYTES);
		return;
	}
	c->is_warned = true;
	stat_add(STAT_limited_bytes, 1);
	c->ops->on_limited(c, false, SLICE_EMPTY, wait_ms);
}
