/*
 * chat - what a client of the chat says and hears (docs/chat-protocol.md)
 *
 * Connection i is the user load-i, in room i % rooms, and has been told to be so by its login. Clients keep the offset of the last message of
 * their room in `position`; a gap is a message that is missing, a step back one that came twice.
 */
#ifndef TESTS_LOAD_CHAT_H
#define TESTS_LOAD_CHAT_H

#include "tests/load/load.h"
#include "tests/load/stamp.h"

enum { CHAT_TEXT_MAX = 4096 };

/* What is done with messages that this load has sent. */
struct chat_events {
	void (*on_login)(struct load *l, struct client *c); /* in the room, for the first time or again */
	/* sent_ns: when, or when it was due. A delivery, or an ack (or the answer that there is none). */
	void (*on_delivery)(struct load *l, struct client *c, const struct stamp *s, uint64_t sent_ns);
	void (*on_ack)(struct load *l, struct client *c, const struct stamp *s, uint64_t sent_ns);
};

bool chat_check(const struct options *o, struct errbuf *err) MUST_CHECK;
/* Sets what is called of the clients, but on_gone. NULL: nothing is to be done. */
void chat_begin(struct load *l, struct chat_events events);
void chat_fini(struct load *l);
void chat_publish(struct load *l, struct client *c, uint64_t time_ns);
/* What clients that are here lack of what was acknowledged in their rooms. */
uint64_t chat_lacking(const struct load *l);

#endif
