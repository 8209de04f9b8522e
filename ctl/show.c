/* show - JSON as text for people: lines of names and values, tables; nothing in it reaches a terminal as a control character */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/visible.h"
#include "ctl/ctl.h"

enum { COLUMNS_MAX = 32, GAP = 2, TEXT_MAX = 1 << 20 };

/* --- one value --- */

void ctl_add_visible(struct buf *out, struct slice s) {
	while (s.len > 0) {
		struct slice before = s;
		uint32_t c = visible_next(&s);

		if (visible_is_control(c) || visible_is_format_control(c))
			buf_add_u8(out, '?');
		else
			buf_add(out, slice_of(before.ptr, before.len - s.len));
	}
}

static bool ends_with(const char *name, const char *end) {
	size_t len = strlen(name), end_len = strlen(end);

	return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

static void add_bytes(struct buf *out, double n) {
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	size_t unit = 0;

	for (; n >= 1024 && unit + 1 < ARRAY_LEN(units); n /= 1024)
		unit++;
	buf_addf(out, unit == 0 ? "%.0f %s" : "%.1f %s", n, units[unit]);
}

static void add_duration(struct buf *out, json_int_t ms) {
	json_int_t s = ms / 1000;

	if (ms < 1000)
		buf_addf(out, "%lld ms", (long long)ms);
	else if (s < 60)
		buf_addf(out, "%lld.%lld s", (long long)s, (long long)(ms % 1000 / 100));
	else if (s < 3600)
		buf_addf(out, "%lldm %llds", (long long)(s / 60), (long long)(s % 60));
	else if (s < 86400)
		buf_addf(out, "%lldh %lldm", (long long)(s / 3600), (long long)(s % 3600 / 60));
	else
		buf_addf(out, "%lldd %lldh", (long long)(s / 86400), (long long)(s % 86400 / 3600));
}

/* Local time; the time of day alone would be ambiguous. */
static void add_time(struct buf *out, json_int_t ms, bool is_exact) {
	time_t s = (time_t)(ms / 1000);
	char text[40];
	struct tm tm;

	if (localtime_r(&s, &tm) == NULL || strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		buf_addf(out, "%lld", (long long)ms);
	else
		buf_add_text(out, text);
	if (is_exact)
		buf_addf(out, ".%03d", (int)(ms % 1000));
}

static bool is_time(const char *name) {
	return strcmp(name, "since") == 0 || strcmp(name, "time") == 0;
}

/* The name says what a number is. */
static void add_number(struct buf *out, const char *name, json_int_t n) {
	if (ends_with(name, "bytes"))
		add_bytes(out, (double)n);
	else if (ends_with(name, "_seconds"))
		add_duration(out, n * 1000);
	else if (ends_with(name, "_ms"))
		add_duration(out, n);
	else if (is_time(name))
		add_time(out, n, strcmp(name, "time") == 0);
	else
		buf_addf(out, "%lld", (long long)n);
}

/* Returns owned. value: NULL: there is none. */
static char *cell_text(const char *name, const json_t *value) {
	struct buf out;
	char *dump, *text;

	buf_init(&out, TEXT_MAX);
	switch (value != NULL ? json_typeof(value) : JSON_NULL) {
	case JSON_NULL:
		buf_add_u8(&out, '-');
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		buf_add_text(&out, json_is_true(value) ? "yes" : "no");
		break;
	case JSON_INTEGER:
		add_number(&out, name, json_integer_value(value));
		break;
	case JSON_REAL:
		buf_addf(&out, "%.6g", json_real_value(value));
		break;
	case JSON_STRING:
		ctl_add_visible(&out, slice_of(json_string_value(value), json_string_length(value)));
		break;
	default:
		dump = json_dumps(value, JSON_COMPACT);
		if (dump != NULL)
			ctl_add_visible(&out, slice_text(dump));
		mem_free(dump);
	}
	text = slice_dup_text(buf_slice(&out));
	buf_fini(&out);
	return text;
}

/* Columns on a terminal, about. */
static size_t width_of(const char *text) {
	struct slice s = slice_text(text);
	size_t width = 0;

	for (; s.len > 0; width++)
		visible_next(&s);
	return width;
}

/* queued_bytes -> "queued": what it is measured in stands with the value. Returns owned. */
static char *heading_text(const char *name) {
	static const char *const units[] = { "_bytes", "_seconds", "_ms" };
	size_t len = strlen(name);
	char *text;

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (ends_with(name, units[i]))
			len -= strlen(units[i]);
	}
	text = slice_dup_text(slice_of(name, len));
	for (char *at = text; *at != '\0'; at++) {
		if (*at == '_')
			*at = ' ';
	}
	return text;
}

static void print_padded(const char *text, size_t width, bool is_right, bool is_last) {
	size_t own = width_of(text);
	int pad = own < width ? (int)(width - own) : 0;

	if (is_right)
		printf("%*s%s", pad, "", text);
	else
		printf("%s%*s", text, is_last ? 0 : pad, "");
	printf("%*s", is_last ? 0 : GAP, "");
}

/* --- tables --- */

struct table {
	const char *name[COLUMNS_MAX];	/* borrowed from the JSON */
	char *heading[COLUMNS_MAX];	/* owned */
	size_t width[COLUMNS_MAX];
	bool is_right[COLUMNS_MAX];
	size_t columns, rows;
	char **cell;	/* owned, [row * columns + column] */
};

static void find_columns(struct table *t, const json_t *list) {
	const json_t *row, *value;
	const char *name;
	size_t i, k;

	json_array_foreach((json_t *)(uintptr_t)list, i, row) {
		json_object_foreach((json_t *)(uintptr_t)row, name, value) {
			k = 0;
			while (k < t->columns && strcmp(t->name[k], name) != 0)
				k++;
			if (k == t->columns && k < COLUMNS_MAX) {
				t->name[t->columns++] = name;
				t->is_right[k] = json_is_number(value) && !is_time(name);
			}
		}
	}
}

static void table_init(struct table *t, const json_t *list) {
	*t = (struct table){ .rows = json_array_size(list) };
	find_columns(t, list);
	t->cell = mem_alloc((t->rows * t->columns + 1) * sizeof(t->cell[0]));
	for (size_t k = 0; k < t->columns; k++) {
		t->heading[k] = heading_text(t->name[k]);
		t->width[k] = width_of(t->heading[k]);
		for (size_t i = 0; i < t->rows; i++) {
			char *text = cell_text(t->name[k], json_object_get(json_array_get(list, i), t->name[k]));
			size_t width = width_of(text);

			t->cell[i * t->columns + k] = text;
			t->width[k] = width > t->width[k] ? width : t->width[k];
		}
	}
}

static void table_fini(struct table *t) {
	for (size_t i = 0; i < t->rows * t->columns; i++)
		mem_free(t->cell[i]);
	for (size_t k = 0; k < t->columns; k++)
		mem_free(t->heading[k]);
	mem_free(t->cell);
}

/* Of the terminal; SIZE_MAX: whoever reads is none. */
static size_t room(void) {
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint64_t n;

	if (columns != NULL && slice_to_u64(slice_text(columns), &n) && n > 0)
		return (size_t)n;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return SIZE_MAX;
}

static void print_wide(const struct table *t) {
	for (size_t k = 0; k < t->columns; k++)
		print_padded(t->heading[k], t->width[k], t->is_right[k], k + 1 == t->columns);
	printf("\n");
	for (size_t i = 0; i < t->rows; i++) {
		for (size_t k = 0; k < t->columns; k++)
			print_padded(t->cell[i * t->columns + k], t->width[k], t->is_right[k], k + 1 == t->columns);
		printf("\n");
	}
}

/* Each row as lines of names and values. */
static void print_narrow(const struct table *t) {
	size_t names = 0;

	for (size_t k = 0; k < t->columns; k++)
		names = width_of(t->heading[k]) > names ? width_of(t->heading[k]) : names;
	for (size_t i = 0; i < t->rows; i++) {
		if (i > 0)
			printf("\n");
		for (size_t k = 0; k < t->columns; k++) {
			print_padded(t->heading[k], names, false, false);
			printf("%s\n", t->cell[i * t->columns + k]);
		}
	}
}

static void show_table(const json_t *list) {
	struct table t;
	size_t width = 0;

	table_init(&t, list);
	for (size_t k = 0; k < t.columns; k++)
		width += t.width[k] + (k > 0 ? GAP : 0);
	if (width <= room())
		print_wide(&t);
	else
		print_narrow(&t);
	table_fini(&t);
}

/* --- any value --- */

static bool is_empty(const json_t *value) {
	return json_is_array(value) && json_array_size(value) == 0;
}

static bool is_table(const json_t *value) {
	return json_is_array(value) && json_array_size(value) > 0 && json_is_object(json_array_get(value, 0));
}

static void show_object(const json_t *object) {
	struct table t;
	json_t *list = json_array(), *plain = json_object(), *value;
	const char *name;

	json_object_foreach((json_t *)(uintptr_t)object, name, value) {
		if (!is_table(value) && !json_is_object(value))
			json_object_set(plain, name, value);
	}
	json_array_append_new(list, plain);
	table_init(&t, list);
	print_narrow(&t);
	table_fini(&t);
	json_object_foreach((json_t *)(uintptr_t)object, name, value) {
		if (is_table(value) || json_is_object(value))
			ctl_show_under(name, value);
	}
	json_decref(list);
}

void ctl_show(const json_t *json) {
	char *text;

	if (is_table(json)) {
		show_table(json);
	} else if (is_empty(json)) {
		printf("-\n");
	} else if (json_is_object(json)) {
		show_object(json);
	} else {
		text = cell_text("", json);
		printf("%s\n", text);
		mem_free(text);
	}
}

void ctl_show_under(const char *heading, const json_t *json) {
	struct buf text;

	buf_init(&text, TEXT_MAX);
	ctl_add_visible(&text, slice_text(heading));
	printf("\n%.*s\n", SLICE_ARGS(buf_slice(&text)));
	buf_fini(&text);
	ctl_show(json);
}
