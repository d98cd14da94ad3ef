/* Predicts the symbols of a frame, and codes what the prediction missed (docs/codec.md, "Prediction").
 *
 * Theory of operation. What a sum takes from finished planes is added up for a whole plane at once, what it takes from rows above
 * for a whole row: loops that compilers turn into vector instructions. Only the two symbols to the left are left for the loop
 * that must go code by code.
 */
#include <stdlib.h>

#include "planes.h"
#include "rans.h"

enum {
    ONE_BITS = 12,
    ONE = 1 << ONE_BITS, /* a step of one code, in predicted values */
    ERROR_SHIFT = 6,     /* errors are kept in 1/64 code */
    CHANGE_UNIT = 64,    /* and distances from the reference too */
    EXPECTED_SHIFT = 7,  /* thresholds are in 1/128 code, sums of errors in 1/16384 */
};

/* One direction for one tensor: symbols go in and slices out, or symbols come out of a decoder. */
typedef struct {
    const Model *model;
    Work work;
    Decoder *decoder;
    Slice *slices;
} Coding;

typedef struct {
    Left value, error, change;
} Lefts;

static Lefts lefts_of(const Sum *value, const Sum *error, int own) {
    return (Lefts){left_of(value, own, 0, 0), left_of(error, own, 1, 0), left_of(error, own, 1, 1)};
}

/* The two cells to the left, kept at hand, and their weights. */
typedef struct {
    Left weight;
    int32_t near, far;
} Trail;

INLINE Trail trail_of(Left weight, const int16_t *row) {
    return (Trail){weight, row[-1], row[-2]};
}

/* Apart, for the nearer one is waited for. */
INLINE int32_t trail_far(Trail trail) {
    return trail.weight.far * trail.far;
}

INLINE int32_t trail_near(Trail trail) {
    return trail.weight.near * trail.near;
}

INLINE void trail_step(Trail *trail, int16_t *cell, int32_t found) {
    *cell = (int16_t)found;
    trail->far = trail->near;
    trail->near = found;
}

INLINE int32_t clamp(int32_t number, int32_t highest) {
    number = number < 0 ? 0 : number;
    return number > highest ? highest : number;
}

/* `number`, negated if `minus` is -1 and not if it is 0. */
INLINE int negate_if(int minus, int number) {
    return (number ^ minus) - minus;
}

/* How misses are coded (misses.py). */
typedef struct {
    int bits, half, escapes;
} Alphabet;

static Alphabet alphabet_of(const Model *model) {
    return (Alphabet){model->bits, 1 << (model->alphabet_bits - 1), model->alphabet_bits < model->bits};
}

/* `number` modulo 2 half, between -half and half - 1. */
INLINE int wrap(int number, int half) {
    return ((number & (2 * half - 1)) ^ half) - half;
}

INLINE int decode_miss(Decoder *decoder, Alphabet alphabet, const Slice *slices, const uint8_t *owners) {
    int coded = decode_symbol(decoder, slices, owners);
    if (!alphabet.escapes || coded != alphabet.half) return (coded ^ alphabet.half) - alphabet.half;
    int miss = wrap(decode_plain(decoder, alphabet.bits), 1 << (alphabet.bits - 1));
    /* An escape that was not needed: no encoder writes that. */
    if (abs(miss) < alphabet.half) decoder->broken = 1;
    return miss;
}

/* Writes one slice, or two, and gives the place of the next one. */
INLINE Slice *encode_miss(Slice *next, Alphabet alphabet, const Slice *slices, int miss) {
    miss = wrap(miss, 1 << (alphabet.bits - 1));
    if (alphabet.escapes && abs(miss) >= alphabet.half) {
        *next++ = slices[alphabet.half];
        *next++ = plain_slice(miss & ((1 << alphabet.bits) - 1), alphabet.bits);
    } else {
        *next++ = slices[miss & (2 * alphabet.half - 1)];
    }
    return next;
}

