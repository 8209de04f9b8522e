/* redis_scripts - embeds the scripts, and makes the names of their keys */
#include "broker/redis/redis_scripts.h"

#include "common/base/codec.h"
#include "common/base/digest.h"

/* The assembler reads the files: paths are relative to the root of the repository, where make runs. */
#define PART(file) ".incbin \"broker/redis/lua/" file ".lua\"\n"

/* What stands before a script's own text: functions that it shares with others. */
#define PARTS_publish PART("check") PART("names")
#define PARTS_read PART("check") PART("names") PART("history") PART("members_list")
#define PARTS_fill PART("check") PART("history")
#define PARTS_tops PART("check")
#define PARTS_enter PART("check") PART("names") PART("events")
#define PARTS_leave PART("check") PART("events") PART("depart")
#define PARTS_members PART("check") PART("members_list")
#define PARTS_channels PART("check")
#define PARTS_beat PART("check") PART("events") PART("depart")
#define PARTS_generation

#define REDIS_SCRIPT(name) \
	__asm__(".pushsection .rodata\n" \
		"redis_script_" #name "_begin:\n" \
		PARTS_##name PART(#name) \
		"redis_script_" #name "_end:\n" \
		".byte 0\n" \
		".popsection\n"); \
	extern const uint8_t redis_script_##name##_begin[], redis_script_##name##_end[];
#include "broker/redis/redis_scripts.tbl"

static const struct {
	const char *name;
	const uint8_t *begin, *end;
} scripts[REDIS_SCRIPT_COUNT] = {
#define REDIS_SCRIPT(name) [REDIS_SCRIPT_##name] = { #name, redis_script_##name##_begin, redis_script_##name##_end },
#include "broker/redis/redis_scripts.tbl"
};

static char hashes[REDIS_SCRIPT_COUNT][2 * SHA1_BYTES + 1];

const char *redis_script_name(enum redis_script s) {
	return scripts[s].name;
}

struct slice redis_script_text(enum redis_script s) {
	return slice_of(scripts[s].begin, (size_t)(scripts[s].end - scripts[s].begin));
}

const char *redis_script_sha(enum redis_script s) {
	uint8_t digest[SHA1_BYTES];

	if (hashes[s][0] == '\0') {
		digest_sha1(redis_script_text(s), digest);
		hex_encode(slice_of(digest, SHA1_BYTES), hashes[s]);
	}
	return hashes[s];
}

void redis_key(struct buf *out, const char *prefix, char kind, struct slice name) {
	buf_add_text(out, prefix);
	buf_add_u8(out, (uint8_t)kind);
	if (name.len > 0) {
		buf_add_u8(out, ':');
		buf_add(out, name);
	}
}
