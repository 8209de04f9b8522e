/* ws_deflate - zlib for messages: bounded, counted, shared where nothing is kept between messages */
#include "server/ws/ws_deflate.h"

/* So that zlib takes what it only reads as const. */
#define ZLIB_CONST
#include <zlib.h>

#include "common/base/mem.h"

enum {
	SPARE_INFLATERS_MAX = 8,
	/* What zlib needs besides window, hash and pending bytes. Not exact; what is really used is counted. */
	DEFLATE_STATE_BYTES = 6 << 10,
	INFLATE_STATE_BYTES = 7 << 10,
	OUT_STEP_MIN = 256,
	OUT_STEP_MAX = 64 << 10,
	ALLOC_HEAD_BYTES = 16,	/* keeps zlib's memory aligned */
};

/* What a sync flush ends with; not sent (RFC 7692, 7.2.1). */
static const uint8_t tail[] = { 0x00, 0x00, 0xff, 0xff };

struct ws_deflater {
	z_stream z;
	int level;
};

struct ws_inflater {
	z_stream z;
	struct ws_inflater *next;	/* among the spare ones */
	bool is_shared;
	bool has_input;	/* of the present message */
	bool is_between;	/* what was used so far ends where a block ends */
};

static struct ws_deflate_counts counts;
static struct ws_deflater *shared[WS_WINDOW_BITS_MAX + 1];	/* by window bits */
static struct ws_inflater *spare;
static size_t spare_count;

const struct ws_deflate_counts *ws_deflate_counted(void) {
	return &counts;
}

/* --- zlib's memory --- */

static voidpf take(voidpf unused UNUSED, uInt items, uInt size) {
	size_t bytes = (size_t)items * size;
	uint8_t *at = mem_try_realloc(NULL, ALLOC_HEAD_BYTES + bytes);

	if (at == NULL)
		return Z_NULL;
	memcpy(at, &bytes, sizeof(bytes));
	counts.memory_bytes += bytes;
	return at + ALLOC_HEAD_BYTES;
}

static void give_back(voidpf unused UNUSED, voidpf ptr) {
	uint8_t *at = (uint8_t *)ptr - ALLOC_HEAD_BYTES;
	size_t bytes;

	memcpy(&bytes, at, sizeof(bytes));
	counts.memory_bytes -= bytes;
	mem_free(at);
}

static int memory_level(uint8_t window_bits) {
	return window_bits - 7;
}

static size_t deflate_bytes(uint8_t bits) {
	return ((size_t)1 << (bits + 2)) + ((size_t)1 << (memory_level(bits) + 9)) + DEFLATE_STATE_BYTES;
}

static size_t inflate_bytes(uint8_t bits) {
	return ((size_t)1 << bits) + INFLATE_STATE_BYTES;
}

static bool fits(size_t memory, const struct ws_deflate_terms *t) {
	size_t need = 0;

	if (t->server_keeps)
		need += deflate_bytes(t->server_bits);
	if (t->client_keeps)
		need += inflate_bytes(t->client_bits);
	return need <= memory;
}

void ws_deflate_fit(size_t memory, bool may_limit_client, struct ws_deflate_terms *terms) {
	for (uint8_t bits = WS_WINDOW_BITS_MAX; bits >= WS_DEFLATE_BITS_MIN && !fits(memory, terms); bits--) {
		if (terms->server_keeps && terms->server_bits > bits)
			terms->server_bits = bits;
		if (terms->client_keeps && may_limit_client && terms->client_bits > bits)
			terms->client_bits = bits;
	}
	if (!fits(memory, terms))
		terms->client_keeps = false;
	if (!fits(memory, terms))
		terms->server_keeps = false;
}

/* --- out --- */

struct ws_deflater *ws_deflater_new(uint8_t window_bits, int level) {
	struct ws_deflater *d = mem_zalloc(sizeof(*d));

	BUG_ON(window_bits < WS_DEFLATE_BITS_MIN || window_bits > WS_WINDOW_BITS_MAX);
	d->z.zalloc = take;
	d->z.zfree = give_back;
	d->level = level;
	if (deflateInit2(&d->z, level, Z_DEFLATED, -window_bits, memory_level(window_bits), Z_DEFAULT_STRATEGY) == Z_OK)
		return d;
	mem_free(d);
	return NULL;
}

