/*
 * conn_priv - what the files of this folder share; nobody else includes it
 *
 * conns.c      the set: accept, end of turn, deadlines' clock, drain
 * conn.c       one connection's life: states, deadlines, leaving, the end
 * conn_proxy.c who the client is when a proxy speaks for it
 * conn_io.c    receiving, queueing, flushing, holding back who does not take its data
 * conn_http.c  requests and responses
 * conn_ws.c    frames in and out, the close handshake
 * conn_deflate.c  what is compressed on its way out
 * conn_grant.c whose it is, and how long
 * conn_limits.c  what its client may take, and the refusals
 * conn_memory.c  who is let go, and not let in, when memory is short
 * conn_walk.c  looking at all of them in steps, and what there is to see
 * conn_log.c   its lines in the log, and which of them are for the audit
 */
#ifndef SERVER_CONN_CONN_PRIV_H
#define SERVER_CONN_CONN_PRIV_H

#include "common/base/list.h"
#include "common/svc/stats.h"
#include "server/conn/conn.h"

enum conn_state {
	CONN_PROXY = 0,	/* reading the header of the PROXY protocol */
	CONN_HEAD,	/* reading a request's head */
	CONN_BODY,	/* reading its body */
	CONN_ANSWER,	/* the owner owes a response */
	CONN_OPEN,	/* WebSocket */
	CONN_CLOSING,	/* our close frame is queued, the peer's has not come */
	CONN_LINGER,	/* the last bytes are queued; then shut down, then the peer's end */
	CONN_DEAD,	/* waits for the end of the turn to be freed */
};

enum {
	CONN_RECEIVE_BYTES = 65536,	/* the shared buffer: one recv takes so much at most */
	CONN_REQUEST_KEEP_BYTES = 16384, /* of requests not yet answered: twice what a head may have */
	CONN_PAUSE_BYTES = 65536,	/* who has so much waiting is not read from ... */
	CONN_RESUME_BYTES = CONN_PAUSE_BYTES / 2, /* ... until less than this is left */
	CONN_AT_ONCE_BYTES = 4096,	/* an answer of so many bytes does not wait for the turn's end */
	CONN_TURN_BYTES = 256 << 10,	/* of messages: who sends so much at once, compressed, waits for the others */
	CONN_CLOSE_WAIT_MS = 2000,	/* for the peer's close frame, and for its end after the shutdown */
	CONN_CLOSE_FLUSH_MS = 5000,	/* without progress, for what waits before our close frame */
	CONN_TURNED_AWAY_MAX = 256,	/* refused at the door and not gone yet; further ones are not told */
	CONN_RETRY_AFTER_MAX = 40,	/* a Retry-After header */
	CONN_BYTES = 352,		/* what malloc makes of a struct conn */
	CONN_REQUEST_ID_MAX = 64,	/* others' ids are not kept */
	CONN_DETAIL_MAX = 124,		/* a close frame's reason has at most 123 bytes */
};

/* Why a client is refused, see conn_limits.c. */
enum conn_limit {
	CONN_LIMIT_NONE = 0,
	CONN_LIMIT_CONNECTIONS,
	CONN_LIMIT_CONNECTS,
	CONN_LIMIT_ADDRESS,
	CONN_LIMIT_HANDSHAKES,
	CONN_LIMIT_USER,
	CONN_LIMIT_REQUESTS,
	CONN_LIMIT_KINDS,
};

/* What a connection needs some of the time only. */
struct conn_side {
	struct buf in;			/* a proxy's header, requests, or frames, that came in but could not be used yet */
	size_t need;			/* BODY: bytes of the whole request */
	struct conn *resume_next;	/* on conns.resume: for these requests, or for bytes that its stream has left */
	bool is_resuming;		/* is it there? */
	struct ws_deflater *deflater;	/* owned; the context of what we send, since the first message compressed with it */
	char *request_id;		/* owned; of the request that was refused, for the log; NULL: it has none */
	char detail[CONN_DETAIL_MAX];	/* of the reason it ends for; for the log */
};

