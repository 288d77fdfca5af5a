/* One pass over label maps that counts the pixels of every pair of ids.
 *
 * Objects are runs of equal pixels. A block of pixels is first compared with its left neighbours,
 * which the compiler turns into vector instructions; the changes become a list of positions, and
 * only there ids are read and counted in a hash table. The table stays small enough for the
 * nearest caches: an object is met in neighbouring rows only, so a full table is emptied into a
 * list of rows, which are sorted and merged at the end, instead of growing. It grows when it is
 * emptied too often for that to pay.
 */
#include "_kernel.h"

#include <stdlib.h>
#include <string.h>

enum {
    FIRST_CAPACITY = 1024,    /* slots */
    ENOUGH_CAPACITY = 8192,   /* slots of a table that is emptied rather than grown */
    REUSE = 8,                /* runs a slot that make emptying pay */
    MOST_MAPS = 4,
};

#if defined(__GNUC__)
#define INLINE inline __attribute__((always_inline))
#define PREFETCH(address) __builtin_prefetch(address)
#define TRAILING_ZEROS(word) ((unsigned)__builtin_ctzll(word))
#else
#define INLINE inline
#define PREFETCH(address) ((void)(address))
static unsigned TRAILING_ZEROS(uint64_t word)
{
    unsigned n = 0;
    while (!(word & 1)) {
        word >>= 1;
        n++;
    }
    return n;
}
#endif

/* --- the hash table: open addressing, linear probing, at most half full ----------------------- */

typedef struct {
    Row *slots; /* pixels == 0: free */
    size_t capacity;
    int shift;
    size_t used;
    size_t runs; /* counted since it was last empty */
    Rows *full;  /* where it is emptied to */
} Counter;

static int counter_open(Counter *counter, size_t capacity, Rows *full)
{
    counter->slots = calloc(capacity, sizeof(Row));
    counter->capacity = capacity;
    counter->shift = 64;
    for (size_t c = capacity; c > 1; c >>= 1)
        counter->shift--;
    counter->used = counter->runs = 0;
    counter->full = full;
    return counter->slots ? DONE : NO_MEMORY;
}

static INLINE void counter_add(Counter *counter, uint64_t truth, uint64_t prediction, size_t pixels)
{
    if (pixels == 0) /* the run before the first */
        return;
    const uint64_t mixed = (truth * 0xD6E8FEB86659FD93u + prediction) * 0x9E3779B97F4A7C15u;
    for (size_t i = mixed >> counter->shift;; i = (i + 1) & (counter->capacity - 1)) {
        Row *slot = counter->slots + i;
        if (slot->pixels == 0) {
            slot->truth = truth;
            slot->prediction = prediction;
            counter->used++;
        } else if (slot->truth != truth || slot->prediction != prediction) {
            continue;
        }
        slot->pixels += (int64_t)pixels;
        return;
    }
}

static int counter_grow(Counter *counter)
{
    Counter larger;
    if (counter_open(&larger, 2 * counter->capacity, counter->full))
        return NO_MEMORY;
    for (size_t i = 0; i < counter->capacity; i++) {
        const Row *slot = counter->slots + i;
        if (slot->pixels)
            counter_add(&larger, slot->truth, slot->prediction, (size_t)slot->pixels);
    }
    larger.runs = counter->runs;
    free(counter->slots);
    *counter = larger;
    return DONE;
}

static int counter_empty(Counter *counter)
{
    Rows *full = counter->full;
    if (full->n + counter->used > full->capacity) {
        const size_t capacity = 2 * full->capacity + counter->used;
        Row *rows = realloc(full->rows, capacity * sizeof(Row));
        if (!rows)
            return NO_MEMORY;
        full->rows = rows;
        full->capacity = capacity;
    }
    for (size_t i = 0; i < counter->capacity; i++)
        if (counter->slots[i].pixels)
            full->rows[full->n++] = counter->slots[i];
    memset(counter->slots, 0, counter->capacity * sizeof(Row));
    counter->used = counter->runs = 0;
    return DONE;
}

