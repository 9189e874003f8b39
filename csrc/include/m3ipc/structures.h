/* m3ipc/structures.h: what the management calls take and fill in (guide 4.1.1, 4.1.4, 4.1.14, 5.1). */
#ifndef M3IPC_STRUCTURES_H
#define M3IPC_STRUCTURES_H

#include <time.h>

#include "constants.h"
#include "message.h"

/* A set of 1024 CPUs, laid out as cpu_set_t: sources of old define the name as that before they include this. */
#ifndef cpumask_t
typedef struct { unsigned long bits[1024 / (8 * sizeof(unsigned long))]; } cpumask_t;
#endif

/* A node: limits and status (4.1.1). 0 in the two copy limits asks for the default. */
struct drvs_usr {
    int d_nr_vms;      /* maximum number of VMs that can run in this node */
    int d_nr_nodes;    /* maximum number of nodes */
    int d_nr_procs;    /* maximum number of processes of each VM */
    int d_nr_tasks;    /* maximum number of tasks of each VM */
    int d_nr_sysprocs; /* maximum number of system processes of each VM, tasks included */
    int d_max_copybuf; /* bytes of one piece of a copy */
    int d_max_copylen; /* bytes of one copy */
    unsigned long int d_dbglvl; /* what the node logs */
    int d_version;     /* read only */
    int d_subver;      /* read only */
};
typedef struct drvs_usr drvs_usr_t;

/* A VM (4.1.4). vm_vmid -1 in mnx_vm_init takes the lowest free one. */
struct VM_usr {
    int vm_vmid;
    int vm_flags; /* VM_RUNNING, VM_FREE */
    int vm_nr_procs;
    int vm_nr_tasks;
    int vm_nr_sysprocs;
    int vm_nr_nodes;
    unsigned long int vm_nodes; /* bitmap of nodes where the VM runs */
    char vm_name[MAXVMNAME];
    cpumask_t vm_cpumask;
};
typedef struct VM_usr VM_usr_t;

/* A process descriptor (5.1.4). */
struct proc_usr {
    int p_nr;
    int p_endpoint;
    int p_vmid;
    volatile unsigned long p_rts_flags; /* 0: runnable */
    int p_lpid;                         /* local Linux pid */
    int p_nodeid;                       /* where the primary runs */
    unsigned long p_nodemap;            /* bitmap of nodes where replicas of it exist */
    unsigned long p_misc_flags;
    int p_getfrom;  /* whom it receives from */
    int p_sendto;   /* whom it sends to */
    int p_waitmigr; /* whose migration it waits for */
    int p_proxy;    /* the proxy it is queued on */
    unsigned long p_lclsent;
    unsigned long p_rmtsent;
    char p_name[MAXPROCNAME];
    cpumask_t p_cpumask;
};
typedef struct proc_usr proc_usr_t;

/* Privileges (4.1.14). */
typedef short sys_id_t;
typedef struct { unsigned short chunk[NR_SYS_CHUNKS]; } sys_map_t; /* one bit for each system process */

struct moltimer;
typedef void (*tmr_func_t)(struct moltimer *timer);
typedef union { int ta_int; long ta_long; void *ta_ptr; } tmr_arg_t;
struct moltimer {
    struct moltimer *tmr_next;
    unsigned long tmr_exp_time; /* the only field that is used: ticks of 1/MINIX_HZ s since boot; 0: none */
    tmr_func_t tmr_func;
    tmr_arg_t tmr_arg;
};
typedef struct moltimer moltimer_t;

struct priv_usr {
    sys_id_t s_id;            /* the bit that stands for it in the maps of others */
    int s_warn;               /* process number that is notified when this one exits; NONE */
    int s_level;
    short s_trap_mask;        /* bit n: IPC call number n is allowed (m3ipc/callnr.h) */
    sys_map_t s_ipc_from;     /* whom it may receive from */
    sys_map_t s_ipc_to;       /* whom it may send to */
    long s_call_mask;         /* bit n: call number n, which is no IPC call, is allowed */
    moltimer_t s_alarm_timer; /* when it gets a notification */
};
typedef struct priv_usr priv_usr_t;
typedef struct priv_usr priv_t;

/* A node as others see it (5.1.6). */
struct node_usr {
    int n_nodeid;
    volatile unsigned long n_flags;
    int n_proxies;                /* proxy pair that serves it */
    unsigned long int n_vms;      /* bitmap of VMs */
    struct timespec n_stimestamp; /* of the last message sent */
    struct timespec n_rtimestamp; /* of the last message received */
    char n_name[MAXNODENAME];
};
typedef struct node_usr node_usr_t;

/* A proxy pair. */
struct proxy_usr {
    int px_id;
    volatile unsigned long px_flags;
    char px_name[MAXPROXYNAME];
};
typedef struct proxy_usr proxy_usr_t;
typedef struct proxy_usr proxies_usr_t;

/* What proxies carry (5.1.10). */
typedef struct {
    int v_src, v_dst, v_rqtr;
    char *v_saddr, *v_daddr;
    int v_bytes;
} vcopy_t;

struct cmd {
    int c_cmd;
    int c_vmid;
    int c_src;
    int c_dst;
    int c_snode;
    int c_dnode;
    int c_rcode;
    int c_len;
    struct timespec c_timestamp;
    vcopy_t c_vcopy;
    /* What later versions have, and drvs's own: a proxy passes it on as it is. Zeros are right in a header of one's own making. */
    unsigned c_flags;                     /* CMD_FLAG_… */
    unsigned c_snd_seq, c_ack_seq;        /* the proxies' own */
    unsigned c_call, c_answers;           /* which call this is, which one it answers */
    unsigned c_incarnation;               /* which owner of its slot the source is */
    unsigned c_rnode;                     /* 1 + the node of who made the call that this belongs to; 0: c_snode */
    unsigned char c_trace[16];
};
typedef struct cmd cmd_t;

typedef union {
    message pay_msg;
    char pay_data[MAXCOPYBUF];
} proxy_payload_t;

#endif
