/* Hausdorff distances between objects of two label maps, in whole squared pixels.
 *
 * Each map becomes a list of horizontal runs for every object. For a pair, the distance of each
 * pixel to the nearest pixel of the other object in its own column is found in one sweep down and
 * one up over the rows and columns that matter; the nearest pixel over all columns is then searched
 * outwards from the pixel. What cannot raise the largest distance so far is left out: pixels that
 * both objects share, and the neighbours of a near pixel, since a step of one pixel changes the
 * distance by at most one.
 */
#include "_kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COARSE_STEP = 16 };

typedef struct {
    int32_t y, x0, x1; /* x1 included */
} Run;

typedef struct {
    int32_t y0, x0, y1, x1; /* included */
} Box;

typedef struct {
    Run *runs;     /* of one object after the other, rows ascending */
    size_t *first; /* (n + 1,) */
    Box *boxes;
    size_t n;
} Objects;

/* --- objects of a map ------------------------------------------------------------------------- */

typedef struct {
    size_t owner;
    Run run;
} OwnedRun;

typedef struct {
    OwnedRun *items;
    size_t n, capacity;
} OwnedRuns;

static int append(OwnedRuns *list, size_t owner, Run run)
{
    if (list->n == list->capacity) {
        const size_t capacity = 2 * list->capacity + 1024;
        OwnedRun *items = realloc(list->items, capacity * sizeof(OwnedRun));
        if (!items)
            return NO_MEMORY;
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->n++] = (OwnedRun){owner, run};
    return DONE;
}

/* Index of an id among ascending ids, n if it is not there. */
static size_t find(const int64_t *ids, size_t n, int64_t id)
{
    size_t low = 0, high = n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && ids[low] == id ? low : n;
}

/* Runs of a row whose items lie one behind the other. */
static int collect_row(
    const char *items, const Map *map, int32_t y, size_t width, const Side *side, OwnedRuns *list)
{
    uint16_t starts[BLOCK];
    size_t owner = side->n;
    int32_t x0 = 0;
    for (size_t x = 0; x < width; x += BLOCK) {
        const char *block = items + x * (size_t)map->bytes;
        const size_t n = width - x < BLOCK ? width - x : BLOCK;
        const size_t n_starts = run_starts(block, map->bytes, x == 0, n, starts);
        for (size_t k = 0; k < n_starts; k++) {
            const int32_t here = (int32_t)(x + starts[k]);
            if (owner < side->n && append(list, owner, (Run){y, x0, here - 1}))
                return NO_MEMORY;
            const char *item = block + starts[k] * (size_t)map->bytes;
            const uint64_t id = load(item, map->bytes, map->is_signed);
            owner = id ? find(side->ids, side->n, (int64_t)id) : side->n;
            x0 = here;
        }
    }
    return owner < side->n ? append(list, owner, (Run){y, x0, (int32_t)width - 1}) : DONE;
}

static int collect_runs(
    const Map *map, size_t height, size_t width, const Side *side, OwnedRuns *list)
{
    const int strided = map->stride != map->bytes;
    char *gathered = strided ? malloc((width + 1) * (size_t)map->bytes) : NULL;
    int status = strided && !gathered ? NO_MEMORY : DONE;
    for (size_t y = 0; y < height && status == DONE; y++) {
        const char *row = map->data + (ptrdiff_t)y * map->row_stride;
        if (strided)
            gather(map, row, width, gathered);
        status = collect_row(strided ? gathered : row, map, (int32_t)y, width, side, list);
    }
    free(gathered);
    return status;
}

static void extend(Box *box, Run run)
{
    box->y0 = run.y < box->y0 ? run.y : box->y0;
    box->x0 = run.x0 < box->x0 ? run.x0 : box->x0;
    box->y1 = run.y > box->y1 ? run.y : box->y1;
    box->x1 = run.x1 > box->x1 ? run.x1 : box->x1;
}

