/* message_views.h: the ten ways of the guide (3.1.1) to look at the 56 bytes of payload, on a 64-bit machine.
 *
 * The structs give the C compiler's layout; the table below them is all there is to say about a field.
 */
#ifndef DRVS_MESSAGE_VIEWS_H
#define DRVS_MESSAGE_VIEWS_H

#include <stdint.h>

struct m1 { int32_t i1, i2, i3; uint64_t p1, p2, p3; };
struct m2 { int32_t i1, i2, i3; int64_t l1, l2; uint64_t p1; };
struct m3 { int32_t i1, i2; uint64_t p1; char ca1[14]; };
struct m4 { int64_t l1, l2, l3, l4, l5; };
struct m5 { int16_t c1, c2; int32_t i1, i2; int64_t l1, l2, l3; };
struct m6 { char ca1[sizeof(struct m3)]; };
struct m7 { int32_t i1, i2, i3, i4; uint64_t p1, p2; };
struct m8 { int32_t i1, i2; uint64_t p1, p2, p3, p4; };
struct m9_time { int64_t seconds, nanoseconds; };
struct m9 { int32_t i1, l1; struct m9_time t1; };
struct mA { int32_t dst, nr, ia[4]; };

/* view, field, kind (see message_views.c) */
#define MESSAGE_FIELDS(X) \
    X(m1, i1, int) X(m1, i2, int) X(m1, i3, int) X(m1, p1, pointer) X(m1, p2, pointer) X(m1, p3, pointer) \
    X(m2, i1, int) X(m2, i2, int) X(m2, i3, int) X(m2, l1, long) X(m2, l2, long) X(m2, p1, pointer) \
    X(m3, i1, int) X(m3, i2, int) X(m3, p1, pointer) X(m3, ca1, chars) \
    X(m4, l1, long) X(m4, l2, long) X(m4, l3, long) X(m4, l4, long) X(m4, l5, long) \
    X(m5, c1, short) X(m5, c2, short) X(m5, i1, int) X(m5, i2, int) X(m5, l1, long) X(m5, l2, long) X(m5, l3, long) \
    X(m6, ca1, chars) \
    X(m7, i1, int) X(m7, i2, int) X(m7, i3, int) X(m7, i4, int) X(m7, p1, pointer) X(m7, p2, pointer) \
    X(m8, i1, int) X(m8, i2, int) X(m8, p1, pointer) X(m8, p2, pointer) X(m8, p3, pointer) X(m8, p4, pointer) \
    X(m9, i1, int) X(m9, l1, int) X(m9, t1, time) \
    X(mA, dst, int) X(mA, nr, int) X(mA, ia, ints)

/* view, its first field, its last field */
#define MESSAGE_VIEWS(X) \
    X(m1, i1, p3) X(m2, i1, p1) X(m3, i1, ca1) X(m4, l1, l5) X(m5, c1, l3) X(m6, ca1, ca1) X(m7, i1, p2) X(m8, i1, p4) \
    X(m9, i1, t1) X(mA, dst, ia)

#endif
