/* redis_reply - hiredis' replies for those who do not know hiredis */
#include "broker/redis/redis_reply.h"

#include <hiredis/hiredis.h>

static const redisReply *reply_of(const struct redis_reply *r) {
	return (const redisReply *)(const void *)r;
}

size_t redis_reply_count(const struct redis_reply *r) {
	return r != NULL && reply_of(r)->type == REDIS_REPLY_ARRAY ? reply_of(r)->elements : 0;
}

const struct redis_reply *redis_reply_at(const struct redis_reply *r, size_t i) {
	return i < redis_reply_count(r) ? (const struct redis_reply *)(const void *)reply_of(r)->element[i] : NULL;
}

struct slice redis_reply_text(const struct redis_reply *r) {
	if (r == NULL || (reply_of(r)->type != REDIS_REPLY_STRING && reply_of(r)->type != REDIS_REPLY_STATUS))
		return SLICE_EMPTY;
	return slice_of(reply_of(r)->str, reply_of(r)->len);
}

uint64_t redis_reply_number(const struct redis_reply *r) {
	uint64_t number;

	if (r != NULL && reply_of(r)->type == REDIS_REPLY_INTEGER)
		return reply_of(r)->integer > 0 ? (uint64_t)reply_of(r)->integer : 0;
	return slice_to_u64(redis_reply_text(r), &number) ? number : 0;
}

struct slice redis_reply_error(const struct redis_reply *r) {
	if (r == NULL || reply_of(r)->type != REDIS_REPLY_ERROR)
		return SLICE_EMPTY;
	return slice_of(reply_of(r)->str, reply_of(r)->len);
}
