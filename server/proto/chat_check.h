/*
 * chat_check - what the chat accepts as names, rooms, channels and texts. Pure; the input is hostile.
 */
#ifndef SERVER_PROTO_CHAT_CHECK_H
#define SERVER_PROTO_CHAT_CHECK_H

#include "common/base/slice.h"

enum {
	CHAT_USER_MAX = 128,		/* bytes */
	CHAT_NAME_MAX = 64,		/* characters */
	CHAT_ROOM_MAX = 64,		/* characters, all ASCII */
	CHAT_CHANNEL_MAX = 128,		/* bytes */
	CHAT_TEXT_MAX = 4096,		/* characters */
	CHAT_REF_MAX = 256,		/* bytes of compact JSON */
	CHAT_RESUME_LEN = 22,		/* 16 bytes in base64url */
};

/* 1 to 128 bytes, not only blanks, nothing invisible. */
bool chat_check_user(struct slice s);
/* 1 to 64 characters, likewise. */
bool chat_check_name(struct slice s);
/* 1 to 64 of A-Z a-z 0-9 - _ . : */
bool chat_check_room(struct slice s);
/* 1 to 128 bytes, no blanks, nothing invisible; does not begin with '$' or "room:". */
bool chat_check_channel(struct slice s);
/* 1 to 4096 characters, not only blanks; of the control characters only tab and newline. */
bool chat_check_text(struct slice s);
/* 22 characters of base64url. */
bool chat_check_resume(struct slice s);
/* Position of a channel: the epoch as text and the offset; nothing is said about whether it ever existed. */
bool chat_check_epoch(struct slice s);

#endif
