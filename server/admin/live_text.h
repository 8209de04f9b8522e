/* live_text - the messages to the status page (docs/status-page.md) */
#ifndef SERVER_ADMIN_LIVE_TEXT_H
#define SERVER_ADMIN_LIVE_TEXT_H

#include "server/admin/admin.h"
#include "server/admin/live_ask.h"
#include "server/admin/live_series.h"

/* Everything that is known of the newest second. is_point: it was the end of a point of the long series, which comes along. */
void live_text_now(const struct admin *a, const struct live_series *s, const struct live_ask *asked, bool is_point, struct buf *out);
/* The long series. */
void live_text_history(const struct live_series *s, struct buf *out);

#endif
