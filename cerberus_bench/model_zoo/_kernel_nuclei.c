/* Nuclei of a probability map: thresholds, components, markers, and the flood between them. */
#include "_kernel.h"

#include <stdlib.h>

static const float HALF = 0.5f;

/* --- thresholds ------------------------------------------------------------------------------- */

/* What is known of the rows around one; the masks have an item more on both sides. */
typedef struct {
    uint8_t *above, *here, *below; /* masks */
    uint8_t *out;
    float *inner, *contour;
    void *memory;
} Rows;

static int rows_open(Rows *rows, int32_t width)
{
    const size_t length = (size_t)width + 2;
    float *memory = malloc(length * (2 * sizeof(float) + 4));
    if (!memory)
        return NO_MEMORY;
    uint8_t *bytes = (uint8_t *)(memory + 2 * length);
    memset(bytes, 1, 3 * length); /* what lies outside the map does not erode it */
    *rows = (Rows){
        bytes + 1, bytes + length + 1, bytes + 2 * length + 1, bytes + 3 * length,
        memory,    memory + length,    memory};
    return DONE;
}

/* Read a row: its mask is the one below now, and its markers are added. */
static int read_row(const NucleiRules *rules, int32_t y, int32_t width, Rows *rows, Runs *markers)
{
    uint8_t *restrict mask = rows->below, *restrict marker = rows->out;
    const float *inner = rows->inner, *contour = rows->contour;
    plane_row(&rules->inner, y, width, rows->inner);
    plane_row(&rules->contour, y, width, rows->contour);
    for (int32_t x = 0; x < width; x++)
        mask[x] = inner[x] + contour[x] > HALF;
    for (int32_t x = 0; x < width; x++)
        marker[x] = inner[x] > HALF;
    return runs_add_row(markers, marker, y, 0, width);
}

static void move_down(Rows *rows)
{
    uint8_t *unused = rows->above;
    rows->above = rows->here;
    rows->here = rows->below;
    rows->below = unused;
}

/* Erosion by a cross of three pixels. */
static void erode_row(const Rows *rows, int32_t width)
{
    const uint8_t *above = rows->above, *here = rows->here, *below = rows->below;
    uint8_t *restrict eroded = rows->out;
    for (int32_t x = 0; x < width; x++)
        eroded[x] = above[x] & here[x] & below[x] & here[x - 1] & here[x + 1];
}

static int threshold(
    const NucleiRules *rules, int32_t height, int32_t width, Runs *mask, Runs *markers)
{
    Rows rows;
    if (rows_open(&rows, width))
        return NO_MEMORY;
    int status = DONE;
    for (int32_t y = 0; y <= height && status == DONE; y++) { /* the row below the eroded one */
        if (y < height)
            status = read_row(rules, y, width, &rows, markers);
        else
            memset(rows.below, 1, (size_t)width);
        if (y > 0 && status == DONE) {
            erode_row(&rows, width);
            status = runs_add_row(mask, rows.out, y - 1, 0, width);
        }
        move_down(&rows);
    }
    free(rows.memory);
    return status;
}

/* --- markers ---------------------------------------------------------------------------------- */

static int find_markers(Runs *markers, int64_t min_area)
{
    int32_t n = runs_label(markers->runs, markers->n, FOUR_CONNECTED);
    int status = runs_drop_small(markers, &n, min_area);
    if (status == DONE)
        status = runs_fill_holes(markers);
    if (status == DONE)
        runs_label(markers->runs, markers->n, FOUR_CONNECTED);
    return status;
}

/* Paint the mask as UNREACHED, and on it the markers with their labels. */
static void paint_markers(Labels *labels, const Runs *mask, const Runs *markers)
{
    size_t first = 0; /* the first marker that may still meet a run of the mask */
    for (size_t i = 0; i < mask->n; i++) {
        const Run run = mask->runs[i];
        paint_run(labels, run, UNREACHED);
        while (first < markers->n
               && (markers->runs[first].y < run.y
                   || (markers->runs[first].y == run.y && markers->runs[first].stop <= run.start)))
            first++;
        for (size_t m = first; m < markers->n && markers->runs[m].y == run.y
                               && markers->runs[m].start < run.stop;
             m++) {
            Run both = markers->runs[m];
            both.start = both.start > run.start ? both.start : run.start;
            both.stop = both.stop < run.stop ? both.stop : run.stop;
            paint_run(labels, both, both.label);
        }
    }
}

static void clear_unreached(Labels *labels, const Runs *mask)
{
    for (size_t i = 0; i < mask->n; i++) {
        int32_t *pixels = labels_at(labels, mask->runs[i].y, 0);
        for (int32_t x = mask->runs[i].start; x < mask->runs[i].stop; x++)
            pixels[x] = pixels[x] == UNREACHED ? 0 : pixels[x];
    }
}

/* --- the flood -------------------------------------------------------------------------------- */

typedef struct {
    const Plane *inner;
    Labels *labels;
    const Groups *components;
    Share shares[MOST_THREADS];
    int status[MOST_THREADS], ties[MOST_THREADS];
} Floods;

static void flood_part(void *shared, int part)
{
    Floods *floods = shared;
    floods->status[part] = flood_components(
        floods->inner, floods->labels, floods->components, floods->shares[part],
        floods->ties + part);
}

static int flood(const NucleiRules *rules, Labels *labels, const Groups *components, int *ties)
{
    Floods floods = {.inner = &rules->inner, .labels = labels, .components = components};
    const int parts = shares_of(components, rules->threads, floods.shares);
    in_threads(flood_part, &floods, parts);
    int status = DONE;
    *ties = 0;
    for (int part = 0; part < parts; part++) {
        status = floods.status[part] ? floods.status[part] : status;
        *ties |= floods.ties[part];
    }
    return status;
}

int find_nuclei(const NucleiRules *rules, Labels *labels, int *ties)
{
    Runs mask = {0}, markers = {0};
    Groups components = {0};
    int status = threshold(rules, labels->height, labels->width, &mask, &markers);
    if (status == DONE)
        status = large_components(&mask, rules->min_mask_area, &components);
    if (status == DONE)
        status = find_markers(&markers, rules->min_marker_area);
    if (status == DONE) {
        paint_markers(labels, &mask, &markers);
        status = flood(rules, labels, &components, ties);
    }
    if (status == DONE && *ties && rules->published_ties) {
        paint_markers(labels, &mask, &markers);
        status = flood_map(&rules->inner, labels);
    }
    if (status == DONE)
        clear_unreached(labels, &mask);
    groups_free(&components);
    runs_free(&mask);
    runs_free(&markers);
    return status;
}
