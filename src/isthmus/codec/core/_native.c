/* The C core as a Python type, in the limited API of Python 3.11: one wheel for every later version.
 *
 *     Coder(tensors)                      tensors: (channels, rows, columns, table words as int16 bytes) each
 *     Coder.encode(symbols, reference)    uint8 buffers of `size` symbols; reference or None -> bytes
 *     Coder.decode(body, reference)       -> bytes of `size` symbols
 *     pack(symbols, runs)                 runs: (count, bits) each; uint8 buffer of all symbols -> bytes
 *     unpack(packed, runs)                -> bytes of all symbols
 *
 * A Coder never changes after it was made; the interpreter lock is released while it works.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "bits.h"
#include "core.h"

enum { TENSORS_MAX = 16, SIZE_MAX_SYMBOLS = 1 << 26 };

typedef struct {
    PyObject_HEAD
    int count;
    size_t size;
    Model models[TENSORS_MAX];
} Coder;

static PyObject *fail(Status status) {
    switch (status) {
    case CORE_MEMORY: return PyErr_NoMemory();
    case CORE_TABLE: PyErr_SetString(PyExc_ValueError, "the words are not a codec table of this tensor"); return NULL;
    case CORE_SYMBOL: PyErr_SetString(PyExc_ValueError, "a symbol is too large for the bits of its tensor"); return NULL;
    default: PyErr_SetString(PyExc_ValueError, "the bytes are not a coded frame of this boundary"); return NULL;
    }
}

static int add_tensor(Coder *self, PyObject *described) {
    int channels, rows, columns;
    Py_buffer words;
    if (!PyTuple_Check(described)) {
        PyErr_SetString(PyExc_TypeError, "a tensor is a tuple (channels, rows, columns, words)");
        return 0;
    }
    if (!PyArg_ParseTuple(described, "iiiy*:Coder", &channels, &rows, &columns, &words)) return 0;
    Status status = CORE_TABLE;
    int small = channels > 0 && rows > 0 && columns > 0 &&
                (uint64_t)(unsigned)channels * (unsigned)rows <= SIZE_MAX_SYMBOLS / (unsigned)columns;
    if (small && words.len % 2 == 0) {
        status = model_read(&self->models[self->count], channels, rows, columns, words.buf, (size_t)words.len / 2);
    }
    PyBuffer_Release(&words);
    if (status != CORE_OK) {
        fail(status);
        return 0;
    }
    self->size += model_size(&self->models[self->count++]);
    return 1;
}

static PyObject *coder_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    PyObject *tensors;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "O!:Coder", &PyTuple_Type, &tensors)) return NULL;
    Py_ssize_t count = PyTuple_Size(tensors);
    if (count < 1 || count > TENSORS_MAX) {
        PyErr_Format(PyExc_ValueError, "a frame has 1 to %d tensors, got %zd", TENSORS_MAX, count);
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Coder *self = (Coder *)allocate(type, 0);
    if (!self) return NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!add_tensor(self, PyTuple_GetItem(tensors, i))) {
            Py_DECREF(self);
            return NULL;
        }
    }
    return (PyObject *)self;
}

static void coder_dealloc(Coder *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    for (int i = 0; i < self->count; i++) model_free(&self->models[i]);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static int has_size(const Coder *self, const Py_buffer *symbols, const char *what) {
    if ((size_t)symbols->len == self->size) return 1;
    PyErr_Format(PyExc_ValueError, "%s has %zd bytes, the boundary has %zu symbols", what, symbols->len, self->size);
    return 0;
}

static PyObject *encode_checked(Coder *self, const Py_buffer *symbols, const Py_buffer *reference) {
    if (!has_size(self, symbols, "the frame") || (reference->buf && !has_size(self, reference, "the reference"))) return NULL;
    uint8_t *body = PyMem_Malloc(body_bytes_max(self->size));
    if (!body) return PyErr_NoMemory();
    size_t length = 0;
    Status status;
    Py_BEGIN_ALLOW_THREADS
    status = frame_encode(self->models, self->count, symbols->buf, reference->buf, body, &length);
    Py_END_ALLOW_THREADS
    PyObject *made = status == CORE_OK ? PyBytes_FromStringAndSize((const char *)body, (Py_ssize_t)length) : fail(status);
    PyMem_Free(body);
    return made;
}

static PyObject *decode_checked(Coder *self, const Py_buffer *body, const Py_buffer *reference) {
    if (reference->buf && !has_size(self, reference, "the reference")) return NULL;
    PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)self->size);
    if (!made) return NULL;
    uint8_t *symbols = (uint8_t *)PyBytes_AsString(made);
    Status status;
    Py_BEGIN_ALLOW_THREADS
    status = frame_decode(self->models, self->count, body->buf, (size_t)body->len, reference->buf, symbols);
    Py_END_ALLOW_THREADS
    if (status == CORE_OK) return made;
    Py_DECREF(made);
    return fail(status);
}

static PyObject *coder_encode(Coder *self, PyObject *args) {
    Py_buffer symbols, reference;
    if (!PyArg_ParseTuple(args, "y*z*:encode", &symbols, &reference)) return NULL;
    PyObject *made = encode_checked(self, &symbols, &reference);
    PyBuffer_Release(&symbols);
    PyBuffer_Release(&reference);
    return made;
}

static PyObject *coder_decode(Coder *self, PyObject *args) {
    Py_buffer body, reference;
    if (!PyArg_ParseTuple(args, "y*z*:decode", &body, &reference)) return NULL;
    PyObject *made = decode_checked(self, &body, &reference);
    PyBuffer_Release(&body);
    PyBuffer_Release(&reference);
    return made;
}

static PyMethodDef methods[] = {
    {"encode", (PyCFunction)coder_encode, METH_VARARGS, "encode(symbols, reference) -> body"},
    {"decode", (PyCFunction)coder_decode, METH_VARARGS, "decode(body, reference) -> symbols"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, coder_new},
    {Py_tp_dealloc, coder_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, "Coder(tensors): codes frames of a boundary, one table for each tensor."},
    {0, NULL},
};

static PyType_Spec coder_spec = {
    .name = "isthmus.codec._native.Coder",
    .basicsize = sizeof(Coder),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

/* Reads ((count, bits), ...) and adds up the counts; gives the number of runs, or -1 with an exception. */
static int read_runs(PyObject *described, Run *runs, size_t *symbols) {
    Py_ssize_t count = PyTuple_Size(described);
    if (count < 0) return -1;
    if (count > TENSORS_MAX) {
        PyErr_Format(PyExc_ValueError, "a frame has at most %d tensors, got %zd", TENSORS_MAX, count);
        return -1;
    }
    *symbols = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_ssize_t size;
        int bits;
        PyObject *run = PyTuple_GetItem(described, i);
        if (!PyTuple_Check(run)) {
            PyErr_SetString(PyExc_TypeError, "a run is a tuple (count, bits)");
            return -1;
        }
        if (!PyArg_ParseTuple(run, "ni", &size, &bits)) return -1;
        if (size < 0 || size > SIZE_MAX_SYMBOLS || bits < 1 || bits > 8) {
            PyErr_Format(PyExc_ValueError, "a run has at most %d symbols of 1 to 8 bits, got %zd of %d", SIZE_MAX_SYMBOLS, size, bits);
            return -1;
        }
        runs[i] = (Run){(size_t)size, bits};
        *symbols += (size_t)size;
    }
    return (int)count;
}

