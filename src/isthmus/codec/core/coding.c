/* Goes through the tensors of a frame: channels in pairs, rows side by side (docs/codec.md, "Order").
 *
 * Theory of operation. What a sum takes from finished planes is added up for a whole plane at once, what it takes from rows above,
 * and from the other channel of the pair, for a whole row: loops that are vector instructions. Only the two symbols to the left
 * are left for `code_cell`, which must go code by code.
 */
#include "cells.h"

/* The second channel of a pair is so many rows behind: what it looks at in the first one is known. */
enum { LAG = REACH + 1 };

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

static Lefts lefts_of(const Sum *value, const Sum *error) {
    return (Lefts){value->left[0], error->left[0], error->left[1]};
}

/* A channel in work, the first or second of its pair. */
typedef struct {
    const ChannelModel *sums;
    Lefts first, below;
    int16_t *planes[3];
    int32_t *value_sums, *error_sums;
    uint8_t *symbols;
    int number;
} Channel;

static Channel open_channel(const Coding *coding, int number, int second, uint8_t *symbols) {
    const Model *model = coding->model;
    const Work *work = &coding->work;
    const ChannelModel *sums = &model->models[number];
    Channel channel = {
        .sums = sums,
        .first = lefts_of(&sums->first_value, &sums->first_error),
        .below = lefts_of(&sums->value, &sums->error),
        .planes = {plane_of(work, VALUES, number), plane_of(work, ERRORS, number)},
        .value_sums = work->value_sums[second],
        .error_sums = work->error_sums[second],
        .symbols = symbols,
        .number = number,
    };
    if (model->temporal) channel.planes[2] = plane_of(work, CHANGES, number);
    sum_finished(work, &sums->first_value, 0, channel.value_sums, 0, (size_t)model->columns);
    sum_finished(work, &sums->first_error, 1, channel.error_sums, 0, (size_t)model->columns);
    if (model->rows > 1) {
        size_t rest = (size_t)(model->rows - 1) * (size_t)work->stride - 2 * REACH;
        sum_finished(work, &sums->value, 0, channel.value_sums, 1, rest);
        sum_finished(work, &sums->error, 1, channel.error_sums, 1, rest);
    }
    return channel;
}

/* Cells to the left of a row that begins: the first one of the row above, or `start` where there is none. */
INLINE void open_margin(int16_t *plane, int stride, int row, int start) {
    int16_t *cells = plane + (ptrdiff_t)row * stride;
    cells[-1] = cells[-2] = (int16_t)(row ? cells[-stride] : start);
}

INLINE Lane open_row(const Coding *coding, const Channel *channel, int row, int temporal) {
    const Model *model = coding->model;
    const Work *work = &coding->work;
    const ChannelModel *sums = channel->sums;
    sum_above(work, row ? &sums->value : &sums->first_value, 0, channel->value_sums, row, model->columns);
    sum_above(work, row ? &sums->error : &sums->first_error, 1, channel->error_sums, row, model->columns);
    int start = model->starts[channel->number];
    for (int k = 0; k < 2 + temporal; k++) open_margin(channel->planes[k], work->stride, row, k ? 0 : start);
    Lefts lefts = row ? channel->below : channel->first;
    ptrdiff_t away = (ptrdiff_t)row * work->stride;
    Lane lane = {
        .values = channel->planes[0] + away,
        .errors = channel->planes[1] + away,
        .value_sums = channel->value_sums + away,
        .error_sums = channel->error_sums + away,
        .symbols = channel->symbols + (size_t)row * (size_t)model->columns,
    };
    lane.value = trail_of(lefts.value, lane.values);
    lane.error = trail_of(lefts.error, lane.errors);
    lane.value_near = trail_near(lane.value);
    if (temporal) {
        lane.changes = channel->planes[2] + away;
        lane.references = plane_of(work, REFERENCES, channel->number) + away;
        lane.change = trail_of(lefts.change, lane.changes);
    }
    return lane;
}

INLINE void close_row(const Coding *coding, const Channel *channel, int row, int temporal) {
    const Model *model = coding->model;
    int stride = coding->work.stride;
    for (int k = 0; k < 2 + temporal; k++) {
        close_margins(channel->planes[k] + (ptrdiff_t)row * stride, model->columns);
        if (row == 0) copy_row(channel->planes[k], stride, 0, -1);
        if (row == model->rows - 1) copy_row(channel->planes[k], stride, row, 1);
    }
}

/* Rows of one channel, or of two if `other` is not NULL, column by column. */
INLINE void code_rows(Coding *coding, Lane *one, Lane *other, int decoding, int temporal) {
    Decoder none = {0, NULL, NULL, 0};
    Run run = run_of(coding->model, decoding ? *coding->decoder : none, coding->slices);
    for (int x = 0; x < coding->model->columns; x++) {
        code_cell(one, &run, x, decoding, temporal);
        if (other) code_cell(other, &run, x, decoding, temporal);
    }
    coding->slices = run.found;
    if (decoding) *coding->decoder = run.decoder;
}

INLINE void code_pair(Coding *coding, int number, uint8_t *symbols, int decoding, int temporal) {
    const Model *model = coding->model;
    int rows = model->rows, lag = rows < LAG ? rows : LAG, is_pair = number + 1 < model->channels;
    Channel first = open_channel(coding, number, 0, symbols), second = first;
    if (is_pair) second = open_channel(coding, number + 1, 1, symbols + (size_t)rows * (size_t)model->columns);
    for (int step = 0; step < (is_pair ? rows + lag : rows); step++) {
        int late = step - lag, is_late = is_pair && late >= 0;
        if (step < rows && is_late) {
            Lane one = open_row(coding, &first, step, temporal), other = open_row(coding, &second, late, temporal);
            code_rows(coding, &one, &other, decoding, temporal);
        } else {
            Lane one = step < rows ? open_row(coding, &first, step, temporal) : open_row(coding, &second, late, temporal);
            code_rows(coding, &one, NULL, decoding, temporal);
        }
        if (step < rows) close_row(coding, &first, step, temporal);
        if (is_late) close_row(coding, &second, late, temporal);
    }
}

/* A compiler makes four loops of this, each without the questions. */
static void code_channels(Coding *coding, uint8_t *symbols) {
    size_t size = (size_t)coding->model->rows * (size_t)coding->model->columns;
    int decoding = coding->decoder != NULL, temporal = coding->model->temporal;
    for (int number = 0; number < coding->model->channels; number += 2, symbols += 2 * size) {
        if (decoding && temporal) code_pair(coding, number, symbols, 1, 1);
        else if (decoding) code_pair(coding, number, symbols, 1, 0);
        else if (temporal) code_pair(coding, number, symbols, 0, 1);
        else code_pair(coding, number, symbols, 0, 0);
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
    uint32_t state = (uint32_t)body[0] << 24 | (uint32_t)body[1] << 16 | (uint32_t)body[2] << 8 | body[3];
    if (state < STATE_MIN || state >> (STATE_BITS + WORD_BITS)) return CORE_BODY;
    Decoder decoder = {state, body + STATE_BYTES, body + length, 0};
    Slice *none = NULL;
    Status status = code_frame(models, count, symbols, reference, &decoder, &none);
    if (status != CORE_OK) return status;
    int complete = decoder.state == STATE_MIN && decoder.next == decoder.end && !decoder.broken;
    return complete ? CORE_OK : CORE_BODY;
}
