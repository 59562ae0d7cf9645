#!/usr/bin/env -S pydtrace -s
/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcplife - TCP connections: with whom, how long, who opened them.
 *
 *	tcplife.d                    until ^C
 */
#pragma D option quiet

BEGIN
{
	printf("%-16s %6s  %-16s %6s %12s\n", "LOCAL", "PORT", "REMOTE", "PORT", "MICROSECONDS");
}

tcp:::state-change
/args[3]->tcps_state == TCP_STATE_ESTABLISHED/
{
	born[args[1]->cs_cid] = timestamp;
	port[args[1]->cs_cid] = args[3]->tcps_lport; /* a closed socket has none any more */
}

tcp:::state-change
/args[3]->tcps_state == TCP_STATE_CLOSED && born[args[1]->cs_cid]/
{
	printf("%-16s %6d  %-16s %6d %12d\n", args[3]->tcps_laddr, port[args[1]->cs_cid],
	    args[3]->tcps_raddr, args[3]->tcps_rport, (timestamp - born[args[1]->cs_cid]) / 1000);
	born[args[1]->cs_cid] = 0;
	port[args[1]->cs_cid] = 0;
}