/* One per client, so its size counts: see the assertion in conn.c. */
struct conn {
	struct evloop_io io;
	struct stream stream;
	union {
		struct {	/* since the upgrade */
			struct ws_reader reader;
			const struct conn_ops *ops;
		};
		struct sock_peer hop;	/* before it, and if is_trusted: who connected, or spoke by the PROXY protocol; peer is its client */
	};
	struct deadline deadline;
	struct list link;		/* on conns.all or conns.dead */
	struct conns *cs;
	void *user;
	struct conn_side *side;		/* owned; NULL most of the time */
	struct auth_grant *grant;	/* held; NULL: nobody is asked who he is */
	uint64_t id : 48, close_code : 16;
	uint64_t start_ms : 48, state : 8, reason : 8;
	uint64_t bytes_in, bytes_out;
	uint32_t messages_in, messages_out;
	/* Stamps: the low 32 bits of the clock. */
	uint32_t since_ms;	/* begin of what its state waits for; while the socket takes nothing: since when */
	uint32_t beat_ms;	/* the latest byte received, or the ping after it */
	limit_id address_limit, user_limit;	/* held; 0: not counted */
	struct sock_peer peer;
	bool is_flushing : 1;	/* in conns.flush */
	bool is_blocked : 1;	/* the socket takes no more: waits until it is writable */
	bool is_paused : 1;	/* not read from until it has taken its data */
	bool is_held : 1;	/* requests in side->in wait for the same */
	bool is_pinged : 1;	/* and nothing was received since */
	bool is_hurried : 1;	/* ending, and not to be waited for */
	bool is_deaf : 1;	/* what it sends is not read as frames any more */
	bool is_shut : 1;	/* our side is shut down */
	bool is_eof : 1;	/* its side is shut down */
	bool is_head : 1;	/* the request's method is HEAD */
	bool keep_alive : 1;	/* the request allows another one */
	bool has_answered : 1;	/* a request before */
	bool is_busy : 1;	/* conn_http_input() is at work further up the stack */
	bool was_open : 1;
	bool is_trusted : 1;	/* what it says of its client is believed */
	bool is_leaving : 1;	/* on_closed or on_gone was called */
	bool is_limited : 1;	/* its client is counted, and not exempt */
	bool is_counted : 1;	/* among the connections of the host */
	bool is_warned : 1;	/* of too many bytes; until it has been silent for a while */
	bool is_turned_away : 1;	/* refused at the door; among conns.turned_away */
	bool is_unanswered : 1;	/* our close frame was */
	bool has_context : 1;	/* what it gets is compressed with a context of its own ... */
	uint8_t window_bits : 4; /* ... of so many bits, or without one; 0: it gets nothing compressed */
};

enum { CONN_MEMORY_CLASSES = 256 };

enum conn_memory_walk { WALK_NONE = 0, WALK_MEASURE, WALK_FREE };

/* See conn_memory.c. */
struct conn_memory {
	struct evloop_timer timer;	/* the next step of a walk */
	uint64_t looked_ms;		/* at what all take */
	uint64_t looked_sent;		/* bytes that this process had sent by then */
	size_t look_at_bytes;		/* of this process's own: then the next look is not waited for */
	uint64_t excess;		/* of all processes, at the latest look */
	uint64_t to_free;		/* of it, by this process ... */
	uint64_t to_free_lightest;	/* ... and by the lightest of those who go */
	bool is_main;			/* this process holds most */
	enum conn_memory_walk walk;
	struct conns_walk steps;	/* of it */
	uint64_t held;			/* by those met who are worth it ... */
	uint64_t held_by_class[CONN_MEMORY_CLASSES]; /* ... by how much they weigh */
	unsigned lightest;		/* class that is let go */
	struct memory_state state;	/* where there is no shared memory */
};