static void objects_close(Objects *objects)
{
    free(objects->runs);
    free(objects->first);
    free(objects->boxes);
}

static int objects_open(
    Objects *objects, const Map *map, size_t height, size_t width, const Side *side)
{
    OwnedRuns list = {0};
    int status = collect_runs(map, height, width, side, &list);
    objects->n = side->n;
    objects->runs = malloc((list.n + 1) * sizeof(Run));
    objects->first = calloc(side->n + 2, sizeof(size_t));
    objects->boxes = malloc((side->n + 1) * sizeof(Box));
    if (!(objects->runs && objects->first && objects->boxes))
        status = NO_MEMORY;
    if (status == DONE) {
        /* next[i] is where the next run of i goes: at last its end, which is first[i + 1]. */
        size_t *next = objects->first + 1;
        for (size_t k = 0; k < list.n; k++)
            if (list.items[k].owner + 1 < side->n)
                next[list.items[k].owner + 1]++;
        for (size_t i = 1; i < side->n; i++)
            next[i] += next[i - 1];
        for (size_t i = 0; i < side->n; i++)
            objects->boxes[i] = (Box){INT32_MAX, INT32_MAX, -1, -1};
        for (size_t k = 0; k < list.n; k++) {
            const OwnedRun *item = list.items + k;
            objects->runs[next[item->owner]++] = item->run;
            extend(objects->boxes + item->owner, item->run);
        }
    }
    for (size_t i = 0; i < side->n && status == DONE; i++)
        status = objects->boxes[i].y1 < 0 ? NO_PIXELS : DONE;
    free(list.items);
    return status;
}

/* --- one pair --------------------------------------------------------------------------------- */

typedef struct {
    int32_t *items;
    size_t capacity;
} Workspace;

/* Column distance where the column has no pixel of the object; its square fits in 64 bits. */
static const int32_t FAR = FARTHEST;

static int workspace_reserve(Workspace *work, size_t n)
{
    if (n <= work->capacity)
        return DONE;
    free(work->items);
    work->items = malloc(n * sizeof(int32_t));
    work->capacity = work->items ? n : 0;
    return work->items ? DONE : NO_MEMORY;
}

static void clear_run(int32_t *row, const Run *run, const Box *box)
{
    memset(row + run->x0 - box->x0, 0, (size_t)(run->x1 - run->x0 + 1) * sizeof(int32_t));
}

/* For rows y0..y1 and the columns of the object's box: distance to the object in the column. */
static void column_distances(
    const Objects *objects, size_t j, int32_t y0, int32_t y1, int32_t *carry, int32_t *out)
{
    const Box *box = objects->boxes + j;
    const Run *run = objects->runs + objects->first[j];
    const Run *end = objects->runs + objects->first[j + 1];
    const size_t width = (size_t)(box->x1 - box->x0 + 1);
    for (size_t x = 0; x < width; x++)
        carry[x] = FAR;
    for (int32_t y = box->y0 < y0 ? box->y0 : y0; y <= y1; y++) {
        for (size_t x = 0; x < width; x++)
            carry[x]++;
        for (; run < end && run->y == y; run++)
            clear_run(carry, run, box);
        if (y >= y0)
            memcpy(out + (size_t)(y - y0) * width, carry, width * sizeof(int32_t));
    }
    run = end;
    for (size_t x = 0; x < width; x++)
        carry[x] = FAR;
    for (int32_t y = box->y1 > y1 ? box->y1 : y1; y >= y0; y--) {
        for (size_t x = 0; x < width; x++)
            carry[x]++;
        for (; run > objects->runs + objects->first[j] && run[-1].y == y; run--)
            clear_run(carry, run - 1, box);
        if (y > y1)
            continue;
        int32_t *row = out + (size_t)(y - y0) * width;
        for (size_t x = 0; x < width; x++)
            row[x] = carry[x] < row[x] ? carry[x] : row[x];
    }
}

