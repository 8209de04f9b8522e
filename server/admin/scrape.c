/* scrape - GET /metrics: in which form */
#include "server/admin/admin_priv.h"

#include "common/base/mem.h"
#include "server/admin/metrics.h"

/* Some 100 bytes for each of a thousand lines, and for eight of each worker. */
enum { METRICS_MAX_BYTES = 1 << 20 };

/* Of "0.5", in thousandths; 1000 where it is missing or something else. */
static unsigned quality_of(struct slice q) {
	unsigned value = 0, place = 100;

	if (q.len == 0 || q.ptr[0] != '0')
		return 1000;
	for (size_t i = 2; i < q.len && place > 0; i++, place /= 10)
		value += q.ptr[i] >= '0' && q.ptr[i] <= '9' ? (unsigned)(q.ptr[i] - '0') * place : 0;
	return value;
}

/* How much the client wants this type (RFC 9110, 12.5.1), without wildcards; 0: it does not name it. */
static unsigned quality(struct slice accept, const char *type) {
	unsigned best = 0;
	struct slice range;

	while (slice_next_part(&accept, ',', &range)) {
		unsigned q = 1000;
		struct slice part;

		if (!slice_next_part(&range, ';', &part) || !slice_eq_nocase(slice_trim(part), type))
			continue;
		while (slice_next_part(&range, ';', &part)) {
			part = slice_trim(part);
			if (slice_starts_with(part, "q="))
				q = quality_of(slice_skip(part, 2));
		}
		best = q > best ? q : best;
	}
	return best;
}

static uint64_t view_of(const void *admin, const char *name) {
	return view_value(admin, name);
}

void admin_metrics(struct conn *c, const struct http_request *r, struct slice body UNUSED) {
	static const char openmetrics[] = "application/openmetrics-text";
	struct slice accept = http_header_find(r, "Accept", NULL);
	unsigned wanted = quality(accept, openmetrics);
	bool is_openmetrics = wanted > 0 && wanted >= quality(accept, "text/plain");
	const struct admin *a = admin_of(c);
	struct metrics_source source = { a->stats, admin_engine_name(a), view_of, a };
	struct buf out;

	buf_init(&out, METRICS_MAX_BYTES);
	metrics_write(&source, is_openmetrics, &out);
	if (out.failed)
		conn_refuse(c, 503, "there is no memory for the metrics just now", NULL);
	else
		conn_respond(c, &(struct http_response){ .status = 200,
				    .content_type = is_openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
								   : "text/plain; version=0.0.4; charset=utf-8",
				    .extra_headers = ADMIN_HEADERS "Vary: Accept\r\n",
				    .body = buf_slice(&out) });
	buf_fini(&out);
}
