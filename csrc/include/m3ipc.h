/* m3ipc.h: the C API of drvs: the calls of the M3-IPC 1.6 Programmer's Guide, under its names.
 *
 *     #include <m3ipc.h>                    cc server.c $(pkg-config --cflags --libs m3ipc)
 *
 *     int me = mnx_bind(0, 10);
 *     message m;
 *     while (mnx_rcvrqst(&m) == OK) {
 *         m.m1_i3 = m.m1_i1 + m.m1_i2;
 *         mnx_reply(m.m_source, &m);
 *     }
 *
 * Calls return 0 or a result, or a negative code (m3ipc/codes.h), and leave 0 or that code in mnx_errno: the endpoint of a
 * task is negative too, and mnx_errno tells it from an error. They act on the node that the environment names
 * (DRVS_RUNTIME_DIR, DRVS_NODE) and speak to the same VMs as the Python API.
 *
 * A process belongs to one VM. A thread that called mnx_tbind uses its own endpoint; all others use the one of the process,
 * and a second call on that meanwhile gets EMOLNOTREADY. A forked child is not bound; exec keeps the binding.
 */
#ifndef M3IPC_H
#define M3IPC_H

#include "m3ipc/codes.h"
#include "m3ipc/constants.h"
#include "m3ipc/late.h"
#include "m3ipc/message.h"
#include "m3ipc/structures.h"

#define M3IPC_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* ---- how the calling thread's last call ended: 0, or its code ---- */

M3IPC_API int *mnx_errno_location(void);
#define mnx_errno (*mnx_errno_location())

/* ---- 3: messages, notifications, copies. `to_ms` is a time in milliseconds, TIMEOUT_NOWAIT or TIMEOUT_FOREVER ---- */

M3IPC_API long mnx_send(int dst_ep, message *m_ptr);
M3IPC_API long mnx_send_T(int dst_ep, message *m_ptr, long to_ms);
M3IPC_API long mnx_reply(int dst_ep, message *m_ptr);
M3IPC_API long mnx_reply_T(int dst_ep, message *m_ptr, long to_ms);
M3IPC_API long mnx_receive(int src_ep, message *m_ptr);
M3IPC_API long mnx_receive_T(int src_ep, message *m_ptr, long to_ms);
M3IPC_API long mnx_rcvrqst(message *m_ptr);
M3IPC_API long mnx_rcvrqst_T(message *m_ptr, long to_ms);
M3IPC_API long mnx_sendrec(int srcdst_ep, message *m_ptr);
M3IPC_API long mnx_sendrec_T(int srcdst_ep, message *m_ptr, long to_ms);
M3IPC_API long mnx_notify(int dst_ep);
M3IPC_API long mnx_vcopy(int src_ep, void *src_addr, int dst_ep, void *dst_addr, int bytes);
M3IPC_API long mnx_relay(int dst_ep, message *m_ptr);
M3IPC_API long mnx_src_notify(int src_nr, int dst_ep);
M3IPC_API long mnx_ntfy_value(int src_nr, int dst_ep, int value);
M3IPC_API long mnx_hdw_notify(int vmid, int dst_ep);

/* ---- 4: the node ---- */

M3IPC_API long mnx_drvs_init(int nodeid, drvs_usr_t *du_addr);
M3IPC_API long mnx_drvs_end(void);
M3IPC_API long mnx_getdrvsinfo(drvs_usr_t *drvs_usr_ptr);
M3IPC_API long mnx_getdvsinfo(drvs_usr_t *drvs_usr_ptr); /* the later form: returns the node's number, or DVS_NO_INIT */

/* ---- 4: VMs ---- */

M3IPC_API long mnx_vm_init(VM_usr_t *vmu_addr);
M3IPC_API long mnx_vm_end(long vmid);
M3IPC_API long mnx_getvminfo(int vmid, VM_usr_t *vm_usr_ptr);
M3IPC_API long mnx_vm_dump(void);
M3IPC_API long mnx_proc_dump(int vmid);

/* ---- 4: binding ---- */

M3IPC_API long mnx_bind(int vmid, int p_nr);
M3IPC_API long mnx_tbind(int vmid, int p_nr);
M3IPC_API long mnx_lclbind(int vmid, int pid, int p_nr);
M3IPC_API long mnx_rmtbind(int vmid, char name[], int endpoint, int nodeid);
M3IPC_API long mnx_bkupbind(int vmid, int pid, int endpoint, int nodeid);
M3IPC_API long mnx_unbind(int vmid, int endpoint);
M3IPC_API long mnx_unbind_T(int vmid, int endpoint, long to_ms);
M3IPC_API int mnx_wait4bind(void);
M3IPC_API int mnx_wait4bind_T(long to_ms);
M3IPC_API long mnx_wait4bindep(int endpoint);
M3IPC_API long mnx_wait4bindep_T(int endpoint, long to_ms);
M3IPC_API long mnx_wait4unbind(int endpoint);
M3IPC_API long mnx_wait4unbind_T(int endpoint, long to_ms);

/* ---- 4: processes ---- */

M3IPC_API long mnx_getep(int pid);
M3IPC_API long mnx_getprocinfo(int vmid, int p_nr, struct proc_usr *proc_usr_ptr);
M3IPC_API long mnx_setpriv(int vmid, int proc_ep, priv_usr_t *u_priv);
M3IPC_API long mnx_getpriv(int vmid, int proc_ep, priv_usr_t *u_priv);
M3IPC_API long mnx_wakeup(int vmid, int endpoint);

/* ---- 5: proxies and nodes ---- */

M3IPC_API int mnx_proxies_bind(char *name, int pxid, int spid, int rpid);
M3IPC_API int mnx_proxy_conn(int pxid, int status);
M3IPC_API int mnx_proxy_unbind(int pxid);
M3IPC_API int mnx_proxies_unbind(int pxid);
M3IPC_API long mnx_getproxyinfo(int pxid, proc_usr_t *sproc_usr, proc_usr_t *rproc_usr);
M3IPC_API int mnx_add_node(int vmid, int nodeid);
M3IPC_API long mnx_getnodeinfo(int nodeid, node_usr_t *node_usr_ptr);
M3IPC_API int mnx_del_node(int vmid, int nodeid);
M3IPC_API int mnx_node_up(char name[], int nodeid, int pxid);
M3IPC_API int mnx_node_down(int nodeid);
M3IPC_API int mnx_get2rmt(cmd_t *header, proxy_payload_t *payload);
M3IPC_API int mnx_get2rmt_T(cmd_t *header, proxy_payload_t *payload, long to_ms);
M3IPC_API int mnx_put2lcl(cmd_t *header, proxy_payload_t *payload);

/* ---- 6: migration. EMOLNOSYS in this version ---- */

M3IPC_API int mnx_migr_start(int vmid, int endpoint);
M3IPC_API int mnx_migr_commit(int pid, int vmid, int endpoint, int node);
M3IPC_API int mnx_migr_rollback(int vmid, int endpoint);

#ifdef __cplusplus
}
#endif

#endif