void ws_deflater_free(struct ws_deflater **d) {
	if (*d != NULL)
		deflateEnd(&(*d)->z);
	mem_free(*d);
	*d = NULL;
}

/* zlib wants more than 6 bytes of room for a flush, or it says the same again. */
static bool deflate_all(z_stream *z, struct buf *out) {
	do {
		size_t room = z->avail_in + OUT_STEP_MIN;
		uint8_t *at;

		if (room > OUT_STEP_MAX)
			room = OUT_STEP_MAX;
		at = buf_reserve(out, room);
		if (at == NULL)
			return false;
		z->next_out = at;
		z->avail_out = (uInt)room;
		/* Z_BUF_ERROR: it had said everything. */
		if (deflate(z, Z_SYNC_FLUSH) == Z_STREAM_ERROR)
			return false;
		out->len += room - z->avail_out;
	} while (z->avail_out == 0);
	return true;
}

bool ws_deflater_add(struct ws_deflater *d, struct slice message, struct buf *out) {
	size_t before = out->len;

	if (message.len == 0) {
		/* Nothing but the begin of the empty block whose end is the tail (RFC 7692, 7.2.3.6). */
		buf_add_u8(out, 0);
	} else {
		d->z.next_in = message.ptr;
		d->z.avail_in = (uInt)message.len;
		if (!deflate_all(&d->z, out) || out->len - before < sizeof(tail) ||
		    memcmp(out->data + out->len - sizeof(tail), tail, sizeof(tail)) != 0)
			return false;
		out->len -= sizeof(tail);
	}
	counts.deflate_calls++;
	counts.deflate_bytes_in += message.len;
	counts.deflate_bytes_out += out->len - before;
	return !out->failed;
}

bool ws_deflate_alone(uint8_t window_bits, int level, struct slice message, struct buf *out) {
	struct ws_deflater **d = &shared[window_bits];

	if (*d != NULL && (*d)->level != level)
		ws_deflater_free(d);
	if (*d == NULL)
		*d = ws_deflater_new(window_bits, level);
	if (*d == NULL)
		return false;
	deflateReset(&(*d)->z);
	return ws_deflater_add(*d, message, out);
}

uint8_t ws_deflate_bits_for(uint8_t window_bits, size_t message_bytes) {
	return message_bytes <= (size_t)1 << window_bits ? WS_WINDOW_BITS_MAX : window_bits;
}

/* --- in --- */

struct ws_inflater *ws_inflater_new(uint8_t window_bits) {
	struct ws_inflater *f = mem_zalloc(sizeof(*f));

	f->z.zalloc = take;
	f->z.zfree = give_back;
	/* Older zlibs say 8 and mean 9. */
	if (window_bits < WS_DEFLATE_BITS_MIN)
		window_bits = WS_DEFLATE_BITS_MIN;
	if (inflateInit2(&f->z, -window_bits) == Z_OK)
		return f;
	mem_free(f);
	return NULL;
}

struct ws_inflater *ws_inflater_borrow(void) {
	struct ws_inflater *f = spare;

	if (f == NULL) {
		f = ws_inflater_new(WS_WINDOW_BITS_MAX);
		if (f != NULL)
			f->is_shared = true;
		return f;
	}
	spare = f->next;
	spare_count--;
	inflateReset(&f->z);
	f->has_input = f->is_between = false;
	return f;
}

static void inflater_free(struct ws_inflater *f) {
	inflateEnd(&f->z);
	mem_free(f);
}

void ws_inflater_release(struct ws_inflater **f) {
	if (*f == NULL)
		return;
	if ((*f)->is_shared && spare_count < SPARE_INFLATERS_MAX) {
		(*f)->next = spare;
		spare = *f;
		spare_count++;
	} else {
		inflater_free(*f);
	}
	*f = NULL;
}

