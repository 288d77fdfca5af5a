/* What is measured of the objects of a label map, in one pass over its pixels and one over those of
 * the objects. */
#include "_kernel.h"

#include <stdlib.h>

enum { N_TYPES = 1 << 16, MOST_SPARE_IDS = 1 << 20 };

/* --- runs of equal ids ------------------------------------------------------------------------ */

/* The first pixel from x on that has another value. */
static int32_t end_of(int32_t value, const int32_t *row, int32_t x, int32_t width)
{
    enum { STRIDE = 8 };
    for (; x <= width - STRIDE; x += STRIDE) {
        int32_t differs = 0;
        for (int k = 0; k < STRIDE; k++)
            differs |= row[x + k] ^ value;
        if (differs)
            break;
    }
    while (x < width && row[x] == value)
        x++;
    return x;
}

static int add_label_runs(const Labels *labels, int32_t y, Runs *runs, int32_t *highest)
{
    const int32_t *row = labels_at(labels, y, 0);
    int32_t x = end_of(0, row, 0, labels->width);
    while (x < labels->width) {
        const int32_t stop = end_of(row[x], row, x + 1, labels->width);
        const Run run = {.y = y, .start = x, .stop = stop, .label = row[x]};
        if (run.label < 0)
            return BAD_ID;
        if (run.label > *highest)
            *highest = run.label;
        if (runs_add(runs, run))
            return NO_MEMORY;
        x = end_of(0, row, stop, labels->width);
    }
    return DONE;
}

/* Let the labels of the groups be 1 to n, without those that have no runs; ids[k - 1] is what label
 * k was. */
static int drop_absent(Groups *groups, int32_t **ids)
{
    size_t *first = groups->first;
    const size_t n_runs = first[groups->n_labels + 1];
    *ids = malloc(((size_t)groups->n_labels + 1) * sizeof **ids);
    if (!*ids)
        return NO_MEMORY;
    int32_t n = 0;
    for (int32_t label = 1; label <= groups->n_labels; label++)
        if (first[label + 1] > first[label]) {
            (*ids)[n++] = label;
            first[n] = first[label];
        }
    first[n + 1] = n_runs;
    groups->n_labels = n;
    return DONE;
}

static int find_objects(const Labels *labels, Groups *objects, int32_t **ids)
{
    Runs runs = {0};
    int32_t highest = 0;
    int status = DONE;
    for (int32_t y = 0; y < labels->height && status == DONE; y++)
        status = add_label_runs(labels, y, &runs, &highest);
    if (status == DONE && highest - MOST_SPARE_IDS > (int64_t)labels->height * labels->width)
        status = BAD_ID;
    if (status == DONE)
        status = groups_of(&runs, highest, objects);
    if (status == DONE)
        status = drop_absent(objects, ids);
    runs_free(&runs);
    return status;
}

/* --- one object ------------------------------------------------------------------------------- */

static void measure_shape(const Run *runs, size_t n, Table *table, size_t i)
{
    int64_t area = 0, twice_x = 0, y = 0;
    for (size_t k = 0; k < n; k++) {
        const int64_t length = runs[k].stop - runs[k].start;
        area += length;
        twice_x += length * ((int64_t)runs[k].start + runs[k].stop - 1);
        y += length * runs[k].y;
    }
    table->boxes[i] = runs_box(runs, n);
    table->areas[i] = area;
    table->x_sums[i] = twice_x / 2;
    table->y_sums[i] = y;
}

/* counts are all 0, before and after. */
static void measure_types(
    const Run *runs, size_t n, const uint16_t *types, int32_t width, uint32_t *counts, Table *table,
    size_t i)
{
    for (size_t k = 0; k < n; k++) {
        const uint16_t *row = types + (ptrdiff_t)runs[k].y * width;
        for (int32_t x = runs[k].start; x < runs[k].stop; x++)
            counts[row[x]]++;
    }
    uint16_t best = 0;
    uint32_t most = 0;
    const uint32_t background = counts[0];
    counts[0] = 0;
    for (size_t k = 0; k < n; k++) {
        const uint16_t *row = types + (ptrdiff_t)runs[k].y * width;
        for (int32_t x = runs[k].start; x < runs[k].stop; x++) {
            const uint16_t type = row[x];
            if (counts[type] > most || (counts[type] == most && most && type < best)) {
                best = type;
                most = counts[type];
            }
            counts[type] = 0;
        }
    }
    table->types[i] = best;
    table->type_counts[i] = most ? most : background;
}

static void measure_values(
    const Run *runs, size_t n, const Plane *values, Table *table, size_t i)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++)
        for (int32_t x = runs[k].start; x < runs[k].stop; x++)
            sum += plane_at(values, runs[k].y, x);
    table->value_sums[i] = sum;
}

/* Where the outline begins: at the first pixel of an 8-connected part; of several, the last one in
 * raster order that does not lie in a hole of another. */
static Point outline_start(Run *runs, size_t n, int32_t *gap_parents)
{
    size_t start = 0;
    if (runs_label(runs, n, EIGHT_CONNECTED) > 1) {
        gaps_join(runs, n, gap_parents);
        int32_t n_seen = 0;
        for (size_t i = 0; i < n; i++) {
            if (runs[i].label <= n_seen)
                continue;
            n_seen = runs[i].label;
            const int first_in_row = i == 0 || runs[i - 1].y != runs[i].y;
            if (first_in_row || gaps_root(gap_parents, (int32_t)i - 1) == (int32_t)n)
                start = i;
        }
    }
    return (Point){runs[start].start, runs[start].y};
}

