/* What the parts of the score kernel share. None of it needs the GIL or touches Python. */
#ifndef CERBERUS_BENCH_KERNEL_H
#define CERBERUS_BENCH_KERNEL_H

#include <stddef.h>
#include <stdint.h>

enum { DONE = 0, NO_MEMORY = -1, BAD_ID = -2, NO_PIXELS = -3 };

/* A 2-D array of integers in any memory order. */
typedef struct {
    const char *data;
    ptrdiff_t row_stride; /* bytes */
    ptrdiff_t stride;     /* bytes */
    int bytes;            /* 1, 2, 4 or 8 an item */
    int is_signed;
} Map;

/* Pixels that a truth object and a prediction share; 0 stands for background. */
typedef struct {
    uint64_t truth;
    uint64_t prediction;
    int64_t pixels;
} Row;

typedef struct {
    Row *rows;
    size_t n;
    size_t capacity;
} Rows;

/* The same as flat arrays: ids and areas of both sides, then the overlapping pairs. */
typedef struct {
    int64_t *values; /* n_truth ids, areas; n_prediction ids, areas; n_pairs indices, pixels */
    size_t n_truth;
    size_t n_prediction;
    size_t n_pairs;
} Table;

/* Class values fit below the id in one key. */
enum { CLASS_BITS = 16 };

enum { BLOCK = 512 /* pixels looked at together; their buffers stay in the first cache */ };

/* Positions of the items of at most one block that differ from the item before them, which lies
 * there too unless the first item is the first of its row: that is a start in any case. */
size_t run_starts(const char *items, int bytes, int first, size_t n, uint16_t *starts);

/* Copy strided items of a row one behind the other. */
void gather(const Map *map, const char *from, size_t n, char *to);

/* Count the pixels of every (truth, prediction) of some rows of the maps, unsorted, a pair
 * possibly several times. n_maps is 2 (truth, prediction) or 4 (truth, its class, prediction, its
 * class); with classes, which go up to n_classes, the keys are id << CLASS_BITS | class. */
int count_pairs(
    const Map *maps, int n_maps, uint64_t n_classes, size_t height, size_t width, Rows *out);

/* Sort and merge rows into a table; the rows are used up. */
int make_table(Rows *rows, Table *out);

/* Squared Hausdorff distance of each object to its partner.
 * partner >= 0 is an index on the other side, NEAREST asks for the smallest distance to any object
 * that counts, NOT_COUNTED leaves the object out. */
enum { NEAREST = -1, NOT_COUNTED = -2 };

typedef struct {
    const int64_t *ids; /* ascending */
    const int64_t *partner;
    int64_t *squared; /* out */
    size_t n;
} Side;

/* Sides of the maps must be shorter than this. */
enum { FARTHEST = 1 << 29 };

int hausdorff_squared(const Map maps[2], size_t height, size_t width, Side sides[2]);

/* The item as a 64-bit pattern; what is no id from 0 to 2^32 - 1 has a bit set above the lowest 32.
 */
static inline uint64_t load(const char *item, int bytes, int is_signed)
{
    switch (bytes) {
    case 1:
        return is_signed ? (uint64_t)(int64_t) * (const int8_t *)item : *(const uint8_t *)item;
    case 2:
        return is_signed ? (uint64_t)(int64_t) * (const int16_t *)item : *(const uint16_t *)item;
    case 4:
        return is_signed ? (uint64_t)(int64_t) * (const int32_t *)item : *(const uint32_t *)item;
    default:
        return *(const uint64_t *)item;
    }
}

#endif
