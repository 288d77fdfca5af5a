/* The compiled kernel of the scores: arrays in by the buffer protocol, flat int64 arrays out.
 *
 * The modules that call it check shapes and types first and say what is wrong in words; here is
 * only what keeps a wrong call from reading memory that is not its own.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_kernel.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_MAPS = 4 };

/* --- arrays ----------------------------------------------------------------------------------- */

typedef struct {
    Py_buffer views[MOST_MAPS];
    Map maps[MOST_MAPS];
    int n;
    size_t height, width;
} Arrays;

static void arrays_close(Arrays *arrays)
{
    for (int k = 0; k < arrays->n; k++)
        PyBuffer_Release(arrays->views + k);
}

static int map_of(const Py_buffer *view, Map *map)
{
    const char *format = view->format ? view->format : "B";
    if (*format == '@' || *format == '=')
        format++;
    if (view->ndim != 2 || !*format || !strchr("bBhHiIlLqQ", *format) || format[1]) {
        PyErr_SetString(PyExc_TypeError, "expected a 2-D array of native integers");
        return -1;
    }
    map->data = view->buf;
    map->row_stride = view->strides[0];
    map->stride = view->strides[1];
    map->bytes = (int)view->itemsize;
    map->is_signed = *format >= 'a';
    return 0;
}

static int arrays_open(Arrays *arrays, PyObject *const *args, int n)
{
    arrays->n = 0;
    for (int k = 0; k < n; k++) {
        Py_buffer *view = arrays->views + k;
        if (PyObject_GetBuffer(args[k], view, PyBUF_STRIDES | PyBUF_FORMAT))
            return -1;
        arrays->n++;
        if (map_of(view, arrays->maps + k))
            return -1;
        if (view->shape[0] != arrays->views->shape[0] || view->shape[1] != arrays->views->shape[1]) {
            PyErr_SetString(PyExc_ValueError, "arrays differ in shape");
            return -1;
        }
    }
    arrays->height = (size_t)arrays->views->shape[0];
    arrays->width = (size_t)arrays->views->shape[1];
    return 0;
}

static void transpose(Arrays *arrays)
{
    for (int k = 0; k < arrays->n; k++) {
        Map *map = arrays->maps + k;
        const ptrdiff_t stride = map->stride;
        map->stride = map->row_stride;
        map->row_stride = stride;
    }
    const size_t height = arrays->height;
    arrays->height = arrays->width;
    arrays->width = height;
}

/* Let rows be what lies closest in memory; no count depends on the order of pixels. */
static void follow_memory(Arrays *arrays)
{
    ptrdiff_t along = 0, across = 0;
    for (int k = 0; k < arrays->n; k++) {
        const Map *map = arrays->maps + k;
        along += map->stride < 0 ? -map->stride : map->stride;
        across += map->row_stride < 0 ? -map->row_stride : map->row_stride;
    }
    if (along > across)
        transpose(arrays);
    for (int k = 0; k < arrays->n; k++) {
        const Map *map = arrays->maps + k;
        if (map->stride != map->bytes || map->row_stride != (ptrdiff_t)arrays->width * map->stride)
            return;
    }
    /* One long row, which halves anywhere. */
    for (int k = 0; k < arrays->n; k++)
        arrays->maps[k].row_stride *= (ptrdiff_t)arrays->height;
    arrays->width *= arrays->height;
    arrays->height = 1;
}

/* --- two threads ------------------------------------------------------------------------------ */

static const unsigned long NO_THREAD = (unsigned long)-1; /* PYTHREAD_INVALID_THREAD_ID */

typedef struct {
    Map maps[MOST_MAPS];
    int n_maps;
    uint64_t n_classes;
    size_t height, width;
    Rows rows;
    int status;
    PyThread_type_lock finished;
} Part;

static void count_part(void *argument)
{
    Part *part = argument;
    part->status = count_pairs(
        part->maps, part->n_maps, part->n_classes, part->height, part->width, &part->rows);
    if (part->finished)
        PyThread_release_lock(part->finished);
}

/* Split off the lower half, or the right half of a single row. */
static void halve(Part *first, Part *second)
{
    *second = *first;
    size_t *side = first->height > 1 ? &first->height : &first->width;
    const size_t half = *side / 2;
    *(first->height > 1 ? &second->height : &second->width) = *side - half;
    for (int k = 0; k < first->n_maps; k++) {
        const Map *map = first->maps + k;
        second->maps[k].data += (ptrdiff_t)half
            * (first->height > 1 ? map->row_stride : map->stride);
    }
    *side = half;
}

static int append_rows(Rows *to, const Rows *from)
{
    if (from->n == 0)
        return DONE;
    Row *rows = realloc(to->rows, (to->n + from->n) * sizeof(Row));
    if (!rows)
        return NO_MEMORY;
    memcpy(rows + to->n, from->rows, from->n * sizeof(Row));
    to->rows = rows;
    to->n = to->capacity = to->n + from->n;
    return DONE;
}

