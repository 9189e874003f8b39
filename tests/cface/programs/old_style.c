/* old_style.c: written as the test programs of M3-IPC's own time are; it must build as it stands. */
#define _GNU_SOURCE
#define __USE_GNU
#define MOL_USERSPACE 1
#include <asm/ptrace.h>
#include <stdio.h>
#include <unistd.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/types.h>
#include <sys/wait.h>
#define cpumask_t cpu_set_t
#include "./kernel/minix/config.h"
#include "./kernel/minix/const.h"
#include "./kernel/minix/types.h"
#include "./kernel/minix/ipc.h"
#include "../../kernel/minix/kipc.h"
#include "../kernel/minix/com.h"
#include "./kernel/minix/callnr.h"
#include "./kernel/minix/dc_usr.h"
#include "./kernel/minix/dvs_usr.h"
#include "./kernel/minix/proc_usr.h"
#include "./kernel/minix/node_usr.h"
#include "./kernel/minix/proxy_usr.h"
#include "./kernel/minix/priv_usr.h"
#include "./kernel/minix/cmd.h"
#include "./kernel/minix/molerrno.h"
#include "stub_syscall.h"

#define SVR_NR 10
#define CLT_NR 11

char buffer[32];
char answer[32];

void server(int dcid)
{
	message m;
	int ret, svr_ep;

	svr_ep = mnx_bind(dcid, SVR_NR);
	if (svr_ep < 0) exit(1);
	ret = mnx_receive(ANY, (long) &m);
	if (ret != OK) exit(1);
	printf("SERVER m_source=%d m_type=%d m1_i1=%d\n", m.m_source, m.m_type, m.m1_i1);
	strcpy(answer, "thirty-two bytes, in a copy");
	ret = mnx_vcopy(svr_ep, answer, m.m_source, m.m1_p1, sizeof(answer));
	if (ret != OK) printf("VCOPY ERROR %d\n", ret);
	m.m1_i1++;
	fflush(stdout);
	ret = mnx_reply(m.m_source, (long) &m);
	exit(ret == OK ? 0 : 1);
}

void main(int argc, char *argv[])
{
	int ret, local_nodeid, clt_ep, status;
	dvs_usr_t dvs;
	DC_usr_t dcu, *dc_ptr;
	proc_usr_t proc;
	message m;

	local_nodeid = mnx_getdvsinfo(&dvs);
	printf("local_nodeid=%d\n", local_nodeid);
	dcu.dc_dcid = 0;
	dcu.dc_nr_procs = NR_PROCS;
	dcu.dc_nr_tasks = NR_TASKS;
	dcu.dc_nr_sysprocs = NR_SYS_PROCS;
	strcpy(dcu.dc_name, "DC0");
	ret = mnx_dc_init((long) &dcu);
	if (ret < 0) exit(1);
	dc_ptr = &dcu;
	ret = mnx_getdcinfo(0, dc_ptr);
	printf("dcid=%d name=%s flags=%X\n", dc_ptr->dc_dcid, dc_ptr->dc_name, dc_ptr->dc_flags);
	fflush(stdout);
	if (fork() == 0) server(0);
	clt_ep = mnx_bind(0, CLT_NR);
	if (clt_ep < EDVSERRCODE) exit(1);
	do {
		ret = mnx_getprocinfo(0, SVR_NR, &proc);
	} while (ret != OK || (proc.p_rts_flags & SLOT_FREE));
	m.m_type = 0xFF;
	m.m1_i1 = 1;
	m.m1_p1 = buffer;
	ret = mnx_sendrec_T(SVR_NR, (long) &m, TIMEOUT_MOLCALL);
	if (ret != OK) printf("SENDREC ERROR %d\n", ret);
	wait(&status);
	printf("CLIENT m1_i1=%d\n", m.m1_i1);
	printf("copied %d\n", strcmp(buffer, "thirty-two bytes, in a copy") ? 0 : (int) sizeof(buffer));
	mnx_dc_end(0);
	exit(0);
}