/* Make room for another block of runs. */
static int counter_reserve(Counter *counter)
{
    while (2 * (counter->used + BLOCK) > counter->capacity) {
        const int pays = counter->runs >= REUSE * counter->used;
        const int failed = counter->capacity >= ENOUGH_CAPACITY && pays ? counter_empty(counter)
                                                                        : counter_grow(counter);
        if (failed)
            return failed;
    }
    return DONE;
}

/* --- where neighbouring pixels differ --------------------------------------------------------- */

#define DEFINE_MARK(bits)                                                                          \
    static void mark_##bits(const void *items, uint8_t *restrict change, size_t n)                 \
    {                                                                                              \
        const uint##bits##_t *a = items;                                                           \
        for (size_t i = 0; i < n; i++)                                                             \
            change[i] |= a[i] != a[i - 1];                                                         \
    }                                                                                              \
    static void mark_two_##bits(                                                                   \
        const void *one, const void *other, uint8_t *restrict change, size_t n)                    \
    {                                                                                              \
        const uint##bits##_t *a = one, *b = other;                                                 \
        for (size_t i = 0; i < n; i++)                                                             \
            change[i] |= (a[i] != a[i - 1]) | (b[i] != b[i - 1]);                                  \
    }
DEFINE_MARK(8)
DEFINE_MARK(16)
DEFINE_MARK(32)
DEFINE_MARK(64)

static void mark(const char *items, int bytes, uint8_t *change, size_t n)
{
    switch (bytes) {
    case 1: mark_8(items, change, n); break;
    case 2: mark_16(items, change, n); break;
    case 4: mark_32(items, change, n); break;
    default: mark_64(items, change, n); break;
    }
}

static void mark_two(const char *one, const char *other, int bytes, uint8_t *change, size_t n)
{
    switch (bytes) {
    case 1: mark_two_8(one, other, change, n); break;
    case 2: mark_two_16(one, other, change, n); break;
    case 4: mark_two_32(one, other, change, n); break;
    default: mark_two_64(one, other, change, n); break;
    }
}

/* Positions of the bytes that are 1. */
static size_t positions(const uint8_t *change, size_t n, uint16_t *out)
{
    size_t found = 0;
    for (size_t word = 0; word < n; word += 64) {
        uint64_t bits = 0;
        for (int k = 0; k < 8; k++) {
            const uint8_t *c = change + word + 8 * k;
            uint64_t eight = (uint64_t)c[0] | (uint64_t)c[1] << 8 | (uint64_t)c[2] << 16
                | (uint64_t)c[3] << 24 | (uint64_t)c[4] << 32 | (uint64_t)c[5] << 40
                | (uint64_t)c[6] << 48 | (uint64_t)c[7] << 56;
            /* Moves bit 0 of byte j to bit j of the highest byte. */
            bits |= ((eight * 0x0102040810204080u) >> 56) << (8 * k);
        }
        for (; bits; bits &= bits - 1)
            out[found++] = (uint16_t)(word + TRAILING_ZEROS(bits));
    }
    return found;
}

size_t run_starts(const char *items, int bytes, int first, size_t n, uint16_t *starts)
{
    uint8_t change[BLOCK] = {0};
    const size_t skip = first != 0;
    change[0] = (uint8_t)skip;
    mark(items + skip * (size_t)bytes, bytes, change + skip, n - skip);
    return positions(change, n, starts);
}

#define GATHER(type)                                                                               \
    for (size_t i = 0; i < n; i++, from += map->stride)                                            \
        ((type *)to)[i] = *(const type *)from;

void gather(const Map *map, const char *from, size_t n, char *to)
{
    switch (map->bytes) {
    case 1: GATHER(uint8_t) break;
    case 2: GATHER(uint16_t) break;
    case 4: GATHER(uint32_t) break;
    default: GATHER(uint64_t) break;
    }
}

