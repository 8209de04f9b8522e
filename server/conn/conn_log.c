/* conn_log - a connection's lines in the log, and the table of reasons */
#define LOG_AREA LOG_AREA_conn
#include "common/svc/log.h"
#include "server/conn/conn_priv.h"

enum sender { WE, THEY };

static const struct {
	const char *name, *text, *class;
	uint16_t code;
	enum sender sender;
	enum log_level level;
} reasons[CLOSE_REASON_COUNT] = {
	[CLOSE_NONE] = { "none", "", "none", 0, WE, LOG_DEBUG },
#define CLOSE_REASON(name, code, sender, class, level, text) \
	[CLOSE_##name] = { #name, text, #class, code, sender, LOG_##level },
#include "server/conn/close_reasons.tbl"
};

const char *close_reason_name(enum close_reason r) {
	return reasons[r].name;
}

const char *close_reason_class(enum close_reason r) {
	return reasons[r].class;
}

const char *close_reason_text(enum close_reason r) {
	return reasons[r].text;
}

uint16_t close_reason_code(enum close_reason r) {
	return reasons[r].code;
}

/* A client that came and went without asking for anything is no event that matters. */
static enum log_level level_of_end(const struct conn *c) {
	if (!c->was_open && reasons[c->reason].sender == THEY)
		return LOG_DEBUG;
	return reasons[c->reason].level;
}

/* --- ids of requests --- */

static bool is_id(struct slice s) {
	for (size_t i = 0; i < s.len; i++) {
		uint8_t ch = s.ptr[i];
		bool is_letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');

		if (!is_letter && !(ch >= '0' && ch <= '9') && ch != '-' && ch != '_' && ch != '.')
			return false;
	}
	return s.len <= CONN_REQUEST_ID_MAX;
}

struct slice conn_request_id(const struct http_request *r) {
	struct slice id = http_header_find(r, "X-Request-ID", NULL);

	return is_id(id) ? id : SLICE_EMPTY;
}

/* Who names his requests wants to find them again. */
void conn_log_upgrade(const struct conn *c, const struct http_request *r) {
	char id[ID_TEXT_LEN + 1], peer[SOCK_TEXT_MAX];
	struct log_field fields[6] = { 0 };
	struct slice request;
	enum log_level level;
	size_t n = 0;

	if (!log_is_on(LOG_INFO))
		return;
	request = conn_request_id(r);
	level = request.len > 0 ? LOG_INFO : LOG_DEBUG;
	if (!log_is_on(level))
		return;
	conn_id_text(c, id);
	sock_peer_text(&c->peer, peer);
	fields[n++] = LF_TEXT("conn", id);
	if (request.len > 0)
		fields[n++] = LF_SLICE("request", request);
	fields[n++] = LF_TEXT("peer", peer);
	fields[n++] = LF_SLICE("path", r->path);
	if (c->grant != NULL)
		fields[n++] = LF_SLICE("user", grant_user(c->grant));
	log_emit(level, "upgraded to a WebSocket", fields);
}

/* --- the end --- */

/* What it is for the audit: NULL: nothing. */
static const char *audit_of(enum close_reason reason) {
	if (reason == CLOSE_kicked || reason == CLOSE_banned)
		return "moderation";
	if (strcmp(reasons[reason].class, "refused") == 0)
		return "refusal";
	return strcmp(reasons[reason].class, "limit") == 0 ? "limit" : NULL;
}

void conn_log_end(const struct conn *c) {
	enum log_level level = level_of_end(c);
	char id[ID_TEXT_LEN + 1], peer[SOCK_TEXT_MAX];
	const char *audit = audit_of((enum close_reason)c->reason);
	struct log_field fields[14] = { 0 };
	static struct log_kind kinds[CLOSE_REASON_COUNT];
	size_t n = 0;

	if (!log_is_on(level))
		return;
	conn_id_text(c, id);
	sock_peer_text(&c->peer, peer);
	fields[n++] = LF_TEXT("conn", id);
	if (c->side != NULL && c->side->request_id != NULL)
		fields[n++] = LF_TEXT("request", c->side->request_id);
	fields[n++] = LF_TEXT("peer", peer);
	fields[n++] = LF_TEXT("reason", reasons[c->reason].name);
	fields[n++] = LF_U("code", c->close_code);
	if (c->side != NULL && c->side->detail[0] != '\0')
		fields[n++] = LF_TEXT("detail", c->side->detail);
	if (c->is_unanswered)
		fields[n++] = LF_TEXT("then", reasons[CLOSE_close_timeout].name);
	fields[n++] = LF_U("bytes_in", c->bytes_in);
	fields[n++] = LF_U("bytes_out", c->bytes_out);
	fields[n++] = LF_U("messages_in", c->messages_in);
	fields[n++] = LF_U("messages_out", c->messages_out);
	fields[n++] = LF_U("duration_ms", evloop_now_ms(c->cs->loop) - c->start_ms);
	if (audit != NULL)
		fields[n++] = LF_TEXT("audit", audit);
	log_emit_kind(&kinds[c->reason], level, reasons[c->reason].text, fields);
}
