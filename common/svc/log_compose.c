/* log_compose - heads, escaped values and fields of a line */
#include "common/svc/log_compose.h"

#include "common/base/utf8.h"

enum { VALUE_BYTES = 1024 };

static void add(struct log_composed *l, const char *bytes, size_t len) {
	if (l->is_full || len > LOG_LINE_BYTES - LOG_TAIL_BYTES - l->len) {
		l->is_full = true;
		return;
	}
	memcpy(l->text + l->len, bytes, len);
	l->len += len;
}

static void add_plain(struct log_composed *l, const char *text) {
	add(l, text, strlen(text));
}

/* The last `digits` of it, in base 10 or 16. No printf here: in a handler it may meet itself. */
static void add_digits(struct log_composed *l, unsigned value, unsigned base, unsigned digits) {
	char text[8];

	for (unsigned i = digits; i > 0; i--, value /= base)
		text[i - 1] = "0123456789abcdef"[value % base];
	add(l, text, digits);
}

/* Length of the character that `s` begins with; 0 when it is no UTF-8. */
static size_t character_bytes(struct slice s) {
	struct utf8_state state = { 0 };

	for (size_t i = 0; i < s.len; i++) {
		if (!utf8_feed(&state, slice_of(s.ptr + i, 1)))
			return 0;
		if (utf8_is_complete(&state))
			return i + 1;
	}
	return 0;
}

/* How many at the beginning stand for themselves. */
static size_t plain_bytes(struct slice s) {
	size_t n = 0;

	while (n < s.len && s.ptr[n] >= ' ' && s.ptr[n] < 0x7f && s.ptr[n] != '"' && s.ptr[n] != '\\')
		n++;
	return n;
}

static void add_escape(struct log_composed *l, uint8_t c, bool is_character) {
	if (c == '\n')
		add(l, "\\n", 2);
	else if (c == '\r')
		add(l, "\\r", 2);
	else if (c == '\t')
		add(l, "\\t", 2);
	else {
		add_plain(l, l->is_json ? "\\u" : "\\x");
		add_digits(l, l->is_json && !is_character ? 0xfffd : c, 16, l->is_json ? 4 : 2);
	}
}

/* The inside of a quoted value. */
static void add_quoted(struct log_composed *l, struct slice s) {
	size_t left = s.len < VALUE_BYTES ? s.len : VALUE_BYTES;
	bool is_cut = s.len > VALUE_BYTES;

	for (size_t used; left > 0; s = slice_skip(s, used), left -= used) {
		uint8_t c = s.ptr[0];

		used = plain_bytes(slice_of(s.ptr, left));
		if (used > 0) {
			add(l, (const char *)s.ptr, used);
			continue;
		}
		used = character_bytes(slice_of(s.ptr, left));
		if (used == 0) {
			used = 1;
			if (is_cut && left < 4)
				break;
			add_escape(l, c, false);
		} else if (c < 0x20 || c == 0x7f) {
			add_escape(l, c, true);
		} else if (used == 2 && c == 0xc2 && s.ptr[1] < 0xa0) {
			/* C1 controls: some terminals take U+009B for the start of a command. */
			add_escape(l, s.ptr[1], true);
		} else if (c == '"' || c == '\\') {
			add(l, (const char[]){ '\\', (char)c }, 2);
		} else {
			add(l, (const char *)s.ptr, used);
		}
	}
	if (is_cut)
		add(l, "...", 3);
}

static bool is_bare(struct slice s) {
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.ptr[i];

		if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=')
			return false;
	}
	return s.len > 0 && s.len <= VALUE_BYTES;
}

static void add_key(struct log_composed *l, const char *key) {
	add_plain(l, l->is_json ? ",\"" : " ");
	add_plain(l, key);
	add_plain(l, l->is_json ? "\":" : "=");
}

static void add_number(struct log_composed *l, uint64_t number) {
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	add(l, digits + at, sizeof(digits) - at);
}

static void add_text(struct log_composed *l, const char *key, struct slice value, bool may_be_bare) {
	add_key(l, key);
	if (!l->is_json && may_be_bare && is_bare(value)) {
		add(l, (const char *)value.ptr, value.len);
		return;
	}
	add(l, "\"", 1);
	add_quoted(l, value);
	add(l, "\"", 1);
}

