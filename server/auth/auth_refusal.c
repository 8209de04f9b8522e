/* auth_refusal - why a credential is not taken, in words */
#include "server/auth/auth_refusal.h"

#include "common/svc/stats.h"

STATIC_ASSERT(STAT_auth_refused + AUTH_REFUSAL_COUNT - 1 <= STAT_auth_refused_last, "a counter for each refusal");

/* RFC 6750, 3: no error where no token was given. */
#define CHALLENGE(error) \
	sizeof(error) == 1 ? "WWW-Authenticate: Bearer realm=\"herold\"\r\n" : \
			     "WWW-Authenticate: Bearer realm=\"herold\", error=\"" error "\"\r\n"

static const struct {
	const char *name, *header, *sentence;
	unsigned status;
} refusals[AUTH_REFUSAL_COUNT] = {
	[AUTH_OK] = { "", "", "", 0 },
#define AUTH_REFUSAL(name, status, error, sentence) [AUTH_##name] = { #name, CHALLENGE(error), sentence, status },
#include "server/auth/auth_refusals.tbl"
};

const char *auth_refusal_name(unsigned index) {
	return refusals[index].name;
}

const char *auth_refusal_sentence(unsigned index) {
	return refusals[index].sentence;
}

unsigned auth_refusal_status(unsigned index) {
	return refusals[index].status;
}

const char *auth_refusal_header(unsigned index) {
	return refusals[index].header;
}
