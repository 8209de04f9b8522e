/*
 * redis_reply - what Redis answers: a tree of texts, numbers and lists; nil is an empty text
 */
#ifndef BROKER_REDIS_REDIS_REPLY_H
#define BROKER_REDIS_REDIS_REPLY_H

#include "common/base/slice.h"

struct redis_reply;

/* What became of a call. */
enum redis_outcome {
	REDIS_DONE = 0,		/* the reply is there */
	REDIS_REFUSED,		/* surely not done: an error of the server (out of memory, read-only, loading ...), or never sent */
	REDIS_LOST,		/* perhaps done: sent, and the link was lost before the answer */
};

size_t redis_reply_count(const struct redis_reply *r);	/* of a list; 0 of all else */
/* NULL when there is none. */
const struct redis_reply *redis_reply_at(const struct redis_reply *r, size_t i);
/* Of a NULL reply: empty, 0. Borrowed from the reply. A text of digits is a number too. */
struct slice redis_reply_text(const struct redis_reply *r);
uint64_t redis_reply_number(const struct redis_reply *r);
/* The text of an error ("READONLY You cannot ..."); empty of all else. */
struct slice redis_reply_error(const struct redis_reply *r);

#endif
