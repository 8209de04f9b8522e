/* metrics_page - docs/metrics.md */
#include "server/admin/metrics.h"

static const char *type_text(const struct stat_row *row) {
	if (row->kind == STAT_IS_HISTOGRAM)
		return "histogram";
	return row->type == STAT_TYPE_COUNTER ? "counter" : "gauge";
}

static const char *suffix_of(const struct stat_row *row) {
	return row->kind != STAT_IS_HISTOGRAM && row->type == STAT_TYPE_COUNTER ? "_total" : "";
}

static void add_line(struct buf *out, const struct stat_row *row, const char *labels) {
	buf_addf(out, "| `herold_%s%s` | %s | %s | %s", row->metric, suffix_of(row), type_text(row), labels, row->help);
}

/* Each name with its class, if it has one. */
static void add_names(struct buf *out, const struct stat_row *row) {
	const struct family *f = family_of((enum stat_id)row->first);

	for (unsigned i = f->begin; i < f->end; i++) {
		if (!family_has(f, i))
			continue;
		buf_addf(out, "%s`%s`", i == f->begin ? " " : ", ", f->name_at(i));
		if (f->class_at != NULL)
			buf_addf(out, " (%s)", f->class_at(i));
	}
	buf_add_text(out, ".");
}

/* Written as seconds are: 0.0025. */
static void add_bounds(struct buf *out, const struct stat_row *row) {
	unsigned count;
	const uint64_t *bounds = stat_bounds((enum stat_id)row->first, &count);

	buf_add_text(out, " Bounds:");
	for (unsigned i = 0; i < count; i++)
		buf_addf(out, "%s %g", i > 0 ? "," : "", (double)bounds[i] / 1e6);
	buf_add_text(out, ".");
}

static void add_row(struct buf *out, const struct stat_row *row, const struct stat_row *head) {
	char labels[64] = "";

	if (row->kind == STAT_IS_CASE || row->kind == STAT_IS_VIEW_CASE) {
		buf_addf(out, "| `herold_%s%s{%s=\"%s\"}` | | | %s |\n", head->metric, suffix_of(head), head->label, row->value, row->help);
		return;
	}
	if (row->label != NULL)
		snprintf(labels, sizeof(labels), "`%s`%s", row->label, row->first == STAT_closed ? ", `class`" : "");
	add_line(out, row, labels);
	if (row->kind == STAT_IS_FAMILY && !family_of((enum stat_id)row->first)->is_sparse)
		add_names(out, row);
	else if (row->kind == STAT_IS_HISTOGRAM)
		add_bounds(out, row);
	buf_add_text(out, " |\n");
}

void metrics_print_reference(struct buf *out) {
	size_t count;
	const struct stat_row *rows = stat_rows(&count), *head = NULL;

	buf_add_text(out, "# Metrics\n\n"
	    "This page is printed by `herold --metrics`. The admin listener answers `/metrics` in Prometheus' text format, or in OpenMetrics 1.0\n"
	    "to whoever asks for `application/openmetrics-text`; with an `admin_token` it wants `Authorization: Bearer`. Values are of this host,\n"
	    "summed over all its processes, also over those that have ended: counters never go backwards while the server runs. What is\n"
	    "called a gauge here is forgotten with its process. Connections, messages, bytes and answers are those of clients, without the admin\n"
	    "listener's. No label has a value that a client could choose.\n\n"
	    "| Metric | Type | Labels | Meaning |\n| --- | --- | --- | --- |\n");
	buf_add_text(out, "| `herold_build_info` | gauge | `version`, `engine` | " METRICS_BUILD_HELP " |\n");
	for (size_t i = 0; i < count; i++) {
		if (rows[i].kind != STAT_IS_CASE && rows[i].kind != STAT_IS_VIEW_CASE)
			head = &rows[i];
		add_row(out, &rows[i], head);
	}
}
