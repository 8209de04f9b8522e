/*
 * fuzz_chat - what clients of the chat send, and what they and others get
 *
 * Input: lines, each a message of the client, after which all its questions are answered. Lines that begin with '!' are said to the
 * stand-in for hub and connection:
 *   !ok !repeated !taken !unavailable !uncertain !full     how questions are answered from now on
 *   !hold  !answer                                   answers wait from now on; one is given
 *   !more  !lost  !large                             answers say so from now on
 *   !member NAME INFO                                somebody is in all rooms; INFO: JSON
 *   !said KIND CHANNEL DATA                          somebody publishes; KIND: json or text
 *   !crowd                                           a hundred with long names are in all rooms
 *   !flood CHANNEL                                   as many large publications as are kept
 *   !write TEXT                                      as a JSON string, and read again
 *   !binary                                          a binary message
 *   !limited                                         the next message is over a rate
 *   !free  !warn  !over                              what is said from now on to a login and other joins about theirs
 *   !left  !cut                                      the connection ends, by the client or the server; another one comes
 *   !open PATH                                       likewise, and it comes to this path
 *   !token TOKEN                                     the connection that is there has this token of `tokens` below
 */
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

#include "common/base/bundle.h"
#include "common/base/utf8.h"
#include "common/svc/config.h"
#include "server/proto/chat_form.h"
#include "server/proto/chat_request.h"
#include "server/proto/json_read.h"
#include "server/proto/json_write.h"
#include "server/proto/proto.h"
#include "tests/fuzz/stand_in.h"
#include "tests/unit/json_compared.h"

/* Two tokens of one user with the same rights, two others. */
static const char tokens[] = "[{\"token\":\"first-of-u1-0001\",\"user\":\"u1\"},{\"token\":\"again-of-u1-0002\",\"user\":\"u1\"},"
    "{\"token\":\"other-of-u2-0003\",\"user\":\"u2\"},{\"token\":\"small-of-u1-0004\",\"user\":\"u1\",\"rights\":[],"
    "\"rooms\":[\"lob*\"],\"channels\":[]},{\"token\":\"moder-of-m1-0005\",\"user\":\"m1\",\"rights\":[\"moderate\"]}]";

static struct world {
	struct config config;
	struct auth *auth;
	struct limits *limits;
	struct proto_context context;
	struct hub hub;
	struct conn *conn;
	const char *path;
	bool is_set_up, is_holding;
} w;

static void set(const char *name, const char *value) {
	struct errbuf e;

	BUG_ON(!config_set(&w.config, slice_text(name), slice_text(value), &e));
}

static void set_up_tokens(void) {
	struct buf bundle;
	struct errbuf e;

	buf_init(&bundle, BUNDLE_MAX);
	bundle_add(&bundle, AUTH_PART_TOKENS, slice_text(tokens));
	w.auth = auth_new(&w.config, buf_slice(&bundle), &e);
	BUG_ON(w.auth == NULL);
	bundle_fini(&bundle);
}

/* Small bounds, so that they are reached. */
static void set_up(void) {
	struct errbuf e;

	if (w.is_set_up)
		return;
	w.is_set_up = true;
	config_init(&w.config);
	set("system_users", "root,admin");
	set("client_channels", "4");
	set("client_errors", "8");
	set("client_queue_bytes", "64k");
	set("room_announce_limit", "3");
	set("echo_prefix", "> ");
	set("auth", "token");
	set_up_tokens();
	w.limits = limits_new(&w.config, 1, &e);
	BUG_ON(w.limits == NULL);
	limits_sit(w.limits, 0);
}

/* --- what goes out --- */

static bool is_chat(void) {
	return strcmp(w.path, "/") == 0;
}

#define NAME(text) { (const uint8_t *)#text, sizeof(#text) - 1 }

/* Valid text, and one JSON object without a name twice; inside of what clients said there may be some. */
static void check_message(struct slice text) {
	static const struct slice names[] = { NAME(type), NAME(ref), NAME(room), NAME(channel), NAME(data), NAME(message), NAME(messages), NAME(id),
		NAME(epoch), NAME(offset), NAME(time), NAME(userId), NAME(name), NAME(users), NAME(count), NAME(code), NAME(detail),
		NAME(retry_after), NAME(recovered), NAME(more), NAME(next), NAME(resume), NAME(expires), NAME(expires_in) };
	struct json_value values[ARRAY_LEN(names)];

	BUG_ON(!utf8_is_valid(text) || (text.len > 0 && memchr(text.ptr, '\n', text.len) != NULL));
	BUG_ON(json_read(text, names, ARRAY_LEN(names), values) != JSON_KIND_OBJECT || values[0].kind != JSON_KIND_TEXT);
	json_compare(text);
}

