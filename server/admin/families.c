/* families - the names of counters that stats.tbl has by an index only */
#include "server/admin/metrics.h"

#include <stdio.h>

#include "server/auth/auth_refusal.h"
#include "server/conn/conn.h"
#include "server/http/http_response.h"
#include "server/proto/chat_errors.h"

static const char *close_name(unsigned index) {
	return close_reason_name((enum close_reason)index);
}

static const char *close_class(unsigned index) {
	return close_reason_class((enum close_reason)index);
}

static const char *status_name(unsigned index) {
	static char name[12];
	unsigned status = http_status_at(index);

	/* The row of those that the table has not. */
	if (status == 0)
		return "other";
	snprintf(name, sizeof(name), "%u", status);
	return name;
}

const struct family *family_of(enum stat_id first) {
	static struct family families[] = {
		{ STAT_closed, 1, CLOSE_REASON_COUNT, close_name, close_class, false },
		{ STAT_http_status, 0, 0, status_name, NULL, true },
		{ STAT_chat_errors, 1, CHAT_ERROR_COUNT, chat_error_code, NULL, false },
		{ STAT_auth_refused, 1, AUTH_REFUSAL_COUNT, auth_refusal_name, NULL, false },
	};
	size_t i = 0;

	families[1].end = http_status_count();
	while (families[i].id != first)
		i++;
	return &families[i];
}

bool family_has(const struct family *f, unsigned index) {
	return f->class_at == NULL || strcmp(f->class_at(index), "none") != 0;
}
