/* tls - contexts made from a bundle, and what OpenSSL asks while it shakes hands */
#include "server/net/tls.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "common/base/htab.h"
#include "common/base/mem.h"
#include "common/svc/stats.h"
#include "common/base/bundle.h"

enum { NAME_MAX_BYTES = 255, IV_BYTES = 16, TICKETS_PER_HANDSHAKE = 1 };

/* TLS 1.3 has none but good ones. */
static const char ciphers_tls12[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
/* The ALPN list of one. */
static const unsigned char alpn_http11[] = "\x08http/1.1";

/* A name of a certificate: a host's, or *.DOMAIN. */
struct server_name {
	struct htab_node node;
	SSL_CTX *context;	/* borrowed from its certificate */
	size_t len;
	char text[];
};

struct certificate {
	char *name;		/* owned */
	SSL_CTX *context;	/* owned; connections share it */
};

/* All certificates that are in force together. */
struct certificate_set {
	struct certificate *item;	/* the first is for clients that ask for no name, or for one that is not there */
	size_t count;
	struct htab names;
};

struct tls {
	struct tls_settings settings;
	struct certificate_set set;
	EVP_CIPHER *ticket_cipher;
	size_t handshakes;
};

/* --- names --- */

static struct slice name_key(const struct htab_node *node) {
	const struct server_name *n = htab_entry(node, struct server_name, node);

	return slice_of(n->text, n->len);
}

/* The first certificate of a name has it. */
static void add_name(struct certificate_set *set, SSL_CTX *context, const unsigned char *text, int len) {
	struct server_name *n;

	if (len <= 0 || len > NAME_MAX_BYTES)
		return;
	n = mem_alloc(sizeof(*n) + (size_t)len);
	n->context = context;
	n->len = (size_t)len;
	for (int i = 0; i < len; i++)
		n->text[i] = (char)tolower(text[i]);
	if (htab_find(&set->names, slice_of(n->text, n->len)) != NULL)
		mem_free(n);
	else
		htab_add(&set->names, &n->node);
}

static void add_names(struct certificate_set *set, SSL_CTX *context) {
	X509 *x = SSL_CTX_get0_certificate(context);
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	X509_NAME *subject = X509_get_subject_name(x);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DNS)
			add_name(set, context, ASN1_STRING_get0_data(name->d.dNSName), ASN1_STRING_length(name->d.dNSName));
	}
	if (names == NULL && at >= 0) {
		const ASN1_STRING *common = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));

		add_name(set, context, ASN1_STRING_get0_data(common), ASN1_STRING_length(common));
	}
	GENERAL_NAMES_free(names);
}

static SSL_CTX *find_name(const struct certificate_set *set, const char *text) {
	char name[NAME_MAX_BYTES + 1];
	struct htab_node *node;
	size_t len = strlen(text);
	char *dot;

	if (len == 0 || len > NAME_MAX_BYTES)
		return NULL;
	for (size_t i = 0; i < len; i++)
		name[i] = (char)tolower((unsigned char)text[i]);
	name[len] = '\0';
	node = htab_find(&set->names, slice_of(name, len));
	dot = strchr(name, '.');
	if (node == NULL && dot != NULL && dot > name) {
		dot[-1] = '*';
		node = htab_find(&set->names, slice_text(dot - 1));
	}
	return node != NULL ? htab_entry(node, struct server_name, node)->context : NULL;
}

static void set_fini(struct certificate_set *set) {
	struct htab_node *node;

	while ((node = htab_next(&set->names, NULL)) != NULL) {
		htab_remove(&set->names, node);
		mem_free(htab_entry(node, struct server_name, node));
	}
	htab_fini(&set->names);
	for (size_t i = 0; i < set->count; i++) {
		SSL_CTX_free(set->item[i].context);
		mem_free(set->item[i].name);
	}
	mem_free(set->item);
	set->item = NULL;
	set->count = 0;
}

/* --- what OpenSSL asks during a handshake --- */