static PyObject *repack(PyObject *args, int unpacks) {
    Py_buffer given;
    PyObject *described;
    Run runs[TENSORS_MAX];
    size_t symbols;
    if (!PyArg_ParseTuple(args, "y*O!", &given, &PyTuple_Type, &described)) return NULL;
    PyObject *made = NULL;
    int count = read_runs(described, runs, &symbols);
    if (count >= 0) {
        size_t packed = packed_bytes(runs, count), wanted = unpacks ? packed : symbols;
        if ((size_t)given.len != wanted) {
            PyErr_Format(PyExc_ValueError, "%zd bytes are given, the runs have %zu", given.len, wanted);
        } else if ((made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(unpacks ? symbols : packed)))) {
            uint8_t *out = (uint8_t *)PyBytes_AsString(made);
            int sound = 1;
            Py_BEGIN_ALLOW_THREADS
            if (unpacks) sound = bits_unpack(runs, count, given.buf, out);
            else bits_pack(runs, count, given.buf, out);
            Py_END_ALLOW_THREADS
            if (!sound) {
                PyErr_SetString(PyExc_ValueError, "the bits that fill the last byte are not zero");
                Py_CLEAR(made);
            }
        }
    }
    PyBuffer_Release(&given);
    return made;
}

static PyObject *native_pack(PyObject *module, PyObject *args) {
    (void)module;
    return repack(args, 0);
}

static PyObject *native_unpack(PyObject *module, PyObject *args) {
    (void)module;
    return repack(args, 1);
}

static PyMethodDef functions[] = {
    {"pack", native_pack, METH_VARARGS, "pack(symbols, runs) -> bytes"},
    {"unpack", native_unpack, METH_VARARGS, "unpack(packed, runs) -> symbols"},
    {NULL, NULL, 0, NULL},
};

static int fill(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &coder_spec, NULL);
    if (!type) return -1;
    int failed = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return failed;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill}, {0, NULL}};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "isthmus.codec._native",
    .m_doc = "The C core of the codec; see predictor.py, rans.py and raw.py for what it computes.",
    .m_methods = functions,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }
