/* The compiled kernel of the post-processing: arrays come and go by the buffer protocol.
 *
 * The module that calls it checks shapes and types first and says what is wrong in words; here is
 * only what keeps a wrong call from touching memory that is not its own.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_kernel.h"

#include <stdlib.h>

/* --- arrays ----------------------------------------------------------------------------------- */

/* A 2-D buffer whose items have one of some format characters and a size. */
static int open_map(PyObject *object, Py_buffer *view, int flags, const char *formats, int bytes)
{
    if (PyObject_GetBuffer(object, view, flags | PyBUF_FORMAT))
        return -1;
    const char *format = view->format ? view->format : "B";
    if (*format == '@' || *format == '=')
        format++;
    const int known = *format && strchr(formats, *format) && !format[1];
    if (view->ndim == 2 && known && view->itemsize == bytes)
        return 0;
    PyErr_Format(
        PyExc_TypeError, "expected a 2-D array of native items of %d bytes, one of %s", bytes,
        formats);
    PyBuffer_Release(view);
    return -1;
}

static int open_labels(PyObject *object, Py_buffer *view, int flags, Labels *labels)
{
    if (open_map(object, view, PyBUF_C_CONTIGUOUS | flags, "il", sizeof(int32_t)))
        return -1;
    const Py_ssize_t height = view->shape[0], width = view->shape[1];
    if (height < MOST_PIXELS / 2 && width < MOST_PIXELS / 2
        && (!width || height <= MOST_PIXELS / width)) {
        *labels = (Labels){view->buf, (int32_t)height, (int32_t)width};
        return 0;
    }
    PyErr_SetString(PyExc_OverflowError, "the map has too many pixels");
    PyBuffer_Release(view);
    return -1;
}

static int open_plane(PyObject *object, Py_buffer *view, const Labels *like, Plane *plane)
{
    if (open_map(object, view, PyBUF_STRIDES, "f", sizeof(float)))
        return -1;
    *plane = (Plane){view->buf, view->strides[0], view->strides[1]};
    if (view->shape[0] == like->height && view->shape[1] == like->width)
        return 0;
    PyErr_SetString(PyExc_ValueError, "arrays differ in shape");
    PyBuffer_Release(view);
    return -1;
}

static PyObject *raise_status(int status)
{
    if (status == NO_MEMORY)
        return PyErr_NoMemory();
    if (status == BAD_START) {
        PyErr_SetString(PyExc_ValueError, "a start is no uppermost pixel of an object");
        return NULL;
    }
    PyErr_SetString(PyExc_OverflowError, "an id is out of range");
    return NULL;
}

/* --- functions -------------------------------------------------------------------------------- */

static PyObject *nuclei(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *objects[3];
    long long min_mask_area, min_marker_area;
    NucleiRules rules;
    if (!PyArg_ParseTuple(
            args, "OOOLLii", objects, objects + 1, objects + 2, &min_mask_area, &min_marker_area,
            &rules.published_ties, &rules.threads))
        return NULL;
    rules.min_mask_area = min_mask_area;
    rules.min_marker_area = min_marker_area;
    Py_buffer labels_view, inner_view, contour_view;
    Labels labels;
    PyObject *result = NULL;
    if (open_labels(objects[2], &labels_view, PyBUF_WRITABLE, &labels))
        return NULL;
    if (open_plane(objects[0], &inner_view, &labels, &rules.inner))
        goto without_inner;
    if (open_plane(objects[1], &contour_view, &labels, &rules.contour))
        goto without_contour;
    int status, ties = 0;
    Py_BEGIN_ALLOW_THREADS
    status = find_nuclei(&rules, &labels, &ties);
    Py_END_ALLOW_THREADS
    result = status == DONE ? PyBool_FromLong(ties) : raise_status(status);
    PyBuffer_Release(&contour_view);
without_contour:
    PyBuffer_Release(&inner_view);
without_inner:
    PyBuffer_Release(&labels_view);
    return result;
}

/* The rows of a structuring element whose items of each row are one stretch. */
static int read_element(PyObject *object, RegionRules *rules)
{
    Py_buffer view;
    if (open_map(object, &view, PyBUF_C_CONTIGUOUS, "B", sizeof(uint8_t)))
        return -1;
    const Py_ssize_t size = view.shape[0];
    int known = size >= 1 && size <= MOST_SIZE && view.shape[1] == size;
    for (Py_ssize_t i = 0; known && i < size; i++) {
        const uint8_t *row = (const uint8_t *)view.buf + i * size;
        int32_t start = 0, stop = (int32_t)size;
        while (start < stop && !row[start])
            start++;
        while (stop > start && !row[stop - 1])
            stop--;
        for (int32_t j = start; j < stop; j++)
            known &= row[j] != 0;
        known &= start < stop;
        rules->starts[i] = start;
        rules->stops[i] = stop;
    }
    rules->size = (int32_t)size;
    PyBuffer_Release(&view);
    if (!known)
        PyErr_SetString(PyExc_ValueError, "not a square structuring element of whole rows");
    return known ? 0 : -1;
}

static PyObject *regions(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given[4];
    double threshold;
    long long min_area;
    RegionRules rules;
    if (!PyArg_ParseTuple(
            args, "OOOOdL", given, given + 1, given + 2, given + 3, &threshold, &min_area))
        return NULL;
    if (read_element(given[3], &rules))
        return NULL;
    rules.threshold = (float)threshold;
    rules.min_area = min_area;
    Py_buffer labels_view, inner_view, contour_view;
    Labels labels;
    PyObject *result = NULL;
    if (open_labels(given[2], &labels_view, PyBUF_WRITABLE, &labels))
        return NULL;
    if (open_plane(given[0], &inner_view, &labels, &rules.inner))
        goto without_inner;
    if (open_plane(given[1], &contour_view, &labels, &rules.contour))
        goto without_contour;
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = find_regions(&rules, &labels);
    Py_END_ALLOW_THREADS
    result = status == DONE ? Py_NewRef(Py_None) : raise_status(status);
    PyBuffer_Release(&contour_view);
without_contour:
    PyBuffer_Release(&inner_view);
without_inner:
    PyBuffer_Release(&labels_view);
    return result;
}

