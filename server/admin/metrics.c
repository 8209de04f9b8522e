/* metrics - /metrics: all rows of stats.tbl, summed, in the two forms that Prometheus asks for */
#include "server/admin/metrics.h"

#include <inttypes.h>

#include "common/base/mem.h"
#include "server/admin/admin_priv.h"

/* Some 100 bytes for each of a thousand lines, and for eight of each worker. */
enum { METRICS_MAX_BYTES = 1 << 20, SCALE = 1000000 };

struct label {
	const char *name, *value;
};

struct page {
	struct buf *out;
	const struct admin *admin;
	struct stats_sums *sums;
	const struct stat_row *head;	/* of the metric that is being written */
	bool is_openmetrics;
};

/* --- lines --- */

/* Both forms escape the same, but that quotation marks in a help text are OpenMetrics'. */
static void add_escaped(struct buf *out, const char *text, bool with_quotes) {
	for (; *text != '\0'; text++) {
		if (*text == '\\' || (*text == '"' && with_quotes))
			buf_add_u8(out, '\\');
		if (*text == '\n')
			buf_add_text(out, "\\n");
		else
			buf_add_u8(out, (uint8_t)*text);
	}
}

static bool is_counter(const struct stat_row *head) {
	return head->kind != STAT_IS_HISTOGRAM && head->type == STAT_TYPE_COUNTER;
}

/* The name that HELP and TYPE have; OpenMetrics has counters' suffix at their values only. */
static void add_comment(struct page *p, const char *what) {
	buf_addf(p->out, "# %s herold_%s%s ", what, p->head->metric, is_counter(p->head) && !p->is_openmetrics ? "_total" : "");
}

static void begin_metric(struct page *p, const struct stat_row *head) {
	static const char *const units[] = { [STAT_UNIT_BYTES] = "bytes", [STAT_UNIT_SECONDS] = "seconds" };

	p->head = head;
	add_comment(p, "HELP");
	add_escaped(p->out, head->help, p->is_openmetrics);
	buf_add_u8(p->out, '\n');
	add_comment(p, "TYPE");
	buf_addf(p->out, "%s\n", head->kind == STAT_IS_HISTOGRAM ? "histogram" : is_counter(head) ? "counter" : "gauge");
	if (p->is_openmetrics && head->unit != STAT_UNIT_NONE) {
		add_comment(p, "UNIT");
		buf_addf(p->out, "%s\n", units[head->unit]);
	}
}

/* Seconds are counted in millionths. */
static void add_number(struct buf *out, enum stat_unit unit, uint64_t value) {
	if (unit == STAT_UNIT_SECONDS)
		buf_addf(out, "%" PRIu64 ".%06" PRIu64, value / SCALE, value % SCALE);
	else
		buf_addf(out, "%" PRIu64, value);
}

/* Up to two labels; one without a name is none. */
static void add_sample(struct page *p, const char *suffix, struct label first, struct label second, enum stat_unit unit, uint64_t value) {
	buf_addf(p->out, "herold_%s%s", p->head->metric, suffix);
	if (first.name != NULL) {
		buf_addf(p->out, "{%s=\"", first.name);
		add_escaped(p->out, first.value, true);
		if (second.name != NULL) {
			buf_addf(p->out, "\",%s=\"", second.name);
			add_escaped(p->out, second.value, true);
		}
		buf_add_text(p->out, "\"}");
	}
	buf_add_u8(p->out, ' ');
	add_number(p->out, unit, value);
	buf_add_u8(p->out, '\n');
}

#define NO_LABEL ((struct label){ NULL, NULL })

static void add_value(struct page *p, const char *label, const char *name, uint64_t value) {
	add_sample(p, is_counter(p->head) ? "_total" : "", (struct label){ label, name }, NO_LABEL, p->head->unit, value);
}

/* --- metrics --- */

/* Those who look at the server are no clients of it. */
static uint64_t sum_of(const struct page *p, int id) {
	bool is_of_clients = id >= STAT_connections && id <= STAT_inflate_bytes_out;

	return p->sums->all[id] - (is_of_clients ? p->sums->kind[PROCESS_ADMIN][id] : 0);
}

static void write_family(struct page *p, const struct stat_row *row) {
	const struct family *f = family_of((enum stat_id)row->first);

	for (unsigned i = f->begin; i < f->end; i++) {
		struct label class = { f->class_at != NULL ? "class" : NULL, f->class_at != NULL ? f->class_at(i) : NULL };

		if (family_has(f, i))
			add_sample(p, "_total", (struct label){ row->label, f->name_at(i) }, class, STAT_UNIT_NONE, sum_of(p, row->first + (int)i));
	}
}

