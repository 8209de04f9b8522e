/* grant - an identity with its rights, in one piece of memory */
#include "server/auth/grant.h"

#include "common/base/mem.h"

struct auth_grant *grant_new(const struct grant_parts *parts) {
	const struct slice part[] = { parts->user, parts->name, parts->rooms, parts->channels };
	struct auth_grant *g;
	size_t bytes = 0;
	uint8_t *at;

	for (size_t i = 0; i < ARRAY_LEN(part); i++) {
		BUG_ON(part[i].len > UINT16_MAX);
		bytes += part[i].len;
	}
	g = mem_zalloc(sizeof(*g) + bytes);
	g->holders = 1;
	g->expires_s = parts->expires_s;
	g->rights = parts->rights;
	g->user_len = (uint16_t)parts->user.len;
	g->name_len = (uint16_t)parts->name.len;
	g->rooms_len = (uint16_t)parts->rooms.len;
	g->channels_len = (uint16_t)parts->channels.len;
	at = g->bytes;
	for (size_t i = 0; i < ARRAY_LEN(part); i++) {
		if (part[i].len > 0)
			memcpy(at, part[i].ptr, part[i].len);
		at += part[i].len;
	}
	return g;
}

struct auth_grant *grant_hold(struct auth_grant *g) {
	if (g != NULL)
		g->holders++;
	return g;
}

void grant_drop(struct auth_grant **g) {
	if (*g != NULL && --(*g)->holders == 0)
		mem_free(*g);
	*g = NULL;
}

struct slice grant_user(const struct auth_grant *g) {
	return slice_of(g->bytes, g->user_len);
}

struct slice grant_name(const struct auth_grant *g) {
	return slice_of(g->bytes + g->user_len, g->name_len);
}

static struct slice rooms_of(const struct auth_grant *g) {
	return slice_of(g->bytes + g->user_len + g->name_len, g->rooms_len);
}

static struct slice channels_of(const struct auth_grant *g) {
	return slice_of(g->bytes + g->user_len + g->name_len + g->rooms_len, g->channels_len);
}

bool grant_is_same(const struct auth_grant *a, const struct auth_grant *b) {
	return a->rights == b->rights && slice_eq(grant_user(a), grant_user(b)) && slice_eq(grant_name(a), grant_name(b)) &&
	    slice_eq(rooms_of(a), rooms_of(b)) && slice_eq(channels_of(a), channels_of(b));
}

static bool is_in(struct slice patterns, struct slice name) {
	struct slice pattern;

	while (slice_next_part(&patterns, '\0', &pattern)) {
		if (pattern.len > 0 && pattern_matches(pattern, name))
			return true;
	}
	return false;
}

bool grant_has_room(const struct auth_grant *g, struct slice room) {
	return is_in(rooms_of(g), room);
}

bool grant_has_channel(const struct auth_grant *g, struct slice channel) {
	return is_in(channels_of(g), channel);
}
