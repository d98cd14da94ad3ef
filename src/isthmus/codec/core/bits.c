#include "bits.h"

size_t packed_bytes(const Run *runs, int count) {
    size_t bits = 0;
    for (int i = 0; i < count; i++) bits += runs[i].count * (size_t)runs[i].bits;
    return (bits + 7) / 8;
}

void bits_pack(const Run *runs, int count, const uint8_t *symbols, uint8_t *packed) {
    uint32_t held = 0; /* bits that are not written yet, the last ones at the bottom */
    int waiting = 0;
    for (int i = 0; i < count; i++) {
        const int bits = runs[i].bits;
        const uint32_t mask = (1u << bits) - 1;
        for (size_t left = runs[i].count; left; left--) {
            held = held << bits | (*symbols++ & mask);
            waiting += bits;
            if (waiting >= 8) {
                waiting -= 8;
                *packed++ = (uint8_t)(held >> waiting);
            }
        }
    }
    if (waiting) *packed = (uint8_t)(held << (8 - waiting));
}

int bits_unpack(const Run *runs, int count, const uint8_t *packed, uint8_t *symbols) {
    uint32_t held = 0;
    int waiting = 0;
    for (int i = 0; i < count; i++) {
        const int bits = runs[i].bits;
        const uint32_t mask = (1u << bits) - 1;
        for (size_t left = runs[i].count; left; left--) {
            if (waiting < bits) {
                held = held << 8 | *packed++;
                waiting += 8;
            }
            waiting -= bits;
            *symbols++ = (uint8_t)(held >> waiting & mask);
        }
    }
    return !(held & ((1u << waiting) - 1));
}
