#include "planes.h"

#include <stdlib.h>
#include <string.h>

Status work_make(Work *work, const Model *model) {
    size_t rows = (size_t)model->rows + 2 * REACH, stride = (size_t)model->columns + 2 * REACH;
    size_t cells = rows * stride, kinds = model->temporal ? 4 : 2;
    size_t all = cells * (size_t)model->channels;
    work->stride = (int)stride;
    work->plane_cells = cells;
    work->cells = calloc(all * kinds, sizeof *work->cells);
    work->value_sums = malloc(2 * cells * sizeof *work->value_sums);
    if (!work->cells || !work->value_sums) return CORE_MEMORY;
    work->error_sums = work->value_sums + cells;
    size_t origin = REACH * stride + REACH;
    work->planes[VALUES] = work->cells + origin;
    work->planes[ERRORS] = work->cells + all + origin;
    work->planes[REFERENCES] = model->temporal ? work->cells + 2 * all + origin : NULL;
    work->planes[CHANGES] = model->temporal ? work->cells + 3 * all + origin : NULL;
    return CORE_OK;
}

void work_free(Work *work) {
    free(work->cells);
    free(work->value_sums);
}

void close_row(int16_t *row, int columns) {
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
            close_row(row, model->columns);
        }
        copy_row(plane, work->stride, 0, -1);
        copy_row(plane, work->stride, model->rows - 1, 1);
    }
    return highest >> model->bits ? CORE_SYMBOL : CORE_OK;
}

/* Cells with their weights; several at a time, so that sums are not loaded and stored for each. */
typedef struct {
    const int16_t *cells[4];
    int16_t weights[4];
    int count;
} Runs;

static void add_runs(const Runs *runs, int32_t *restrict sums, size_t count) {
    const int16_t *restrict a = runs->cells[0], *restrict b = runs->cells[1];
    const int16_t *restrict c = runs->cells[2], *restrict d = runs->cells[3];
    int16_t wa = runs->weights[0], wb = runs->weights[1], wc = runs->weights[2], wd = runs->weights[3];
    for (size_t i = 0; i < count; i++) sums[i] += wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i];
}

/* Take in one more run, and add all up when there are four, or when there is no more (`cells` NULL). */
static void push_run(Runs *runs, const int16_t *cells, int weight, int32_t *sums, size_t count) {
    if (cells) {
        runs->cells[runs->count] = cells;
        runs->weights[runs->count++] = (int16_t)weight;
    }
    if (runs->count == 0 || (cells && runs->count < 4)) return;
    for (int i = runs->count; i < 4; i++) {
        runs->cells[i] = runs->cells[0];
        runs->weights[i] = 0;
    }
    add_runs(runs, sums, count);
    runs->count = 0;
}

/* The kind of plane that a tap of a value or error sum looks at. */
static int kind_of(const Tap *tap, int error) {
    static const int kinds[2][2] = {{VALUES, REFERENCES}, {ERRORS, CHANGES}};
    return kinds[error][tap->plane];
}

static int is_growing(const Tap *tap, int own, int error) {
    return tap->channel == own && (error || tap->plane == 0);
}

void sum_finished(const Work *work, const Sum *sum, int own, int error, int32_t *sums, int row, size_t count) {
    sums += (ptrdiff_t)row * work->stride;
    for (size_t i = 0; i < count; i++) sums[i] = sum->offset;
    Runs runs = {.count = 0};
    for (const Tap *tap = sum->taps; tap < sum->taps + sum->count; tap++) {
        if (is_growing(tap, own, error)) continue;
        ptrdiff_t away = (ptrdiff_t)(row + tap->row) * work->stride + tap->column;
        push_run(&runs, plane_of(work, kind_of(tap, error), tap->channel) + away, tap->weight, sums, count);
    }
    push_run(&runs, NULL, 0, sums, count);
}

void sum_above(const Work *work, const Sum *sum, int own, int error, int32_t *sums, int row, int columns) {
    sums += (ptrdiff_t)row * work->stride;
    Runs runs = {.count = 0};
    for (const Tap *tap = sum->taps; tap < sum->taps + sum->count; tap++) {
        if (!is_growing(tap, own, error) || tap->row == 0) continue;
        ptrdiff_t away = (ptrdiff_t)(row + tap->row) * work->stride + tap->column;
        push_run(&runs, plane_of(work, kind_of(tap, error), own) + away, tap->weight, sums, (size_t)columns);
    }
    push_run(&runs, NULL, 0, sums, (size_t)columns);
}

Left left_of(const Sum *sum, int own, int error, int plane) {
    Left left = {0, 0};
    for (const Tap *tap = sum->taps; tap < sum->taps + sum->count; tap++) {
        if (tap->plane != plane || !is_growing(tap, own, error) || tap->row != 0) continue;
        *(tap->column == -1 ? &left.near : &left.far) += tap->weight;
    }
    return left;
}
