/*
 * stand_in - a hub and one connection as far as a front end sees them (server/hub/hub.h, server/conn/conn.h), without sockets, loop
 * and broker: a small broker of its own answers, in the way and at the time it is told to
 *
 * Whatever breaks the rules of those headers ends the process.
 */
#ifndef TESTS_FUZZ_STAND_IN_H
#define TESTS_FUZZ_STAND_IN_H

#include "common/base/buf.h"
#include "server/hub/hub.h"

/* What the wall clock says. */
#define STAND_IN_WALL_MS UINT64_C(1790000000000)

enum { STAND_IN_SUBS_MAX = 64, STAND_IN_KEPT_MAX = 16 };

struct stand_in_question;

struct hub {
	enum ipc_result result;		/* of answers from now on */
	bool more, recovered, is_large;	/* in answers; large: rooms have more members than are listed */
	struct buf members;		/* ipc_member records of every room */
	uint32_t member_count;
	struct {
		char *channel;
		uint8_t kind;
		uint8_t *data;
		size_t len;
	} kept[STAND_IN_KEPT_MAX];	/* what was published last */
	size_t kept_count;
	uint64_t offset;
	char *subs[STAND_IN_SUBS_MAX];	/* channels of the client */
	struct list questions;		/* without an answer */
	/* A publication that is kept or delivered. */
	void (*on_publication)(struct hub *h, const struct hub_publication *p);
	/* A message to the client. */
	void (*on_sent)(struct hub *h, uint8_t opcode, struct slice data);
	bool has_conn;			/* opened and not yet closed */
	bool is_identified;
	char *member, *note;		/* of the identity that is asked for or there */
	bool is_message_limited;	/* the next message is over a rate */
	enum limit_verdict verdict;	/* of rates that are asked for from now on */
};

void stand_in_init(struct hub *h);
void stand_in_fini(struct hub *h);
void stand_in_add_member(struct hub *h, struct slice member, struct slice info);
/* Said by others. */
void stand_in_publish(struct hub *h, struct slice channel, uint8_t kind, struct slice data);
/* Answers the oldest question; false: there is none. */
bool stand_in_answer(struct hub *h);

/* The connection: there is one. It is made by a front end's upgrade. */
struct conn *stand_in_conn(struct hub *h);
void stand_in_receive(struct conn *c, bool is_text, struct slice data);
/* The client goes, if it is there. */
void stand_in_close(struct conn *c, bool by_server);

#endif
