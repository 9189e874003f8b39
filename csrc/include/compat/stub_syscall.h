/* stub_syscall.h: the calls as sources of M3-IPC's own time make them: the address of a message or structure goes as a long.
 *
 *     ret = mnx_send(dst_ep, (long) &m);
 *
 * Each macro casts such an argument, pointer or number, and makes the call of m3ipc.h. Include this header after those of
 * kernel/minix or before them, as you like. New programs include m3ipc.h alone.
 */
#ifndef STUB_SYSCALL_H
#define STUB_SYSCALL_H

#include <m3ipc.h>
#include <m3ipc/callnr.h>

#define M3IPC_AT(type, address) ((type *)(address))

/* ---- 3 ---- */

#define mnx_send(ep, m) (mnx_send)((ep), M3IPC_AT(message, m))
#define mnx_send_T(ep, m, ms) (mnx_send_T)((ep), M3IPC_AT(message, m), (ms))
#define mnx_reply(ep, m) (mnx_reply)((ep), M3IPC_AT(message, m))
#define mnx_reply_T(ep, m, ms) (mnx_reply_T)((ep), M3IPC_AT(message, m), (ms))
#define mnx_receive(ep, m) (mnx_receive)((ep), M3IPC_AT(message, m))
#define mnx_receive_T(ep, m, ms) (mnx_receive_T)((ep), M3IPC_AT(message, m), (ms))
#define mnx_rcvrqst(m) (mnx_rcvrqst)(M3IPC_AT(message, m))
#define mnx_rcvrqst_T(m, ms) (mnx_rcvrqst_T)(M3IPC_AT(message, m), (ms))
#define mnx_sendrec(ep, m) (mnx_sendrec)((ep), M3IPC_AT(message, m))
#define mnx_sendrec_T(ep, m, ms) (mnx_sendrec_T)((ep), M3IPC_AT(message, m), (ms))
#define mnx_relay(ep, m) (mnx_relay)((ep), M3IPC_AT(message, m))
#define mnx_vcopy(src_ep, src, dst_ep, dst, bytes) \
    (mnx_vcopy)((src_ep), M3IPC_AT(void, src), (dst_ep), M3IPC_AT(void, dst), (bytes))

/* ---- 4 ---- */

#define mnx_drvs_init(node, usr) (mnx_drvs_init)((node), M3IPC_AT(drvs_usr_t, usr))
#define mnx_getdrvsinfo(usr) (mnx_getdrvsinfo)(M3IPC_AT(drvs_usr_t, usr))
#define mnx_getdvsinfo(usr) (mnx_getdvsinfo)(M3IPC_AT(drvs_usr_t, usr))
#define mnx_vm_init(usr) (mnx_vm_init)(M3IPC_AT(VM_usr_t, usr))
#define mnx_getvminfo(vmid, usr) (mnx_getvminfo)((vmid), M3IPC_AT(VM_usr_t, usr))
#define mnx_rmtbind(vmid, name, ep, node) (mnx_rmtbind)((vmid), M3IPC_AT(char, name), (ep), (node))
#define mnx_getprocinfo(vmid, p_nr, usr) (mnx_getprocinfo)((vmid), (p_nr), M3IPC_AT(proc_usr_t, usr))
#define mnx_setpriv(vmid, ep, usr) (mnx_setpriv)((vmid), (ep), M3IPC_AT(priv_usr_t, usr))
#define mnx_getpriv(vmid, ep, usr) (mnx_getpriv)((vmid), (ep), M3IPC_AT(priv_usr_t, usr))

/* ---- 5 ---- */

#define mnx_proxies_bind(name, pxid, spid, rpid, ...) (mnx_proxies_bind)(M3IPC_AT(char, name), (pxid), (spid), (rpid))
#define mnx_getproxyinfo(pxid, sproc, rproc) (mnx_getproxyinfo)((pxid), M3IPC_AT(proc_usr_t, sproc), M3IPC_AT(proc_usr_t, rproc))
#define mnx_getnodeinfo(node, usr) (mnx_getnodeinfo)((node), M3IPC_AT(node_usr_t, usr))
#define mnx_node_up(name, node, pxid) (mnx_node_up)(M3IPC_AT(char, name), (node), (pxid))
#define mnx_get2rmt(header, payload) (mnx_get2rmt)(M3IPC_AT(cmd_t, header), M3IPC_AT(proxy_payload_t, payload))
#define mnx_get2rmt_T(header, payload, ms) (mnx_get2rmt_T)(M3IPC_AT(cmd_t, header), M3IPC_AT(proxy_payload_t, payload), (ms))
#define mnx_put2lcl(header, payload) (mnx_put2lcl)(M3IPC_AT(cmd_t, header), M3IPC_AT(proxy_payload_t, payload))

/* Later versions open a device first; here there is none. */
#define dvk_open() 0L

#endif
