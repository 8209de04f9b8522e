/*
 * bus - the worker's end of the broker link: connection, hello, questions and their answers
 *
 * Does:      connect and reconnect; every question gets exactly one outcome, never inside bus_ask().
 * Does not:  know channels, clients or what has to be said again after a loss (that is the user's, in on_up).
 * Outcomes:  an answer is reported as it comes; all others from bus_report(), at the end of a turn.
 * Lifetime:  struct bus_request is embedded by its user, who frees it when its outcome has been reported (see
 *            bus_keep_overdue).
 */
#ifndef SERVER_HUB_BUS_H
#define SERVER_HUB_BUS_H

#include "common/base/list.h"
#include "common/ipc/ipc_msg.h"
#include "common/svc/evloop.h"
#include "common/svc/sock.h"
#include "common/svc/stats.h"

struct bus;
struct bus_request;

enum bus_outcome {
	BUS_ANSWERED = 0,
	BUS_NOT_SENT,	/* surely never reached the broker: link down or its queue full */
	BUS_TIMED_OUT,	/* perhaps done */
	BUS_LOST,	/* perhaps done: sent, and the link broke before the answer */
};

/* answer: of the kind that belongs to the question, borrowed until it returns; NULL unless answered. */
typedef void (*bus_answer_fn)(struct bus_request *r, enum bus_outcome outcome, const union ipc_any *answer);

struct bus_request {
	struct list link;	/* on one of the bus's lists until its outcome is reported */
	bus_answer_fn fn;
	uint64_t due_ms;
	uint64_t end;		/* where the question ends in the stream of sent bytes */
	uint32_t id;		/* 0: not in the table */
	uint8_t answer_type;	/* enum ipc_type */
	uint8_t outcome;
	bool is_kept;
};

struct bus_settings {
	struct sock_addr broker;
	enum process_kind role;
	uint32_t slot;
	size_t queue_bytes, message_bytes;
	uint64_t timeout_ms;
};

struct bus_ops {
	/* Hello came; bus_link() is a new number. */
	void (*on_up)(void *arg);
	/* The link was up and is gone; outcomes of its questions follow. */
	void (*on_down)(const char *why, void *arg);
	/* deliver, joined, left, engine_state or inspect. */
	void (*on_message)(enum ipc_type type, const union ipc_any *message, void *arg);
};

/* Returns owned; has begun to connect. */
struct bus *bus_new(struct evloop *loop, const struct bus_settings *settings, const struct bus_ops *ops,
    void *arg) MUST_CHECK;
/* Sends what the socket takes. Outcomes are no longer reported: their users free the requests. */
void bus_free(struct bus **b);

/* Which link this is, counted from 1; 0 while it is down. */
uint32_t bus_link(const struct bus *b);
/* Something sent more now would be refused or slowed: long-winded talkers wait for the next turn. */
bool bus_is_busy(const struct bus *b);

/* message: one that begins with `request`, which is filled in. fn is called exactly once (twice: bus_keep_overdue). */
void bus_ask(struct bus *b, struct bus_request *r, enum ipc_type type, void *message, bus_answer_fn fn);
/* For a question with an effect that must be undone if nobody waits for it any more: after BUS_TIMED_OUT the request
 * stays, and its true outcome (an answer, or BUS_LOST) is reported too. Before bus_ask(). */
static inline void bus_keep_overdue(struct bus_request *r) {
	r->is_kept = true;
}
/* The question is on its way. */
static inline bool bus_is_asked(const struct bus_request *r) {
	return r->id != 0;
}
/* Its outcome is not wanted any more. */
void bus_forget(struct bus *b, struct bus_request *r);
/* What needs no answer. False: the link is down, nothing was sent. A queue that is full even for such things cuts the
 * link, since the broker would be left with a wrong picture. */
bool bus_tell(struct bus *b, enum ipc_type type, const void *message);
/* The broker says what it may not say. */
void bus_cut(struct bus *b, const char *why);

/* End of a turn: outcomes. Then, after everything that is to be said: the bytes. */
void bus_report(struct bus *b);
void bus_flush(struct bus *b);

#endif
