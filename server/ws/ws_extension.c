/* ws_extension - which extension a client offers, and on what terms we take it */
#include "server/ws/ws_extension.h"

static const char header_name[] = "sec-websocket-extensions";

/* Longer values are cut: none that is allowed is longer. */
enum { VALUE_KEEP_BYTES = 8 };

/* Walks through all elements of all headers. */
struct cursor {
	const struct http_request *r;
	size_t next_header;
	struct slice rest;	/* of the present header */
	bool is_bad;		/* against the grammar; nothing more comes */
};

struct param {
	struct slice name;
	bool has_value;
	uint8_t value[VALUE_KEEP_BYTES];	/* its begin, without quotes and escapes */
	size_t value_len;			/* of it all */
};

/* --- grammar --- */

/* RFC 9110, 5.6.2 */
static bool is_token_char(uint8_t c) {
	if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return true;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static void skip_blanks(struct slice *s) {
	while (s->len > 0 && (s->ptr[0] == ' ' || s->ptr[0] == '\t'))
		*s = slice_skip(*s, 1);
}

static bool take_char(struct slice *s, uint8_t wanted) {
	if (s->len == 0 || s->ptr[0] != wanted)
		return false;
	*s = slice_skip(*s, 1);
	return true;
}

/* False: there is none. */
static bool take_token(struct slice *s, struct slice *token) {
	size_t len = 0;

	while (len < s->len && is_token_char(s->ptr[len]))
		len++;
	*token = slice_of(s->ptr, len);
	*s = slice_skip(*s, len);
	return len > 0;
}

static void keep_value_char(struct param *p, uint8_t c) {
	if (p->value_len < sizeof(p->value))
		p->value[p->value_len] = c;
	p->value_len++;
}

/* Behind the opening quote. What it holds must be a token once its escapes are undone. */
static bool take_quoted(struct slice *s, struct param *p) {
	while (s->len > 0 && s->ptr[0] != '"') {
		(void)take_char(s, '\\');
		if (s->len == 0 || !is_token_char(s->ptr[0]))
			return false;
		keep_value_char(p, s->ptr[0]);
		*s = slice_skip(*s, 1);
	}
	return take_char(s, '"') && p->value_len > 0;
}

static bool take_value(struct slice *s, struct param *p) {
	struct slice token;

	skip_blanks(s);
	if (take_char(s, '"'))
		return take_quoted(s, p);
	if (!take_token(s, &token))
		return false;
	for (size_t i = 0; i < token.len; i++)
		keep_value_char(p, token.ptr[i]);
	return true;
}

/* Behind a name or a value: blanks, then the next parameter, the next extension or the end. */
static bool is_at_border(struct slice *s) {
	skip_blanks(s);
	return s->len == 0 || s->ptr[0] == ';' || s->ptr[0] == ',';
}

/* False: the extension has no more parameters, or is_bad. */
static bool next_param(struct cursor *c, struct param *p) {
	*p = (struct param){ 0 };
	skip_blanks(&c->rest);
	if (!take_char(&c->rest, ';'))
		return false;
	skip_blanks(&c->rest);
	if (!take_token(&c->rest, &p->name)) {
		c->is_bad = true;
		return false;
	}
	skip_blanks(&c->rest);
	p->has_value = take_char(&c->rest, '=');
	if ((p->has_value && !take_value(&c->rest, p)) || !is_at_border(&c->rest)) {
		c->is_bad = true;
		return false;
	}
	return true;
}

/* Empty elements of a list are to be passed over (RFC 9110, 5.6.1.2). False: there is no more. */
static bool find_element(struct cursor *c) {
	for (;;) {
		do {
			skip_blanks(&c->rest);
		} while (take_char(&c->rest, ','));
		if (c->rest.len > 0)
			return true;
		while (c->next_header < c->r->header_count && !slice_eq_nocase(c->r->header[c->next_header].name, header_name))
			c->next_header++;
		if (c->next_header == c->r->header_count)
			return false;
		c->rest = c->r->header[c->next_header++].value;
	}
}

/* The parameters of the one before are used up. False: there is no more, or is_bad. */
static bool next_extension(struct cursor *c, struct slice *name) {
	if (c->is_bad || !find_element(c))
		return false;
	c->is_bad = !take_token(&c->rest, name) || !is_at_border(&c->rest);
	return !c->is_bad;
}

bool ws_extension_is_valid(const struct http_request *r) {
	struct cursor c = { .r = r };
	struct slice name;
	struct param p;

	while (next_extension(&c, &name)) {
		while (next_param(&c, &p))
			;
	}
	return !c.is_bad;
}

/* --- permessage-deflate --- */

struct offer {
	bool server_no_context, client_no_context;
	bool has_server_bits, has_client_bits;
	uint8_t server_bits, client_bits;
};

/* 8 to 15, decimal, without leading zeros. */
static bool read_bits(const struct param *p, uint8_t *bits) {
	uint64_t value;

	if (!p->has_value || p->value_len > sizeof(p->value) || p->value[0] == '0' ||
	    !slice_to_u64(slice_of(p->value, p->value_len), &value))
		return false;
	*bits = (uint8_t)value;
	return value >= WS_WINDOW_BITS_MIN && value <= WS_WINDOW_BITS_MAX;
}

/* False: it is there twice. */
static bool set_once(bool *flag) {
	bool was_set = *flag;

	*flag = true;
	return !was_set;
}

static bool read_param(const struct param *p, struct offer *o) {
	if (slice_eq_nocase(p->name, "server_no_context_takeover"))
		return !p->has_value && set_once(&o->server_no_context);
	if (slice_eq_nocase(p->name, "client_no_context_takeover"))
		return !p->has_value && set_once(&o->client_no_context);
	if (slice_eq_nocase(p->name, "server_max_window_bits"))
		return read_bits(p, &o->server_bits) && o->server_bits >= WS_DEFLATE_BITS_MIN && set_once(&o->has_server_bits);
	if (slice_eq_nocase(p->name, "client_max_window_bits"))
		return (!p->has_value || read_bits(p, &o->client_bits)) && set_once(&o->has_client_bits);
	return false;
}

/* False: declined. All its parameters are used up in any case. */
static bool read_offer(struct cursor *c, struct offer *o) {
	bool is_met = true;
	struct param p;

	*o = (struct offer){ .server_bits = WS_WINDOW_BITS_MAX, .client_bits = WS_WINDOW_BITS_MAX };
	while (next_param(c, &p))
		is_met = read_param(&p, o) && is_met;
	return is_met && !c->is_bad;
}

static void set_terms(const struct offer *o, const struct ws_deflate_settings *settings, struct ws_deflate_terms *terms) {
	bool is_dedicated = settings->mode == WS_DEFLATE_DEDICATED;

	*terms = (struct ws_deflate_terms){
		.server_bits = o->server_bits,
		.client_bits = o->client_bits,
		.server_keeps = is_dedicated && !o->server_no_context,
		.client_keeps = is_dedicated && !o->client_no_context,
	};
	if (is_dedicated)
		ws_deflate_fit(settings->memory, o->has_client_bits, terms);
	terms->says_server_bits = o->has_server_bits || terms->server_bits < WS_WINDOW_BITS_MAX;
	/* May stand in the answer only if the client has named it (RFC 7692, 7.1.2.2). */
	terms->says_client_bits = o->has_client_bits && terms->client_bits < WS_WINDOW_BITS_MAX;
}

bool ws_extension_agree(const struct http_request *r, const struct ws_deflate_settings *settings, struct ws_deflate_terms *terms) {
	struct cursor c = { .r = r };
	struct offer offer;
	struct slice name;
	bool is_met;

	if (settings->mode == WS_DEFLATE_OFF)
		return false;
	while (next_extension(&c, &name)) {
		is_met = read_offer(&c, &offer);
		if (is_met && slice_eq_nocase(name, "permessage-deflate")) {
			set_terms(&offer, settings, terms);
			return true;
		}
	}
	return false;
}

void ws_extension_answer(const struct ws_deflate_terms *terms, struct buf *out) {
	buf_add_text(out, "Sec-WebSocket-Extensions: permessage-deflate");
	if (!terms->server_keeps)
		buf_add_text(out, "; server_no_context_takeover");
	if (!terms->client_keeps)
		buf_add_text(out, "; client_no_context_takeover");
	if (terms->says_server_bits)
		buf_addf(out, "; server_max_window_bits=%u", terms->server_bits);
	if (terms->says_client_bits)
		buf_addf(out, "; client_max_window_bits=%u", terms->client_bits);
	buf_add_text(out, "\r\n");
}
