/* Watershed by flooding from markers, in the order of scikit-image 0.26.
 *
 * A pixel costs minus its inner probability, and never less than the pixel it was reached from.
 * The cheapest pixel of a queue comes first, the longer queued of equal ones, markers before all
 * others; it gives its label to its neighbours that have none, above, left, right, below, and they
 * are queued.
 *
 * That leaves open the order of marker pixels of equal cost, which scikit-image leaves to the
 * memory layout of a heap of the whole map. It seldom matters, for then pixels of two markers must
 * have come to one pixel over the same costs. So the components of the mask are flooded one by one,
 * equal marker pixels in raster order, which is quick and independent of all that lies elsewhere;
 * and where another order might have given another label, that is noticed: see Flood.
 */
#include "_kernel.h"

#include <stdlib.h>

#if defined(__GNUC__)
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address) ((void)(address))
#endif

/* --- costs ------------------------------------------------------------------------------------ */

/* Minus a value as an integer of the same order. */
static uint32_t cost_of(float inner)
{
    const float cost = 0.0f - inner; /* zero has one sign */
    uint32_t bits;
    memcpy(&bits, &cost, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* Cost, and below it the time of queueing. */
static uint64_t key_of(uint32_t cost, uint32_t time) { return (uint64_t)cost << 32 | time; }

static uint32_t cost_in(uint64_t key) { return (uint32_t)(key >> 32); }

static uint32_t cost_from(uint64_t key, float inner)
{
    const uint32_t cost = cost_of(inner), least = cost_in(key);
    return cost > least ? cost : least;
}

/* --- a pixel and its neighbours --------------------------------------------------------------- */

typedef struct {
    int32_t y, x;
} Pixel;

static const Pixel AROUND[4] = {{-1, 0}, {0, -1}, {0, 1}, {1, 0}};

/* The label of neighbour k, or NULL at the edge of the map. */
static inline int32_t *label_beside(const Labels *labels, Pixel from, int k, Pixel *beside)
{
    const int32_t y = from.y + AROUND[k].y, x = from.x + AROUND[k].x;
    if (y < 0 || x < 0 || y >= labels->height || x >= labels->width)
        return NULL;
    *beside = (Pixel){y, x};
    return labels_at(labels, y, x);
}

/* Whether a pixel would give its label to any neighbour. */
static int is_open(const Labels *labels, Pixel pixel)
{
    Pixel beside;
    for (int k = 0; k < 4; k++) {
        const int32_t *label = label_beside(labels, pixel, k, &beside);
        if (label && *label == UNREACHED)
            return 1;
    }
    return 0;
}

/* --- one component ---------------------------------------------------------------------------- */

typedef struct {
    uint64_t key;
    Pixel pixel;
    uint32_t parent_round;
} Queued;

/* The queue of one thread, and what it knows of ties.
 *
 * Two pixels are tied if they have the same cost and their parents are tied, or both are of
 * markers. Tied pixels leave the queue one after the other: a round. (By induction: parents that
 * leave one after the other queue their children one after the other.) The first of a round to
 * reach a pixel labels it. If a later one of the same round comes to it with another label, the
 * order of the round mattered. To see that, labels given in this round are kept negative, -1 - label,
 * until it ends. */
typedef struct {
    const Plane *inner;
    Labels *labels;
    Queued *heap;
    size_t n, capacity;
    uint32_t time;
    uint32_t round;
    Queued last;     /* what left the queue last */
    int32_t **given; /* labels given in this round */
    size_t n_given, given_capacity;
    int ties;
} Flood;

static int flood_push(Flood *flood, Pixel pixel, uint32_t cost, uint32_t parent_round)
{
    if (flood->n == flood->capacity) {
        const size_t capacity = 2 * flood->capacity + 1024;
        Queued *heap = realloc(flood->heap, capacity * sizeof *heap);
        if (!heap)
            return NO_MEMORY;
        flood->heap = heap;
        flood->capacity = capacity;
    }
    const Queued item = {key_of(cost, flood->time++), pixel, parent_round};
    size_t place = flood->n++;
    for (; place && item.key < flood->heap[(place - 1) / 2].key; place = (place - 1) / 2)
        flood->heap[place] = flood->heap[(place - 1) / 2];
    flood->heap[place] = item;
    return DONE;
}

static Queued flood_pop(Flood *flood)
{
    Queued *heap = flood->heap;
    const Queued first = heap[0], item = heap[--flood->n];
    size_t place = 0;
    for (size_t child; (child = 2 * place + 1) < flood->n; place = child) {
        child += child + 1 < flood->n && heap[child + 1].key < heap[child].key;
        if (item.key <= heap[child].key)
            break;
        heap[place] = heap[child];
    }
    heap[place] = item;
    return first;
}

static void end_round(Flood *flood)
{
    for (size_t i = 0; i < flood->n_given; i++)
        *flood->given[i] = -1 - *flood->given[i];
    flood->n_given = 0;
    flood->round++;
}

static int note_given(Flood *flood, int32_t *label)
{
    if (flood->n_given == flood->given_capacity) {
        const size_t capacity = 2 * flood->given_capacity + 256;
        int32_t **given = realloc(flood->given, capacity * sizeof *given);
        if (!given)
            return NO_MEMORY;
        flood->given = given;
        flood->given_capacity = capacity;
    }
    flood->given[flood->n_given++] = label;
    return DONE;
}

static int queue_markers(Flood *flood, const Run *runs, const Run *stop)
{
    for (; runs < stop; runs++)
        for (int32_t x = runs->start; x < runs->stop; x++) {
            const Pixel pixel = {runs->y, x};
            if (*labels_at(flood->labels, pixel.y, pixel.x) == UNREACHED
                || !is_open(flood->labels, pixel))
                continue;
            const uint32_t cost = cost_of(plane_at(flood->inner, pixel.y, pixel.x));
            if (flood_push(flood, pixel, cost, flood->round))
                return NO_MEMORY;
        }
    return DONE;
}

static int reach_neighbours(Flood *flood, const Queued *from)
{
    const int32_t label = *labels_at(flood->labels, from->pixel.y, from->pixel.x);
    for (int k = 0; k < 4; k++) {
        Pixel pixel;
        int32_t *beside = label_beside(flood->labels, from->pixel, k, &pixel);
        if (!beside || *beside >= 0)
            continue;
        if (*beside != UNREACHED) {
            flood->ties |= *beside != -1 - label;
            continue;
        }
        *beside = -1 - label;
        if (note_given(flood, beside))
            return NO_MEMORY;
        const uint32_t cost = cost_from(from->key, plane_at(flood->inner, pixel.y, pixel.x));
        if (is_open(flood->labels, pixel) && flood_push(flood, pixel, cost, flood->round))
            return NO_MEMORY;
    }
    return DONE;
}

static int flood_component(Flood *flood, const Run *runs, const Run *stop)
{
    flood->n = 0;
    flood->time = 0;
    flood->round = 0;
    int status = queue_markers(flood, runs, stop);
    flood->round = 1; /* that of the first pixel; 0 is the parent of markers */
    for (int first = 1; status == DONE && flood->n; first = 0) {
        const Queued next = flood_pop(flood);
        if (!first
            && (cost_in(next.key) != cost_in(flood->last.key)
                || next.parent_round != flood->last.parent_round))
            end_round(flood);
        flood->last = next;
        status = reach_neighbours(flood, &next);
    }
    end_round(flood);
    return status;
}

int flood_components(
    const Plane *inner, Labels *labels, const Groups *components, Share share, int *ties)
{
    Flood flood = {.inner = inner, .labels = labels};
    int status = DONE;
    for (int32_t label = share.first; label < share.stop && status == DONE; label++)
        status = flood_component(
            &flood, components->runs + components->first[label],
            components->runs + components->first[label + 1]);
    *ties = flood.ties;
    free(flood.heap);
    free(flood.given);
    return status;
}

/* --- the whole map ---------------------------------------------------------------------------- */

/* A binary heap whose equal items come in the order that its layout gives them; so every marker
 * pixel is queued, also those that reach nothing. */
typedef struct {
    struct {
        uint64_t key;
        Pixel pixel;
    } *items;
    size_t n, capacity;
} Heap;

static int heap_push(Heap *heap, uint64_t key, Pixel pixel)
{
    if (heap->n == heap->capacity) {
        const size_t capacity = 2 * heap->capacity + 4096;
        void *items = realloc(heap->items, capacity * sizeof *heap->items);
        if (!items)
            return NO_MEMORY;
        heap->items = items;
        heap->capacity = capacity;
    }
    size_t place = heap->n++;
    for (; place && key < heap->items[(place - 1) / 2].key; place = (place - 1) / 2)
        heap->items[place] = heap->items[(place - 1) / 2];
    heap->items[place].key = key;
    heap->items[place].pixel = pixel;
    return DONE;
}

/* Remove the first item: the last takes its place and sinks below smaller ones, left ones first. */
static void heap_pop(Heap *heap, uint64_t *key, Pixel *pixel)
{
    *key = heap->items[0].key;
    *pixel = heap->items[0].pixel;
    const size_t last = --heap->n;
    size_t place = 0;
    for (size_t child; (child = 2 * place + 1) < heap->n; place = child) {
        PREFETCH(heap->items + 8 * place + 7); /* three levels below: a large heap waits for memory */
        PREFETCH(heap->items + 8 * place + 11);
        child += child + 1 < heap->n && heap->items[child + 1].key < heap->items[child].key;
        if (heap->items[last].key <= heap->items[child].key)
            break;
        heap->items[place] = heap->items[child];
    }
    heap->items[place] = heap->items[last];
}

static int heap_markers(Heap *heap, const Plane *inner, const Labels *labels)
{
    for (int32_t y = 0; y < labels->height; y++)
        for (int32_t x = 0; x < labels->width; x++)
            if (*labels_at(labels, y, x) > 0
                && heap_push(heap, key_of(cost_of(plane_at(inner, y, x)), 0), (Pixel){y, x}))
                return NO_MEMORY;
    return DONE;
}

int flood_map(const Plane *inner, Labels *labels)
{
    Heap heap = {0};
    uint32_t time = 0;
    int status = heap_markers(&heap, inner, labels);
    while (status == DONE && heap.n) {
        uint64_t key;
        Pixel from, pixel;
        heap_pop(&heap, &key, &from);
        for (int k = 0; k < 4 && status == DONE; k++) {
            int32_t *beside = label_beside(labels, from, k, &pixel);
            if (!beside || *beside != UNREACHED)
                continue;
            *beside = *labels_at(labels, from.y, from.x);
            const uint32_t cost = cost_from(key, plane_at(inner, pixel.y, pixel.x));
            status = heap_push(&heap, key_of(cost, ++time), pixel);
        }
    }
    free(heap.items);
    return status;
}
