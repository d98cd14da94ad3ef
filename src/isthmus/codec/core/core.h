/* Modes `intra` and `temporal`: symbols of a frame to bytes and back. Plain C99, integers only, no Python in here.
 *
 * docs/codec.md defines every step; predictor.py and rans.py say the same in Python and are what this is tested against.
 * Nothing is believed: `model_read` checks a table word by word, `frame_decode` ends in bounded time on any bytes. Sums stay
 * inside 32 bits for every table that `model_read` accepts, and no negative number is shifted.
 */
#ifndef ISTHMUS_CORE_H
#define ISTHMUS_CORE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline, unused))
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#else
#define INLINE static inline
#define UNLIKELY(condition) (condition)
#endif

enum { LEVELS = 16, PROBABILITY_BITS = 12, REACH = 2, THRESHOLD_MAX = 8192 };

typedef struct {
    int plane, channel, row, column, weight;
} Tap;

/* Weights of the two cells to the left in the row in work; taps of the same place add up. */
typedef struct {
    int32_t near, far;
} Left;

/* An offset and taps in the order in which their cells come to be known: those of `finished` planes, those of rows `above` in the
 * channel in work and of the other channel of the pair, and, summed up in `left` by plane, the ones to the left. */
typedef struct {
    int32_t offset;
    int count, finished, above;
    Tap *taps;
    Left left[2];
} Sum;

typedef struct {
    Sum first_value, value, first_error, error;
} ChannelModel;

/* The slots that a coded miss owns in one context. */
typedef struct {
    uint16_t frequency, start;
    uint32_t reciprocal; /* 2^(31 + shift) / frequency, rounded up (Granlund and Montgomery 1994) */
    uint32_t shift;      /* 2^shift is the least power of two that is not below the frequency */
} Slice;

enum { RECIPROCAL_BITS = 31 };

INLINE Slice slice_of(int frequency, int start) {
    unsigned shift = 0;
    while (1 << shift < frequency) shift++;
    uint64_t reciprocal = (((uint64_t)1 << (RECIPROCAL_BITS + shift)) + (uint64_t)frequency - 1) / (uint64_t)frequency;
    return (Slice){(uint16_t)frequency, (uint16_t)start, (uint32_t)reciprocal, shift};
}

/* Where the search for a slot's owner begins: one entry for each run of slots. */
enum { RUN_BITS = 4, RUNS = 1 << (PROBABILITY_BITS - RUN_BITS) };

/* One tensor with its table, ready for work. */
typedef struct {
    int channels, rows, columns, bits, alphabet_bits, fractions, fraction_bits, temporal;
    uint8_t *starts;
    ChannelModel *models;
    Tap *taps;
    uint8_t *levels;  /* [THRESHOLD_MAX]: first context of the level, by expected error */
    Slice *slices;    /* [context][coded miss] */
    uint8_t *owners;  /* [context][RUNS]: which coded miss owns the first slot of a run */
} Model;

typedef enum {
    CORE_OK = 0,
    CORE_MEMORY,     /* malloc failed */
    CORE_TABLE,      /* the words are not a table of this tensor */
    CORE_SYMBOL,     /* a symbol is too large for its bits */
    CORE_BODY,       /* the bytes are not a body of these tensors */
} Status;

/* Read a table for a tensor of the given size. On failure there is nothing to free. */
Status model_read(Model *model, int channels, int rows, int columns, const int16_t *words, size_t count);
void model_free(Model *model);

/* Codes in one tensor. */
size_t model_size(const Model *model);

/* The most bytes that `frame_encode` writes for `size` symbols. */
size_t body_bytes_max(size_t size);

/* Encode the symbols of all tensors, one after the other; `reference` are those of an earlier frame, or NULL.
 * `body` has room for `body_bytes_max` bytes; `length` tells how many of them, from its start, are the body. */
Status frame_encode(const Model *models, int count, const uint8_t *symbols, const uint8_t *reference, uint8_t *body,
                    size_t *length);

/* Decode a body into `symbols`. */
Status frame_decode(const Model *models, int count, const uint8_t *body, size_t length, const uint8_t *reference,
                    uint8_t *symbols);

#endif
