/* tls - OpenSSL as a client */
#include "tests/load/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "tests/load/shared.h"

static SSL_CTX *context;

bool tls_init(const struct options *o, struct errbuf *err) {
	context = SSL_CTX_new(TLS_client_method());
	if (context == NULL)
		return errbuf_set(err, "OpenSSL: no context");
	/* What waits may have moved to another buffer until it is offered again. */
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_verify(context, o->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	if (o->ca != NULL && SSL_CTX_load_verify_locations(context, o->ca, NULL) != 1)
		return errbuf_set(err, "--ca=%s: no PEM file of certificates", o->ca);
	if (o->ca == NULL && !o->insecure && SSL_CTX_set_default_verify_paths(context) != 1)
		return errbuf_set(err, "the system has no certificates of authorities: --ca=FILE or --insecure");
	return true;
}

struct ssl_st *tls_new(int fd, const struct options *o) {
	SSL *tls = SSL_new(context);
	struct in6_addr ignored;
	bool is_address = o->target.is_literal || inet_pton(AF_INET, o->target.host, &ignored) == 1;

	if (tls == NULL || SSL_set_fd(tls, fd) != 1)
		die(NULL, "OpenSSL: no memory for a connection");
	/* Addresses have no place in SNI (RFC 6066, 3). */
	if (is_address)
		X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), o->target.host);
	else if (SSL_set_tlsext_host_name(tls, o->target.host) != 1 || SSL_set1_host(tls, o->target.host) != 1)
		die(NULL, "OpenSSL: %s is no name for a certificate", o->target.host);
	SSL_set_connect_state(tls);
	return tls;
}

void tls_free(struct ssl_st *tls) {
	SSL_free(tls);
}

static bool has_to_wait(SSL *tls, int result) {
	int error = SSL_get_error(tls, result);

	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

int tls_handshake(struct ssl_st *tls) {
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(tls);
	return result == 1 ? 1 : has_to_wait(tls, result) ? 0 : -1;
}

/* errno for what is not there. */
static ssize_t failed(SSL *tls, int result) {
	int error = SSL_get_error(tls, result);

	if (error == SSL_ERROR_ZERO_RETURN)
		return 0;
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		errno = EAGAIN;
	else if (error != SSL_ERROR_SYSCALL || errno == 0)
		errno = EPROTO;
	return -1;
}

ssize_t tls_recv(struct ssl_st *tls, void *out, size_t size) {
	size_t got = 0;
	int result;

	ERR_clear_error();
	errno = 0;
	result = SSL_read_ex(tls, out, size, &got);
	return result == 1 ? (ssize_t)got : failed(tls, result);
}

ssize_t tls_send(struct ssl_st *tls, const void *bytes, size_t len) {
	size_t took = 0;
	int result;

	if (len == 0)
		return 0;
	ERR_clear_error();
	errno = 0;
	result = SSL_write_ex(tls, bytes, len, &took);
	if (result == 1)
		return (ssize_t)took;
	if (failed(tls, result) == 0)
		errno = EPIPE;
	return -1;
}

const char *tls_problem(struct ssl_st *tls) {
	long verified = SSL_get_verify_result(tls);
	unsigned long error = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(error);

	if (verified != X509_V_OK && ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return X509_verify_cert_error_string(verified);
	return reason != NULL ? reason : "the server ended the connection";
}
