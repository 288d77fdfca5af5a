/* The outer border of an object, followed pixel by pixel.
 *
 * Suzuki and Abe, "Topological structural analysis of digitized binary images by border following",
 * CVGIP 30, 1985, algorithm 1, step 3. The points are those of OpenCV's findContours with
 * CHAIN_APPROX_SIMPLE, in its order.
 */
#include "_kernel.h"

#include <stdlib.h>

/* Counterclockwise from the right; direction ^ 4 is the opposite one. */
static const Point STEPS[8] = {{1, 0},  {1, -1}, {0, -1}, {-1, -1},
                               {-1, 0}, {-1, 1}, {0, 1},  {1, 1}};

enum { LEFT = 4, NOWHERE = -1 };

static Point step(Point from, int direction)
{
    return (Point){from.x + STEPS[direction].x, from.y + STEPS[direction].y};
}

int points_add(Points *points, Point point)
{
    if (points->n == points->capacity) {
        const size_t capacity = 2 * points->capacity + 1024;
        Point *more = realloc(points->points, capacity * sizeof *more);
        if (!more)
            return NO_MEMORY;
        points->points = more;
        points->capacity = capacity;
    }
    points->points[points->n++] = point;
    return DONE;
}

/* The direction to the first neighbour clockwise from the left. */
static int first_back(const Labels *labels, Point start, int32_t id)
{
    for (int turn = 1; turn < 8; turn++) {
        const int direction = (LEFT - turn) & 7;
        if (has_id(labels, step(start, direction), id))
            return direction;
    }
    return NOWHERE;
}

int trace_outline(const Labels *labels, Point start, Points *out)
{
    const int32_t id = *labels_at(labels, start.y, start.x);
    int back = first_back(labels, start, id); /* to where the border comes from */
    if (back == NOWHERE)
        return points_add(out, start);
    const Point last = step(start, back);
    Point here = start;
    for (;;) {
        int ahead = (back + 1) & 7;
        while (!has_id(labels, step(here, ahead), id))
            ahead = (ahead + 1) & 7; /* ends at back, at the latest */
        if (ahead != (back ^ 4) && points_add(out, here))
            return NO_MEMORY;
        const Point next = step(here, ahead);
        if (next.x == start.x && next.y == start.y && here.x == last.x && here.y == last.y)
            return DONE;
        here = next;
        back = ahead ^ 4;
    }
}