static struct tls *tls_of(const SSL *ssl) {
	return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

static int on_server_name(SSL *ssl, int *alert, void *arg) {
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	SSL_CTX *context = name != NULL ? find_name(&tls_of(ssl)->set, name) : NULL;

	(void)alert;
	(void)arg;
	if (context != NULL)
		SSL_set_SSL_CTX(ssl, context);
	return SSL_TLSEXT_ERR_OK;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len,
    void *arg) {
	unsigned char *chosen;

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto(&chosen, out_len, alpn_http11, sizeof(alpn_http11) - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static bool start_mac(EVP_MAC_CTX *mac, struct tls_ticket_key *key) {
	char digest[] = "SHA256";
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->hmac, sizeof(key->hmac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

/* As SSL_CTX_set_tlsext_ticket_key_evp_cb(3) wants it: -1 error, 0 no such key, 1 good, 2 good and to be renewed. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_new) {
	const struct tls *t = tls_of(ssl);
	struct tls_ticket_key key;
	bool is_first, is_good;

	if (t->settings.tickets == NULL || !tls_tickets_find(t->settings.tickets, is_new ? NULL : name, &key, &is_first))
		return 0;
	if (is_new) {
		memcpy(name, key.name, sizeof(key.name));
		is_good = RAND_bytes(iv, IV_BYTES) == 1 && EVP_EncryptInit_ex2(cipher, t->ticket_cipher, key.aes, iv, NULL) == 1;
	} else {
		is_good = EVP_DecryptInit_ex2(cipher, t->ticket_cipher, key.aes, iv, NULL) == 1;
	}
	is_good = is_good && start_mac(mac, &key);
	OPENSSL_cleanse(&key, sizeof(key));
	if (!is_good)
		return -1;
	/* RFC 8446 C.4: a client uses a ticket once, so it gets another one. */
	return !is_new && (!is_first || SSL_version(ssl) >= TLS1_3_VERSION) ? 2 : 1;
}

/* The response that is stapled, kept with its context, which connections outlive a reload with. */
struct staple {
	size_t len;
	uint8_t bytes[];
};

static int staple_index = -1;

static void free_staple(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long number, void *arg) {
	(void)parent;
	(void)data;
	(void)index;
	(void)number;
	(void)arg;
	mem_free(ptr);
}

static int on_status(SSL *ssl, void *arg) {
	const struct staple *s = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), staple_index);
	unsigned char *copy = s != NULL ? OPENSSL_memdup(s->bytes, s->len) : NULL;

	(void)arg;
	if (copy == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)s->len);
	return SSL_TLSEXT_ERR_OK;
}

/* --- contexts --- */

static bool refuse(struct errbuf *e, const char *name, const char *what) {
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	errbuf_set(e, "%.300s: %s%s%s", name, what, why != NULL ? ": " : "", why != NULL ? why : "");
	ERR_clear_error();
	return false;
}

/* Nobody is there to be asked for one. */
static int no_password(char *out, int size, int is_writing, void *arg) {
	(void)out;
	(void)size;
	(void)is_writing;
	(void)arg;
	return -1;
}

static BIO *reader(struct slice bytes) {
	return BIO_new_mem_buf(bytes.ptr, (int)bytes.len);
}

static bool use_certificate(SSL_CTX *context, struct slice pem, const char *name, struct errbuf *e) {
	BIO *bio = reader(pem);
	X509 *x = PEM_read_bio_X509(bio, NULL, no_password, NULL);
	bool is_used = x != NULL && SSL_CTX_use_certificate(context, x) == 1;

	X509_free(x);
	while (is_used && (x = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
		is_used = SSL_CTX_add0_chain_cert(context, x) == 1;
		if (!is_used)
			X509_free(x);
	}
	BIO_free(bio);
	/* The end of the text is an error like others. */
	if (is_used && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		is_used = ERR_peek_last_error() == 0;
	if (!is_used)
		return refuse(e, name, "no usable certificate");
	ERR_clear_error();
	return true;
}

static bool use_key(SSL_CTX *context, struct slice pem, const char *name, struct errbuf *e) {
	BIO *bio = reader(pem);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	bool is_used = key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1;

	EVP_PKEY_free(key);
	BIO_free(bio);
	if (!is_used)
		return refuse(e, name, "its key cannot be used");
	return SSL_CTX_check_private_key(context) == 1 || refuse(e, name, "its key belongs to another certificate");
}

static bool use_staple(SSL_CTX *context, struct slice der, const char *name, struct errbuf *e) {
	const unsigned char *at = der.ptr;
	OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)der.len);
	bool is_good = response != NULL && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL;
	struct staple *s;

	OCSP_RESPONSE_free(response);
	if (!is_good)
		return refuse(e, name, "its OCSP file holds no successful response (DER)");
	s = mem_alloc(sizeof(*s) + der.len);
	s->len = der.len;
	memcpy(s->bytes, der.ptr, der.len);
	SSL_CTX_set_ex_data(context, staple_index, s);
	SSL_CTX_set_tlsext_status_cb(context, on_status);
	return true;
}

static bool use_client_ca(const struct tls *t, SSL_CTX *context, struct slice pem, struct errbuf *e) {
	X509_STORE *store = SSL_CTX_get_cert_store(context);
	BIO *bio = reader(pem);
	bool is_good = true;
	int count = 0;
	X509 *x;

	while (is_good && (x = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
		is_good = X509_STORE_add_cert(store, x) == 1 && SSL_CTX_add_client_CA(context, x) == 1;
		X509_free(x);
		count++;
	}
	BIO_free(bio);
	if (!is_good || count == 0)
		return refuse(e, "tls_client_ca", "no usable certificate");
	ERR_clear_error();
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (t->settings.is_client_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
	return true;
}

static bool kernel_has_tls(void) {
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* A socket without a peer is refused for that, but only by a kernel that knows what is wanted. */
	bool has = fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) != 0 && errno == ENOTCONN;

	if (fd >= 0)
		close(fd);
	return has;
}

/* A session is resumed only under the same rules for clients. */
static void set_session_rules(const struct tls *t, SSL_CTX *context, struct slice client_ca) {
	uint8_t id[SHA256_BYTES];

	digest_sha256(client_ca, id);
	SSL_CTX_set_session_id_context(context, id, sizeof(id));
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(context, (long)t->settings.ticket_seconds);
	SSL_CTX_set_num_tickets(context, TICKETS_PER_HANDSHAKE);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
	if (t->settings.tickets == NULL) {
		SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(context, 0);
	}
}

static SSL_CTX *new_context(struct tls *t, struct slice client_ca) {
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (context == NULL)
		return NULL;
	SSL_CTX_set_app_data(context, t);
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(context, ciphers_tls12);
	/* An end without close_notify is an end; WebSocket and HTTP say themselves where they end. */
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
	    SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
	if (t->settings.use_kernel)
		SSL_CTX_set_options(context, SSL_OP_ENABLE_KTLS);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* One recv for all records that are there; the buffer is released all the same. */
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
	SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
	set_session_rules(t, context, client_ca);
	return context;
}

/* --- a set from a bundle --- */

static struct slice find_part(struct slice bundle, enum tls_part wanted) {
	uint8_t part;
	struct slice bytes;

	while (bundle_next(&bundle, &part, &bytes)) {
		if (part == wanted)
			return bytes;
	}
	return SLICE_EMPTY;
}

static bool add_certificate(struct tls *t, struct certificate_set *set, struct slice name, struct slice client_ca, struct errbuf *e) {
	SSL_CTX *context = new_context(t, client_ca);

	if (context == NULL)
		return refuse(e, "TLS", "no context to be had");
	set->item = mem_realloc(set->item, (set->count + 1) * sizeof(*set->item));
	set->item[set->count].context = context;
	set->item[set->count].name = slice_dup_text(name);
	set->count++;
	return client_ca.len == 0 || use_client_ca(t, context, client_ca, e);
}

static bool use_part(struct tls *t, struct certificate_set *set, uint8_t part, struct slice bytes, struct slice client_ca,
    struct errbuf *e) {
	struct certificate *last = set->count > 0 ? &set->item[set->count - 1] : NULL;

	switch (part) {
	case TLS_PART_NAME:
		return add_certificate(t, set, bytes, client_ca, e);
	case TLS_PART_CERTIFICATE:
		return last != NULL && use_certificate(last->context, bytes, last->name, e);
	case TLS_PART_KEY:
		if (last == NULL || !use_key(last->context, bytes, last->name, e))
			return false;
		add_names(set, last->context);
		return true;
	case TLS_PART_OCSP:
		return last != NULL && use_staple(last->context, bytes, last->name, e);
	case TLS_PART_CLIENT_CA:
		return true;
	}
	return errbuf_set(e, "a part of kind %d is not known", (int)part);
}

static bool set_init(struct tls *t, struct certificate_set *set, struct slice bundle, struct errbuf *e) {
	struct slice client_ca = find_part(bundle, TLS_PART_CLIENT_CA), bytes;
	uint8_t part;

	*set = (struct certificate_set){ .count = 0 };
	htab_init(&set->names, name_key);
	errbuf_set(e, "there is no certificate");
	ERR_clear_error();
	while (bundle_next(&bundle, &part, &bytes)) {
		if (!use_part(t, set, part, bytes, client_ca, e))
			return false;
	}
	for (size_t i = 0; i < set->count; i++) {
		if (SSL_CTX_check_private_key(set->item[i].context) != 1)
			return refuse(e, set->item[i].name, "its key is missing");
	}
	return set->count > 0;
}

/* Which is to be renewed in time. */
static void count_end(const struct certificate_set *set) {
	uint64_t first = 0;

	for (size_t i = 0; i < set->count; i++) {
		struct tm end;
		uint64_t at;

		if (ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(set->item[i].context)), &end) != 1)
			continue;
		/* One that ended before 1970 is not none. */
		at = timegm(&end) > 0 ? (uint64_t)timegm(&end) : 1;
		if (first == 0 || at < first)
			first = at;
	}
	stat_set(STAT_tls_certificate_end, first * 1000000);
}

