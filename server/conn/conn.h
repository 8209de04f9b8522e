/*
 * conn - one client: request, upgrade, frames in and out, deadlines, the end
 *
 * States:  PROXY (only where the PROXY protocol is expected: reading its header) -> HEAD (reading a request) -> BODY
 *          (reading its body) -> ANSWER (the owner owes a response) -> HEAD again, or OPEN (WebSocket) -> CLOSING (our
 *          close frame is out) -> LINGER (shut down, waiting for the peer's end) -> dead.
 * Does:    everything RFC 6455 asks of the server between bytes and messages; bounded buffers and times; one log line
 *          at the end.
 * Does not: know paths, protocols, channels or the broker. Those are handed over as conn_host and conn_ops.
 * Lifetime: made by conn_accept(); freed only at the end of a turn (conns_turn_end), never inside a callback.
 *          conn_close() may be called twice, from anywhere.
 */
#ifndef SERVER_CONN_CONN_H
#define SERVER_CONN_CONN_H

#include "common/base/ids.h"
#include "common/base/list.h"
#include "common/base/wheel.h"
#include "common/svc/evloop.h"
#include "common/svc/memory_watch.h"
#include "common/svc/nets.h"
#include "common/svc/sock.h"
#include "server/auth/grant.h"
#include "server/http/http_request.h"
#include "server/http/http_response.h"
#include "server/limits/limits.h"
#include "server/net/stream.h"
#include "server/ws/ws_reader.h"

struct conn;
struct conns;

enum close_reason {
	CLOSE_NONE = 0,
#define CLOSE_REASON(name, code, sender, class, level, text) CLOSE_##name,
#include "server/conn/close_reasons.tbl"
	CLOSE_REASON_COUNT
};

const char *close_reason_name(enum close_reason r);
/* Of its close frame; 0: it has none. */
uint16_t close_reason_code(enum close_reason r);
/* "none": it is no end by itself, but what follows one. */
const char *close_reason_class(enum close_reason r);

/* What a front end gives to a connection that it upgrades. Static const; every slot filled but the last. */
struct conn_ops {
	const char *name;
	/* The 101 is queued; messages may be sent. */
	void (*on_open)(struct conn *c);
	/* A whole message; text is valid UTF-8. Borrowed until it returns. */
	void (*on_message)(struct conn *c, bool is_text, struct slice data);
	/* The client is over a rate and has to be told, once: when it goes on it is closed. data: the message that is
	 * not done because of that, borrowed likewise; empty: it was no message. wait_ms: when it would be in order
	 * again. */
	void (*on_limited)(struct conn *c, bool is_text, struct slice data, uint64_t wait_ms);
	/* Once, when the connection leaves OPEN, however it ends, at once and before anything is freed: unlink
	 * everything that points at c. by_server: the server caused the cut (drain, too slow), so the client will be
	 * back. What is sent from in here still goes out, before the close frame. */
	void (*on_closed)(struct conn *c, bool by_server);
	/* Who the client has said to be, where no token says it; empty, or NULL: nobody. */
	struct slice (*user_id)(const struct conn *c);
	/* Rooms and channels that it is in; NULL: there are none. */
	uint32_t (*room_count)(const struct conn *c);
	/* The operator has something for this client alone: JSON. NULL: it cannot be told. */
	void (*on_told)(struct conn *c, struct slice json);
};

/* What a process gives to all its connections. */
struct conn_host {
	/* A head, before its body is received: false after conn_refuse(). NULL: all are welcome. */
	bool (*on_head)(struct conn *c, const struct http_request *r);
	/* A whole request with its body, borrowed until it returns. Answer with conn_respond() or conn_upgrade(), now
	 * or later (later: conn_set_user + on_gone). */
	void (*on_request)(struct conn *c, const struct http_request *r, struct slice body);
	/* A connection that owed an answer is gone; only called when its user pointer is set. */
	void (*on_gone)(struct conn *c);
	/* Largest body on this path; 0: none is accepted (413). */
	size_t (*body_max)(const struct http_request *r, void *arg);
	void *arg;
};

