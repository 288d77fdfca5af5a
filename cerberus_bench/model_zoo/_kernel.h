/* What the parts of the post-processing kernel share. Nothing declared here needs the GIL.
 *
 * Everything works on runs, horizontal stretches of pixels of one object: a tile has some hundred
 * thousand of them where it has many millions of pixels. A list of runs is in raster order.
 */
#ifndef CERBERUS_BENCH_INSTANCES_H
#define CERBERUS_BENCH_INSTANCES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { DONE = 0, NO_MEMORY = -1, BAD_ID = -2, BAD_START = -3 };

enum { MOST_PIXELS = INT32_MAX /* of a map; its sides are shorter than half of it */ };

/* --- arrays ----------------------------------------------------------------------------------- */

/* A 2-D array of float in any memory order and alignment. */
typedef struct {
    const char *data;
    ptrdiff_t row_stride; /* bytes */
    ptrdiff_t stride;     /* bytes */
} Plane;

static inline float plane_at(const Plane *plane, int32_t y, int32_t x)
{
    float value;
    memcpy(&value, plane->data + y * plane->row_stride + x * plane->stride, sizeof value);
    return value;
}

/* Copy a row; constant steps between items let the compiler use vector instructions. */
static inline void plane_row(const Plane *plane, int32_t y, int32_t width, float *out)
{
    const char *from = plane->data + y * plane->row_stride;
#define COPY_ROW(step)                                                                             \
    for (int32_t x = 0; x < width; x++)                                                            \
        memcpy(out + x, from + x * (ptrdiff_t)(step), sizeof *out)
    switch (plane->stride) {
    case 1 * sizeof(float): COPY_ROW(1 * sizeof(float)); break;
    case 2 * sizeof(float): COPY_ROW(2 * sizeof(float)); break;
    case 3 * sizeof(float): COPY_ROW(3 * sizeof(float)); break;
    default: COPY_ROW(plane->stride);
    }
#undef COPY_ROW
}

/* A label map in C order, of at most MOST_PIXELS. */
typedef struct {
    int32_t *data;
    int32_t height, width;
} Labels;

static inline int32_t *labels_at(const Labels *labels, int32_t y, int32_t x)
{
    return labels->data + (ptrdiff_t)y * labels->width + x;
}

/* --- runs: _kernel_runs.c --------------------------------------------------------------------- */

typedef struct {
    int32_t y, start, stop; /* half-open */
    int32_t label;
} Run;

typedef struct {
    Run *runs;
    size_t n, capacity;
} Runs;

enum { FOUR_CONNECTED = 0, EIGHT_CONNECTED = 1 };

void runs_free(Runs *runs);

int runs_add(Runs *runs, Run run);

/* Add the runs of bytes that are 1 from start to stop - 1, of a row of bytes that are 0 or 1. */
int runs_add_row(Runs *runs, const uint8_t *row, int32_t y, int32_t start, int32_t stop);

typedef struct {
    int32_t y0, x0, y1, x1; /* half-open */
} Box;

Box runs_box(const Run *runs, size_t n);

static inline void paint_run(Labels *labels, Run run, int32_t label)
{
    int32_t *pixels = labels_at(labels, run.y, 0);
    for (int32_t x = run.start; x < run.stop; x++)
        pixels[x] = label;
}

/* Number the components 1, 2, ... in raster order of their first pixels; returns how many. */
int32_t runs_label(Run *runs, size_t n, int connectivity);

/* Remove components of fewer pixels than the limit and number the others anew. */
int runs_drop_small(Runs *runs, int32_t *n_labels, int64_t min_area);

/* Parents of the gaps between runs; gap i follows run i, and 4-connected gaps have one root.
 * What is open to the outside of all runs has the root n. */
void gaps_join(const Run *runs, size_t n, int32_t *parents);

static inline int32_t gaps_root(const int32_t *parents, int32_t gap)
{
    while (parents[gap] != gap)
        gap = parents[gap];
    return gap;
}

/* Join the runs on both sides of gaps that are not open to the outside. Labels lose their sense. */
int runs_fill_holes(Runs *runs);