/* --- the pass --------------------------------------------------------------------------------- */

enum Kind { ANY, TWO_INT32, FOUR_INT32, TWO_UINT16 };

typedef struct {
    const Map *maps;
    int n_maps;
    uint64_t n_classes;
    enum Kind kind;
    Counter counter;
    uint64_t truth, prediction; /* keys of the run under way */
    size_t start;               /* of that run, in pixels from the first */
    void *gathered[MOST_MAPS];  /* strided pixels are copied here, behind the last one before */
} Scan;

/* The n items from column x on, one behind the other; for x > 0 the one before them lies there too.
 */
static const char *block_items(const Scan *scan, int m, const char *row, size_t x, size_t n)
{
    const Map *map = scan->maps + m;
    const char *from = row + (ptrdiff_t)x * map->stride;
    if (map->stride == map->bytes)
        return from;
    char *to = (char *)scan->gathered[m] + map->bytes;
    memcpy(to - map->bytes, to + (BLOCK - 1) * map->bytes, (size_t)map->bytes);
    gather(map, from, n, to);
    return to;
}

static void mark_changes(
    const Scan *scan, const char *const *items, size_t x, size_t n, uint8_t *change)
{
    memset(change, 0, BLOCK);
    /* The first pixel of a row has no left neighbour and always starts a run. */
    const size_t skip = x == 0;
    change[0] = (uint8_t)skip;
    for (int m = 0; m < scan->n_maps; m += 2) {
        const int a = scan->maps[m].bytes, b = scan->maps[m + 1].bytes;
        const char *one = items[m] + skip * (size_t)a, *other = items[m + 1] + skip * (size_t)b;
        if (a == b) {
            mark_two(one, other, a, change + skip, n - skip);
        } else {
            mark(one, a, change + skip, n - skip);
            mark(other, b, change + skip, n - skip);
        }
    }
}

/* Count the runs that start at the given items of a block; not 0 if an id is out of range.
 * Inlined once a kind of map with `bytes` and `is_signed` constant, or with 0 for any kinds. */
static INLINE uint64_t add_runs(
    Scan *scan, const char *const *items, size_t base, const uint16_t *starts, size_t n, int n_maps,
    int bytes, int is_signed)
{
    Counter counter = scan->counter; /* local copies stay in registers */
    uint64_t truth = scan->truth, prediction = scan->prediction, wrong = 0;
    size_t start = scan->start;
    for (size_t k = 0; k < n; k++) {
        uint64_t id[MOST_MAPS];
        for (int m = 0; m < n_maps; m++) {
            const int size = bytes ? bytes : scan->maps[m].bytes;
            const char *item = items[m] + starts[k] * (size_t)size;
            id[m] = load(item, size, bytes ? is_signed : scan->maps[m].is_signed);
        }
        counter_add(&counter, truth, prediction, base + starts[k] - start);
        start = base + starts[k];
        if (n_maps == 2) {
            truth = id[0];
            prediction = id[1];
            wrong |= (truth | prediction) >> 32;
        } else {
            truth = id[0] ? id[0] << CLASS_BITS | id[1] : 0;
            prediction = id[2] ? id[2] << CLASS_BITS | id[3] : 0;
            wrong |= (id[0] | id[2]) >> 32 | (id[1] > scan->n_classes) | (id[3] > scan->n_classes);
        }
    }
    scan->counter.used = counter.used;
    scan->counter.runs += n;
    scan->truth = truth;
    scan->prediction = prediction;
    scan->start = start;
    return wrong;
}

static int same_kind(const Map *maps, int n_maps, int bytes, int is_signed)
{
    for (int m = 0; m < n_maps; m++)
        if (maps[m].bytes != bytes || maps[m].is_signed != is_signed)
            return 0;
    return 1;
}

