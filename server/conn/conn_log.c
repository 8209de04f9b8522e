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

void conn_log_end(const struct conn *c) {
	enum log_level level = level_of_end(c);
	char id[ID_TEXT_LEN + 1], peer[SOCK_TEXT_MAX];
	struct log_field fields[12] = { 0 };
	static struct log_kind kinds[CLOSE_REASON_COUNT];
	size_t n = 0;

	if (!log_is_on(level))
		return;
	conn_id_text(c, id);
	sock_peer_text(&c->peer, peer);
	fields[n++] = LF_TEXT("conn", id);
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
	log_emit_kind(&kinds[c->reason], level, reasons[c->reason].text, fields);
}
