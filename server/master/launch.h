/*
 * launch - from the master to a running child: fork, what the child keeps and what it must not have, exec of the broker
 */
#ifndef SERVER_MASTER_LAUNCH_H
#define SERVER_MASTER_LAUNCH_H

#include <limits.h>

#include "common/svc/config.h"
#include "common/svc/memory_watch.h"
#include "server/limits/limits.h"
#include "server/master/certificates.h"
#include "server/master/child.h"
#include "server/master/config_file.h"
#include "server/master/credentials.h"
#include "server/master/listeners.h"

/* What children get; all of it belongs to the master. */
struct launcher {
	struct config *config;
	const struct config_source *source;
	const struct admin_token *admin_token;
	struct listeners *listeners;
	struct certificates *certificates;
	struct credentials *credentials;
	struct limits *limits;
	struct stats_map *stats;
	struct memory_watch memory;
	int stats_fd;
	struct sock_addr broker;
	int broker_fd;		/* listening, inherited by the broker */
	struct child *children;
	size_t child_count;
	int master_pid;
	char broker_path[PATH_MAX];
};

/* The broker's program beside the one that runs, and the socket that it listens on. */
bool launch_prepare_broker(struct launcher *l, struct errbuf *e) MUST_CHECK;
/* Starts a child that is not running: fills pid, control_fd and stats_block. On failure nothing has changed. */
bool launch_child(struct launcher *l, struct child *c, struct errbuf *e) MUST_CHECK;
/* What the master keeps for a child that is dead, and what that one held of what all share. */
void launch_forget(struct launcher *l, struct child *c);

#endif