struct conns {
	struct evloop *loop;
	struct conn_settings settings;
	struct conn_host host;
	const struct http_request *request;	/* being served, of .. */
	const struct conn *requester;		/* .. this one; NULL: none */
	struct id_source ids;
	struct wheel wheel;
	struct evloop_timer tick;	/* turns the wheel; runs while there are connections */
	struct evloop_timer resume_timer;
	struct evloop_timer drain_timer;
	struct list all, dead;
	struct list walks;		/* struct conns_walk */
	struct list due;		/* deadlines that the wheel has met */
	struct conn **flush;		/* to be sent to at the end of the turn */
	size_t flush_count, flush_room;
	struct conn *resume;
	size_t count, most;		/* now; and see mem_give_back_after() */
	size_t queued_bytes;		/* over all out-queues */
	size_t turned_away;		/* refused at the door, and there until they have read why */
	uint64_t limited_ms[CONN_LIMIT_KINDS];	/* of each kind of refusal the latest; 0: none yet */
	uint64_t uncounted_ms;		/* of who was not counted for lack of room the latest; 0: none yet */
	size_t input_bytes;		/* over all: see conn_input_bytes() */
	struct conn_memory memory;
	struct buf deflated;		/* one message on its way out */
	uint64_t drain_start_ms, drain_spread_ms;
	size_t drain_total, drain_done;
	bool is_refusing, is_draining;
	bool is_ticking;
	uint8_t receive[CONN_RECEIVE_BYTES];
};

/* --- conns.c --- */
/* Requests kept in c->side wait for the next turn. */
void conns_resume_later(struct conn *c);
void conns_remove(struct conn *c);

/* --- conn.c --- */
uint32_t conn_stamp(const struct conn *c);
struct conn_side *conn_side(struct conn *c);
/* Frees the side when it holds nothing. */
void conn_side_trim(struct conn *c);
void conn_set_state(struct conn *c, enum conn_state state);
/* Sets the deadline after something changed that may bring it nearer. */
void conn_arm(struct conn *c);
void conn_on_deadline(struct conn *c);
/* The first reason stays. */
void conn_set_reason(struct conn *c, enum close_reason reason, const char *detail);
/* Tells whoever uses it that it is gone; once. */
void conn_leave(struct conn *c);
/* Ends now: what waits is not sent. Freed at the end of the turn. */
void conn_end(struct conn *c, enum close_reason reason, const char *detail);
/* Ends as soon as what waits is sent and the peer has ended, too. The reason is set. */
void conn_linger(struct conn *c);
void conn_free(struct conn *c);

/* --- conn_proxy.c --- */
/* Who it is, and whether it is believed. */
void conn_set_peer(struct conn *c, const struct sock_peer *peer);
/* Waits for the header; who is not trusted is ended. */
void conn_proxy_begin(struct conn *c);
/* Of one that is trusted: the client of this request. */
void conn_learn_client(struct conn *c, const struct http_request *r);

/* --- conn_limits.c --- */
/* Counts the client. Not NONE: nothing is counted, and in *wait_ms is when to try again. */
enum conn_limit conn_limits_enter(struct conn *c, uint64_t *wait_ms) MUST_CHECK;
/* May one that is refused at the door stay until it has read why? */
bool conn_limits_can_tell(const struct conn *c);
void conn_limits_note(struct conn *c, enum conn_limit why);
/* It is told, if it can be, and ended. */
void conn_limits_turn_away(struct conn *c, enum conn_limit why, uint64_t wait_ms);
/* What it holds is given back; at any time, as often as you like. */
void conn_limits_leave(struct conn *c);
/* False: refused. Only if is_limited, like the next two. */
bool conn_limits_request(struct conn *c) MUST_CHECK;
/* False: the message is not to be done. */
bool conn_limits_message(struct conn *c, bool is_text, struct slice data) MUST_CHECK;
void conn_limits_bytes(struct conn *c, size_t bytes);