/* One row, code by code: the only part that cannot run ahead. */
INLINE void code_row(Coding *coding, Lefts lefts, int channel, int row, uint8_t *symbols, int decoding, int temporal) {
    const Model *model = coding->model;
    const Work *work = &coding->work;
    ptrdiff_t away = (ptrdiff_t)row * work->stride;
    int16_t *values = plane_of(work, VALUES, channel) + away, *errors = plane_of(work, ERRORS, channel) + away;
    int16_t *changes = temporal ? plane_of(work, CHANGES, channel) + away : NULL;
    const int16_t *references = temporal ? plane_of(work, REFERENCES, channel) + away : NULL;
    const int32_t *value_sums = work->value_sums + away, *error_sums = work->error_sums + away;
    Trail value_trail = trail_of(lefts.value, values), error_trail = trail_of(lefts.error, errors);
    Trail change_trail = temporal ? trail_of(lefts.change, changes) : (Trail){{0, 0}, 0, 0};
    /* At hand, for a compiler must suppose that writing a symbol changes whatever it could point at. */
    const Slice *all_slices = model->slices;
    const uint8_t *levels = model->levels, *owners = model->owners;
    Alphabet alphabet = alphabet_of(model);
    int columns = model->columns, alphabet_bits = model->alphabet_bits, mask = (1 << model->bits) - 1;
    int fraction_shift = ONE_BITS - 1 - model->fraction_bits;
    Slice *found = coding->slices;
    Decoder decoder = decoding ? *coding->decoder : (Decoder){0, NULL, NULL, 0};
    for (int x = 0; x < columns; x++) {
        int32_t value = clamp(value_sums[x] + trail_far(value_trail) + trail_near(value_trail), mask * ONE);
        int nearest = (value + ONE / 2) >> ONE_BITS;
        int distance = value - nearest * ONE, minus = -(distance < 0);
        int32_t expected = error_sums[x] + trail_far(error_trail) + trail_near(error_trail);
        if (temporal) expected += trail_far(change_trail) + trail_near(change_trail);
        expected = clamp(clamp(expected, INT32_MAX) >> EXPECTED_SHIFT, THRESHOLD_MAX - 1);
        size_t context = (size_t)(levels[expected] + ((distance ^ minus) >> fraction_shift));
        const Slice *slices = all_slices + (context << alphabet_bits);
        int symbol;
        if (decoding) {
            int miss = decode_miss(&decoder, alphabet, slices, owners + context * RUNS);
            symbols[x] = (uint8_t)(symbol = (nearest + negate_if(minus, miss)) & mask);
        } else {
            symbol = symbols[x];
            found = encode_miss(found, alphabet, slices, negate_if(minus, symbol - nearest));
        }
        trail_step(&value_trail, values + x, symbol);
        trail_step(&error_trail, errors + x, abs(symbol * ONE - value) >> ERROR_SHIFT);
        if (temporal) trail_step(&change_trail, changes + x, abs(symbol - references[x]) * CHANGE_UNIT);
    }
    coding->slices = found;
    if (decoding) *coding->decoder = decoder;
}

/* Cells to the left of a row that begins: the first one of the row above, or `start` where there is none. */
INLINE void open_row(int16_t *plane, int stride, int row, int start) {
    int16_t *cells = plane + (ptrdiff_t)row * stride;
    cells[-1] = cells[-2] = (int16_t)(row ? cells[-stride] : start);
}

INLINE void code_channel(Coding *coding, int channel, uint8_t *symbols, int decoding, int temporal) {
    const Model *model = coding->model;
    const Work *work = &coding->work;
    const ChannelModel *sums = &model->models[channel];
    int rows = model->rows, columns = model->columns, stride = work->stride, kinds = temporal ? 3 : 2;
    int16_t *planes[3] = {plane_of(work, VALUES, channel), plane_of(work, ERRORS, channel),
                          temporal ? plane_of(work, CHANGES, channel) : NULL};
    size_t rest = (size_t)(rows - 1) * (size_t)stride - (rows > 1 ? 2 * REACH : 0);
    sum_finished(work, &sums->first_value, channel, 0, work->value_sums, 0, (size_t)columns);
    sum_finished(work, &sums->first_error, channel, 1, work->error_sums, 0, (size_t)columns);
    if (rows > 1) {
        sum_finished(work, &sums->value, channel, 0, work->value_sums, 1, rest);
        sum_finished(work, &sums->error, channel, 1, work->error_sums, 1, rest);
    }
    Lefts first = lefts_of(&sums->first_value, &sums->first_error, channel);
    Lefts below = lefts_of(&sums->value, &sums->error, channel);
    for (int row = 0; row < rows; row++, symbols += columns) {
        const Sum *value = row ? &sums->value : &sums->first_value, *error = row ? &sums->error : &sums->first_error;
        sum_above(work, value, channel, 0, work->value_sums, row, columns);
        sum_above(work, error, channel, 1, work->error_sums, row, columns);
        for (int k = 0; k < kinds; k++) open_row(planes[k], stride, row, k ? 0 : model->starts[channel]);
        code_row(coding, row ? below : first, channel, row, symbols, decoding, temporal);
        for (int k = 0; k < kinds; k++) {
            close_row(planes[k] + (ptrdiff_t)row * stride, columns);
            if (row == 0) copy_row(planes[k], stride, 0, -1);
        }
    }
    for (int k = 0; k < kinds; k++) copy_row(planes[k], stride, rows - 1, 1);
}

