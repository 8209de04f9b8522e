/*
 * redis_check - whether a server may be used: its role and state (INFO), its scripts, its generation
 *
 * The generation stands for everything that the server has promised. It stays over a restart only when that is proven to have lost
 * nothing: at the same address, with everything written to disk before it was answered, and never a replica in this life. A promoted
 * replica has the keys, but perhaps not the newest.
 */
#ifndef BROKER_REDIS_REDIS_CHECK_H
#define BROKER_REDIS_REDIS_CHECK_H

#include "broker/redis/redis_conn.h"
#include "broker/redis/redis_info.h"
#include "broker/redis/redis_scripts.h"

struct redis_check_ops {
	/* May be used. generation: borrowed until it returns; not empty. */
	void (*passed)(void *arg, struct slice generation);
	/* May not, or does not answer as it should. */
	void (*failed)(void *arg, struct slice why);
	/* What it said of itself. */
	void (*info)(void *arg, const struct redis_info *info);
};

/* Embedded by its user. */
struct redis_check {
	struct redis_conn *conn;
	struct slice own_key;		/* P g */
	const struct redis_check_ops *ops;
	void *arg;
	bool is_running;
	bool has_scripts;		/* as far as is known */
	bool is_proven;			/* that nothing was lost, if the address is the same */
	char replication_id[64];
};

/* Everything is borrowed for life. */
void redis_check_init(struct redis_check *k, struct redis_conn *conn, struct slice own_key, const struct redis_check_ops *ops, void *arg);
/* Nothing when it is running. The connection is up; when it is lost before, nothing is said. */
void redis_check_begin(struct redis_check *k);
/* The scripts are gone, or it is another connection: they are loaded by the next. */
void redis_check_forget_scripts(struct redis_check *k);

#endif
