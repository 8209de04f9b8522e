/* log - one line per event, composed in fixed memory and written with one system call */
#include "common/svc/log.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "common/base/utf8.h"
#include "common/svc/log_sink.h"

/* Pipes keep writes of up to PIPE_BUF bytes whole; longer lines of several processes would mix. */
enum { LINE_BYTES = PIPE_BUF, TAIL_BYTES = 32, VALUE_BYTES = 1024 };

static struct {
	_Atomic int own_level, own_format;
	const _Atomic int *level, *format;	/* enum log_level, enum log_format */
	char process[32];
	pid_t pid;	/* 0: not yet asked for */
	uint64_t lost;	/* lines that nobody took since the last that was taken */
} log_state = { .own_level = LOG_INFO, .level = &log_state.own_level, .format = &log_state.own_format };

static const char *const level_names[] = { "error", "warn", "info", "debug" };

struct line {
	char text[LINE_BYTES];
	size_t len;		/* len <= LINE_BYTES - TAIL_BYTES */
	bool is_full;		/* nothing more is added */
	bool is_json;
};

void log_setup(enum log_level level, enum log_format format, const char *process) {
	log_state.own_level = (int)level;
	log_state.own_format = (int)format;
	log_state.level = &log_state.own_level;
	log_state.format = &log_state.own_format;
	snprintf(log_state.process, sizeof(log_state.process), "%s", process);
	log_state.pid = getpid();
	log_sink_open();
}

void log_set_level(enum log_level level) {
	log_state.own_level = (int)level;
}

void log_follow(const _Atomic int *level, const _Atomic int *format) {
	log_state.level = level;
	log_state.format = format;
}

bool log_is_on(enum log_level level) {
	return (int)level <= atomic_load_explicit(log_state.level, memory_order_relaxed);
}

static void line_add(struct line *l, const char *bytes, size_t len) {
	if (l->is_full || len > LINE_BYTES - TAIL_BYTES - l->len) {
		l->is_full = true;
		return;
	}
	memcpy(l->text + l->len, bytes, len);
	l->len += len;
}