struct conn_settings {
	uint64_t heartbeat_ms, handshake_ms, send_timeout_ms;
	size_t client_queue_bytes;
	struct ws_deflate_settings deflate;
	const struct nets *trusted_proxies;	/* borrowed, lives longer; NULL: nobody */
	struct limits *limits;			/* likewise; NULL: nobody is limited */
	const struct memory_watch *memory;	/* borrowed, lives longer; NULL: memory has no bound here */
	uint64_t memory_bytes;	/* most that all clients of the host may take */
};

/* --- all connections of a process --- */

/* Returns owned. The wheel, the shared receive buffer and the lists live in there. */
struct conns *conns_new(struct evloop *loop, const struct conn_settings *settings,
    const struct conn_host *host) MUST_CHECK;
/* Ends all at once, without close frames. */
void conns_free(struct conns **cs);
/* End of a turn: sends what is queued (one sendmsg per connection), then frees what is closed. */
void conns_turn_end(struct conns *cs);
size_t conns_count(const struct conns *cs);
/* Closes everybody, spread evenly over spread_ms, WebSockets with `going_away`; new requests get 503 with
 * Retry-After. */
void conns_drain(struct conns *cs, uint64_t spread_ms);
/* New requests (also upgrades) get 503 with Retry-After; nobody is closed yet. */
void conns_refuse_new(struct conns *cs, bool is_refusing);
/* Why this one has to go, and in *detail further words or NULL (borrowed until the next call); CLOSE_NONE: it has
 * not. */
typedef enum close_reason (*conn_judge_fn)(const struct conn *c, void *arg, const char **detail);
/* Looks at all WebSockets. */
void conns_review(struct conns *cs, conn_judge_fn judge, void *arg);

/* A walk over all connections that are there when it begins, some at a time: others may come and go between the steps. Embedded by its
 * user. */
struct conns_walk {
	struct list in_conns;
	struct conns *conns;	/* NULL: there is none under way */
	struct list *at;	/* who is next */
	size_t left;		/* so many, and it is over */
};
/* It may end the connection. */
typedef void (*conn_visit_fn)(struct conn *c, void *arg);
void conns_walk_begin(struct conns *cs, struct conns_walk *w);
/* The next n. False: it is over, and has been ended. */
bool conns_walk_step(struct conns_walk *w, size_t n, conn_visit_fn visit, void *arg);
/* May be called twice, and on a zeroed one. Before the connections are freed. */
void conns_walk_end(struct conns_walk *w);
/* The number of the connection with this id (conn_number); false: it is not of this process. */
bool conns_parse_id(const struct conns *cs, struct slice id, uint64_t *number) MUST_CHECK;
void *conns_arg(const struct conns *cs);
struct evloop *conns_loop(const struct conns *cs);
struct id_source *conns_ids(struct conns *cs);
/* Borrowed; NULL: nobody is limited. */
struct limits *conns_limits(const struct conns *cs);

/* --- one connection --- */

/* Takes fd. */
void conn_accept(struct conns *cs, int fd, const struct sock_peer *peer);
/* The same with TLS, which lives longer. */
void conn_accept_tls(struct conns *cs, int fd, const struct sock_peer *peer, struct tls *tls);
/* The same, with (tls not NULL) or without, when the header of the PROXY protocol has to come before all else. */
void conn_accept_proxy(struct conns *cs, int fd, const struct sock_peer *peer, struct tls *tls);

/* In HEAD/ANSWER only. Counts by status. */
void conn_respond(struct conn *c, const struct http_response *response);
/* A refusal: {"status":..,"error":".."} and a newline; extra_headers as in http_response. The connection ends with
 * it. */
void conn_refuse(struct conn *c, unsigned status, const char *sentence, const char *extra_headers);
/* Answers 101 and opens. The request has passed ws_handshake_check(). `user` is the front end's and stays its own. */
void conn_upgrade(struct conn *c, const struct http_request *r, const struct conn_ops *ops, void *user,
    uint32_t max_message_bytes);

/* Takes the grant (or NULL), before or after the upgrade. A WebSocket ends with `token_expired` when its grant does. */
void conn_set_grant(struct conn *c, struct auth_grant *grant);
/* Borrowed until another is set; NULL: nobody is asked who he is. */
const struct auth_grant *conn_grant(const struct conn *c);
/* Of a WebSocket: the user id of its grant, or else what its front end knows; empty: nobody's. */
struct slice conn_user_id(const struct conn *c);
/* Since it was accepted. */
uint64_t conn_age_ms(const struct conn *c);

