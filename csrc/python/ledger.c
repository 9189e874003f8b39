/* ledger.c: which memory a proxy counts in. */
#include "ledger.h"

bool ledger_use(struct ledger *ledger, PyObject *buffer) {
    Py_buffer view;
    if (buffer && buffer != Py_None && PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE) < 0) return false;
    ledger_drop(ledger);
    if (!buffer || buffer == Py_None) return true;
    ledger->view = view;
    ledger->open = true;
    return true;
}

void ledger_drop(struct ledger *ledger) {
    if (ledger->open) PyBuffer_Release(&ledger->view);
    ledger->open = false;
}
