#include "planes.h"

#include <stdlib.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

Status work_make(Work *work, const Model *model) {
    size_t rows = (size_t)model->rows + 2 * REACH, stride = (size_t)model->columns + 2 * REACH;
    if (stride < whole_lanes(model->columns)) stride = whole_lanes(model->columns);
    size_t cells = rows * stride, kinds = model->temporal ? 4 : 2;
    size_t all = cells * (size_t)model->channels;
    work->stride = (int)stride;
    work->plane_cells = cells;
    work->cells = calloc(all * kinds, sizeof *work->cells);
    work->value_sums[0] = malloc(4 * cells * sizeof *work->value_sums[0]);
    if (!work->cells || !work->value_sums[0]) return CORE_MEMORY;
    work->error_sums[0] = work->value_sums[0] + cells;
    work->value_sums[1] = work->value_sums[0] + 2 * cells;
    work->error_sums[1] = work->value_sums[0] + 3 * cells;
    size_t origin = REACH * stride + REACH;
    work->planes[VALUES] = work->cells + origin;
    work->planes[ERRORS] = work->cells + all + origin;
    work->planes[REFERENCES] = model->temporal ? work->cells + 2 * all + origin : NULL;
    work->planes[CHANGES] = model->temporal ? work->cells + 3 * all + origin : NULL;
    return CORE_OK;
}

void work_free(Work *work) {
    free(work->cells);
    free(work->value_sums[0]);
}

void close_margins(int16_t *row, int columns) {
    for (int i = 1; i <= REACH; i++) {
        row[-i] = row[0];
        row[columns - 1 + i] = row[columns - 1];
    }
}

void copy_row(int16_t *plane, int stride, int from, int step) {
    const int16_t *row = plane + (ptrdiff_t)from * stride - REACH;
    for (int i = 1; i <= REACH; i++) {
        memcpy(plane + (ptrdiff_t)(from + i * step) * stride - REACH, row, (size_t)stride * sizeof *row);
    }
}

Status load_reference(const Work *work, const Model *model, const uint8_t *reference) {
    int highest = 0;
    for (int c = 0; c < model->channels; c++) {
        int16_t *plane = plane_of(work, REFERENCES, c);
        for (int y = 0; y < model->rows; y++, reference += model->columns) {
            int16_t *row = plane + (ptrdiff_t)y * work->stride;
            for (int x = 0; x < model->columns; x++) {
                row[x] = reference[x];
                highest = reference[x] > highest ? reference[x] : highest;
            }
            close_margins(row, model->columns);
        }
        copy_row(plane, work->stride, 0, -1);
        copy_row(plane, work->stride, model->rows - 1, 1);
    }
    return highest >> model->bits ? CORE_SYMBOL : CORE_OK;
}

/* Four taps at a time, so that sums are not loaded and stored for each. */
enum { TOGETHER = 4 };

/* Sums of LANES cells, four taps each; the rest of the cells one by one. */
static void add_taps(const int16_t *const cells[TOGETHER], const int16_t weights[TOGETHER], int32_t *restrict sums, size_t count) {
    const int16_t *restrict a = cells[0], *restrict b = cells[1], *restrict c = cells[2], *restrict d = cells[3];
    int16_t wa = weights[0], wb = weights[1], wc = weights[2], wd = weights[3];
    size_t whole = count / LANES * LANES;
#ifdef __SSE2__
    /* Compilers do not find the instruction that multiplies and adds pairs. */
    __m128i first = _mm_set1_epi32((int32_t)((uint32_t)(uint16_t)wb << 16 | (uint16_t)wa));
    __m128i second = _mm_set1_epi32((int32_t)((uint32_t)(uint16_t)wd << 16 | (uint16_t)wc));
    for (size_t i = 0; i < whole; i += LANES) {
        __m128i va = _mm_loadu_si128((const __m128i *)(a + i)), vb = _mm_loadu_si128((const __m128i *)(b + i));
        __m128i vc = _mm_loadu_si128((const __m128i *)(c + i)), vd = _mm_loadu_si128((const __m128i *)(d + i));
        __m128i low = _mm_add_epi32(_mm_madd_epi16(_mm_unpacklo_epi16(va, vb), first),
                                    _mm_madd_epi16(_mm_unpacklo_epi16(vc, vd), second));
        __m128i high = _mm_add_epi32(_mm_madd_epi16(_mm_unpackhi_epi16(va, vb), first),
                                     _mm_madd_epi16(_mm_unpackhi_epi16(vc, vd), second));
        __m128i *at = (__m128i *)(sums + i);
        _mm_storeu_si128(at, _mm_add_epi32(_mm_loadu_si128(at), low));
        _mm_storeu_si128(at + 1, _mm_add_epi32(_mm_loadu_si128(at + 1), high));
    }
#else
    for (size_t i = 0; i < whole; i++) sums[i] += wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i];
#endif
    for (size_t i = whole; i < count; i++) sums[i] += wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i];
}

/* The kind of plane that a tap of a value or error sum looks at. */
static int kind_of(const Tap *tap, int error) {
    static const int kinds[2][2] = {{VALUES, REFERENCES}, {ERRORS, CHANGES}};
    return kinds[error][tap->plane];
}

/* `sums` begin at row `row`. */
static void sum_taps(const Work *work, const Tap *taps, int tap_count, int error, int32_t *sums, int row, size_t count) {
    for (int first = 0; first < tap_count; first += TOGETHER) {
        const int16_t *cells[TOGETHER];
        int16_t weights[TOGETHER];
        for (int i = 0; i < TOGETHER; i++) {
            /* Where taps run out, the first one stands in with weight 0. */
            const Tap *tap = &taps[first + i < tap_count ? first + i : first];
            cells[i] = plane_of(work, kind_of(tap, error), tap->channel) + (ptrdiff_t)(row + tap->row) * work->stride + tap->column;
            weights[i] = (int16_t)(first + i < tap_count ? tap->weight : 0);
        }
        add_taps(cells, weights, sums, count);
    }
}

void sum_finished(const Work *work, const Sum *sum, int error, int32_t *sums, int row, size_t count) {
    sums += (ptrdiff_t)row * work->stride;
    for (size_t i = 0; i < count; i++) sums[i] = sum->offset;
    sum_taps(work, sum->taps, sum->finished, error, sums, row, count);
}

void sum_above(const Work *work, const Sum *sum, int error, int32_t *sums, int row, int columns) {
    sums += (ptrdiff_t)row * work->stride;
    sum_taps(work, sum->taps + sum->finished, sum->above, error, sums, row, whole_lanes(columns));
}
