/* SPDX-License-Identifier: Apache-2.0 */
/* udp.d - datagrams and sockets of UDP; of a datagram that comes in the socket is not known yet */
#pragma D depends_on library ip.d

/* A header as it is sent. */
struct __udp {
	uint16_t sport;
	uint16_t dport;
	uint16_t len;
	uint16_t sum;
};

typedef struct udpinfo {
	uint16_t udp_sport;
	uint16_t udp_dport;
	uint16_t udp_length;
	uint16_t udp_checksum;
	struct udphdr *udp_hdr;
} udpinfo_t;

typedef struct udpsinfo {
	uintptr_t udps_addr;
	uint16_t udps_lport;
	uint16_t udps_rport;
	string udps_laddr;
	string udps_raddr;
} udpsinfo_t;

translator udpinfo_t < struct __udp *U > {
	udp_sport = ntohs(U->sport);
	udp_dport = ntohs(U->dport);
	udp_length = ntohs(U->len);
	udp_checksum = ntohs(U->sum);
	udp_hdr = (struct udphdr *)(uintptr_t)U;
};

translator udpsinfo_t < struct sk_buff *S > {
	udps_addr = (uintptr_t)S->sk;
	udps_lport = ntohs(__portsof[__inip[__event_in]]->dst);
	udps_lport = ntohs(__portsof[__outip[S]]->src);
	udps_rport = ntohs(__portsof[__inip[__event_in]]->src);
	udps_rport = ntohs(__portsof[__outip[S]]->dst);
	udps_laddr = __ipdst[__inip[__event_in]];
	udps_laddr = __ipsrc[__outip[S]];
	udps_raddr = __ipsrc[__inip[__event_in]];
	udps_raddr = __ipdst[__outip[S]];
};
