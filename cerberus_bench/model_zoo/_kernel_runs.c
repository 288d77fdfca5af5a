/* Runs of pixels: connected components, small ones dropped, holes filled. */
#include "_kernel.h"

#include <stdlib.h>

/* --- lists ------------------------------------------------------------------------------------ */

void runs_free(Runs *runs)
{
    free(runs->runs);
    *runs = (Runs){0};
}

int runs_add(Runs *runs, Run run)
{
    if (runs->n == runs->capacity) {
        const size_t capacity = 2 * runs->capacity + 256;
        Run *more = realloc(runs->runs, capacity * sizeof(Run));
        if (!more)
            return NO_MEMORY;
        runs->runs = more;
        runs->capacity = capacity;
    }
    runs->runs[runs->n++] = run;
    return DONE;
}

int runs_add_row(Runs *runs, const uint8_t *row, int32_t y, int32_t start, int32_t stop)
{
    const uint8_t *from = row + start, *end = row + stop;
    while (from < end && (from = memchr(from, 1, (size_t)(end - from)))) {
        const uint8_t *to = memchr(from, 0, (size_t)(end - from));
        if (!to)
            to = end;
        const Run run = {.y = y, .start = (int32_t)(from - row), .stop = (int32_t)(to - row)};
        if (runs_add(runs, run))
            return NO_MEMORY;
        from = to;
    }
    return DONE;
}

Box runs_box(const Run *runs, size_t n)
{
    Box box = {runs[0].y, runs[0].start, runs[n - 1].y + 1, runs[0].stop};
    for (size_t i = 1; i < n; i++) {
        if (runs[i].start < box.x0)
            box.x0 = runs[i].start;
        if (runs[i].stop > box.x1)
            box.x1 = runs[i].stop;
    }
    return box;
}

/* --- components: union-find whose parents are the labels -------------------------------------- */

static int32_t run_root(Run *runs, int32_t i)
{
    while (runs[i].label != i) {
        runs[i].label = runs[runs[i].label].label;
        i = runs[i].label;
    }
    return i;
}

static void runs_unite(Run *runs, int32_t a, int32_t b)
{
    a = run_root(runs, a);
    b = run_root(runs, b);
    runs[a > b ? a : b].label = a < b ? a : b;
}

int32_t runs_label(Run *runs, size_t n, int connectivity)
{
    size_t above = 0; /* the first run that may still touch one of this row from above */
    for (size_t i = 0; i < n; i++) {
        const Run run = runs[i];
        runs[i].label = (int32_t)i;
        while (runs[above].y < run.y - 1
               || (runs[above].y == run.y - 1 && runs[above].stop + connectivity <= run.start))
            above++;
        for (size_t a = above; runs[a].y == run.y - 1 && runs[a].start < run.stop + connectivity;
             a++)
            runs_unite(runs, (int32_t)a, (int32_t)i);
    }
    int32_t n_labels = 0;
    for (size_t i = 0; i < n; i++) { /* a parent comes before its children */
        const int32_t parent = runs[i].label;
        runs[i].label = parent == (int32_t)i ? ++n_labels : runs[parent].label;
    }
    return n_labels;
}

int runs_drop_small(Runs *runs, int32_t *n_labels, int64_t min_area)
{
    int64_t *areas = calloc((size_t)*n_labels + 1, sizeof *areas);
    if (!areas)
        return NO_MEMORY;
    for (size_t i = 0; i < runs->n; i++)
        areas[runs->runs[i].label] += runs->runs[i].stop - runs->runs[i].start;
    int64_t *numbers = areas; /* each area gives way to the new label */
    int32_t n_kept = 0;
    for (int32_t label = 1; label <= *n_labels; label++)
        numbers[label] = areas[label] >= min_area ? ++n_kept : 0;
    size_t kept = 0;
    for (size_t i = 0; i < runs->n; i++) {
        Run run = runs->runs[i];
        run.label = (int32_t)numbers[run.label];
        if (run.label)
            runs->runs[kept++] = run;
    }
    runs->n = kept;
    *n_labels = n_kept;
    free(areas);
    return DONE;
}

/* --- gaps ------------------------------------------------------------------------------------- */

static void gaps_unite(int32_t *parents, int32_t a, int32_t b)
{
    while (parents[a] != a)
        a = parents[a] = parents[parents[a]];
    while (parents[b] != b)
        b = parents[b] = parents[parents[b]];
    parents[a < b ? a : b] = a > b ? a : b;
}

