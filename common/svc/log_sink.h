/*
 * log_sink - where log lines go: standard error, without ever waiting for its reader
 *
 * A service manager or a terminal that stops reading must not stop the server. Private to log.
 */
#ifndef COMMON_SVC_LOG_SINK_H
#define COMMON_SVC_LOG_SINK_H

#include "common/base/base.h"

/* Looks at what descriptor 2 is now. */
void log_sink_open(void);
/* All of it or nothing; false: its reader does not keep up, or is gone. len <= PIPE_BUF. */
bool log_sink_write(const char *bytes, size_t len);

#endif
