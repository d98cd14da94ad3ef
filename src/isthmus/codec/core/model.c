/* Reads a table (docs/codec.md, "The table") and builds what coding looks up. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 1,
    CHANNELS_MAX = 1024,
    VALUE_TAPS_MAX = 48,
    ERROR_TAPS_MAX = 16,
    ERROR_WEIGHT_MAX = 4096,
    TAP_WORDS = 5,
    /* Offsets are stored in coarser units than sums are computed in. */
    VALUE_OFFSET_UNIT = 64,
    ERROR_OFFSET_UNIT = 128,
};

typedef struct {
    const int16_t *next, *end;
    int failed;
} Reader;

static int take(Reader *reader) {
    if (reader->next == reader->end) {
        reader->failed = 1;
        return 0;
    }
    return *reader->next++;
}

static int take_between(Reader *reader, int low, int high) {
    int found = take(reader);
    if (found < low || found > high) {
        reader->failed = 1;
        return low;
    }
    return found;
}

/* What a sum may look at; see `_check_sum` in table.py. */
typedef struct {
    int own, first, error, temporal;
} Place;

/* Whether a tap looks at the channel in work, at what is coded of it; the reference is known from the start. */
static int is_growing(const Tap *tap, Place place) {
    return tap->channel == place.own && (place.error || tap->plane == 0);
}

/* Whether it looks at the first channel of the pair from the second one. */
static int is_in_pair(const Tap *tap, Place place) {
    return place.own % 2 && tap->channel == place.own - 1 && (place.error || tap->plane == 0);
}

static void read_tap(Reader *reader, Tap *tap, Place place) {
    int weight_max = place.error ? ERROR_WEIGHT_MAX : 32767;
    tap->plane = take_between(reader, 0, place.temporal);
    tap->channel = take_between(reader, 0, place.own);
    tap->row = take_between(reader, -REACH, REACH);
    tap->column = take_between(reader, -REACH, REACH);
    tap->weight = take_between(reader, place.error ? -weight_max : -weight_max - 1, weight_max);
    int growing = is_growing(tap, place);
    int before = tap->row < 0 || (tap->row == 0 && tap->column < 0);
    if (growing && (!before || (place.first && tap->row < 0))) reader->failed = 1;
}

/* Bring the taps into the order that Sum tells of. */
static void order_taps(Sum *sum, Place place) {
    for (int i = 0; i < sum->count; i++) {
        Tap tap = sum->taps[i];
        int growing = is_growing(&tap, place), by_row = growing || is_in_pair(&tap, place);
        if (growing && tap.row == 0) {
            Left *left = &sum->left[tap.plane];
            *(tap.column == -1 ? &left->near : &left->far) += tap.weight;
        } else {
            int to = by_row ? sum->finished + sum->above : sum->finished;
            sum->taps[i] = sum->taps[sum->finished + sum->above];
            sum->taps[sum->finished + sum->above] = sum->taps[to];
            sum->taps[to] = tap;
            *(by_row ? &sum->above : &sum->finished) += 1;
        }
    }
}

/* `taps` has room: every tap takes TAP_WORDS words of the table, and `count` was made for all words. */
static Tap *read_sum(Reader *reader, Sum *sum, Tap *taps, Place place) {
    sum->offset = take(reader) * (place.error ? ERROR_OFFSET_UNIT : VALUE_OFFSET_UNIT);
    sum->count = take_between(reader, 0, place.error ? ERROR_TAPS_MAX : VALUE_TAPS_MAX);
    if (reader->end - reader->next < sum->count * TAP_WORDS) {
        reader->failed = 1;
        sum->count = 0;
    }
    sum->taps = taps;
    for (int i = 0; i < sum->count; i++) read_tap(reader, &taps[i], place);
    if (!reader->failed) order_taps(sum, place);
    return taps + sum->count;
}

