/* chat_errors - the codes of the chat's error answers */
#include "server/proto/chat_errors.h"

#include "common/svc/stats.h"

STATIC_ASSERT(STAT_chat_errors + CHAT_ERROR_COUNT - 1 <= STAT_chat_errors_last, "a counter for each code");

static const struct {
	const char *code, *sentence;
} errors[CHAT_ERROR_COUNT] = {
	[CHAT_OK] = { "", "" },
#define CHAT_ERROR(name, text, explanation) [CHAT_##name] = { #name, text },
#include "server/proto/chat_errors.tbl"
};

const char *chat_error_code(unsigned index) {
	return errors[index].code;
}

const char *chat_error_sentence(unsigned index) {
	return errors[index].sentence;
}
