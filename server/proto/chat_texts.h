/*
 * chat_texts - what the server itself says in the chat, in the language of option `locale`
 */
#ifndef SERVER_PROTO_CHAT_TEXTS_H
#define SERVER_PROTO_CHAT_TEXTS_H

#include "common/svc/config.h"

/* The words behind the name of whoever came or went. Static. */
const char *chat_text_joined(int locale);
const char *chat_text_left(int locale);

#endif
