/* redis_tls - hands hiredis an SSL that checks the server's certificate; hiredis' own context does not check whose it is */
#include "broker/redis/redis_tls.h"

#if __has_include(<hiredis/hiredis_ssl.h>)

#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

bool redis_tls_is_built(void) {
	return true;
}

static bool is_numeric(const char *host) {
	struct in6_addr ip;

	return inet_pton(AF_INET, host, &ip) == 1 || inet_pton(AF_INET6, host, &ip) == 1;
}

/* SNI is for names only (RFC 6066, 3). */
static bool set_peer(SSL *ssl, const char *host) {
	if (is_numeric(host))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	return SSL_set_tlsext_host_name(ssl, host) == 1 && SSL_set1_host(ssl, host) == 1;
}

/* Made at the first use; it stays. */
static SSL_CTX *shared_context(void) {
	static SSL_CTX *context;

	if (context != NULL)
		return context;
	context = SSL_CTX_new(TLS_client_method());
	if (context == NULL)
		return NULL;
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 || SSL_CTX_set_default_verify_paths(context) != 1) {
		SSL_CTX_free(context);
		context = NULL;
	}
	return context;
}

struct ssl_st *redis_tls_start(struct redisContext *c, const char *host, struct errbuf *e) {
	SSL_CTX *context = shared_context();
	SSL *ssl = context != NULL ? SSL_new(context) : NULL;

	if (ssl == NULL || !set_peer(ssl, host)) {
		errbuf_set(e, "TLS cannot be begun: %s", ERR_reason_error_string(ERR_peek_last_error()));
		SSL_free(ssl);
		return NULL;
	}
	/* On success it is the context's. */
	if (redisInitiateSSL(c, ssl) != REDIS_OK) {
		errbuf_set(e, "%s", c->errstr);
		SSL_free(ssl);
		return NULL;
	}
	return ssl;
}

const char *redis_tls_refusal(struct ssl_st *ssl) {
	long result = SSL_get_verify_result(ssl);

	return result == X509_V_OK ? NULL : X509_verify_cert_error_string(result);
}

#else

bool redis_tls_is_built(void) {
	return false;
}

struct ssl_st *redis_tls_start(struct redisContext *c UNUSED, const char *host UNUSED, struct errbuf *e) {
	errbuf_set(e, "the hiredis that this program was built with has no TLS");
	return NULL;
}

const char *redis_tls_refusal(struct ssl_st *ssl UNUSED) {
	return NULL;
}

#endif
