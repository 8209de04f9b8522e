/*
 * fuzz_json - any text, taken apart by json_read and by jansson
 *
 * Input: the text.
 */
#include "server/proto/json_scan.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/json_compared.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct slice text = slice_of(data, size);

	BUG_ON(json_plain_len(text) != json_plain_len_portable(text));
	json_compare(text);
	return 0;
}
