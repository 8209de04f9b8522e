/*
 * redis_info - what a server says of itself (INFO), as far as it matters here; pure
 */
#ifndef BROKER_REDIS_REDIS_INFO_H
#define BROKER_REDIS_REDIS_INFO_H

#include "common/base/errbuf.h"
#include "common/base/slice.h"

/* Slices are borrowed from the text. */
struct redis_info {
	struct slice version;		/* "7.0.15" */
	struct slice replication_id;
	struct slice policy;		/* what it does when memory is full */
	bool is_replica, is_loading;
	bool was_replica;		/* in this life of the process */
	bool has_log;			/* append-only file */
};

/* False: it cannot be used, and `e` says why. */
bool redis_info_read(struct slice text, struct redis_info *out, struct errbuf *e) MUST_CHECK;
bool redis_info_is_evicting(const struct redis_info *i);

#endif
