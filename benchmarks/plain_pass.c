/* The plain pass that the kernel is measured against: runs of equal (truth, prediction) pixels,
   counted in an open-addressing table. One thread, int32 maps in C order, no checks. */

#include <stdint.h>
#include <string.h>

/* Fills keys (truth << 32 | prediction, plus one so that 0 is an empty slot) and counts, both of
   `capacity` slots, a power of two larger than the number of pairs. Returns the pairs found. */
int64_t plain_pass(const int32_t *truth, const int32_t *prediction, int64_t n, uint64_t *keys,
                   int64_t *counts, int64_t capacity) {
    int64_t found = 0;
    memset(keys, 0, (size_t)capacity * sizeof *keys);
    memset(counts, 0, (size_t)capacity * sizeof *counts);
    for (int64_t i = 0; i < n;) {
        int64_t begin = i;
        int32_t t = truth[i], p = prediction[i];
        while (i < n && truth[i] == t && prediction[i] == p) i++;
        uint64_t key = ((uint64_t)(uint32_t)t << 32 | (uint32_t)p) + 1;
        uint64_t slot = (key * 0x9E3779B97F4A7C15u >> 20) & (uint64_t)(capacity - 1);
        while (keys[slot] && keys[slot] != key) slot = (slot + 1) & (uint64_t)(capacity - 1);
        if (!keys[slot]) {
            keys[slot] = key;
            found++;
        }
        counts[slot] += i - begin;
    }
    return found;
}
