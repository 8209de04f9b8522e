/* chat_request - one message of a chat client, taken apart */
#include "server/proto/chat_request.h"

#include "server/proto/json_raw.h"

enum { LIMIT_MAX = 1000 };

/* Offsets travel as JSON numbers, which are doubles for most readers: exact up to here. */
#define WHOLE_NUMBER_MAX 9007199254740991.0

static struct slice text_of(const json_t *value) {
	return slice_of(json_string_value(value), json_string_length(value));
}

static json_t *find(const json_t *object, const char *name) {
	json_t *value = json_object_get(object, name);

	return json_is_null(value) ? NULL : value;
}

static enum chat_error take_ref(struct chat_request *r) {
	struct slice value;
	struct buf compact;
	bool is_short;

	if (find(r->root, "ref") == NULL || !json_raw_member(r->text, "ref", &value))
		return CHAT_OK;
	buf_init(&compact, CHAT_REF_MAX);
	json_raw_compact(value, &compact);
	is_short = !compact.failed;
	if (is_short) {
		memcpy(r->ref_bytes, compact.data, compact.len);
		r->ref = slice_of(r->ref_bytes, compact.len);
	}
	buf_fini(&compact);
	return is_short ? CHAT_OK : CHAT_bad_ref;
}

enum chat_error chat_request_init(struct chat_request *r, struct slice text) {
	/* Numbers as doubles: an integer that is too large for 64 bits is valid JSON, and nobody here needs more than 2^53. */
	const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL;
	enum chat_error error;

	r->text = text;
	r->type = r->ref = SLICE_EMPTY;
	r->root = NULL;
	/* The parser recurses, and so does the freeing of what it made. */
	if (!json_raw_depth_within(text, CHAT_DEPTH_MAX))
		return CHAT_bad_json;
	r->root = json_loadb((const char *)text.ptr, text.len, flags, NULL);
	if (r->root == NULL)
		return CHAT_bad_json;
	if (!json_is_object(r->root))
		return CHAT_not_object;
	error = take_ref(r);
	if (error != CHAT_OK)
		return error;
	return chat_request_text(r, "type", &r->type) ? CHAT_OK : CHAT_bad_type;
}

void chat_request_fini(struct chat_request *r) {
	json_decref(r->root);
}

bool chat_request_has(const struct chat_request *r, const char *name) {
	return find(r->root, name) != NULL;
}

bool chat_request_text(const struct chat_request *r, const char *name, struct slice *out) {
	const json_t *value = find(r->root, name);

	*out = json_is_string(value) ? text_of(value) : SLICE_EMPTY;
	return json_is_string(value);
}

static bool whole_number(const json_t *value, uint64_t *out) {
	double number = json_real_value(value);

	if (!json_is_real(value) || !(number >= 0 && number <= WHOLE_NUMBER_MAX))
		return false;
	*out = (uint64_t)number;
	return (double)*out == number;
}

enum chat_error chat_request_since(const struct chat_request *r, bool *has, struct hub_position *out) {
	const json_t *since = find(r->root, "since");
	const json_t *epoch = find(since, "epoch");

	*has = since != NULL;
	*out = (struct hub_position){ { 0 }, 0 };
	if (since == NULL)
		return CHAT_OK;
	if (!json_is_string(epoch) || !chat_check_epoch(text_of(epoch)) || !whole_number(find(since, "offset"), &out->offset))
		return CHAT_bad_since;
	memcpy(out->epoch, json_string_value(epoch), json_string_length(epoch));
	return CHAT_OK;
}

enum chat_error chat_request_before(const struct chat_request *r, bool *has, uint64_t *out) {
	const json_t *before = find(r->root, "before");

	*has = before != NULL;
	*out = 0;
	if (before == NULL)
		return CHAT_OK;
	return whole_number(before, out) && *out > 0 ? CHAT_OK : CHAT_bad_since;
}

enum chat_error chat_request_seconds(const struct chat_request *r, uint32_t most, uint32_t *seconds) {
	uint64_t number;

	if (!whole_number(find(r->root, "seconds"), &number) || number > most)
		return CHAT_bad_seconds;
	*seconds = (uint32_t)number;
	return CHAT_OK;
}

enum chat_error chat_request_limit(const struct chat_request *r, uint32_t *limit) {
	const json_t *value = find(r->root, "limit");
	uint64_t number;

	if (value == NULL)
		return CHAT_OK;
	if (!whole_number(value, &number) || number < 1 || number > LIMIT_MAX)
		return CHAT_bad_limit;
	*limit = (uint32_t)number;
	return CHAT_OK;
}
