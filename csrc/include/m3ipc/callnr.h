/* m3ipc/callnr.h: the numbers of the calls. Those of IPC are bits of s_trap_mask, all others bits of s_call_mask (4.1.14).
 *
 * Not part of m3ipc.h, since names as short as SEND and NOTIFY often mean something else in a program.
 */
#ifndef M3IPC_CALLNR_H
#define M3IPC_CALLNR_H

#define VMINIT 0
#define SEND 1
#define RECEIVE 2
#define NOTIFY 4
#define SENDREC 5
#define RCVRQST 6
#define REPLY 7
#define VMEND 8
#define BIND 9
#define UNBIND 10
#define VMDUMP 11
#define PROCDUMP 12
#define GETPRIV 13
#define SETPRIV 14
#define VCOPY 15
#define GETVMINFO 16
#define GETPROCINFO 17
#define RELAY 19
#define PROXYBIND 20
#define PROXYUNBIND 21
#define GETNODEINFO 22
#define PUT2LCL 23
#define GET2RMT 24
#define ADDNODE 25
#define DELNODE 26
#define DRVSINIT 27
#define DRVSEND 28
#define GETEP 29
#define GETDRVSINFO 30
#define PROXYCONN 31
#define WAIT4BIND 32
#define MIGRATE 33
#define NODEUP 34
#define NODEDOWN 35
#define GETPROXYINFO 36

#endif
