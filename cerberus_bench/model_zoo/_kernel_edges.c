/* The outer border of an object along the edges of its pixels: crack following.
 *
 * Rosenfeld and Kak, "Digital Picture Processing", 2nd edition 1982, section 11.2. With the object on
 * the right hand; of two pixels that touch at a corner only, the border goes on from one to the
 * other, so that the parts of an object are 8-connected.
 */
#include "_kernel.h"

/* Right, down, left, up. */
static const Point STEPS[4] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};

/* From a corner to the pixel ahead on the left hand; the one on the right hand is that of the next
 * direction. */
static const Point AHEAD[4] = {{0, -1}, {0, 0}, {-1, 0}, {-1, -1}};

static Point moved(Point from, Point by)
{
    return (Point){from.x + by.x, from.y + by.y};
}

int follow_edges(const Labels *labels, Point start, Points *out)
{
    if (start.x < 0 || start.y < 0 || start.x >= labels->width || start.y >= labels->height)
        return BAD_START;
    const int32_t id = *labels_at(labels, start.y, start.x);
    if (id == 0 || has_id(labels, moved(start, STEPS[3]), id))
        return BAD_START;
    Point corner = start; /* the upper left one of its pixel */
    int direction = 0;
    do { /* every edge has one successor and one predecessor: the first one comes again */
        corner = moved(corner, STEPS[direction]);
        const int right = (direction + 1) & 3;
        int next = direction;
        if (has_id(labels, moved(corner, AHEAD[direction]), id))
            next = (direction + 3) & 3;
        else if (!has_id(labels, moved(corner, AHEAD[right]), id))
            next = right;
        if (next != direction && points_add(out, corner))
            return NO_MEMORY;
        direction = next;
    } while (corner.x != start.x || corner.y != start.y || direction != 0);
    return DONE;
}
