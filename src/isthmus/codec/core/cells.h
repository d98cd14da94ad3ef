/* One cell at a time: what cannot run ahead of the symbols (docs/codec.md, "Prediction"). In a header, for it is in the innermost loop.
 *
 * Decoding goes as fast as one symbol follows from the one before. So whatever can be known sooner is kept off that way (sums go on
 * from the miss, not from the symbol), what hardly ever happens is branched on, and two rows that do not need each other are
 * decoded side by side.
 */
#ifndef ISTHMUS_CELLS_H
#define ISTHMUS_CELLS_H

#include <stdlib.h>

#include "planes.h"
#include "rans.h"

enum {
    ONE_BITS = 12,
    ONE = 1 << ONE_BITS, /* a step of one code, in predicted values */
    ERROR_SHIFT = 6,     /* errors are kept in 1/64 code */
    CHANGE_UNIT = 64,    /* and distances from the reference too */
    EXPECTED_SHIFT = 7,  /* thresholds are in 1/128 code, sums of errors in 1/16384 */
    EXPECTED_END = THRESHOLD_MAX << EXPECTED_SHIFT,
};

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

INLINE Alphabet alphabet_of(const Model *model) {
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

/* One row in work; pointers to its first cells. */
typedef struct {
    int16_t *values, *errors, *changes;
    const int16_t *references;
    const int32_t *value_sums, *error_sums; /* without the cells to the left */
    uint8_t *symbols;
    Trail value, error, change;
    int32_t value_near; /* the nearer cell's part of the next value */
} Lane;

/* What all rows share; at hand, for a compiler must suppose that writing a symbol changes whatever it could point at. */
typedef struct {
    const Slice *slices;
    const uint8_t *levels, *owners;
    Alphabet alphabet;
    int alphabet_bits, mask, fraction_shift;
    Slice *found; /* where the next slice goes, if encoding */
    Decoder decoder;
} Run;

INLINE Run run_of(const Model *model, Decoder decoder, Slice *found) {
    return (Run){
        .slices = model->slices,
        .levels = model->levels,
        .owners = model->owners,
        .alphabet = alphabet_of(model),
        .alphabet_bits = model->alphabet_bits,
        .mask = (1 << model->bits) - 1,
        .fraction_shift = ONE_BITS - 1 - model->fraction_bits,
        .found = found,
        .decoder = decoder,
    };
}

/* Code the cell in column `x`. */
INLINE void code_cell(Lane *lane, Run *run, int x, int decoding, int temporal) {
    int32_t value = clamp(lane->value_sums[x] + trail_far(lane->value) + lane->value_near, run->mask * ONE);
    int nearest = (value + ONE / 2) >> ONE_BITS;
    int distance = value - nearest * ONE, minus = -(distance < 0);
    int32_t expected = lane->error_sums[x] + trail_far(lane->error) + trail_near(lane->error);
    if (temporal) expected += trail_far(lane->change) + trail_near(lane->change);
    if (UNLIKELY((uint32_t)expected >= (uint32_t)EXPECTED_END)) expected = expected < 0 ? 0 : EXPECTED_END - 1;
    size_t context = (size_t)(run->levels[expected >> EXPECTED_SHIFT] + ((distance ^ minus) >> run->fraction_shift));
    const Slice *slices = run->slices + (context << run->alphabet_bits);
    int32_t weight = lane->value.weight.near, error;
    int symbol;
    if (decoding) {
        int miss = decode_miss(&run->decoder, run->alphabet, slices, run->owners + context * RUNS);
        int found = nearest + negate_if(minus, miss);
        symbol = found & run->mask;
        /* The same as below, without waiting for the symbol. */
        error = abs(miss * ONE - negate_if(minus, distance));
        lane->value_near = weight * nearest + negate_if(minus, weight) * miss;
        if (UNLIKELY(symbol != found)) {
            error = abs(symbol * ONE - value);
            lane->value_near = weight * symbol;
        }
        lane->symbols[x] = (uint8_t)symbol;
    } else {
        symbol = lane->symbols[x];
        error = abs(symbol * ONE - value);
        lane->value_near = weight * symbol;
        run->found = encode_miss(run->found, run->alphabet, slices, negate_if(minus, symbol - nearest));
    }
    trail_step(&lane->value, lane->values + x, symbol);
    trail_step(&lane->error, lane->errors + x, error >> ERROR_SHIFT);
    if (temporal) trail_step(&lane->change, lane->changes + x, abs(symbol - lane->references[x]) * CHANGE_UNIT);
}

#endif
