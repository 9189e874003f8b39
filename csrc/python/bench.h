/* bench.h: the yardsticks of csrc/bench for Python. */
#ifndef DRVS_BINDING_BENCH_H
#define DRVS_BINDING_BENCH_H

#include "binding.h"

extern PyMethodDef bench_functions[];

#endif