static void add_field(struct log_composed *l, const struct log_field *f) {
	size_t start = l->len;

	if (l->is_full)
		return;
	switch (f->type) {
	case LOG_FIELD_SLICE:
		add_text(l, f->key, f->text, true);
		break;
	case LOG_FIELD_U64:
		add_key(l, f->key);
		add_number(l, f->number);
		break;
	case LOG_FIELD_I64:
		add_key(l, f->key);
		add_plain(l, (int64_t)f->number < 0 ? "-" : "");
		add_number(l, (int64_t)f->number < 0 ? 0 - f->number : f->number);
		break;
	}
	/* Half a field would be a lie, and bad JSON. */
	if (l->is_full)
		l->len = start;
}

/* --- the time; gmtime() takes a lock, which a crashed process may hold --- */

static bool is_leap(unsigned year) {
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_of_year(unsigned year) {
	return is_leap(year) ? 366 : 365;
}

static unsigned days_of_month(unsigned year, unsigned month) {
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

static void add_date(struct log_composed *l, uint64_t days) {
	unsigned year = 1970, month = 1;

	for (; days >= days_of_year(year); year++)
		days -= days_of_year(year);
	for (; days >= days_of_month(year, month); month++)
		days -= days_of_month(year, month);
	add_digits(l, year, 10, 4);
	add(l, "-", 1);
	add_digits(l, month, 10, 2);
	add(l, "-", 1);
	add_digits(l, (unsigned)days + 1, 10, 2);
}

/* Up to the second it is copied from the latest line of the same second. */
static void add_time(struct log_composed *l, uint64_t wall_ms) {
	static char latest[sizeof("2026-11-23T12:00:00") - 1];
	static uint64_t latest_second;
	uint64_t second = wall_ms / 1000;
	unsigned of_day = (unsigned)(second % 86400);
	size_t start = l->len;

	if (second == latest_second) {
		add(l, latest, sizeof(latest));
	} else {
		add_date(l, second / 86400);
		add(l, "T", 1);
		add_digits(l, of_day / 3600, 10, 2);
		add(l, ":", 1);
		add_digits(l, of_day / 60 % 60, 10, 2);
		add(l, ":", 1);
		add_digits(l, of_day % 60, 10, 2);
		memcpy(latest, l->text + start, sizeof(latest));
		latest_second = second;
	}
	add(l, ".", 1);
	add_digits(l, (unsigned)(wall_ms % 1000), 10, 3);
	add(l, "Z", 1);
}

static void add_head(struct log_composed *l, const struct log_head *h) {
	add_plain(l, l->is_json ? "{\"time\":\"" : "");
	add_time(l, h->wall_ms);
	add_plain(l, l->is_json ? "\",\"level\":\"" : " ");
	add_plain(l, log_level_name(h->level));
	add_plain(l, l->is_json ? "\"" : "");
	if (h->process[0] != '\0') {
		add_plain(l, l->is_json ? ",\"process\":\"" : " ");
		add_plain(l, h->process);
		add_plain(l, l->is_json ? "\"" : "");
	}
	add_key(l, "pid");
	add_number(l, (uint64_t)h->pid);
	add_text(l, "area", slice_text(log_area_name(h->area)), true);
}

static void end(struct log_composed *l) {
	const char *text = l->is_json ? "}\n" : "\n";

	if (l->is_full)
		text = l->is_json ? ",\"cut\":true}\n" : " cut=true\n";
	memcpy(l->text + l->len, text, strlen(text));
	l->len += strlen(text);
}

static void add_fields(struct log_composed *l, const struct log_field *fields) {
	for (; fields != NULL && fields->key != NULL; fields++)
		add_field(l, fields);
}

void log_compose(struct log_composed *l, bool is_json, const struct log_head *head, const char *message, const struct log_field *fields) {
	l->len = 0;
	l->is_full = false;
	l->is_json = is_json;
	add_head(l, head);
	add_text(l, "message", slice_text(message), false);
	add_fields(l, fields);
	end(l);
}

void log_compose_short(char *out, size_t size, const char *message, const struct log_field *fields) {
	struct log_composed l = { .len = 0 };
	size_t len;

	add_quoted(&l, slice_text(message));
	add_fields(&l, fields);
	len = l.len < size ? l.len : size - 1;
	/* No half characters. */
	while (len < l.len && len > 0 && ((uint8_t)l.text[len] & 0xC0) == 0x80)
		len--;
	memcpy(out, l.text, len);
	out[len] = '\0';
}