static PyObject *bytes_of(const void *items, size_t n, size_t size)
{
    return PyByteArray_FromStringAndSize(items, (Py_ssize_t)(n * size));
}

static PyObject *table_object(const Table *table)
{
    const size_t n = table->n;
    return Py_BuildValue(
        "NNNNNNNNNN", bytes_of(table->ids, n, sizeof *table->ids),
        bytes_of(table->boxes, n, sizeof *table->boxes),
        bytes_of(table->areas, n, sizeof *table->areas),
        bytes_of(table->x_sums, n, sizeof *table->x_sums),
        bytes_of(table->y_sums, n, sizeof *table->y_sums),
        bytes_of(table->types, n, sizeof *table->types),
        bytes_of(table->type_counts, n, sizeof *table->type_counts),
        bytes_of(table->value_sums, n, sizeof *table->value_sums),
        bytes_of(table->outline_lengths, n, sizeof *table->outline_lengths),
        bytes_of(table->outlines.points, table->outlines.n, sizeof(Point)));
}

static int open_types(PyObject *object, Py_buffer *view, const Labels *like)
{
    if (open_map(object, view, PyBUF_C_CONTIGUOUS, "H", sizeof(uint16_t)))
        return -1;
    if (view->shape[0] == like->height && view->shape[1] == like->width)
        return 0;
    PyErr_SetString(PyExc_ValueError, "arrays differ in shape");
    PyBuffer_Release(view);
    return -1;
}

static PyObject *objects(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given[3];
    int threads;
    if (!PyArg_ParseTuple(args, "OOOi", given, given + 1, given + 2, &threads))
        return NULL;
    Py_buffer labels_view, types_view = {0}, values_view = {0};
    Labels labels;
    Plane values = {0};
    PyObject *result = NULL;
    if (open_labels(given[0], &labels_view, 0, &labels))
        return NULL;
    if (given[1] != Py_None && open_types(given[1], &types_view, &labels))
        goto without_types;
    if (given[2] != Py_None && open_plane(given[2], &values_view, &labels, &values))
        goto without_values;
    Table table;
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = measure_objects(&labels, types_view.buf, &values, threads, &table);
    Py_END_ALLOW_THREADS
    result = status == DONE ? table_object(&table) : raise_status(status);
    table_free(&table);
    if (values_view.obj)
        PyBuffer_Release(&values_view);
without_values:
    if (types_view.obj)
        PyBuffer_Release(&types_view);
without_types:
    PyBuffer_Release(&labels_view);
    return result;
}

/* Follow the outlines from all starts; lengths has an item for each. */
static int follow_all(
    const Labels *labels, const Point *starts, size_t n, int64_t *lengths, Points *out)
{
    for (size_t i = 0; i < n; i++) {
        const size_t before = out->n;
        const int status = follow_edges(labels, starts[i], out);
        if (status != DONE)
            return status;
        lengths[i] = (int64_t)(out->n - before);
    }
    return DONE;
}

static int open_starts(PyObject *object, Py_buffer *view)
{
    if (open_map(object, view, PyBUF_C_CONTIGUOUS, "il", sizeof(int32_t)))
        return -1;
    if (view->shape[1] == 2)
        return 0;
    PyErr_SetString(PyExc_ValueError, "starts are not of shape (n, 2)");
    PyBuffer_Release(view);
    return -1;
}

static PyObject *edges(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given[2];
    if (!PyArg_ParseTuple(args, "OO", given, given + 1))
        return NULL;
    Py_buffer labels_view, starts_view;
    Labels labels;
    PyObject *result = NULL;
    if (open_labels(given[0], &labels_view, 0, &labels))
        return NULL;
    if (open_starts(given[1], &starts_view))
        goto without_starts;
    const size_t n = (size_t)starts_view.shape[0];
    Points points = {0};
    int64_t *lengths = calloc(n + 1, sizeof *lengths);
    int status = NO_MEMORY;
    if (lengths) {
        Py_BEGIN_ALLOW_THREADS
        status = follow_all(&labels, starts_view.buf, n, lengths, &points);
        Py_END_ALLOW_THREADS
    }
    result = status == DONE
        ? Py_BuildValue(
              "NN", bytes_of(lengths, n, sizeof *lengths),
              bytes_of(points.points, points.n, sizeof(Point)))
        : raise_status(status);
    free(lengths);
    free(points.points);
    PyBuffer_Release(&starts_view);
without_starts:
    PyBuffer_Release(&labels_view);
    return result;
}

static PyMethodDef methods[] = {
    {"nuclei", nuclei, METH_VARARGS,
     "nuclei(inner, contour, labels, min_mask_area, min_marker_area, published_ties, threads):"
     " paint nuclei on a map of zeros; returns whether the order of equal pixels mattered."},
    {"regions", regions, METH_VARARGS,
     "regions(inner, contour, labels, element, threshold, min_area): paint glands or lumina on a map"
     " of zeros."},
    {"objects", objects, METH_VARARGS,
     "objects(labels, types, values, threads): columns of the table of a label map's objects."},
    {"edges", edges, METH_VARARGS,
     "edges(labels, starts): lengths and corners of outlines along the edges of pixels."},
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
    .m_doc = "The compiled kernel of the post-processing.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&definition); }
