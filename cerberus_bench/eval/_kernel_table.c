/* Rows of counted pixels, sorted and merged into a table of objects and overlapping pairs. */
#include "_kernel.h"

#include <stdlib.h>
#include <string.h>

enum { DIGIT_BITS = 8, N_DIGITS = 1 << DIGIT_BITS };

static inline uint64_t side_of(const Row *row, int by_truth)
{
    return by_truth ? row->truth : row->prediction;
}

/* Stable sort by one side, digit by digit from the lowest; digits that all rows share cost nothing.
 * The sorted rows are left in *rows, and *spare is of the same length. */
static void sort_by_side(Row **rows, Row **spare, size_t n, int by_truth)
{
    uint64_t differing = 0;
    for (size_t i = 1; i < n; i++)
        differing |= side_of(*rows + i, by_truth) ^ side_of(*rows, by_truth);
    for (int shift = 0; shift < 64; shift += DIGIT_BITS) {
        if (!(differing >> shift & (N_DIGITS - 1)))
            continue;
        size_t place[N_DIGITS] = {0};
        for (size_t i = 0; i < n; i++)
            place[side_of(*rows + i, by_truth) >> shift & (N_DIGITS - 1)]++;
        size_t before = 0;
        for (int digit = 0; digit < N_DIGITS; digit++) {
            const size_t here = place[digit];
            place[digit] = before;
            before += here;
        }
        for (size_t i = 0; i < n; i++) {
            const Row *row = *rows + i;
            (*spare)[place[side_of(row, by_truth) >> shift & (N_DIGITS - 1)]++] = *row;
        }
        Row *sorted = *spare;
        *spare = *rows;
        *rows = sorted;
    }
}

/* Ids and areas of a side of rows sorted by it; returns their number. */
static size_t objects(const Row *rows, size_t n, int by_truth, int64_t *ids, int64_t *areas)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        const int64_t id = (int64_t)side_of(rows + i, by_truth);
        if (id == 0)
            continue;
        if (found == 0 || ids[found - 1] != id) {
            ids[found] = id;
            areas[found++] = 0;
        }
        areas[found - 1] += rows[i].pixels;
    }
    return found;
}

/* Put the rank from 1 of a prediction in the place of its id, in rows sorted by prediction. */
static void rank_predictions(Row *rows, size_t n)
{
    uint64_t rank = 0, id = 0;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].prediction != id) {
            id = rows[i].prediction;
            rank++;
        }
        rows[i].prediction = id ? rank : 0;
    }
}

/* Pairs of rows sorted by truth, then prediction; equal pairs are merged. */
static size_t pairs(const Row *rows, size_t n, int64_t *truth, int64_t *prediction, int64_t *pixels)
{
    size_t found = 0;
    int64_t rank = -1;
    uint64_t id = 0;
    for (size_t i = 0; i < n; i++) {
        const Row *row = rows + i;
        if (row->truth != id) {
            id = row->truth;
            rank++;
        }
        if (id == 0 || row->prediction == 0)
            continue;
        const int64_t other = (int64_t)row->prediction - 1;
        if (found == 0 || truth[found - 1] != rank || prediction[found - 1] != other) {
            truth[found] = rank;
            prediction[found] = other;
            pixels[found++] = 0;
        }
        pixels[found - 1] += row->pixels;
    }
    return found;
}

int make_table(Rows *rows, Table *out)
{
    const size_t n = rows->n;
    Row *sorted = rows->rows, *spare = malloc((n + 1) * sizeof(Row));
    int64_t *work = malloc((7 * n + 1) * sizeof(int64_t));
    out->values = malloc((7 * n + 1) * sizeof(int64_t));
    if (!(spare && work && out->values)) {
        free(spare);
        free(work);
        return NO_MEMORY;
    }
    int64_t *column[7];
    for (int k = 0; k < 7; k++)
        column[k] = work + (size_t)k * n;
    sort_by_side(&sorted, &spare, n, 0);
    out->n_prediction = objects(sorted, n, 0, column[2], column[3]);
    rank_predictions(sorted, n);
    sort_by_side(&sorted, &spare, n, 1);
    out->n_truth = objects(sorted, n, 1, column[0], column[1]);
    out->n_pairs = pairs(sorted, n, column[4], column[5], column[6]);
    const size_t length[7] = {
        out->n_truth, out->n_truth,
        out->n_prediction, out->n_prediction,
        out->n_pairs, out->n_pairs, out->n_pairs,
    };
    int64_t *end = out->values;
    for (int k = 0; k < 7; k++) {
        memcpy(end, column[k], length[k] * sizeof(int64_t));
        end += length[k];
    }
    rows->rows = sorted;
    free(spare);
    free(work);
    return DONE;
}