/* The runs first to stop - 1 of one row. The gap before the first and the one after the last have
 * no end. */
typedef struct {
    const Run *runs;
    ptrdiff_t first, stop;
} Row;

static int32_t gap_stop(const Row *row, ptrdiff_t gap)
{
    return gap + 1 < row->stop ? row->runs[gap + 1].start : INT32_MAX;
}

static int32_t gap_start(const Row *row, ptrdiff_t gap)
{
    return gap >= row->first ? row->runs[gap].stop : INT32_MIN;
}

static int32_t gap_node(const Row *row, ptrdiff_t gap, int32_t outside)
{
    return gap < row->first ? outside : (int32_t)gap;
}

/* Unite the gaps of two rows that lie below one another. */
static void gaps_join_rows(int32_t *parents, int32_t outside, const Row *above, const Row *row)
{
    ptrdiff_t a = above->first - 1, b = row->first - 1;
    while (a < above->stop && b < row->stop) {
        const int32_t a_stop = gap_stop(above, a), b_stop = gap_stop(row, b);
        if (gap_start(above, a) < b_stop && gap_start(row, b) < a_stop)
            gaps_unite(parents, gap_node(above, a, outside), gap_node(row, b, outside));
        a += a_stop <= b_stop;
        b += b_stop <= a_stop;
    }
}

static void gaps_open(int32_t *parents, int32_t outside, const Row *row)
{
    for (ptrdiff_t gap = row->first; gap < row->stop; gap++)
        gaps_unite(parents, (int32_t)gap, outside);
}

void gaps_join(const Run *runs, size_t n, int32_t *parents)
{
    const int32_t outside = (int32_t)n;
    for (int32_t i = 0; i < outside; i++)
        parents[i] = i + 1 < outside && runs[i + 1].y == runs[i].y ? i : outside;
    parents[outside] = outside;
    Row above = {runs, 0, 0};
    for (size_t i = 0; i < n;) {
        Row row = {runs, (ptrdiff_t)i, (ptrdiff_t)i};
        for (; i < n && runs[i].y == runs[row.first].y; i++)
            row.stop++;
        if (above.stop > above.first && runs[above.first].y == runs[row.first].y - 1) {
            gaps_join_rows(parents, outside, &above, &row);
        } else { /* an empty row lies between them */
            gaps_open(parents, outside, &above);
            gaps_open(parents, outside, &row);
        }
        above = row;
    }
    gaps_open(parents, outside, &above);
}

int runs_fill_holes(Runs *runs)
{
    int32_t *parents = malloc((runs->n + 1) * sizeof *parents);
    if (!parents)
        return NO_MEMORY;
    gaps_join(runs->runs, runs->n, parents);
    const int32_t outside = (int32_t)runs->n;
    size_t kept = 0;
    for (size_t i = 0; i < runs->n; i++) {
        const Run run = runs->runs[i];
        if (i && gaps_root(parents, (int32_t)i - 1) != outside)
            runs->runs[kept - 1].stop = run.stop;
        else
            runs->runs[kept++] = run;
    }
    runs->n = kept;
    free(parents);
    return DONE;
}

/* --- groups ----------------------------------------------------------------------------------- */

void groups_free(Groups *groups)
{
    free(groups->runs);
    free(groups->first);
    *groups = (Groups){0};
}

int groups_of(const Runs *runs, int32_t n_labels, Groups *out)
{
    size_t *first = calloc((size_t)n_labels + 3, sizeof *first);
    Run *sorted = malloc((runs->n + 1) * sizeof(Run));
    *out = (Groups){sorted, first, n_labels};
    if (!first || !sorted) {
        groups_free(out);
        return NO_MEMORY;
    }
    for (size_t i = 0; i < runs->n; i++)
        first[runs->runs[i].label + 2]++;
    for (int32_t label = 1; label <= n_labels + 1; label++)
        first[label + 1] += first[label];
    /* first[k + 1] is where the next run of label k goes, and in the end where they stop. */
    for (size_t i = 0; i < runs->n; i++)
        sorted[first[runs->runs[i].label + 1]++] = runs->runs[i];
    return DONE;
}

int large_components(Runs *runs, int64_t min_area, Groups *out)
{
    int32_t n = runs_label(runs->runs, runs->n, FOUR_CONNECTED);
    const int status = runs_drop_small(runs, &n, min_area);
    return status == DONE ? groups_of(runs, n, out) : status;
}