static void write_by_process(struct page *p, const struct stat_row *row) {
	static const char *const names[] = { [PROCESS_MASTER] = "master", [PROCESS_BROKER] = "broker", [PROCESS_WORKER] = "workers",
		[PROCESS_ADMIN] = "admin" };

	for (int kind = PROCESS_MASTER; kind < PROCESS_KINDS; kind++)
		add_value(p, row->label, names[kind], p->sums->kind[kind][row->first]);
}

static void write_by_worker(struct page *p, const struct stat_row *row) {
	int workers = atomic_load(&p->admin->stats->host.workers);
	char slot[12];

	for (int i = 0; i < workers && i < STATS_SLOTS; i++) {
		snprintf(slot, sizeof(slot), "%d", i);
		add_value(p, row->label, slot, p->sums->worker[i][row->first]);
	}
}

/* A bound as a number: without zeros at its end, but OpenMetrics' have one behind the point. */
static void bound_text(const struct page *p, uint64_t bound, char *out, size_t size) {
	int len = snprintf(out, size, "%" PRIu64 ".%06" PRIu64, bound / SCALE, bound % SCALE);

	while (out[len - 1] == '0' && (!p->is_openmetrics || out[len - 2] != '.'))
		out[--len] = '\0';
	if (out[len - 1] == '.')
		out[len - 1] = '\0';
}

static void write_histogram(struct page *p, const struct stat_row *row) {
	unsigned count;
	const uint64_t *bounds = stat_bounds((enum stat_id)row->first, &count);
	uint64_t below = 0;
	char text[32];

	for (unsigned i = 0; i <= count; i++) {
		if (i < count)
			bound_text(p, bounds[i], text, sizeof(text));
		else
			snprintf(text, sizeof(text), "+Inf");
		below += sum_of(p, row->first + (int)i);
		add_sample(p, "_bucket", (struct label){ row->label, text }, NO_LABEL, STAT_UNIT_NONE, below);
	}
	add_sample(p, "_sum", NO_LABEL, NO_LABEL, STAT_UNIT_SECONDS, sum_of(p, row->last));
	add_sample(p, "_count", NO_LABEL, NO_LABEL, STAT_UNIT_NONE, below);
}

static void write_row(struct page *p, const struct stat_row *row) {
	if (row->kind != STAT_IS_CASE && row->kind != STAT_IS_VIEW_CASE)
		begin_metric(p, row);
	switch (row->kind) {
	case STAT_ALONE:
		add_value(p, NULL, NULL, sum_of(p, row->first));
		break;
	case STAT_IS_HISTOGRAM:
		write_histogram(p, row);
		break;
	case STAT_IS_FAMILY:
		write_family(p, row);
		break;
	case STAT_HEADS_CASES:
		break;
	case STAT_IS_CASE:
		add_value(p, p->head->label, row->value, sum_of(p, row->first));
		break;
	case STAT_IS_VIEW_CASE:
		add_value(p, p->head->label, row->value, view_value(p->admin, row->name));
		break;
	case STAT_IS_BY_PROCESS:
		write_by_process(p, row);
		break;
	case STAT_IS_BY_WORKER:
		write_by_worker(p, row);
		break;
	case STAT_IS_VIEW:
		add_value(p, NULL, NULL, view_value(p->admin, row->name));
		break;
	}
}

static void write_build(struct page *p) {
	static const struct stat_row row = { .type = STAT_TYPE_GAUGE, .metric = "build_info", .help = METRICS_BUILD_HELP };

	begin_metric(p, &row);
	add_sample(p, "", (struct label){ "version", HEROLD_VERSION }, (struct label){ "engine", admin_engine_name(p->admin) }, STAT_UNIT_NONE, 1);
}

void metrics_write(const struct admin *a, bool is_openmetrics, struct buf *out) {
	struct page p = { .out = out, .admin = a, .sums = mem_alloc(sizeof(*p.sums)), .is_openmetrics = is_openmetrics };
	size_t count;
	const struct stat_row *rows = stat_rows(&count);

	stats_take_sums(a->stats, p.sums);
	write_build(&p);
	for (size_t i = 0; i < count; i++)
		write_row(&p, &rows[i]);
	if (is_openmetrics)
		buf_add_text(out, "# EOF\n");
	mem_free(p.sums);
}

/* --- the request --- */

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

void admin_metrics(struct conn *c, const struct http_request *r, struct slice body UNUSED) {
	static const char openmetrics[] = "application/openmetrics-text";
	struct slice accept = http_header_find(r, "Accept", NULL);
	unsigned wanted = quality(accept, openmetrics);
	bool is_openmetrics = wanted > 0 && wanted >= quality(accept, "text/plain");
	struct buf out;

	buf_init(&out, METRICS_MAX_BYTES);
	metrics_write(admin_of(c), is_openmetrics, &out);
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
