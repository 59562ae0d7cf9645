/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.d - segments, connections, flags and states of TCP.
 *
 * Of a segment that comes in the connection is not known yet: then there are its addresses and ports alone.
 */
#pragma D depends_on library ip.d

inline int TH_FIN = 1;
inline int TH_SYN = 2;
inline int TH_RST = 4;
inline int TH_PUSH = 8;
inline int TH_ACK = 16;
inline int TH_URG = 32;
inline int TH_ECE = 64;
inline int TH_CWR = 128;

inline int TCP_STATE_CLOSED = 7;
inline int TCP_STATE_IDLE = 7;
inline int TCP_STATE_BOUND = 7;
inline int TCP_STATE_LISTEN = 10;
inline int TCP_STATE_SYN_SENT = 2;
inline int TCP_STATE_SYN_RECEIVED = 3;
inline int TCP_STATE_ESTABLISHED = 1;
inline int TCP_STATE_CLOSE_WAIT = 8;
inline int TCP_STATE_FIN_WAIT_1 = 4;
inline int TCP_STATE_CLOSING = 11;
inline int TCP_STATE_LAST_ACK = 9;
inline int TCP_STATE_FIN_WAIT_2 = 5;
inline int TCP_STATE_TIME_WAIT = 6;

inline string tcp_state_string[int32_t state] =
	state == TCP_STATE_CLOSED ? "state-closed" :
	state == TCP_STATE_LISTEN ? "state-listen" :
	state == TCP_STATE_SYN_SENT ? "state-syn-sent" :
	state == TCP_STATE_SYN_RECEIVED ? "state-syn-received" :
	state == TCP_STATE_ESTABLISHED ? "state-established" :
	state == TCP_STATE_CLOSE_WAIT ? "state-close-wait" :
	state == TCP_STATE_FIN_WAIT_1 ? "state-fin-wait-1" :
	state == TCP_STATE_CLOSING ? "state-closing" :
	state == TCP_STATE_LAST_ACK ? "state-last-ack" :
	state == TCP_STATE_FIN_WAIT_2 ? "state-fin-wait-2" :
	state == TCP_STATE_TIME_WAIT ? "state-time-wait" : "<unknown>";

/* A header as it is sent. */
struct __tcp {
	uint16_t sport;
	uint16_t dport;
	uint32_t seq;
	uint32_t ack;
	uint8_t off;
	uint8_t flags;
	uint16_t window;
	uint16_t sum;
	uint16_t urgent;
};

typedef struct tcpinfo {
	uint16_t tcp_sport;
	uint16_t tcp_dport;
	uint32_t tcp_seq;
	uint32_t tcp_ack;
	uint8_t tcp_offset;
	uint8_t tcp_flags;
	uint16_t tcp_window;
	uint16_t tcp_checksum;
	uint16_t tcp_urgent;
	struct tcphdr *tcp_hdr;
} tcpinfo_t;

/* Sizes in bytes, rto in milliseconds, rtt and its deviation in microseconds. */
typedef struct tcpsinfo {
	uintptr_t tcps_addr;
	int tcps_local;
	uint16_t tcps_lport;
	uint16_t tcps_rport;
	string tcps_laddr;
	string tcps_raddr;
	int tcps_state;
	uint32_t tcps_iss;
	uint32_t tcps_suna;
	uint32_t tcps_snxt;
	uint32_t tcps_rnxt;
	uint32_t tcps_swnd;
	int32_t tcps_snd_ws;
	uint32_t tcps_rwnd;
	int32_t tcps_rcv_ws;
	uint32_t tcps_cwnd;
	uint64_t tcps_cwnd_ssthresh;
	uint32_t tcps_sack_snxt;
	uint32_t tcps_rto;
	uint32_t tcps_mss;
	int tcps_retransmit;
	uint32_t tcps_rtt;
	uint32_t tcps_rtt_sd;
	uint32_t tcps_irs;
} tcpsinfo_t;

typedef struct tcplsinfo {
	int tcps_state;
} tcplsinfo_t;

translator tcpinfo_t < struct __tcp *T > {
	tcp_sport = ntohs(T->sport);
	tcp_dport = ntohs(T->dport);
	tcp_seq = ntohl(T->seq);
	tcp_ack = ntohl(T->ack);
	tcp_offset = (T->off & 0xf0) >> 2;
	tcp_flags = T->flags;
	tcp_window = ntohs(T->window);
	tcp_checksum = ntohs(T->sum);
	tcp_urgent = ntohs(T->urgent);
	tcp_hdr = (struct tcphdr *)(uintptr_t)T;
};

/* A segment from the other end that made the connection what it is. */
translator tcpinfo_t < struct sock *S > {
	tcp_sport = ntohs(S->__sk_common.skc_dport);
	tcp_dport = S->__sk_common.skc_num;
	tcp_seq = ((struct tcp_sock *)(uintptr_t)S)->rcv_nxt;
	tcp_ack = ((struct tcp_sock *)(uintptr_t)S)->snd_una;
	tcp_offset = TCP_HEADER_MIN;
	tcp_flags = __event_newstate == TCP_STATE_ESTABLISHED && __event_oldstate == TCP_STATE_SYN_SENT ?
		TH_SYN | TH_ACK : TH_ACK;
	tcp_flags = TH_RST | TH_ACK;
	tcp_window = ((struct tcp_sock *)(uintptr_t)S)->snd_wnd;
	tcp_checksum = 0;
	tcp_urgent = 0;
	tcp_hdr = NULL;
};

/* A socket that is all of one: not one that is on its way to be, or waits for the end. */
inline struct tcp_sock *__tcpof[struct sock *S] = (struct tcp_sock *)(uintptr_t)(S && S->sk_protocol == 6 &&
	S->__sk_common.skc_state != 6 && S->__sk_common.skc_state != 12 ? (uintptr_t)S : 0);
