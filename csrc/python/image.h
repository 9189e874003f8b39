/* image.h: the functions of drvs.core._core for process images. */
#ifndef DRVS_PYTHON_IMAGE_H
#define DRVS_PYTHON_IMAGE_H
#define PY_SSIZE_T_CLEAN
#include "binding.h"

extern PyMethodDef image_functions[], mailbox_functions[];

#endif
