/* parcel - frames gathered for those who get the same bytes */
#include "server/hub/parcel.h"

#include "common/base/mem.h"
#include "server/ws/ws_frame.h"

enum {
	/* Small, because a slow client's queue counts the bytes in a parcel and not its room. */
	PARCEL_START_BYTES = 512,
	/* A parcel takes no more when it is so large: growing copies it, and clients' queues are bounded in parcels. */
	PARCEL_FULL_BYTES = 256 << 10,
	/* A payload so large gets a parcel of its own: it is copied once, and into exactly its room. */
	PARCEL_SINGLE_BYTES = 64 << 10,
	DEFLATED_KEEP_BYTES = 64 << 10,
};

/* A message as some of the wires have it. */
struct variant {
	uint8_t header[WS_SERVER_HEADER_MAX];
	size_t header_bytes;
	struct slice payload;
	struct rcbuf *in;	/* shared, not copied; or NULL */
};

static struct variant variant_of(uint8_t first, struct slice payload) {
	struct variant v = { .payload = payload };

	v.header_bytes = ws_frame_header(v.header, WS_FIN | first, payload.len);
	return v;
}

/* Which are copied. */
static size_t variant_bytes(const struct variant *v) {
	return v->header_bytes + (v->in == NULL ? v->payload.len : 0);
}

/* --- parcels --- */

static struct parcel *parcel_new(struct channel *ch, uint8_t form, uint8_t wires, size_t bytes) {
	struct rcbuf *frames = rcbuf_try_new(bytes > PARCEL_START_BYTES ? bytes : PARCEL_START_BYTES);
	struct parcel *p;

	if (frames == NULL)
		return NULL;
	p = mem_zalloc(sizeof(*p));
	p->frames = frames;
	p->form = form;
	p->wires = wires;
	p->is_filling = true;
	list_add_tail(&ch->parcels, &p->link);
	return p;
}

static void parcel_free(struct parcel *p) {
	list_remove(&p->link);
	rcbuf_unref(&p->frames);
	rcbuf_unref(&p->payload);
	mem_free(p);
}

static void parcel_add(struct parcel *p, const struct variant *v) {
	rcbuf_add(p->frames, slice_of(v->header, v->header_bytes));
	if (v->in != NULL) {
		p->payload = rcbuf_part(v->in, v->payload);
		p->payload->is_tail = true;
	} else {
		rcbuf_add(p->frames, v->payload);
	}
	p->messages++;
}

static bool takes_more(const struct parcel *p, const struct variant *v) {
	return p->payload == NULL && v->payload.len < PARCEL_SINGLE_BYTES && p->frames->len < PARCEL_FULL_BYTES;
}

/* Those being filled are for wires that differ, and nothing later is there for any of these: that keeps the order. A parcel that
 * is for these wires and for others, too, is therefore closed for all. */
static bool add_variant(struct channel *ch, uint8_t form, uint8_t wires, const struct variant *v) {
	size_t bytes = variant_bytes(v);

	for (struct list *it = ch->parcels.prev; it != &ch->parcels && wires != 0; it = it->prev) {
		struct parcel *p = list_entry(it, struct parcel, link);

		if (!p->is_filling || p->form != form || (p->wires & wires) == 0)
			continue;
		p->is_filling = (p->wires & ~wires) == 0 && takes_more(p, v);
		if (!p->is_filling)
			continue;
		if (!rcbuf_try_grow(&p->frames, bytes))
			return false;
		parcel_add(p, v);
		wires &= (uint8_t)~p->wires;
	}
	if (wires != 0) {
		struct parcel *p = parcel_new(ch, form, wires, bytes);

		if (p == NULL)
			return false;
		parcel_add(p, v);
	}
	return true;
}

/* --- messages --- */

/* Those of `wires` for whom the message is made with so many bits. */
static uint8_t wires_of_bits(uint8_t wires, uint8_t bits, size_t message_bytes) {
	uint8_t chosen = 0;

	for (uint8_t wire = HUB_WIRE_PLAIN + 1; wire < HUB_WIRES; wire++) {
		if (ws_deflate_bits_for(hub_wire_bits(wire), message_bytes) == bits)
			chosen |= (uint8_t)(wires & 1u << wire);
	}
	return chosen;
}

/* What is left in *wires has no need of it, or gains nothing by it. */
static bool add_deflated(struct parcels *ps, struct channel *ch, uint8_t form, uint8_t *wires, uint8_t opcode, struct slice payload) {
	for (uint8_t bits = WS_DEFLATE_BITS_MIN; bits <= WS_WINDOW_BITS_MAX; bits++) {
		uint8_t chosen = wires_of_bits(*wires, bits, payload.len);
		struct variant v;

		buf_reset(&ps->deflated);
		if (chosen == 0 || !ws_deflate_alone(bits, ps->deflate.level, payload, &ps->deflated) || ps->deflated.len >= payload.len)
			continue;
		v = variant_of(WS_RSV1 | opcode, buf_slice(&ps->deflated));
		*wires &= (uint8_t)~chosen;
		if (!add_variant(ch, form, chosen, &v))
			return false;
	}
	return true;
}

bool parcels_add(struct parcels *ps, struct channel *ch, uint8_t form, uint8_t opcode, struct slice payload, struct rcbuf *in) {
	uint8_t wires = channel_wires(ch, form);
	struct variant v;

	if (wires >> (HUB_WIRE_PLAIN + 1) != 0 && ws_deflate_is_worth(&ps->deflate, payload.len) &&
	    !add_deflated(ps, ch, form, &wires, opcode, payload))
		return false;
	v = variant_of(opcode, payload);
	/* What nobody compresses, with a context of his own either. */
	if (payload.len > WS_DEFLATE_MOST_BYTES)
		v.in = in;
	return add_variant(ch, form, wires, &v);
}

void parcels_close(struct channel *ch) {
	list_for_each(it, &ch->parcels)
		list_entry(it, struct parcel, link)->is_filling = false;
}

void parcels_discard(struct channel *ch) {
	list_for_each_safe(it, &ch->parcels)
		parcel_free(list_entry(it, struct parcel, link));
}

void parcels_trim(struct parcels *ps) {
	if (ps->deflated.cap > DEFLATED_KEEP_BYTES)
		buf_fini(&ps->deflated);
}

void parcels_init(struct parcels *ps, const struct ws_deflate_settings *deflate) {
	ps->deflate = *deflate;
	/* Enough for what compressing makes larger. */
	buf_init(&ps->deflated, 2 * WS_DEFLATE_MOST_BYTES);
}

void parcels_fini(struct parcels *ps) {
	buf_fini(&ps->deflated);
}