/* --- what its client may take (server/limits); of who is exempt, all is granted and nothing is counted --- */

/* A request for a WebSocket, or one that could have been: has the client, if only a proxy has said now who it is, too
 * many connections, and does the host take one more WebSocket at the moment? False: refused. Before anything that costs
 * more. */
bool conn_admit_upgrade(struct conn *c, enum limit_asker asker) MUST_CHECK;
/* One more connection of the user of its grant, if it has one. False: refused. */
bool conn_admit_user(struct conn *c) MUST_CHECK;
/* Who it is, where no grant says so: for conn_user_limit() alone. Once. */
void conn_hold_user(struct conn *c, struct slice user);
/* Takes `cost` of the client's rate. False: it is not to be done; with *wait_ms > 0 the client has to be told to wait
 * so long, else it was told before and the connection is being closed. */
bool conn_take(struct conn *c, enum limit_rate rate, uint64_t cost, uint64_t *wait_ms) MUST_CHECK;
/* One more room or channel of its client, and one less: before the connection has ended. False: it has as many as it
 * may. */
bool conn_hold_room(struct conn *c) MUST_CHECK;
void conn_drop_room(struct conn *c);
/* Where its user is counted; 0: nowhere. */
limit_id conn_user_limit(const struct conn *c);
/* Where its rates and rooms are taken from: its user's if a grant says who that is, else its address's. The same from
 * the upgrade to the end. */
limit_id conn_client_limit(const struct conn *c);

/* What the peer takes of what many share, since the upgrade: CONN_PLAIN, or the window bits of messages that are
 * deflated each for itself (it takes plain ones, too). */
enum { CONN_PLAIN = 0 };
uint8_t conn_wire(const struct conn *c);

/* A message to the peer: text or binary. Copies. Ignored unless OPEN. */
void conn_send(struct conn *c, uint8_t opcode, struct slice data);
/* In on_message, `data` the whole message at hand: the same, but a large one is not copied. */
void conn_send_back(struct conn *c, uint8_t opcode, struct slice data);
/* Whole frames of data, ready for the wire (see conn_wire), shared by many connections; `messages`: how many are in
 * there, for the counters. payload: NULL, or `frames` is the header of this, which is too large to be compressed.
 * Ignored unless OPEN. A client that is too far behind is closed (slow_client). */
void conn_send_frames(struct conn *c, struct rcbuf *frames, struct rcbuf *payload, uint32_t messages);
/* In on_message. Returns owned: what the whole message at hand lies in, which stays where it is; NULL: it is small, or not
 * kept in a buffer of its own. */
struct rcbuf *conn_take_message(struct conn *c) MUST_CHECK;
/* detail: further words for close frame and log, or NULL. A close frame is sent if the table has a code. */
void conn_close(struct conn *c, enum close_reason reason, const char *detail);
/* The same with another code than the table's. */
void conn_close_with(struct conn *c, enum close_reason reason, uint16_t code, const char *detail);
/* The operator's JSON for this client. False: it is no WebSocket, is being closed, or cannot be told. */
bool conn_tell(struct conn *c, struct slice json);

/* What an operator asks about it; borrowed until the end of the turn. */
struct conn_facts {
	const char *protocol;	/* of its front end; "http": it is no WebSocket yet */
	struct slice user;	/* empty: nobody's */
	uint64_t since_ms;	/* wall clock */
	size_t queued_bytes;
	uint32_t rooms;
	uint32_t stuck_ms;	/* for so long its socket has taken nothing */
};
void conn_facts(const struct conn *c, struct conn_facts *out);
size_t conn_queued_bytes(const struct conn *c);

bool conn_is_open(const struct conn *c);
/* It has a reason to end, or only its last bytes are waited for. */
bool conn_is_ending(const struct conn *c);
void *conn_user(const struct conn *c);
void conn_set_user(struct conn *c, void *user);
struct conns *conn_conns(const struct conn *c);
/* Unique on all hosts. */
void conn_id_text(const struct conn *c, char out[ID_TEXT_LEN + 1]);
/* The same of this process alone, for trace_event(). */
uint64_t conn_number(const struct conn *c);
/* The client's, as far as it is known: behind trusted proxies theirs until they have said whom they speak for. Of a
 * request's client while it is answered; later requests on the same connection may have others. */
const struct sock_peer *conn_peer(const struct conn *c);

#endif