/* A compiler makes four loops of this, each without the questions. */
static void code_channels(Coding *coding, uint8_t *symbols) {
    size_t step = (size_t)coding->model->rows * (size_t)coding->model->columns;
    int decoding = coding->decoder != NULL, temporal = coding->model->temporal;
    for (int c = 0; c < coding->model->channels; c++, symbols += step) {
        if (decoding && temporal) code_channel(coding, c, symbols, 1, 1);
        else if (decoding) code_channel(coding, c, symbols, 1, 0);
        else if (temporal) code_channel(coding, c, symbols, 0, 1);
        else code_channel(coding, c, symbols, 0, 0);
    }
}

static Status code_tensor(Coding *coding, uint8_t *symbols, const uint8_t *reference) {
    Status status = work_make(&coding->work, coding->model);
    if (status == CORE_OK && coding->model->temporal) status = load_reference(&coding->work, coding->model, reference);
    if (status == CORE_OK) code_channels(coding, symbols);
    work_free(&coding->work);
    return status;
}

/* `slices` moves on behind what was written. */
static Status code_frame(const Model *models, int count, uint8_t *symbols, const uint8_t *reference, Decoder *decoder,
                         Slice **slices) {
    for (int i = 0; i < count; i++) {
        Coding coding = {.model = &models[i], .decoder = decoder, .slices = *slices};
        Status status = models[i].temporal && !reference ? CORE_BODY : code_tensor(&coding, symbols, reference);
        if (status != CORE_OK) return status;
        size_t size = model_size(&models[i]);
        symbols += size;
        if (reference) reference += size;
        *slices = coding.slices;
    }
    return CORE_OK;
}

static size_t frame_size(const Model *models, int count) {
    size_t size = 0;
    for (int i = 0; i < count; i++) size += model_size(&models[i]);
    return size;
}

static int in_range(const Model *models, int count, const uint8_t *symbols) {
    unsigned beyond = 0;
    for (int i = 0; i < count; i++) {
        size_t size = model_size(&models[i]);
        for (size_t k = 0; k < size; k++) beyond |= (unsigned)symbols[k] >> models[i].bits;
        symbols += size;
    }
    return !beyond;
}

size_t body_bytes_max(size_t size) {
    /* An escape costs PROBABILITY_BITS at most, and the plain bits after it 8. */
    return size * 5 / 2 + 2 * STATE_BYTES;
}

Status frame_encode(const Model *models, int count, const uint8_t *symbols, const uint8_t *reference, uint8_t *body,
                    size_t *length) {
    size_t size = frame_size(models, count);
    if (!in_range(models, count, symbols)) return CORE_SYMBOL;
    Slice *slices = malloc(2 * size * sizeof *slices);
    if (!slices) return CORE_MEMORY;
    /* Encoding reads the symbols only. */
    Slice *end = slices;
    Status status = code_frame(models, count, (uint8_t *)symbols, reference, NULL, &end);
    if (status == CORE_OK) *length = encode_slices(slices, (size_t)(end - slices), body, body_bytes_max(size));
    free(slices);
    return status;
}

Status frame_decode(const Model *models, int count, const uint8_t *body, size_t length, const uint8_t *reference,
                    uint8_t *symbols) {
    if (length < STATE_BYTES) return CORE_BODY;
    Decoder decoder = {(uint32_t)body[0] << 16 | (uint32_t)body[1] << 8 | body[2], body + STATE_BYTES, body + length, 0};
    if (decoder.state < STATE_MIN) return CORE_BODY;
    Slice *none = NULL;
    Status status = code_frame(models, count, symbols, reference, &decoder, &none);
    if (status != CORE_OK) return status;
    int complete = decoder.state == STATE_MIN && decoder.next == decoder.end && !decoder.broken;
    return complete ? CORE_OK : CORE_BODY;
}