/* --- life --- */

struct tls *tls_new(struct slice bundle, const struct tls_settings *settings, struct errbuf *e) {
	struct tls *t = mem_zalloc(sizeof(*t));

	if (staple_index < 0)
		staple_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_staple);
	t->settings = *settings;
	/* Asked once: later this process may be in a sandbox. */
	t->settings.use_kernel = settings->use_kernel && kernel_has_tls();
	t->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	if (t->ticket_cipher == NULL || !set_init(t, &t->set, bundle, e))
		tls_free(&t);
	else
		count_end(&t->set);
	return t;
}

void tls_free(struct tls **t) {
	if (*t == NULL)
		return;
	set_fini(&(*t)->set);
	EVP_CIPHER_free((*t)->ticket_cipher);
	mem_free(*t);
	*t = NULL;
}

bool tls_replace(struct tls *t, struct slice bundle, struct errbuf *e) {
	struct certificate_set fresh;

	if (!set_init(t, &fresh, bundle, e)) {
		set_fini(&fresh);
		return false;
	}
	set_fini(&t->set);
	t->set = fresh;
	count_end(&t->set);
	return true;
}

static void describe_one(const struct certificate *c, struct buf *out) {
	const X509 *x = SSL_CTX_get0_certificate(c->context);
	struct tm end;

	buf_addf(out, "%s%s", out->len > 0 ? ", " : "", c->name);
	if (ASN1_TIME_to_tm(X509_get0_notAfter(x), &end) == 1)
		buf_addf(out, " until %04d-%02d-%02d", end.tm_year + 1900, end.tm_mon + 1, end.tm_mday);
	if (X509_cmp_current_time(X509_get0_notAfter(x)) < 0)
		buf_add_text(out, " (expired)");
}

void tls_describe(const struct tls *t, struct buf *out) {
	for (size_t i = 0; i < t->set.count; i++)
		describe_one(&t->set.item[i], out);
}

/* --- connections --- */

static void count_handshakes(struct tls *t, int change) {
	t->handshakes += (size_t)change;
	stat_set(STAT_tls_handshakes_now, t->handshakes);
}

struct ssl_st *tls_begin(struct tls *t, int fd) {
	SSL *ssl;

	if (t->handshakes >= t->settings.handshakes_max) {
		errno = EUSERS;
		return NULL;
	}
	ssl = SSL_new(t->set.item[0].context);
	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		ERR_clear_error();
		errno = ENOMEM;
		return NULL;
	}
	SSL_set_accept_state(ssl);
	count_handshakes(t, 1);
	return ssl;
}

void tls_handshake_end(struct ssl_st *ssl, bool is_done) {
	count_handshakes(tls_of(ssl), -1);
	if (!is_done)
		return;
	stat_add(STAT_tls_handshakes, 1);
	if (SSL_session_reused(ssl))
		stat_add(STAT_tls_resumptions, 1);
	if (BIO_get_ktls_send(SSL_get_wbio(ssl)))
		stat_add(STAT_tls_kernel, 1);
}
