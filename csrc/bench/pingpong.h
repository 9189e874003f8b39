/* pingpong.h: the yardsticks that `drvs bench local` holds our own figures against. No part of the product.
 *
 *   pingpong   64 bytes there and back between two processes over a shared mapping: nothing but a CPU-aware spin and a
 *              futex. No tables, no checks, no recovery: what the hardware and Linux allow.
 *   raw_copy   process_vm_readv in a loop: what Linux allows for a copy from another process.
 *
 * The Python binding (drvs.core._core) offers them as
 *
 *   pingpong_call(shared, rounds, spin_us=20, idle_us=0, times=None) -> int    total ns without the idle time; `times`, a
 *                                                                              writable buffer of uint64, takes each round's
 *   pingpong_serve(shared, spin_us=20) -> None                                 answers until pingpong_stop
 *   pingpong_stop(shared) -> None
 *   raw_copy(pid, address, buffer, rounds, times=None) -> int                  total ns
 *
 * `shared` is a writable, page-aligned, zeroed buffer of at least PINGPONG_BYTES (an mmap shared by both sides). All of
 * them let go of the GIL; a negative result is -errno and becomes an OSError.
 */
#ifndef DRVS_BENCH_PINGPONG_H
#define DRVS_BENCH_PINGPONG_H

#include <stddef.h>
#include <stdint.h>

enum { PINGPONG_BYTES = 4096, PINGPONG_MESSAGE = 64 };

/* `rounds` round trips, with `idle_us` of sleep before each. Returns the nanoseconds spent in them (clock read around the
 * whole batch, or around each round if `times` or `idle_us` is given); -ETIMEDOUT if the other side does not answer for five
 * seconds. A signal does not end it. */
int64_t pingpong_call(void *shared, uint32_t rounds, uint32_t spin_us, uint32_t idle_us, uint64_t *times);

/* Answer every message until pingpong_stop. Returns 0. */
int64_t pingpong_serve(void *shared, uint32_t spin_us);

/* Let pingpong_serve return. */
void pingpong_stop(void *shared);

/* Copy `bytes` from `address` of process `pid` to `local`, `rounds` times. Total nanoseconds, or -errno. */
int64_t raw_copy(int pid, uint64_t address, void *local, size_t bytes, uint32_t rounds, uint64_t *times);

#endif
