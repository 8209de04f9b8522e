/*
 * master - opens the listeners, starts broker, workers and admin, and keeps them running
 *
 * Does:     signals, respawn with delay, lending of listeners, the order of a shutdown, reload of what a reload may change.
 * Does not: run an event loop, or touch a byte of a client.
 */
#ifndef SERVER_MASTER_MASTER_H
#define SERVER_MASTER_MASTER_H

#include "server/master/config_file.h"

/* Runs the server to its end; the exit status. A reload changes *config. */
int master_run(struct config *config, const struct config_source *source);

#endif
