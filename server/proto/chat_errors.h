/*
 * chat_errors - the codes of the chat's error answers
 */
#ifndef SERVER_PROTO_CHAT_ERRORS_H
#define SERVER_PROTO_CHAT_ERRORS_H

#include "common/base/base.h"

enum chat_error {
	CHAT_OK = 0,
#define CHAT_ERROR(code, sentence, explanation) CHAT_##code,
#include "server/proto/chat_errors.tbl"
	CHAT_ERROR_COUNT
};

/* The code as the client gets it. index: also the one in the family of counters `chat_errors`; "" for CHAT_OK. */
const char *chat_error_code(unsigned index);
const char *chat_error_sentence(unsigned index);

#endif
