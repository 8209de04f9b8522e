/* listen_address - an address, and perhaps a word behind it */
#include "common/svc/listen_address.h"

#include "common/base/mem.h"

#define PROXY_WORD " proxy_protocol"

bool listen_address_parse(const char *text, struct sock_addr *out, bool *is_proxy, struct errbuf *e) {
	const size_t word = strlen(PROXY_WORD);
	size_t len = strlen(text);
	char *address;
	bool is_good;

	*is_proxy = len > word && strcmp(text + len - word, PROXY_WORD) == 0;
	address = slice_dup_text(slice_trim(slice_of(text, *is_proxy ? len - word : len)));
	is_good = sock_parse(address, out, e);
	mem_free(address);
	return is_good;
}