static void on_sent(struct hub *h UNUSED, uint8_t opcode, struct slice data) {
	if (is_chat()) {
		BUG_ON(opcode != WS_TEXT);
		check_message(data);
	}
}

static void on_publication(struct hub *h UNUSED, const struct hub_publication *p) {
	for (size_t i = 0; i <= FORM_RAW; i++) {
		const struct hub_form *form = &w.context.forms[i];
		struct buf out;

		buf_init(&out, SIZE_MAX);
		if (form->publication(p, &out, form->arg) == HUB_SKIP)
			BUG_ON(out.len > 0);
		else if (i == FORM_CHAT)
			check_message(buf_slice(&out));
		buf_fini(&out);
	}
}

static void show_member(struct slice member, struct slice info, uint32_t count, bool is_join) {
	const struct hub_form *form = &w.context.forms[FORM_CHAT];
	struct hub_member_event event = { slice_text(count % 7 == 6 ? "club" : "room:lobby"), member, info, count, is_join };
	struct hub_position position = { "e2", count };
	bool count_later = false;
	struct buf out;

	buf_init(&out, SIZE_MAX);
	for (unsigned part = 0; form->member_event(&event, part, &count_later, &out, form->arg) != HUB_SKIP; part++) {
		check_message(buf_slice(&out));
		buf_reset(&out);
	}
	BUG_ON(out.len > 0);
	if (form->member_count(event.channel, count, &out, form->arg) != HUB_SKIP)
		check_message(buf_slice(&out));
	buf_reset(&out);
	if (form->reset(event.channel, &position, &out, form->arg) != HUB_SKIP)
		check_message(buf_slice(&out));
	buf_fini(&out);
}

/* --- the input --- */

static void answer_all(void) {
	while (stand_in_answer(&w.hub))
		;
}

static void open_conn(void) {
	struct http_request r = { .path = slice_text(w.path) };

	w.conn = stand_in_conn(&w.hub);
	BUG_ON(!proto_is_path(r.path));
	proto_upgrade(&w.context, w.conn, &r);
}

static void close_conn(bool by_server) {
	stand_in_close(w.conn, by_server);
	proto_turn_end(&w.context);
}

/* As it is decided before the upgrade: a user who is logged in keeps what it has. */
static void use_token(struct slice token) {
	struct auth_grant *grant;

	close_conn(false);
	if (auth_token(w.auth, token, STAND_IN_WALL_MS / 1000, &grant) == AUTH_OK) {
		open_conn();
		conn_set_grant(w.conn, grant);
	} else {
		open_conn();
	}
}

static void choose_path(struct slice path) {
	static const char *const paths[] = { "/", "/echo", "/broadcast" };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		if (slice_eq_text(path, paths[i]))
			w.path = paths[i];
	}
}

static bool is_json(struct slice s) {
	return utf8_is_valid(s) && json_read(s, NULL, 0, NULL) > JSON_KIND_TOO_DEEP;
}

static void add_member(struct slice rest) {
	struct slice member;

	if (!slice_next_part(&rest, ' ', &member) || !chat_check_user(member) || !utf8_is_valid(member) || !is_json(rest))
		return;
	stand_in_add_member(&w.hub, member, rest);
	show_member(member, rest, w.hub.member_count, w.hub.member_count % 2 == 1);
}

static void say(struct slice rest) {
	struct slice kind, channel;

	if (!slice_next_part(&rest, ' ', &kind) || !slice_next_part(&rest, ' ', &channel))
		return;
	if (channel.len == 0 || channel.len > IPC_CHANNEL_MAX || !utf8_is_valid(channel) ||
	    memchr(channel.ptr, '\0', channel.len) != NULL)
		return;
	if (slice_eq_text(kind, "text"))
		stand_in_publish(&w.hub, channel, PAYLOAD_TEXT, rest);
	else if (is_json(rest))
		stand_in_publish(&w.hub, channel, PAYLOAD_JSON, rest);
}

static void add_crowd(void) {
	uint8_t name[CHAT_USER_MAX];

	memset(name, 'x', sizeof(name));
	for (unsigned i = 0; i < 100; i++) {
		name[0] = (uint8_t)('A' + i % 26);
		stand_in_add_member(&w.hub, slice_of(name, sizeof(name)), slice_text("{}"));
	}
}

static void flood(struct slice channel) {
	uint8_t data[4000];

	memset(data, '7', sizeof(data));
	data[0] = data[sizeof(data) - 1] = '"';
	if (!chat_check_room(channel))
		return;
	for (size_t i = 0; i < STAND_IN_KEPT_MAX; i++)
		stand_in_publish(&w.hub, channel, PAYLOAD_JSON, slice_of(data, sizeof(data)));
}