/* --- all objects ------------------------------------------------------------------------------ */

typedef struct {
    const Labels *labels;
    const uint16_t *types;
    const Plane *values;
    const Groups *objects;
    Table *table;
    Share shares[MOST_THREADS];
    Points outlines[MOST_THREADS];
    int status[MOST_THREADS];
} Measuring;

/* What a thread writes on meanwhile. */
typedef struct {
    uint32_t *type_counts;
    int32_t *gap_parents;
} Scratch;

static int scratch_open(Scratch *scratch, const Measuring *measuring, Share share)
{
    size_t most_runs = 0;
    for (int32_t label = share.first; label < share.stop; label++) {
        const size_t n = measuring->objects->first[label + 1] - measuring->objects->first[label];
        most_runs = n > most_runs ? n : most_runs;
    }
    scratch->type_counts = calloc(N_TYPES, sizeof(uint32_t));
    scratch->gap_parents = malloc((most_runs + 1) * sizeof(int32_t));
    return scratch->type_counts && scratch->gap_parents ? DONE : NO_MEMORY;
}

static void scratch_free(Scratch *scratch)
{
    free(scratch->type_counts);
    free(scratch->gap_parents);
}

static int measure_object(
    const Measuring *measuring, int32_t label, const Scratch *scratch, Points *outlines)
{
    const size_t i = (size_t)label - 1;
    Table *table = measuring->table;
    Run *runs = measuring->objects->runs + measuring->objects->first[label];
    const size_t n = measuring->objects->first[label + 1] - measuring->objects->first[label];
    measure_shape(runs, n, table, i);
    if (measuring->types)
        measure_types(
            runs, n, measuring->types, measuring->labels->width, scratch->type_counts, table, i);
    if (measuring->values->data)
        measure_values(runs, n, measuring->values, table, i);
    const size_t before = outlines->n;
    const Point start = outline_start(runs, n, scratch->gap_parents);
    const int status = trace_outline(measuring->labels, start, outlines);
    table->outline_lengths[i] = (int64_t)(outlines->n - before);
    return status;
}

static void measure_part(void *shared, int part)
{
    Measuring *measuring = shared;
    const Share share = measuring->shares[part];
    Scratch scratch;
    int status = scratch_open(&scratch, measuring, share);
    for (int32_t label = share.first; label < share.stop && status == DONE; label++)
        status = measure_object(measuring, label, &scratch, measuring->outlines + part);
    measuring->status[part] = status;
    scratch_free(&scratch);
}

static int join_outlines(const Points *outlines, int parts, Points *out)
{
    for (int part = 0; part < parts; part++)
        out->capacity += outlines[part].n;
    out->points = malloc((out->capacity + 1) * sizeof(Point));
    if (!out->points)
        return NO_MEMORY;
    for (int part = 0; part < parts; part++) {
        if (outlines[part].n)
            memcpy(out->points + out->n, outlines[part].points, outlines[part].n * sizeof(Point));
        out->n += outlines[part].n;
    }
    return DONE;
}

static int table_open(Table *table, size_t n)
{
    table->n = n;
    table->boxes = calloc(n + 1, sizeof *table->boxes);
    table->areas = calloc(n + 1, sizeof *table->areas);
    table->x_sums = calloc(n + 1, sizeof *table->x_sums);
    table->y_sums = calloc(n + 1, sizeof *table->y_sums);
    table->types = calloc(n + 1, sizeof *table->types);
    table->type_counts = calloc(n + 1, sizeof *table->type_counts);
    table->value_sums = calloc(n + 1, sizeof *table->value_sums);
    table->outline_lengths = calloc(n + 1, sizeof *table->outline_lengths);
    return table->boxes && table->areas && table->x_sums && table->y_sums && table->types
            && table->type_counts && table->value_sums && table->outline_lengths
        ? DONE
        : NO_MEMORY;
}

void table_free(Table *table)
{
    free(table->ids);
    free(table->boxes);
    free(table->areas);
    free(table->x_sums);
    free(table->y_sums);
    free(table->types);
    free(table->type_counts);
    free(table->value_sums);
    free(table->outline_lengths);
    free(table->outlines.points);
    *table = (Table){0};
}

static int measure_in_threads(Measuring *measuring, int threads)
{
    const int parts = shares_of(measuring->objects, threads, measuring->shares);
    in_threads(measure_part, measuring, parts);
    int status = DONE;
    for (int part = 0; part < parts; part++)
        status = measuring->status[part] ? measuring->status[part] : status;
    if (status == DONE)
        status = join_outlines(measuring->outlines, parts, &measuring->table->outlines);
    for (int part = 0; part < parts; part++)
        free(measuring->outlines[part].points);
    return status;
}

int measure_objects(
    const Labels *labels, const uint16_t *types, const Plane *values, int threads, Table *out)
{
    *out = (Table){0};
    Groups objects = {0};
    int status = find_objects(labels, &objects, &out->ids);
    if (status == DONE)
        status = table_open(out, (size_t)objects.n_labels);
    if (status == DONE) {
        Measuring measuring = {labels, types, values, &objects, out, {{0, 0}}, {{0}}, {0}};
        status = measure_in_threads(&measuring, threads);
    }
    groups_free(&objects);
    return status;
}
