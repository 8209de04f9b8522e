/* claims - from a JSON object to a grant */
#include "server/auth/claims.h"

#include "common/base/visible.h"

json_t *claims_find(const json_t *object, const char *name) {
	json_t *value = json_object_get(object, name);

	return json_is_null(value) ? NULL : value;
}

struct slice claims_text(const json_t *string) {
	return slice_of(json_string_value(string), json_string_length(string));
}

/* --- who --- */

static bool read_user(const json_t *value, struct slice *out) {
	size_t characters;

	if (!json_is_string(value))
		return false;
	*out = claims_text(value);
	return out->len <= GRANT_USER_MAX && visible_is_plain(*out, &characters);
}

/* As many characters as a name may have. */
static struct slice first_characters(struct slice user) {
	struct slice rest = user;

	for (size_t i = 0; i < GRANT_NAME_MAX && rest.len > 0; i++)
		(void)visible_next(&rest);
	return slice_of(user.ptr, user.len - rest.len);
}

static bool read_name(const json_t *value, struct slice user, struct slice *out) {
	size_t characters;

	if (value == NULL) {
		*out = first_characters(user);
		/* The user id has something to see, but perhaps only behind that. */
		return visible_is_plain(*out, &characters);
	}
	if (!json_is_string(value))
		return false;
	*out = claims_text(value);
	return out->len <= GRANT_NAME_MAX * 4 && visible_is_plain(*out, &characters) && characters <= GRANT_NAME_MAX;
}

/* --- what --- */

static bool add_right(struct slice name, uint8_t *rights) {
	uint8_t right = right_find(name);

	*rights |= right;
	return right != 0;
}

static bool read_words(struct slice words, uint8_t *rights) {
	struct slice word;

	while (slice_next_part(&words, ' ', &word)) {
		if (word.len > 0 && !add_right(word, rights))
			return false;
	}
	return true;
}

static bool read_rights(const json_t *value, uint8_t default_rights, uint8_t *out) {
	const json_t *item;
	size_t i;

	*out = value == NULL ? default_rights : 0;
	if (value == NULL)
		return true;
	if (json_is_string(value))
		return read_words(claims_text(value), out);
	json_array_foreach(value, i, item) {
		if (!json_is_string(item) || !add_right(claims_text(item), out))
			return false;
	}
	return json_is_array(value);
}

/* --- where --- */

static bool read_patterns(const json_t *value, struct buf *out) {
	const json_t *item;
	size_t i;

	if (value == NULL) {
		buf_add(out, slice_of("*", 2));
		return true;
	}
	if (!json_is_array(value) || json_array_size(value) > GRANT_PATTERNS_MAX)
		return false;
	json_array_foreach(value, i, item) {
		struct slice pattern = json_is_string(item) ? claims_text(item) : SLICE_EMPTY;

		if (pattern.len == 0 || pattern.len > PATTERN_MAX)
			return false;
		buf_add(out, pattern);
		buf_add_u8(out, '\0');
	}
	return true;
}

enum auth_refusal claims_grant(const json_t *object, const char *user, uint8_t default_rights, uint64_t expires_s,
    struct auth_grant **out) {
	struct grant_parts parts = { .expires_s = expires_s };
	enum auth_refusal refusal = AUTH_OK;
	struct buf rooms, channels;

	*out = NULL;
	buf_init(&rooms, UINT16_MAX);
	buf_init(&channels, UINT16_MAX);
	if (!read_user(claims_find(object, user), &parts.user))
		refusal = AUTH_bad_user;
	else if (!read_name(claims_find(object, "name"), parts.user, &parts.name))
		refusal = AUTH_bad_name;
	else if (!read_rights(claims_find(object, "rights"), default_rights, &parts.rights))
		refusal = AUTH_bad_rights;
	else if (!read_patterns(claims_find(object, "rooms"), &rooms) || !read_patterns(claims_find(object, "channels"), &channels))
		refusal = AUTH_bad_patterns;
	parts.rooms = buf_slice(&rooms);
	parts.channels = buf_slice(&channels);
	if (refusal == AUTH_OK)
		*out = grant_new(&parts);
	buf_fini(&rooms);
	buf_fini(&channels);
	return refusal;
}
