/*
 * auth_refusal - why a credential is not taken
 */
#ifndef SERVER_AUTH_AUTH_REFUSAL_H
#define SERVER_AUTH_AUTH_REFUSAL_H

#include "common/base/base.h"

enum auth_refusal {
	AUTH_OK = 0,
#define AUTH_REFUSAL(name, status, error, sentence) AUTH_##name,
#include "server/auth/auth_refusals.tbl"
	AUTH_REFUSAL_COUNT
};

/* index: also the one in the family of counters `auth_refused`; "" for AUTH_OK. */
const char *auth_refusal_name(unsigned index);
const char *auth_refusal_sentence(unsigned index);
unsigned auth_refusal_status(unsigned index);
/* The line of the HTTP answer that says how to do it, with its CRLF. */
const char *auth_refusal_header(unsigned index);

#endif
