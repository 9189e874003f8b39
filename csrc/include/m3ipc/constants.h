/* m3ipc/constants.h: special endpoints, timeouts, limits, flags and call numbers, with the guide's values. */
#ifndef M3IPC_CONSTANTS_H
#define M3IPC_CONSTANTS_H

/* ---- special endpoints and process numbers ---- */

#define ANY 0x7ace  /* any process: a source for receive only */
#define NONE 0x6ace /* no process at all */
#define SELF 0x8ace /* the caller */

#define LOCALNODE (-1)
#define PROC_NO_PID (-1)
#define NO_PROXIES (-1)
#define PROXY_NO_VM (-1)
#define DRVS_NO_INIT (-1)

#define KERNEL (-1)
#define HARDWARE KERNEL
#define SYSTEM (-2)
#define SYSTASK(node) (SYSTEM - (node))

#define PM_PROC_NR 0
#define FS_PROC_NR 1
#define RS_PROC_NR 2
#define RDISK_PROC_NR 3
#define LOG_PROC_NR 4
#define TTY_PROC_NR 5
#define ETH_PROC_NR 6
#define DS_PROC_NR 7
#define IS_PROC_NR 8
#define INET_PROC_NR 9

/* ---- timeouts, milliseconds ---- */

#define TIMEOUT_NOWAIT 0L
#define TIMEOUT_FOREVER (-1L)
#define TIMEOUT_MOLCALL 30000L
#define HELLO_PERIOD 30000L
#define MINIX_HZ 60

/* ---- limits: the defaults of a node ---- */

#define NR_VMS 32
#define NR_NODES 32
#define NR_PROCS 189
#define NR_TASKS 67
#define NR_SYS_PROCS 96
#define MAXCOPYBUF 32768
#define MAXCOPYLEN (16 * MAXCOPYBUF)

#define MAXVMNAME 16
#define MAXPROCNAME 16
#define MAXNODENAME 16
#define MAXPROXYNAME 16
#define M3_STRING 14
#define SLOTS_BY_MSG 4
#define BITS_PER_CHUNK 16
#define NR_SYS_CHUNKS (NR_SYS_PROCS / BITS_PER_CHUNK)

/* ---- kinds ---- */

#define SELF_BIND 0
#define LCL_BIND 1
#define RMT_BIND 2
#define BKUP_BIND 3
#define REPLICA_BIND 4
#define USER_BIND 5

#define MIGR_START 0
#define MIGR_COMMIT 1
#define MIGR_ROLLBACK 2

#define WAIT_BIND 0
#define WAIT_UNBIND 1

#define CONNECT_SPROXY 1
#define CONNECT_RPROXY 2
#define DISCONNECT_SPROXY 3
#define DISCONNECT_RPROXY 4

#define USER_PRIV 0
#define SERVER_PRIV 1
#define TASK_PRIV 2
#define SYSTEM_PRIV 3
#define KERNEL_PRIV 4
#define PROXY_PRIV 5

/* ---- notifications ---- */

#define NOTIFY_MESSAGE 0x1000
#define NOTIFY_FROM(p_nr) (NOTIFY_MESSAGE | (p_nr))

/* ---- p_rts_flags: why a process cannot run; 0 when it can ---- */

#define SLOT_FREE 0x00001
#define NO_MAP 0x00002
#define SENDING 0x00004
#define RECEIVING 0x00008
#define SIGNALED 0x00010
#define SIG_PENDING 0x00020
#define P_STOP 0x00040
#define NO_PRIV 0x00080
#define NO_PRIORITY 0x00100
#define NO_ENDPOINT 0x00200
#define ONCOPY 0x00400
#define MIGRATING 0x00800
#define REMOTE 0x01000
#define RMTOPER 0x02000
#define WAITMIGR 0x08000
#define DONATING 0x10000

/* ---- p_misc_flags ---- */

#define MIS_PROXY 0x001
#define MIS_CONNECTED 0x002
#define MIS_NOTIFY 0x004
#define MIS_NEEDMIGR 0x008
#define MIS_RMTBACKUP 0x010
#define MIS_GRPLEADER 0x020
#define MIS_WOKENUP 0x200

/* ---- vm_flags, n_flags, px_flags ---- */

#define VM_RUNNING 0
#define VM_FREE 2
#define NODE_FREE 0
#define NODE_ATTACHED 2
#define NODE_SCONNECTED 4
#define NODE_RCONNECTED 8
#define PROXIES_FREE 0
#define PROXIES_INUSE 1
#define PROXIES_SCONNECTED 2
#define PROXIES_RCONNECTED 4

/* ---- d_dbglvl: what the node logs ---- */

#define GENERIC 0x00000002UL
#define INTERNAL 0x00000004UL
#define DBGPROCLOCK 0x00000100UL
#define DBGVMLOCK 0x00000200UL
#define DBGNODELOCK 0x00000400UL
#define DBGTASKLOCK 0x00000800UL
#define DBGMESSAGE 0x00001000UL
#define DBGCMD 0x00002000UL
#define DBGVCOPY 0x00004000UL
#define DBGPARAMS 0x00008000UL
#define DBGPROC 0x00010000UL
#define DBGPRIV 0x00020000UL
#define DBGPROCSEM 0x00040000UL

/* ---- commands of proxies (5.1.10) ---- */

#define CMD_NONE 0
#define CMD_SEND_MSG 1
#define CMD_NTFY_MSG 2
#define CMD_SNDREC_MSG 3
#define CMD_REPLY_MSG 4
#define CMD_COPYIN_DATA 5
#define CMD_COPYOUT_RQST 6
#define CMD_COPYLCL_RQST 7
#define CMD_COPYRMT_RQST 8
#define CMD_COPYIN_RQST 9
#define CMD_HELLO 10
#define CMD_HELL0 CMD_HELLO /* as the authors spell it */
#define CMD_SHUTDOWN 11
#define CMD_CANCEL 16 /* the caller waits no longer for call number c_call */
#define MASK_ACKNOWLEDGE (1 << 13)
#define CMD_SEND_ACK (CMD_SEND_MSG | MASK_ACKNOWLEDGE)
#define CMD_NTFY_ACK (CMD_NTFY_MSG | MASK_ACKNOWLEDGE)
#define CMD_SNDREC_ACK (CMD_SNDREC_MSG | MASK_ACKNOWLEDGE)
#define CMD_REPLY_ACK (CMD_REPLY_MSG | MASK_ACKNOWLEDGE)
#define CMD_COPYIN_ACK (CMD_COPYIN_DATA | MASK_ACKNOWLEDGE)
#define CMD_COPYOUT_DATA (CMD_COPYOUT_RQST | MASK_ACKNOWLEDGE)
#define CMD_COPYLCL_ACK (CMD_COPYLCL_RQST | MASK_ACKNOWLEDGE)
#define CMD_COPYRMT_ACK (CMD_COPYRMT_RQST | MASK_ACKNOWLEDGE)
#define CMD_FLAG_LAST 1  /* c_flags: the last piece of a copy */
#define CMD_FLAG_TRACE 2 /* c_trace is one */
#define CMD_FLAG_NOACK 4 /* nobody waits for the acknowledgement */

#endif