/* Squared distance from column x (counted from the box) to the nearest pixel of the object, given
 * the column distances of the row; any upper bound of it once that is at most `enough`. */
static int64_t nearest_squared(const int32_t *row, int32_t width, int32_t x, int64_t enough)
{
    int32_t d = x < 0 ? -x : x >= width ? x - width + 1 : 0;
    int64_t best = INT64_MAX;
    for (; (int64_t)d * d < best && best > enough; d++) {
        const int32_t left = x - d, right = x + d;
        if (left < 0 && right >= width)
            break;
        if (left >= 0 && left < width) {
            const int64_t squared = (int64_t)row[left] * row[left] + (int64_t)d * d;
            best = squared < best ? squared : best;
        }
        if (right >= 0 && right < width) {
            const int64_t squared = (int64_t)row[right] * row[right] + (int64_t)d * d;
            best = squared < best ? squared : best;
        }
    }
    return best;
}

/* Walks through the runs of an object to say which pixels of another it shares. */
typedef struct {
    const Run *run, *end;
} Walk;

/* Last column of the run that holds the pixel, or -1; pixels must be asked in reading order. */
static int32_t shared_until(Walk *walk, int32_t y, int32_t x)
{
    while (walk->run < walk->end
        && (walk->run->y < y || (walk->run->y == y && walk->run->x1 < x)))
        walk->run++;
    const int inside = walk->run < walk->end && walk->run->y == y && walk->run->x0 <= x;
    return inside ? walk->run->x1 : -1;
}

/* One object seen from another: for the rows of `from` the column distances to object j of `to`. */
typedef struct {
    const Objects *from, *to;
    size_t i, j;
    const int32_t *distances;
    int64_t most;  /* largest squared distance found so far */
    int64_t limit; /* once exceeded, anything above it will do */
} View;

/* Raise `most` to the largest squared distance of a pixel in every step-th run of the object. */
static void raise_most(View *view, size_t step)
{
    const Objects *from = view->from, *to = view->to;
    const Box *here = from->boxes + view->i, *there = to->boxes + view->j;
    const int32_t width = there->x1 - there->x0 + 1;
    Walk walk = {to->runs + to->first[view->j], to->runs + to->first[view->j + 1]};
    int32_t root = (int32_t)sqrt((double)view->most);
    for (size_t k = from->first[view->i]; k < from->first[view->i + 1]; k += step) {
        const Run *run = from->runs + k;
        const int32_t *row = view->distances + (size_t)(run->y - here->y0) * (size_t)width;
        for (int32_t x = run->x0; x <= run->x1; x++) {
            const int32_t shared = shared_until(&walk, run->y, x);
            if (shared >= 0) {
                x = shared;
                continue;
            }
            const int32_t column = x - there->x0;
            int32_t bound = column >= 0 && column < width ? row[column] : FAR;
            if (bound > root) {
                const int64_t squared = nearest_squared(row, width, column, view->most);
                view->most = squared > view->most ? squared : view->most;
                root = (int32_t)sqrt((double)view->most);
                bound = (int32_t)ceil(sqrt((double)squared));
            }
            /* A step changes the distance by one at most: these stay below the largest. */
            x += root > bound ? root - bound : 0;
        }
        if (view->most > view->limit)
            return;
    }
}

/* The larger of `most` and the squared distance from object i to object j of the other side: the
 * largest over the pixels of i. Anything above `limit` will do once it is exceeded. */
static int64_t directed_squared(
    const Objects *from, size_t i, const Objects *to, size_t j, int64_t most, int64_t limit,
    Workspace *work)
{
    const Box *here = from->boxes + i, *there = to->boxes + j;
    const size_t width = (size_t)(there->x1 - there->x0 + 1);
    const size_t rows = (size_t)(here->y1 - here->y0 + 1);
    if (workspace_reserve(work, (rows + 1) * width))
        return NO_MEMORY;
    int32_t *distances = work->items + width;
    column_distances(to, j, here->y0, here->y1, work->items, distances);
    View view = {from, to, i, j, distances, most, limit};
    /* A coarse look first: a large distance found early spares most of the pixels. */
    raise_most(&view, COARSE_STEP);
    raise_most(&view, 1);
    return view.most;
}

