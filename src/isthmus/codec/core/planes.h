/* The planes of one tensor while it is coded, and the weighted sums over them.
 *
 * Every plane has a margin of REACH cells, so that neighbours are read without a question (docs/codec.md, "Neighbours").
 */
#ifndef ISTHMUS_PLANES_H
#define ISTHMUS_PLANES_H

#include "core.h"

/* The planes of one tensor, all of the same layout; a pointer to a plane points at its cell (0, 0). */
typedef struct {
    int stride;
    size_t plane_cells;
    int16_t *cells;                   /* what was allocated */
    int16_t *planes[4];               /* first planes of VALUES .. CHANGES */
    int32_t *value_sums[2], *error_sums[2]; /* one plane each for both channels of a pair */
} Work;

/* Cells that vector instructions take at once; a row has room for whole runs of them. */
enum { LANES = 8 };

INLINE size_t whole_lanes(int columns) {
    return ((size_t)columns + LANES - 1) / LANES * LANES;
}

enum { VALUES, REFERENCES, ERRORS, CHANGES };

INLINE int16_t *plane_of(const Work *work, int kind, int channel) {
    return work->planes[kind] + (size_t)channel * work->plane_cells;
}

/* Planes of zeros; `work` must be freed whatever comes back. */
Status work_make(Work *work, const Model *model);
void work_free(Work *work);

/* Fill the planes of the reference from its symbols. */
Status load_reference(const Work *work, const Model *model, const uint8_t *reference);

/* What lies beyond the ends of a finished row is its last cell. */
void close_margins(int16_t *row, int columns);

/* What lies above the first row (step -1), or below the last (step 1), is that row. */
void copy_row(int16_t *plane, int stride, int from, int step);

/* Offset and finished planes, for `count` cells from row `row` on; `error`: of an error sum. */
void sum_finished(const Work *work, const Sum *sum, int error, int32_t *sums, int row, size_t count);

/* The rows above in the channel in work, and the other channel of the pair; up to LANES - 1 cells behind the row are written too. */
void sum_above(const Work *work, const Sum *sum, int error, int32_t *sums, int row, int columns);

#endif