PRINTF_LIKE(2, 3)
static void line_addf(struct line *l, const char *format, ...) {
	char text[128];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	line_add(l, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
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

static void line_add_escape(struct line *l, uint8_t c, bool is_character) {
	if (c == '\n')
		line_add(l, "\\n", 2);
	else if (c == '\r')
		line_add(l, "\\r", 2);
	else if (c == '\t')
		line_add(l, "\\t", 2);
	else if (!l->is_json)
		line_addf(l, "\\x%02x", c);
	else
		line_addf(l, "\\u%04x", is_character ? c : 0xfffd);
}

/* The inside of a quoted value. */
static void line_add_quoted(struct line *l, struct slice s) {
	size_t left = s.len < VALUE_BYTES ? s.len : VALUE_BYTES;
	bool is_cut = s.len > VALUE_BYTES;

	for (size_t used; left > 0; s = slice_skip(s, used), left -= used) {
		uint8_t c = s.ptr[0];

		used = plain_bytes(slice_of(s.ptr, left));
		if (used > 0) {
			line_add(l, (const char *)s.ptr, used);
			continue;
		}
		used = character_bytes(slice_of(s.ptr, left));
		if (used == 0) {
			used = 1;
			if (is_cut && left < 4)
				break;
			line_add_escape(l, c, false);
		} else if (c < 0x20 || c == 0x7f) {
			line_add_escape(l, c, true);
		} else if (used == 2 && c == 0xc2 && s.ptr[1] < 0xa0) {
			/* C1 controls: some terminals take U+009B for the start of a command. */
			line_add_escape(l, s.ptr[1], true);
		} else if (c == '"' || c == '\\') {
			line_add(l, (const char[]){ '\\', (char)c }, 2);
		} else {
			line_add(l, (const char *)s.ptr, used);
		}
	}
	if (is_cut)
		line_add(l, "...", 3);
}

static bool is_bare(struct slice s) {
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.ptr[i];

		if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=')
			return false;
	}
	return s.len > 0 && s.len <= VALUE_BYTES;
}

static void line_add_plain(struct line *l, const char *text) {
	line_add(l, text, strlen(text));
}

static void line_add_key(struct line *l, const char *key) {
	line_add_plain(l, l->is_json ? ",\"" : " ");
	line_add_plain(l, key);
	line_add_plain(l, l->is_json ? "\":" : "=");
}

static void line_add_number(struct line *l, uint64_t number) {
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	line_add(l, digits + at, sizeof(digits) - at);
}

static void line_add_text(struct line *l, const char *key, struct slice value, bool may_be_bare) {
	line_add_key(l, key);
	if (!l->is_json && may_be_bare && is_bare(value)) {
		line_add(l, (const char *)value.ptr, value.len);
		return;
	}
	line_add(l, "\"", 1);
	line_add_quoted(l, value);
	line_add(l, "\"", 1);
}

static void line_add_field(struct line *l, const struct log_field *f) {
	size_t start = l->len;

	if (l->is_full)
		return;
	switch (f->type) {
	case LOG_FIELD_SLICE:
		line_add_text(l, f->key, f->text, true);
		break;
	case LOG_FIELD_U64:
		line_add_key(l, f->key);
		line_add_number(l, f->number);
		break;
	case LOG_FIELD_I64:
		line_add_key(l, f->key);
		line_add_plain(l, (int64_t)f->number < 0 ? "-" : "");
		line_add_number(l, (int64_t)f->number < 0 ? 0 - f->number : f->number);
		break;
	}
	/* Half a field would be a lie, and bad JSON. */
	if (l->is_full)
		l->len = start;
}

/* Date and time, as they were written for the latest second. */
static const char *second_text(time_t second) {
	static char text[32];
	static time_t written;
	struct tm utc;

	if (second != written) {
		gmtime_r(&second, &utc);
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
		written = second;
	}
	return text;
}

static void line_add_head(struct line *l, enum log_level level) {
	struct timespec now;
	unsigned ms;

	clock_gettime(CLOCK_REALTIME, &now);
	ms = (unsigned)(now.tv_nsec / 1000000);
	line_add_plain(l, l->is_json ? "{\"time\":\"" : "");
	line_add_plain(l, second_text(now.tv_sec));
	line_add(l, (const char[]){ '.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z' }, 5);
	line_add_plain(l, l->is_json ? "\",\"level\":\"" : " ");
	line_add_plain(l, level_names[level]);
	line_add_plain(l, l->is_json ? "\"" : "");
	if (log_state.process[0] != '\0') {
		line_add_plain(l, l->is_json ? ",\"process\":\"" : " ");
		line_add_plain(l, log_state.process);
		line_add_plain(l, l->is_json ? "\"" : "");
	}
	if (log_state.pid == 0)
		log_state.pid = getpid();
	line_add_key(l, "pid");
	line_add_number(l, (uint64_t)log_state.pid);
}

static void line_end(struct line *l) {
	const char *end = l->is_json ? "}\n" : "\n";

	if (l->is_full)
		end = l->is_json ? ",\"cut\":true}\n" : " cut=true\n";
	memcpy(l->text + l->len, end, strlen(end));
	l->len += strlen(end);
}

static bool write_line(enum log_level level, const char *message, const struct log_field *fields) {
	struct line l;

	l.len = 0;
	l.is_full = false;
	l.is_json = atomic_load_explicit(log_state.format, memory_order_relaxed) == LOG_FORMAT_JSON;
	line_add_head(&l, level);
	line_add_text(&l, "message", slice_text(message), false);
	for (; fields != NULL && fields->key != NULL; fields++)
		line_add_field(&l, fields);
	line_end(&l);
	return log_sink_write(l.text, l.len);
}

void log_emit(enum log_level level, const char *message, const struct log_field *fields) {
	int saved = errno;

	if (!log_is_on(level))
		return;
	if (log_state.lost > 0 &&
	    write_line(LOG_WARN, "log lines were lost, their reader did not keep up",
		(const struct log_field[]){ LF_U("lines", log_state.lost), { 0 } }))
		log_state.lost = 0;
	if (log_state.lost > 0 || !write_line(level, message, fields))
		log_state.lost++;
	errno = saved;
}
