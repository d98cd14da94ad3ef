/* libFuzzer harness of the C core: any table, any reference, any body. `make fuzz` builds and runs it under ASan and UBSan.
 *
 * Input: channels u8 | rows u8 | columns u8 | words u16 | table int16[words] | reference uint8[symbols], if temporal | body.
 * Whatever decodes must encode to the bytes that it came from: no two bodies mean the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

enum { HEAD_BYTES = 5, SIZE_MAX_SYMBOLS = 1 << 14 };

static void check_back(const Model *model, const uint8_t *symbols, const uint8_t *reference, const uint8_t *body, size_t length) {
    size_t found = 0;
    uint8_t *again = malloc(body_bytes_max(model_size(model)));
    if (!again) return;
    Status status = frame_encode(model, 1, symbols, reference, again, &found);
    if (status != CORE_OK || found != length || memcmp(again, body, length) != 0) {
        fprintf(stderr, "a body of %zu bytes decodes to symbols that encode to %zu, status %d\n", length, found, (int)status);
        abort();
    }
    free(again);
}

static void decode(const Model *model, const uint8_t *data, size_t length) {
    size_t size = model_size(model);
    const uint8_t *reference = NULL;
    if (model->temporal) {
        if (length < size) return;
        reference = data;
        data += size;
        length -= size;
    }
    uint8_t *symbols = malloc(size);
    if (!symbols) return;
    if (frame_decode(model, 1, data, length, reference, symbols) == CORE_OK) check_back(model, symbols, reference, data, length);
    free(symbols);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    if (length < HEAD_BYTES) return 0;
    int channels = data[0], rows = data[1], columns = data[2];
    size_t words = (size_t)data[3] | (size_t)data[4] << 8;
    data += HEAD_BYTES;
    length -= HEAD_BYTES;
    if (2 * words > length || channels * rows * columns > SIZE_MAX_SYMBOLS) return 0;
    /* A copy of its own, so that reading past the end is seen, and aligned as Python's buffers are. */
    int16_t *table = malloc(2 * words + 1);
    if (!table) return 0;
    memcpy(table, data, 2 * words);
    Model model;
    if (model_read(&model, channels, rows, columns, table, words) == CORE_OK) {
        decode(&model, data + 2 * words, length - 2 * words);
        model_free(&model);
    }
    free(table);
    return 0;
}
