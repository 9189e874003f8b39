/* m3ipc/codes.h: the return codes, with their numbers (guide: "Return codes" of every call).
 *
 * A call returns 0 or a result, or one of these. Where the guide writes (-EPERM) and (-ERESTARTSYS) the number is that of
 * <errno.h> and of Linux. A comment that begins with "guide:" marks a spelling that the guide's text alone has.
 */
#ifndef M3IPC_CODES_H
#define M3IPC_CODES_H

#include <errno.h>

#define OK 0

#ifndef ERESTARTSYS
#define ERESTARTSYS 512 /* -ERESTARTSYS: a signal arrived while the call waited */
#endif

#define EMOLERRCODE (-300) /* the floor of M3-IPC's own codes: a result below it is always an error */

/* ---- MINIX's classic numbers ---- */

#define EMOLPERM (-1)           /* the caller may not do this: it takes root or the user who owns the node */
#define EMOLINTR (-4)           /* another thread or a cancellation interrupted the call */
#define EMOL2BIG (-7)           /* an argument is too big */
#define EMOLBADF (-9)           /* a file of the node could not be created */
#define EMOLAGAIN (-11)         /* the call would have had to wait */
#define EMOLNOMEM (-12)         /* there is not enough memory */
#define EMOLACCES (-13)         /* access was denied */
#define EMOLFAULT (-14)         /* an address of the block is not mapped in its process */
#define EMOLBUSY (-16)          /* it is in use already */
#define EMOLEXIST (-17)         /* the name is taken */
#define EMOLNODEV (-19)         /* there is no such device */
#define EMOLNOTDIR (-20)        /* a directory of the node could not be created */
#define EMOLINVAL (-22)         /* an argument is not valid */
#define EMOLRANGE (-34)         /* a number is out of range */
#define EMOLDEADLK (-35)        /* the call would never end */
#define EMOLNAMETOOLONG (-36)   /* the name is longer than 15 bytes */
#define EMOLNOSYS (-38)         /* this version does not have the call */
#define EMOLBADDEST (-55)       /* the destination is not valid */
#define EMOLTIMEDOUT (-61)      /* the time given was over first */
#define EMOLNOTCONN (-64)       /* the proxies of that node run but are not connected */
#define EMOLSHUTDOWN (-65)      /* the endpoint was unbound while the call waited */
#define EMOLMSGSIZE (-73)       /* the message does not have the right size */
#define EMOLGENERIC (-99)       /* an error without a code of its own */

/* ---- rendezvous ---- */

#define EMOLLOCKED (-101)       /* the wait would close a circle of processes that wait for each other */
#define EMOLBADCALL (-102)      /* there is no call with that number */
#define EMOLBADSRCDST (-103)    /* source or destination is not valid */
#define EMOLCALLDENIED (-104)   /* the endpoint's privileges do not let it talk to that endpoint */
#define EMOLDEADSRCDST (-105)   /* source or destination is dead */
#define EMOLNOTREADY (-106)     /* the endpoint is in the middle of another call, or is a backup */
#define EMOLBADREQUEST (-107)   /* there is no request with that number */
#define EMOLSRCDIED (-108)      /* the source died or was unbound */
#define EMOLDSTDIED (-109)      /* the destination died or was unbound */
#define EMOLTRAPDENIED (-110)   /* the endpoint's privileges do not let it make this call */
#define EMOLDONTREPLY (-201)    /* no reply is to be sent */

/* ---- M3-IPC ---- */

#define EMOLBADNODEID (-301)    /* the node id is out of range */
#define EMOLBADVMID (-302)      /* the VM does not exist, is another one, or its region is damaged */
#define EMOLVMNOTRUN (-303)     /* the VM is not running */
#define EMOLBADPROC (-304)      /* there is no such process, or its slot is damaged */
#define EMOLBADPID (-305)       /* the process id is not valid here */
#define EMOLENDPOINT (-306)     /* the endpoint is not valid here */
#define EMOLNOPROXY (-307)      /* no proxies run for that node */
#define EMOLRMTPROC (-308)      /* the process is on another node */
#define EMOLLCLPROC (-309)      /* the process is on this node */
#define EMOLNOTBIND (-310)      /* it is not bound */
#define EMOLPROXYRUN (-311)     /* the proxies run already */
#define EMOLACKDST (-312)       /* the destination of an acknowledgement is not valid */
#define EMOLACKSRC (-313)       /* the source of an acknowledgement is not valid */
#define EMOLACKWAIT (-314)      /* an acknowledgement is outstanding */
#define EMOLNODEBUSY (-315)     /* the node has proxies already */
#define EMOLNONODE (-316)       /* there is no such node */
#define EMOLDRVSBUSY (-317)     /* the node is initialised already */
#define EMOLDRVSINIT (-318)     /* no node runs here, or it is not initialised */
#define EMOLNOVMNODE (-319)     /* the VM does not run on that node */
#define EMOLPROCRUN (-320)      /* the process is running */
#define EMOLNOMSG (-321)        /* there is no message */
#define EMOLVMRUN (-323)        /* the VM runs already */
#define EMOLPROCSTS (-324)      /* the other process is not in the state this call needs */
#define EMOLNODEFREE (-325)     /* the node is not in use */
#define EMOLVMNODE (-326)       /* the VM's list of nodes does not agree */
#define EMOLBADPROXY (-327)     /* the process is a proxy */
#define EMOLONCOPY (-328)       /* its memory is being copied */
#define EMOLENQUEUED (-329)     /* it is queued already */
#define EMOLOVERRUN (-330)      /* there is no room for another pending notification */
#define EMOLBADOWNER (-331)     /* it belongs to another process */
#define EMOLMIGRATE (-332)      /* the endpoint is migrating */
#define EMOLPROXYFREE (-333)    /* the proxy pair is not in use */
#define EMOLGRPLEADER (-334)    /* the main thread of the process is not bound */
#define EMOLPRIVILEGES (-335)   /* the privileges are not sufficient */
#define EMOLBINDTYPE (-336)     /* there is no such kind of binding */
#define EMOLSLOTUSED (-337)     /* the slot is in use */
#define EMOLBADRANGE (-338)     /* a number is out of range */
#define EMOLBADVALUE (-339)     /* a value is not valid */
#define EMOLBADDIR (-340)       /* a directory could not be created */
#define EMOLBADFILE (-341)      /* a file could not be created */
#define EMOLRSCBUSY (-342)      /* it is in use already */
#define EMOLNAMESIZE (-343)     /* the name is too long */
#define EMOLALLOCMEM (-344)     /* there is not enough memory */

/* ---- later versions ---- */

#define EMOLPROXYID (-345)      /* the proxy id is not valid */
#define EMOLREPLPROC (-346)     /* the process is a replica */
#define EMOLALIGN (-347)        /* an address is not aligned */
#define EMOLWOKENUP (-348)      /* another process woke the receiver without a message */
#define EMOLPRIMARY (-401)      /* the process is the primary */
#define EMOLNOREPLICA (-402)    /* there is no replica */
#define EMOLRESTARTSYS (-512)   /* a signal arrived while the call waited */

#define EMOLNOTVMRUN EMOLVMNOTRUN /* guide: 4.1.5 */
#define EMOLPROXY EMOLBADPROXY    /* guide: 4.1.10 */

#endif
