/* Glands and lumina of a probability map: components that are dilated, filled and painted in turn.
 *
 * region_rules.py has the rules, and the one that looks odd: the crop in which a component grows.
 */
#include "_kernel.h"

#include <stdlib.h>

static const float HALF = 0.5f;

static int find_foreground(const RegionRules *rules, const Labels *labels, Runs *out)
{
    const size_t width = (size_t)labels->width;
    float *inner = malloc((width + 1) * (2 * sizeof(float) + 1));
    if (!inner)
        return NO_MEMORY;
    float *contour = inner + width;
    uint8_t *row = (uint8_t *)(contour + width);
    int status = DONE;
    for (int32_t y = 0; y < labels->height && status == DONE; y++) {
        plane_row(&rules->inner, y, labels->width, inner);
        plane_row(&rules->contour, y, labels->width, contour);
        for (size_t x = 0; x < width; x++)
            row[x] = (inner[x] > rules->threshold) & (contour[x] <= HALF);
        status = runs_add_row(out, row, y, 0, labels->width);
    }
    free(inner);
    return status;
}

/* --- growing one component -------------------------------------------------------------------- */

/* Move a side out by the padding, unless that leaves the map. */
static void grow_side(int32_t *start, int32_t *stop, int64_t pad, int32_t length)
{
    if (*start >= pad)
        *start -= (int32_t)pad;
    if (*stop + pad <= length - 1)
        *stop += (int32_t)pad;
}

static Box growing_box(const Run *runs, size_t n, const RegionRules *rules, const Labels *labels)
{
    Box box = runs_box(runs, n);
    grow_side(&box.y0, &box.y1, 2 * (int64_t)rules->size, labels->height);
    grow_side(&box.x0, &box.x1, 2 * (int64_t)rules->size, labels->width);
    return box;
}

/* What a run gives to a row below or above it, cut to the crop. */
static Run dilated(const RegionRules *rules, Run run, int32_t y, const Box *box)
{
    const int32_t anchor = rules->size / 2, i = run.y - y + anchor;
    const int64_t start = (int64_t)run.start - (rules->stops[i] - 1) + anchor;
    const int64_t stop = (int64_t)run.stop - rules->starts[i] + anchor;
    run.start = start > box->x0 ? (int32_t)start : box->x0;
    run.stop = stop < box->x1 ? (int32_t)stop : box->x1;
    return run;
}

/* Add the runs of one row of the dilated component; its runs that reach the row are given. */
static int dilate_row(
    const RegionRules *rules, const Run *runs, const Run *end, int32_t y, const Box *box,
    uint8_t *row, Runs *out)
{
    int32_t first = INT32_MAX, stop = 0;
    for (const Run *run = runs; run < end; run++) {
        const Run part = dilated(rules, *run, y, box);
        if (part.start >= part.stop)
            continue;
        first = part.start < first ? part.start : first;
        stop = part.stop > stop ? part.stop : stop;
    }
    if (first >= stop)
        return DONE;
    memset(row + first, 0, (size_t)(stop - first));
    for (const Run *run = runs; run < end; run++) {
        const Run part = dilated(rules, *run, y, box);
        if (part.start < part.stop)
            memset(row + part.start, 1, (size_t)(part.stop - part.start));
    }
    return runs_add_row(out, row, y, first, stop);
}

static int dilate(
    const RegionRules *rules, const Run *runs, size_t n, const Box *box, uint8_t *row, Runs *out)
{
    const int32_t anchor = rules->size / 2, below = rules->size - 1 - anchor;
    const Run *first = runs, *stop = runs, *end = runs + n;
    int32_t y = box->y0 > runs[0].y - below ? box->y0 : runs[0].y - below;
    for (; y < box->y1 && y <= end[-1].y + anchor; y++) {
        while (first < end && first->y < y - anchor)
            first++;
        while (stop < end && stop->y <= y + below)
            stop++;
        if (dilate_row(rules, first, stop, y, box, row, out))
            return NO_MEMORY;
    }
    return DONE;
}

/* --- all components --------------------------------------------------------------------------- */

static int paint_grown(const RegionRules *rules, const Groups *components, Labels *labels)
{
    uint8_t *row = malloc((size_t)labels->width + 1);
    Runs grown = {0};
    int status = row ? DONE : NO_MEMORY;
    for (int32_t label = 1; label <= components->n_labels && status == DONE; label++) {
        const Run *runs = components->runs + components->first[label];
        const size_t n = components->first[label + 1] - components->first[label];
        const Box box = growing_box(runs, n, rules, labels);
        grown.n = 0;
        status = dilate(rules, runs, n, &box, row, &grown);
        if (status == DONE)
            status = runs_fill_holes(&grown);
        for (size_t i = 0; i < grown.n && status == DONE; i++)
            paint_run(labels, grown.runs[i], label);
    }
    free(row);
    runs_free(&grown);
    return status;
}

int find_regions(const RegionRules *rules, Labels *labels)
{
    Runs foreground = {0};
    Groups components = {0};
    int status = find_foreground(rules, labels, &foreground);
    if (status == DONE)
        status = large_components(&foreground, rules->min_area, &components);
    if (status == DONE)
        status = paint_grown(rules, &components, labels);
    groups_free(&components);
    runs_free(&foreground);
    return status;
}