inline int __skisloop[struct sock *S] = S->__sk_common.skc_family == 2 ?
	S->__sk_common.skc_daddr == S->__sk_common.skc_rcv_saddr || (S->__sk_common.skc_daddr & 0xff) == 127 :
	__sklocal[S] == __skremote[S];

translator tcpsinfo_t < struct sock *S > {
	tcps_addr = (uintptr_t)S;
	tcps_local = __skisloop[S];
	tcps_lport = S->__sk_common.skc_num;
	tcps_rport = ntohs(S->__sk_common.skc_dport);
	tcps_laddr = __sklocal[S];
	tcps_raddr = __skremote[S];
	tcps_state = __event_newstate;
	tcps_state = S->__sk_common.skc_state;
	tcps_iss = 0;
	tcps_suna = __tcpof[S] ? __tcpof[S]->snd_una : 0;
	tcps_snxt = __tcpof[S] ? __tcpof[S]->snd_nxt : 0;
	tcps_rnxt = __tcpof[S] ? __tcpof[S]->rcv_nxt : 0;
	tcps_swnd = __tcpof[S] ? __tcpof[S]->snd_wnd : 0;
	tcps_snd_ws = __tcpof[S] ? __tcpof[S]->rx_opt.snd_wscale : 0;
	tcps_rwnd = __tcpof[S] ? __tcpof[S]->rcv_wnd : 0;
	tcps_rcv_ws = __tcpof[S] ? __tcpof[S]->rx_opt.rcv_wscale : 0;
	tcps_cwnd = __tcpof[S] ? __tcpof[S]->snd_cwnd * __tcpof[S]->mss_cache : 0;
	tcps_cwnd_ssthresh = __tcpof[S] ? __tcpof[S]->snd_ssthresh * (uint64_t)__tcpof[S]->mss_cache : 0;
	tcps_sack_snxt = __tcpof[S] ? __tcpof[S]->snd_nxt : 0;
	tcps_rto = __tcpof[S] ? ((__tcpof[S]->srtt_us >> 3) + __tcpof[S]->rttvar_us) / 1000 : 0;
	tcps_mss = __tcpof[S] ? __tcpof[S]->mss_cache : 0;
	tcps_retransmit = __tcpof[S] ? __tcpof[S]->inet_conn.icsk_retransmits != 0 : 0;
	tcps_rtt = __tcpof[S] ? __tcpof[S]->srtt_us >> 3 : 0;
	tcps_rtt_sd = __tcpof[S] ? __tcpof[S]->mdev_us >> 2 : 0;
	tcps_irs = 0;
};

translator tcpsinfo_t < struct sk_buff *S > {
	tcps_addr = (uintptr_t)S->sk;
	tcps_local = __ipsrc[__inip[__event_in]] == __ipdst[__inip[__event_in]];
	tcps_local = __ipsrc[__outip[S]] == __ipdst[__outip[S]];
	tcps_lport = ntohs(__portsof[__inip[__event_in]]->dst);
	tcps_lport = ntohs(__portsof[__outip[S]]->src);
	tcps_rport = ntohs(__portsof[__inip[__event_in]]->src);
	tcps_rport = ntohs(__portsof[__outip[S]]->dst);
	tcps_laddr = __ipdst[__inip[__event_in]];
	tcps_laddr = __ipsrc[__outip[S]];
	tcps_raddr = __ipsrc[__inip[__event_in]];
	tcps_raddr = __ipdst[__outip[S]];
	tcps_state = S->sk ? S->sk->__sk_common.skc_state : 0;
	tcps_iss = 0;
	tcps_suna = __tcpof[S->sk] ? __tcpof[S->sk]->snd_una : 0;
	tcps_snxt = __tcpof[S->sk] ? __tcpof[S->sk]->snd_nxt : 0;
	tcps_rnxt = __tcpof[S->sk] ? __tcpof[S->sk]->rcv_nxt : 0;
	tcps_swnd = __tcpof[S->sk] ? __tcpof[S->sk]->snd_wnd : 0;
	tcps_snd_ws = __tcpof[S->sk] ? __tcpof[S->sk]->rx_opt.snd_wscale : 0;
	tcps_rwnd = __tcpof[S->sk] ? __tcpof[S->sk]->rcv_wnd : 0;
	tcps_rcv_ws = __tcpof[S->sk] ? __tcpof[S->sk]->rx_opt.rcv_wscale : 0;
	tcps_cwnd = __tcpof[S->sk] ? __tcpof[S->sk]->snd_cwnd * __tcpof[S->sk]->mss_cache : 0;
	tcps_cwnd_ssthresh = __tcpof[S->sk] ? __tcpof[S->sk]->snd_ssthresh * (uint64_t)__tcpof[S->sk]->mss_cache : 0;
	tcps_sack_snxt = __tcpof[S->sk] ? __tcpof[S->sk]->snd_nxt : 0;
	tcps_rto = __tcpof[S->sk] ? ((__tcpof[S->sk]->srtt_us >> 3) + __tcpof[S->sk]->rttvar_us) / 1000 : 0;
	tcps_mss = __tcpof[S->sk] ? __tcpof[S->sk]->mss_cache : 0;
	tcps_retransmit = __tcpof[S->sk] ? __tcpof[S->sk]->inet_conn.icsk_retransmits != 0 : 0;
	tcps_rtt = __tcpof[S->sk] ? __tcpof[S->sk]->srtt_us >> 3 : 0;
	tcps_rtt_sd = __tcpof[S->sk] ? __tcpof[S->sk]->mdev_us >> 2 : 0;
	tcps_irs = 0;
};

translator tcplsinfo_t < int STATE > {
	tcps_state = STATE;
};