static int count_in_two_threads(Part *first)
{
    Part second;
    halve(first, &second);
    second.finished = PyThread_allocate_lock();
    if (second.finished)
        PyThread_acquire_lock(second.finished, WAIT_LOCK);
    const int started = second.finished
        && PyThread_start_new_thread(count_part, &second) != NO_THREAD;
    count_part(first);
    if (started)
        PyThread_acquire_lock(second.finished, WAIT_LOCK);
    else
        count_part(&second);
    if (second.finished) {
        PyThread_release_lock(second.finished);
        PyThread_free_lock(second.finished);
    }
    int status = first->status ? first->status : second.status;
    if (status == DONE)
        status = append_rows(&first->rows, &second.rows);
    free(second.rows.rows);
    return status;
}

/* Needs no GIL. */
static int count_arrays(const Arrays *arrays, uint64_t n_classes, int threads, Rows *rows)
{
    Part part = {
        .n_maps = arrays->n,
        .n_classes = n_classes,
        .height = arrays->height,
        .width = arrays->width,
    };
    memcpy(part.maps, arrays->maps, sizeof part.maps);
    if (threads > 1 && arrays->height * arrays->width > 1) {
        part.status = count_in_two_threads(&part);
    } else {
        count_part(&part);
    }
    *rows = part.rows;
    return part.status;
}

/* --- functions -------------------------------------------------------------------------------- */

static PyObject *table_object(const Table *table)
{
    const size_t n = 2 * (table->n_truth + table->n_prediction) + 3 * table->n_pairs;
    PyObject *values = PyByteArray_FromStringAndSize(
        (const char *)table->values, (Py_ssize_t)(n * sizeof(int64_t)));
    if (!values)
        return NULL;
    return Py_BuildValue(
        "Nnn", values, (Py_ssize_t)table->n_truth, (Py_ssize_t)table->n_prediction);
}

static PyObject *raise_status(int status)
{
    if (status == NO_MEMORY)
        return PyErr_NoMemory();
    if (status == NO_PIXELS) {
        PyErr_SetString(PyExc_ValueError, "an id has no pixels in its map");
        return NULL;
    }
    PyErr_SetString(PyExc_OverflowError, "an id or a class is out of range");
    return NULL;
}

static PyObject *overlap(PyObject *module, PyObject *const *args, Py_ssize_t n_args)
{
    (void)module;
    if (n_args != 3) {
        PyErr_SetString(PyExc_TypeError, "expected truth, prediction, threads");
        return NULL;
    }
    const long threads = PyLong_AsLong(args[2]);
    if (threads == -1 && PyErr_Occurred())
        return NULL;
    Arrays arrays;
    Rows rows = {0};
    Table table = {0};
    PyObject *result = NULL;
    if (arrays_open(&arrays, args, 2) == 0) {
        int status;
        follow_memory(&arrays);
        Py_BEGIN_ALLOW_THREADS
        status = count_arrays(&arrays, 0, (int)threads, &rows);
        if (status == DONE)
            status = make_table(&rows, &table);
        Py_END_ALLOW_THREADS
        result = status == DONE ? table_object(&table) : raise_status(status);
    }
    free(rows.rows);
    free(table.values);
    arrays_close(&arrays);
    return result;
}

/* Two tables from rows whose keys hold classes: of ids, and of ids with a class. */
static int make_class_tables(Rows *rows, Table tables[2])
{
    Rows ids = {malloc((rows->n + 1) * sizeof(Row)), rows->n, rows->n + 1};
    if (!ids.rows)
        return NO_MEMORY;
    const uint64_t class_mask = ((uint64_t)1 << CLASS_BITS) - 1;
    for (size_t i = 0; i < rows->n; i++) {
        Row *row = rows->rows + i;
        ids.rows[i] = (Row){row->truth >> CLASS_BITS, row->prediction >> CLASS_BITS, row->pixels};
        if (!(row->truth & class_mask))
            row->truth = 0;
        if (!(row->prediction & class_mask))
            row->prediction = 0;
    }
    int status = make_table(&ids, tables);
    if (status == DONE)
        status = make_table(rows, tables + 1);
    free(ids.rows);
    return status;
}