/* --- conn_io.c --- */
void conn_on_ready(int fd, short ready, void *arg);
/* Takes r. */
void conn_queue(struct conn *c, struct rcbuf *r);
/* Shares r. */
void conn_queue_shared(struct conn *c, struct rcbuf *r);
/* Past the queue, if nothing is in it: how many bytes of these two, in order, went at once. 0: none, queue them. */
size_t conn_offer(struct conn *c, struct slice head, struct slice body);
/* The first bytes of what was queued since are those that went. */
void conn_skip_begun(struct conn *c, size_t sent);
void conn_drop_unstarted(struct conn *c);
void conn_flush(struct conn *c);
/* Watches for what its state waits for. */
void conn_watch(struct conn *c);
/* What is kept of its input, and what its stream has left, if it is to be read from. */
void conn_resume(struct conn *c);
/* What is kept is used in the next turn; the caller watches for more. */
void conn_unpause(struct conn *c);

/* --- conn_http.c --- */
/* How many bytes of input it takes now. */
size_t conn_http_room(const struct conn *c);
/* A refusal with a reason of its own. */
void conn_http_refuse(struct conn *c, enum close_reason reason, unsigned status, const char *sentence, const char *extra_headers);
/* Rounded up to seconds, and, unless the time is its own turn, spread, so that they do not all come back at once. */
void conn_retry_after(char out[CONN_RETRY_AFTER_MAX], uint64_t wait_ms, bool is_turn);
/* Changes the bytes when they turn out to be frames. */
void conn_http_input(struct conn *c, struct slice fresh);
bool conn_http_is_idle(const struct conn *c);
/* In HEAD or BODY: 503, because memory is short. */
void conn_http_refuse_memory(struct conn *c, enum close_reason reason);
void conn_http_timeout(struct conn *c);

/* --- conn_ws.c --- */
/* Leaves in *in what should wait for the next turn. */
void conn_ws_input(struct conn *c, struct slice *in);
void conn_ws_ping(struct conn *c);
/* Queues a close frame; code 0: without code and reason. */
void conn_ws_send_close(struct conn *c, uint16_t code, const char *reason);

/* --- conn_deflate.c --- */
/* Agrees on compression, if the request offers it in a way that suits. False: no. */
bool conn_deflate_agree(struct conn *c, const struct http_request *r, struct ws_deflate_terms *terms);
/* The message compressed, borrowed until the next one; false: it goes as it is. */
bool conn_deflate_message(struct conn *c, struct slice message, struct slice *deflated);
/* Plain frames for one that has a context. Returns owned: the same frames, messages compressed as far as it is worth it; NULL: no
 * memory. */
struct rcbuf *conn_deflate_frames(struct conn *c, const struct rcbuf *frames);
void conn_deflate_count(struct conns *cs);

/* --- conn_grant.c --- */
/* When its grant expires, or is to be looked at again. */
uint64_t conn_grant_due(const struct conn *c, uint64_t now);

/* --- conn_memory.c --- */
void conn_memory_init(struct conns *cs);
void conn_memory_fini(struct conns *cs);
/* False: there is nothing to be watched for now. */
bool conn_memory_tick(struct conns *cs);
/* End of a turn. */
void conn_memory_count(struct conns *cs);
bool conn_memory_is_short(struct conns *cs);

/* --- conn_walk.c --- */
/* The connection leaves its place in conns.all: whoever walks there goes on behind it. */
void conns_walks_pass(struct conn *c);

/* --- conn_log.c --- */
/* At its end, and only when it became a WebSocket or was refused, or everything is logged. */
void conn_log_end(const struct conn *c);
void conn_log_upgrade(const struct conn *c, const struct http_request *r);
/* What its request is called in other logs (X-Request-ID), if that is well-formed; else empty. */
struct slice conn_request_id(const struct http_request *r);
const char *close_reason_text(enum close_reason r);

/* Memory for what came from it by halves. */
static inline size_t conn_input_bytes(const struct conn *c) {
	size_t side = c->side != NULL ? c->side->in.cap : 0;

	return c->was_open && c->reader.partial != NULL ? side + ws_reader_kept_bytes(&c->reader) : side;
}

/* After whatever may change that; before: what it was. */
static inline void conn_input_changed(struct conn *c, size_t before) {
	c->cs->input_bytes += conn_input_bytes(c) - before;
}

static inline bool conn_is_http(const struct conn *c) {
	return c->state <= CONN_ANSWER;
}

#endif