static enum Kind kind_of(const Map *maps, int n_maps)
{
    if (same_kind(maps, n_maps, 4, 1))
        return n_maps == 2 ? TWO_INT32 : FOUR_INT32;
    return n_maps == 2 && same_kind(maps, n_maps, 2, 0) ? TWO_UINT16 : ANY;
}

static int scan_block(Scan *scan, const char *const *items, size_t x, size_t n, size_t base)
{
    uint8_t change[BLOCK];
    uint16_t starts[BLOCK];
    mark_changes(scan, items, x, n, change);
    const size_t n_starts = positions(change, n, starts);
    if (counter_reserve(&scan->counter))
        return NO_MEMORY;
    uint64_t wrong;
    switch (scan->kind) {
    case TWO_INT32: wrong = add_runs(scan, items, base, starts, n_starts, 2, 4, 1); break;
    case FOUR_INT32: wrong = add_runs(scan, items, base, starts, n_starts, 4, 4, 1); break;
    case TWO_UINT16: wrong = add_runs(scan, items, base, starts, n_starts, 2, 2, 0); break;
    default: wrong = add_runs(scan, items, base, starts, n_starts, scan->n_maps, 0, 0); break;
    }
    return wrong ? BAD_ID : DONE;
}

/* The next block but one, so that the list of runs is not made waiting for memory. */
static void prefetch(const Scan *scan, const char *const *items, size_t left)
{
    for (int m = 0; m < scan->n_maps; m++) {
        const size_t bytes = (size_t)scan->maps[m].bytes;
        if (scan->maps[m].stride == (ptrdiff_t)bytes && left >= 3 * BLOCK)
            for (size_t at = 2 * BLOCK * bytes; at < 3 * BLOCK * bytes; at += 64)
                PREFETCH(items[m] + at);
    }
}

static int scan_rows(Scan *scan, size_t height, size_t width)
{
    const char *items[MOST_MAPS];
    for (size_t y = 0; y < height; y++) {
        for (size_t x = 0; x < width; x += BLOCK) {
            const size_t n = width - x < BLOCK ? width - x : BLOCK;
            for (int m = 0; m < scan->n_maps; m++) {
                const Map *map = scan->maps + m;
                items[m] = block_items(scan, m, map->data + (ptrdiff_t)y * map->row_stride, x, n);
            }
            prefetch(scan, items, width - x);
            const int failed = scan_block(scan, items, x, n, y * width + x);
            if (failed)
                return failed;
        }
    }
    counter_add(&scan->counter, scan->truth, scan->prediction, height * width - scan->start);
    return counter_empty(&scan->counter);
}

static int is_one_row(const Map *maps, int n_maps, size_t width)
{
    for (int m = 0; m < n_maps; m++)
        if (maps[m].stride != maps[m].bytes
            || maps[m].row_stride != (ptrdiff_t)width * maps[m].stride)
            return 0;
    return 1;
}

int count_pairs(
    const Map *maps, int n_maps, uint64_t n_classes, size_t height, size_t width, Rows *out)
{
    if (is_one_row(maps, n_maps, width)) {
        width *= height;
        height = 1;
    }
    Scan scan = {
        .maps = maps, .n_maps = n_maps, .n_classes = n_classes, .kind = kind_of(maps, n_maps)};
    int status = counter_open(&scan.counter, FIRST_CAPACITY, out);
    for (int m = 0; m < n_maps && status == DONE; m++) {
        if (maps[m].stride == maps[m].bytes)
            continue;
        scan.gathered[m] = calloc(BLOCK + 1, (size_t)maps[m].bytes);
        status = scan.gathered[m] ? DONE : NO_MEMORY;
    }
    if (status == DONE)
        status = scan_rows(&scan, height, width);
    for (int m = 0; m < n_maps; m++)
        free(scan.gathered[m]);
    free(scan.counter.slots);
    return status;
}
