/* metrics - all rows of stats.tbl, summed, in the two forms that Prometheus asks for */
#include "server/admin/metrics.h"

#include <inttypes.h>

#include <stdio.h>

#include "common/base/mem.h"

enum { SCALE = 1000000 };	/* of seconds */

struct label {
	const char *name, *value;
};

struct page {
	struct buf *out;
	const struct metrics_source *source;
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

static uint64_t sum_of(const struct page *p, int id) {
	return stats_of_clients(p->sums, id);
}

/* Of all but the admin process, or of that one. */
static void write_family(struct page *p, const struct stat_row *row) {
	const struct family *f = family_of((enum stat_id)row->first);
	bool is_of_admin = row->kind == STAT_IS_BY_ADMIN;

	for (unsigned i = f->begin; i < f->end; i++) {
		int id = row->first + (int)i;
		uint64_t value = is_of_admin ? p->sums->kind[PROCESS_ADMIN][id] : sum_of(p, id);
		struct label class = { f->class_at != NULL ? "class" : NULL, f->class_at != NULL ? f->class_at(i) : NULL };

		if (family_has(f, i) && (value > 0 || !f->is_sparse))
			add_sample(p, "_total", (struct label){ row->label, f->name_at(i) }, class, STAT_UNIT_NONE, value);
	}
}

static void write_by_process(struct page *p, const struct stat_row *row) {
	static const char *const names[] = { [PROCESS_MASTER] = "master", [PROCESS_BROKER] = "broker", [PROCESS_WORKER] = "workers",
		[PROCESS_ADMIN] = "admin" };

	for (int kind = PROCESS_MASTER; kind < PROCESS_KINDS; kind++)
		add_value(p, row->label, names[kind], p->sums->kind[kind][row->first]);
}

static void write_by_worker(struct page *p, const struct stat_row *row) {
	int workers = atomic_load(&p->source->stats->host.workers);
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
	case STAT_IS_BY_ADMIN:
		write_family(p, row);
		break;
	case STAT_HEADS_CASES:
		break;
	case STAT_IS_CASE:
		add_value(p, p->head->label, row->value, sum_of(p, row->first));
		break;
	case STAT_IS_VIEW_CASE:
		add_value(p, p->head->label, row->value, p->source->view(p->source->arg, row->name));
		break;
	case STAT_IS_BY_PROCESS:
		write_by_process(p, row);
		break;
	case STAT_IS_BY_WORKER:
		write_by_worker(p, row);
		break;
	case STAT_IS_VIEW:
		add_value(p, NULL, NULL, p->source->view(p->source->arg, row->name));
		break;
	}
}

static void write_build(struct page *p) {
	static const struct stat_row row = { .type = STAT_TYPE_GAUGE, .metric = "build_info", .help = METRICS_BUILD_HELP };

	begin_metric(p, &row);
	add_sample(p, "", (struct label){ "version", HEROLD_VERSION }, (struct label){ "engine", p->source->engine }, STAT_UNIT_NONE, 1);
}

void metrics_write(const struct metrics_source *source, bool is_openmetrics, struct buf *out) {
	struct page p = { .out = out, .source = source, .sums = mem_alloc(sizeof(*p.sums)), .is_openmetrics = is_openmetrics };
	size_t count;
	const struct stat_row *rows = stat_rows(&count);

	stats_take_sums(source->stats, p.sums);
	write_build(&p);
	for (size_t i = 0; i < count; i++)
		write_row(&p, &rows[i]);
	if (is_openmetrics)
		buf_add_text(out, "# EOF\n");
	mem_free(p.sums);
}
