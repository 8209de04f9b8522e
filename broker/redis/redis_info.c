/* redis_info - picks the lines of INFO that decide whether and how a server is used */
#include "broker/redis/redis_info.h"

/* Scripts answer errors of commands under their own names since this one. */
enum { VERSION_MAJOR_MIN = 7 };

static bool is_zeros(struct slice s) {
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] != '0')
			return false;
	}
	return true;
}

static bool is_replica(struct slice role) {
	return !slice_eq_text(role, "master");
}

static bool is_one(struct slice value) {
	return slice_eq_text(value, "1");
}

static void take_line(struct slice name, struct slice value, struct redis_info *out) {
	if (slice_eq_text(name, "redis_version"))
		out->version = value;
	else if (slice_eq_text(name, "master_replid"))
		out->replication_id = value;
	else if (slice_eq_text(name, "maxmemory_policy"))
		out->policy = value;
	else if (slice_eq_text(name, "role"))
		out->is_replica = is_replica(value);
	else if (slice_eq_text(name, "master_replid2"))
		out->was_replica = !is_zeros(value);
	else if (slice_eq_text(name, "loading"))
		out->is_loading = is_one(value);
	else if (slice_eq_text(name, "aof_enabled"))
		out->has_log = is_one(value);
}

static uint64_t major_of(struct slice version) {
	struct slice part;
	uint64_t number = 0;

	return slice_next_part(&version, '.', &part) && slice_to_u64(part, &number) ? number : 0;
}

bool redis_info_read(struct slice text, struct redis_info *out, struct errbuf *e) {
	struct slice line, name;

	/* What is not said is not promised. */
	memset(out, 0, sizeof(*out));
	out->is_replica = out->was_replica = true;
	while (slice_next_part(&text, '\n', &line)) {
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (slice_next_part(&line, ':', &name))
			take_line(name, line, out);
	}
	if (major_of(out->version) < VERSION_MAJOR_MIN)
		return errbuf_set(e, "it says that its version is \"%.*s\", but %d.0 or newer is wanted",
		    (int)(out->version.len < 40 ? out->version.len : 40), (const char *)out->version.ptr, VERSION_MAJOR_MIN);
	if (out->is_loading)
		return errbuf_set(e, "it is loading its data");
	if (out->is_replica)
		return errbuf_set(e, "it is a replica, which takes no writes");
	if (out->replication_id.len == 0)
		return errbuf_set(e, "it does not say its replication id");
	return true;
}

bool redis_info_is_evicting(const struct redis_info *i) {
	return i->policy.len > 0 && !slice_eq_text(i->policy, "noeviction");
}