static int64_t pair_squared(
    const Objects sides[2], size_t i, size_t j, int64_t limit, Workspace *work)
{
    const int64_t there = directed_squared(sides, i, sides + 1, j, 0, limit, work);
    if (there < 0 || there > limit)
        return there;
    return directed_squared(sides + 1, j, sides, i, there, limit, work);
}

/* --- all objects of a side -------------------------------------------------------------------- */

typedef struct {
    int64_t bound;
    size_t index;
} Candidate;

static int by_bound(const void *one, const void *other)
{
    const Candidate *a = one, *b = other;
    if (a->bound != b->bound)
        return a->bound < b->bound ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

/* Two sets are never closer than their bounding boxes differ at any of the four sides. */
static int64_t bound_squared(const Box *a, const Box *b)
{
    const int32_t gaps[4] = {a->y0 - b->y0, a->x0 - b->x0, a->y1 - b->y1, a->x1 - b->x1};
    int64_t most = 0;
    for (int k = 0; k < 4; k++) {
        const int64_t squared = (int64_t)gaps[k] * gaps[k];
        most = squared > most ? squared : most;
    }
    return most;
}

/* The smallest distance of object i of a side to those of the other that count. */
static int64_t nearest_object_squared(
    const Objects objects[2], int own, size_t i, const Side *other, Workspace *work)
{
    Candidate *candidates = malloc((other->n + 1) * sizeof(Candidate));
    if (!candidates)
        return NO_MEMORY;
    size_t n = 0;
    for (size_t j = 0; j < other->n; j++)
        if (other->partner[j] != NOT_COUNTED)
            candidates[n++] = (Candidate){
                bound_squared(objects[own].boxes + i, objects[1 - own].boxes + j), j};
    qsort(candidates, n, sizeof(Candidate), by_bound);
    int64_t best = INT64_MAX;
    for (size_t k = 0; k < n && candidates[k].bound < best && best >= 0; k++) {
        const size_t j = candidates[k].index;
        const int64_t squared = own == 0 ? pair_squared(objects, i, j, best - 1, work)
                                         : pair_squared(objects, j, i, best - 1, work);
        best = squared < best ? squared : best;
    }
    free(candidates);
    return best;
}

static int measure_side(const Objects objects[2], Side sides[2], int own, Workspace *work)
{
    Side *side = sides + own, *other = sides + 1 - own;
    for (size_t i = 0; i < side->n; i++) {
        const int64_t j = side->partner[i];
        if (j == NOT_COUNTED)
            side->squared[i] = 0;
        else if (j == NEAREST)
            side->squared[i] = nearest_object_squared(objects, own, i, other, work);
        else if (own == 1 && other->partner[j] == (int64_t)i)
            side->squared[i] = other->squared[j];
        else
            side->squared[i] = own == 0
                ? pair_squared(objects, i, (size_t)j, INT64_MAX, work)
                : pair_squared(objects, (size_t)j, i, INT64_MAX, work);
        if (side->squared[i] < 0)
            return NO_MEMORY;
    }
    return DONE;
}

int hausdorff_squared(const Map maps[2], size_t height, size_t width, Side sides[2])
{
    Objects objects[2] = {{0}, {0}};
    Workspace work = {0};
    int status = DONE;
    for (int s = 0; s < 2 && status == DONE; s++)
        status = objects_open(objects + s, maps + s, height, width, sides + s);
    for (int s = 0; s < 2 && status == DONE; s++)
        status = measure_side(objects, sides, s, &work);
    for (int s = 0; s < 2; s++)
        objects_close(objects + s);
    free(work.items);
    return status;
}