static PyObject *class_overlap(PyObject *module, PyObject *const *args, Py_ssize_t n_args)
{
    (void)module;
    if (n_args != 5) {
        PyErr_SetString(
            PyExc_TypeError, "expected truth, its classes, prediction, its classes, n_classes");
        return NULL;
    }
    const long n_classes = PyLong_AsLong(args[4]);
    if (n_classes == -1 && PyErr_Occurred())
        return NULL;
    if (n_classes < 0 || n_classes >= 1 << CLASS_BITS)
        return raise_status(BAD_ID);
    Arrays arrays;
    Rows rows = {0};
    Table tables[2] = {{0}, {0}};
    PyObject *result = NULL;
    if (arrays_open(&arrays, args, 4) == 0) {
        int status;
        follow_memory(&arrays);
        Py_BEGIN_ALLOW_THREADS
        status = count_arrays(&arrays, (uint64_t)n_classes, 1, &rows);
        if (status == DONE)
            status = make_class_tables(&rows, tables);
        Py_END_ALLOW_THREADS
        if (status == DONE) {
            PyObject *ids = table_object(tables);
            PyObject *by_class = ids ? table_object(tables + 1) : NULL;
            result = by_class ? Py_BuildValue("NN", ids, by_class) : NULL;
            if (!by_class)
                Py_XDECREF(ids);
        } else {
            result = raise_status(status);
        }
    }
    free(rows.rows);
    free(tables[0].values);
    free(tables[1].values);
    arrays_close(&arrays);
    return result;
}

static int int64_vector(PyObject *object, Py_buffer *view)
{
    if (PyObject_GetBuffer(object, view, PyBUF_ND | PyBUF_FORMAT))
        return -1;
    if (view->ndim != 1 || view->itemsize != 8 || !strchr("lq", *view->format)) {
        PyErr_SetString(PyExc_TypeError, "expected a contiguous 1-D array of int64");
        PyBuffer_Release(view);
        return -1;
    }
    return 0;
}

static int check_partners(const Side *side, const Side *other)
{
    for (size_t i = 0; i < side->n; i++)
        if (side->partner[i] < NOT_COUNTED || side->partner[i] >= (int64_t)other->n) {
            PyErr_SetString(PyExc_IndexError, "a partner is not an object of the other side");
            return -1;
        }
    return 0;
}

static PyObject *measure(Arrays *arrays, const Py_buffer *vectors)
{
    PyObject *out[2];
    Side sides[2];
    for (int s = 0; s < 2; s++) {
        const Py_buffer *ids = vectors + 2 * s, *partner = ids + 1;
        if (ids->shape[0] != partner->shape[0]) {
            PyErr_SetString(PyExc_ValueError, "ids and partners differ in length");
            return NULL;
        }
        sides[s] = (Side){ids->buf, partner->buf, NULL, (size_t)ids->shape[0]};
    }
    if (check_partners(sides, sides + 1) || check_partners(sides + 1, sides))
        return NULL;
    out[0] = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)(sides[0].n * sizeof(int64_t)));
    out[1] = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)(sides[1].n * sizeof(int64_t)));
    int status = NO_MEMORY;
    if (out[0] && out[1]) {
        sides[0].squared = (int64_t *)(void *)PyByteArray_AsString(out[0]);
        sides[1].squared = (int64_t *)(void *)PyByteArray_AsString(out[1]);
        Py_BEGIN_ALLOW_THREADS
        status = hausdorff_squared(arrays->maps, arrays->height, arrays->width, sides);
        Py_END_ALLOW_THREADS
    }
    if (status == DONE)
        return Py_BuildValue("NN", out[0], out[1]);
    Py_XDECREF(out[0]);
    Py_XDECREF(out[1]);
    return PyErr_Occurred() ? NULL : raise_status(status);
}

static PyObject *hausdorff(PyObject *module, PyObject *const *args, Py_ssize_t n_args)
{
    (void)module;
    if (n_args != 6) {
        PyErr_SetString(
            PyExc_TypeError,
            "expected truth, prediction, truth ids, truth partners, prediction ids, prediction"
            " partners");
        return NULL;
    }
    Arrays arrays;
    Py_buffer vectors[4];
    int n_vectors = 0;
    PyObject *result = NULL;
    int ready = arrays_open(&arrays, args, 2) == 0;
    if (ready && (arrays.height >= FARTHEST || arrays.width >= FARTHEST)) {
        PyErr_SetString(PyExc_ValueError, "a side of the maps is too long");
        ready = 0;
    }
    for (; ready && n_vectors < 4; n_vectors++)
        if (int64_vector(args[2 + n_vectors], vectors + n_vectors)) {
            ready = 0;
            break;
        }
    if (ready)
        result = measure(&arrays, vectors);
    for (int k = 0; k < n_vectors; k++)
        PyBuffer_Release(vectors + k);
    arrays_close(&arrays);
    return result;
}

static PyMethodDef methods[] = {
    {"overlap", (PyCFunction)(void (*)(void))overlap, METH_FASTCALL,
     "overlap(truth, prediction, threads): ids and areas of both sides, then pairs."},
    {"class_overlap", (PyCFunction)(void (*)(void))class_overlap, METH_FASTCALL,
     "class_overlap(truth, truth_class, prediction, prediction_class, n_classes): the table of ids"
     " and the table of ids with a class."},
    {"hausdorff", (PyCFunction)(void (*)(void))hausdorff, METH_FASTCALL,
     "hausdorff(truth, prediction, truth_ids, truth_partner, prediction_ids, prediction_partner):"
     " squared distances of the objects of both sides to their partners."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_kernel",
    .m_doc = "The compiled kernel of the scores.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&definition); }
