/* engine_redis - channels in Redis */
#include "broker/engine.h"

#include "common/svc/log.h"

static struct engine *redis_create(const struct engine_setup *setup UNUSED, const struct engine_events *events UNUSED, void *arg UNUSED,
    uint64_t now_ms UNUSED, uint64_t wall_ms UNUSED) {
	log_text(LOG_ERROR, "engine redis is not in this build");
	return NULL;
}

const struct engine_ops engine_redis = { .name = "redis", .create = redis_create };
