/* chat_request - one message of a chat client, taken apart */
#include "server/proto/chat_request.h"

#include "common/base/mem.h"

enum { LIMIT_MAX = 1000 };

static const struct slice names[] = {
#define CHAT_MEMBER(name) { (const uint8_t *)#name, sizeof(#name) - 1 },
#include "server/proto/chat_members.tbl"
};

/* NULL: it is missing. */
static const struct json_value *find(const struct chat_request *r, enum chat_member member) {
	const struct json_value *value = &r->members[member];

	return value->kind == JSON_KIND_NONE || value->kind == JSON_KIND_NULL ? NULL : value;
}

/* Of a value in the text that is one. */
static struct slice text_of(const struct chat_request *r, const struct json_value *value) {
	struct slice inside = json_inside(value);
	uint8_t *out;

	if (!value->has_escapes)
		return inside;
	out = r->unescaped + (inside.ptr - r->text.ptr);
	return slice_of(out, json_unescape(value, out));
}

static enum chat_error take_ref(struct chat_request *r) {
	const struct json_value *ref = find(r, CHAT_MEMBER_ref);
	size_t len;

	if (ref == NULL)
		return CHAT_OK;
	if (!json_compact(ref, r->ref_bytes, sizeof(r->ref_bytes), &len))
		return CHAT_bad_ref;
	r->ref = slice_of(r->ref_bytes, len);
	return CHAT_OK;
}

enum chat_error chat_request_init(struct chat_request *r, struct slice text) {
	enum json_kind kind;
	enum chat_error error;

	r->text = text;
	r->type = r->ref = SLICE_EMPTY;
	r->unescaped = NULL;
	kind = json_read(text, names, ARRAY_LEN(names), r->members);
	if (kind == JSON_KIND_NONE || kind == JSON_KIND_TOO_DEEP)
		return CHAT_bad_json;
	if (kind != JSON_KIND_OBJECT)
		return CHAT_not_object;
	error = take_ref(r);
	if (error != CHAT_OK)
		return error;
	if (memchr(text.ptr, '\\', text.len) != NULL && (r->unescaped = mem_try_alloc(text.len)) == NULL)
		return CHAT_unavailable;
	return chat_request_text(r, CHAT_MEMBER_type, &r->type) ? CHAT_OK : CHAT_bad_type;
}

void chat_request_fini(struct chat_request *r) {
	mem_free(r->unescaped);
}

bool chat_request_has(const struct chat_request *r, enum chat_member member) {
	return find(r, member) != NULL;
}

bool chat_request_text(const struct chat_request *r, enum chat_member member, struct slice *out) {
	const struct json_value *value = &r->members[member];

	*out = value->kind == JSON_KIND_TEXT ? text_of(r, value) : SLICE_EMPTY;
	return value->kind == JSON_KIND_TEXT;
}

bool chat_request_raw(const struct chat_request *r, enum chat_member member, struct slice *out) {
	*out = r->members[member].raw;
	return r->members[member].kind != JSON_KIND_NONE;
}

enum chat_error chat_request_since(const struct chat_request *r, bool *has, struct hub_position *out) {
	static const struct slice parts[] = { { (const uint8_t *)"epoch", 5 }, { (const uint8_t *)"offset", 6 } };
	const struct json_value *since = find(r, CHAT_MEMBER_since);
	struct json_value values[ARRAY_LEN(parts)];
	struct slice epoch;

	*has = since != NULL;
	*out = (struct hub_position){ { 0 }, 0 };
	if (since == NULL)
		return CHAT_OK;
	if (json_read(since->raw, parts, ARRAY_LEN(parts), values) != JSON_KIND_OBJECT || values[0].kind != JSON_KIND_TEXT)
		return CHAT_bad_since;
	epoch = text_of(r, &values[0]);
	if (!chat_check_epoch(epoch) || !json_whole_number(&values[1], &out->offset))
		return CHAT_bad_since;
	memcpy(out->epoch, epoch.ptr, epoch.len);
	return CHAT_OK;
}

enum chat_error chat_request_before(const struct chat_request *r, bool *has, uint64_t *out) {
	const struct json_value *before = find(r, CHAT_MEMBER_before);

	*has = before != NULL;
	*out = 0;
	if (before == NULL)
		return CHAT_OK;
	return json_whole_number(before, out) && *out > 0 ? CHAT_OK : CHAT_bad_since;
}

enum chat_error chat_request_seconds(const struct chat_request *r, uint32_t most, uint32_t *seconds) {
	uint64_t number;

	if (!json_whole_number(&r->members[CHAT_MEMBER_seconds], &number) || number > most)
		return CHAT_bad_seconds;
	*seconds = (uint32_t)number;
	return CHAT_OK;
}

enum chat_error chat_request_limit(const struct chat_request *r, uint32_t *limit) {
	const struct json_value *value = find(r, CHAT_MEMBER_limit);
	uint64_t number;

	if (value == NULL)
		return CHAT_OK;
	if (!json_whole_number(value, &number) || number < 1 || number > LIMIT_MAX)
		return CHAT_bad_limit;
	*limit = (uint32_t)number;
	return CHAT_OK;
}
