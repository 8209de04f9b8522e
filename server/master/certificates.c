/* certificates - reading, trying and keeping certificates and keys */
#include "server/master/certificates.h"

#include "server/master/secret_file.h"
#include "server/net/tls.h"
#include "common/base/bundle.h"
#include "server/net/tls_self_signed.h"

enum { PEM_BYTES_MAX = 4096, SUMMARY_BYTES_MAX = 4096 };

static bool is_wanted(const struct config *config) {
	return config->tls_listen.count > 0;
}

static bool add_self_signed(struct certificates *c, struct buf *bundle, struct errbuf *e) {
	if (c->self[0].len == 0) {
		buf_init(&c->self[0], PEM_BYTES_MAX);
		buf_init(&c->self[1], PEM_BYTES_MAX);
		if (!tls_self_signed_make(&c->self[0], &c->self[1], e))
			return false;
	}
	bundle_add(bundle, TLS_PART_NAME, slice_text("tls_self_signed"));
	bundle_add(bundle, TLS_PART_CERTIFICATE, buf_slice(&c->self[0]));
	bundle_add(bundle, TLS_PART_KEY, buf_slice(&c->self[1]));
	return true;
}

static bool collect(struct certificates *c, const struct config *config, struct buf *bundle, struct errbuf *e) {
	if (config->tls_self_signed == SWITCH_ON && !add_self_signed(c, bundle, e))
		return false;
	if (config->tls_client_ca[0] != '\0' && !secret_file_add(bundle, TLS_PART_CLIENT_CA, config->tls_client_ca, e))
		return false;
	for (size_t i = 0; i < config->tls_certificate.count; i++) {
		bundle_add(bundle, TLS_PART_NAME, slice_text(config->tls_certificate.item[i]));
		if (!secret_file_add(bundle, TLS_PART_CERTIFICATE, config->tls_certificate.item[i], e) ||
		    !secret_file_add(bundle, TLS_PART_KEY, config->tls_key.item[i], e))
			return false;
		if (i < config->tls_ocsp_file.count && !secret_file_add(bundle, TLS_PART_OCSP, config->tls_ocsp_file.item[i], e))
			return false;
	}
	return !bundle->failed || errbuf_set(e, "the certificates have more than %d bytes together", BUNDLE_MAX);
}

/* As a worker will use it. */
static bool try_bundle(const struct buf *bundle, struct buf *summary, struct errbuf *e) {
	struct tls_settings settings = { .handshakes_max = 1, .ticket_seconds = 1, .use_kernel = true };
	struct tls *tls = tls_new(buf_slice(bundle), &settings, e);

	if (tls == NULL)
		return false;
	tls_describe(tls, summary);
	tls_free(&tls);
	return true;
}

/* *keys is empty when there is no file. */
static bool read_ticket_keys(const struct config *config, struct buf *keys, struct errbuf *e) {
	const char *file = config->tls_ticket_key_file;
	struct errbuf why;

	if (file[0] == '\0')
		return true;
	if (!secret_file_read(file, keys, e))
		return false;
	return tls_tickets_check(buf_slice(keys), &why) || errbuf_set(e, "%.300s: %.200s", file, why.text);
}

static void use_ticket_keys(struct certificates *c, const struct config *config, const struct buf *keys, uint64_t now_ms) {
	if (keys->len > 0) {
		tls_tickets_set(c->tickets, buf_slice(keys));
		c->rotate_due_ms = 0;
	} else if (c->rotate_due_ms == 0) {
		tls_tickets_rotate(c->tickets);
		c->rotate_due_ms = now_ms + (uint64_t)config->tls_ticket_seconds * 1000;
	}
}

static void swap(struct buf *a, struct buf *b) {
	struct buf old = *a;

	*a = *b;
	*b = old;
}

bool certificates_reload(struct certificates *c, const struct config *config, uint64_t now_ms, struct errbuf *e) {
	struct buf bundle, summary, keys;
	bool is_good;

	if (c->tickets == NULL)
		return true;
	buf_init(&bundle, BUNDLE_MAX);
	buf_init(&summary, SUMMARY_BYTES_MAX);
	buf_init(&keys, SECRET_FILE_ROOM);
	is_good = collect(c, config, &bundle, e) && try_bundle(&bundle, &summary, e) && read_ticket_keys(config, &keys, e);
	if (is_good) {
		swap(&c->bundle, &bundle);
		swap(&c->summary, &summary);
		use_ticket_keys(c, config, &keys, now_ms);
	}
	bundle_fini(&bundle);
	buf_fini(&summary);
	bundle_fini(&keys);
	return is_good;
}

bool certificates_open(struct certificates *c, const struct config *config, uint64_t now_ms, struct errbuf *e) {
	if (!is_wanted(config))
		return true;
	c->tickets = tls_tickets_new(e);
	return c->tickets != NULL && certificates_reload(c, config, now_ms, e);
}

void certificates_step(struct certificates *c, const struct config *config, uint64_t now_ms) {
	if (c->rotate_due_ms == 0 || now_ms < c->rotate_due_ms)
		return;
	tls_tickets_rotate(c->tickets);
	c->rotate_due_ms = now_ms + (uint64_t)config->tls_ticket_seconds * 1000;
}

void certificates_close(struct certificates *c) {
	bundle_fini(&c->bundle);
	bundle_fini(&c->self[0]);
	bundle_fini(&c->self[1]);
	buf_fini(&c->summary);
	tls_tickets_free(&c->tickets);
}

bool certificates_check(const struct config *config, struct errbuf *e) {
	struct certificates c = { .rotate_due_ms = 0 };
	bool is_good = certificates_open(&c, config, 1, e);

	certificates_close(&c);
	return is_good;
}
