/*
 * healthcheck - asks a running server on this machine whether it is well, as container platforms want it
 */
#ifndef SERVER_MASTER_HEALTHCHECK_H
#define SERVER_MASTER_HEALTHCHECK_H

#include "common/base/errbuf.h"

/* GET /healthz on this address, within three seconds; true: answered with 200. */
bool healthcheck(const char *address, struct errbuf *e) MUST_CHECK;

#endif