/* Room for the next step: what the buffer has anyway, or a multiple of what is left to read. 0: the buffer is at its bound. */
static size_t inflate_room(const struct ws_inflater *f, const struct buf *out) {
	size_t room = 4 * (size_t)f->z.avail_in, at_hand = out->cap - out->len, most = out->max - out->len;

	if (room < OUT_STEP_MIN)
		room = OUT_STEP_MIN;
	if (room > OUT_STEP_MAX)
		room = OUT_STEP_MAX;
	if (room < at_hand)
		room = at_hand;
	return room < most ? room : most;
}

/* After a call of inflate(). One that could do nothing (it was made because the room before had just been enough) forgets what
 * data_type said; nothing has changed then. */
static void note_border(struct ws_inflater *f, int status, bool has_moved) {
	enum { BETWEEN_BLOCKS = 128 };	/* a bit of data_type: see inflate() in zlib.h */

	if (status == Z_STREAM_END || (f->z.data_type & BETWEEN_BLOCKS) != 0)
		f->is_between = true;
	else if (has_moved)
		f->is_between = false;
}

/* One call of inflate(). OK also when it can do nothing without more input. */
static enum ws_inflate_result inflate_step(struct ws_inflater *f, struct buf *out) {
	size_t room = inflate_room(f, out), made;
	uInt before = f->z.avail_in;
	uint8_t beyond, *at = room > 0 ? buf_reserve(out, room) : &beyond;
	int status;

	if (at == NULL)
		return WS_INFLATE_NO_MEMORY;
	f->z.next_out = at;
	f->z.avail_out = room > 0 ? (uInt)room : 1;
	made = f->z.avail_out;
	status = inflate(&f->z, Z_SYNC_FLUSH);
	made -= f->z.avail_out;
	if (room == 0 && made > 0)
		return WS_INFLATE_TOO_BIG;
	out->len += made;
	counts.inflate_bytes_out += made;
	note_border(f, status, f->z.avail_in < before || made > 0);
	/* Behind a final block, another one may follow, which may refer to it (RFC 7692, 7.2.3.4). */
	if (status == Z_STREAM_END)
		inflateResetKeep(&f->z);
	if (status == Z_OK || status == Z_BUF_ERROR || status == Z_STREAM_END)
		return WS_INFLATE_OK;
	return status == Z_MEM_ERROR ? WS_INFLATE_NO_MEMORY : WS_INFLATE_CORRUPT;
}

static enum ws_inflate_result inflate_all(struct ws_inflater *f, struct slice part, struct buf *out) {
	enum ws_inflate_result result;

	BUG_ON(part.len > UINT32_MAX);
	f->z.next_in = part.ptr;
	f->z.avail_in = (uInt)part.len;
	do {
		result = inflate_step(f, out);
	} while (result == WS_INFLATE_OK && (f->z.avail_in > 0 || f->z.avail_out == 0));
	return result;
}

enum ws_inflate_result ws_inflater_add(struct ws_inflater *f, struct slice part, struct buf *out) {
	if (part.len == 0)
		return WS_INFLATE_OK;
	f->has_input = true;
	counts.inflate_bytes_in += part.len;
	return inflate_all(f, part, out);
}

enum ws_inflate_result ws_inflater_end(struct ws_inflater *f, struct buf *out) {
	enum ws_inflate_result result = WS_INFLATE_OK;

	counts.inflate_calls++;
	/* Who has not begun the empty block at the end does without its rest, too. */
	if (f->has_input && !f->is_between) {
		result = inflate_all(f, slice_of(tail, sizeof(tail)), out);
		if (result == WS_INFLATE_OK && !f->is_between)
			result = WS_INFLATE_CORRUPT;
	} else if (f->has_input) {
		inflateResetKeep(&f->z);
	}
	f->has_input = f->is_between = false;
	return result;
}

/* --- the end --- */

void ws_deflate_free_shared(void) {
	for (size_t i = 0; i < ARRAY_LEN(shared); i++)
		ws_deflater_free(&shared[i]);
	while (spare != NULL) {
		struct ws_inflater *f = spare;

		spare = f->next;
		inflater_free(f);
	}
	spare_count = 0;
}
