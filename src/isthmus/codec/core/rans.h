/* The entropy coder (docs/codec.md, "Entropy coder"); rans.py says the same. In a header, for it is in the innermost loop. */
#ifndef ISTHMUS_RANS_H
#define ISTHMUS_RANS_H

#include <string.h>

#include "core.h"

enum {
    STATE_BITS = 15, /* the state lies in 2^15 .. 2^31 - 1 and moves by words of 16 bits, never more than one a step */
    WORD_BITS = 16,
    STATE_BYTES = 4,
    WORD_BYTES = 2,
};

#define STATE_MIN ((uint32_t)1 << STATE_BITS)

typedef struct {
    uint32_t state;
    const uint8_t *next, *end;
    int broken;
} Decoder;

INLINE uint32_t slot_of(const Decoder *decoder) {
    return decoder->state & ((1 << PROBABILITY_BITS) - 1);
}

/* Leave a slot that belongs to a slice. */
INLINE void advance(Decoder *decoder, uint32_t frequency, uint32_t start) {
    uint32_t state = frequency * (decoder->state >> PROBABILITY_BITS) + slot_of(decoder) - start;
    if (state < STATE_MIN) {
        if (UNLIKELY(decoder->end - decoder->next < WORD_BYTES)) {
            decoder->broken = 1;
            state = STATE_MIN;
        } else {
            state = state << WORD_BITS | (uint32_t)decoder->next[0] << 8 | decoder->next[1];
            decoder->next += WORD_BYTES;
        }
    }
    decoder->state = state;
}

INLINE int decode_symbol(Decoder *decoder, const Slice *slices, const uint8_t *owners) {
    uint32_t slot = slot_of(decoder);
    int symbol = owners[slot >> RUN_BITS];
    while (slot >= (uint32_t)slices[symbol].start + slices[symbol].frequency) symbol++;
    advance(decoder, slices[symbol].frequency, slices[symbol].start);
    return symbol;
}

/* A number of `bits` bits, all of them equally likely. */
INLINE int decode_plain(Decoder *decoder, int bits) {
    uint32_t number = slot_of(decoder) >> (PROBABILITY_BITS - bits);
    advance(decoder, 1u << (PROBABILITY_BITS - bits), number << (PROBABILITY_BITS - bits));
    return (int)number;
}

INLINE Slice plain_slice(int number, int bits) {
    uint32_t frequency = 1u << (PROBABILITY_BITS - bits);
    return slice_of((int)frequency, number * (int)frequency);
}

/* state / frequency; exact for states below 2^31. */
INLINE uint32_t divide(uint32_t state, Slice slice) {
    return (uint32_t)((uint64_t)state * slice.reciprocal >> (RECIPROCAL_BITS + slice.shift));
}

/* Writes from the end of `body` to its start, last symbol first, as the decoder must meet them in order. */
static size_t encode_slices(const Slice *slices, size_t count, uint8_t *body, size_t room) {
    uint32_t state = STATE_MIN;
    uint8_t *next = body + room;
    while (count--) {
        Slice slice = slices[count];
        uint32_t frequency = slice.frequency;
        if (state >> (STATE_BITS + WORD_BITS - PROBABILITY_BITS) >= frequency) {
            *--next = (uint8_t)state;
            *--next = (uint8_t)(state >> 8);
            state >>= WORD_BITS;
        }
        /* quotient * 4096 + remainder + start, with the remainder written out */
        state += divide(state, slice) * ((1u << PROBABILITY_BITS) - frequency) + slice.start;
    }
    for (int i = 0; i < STATE_BYTES; i++, state >>= 8) *--next = (uint8_t)state;
    size_t length = (size_t)(body + room - next);
    memmove(body, next, length);
    return length;
}

#endif
