/* channel - the channels that somebody of this process wants */
#include "server/hub/channel.h"

#include "common/base/mem.h"

static struct slice channel_key(const struct htab_node *node) {
	return channel_name(htab_entry(node, struct channel, node));
}

struct slice channel_name(const struct channel *ch) {
	return slice_of(ch->name, ch->name_len);
}

struct slice channel_epoch(const struct channel *ch) {
	return slice_of(ch->epoch, ch->epoch_len);
}

struct hub_position channel_position(const struct channel *ch) {
	struct hub_position p = { .offset = ch->offset };

	memcpy(p.epoch, ch->epoch, ch->epoch_len);
	return p;
}

bool channel_set_position(struct channel *ch, struct slice epoch, uint64_t offset) {
	if (epoch.len > sizeof(ch->epoch))
		return false;
	if (epoch.len > 0)
		memcpy(ch->epoch, epoch.ptr, epoch.len);
	ch->epoch_len = (uint8_t)epoch.len;
	ch->offset = offset;
	return true;
}

bool channel_is_at(const struct channel *ch, struct slice epoch, uint64_t offset) {
	return ch->offset == offset && slice_eq(channel_epoch(ch), epoch);
}

static void channel_free(struct channels *cs, struct channel *ch) {
	BUG_ON(channel_is_used(ch) || list_is_linked(&ch->gathered));
	htab_remove(&cs->table, &ch->node);
	list_remove(&ch->idle);
	list_remove(&ch->behind);
	if (ch->counting != NULL)
		list_remove(&ch->counting->link);
	mem_free(ch->counting);
	mem_free(ch);
}

static void channels_on_idle(void *arg) {
	struct channels *cs = arg;
	uint64_t now = evloop_now_ms(cs->loop);

	mem_give_back_after(&cs->most, cs->table.count);
	while (!list_is_empty(&cs->idle)) {
		struct channel *ch = list_entry(cs->idle.next, struct channel, idle);
		uint64_t due = ch->idle_since_ms + cs->linger_ms;

		if (due > now) {
			evloop_timer_start(&cs->timer, due - now);
			break;
		}
		cs->on_drop(ch, cs->arg);
		channel_free(cs, ch);
	}
	mem_give_back_after(&cs->most, cs->table.count);
}

void channels_init(struct channels *cs, struct evloop *loop, uint64_t linger_ms,
    void (*on_drop)(struct channel *ch, void *arg), void *arg) {
	htab_init(&cs->table, channel_key);
	list_init(&cs->idle);
	cs->loop = loop;
	cs->linger_ms = linger_ms;
	cs->most = 0;
	cs->on_drop = on_drop;
	cs->arg = arg;
	evloop_timer_init(loop, &cs->timer, channels_on_idle, cs);
}

void channels_fini(struct channels *cs) {
	struct channel *ch = channels_next(cs, NULL);

	evloop_timer_stop(&cs->timer);
	while (ch != NULL) {
		struct channel *next = channels_next(cs, ch);

		channel_free(cs, ch);
		ch = next;
	}
	htab_fini(&cs->table);
}

struct channel *channels_find(const struct channels *cs, struct slice name) {
	struct htab_node *node = htab_find(&cs->table, name);

	return node != NULL ? htab_entry(node, struct channel, node) : NULL;
}

struct channel *channels_get(struct channels *cs, struct slice name) {
	struct channel *ch = channels_find(cs, name);

	if (ch != NULL)
		return ch;
	BUG_ON(name.len > IPC_CHANNEL_MAX);
	ch = mem_zalloc(offsetof(struct channel, name) + name.len);
	memcpy(ch->name, name.ptr, name.len);
	ch->name_len = (uint8_t)name.len;
	list_init(&ch->subs);
	list_init(&ch->waiting);
	list_init(&ch->idle);
	list_init(&ch->behind);
	list_init(&ch->gathered);
	list_init(&ch->parcels);
	htab_add(&cs->table, &ch->node);
	return ch;
}

struct channel *channels_next(const struct channels *cs, const struct channel *ch) {
	struct htab_node *node = htab_next(&cs->table, ch != NULL ? &ch->node : NULL);

	return node != NULL ? htab_entry(node, struct channel, node) : NULL;
}

/* --- subscribers --- */

/* Whoever asks is about to send to all of them, so walking over them costs little beside that. */
uint8_t channel_wires(struct channel *ch, uint8_t form) {
	if (ch->are_wires_old) {
		memset(ch->wires, 0, sizeof(ch->wires));
		list_for_each(it, &ch->subs) {
			const struct sub *s = list_entry(it, struct sub, on_channel);

			ch->wires[s->client->form] |= (uint8_t)(1u << s->wire);
		}
		ch->are_wires_old = false;
	}
	return ch->wires[form];
}

static struct sub *sub_alloc(struct hub_client *c) {
	for (size_t i = 0; i < HUB_OWN_SUBS; i++) {
		if (c->own[i].client == NULL)
			return &c->own[i];
	}
	return mem_alloc(sizeof(struct sub));
}

struct sub *sub_new(struct channel *ch, struct hub_client *c) {
	struct sub *s = sub_alloc(c), **at = &c->subs;

	while (*at != NULL)
		at = &(*at)->next;
	*at = s;
	*s = (struct sub){ .client = c, .channel = ch };
	list_add_tail(&ch->waiting, &s->on_channel);
	list_remove(&ch->idle);
	c->sub_count++;
	return s;
}

static uint8_t wire_of(const struct conn *conn) {
	uint8_t bits = conn != NULL ? conn_wire(conn) : CONN_PLAIN;

	return bits == CONN_PLAIN ? HUB_WIRE_PLAIN : (uint8_t)(bits - hub_wire_bits(0));
}

void sub_go_live(struct sub *s) {
	list_remove(&s->on_channel);
	list_add_tail(&s->channel->subs, &s->on_channel);
	s->wire = wire_of(s->client->conn);
	s->channel->wires[s->client->form] |= (uint8_t)(1u << s->wire);
	s->is_live = true;
}

void sub_free(struct channels *cs, struct sub *s) {
	struct channel *ch = s->channel;
	struct sub **at = &s->client->subs;
	const struct sub *own = s->client->own;

	ch->are_wires_old = ch->are_wires_old || s->is_live;
	s->client->sub_count--;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	list_remove(&s->on_channel);
	if (s >= own && s < own + HUB_OWN_SUBS)
		s->client = NULL;
	else
		mem_free(s);
	if (channel_is_used(ch))
		return;
	ch->idle_since_ms = evloop_now_ms(cs->loop);
	if (list_is_empty(&cs->idle))
		evloop_timer_start(&cs->timer, cs->linger_ms);
	list_add_tail(&cs->idle, &ch->idle);
}

struct sub *sub_find(const struct channels *cs, const struct hub_client *c, struct slice name) {
	struct channel *ch = channels_find(cs, name);

	if (ch == NULL)
		return NULL;
	for (struct sub *s = c->subs; s != NULL; s = s->next) {
		if (s->channel == ch)
			return s;
	}
	return NULL;
}