/* Runs of one label behind the other: those of label k are runs[first[k]] to runs[first[k + 1]]. */
typedef struct {
    Run *runs;
    size_t *first;
    int32_t n_labels;
} Groups;

int groups_of(const Runs *runs, int32_t n_labels, Groups *out);

void groups_free(Groups *groups);

/* The 4-connected components of at least some pixels, in raster order; the others are dropped. */
int large_components(Runs *runs, int64_t min_area, Groups *out);

/* --- threads: _kernel_threads.c --------------------------------------------------------------- */

enum { MOST_THREADS = 64 };

/* A range of labels that one thread works on. */
typedef struct {
    int32_t first, stop;
} Share;

/* Cut labels 1 to n into ranges of about equally many runs; returns how many. */
int shares_of(const Groups *groups, int threads, Share shares[MOST_THREADS]);

/* Call work(shared, part) for every part, each in a thread of its own where one can be had. */
void in_threads(void (*work)(void *shared, int part), void *shared, int parts);

/* --- the nuclei: _kernel_nuclei.c, _kernel_flood.c -------------------------------------------- */

enum { UNREACHED = -1 /* a pixel of the mask that has no label yet */ };

typedef struct {
    Plane inner, contour;
    int64_t min_mask_area, min_marker_area;
    int published_ties;
    int threads;
} NucleiRules;

/* Paint the nuclei on a map of zeros; ties tells whether an order of equal pixels mattered. */
int find_nuclei(const NucleiRules *rules, Labels *labels, int *ties);

/* Give the UNREACHED pixels of components the labels of the markers that reach them first. */
int flood_components(
    const Plane *inner, Labels *labels, const Groups *components, Share share, int *ties);

/* The same on the whole map at once; equal pixels come in the order of scikit-image's heap. */
int flood_map(const Plane *inner, Labels *labels);

/* --- glands and lumina: _kernel_regions.c ----------------------------------------------------- */

enum { MOST_SIZE = 1 << 10 };

typedef struct {
    Plane inner, contour;
    float threshold;
    int64_t min_area;
    int32_t size;                                /* of the structuring element, 1 to MOST_SIZE */
    int32_t starts[MOST_SIZE], stops[MOST_SIZE]; /* of its rows, half-open */
} RegionRules;

/* Paint the regions on a map of zeros. */
int find_regions(const RegionRules *rules, Labels *labels);

/* --- outlines: _kernel_trace.c, _kernel_edges.c ------------------------------------------------ */

typedef struct {
    int32_t x, y;
} Point;

typedef struct {
    Point *points;
    size_t n, capacity;
} Points;

int points_add(Points *points, Point point);

/* Whether a point lies on the map, and its pixel has the id. */
static inline int has_id(const Labels *labels, Point at, int32_t id)
{
    return at.x >= 0 && at.y >= 0 && at.x < labels->width && at.y < labels->height
        && *labels_at(labels, at.y, at.x) == id;
}

/* Add the outline of the object that has a pixel at the start, and none left of it or above: the
 * ends of straight stretches, counterclockwise as seen on the screen. */
int trace_outline(const Labels *labels, Point start, Points *out);

/* The same along the edges of pixels, clockwise as seen on the screen: the corners where it turns;
 * corner x, y is the upper left one of pixel x, y. The start has no pixel of the object above. */
int follow_edges(const Labels *labels, Point start, Points *out);

/* --- the table of a label map: _kernel_table.c ------------------------------------------------ */

/* One item an object, in order of ids; area, x_sum and y_sum sum over its pixels. */
typedef struct {
    size_t n;
    int32_t *ids;
    Box *boxes;
    int64_t *areas, *x_sums, *y_sums;
    int32_t *types;       /* the most frequent but 0; 0 where all are */
    int64_t *type_counts; /* how many pixels have it */
    double *value_sums;
    int64_t *outline_lengths;
    Points outlines; /* one behind the other */
} Table;

/* types is in C order or NULL; the data of values may be NULL. */
int measure_objects(
    const Labels *labels, const uint16_t *types, const Plane *values, int threads, Table *out);

void table_free(Table *table);

#endif