static void check_writing(struct slice text) {
	struct buf out;
	json_t *value;

	if (!utf8_is_valid(text))
		return;
	buf_init(&out, SIZE_MAX);
	json_write_text(&out, text);
	value = json_loadb((const char *)out.data, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	BUG_ON(!json_is_string(value) || !slice_eq(slice_of(json_string_value(value), json_string_length(value)), text));
	json_decref(value);
	buf_fini(&out);
}

/* Nothing is promised for what is no UTF-8, but that it does no harm. */
static void ask_about_anything(struct slice s) {
	json_compare(s);
	BUG_ON(chat_check_name(s) && s.len > 4 * CHAT_NAME_MAX);
	BUG_ON(chat_check_user(s) && s.len > CHAT_USER_MAX);
	BUG_ON(chat_check_channel(s) && s.len > CHAT_CHANNEL_MAX);
	BUG_ON(chat_check_resume(s) && s.len != CHAT_RESUME_LEN);
	BUG_ON(chat_check_epoch(s) && s.len > EPOCH_TEXT_MAX);
	BUG_ON(chat_check_text(s) && s.len == 0);
}

static bool set_result(struct slice name) {
	static const char *const names[] = { "ok", "repeated", "taken", "unavailable", "uncertain", "full" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (slice_eq_text(name, names[i])) {
			w.hub.result = (enum ipc_result)i;
			return true;
		}
	}
	return false;
}

static bool set_verdict(struct slice name) {
	static const char *const names[] = { [LIMIT_OK] = "free", [LIMIT_WARN] = "warn", [LIMIT_OVER] = "over" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (slice_eq_text(name, names[i])) {
			w.hub.verdict = (enum limit_verdict)i;
			return true;
		}
	}
	return false;
}

static void run_order(struct slice rest) {
	struct slice order;

	if (!slice_next_part(&rest, ' ', &order) || set_result(order) || set_verdict(order))
		return;
	w.is_holding = w.is_holding || slice_eq_text(order, "hold");
	w.hub.is_message_limited = w.hub.is_message_limited || slice_eq_text(order, "limited");
	w.hub.more = w.hub.more || slice_eq_text(order, "more");
	w.hub.is_large = w.hub.is_large || slice_eq_text(order, "large");
	w.hub.recovered = w.hub.recovered && !slice_eq_text(order, "lost");
	if (slice_eq_text(order, "answer")) {
		(void)stand_in_answer(&w.hub);
	} else if (slice_eq_text(order, "member")) {
		add_member(rest);
	} else if (slice_eq_text(order, "said")) {
		say(rest);
	} else if (slice_eq_text(order, "crowd")) {
		add_crowd();
	} else if (slice_eq_text(order, "flood")) {
		flood(rest);
	} else if (slice_eq_text(order, "write")) {
		check_writing(rest);
	} else if (slice_eq_text(order, "binary")) {
		stand_in_receive(w.conn, false, rest);
	} else if (slice_eq_text(order, "left") || slice_eq_text(order, "cut")) {
		close_conn(slice_eq_text(order, "cut"));
		open_conn();
	} else if (slice_eq_text(order, "token")) {
		use_token(rest);
	} else if (slice_eq_text(order, "open")) {
		close_conn(false);
		choose_path(rest);
		open_conn();
	}
}

/* In memory of its own, as it is when it comes from a socket. */
static void receive(struct slice line) {
	uint8_t *copy = mem_dup(line.ptr, line.len);
	struct slice data = slice_of(copy, line.len);

	ask_about_anything(data);
	if (utf8_is_valid(data))
		stand_in_receive(w.conn, true, data);
	mem_free(copy);
}

/* Whoever is closed for too many errors comes again. */
static void run_line(struct slice line) {
	if (line.len > 0 && line.ptr[0] == '!')
		run_order(slice_skip(line, 1));
	else
		receive(line);
	if (!w.is_holding)
		answer_all();
	proto_turn_end(&w.context);
	if (!conn_is_open(w.conn))
		open_conn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct slice rest = slice_of(data, size), line;

	set_up();
	w.is_holding = false;
	w.path = "/";
	w.config.locale = (int)(size % 2);
	stand_in_init(&w.hub);
	w.hub.on_sent = on_sent;
	w.hub.on_publication = on_publication;
	proto_init(&w.context, &w.config);
	w.context.hub = &w.hub;
	w.context.auth = w.auth;
	w.context.limits = w.limits;
	open_conn();
	while (slice_next_part(&rest, '\n', &line))
		run_line(line);
	close_conn(false);
	proto_fini(&w.context);
	stand_in_fini(&w.hub);
	return 0;
}