static void read_levels(Reader *reader, Model *model) {
    int from = 0;
    for (int level = 0; level < LEVELS; level++) {
        int threshold = level < LEVELS - 1 ? take_between(reader, from, THRESHOLD_MAX) : THRESHOLD_MAX;
        memset(model->levels + from, level * model->fractions, (size_t)(threshold - from));
        from = threshold;
    }
}

static void read_context(Reader *reader, Slice *slices, uint8_t *owners, int alphabet) {
    int start = 0, run = 0;
    for (int symbol = 0; symbol < alphabet; symbol++) {
        int frequency = take_between(reader, 1, (1 << PROBABILITY_BITS) - start);
        if (reader->failed) return;
        slices[symbol] = slice_of(frequency, start);
        start += frequency;
        for (; run << RUN_BITS < start; run++) owners[run] = (uint8_t)symbol;
    }
    if (start != 1 << PROBABILITY_BITS) reader->failed = 1;
}

static void read_frequencies(Reader *reader, Model *model) {
    int contexts = LEVELS * model->fractions, alphabet = 1 << model->alphabet_bits;
    for (int context = 0; context < contexts && !reader->failed; context++) {
        read_context(reader, model->slices + context * alphabet, model->owners + context * RUNS, alphabet);
    }
}

static void read_channels(Reader *reader, Model *model) {
    Tap *taps = model->taps;
    for (int c = 0; c < model->channels; c++) model->starts[c] = (uint8_t)take_between(reader, 0, (1 << model->bits) - 1);
    for (int c = 0; c < model->channels; c++) {
        taps = read_sum(reader, &model->models[c].first_value, taps, (Place){c, 1, 0, model->temporal});
        taps = read_sum(reader, &model->models[c].value, taps, (Place){c, 0, 0, model->temporal});
    }
    for (int c = 0; c < model->channels; c++) {
        taps = read_sum(reader, &model->models[c].first_error, taps, (Place){c, 1, 1, model->temporal});
        taps = read_sum(reader, &model->models[c].error, taps, (Place){c, 0, 1, model->temporal});
    }
}

Status model_read(Model *model, int channels, int rows, int columns, const int16_t *words, size_t count) {
    Reader reader = {words, words + count, 0};
    memset(model, 0, sizeof *model);
    take_between(&reader, VERSION, VERSION);
    model->bits = take_between(&reader, 1, 8);
    model->alphabet_bits = take_between(&reader, 1, model->bits);
    model->fractions = take_between(&reader, 1, 8);
    model->temporal = take_between(&reader, 0, 1);
    model->channels = take_between(&reader, 1, CHANNELS_MAX);
    model->rows = rows;
    model->columns = columns;
    int power_of_two = (model->fractions & (model->fractions - 1)) == 0;
    while (1 << model->fraction_bits < model->fractions) model->fraction_bits++;
    if (reader.failed || !power_of_two || model->channels != channels || rows < 1 || columns < 1) return CORE_TABLE;

    size_t contexts = (size_t)LEVELS * (size_t)model->fractions;
    model->starts = malloc((size_t)channels);
    model->models = calloc((size_t)channels, sizeof *model->models);
    model->taps = calloc(count / TAP_WORDS + 1, sizeof *model->taps);
    model->levels = malloc(THRESHOLD_MAX);
    model->slices = malloc((contexts << model->alphabet_bits) * sizeof *model->slices);
    model->owners = malloc(contexts * RUNS);
    Status status = CORE_MEMORY;
    if (model->starts && model->models && model->taps && model->levels && model->slices && model->owners) {
        read_channels(&reader, model);
        read_levels(&reader, model);
        read_frequencies(&reader, model);
        status = reader.failed || reader.next != reader.end ? CORE_TABLE : CORE_OK;
    }
    if (status != CORE_OK) model_free(model);
    return status;
}

void model_free(Model *model) {
    free(model->starts);
    free(model->models);
    free(model->taps);
    free(model->levels);
    free(model->slices);
    free(model->owners);
    memset(model, 0, sizeof *model);
}

size_t model_size(const Model *model) {
    return (size_t)model->channels * (size_t)model->rows * (size_t)model->columns;
}
