/* chat_texts - what the server itself says in the chat */
#include "server/proto/chat_texts.h"

static const struct {
	const char *joined, *left;
} texts[] = {
	[LOCALE_EN] = { " joined the chat", " left the chat" },
	[LOCALE_DE] = { " ist dem Chat beigetreten", " hat den Chat verlassen" },
};

const char *chat_text_joined(int locale) {
	return texts[locale].joined;
}

const char *chat_text_left(int locale) {
	return texts[locale].left;
}
