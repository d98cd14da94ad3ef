/* Mode `raw`: symbols in just their bits, most significant bit first, runs of different widths one after the other. */
#ifndef ISTHMUS_BITS_H
#define ISTHMUS_BITS_H

#include <stddef.h>
#include <stdint.h>

/* `count` symbols of `bits` (1 to 8) bits each. */
typedef struct {
    size_t count;
    int bits;
} Run;

/* Bytes of all runs, the last one filled up. */
size_t packed_bytes(const Run *runs, int count);

/* Low bits of the symbols to `packed_bytes` bytes; what is above them is not looked at. */
void bits_pack(const Run *runs, int count, const uint8_t *symbols, uint8_t *packed);

/* The way back; 0 if the bits that fill the last byte are not zero. */
int bits_unpack(const Run *runs, int count, const uint8_t *packed, uint8_t *symbols);

#endif
