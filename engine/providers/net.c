/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.c - packets of IP, segments of TCP, datagrams of UDP, and connections.
 *
 * Packets are seen where they are handed to a device and where they come from one, so those of the loopback device are seen
 * twice, sent and received.  What goes through several devices on its way (a bridge, a tunnel) is seen at each.
 */
#include "providers/derived.h"

#define OUT TP("net_dev_queue", "struct sk_buff *out")
#define IN TP("netif_receive_skb", "struct sk_buff *in")
#define STATE TP("inet_sock_set_state", "struct sock *sk", "int oldstate", "int newstate")

#define OUT_IP "__ethip[out->protocol]"
/* Packets for others are seen by sniffers only (PACKET_OTHERHOST). */
#define IN_IP "__ethip[in->protocol] && in->pkt_type != 3"
#define OUT_OF(proto) OUT_IP " && __carries[__outip[out], " proto "]"
#define IN_OF(proto) IN_IP " && __carries[__inip[in], " proto "]"
#define OUT_TCP "((struct __tcp *)__payload[__outip[out]])"
#define CONNECTION "sk->sk_protocol == 6"

#define PKT(skb) { "pktinfo_t *", "struct sk_buff *", skb, NULL }
#define CONN(skb) { "csinfo_t *", "struct sk_buff *", skb, NULL }
#define IPINFO(header) { "ipinfo_t *", "struct __ip4 *", header, NULL }
#define IFINFO(skb) \
	{ "ifinfo_t *", "struct net_device *", "((struct sk_buff *)(uintptr_t)" skb ")->dev", NULL }
#define IP4(header) \
	{ "ipv4info_t *", "struct __ip4 *", "__isip4[" header "] ? " header " : NULL", NULL }
#define IP6(header) \
	{ "ipv6info_t *", "struct __ip6 *", \
	  "__isip4[" header "] ? NULL : (struct __ip6 *)(uintptr_t)" header, NULL }

#define IP_ARGS(skb, header) \
	{ PKT(skb), CONN(skb), IPINFO(header), IFINFO(skb), IP4(header), IP6(header) }
#define TCP_ARGS(skb, header) \
	{ \
		PKT(skb), CONN(skb), IPINFO(header), \
			{ "tcpsinfo_t *", "struct sk_buff *", skb, NULL }, \
		{ \
			"tcpinfo_t *", "struct __tcp *", "(struct __tcp *)__payload[" header "]", \
				NULL \
		} \
	}
#define UDP_ARGS(skb, header) \
	{ \
		PKT(skb), CONN(skb), IPINFO(header), \
			{ "udpsinfo_t *", "struct sk_buff *", skb, NULL }, \
		{ \
			"udpinfo_t *", "struct __udp *", "(struct __udp *)__payload[" header "]", \
				NULL \
		} \
	}

/* Of a connection the packet is gone: what is known of it comes from the socket. */
#define SOCK_ARGS \
	{ \
		{ "pktinfo_t *", "struct sk_buff *", "(struct sk_buff *)NULL", NULL }, \
			{ "csinfo_t *", "struct sock *", "sk", NULL }, \
			{ "ipinfo_t *", "struct sock *", "sk", NULL }, \
			{ "tcpsinfo_t *", "struct sock *", "sk", NULL }, \
		{ \
			"tcpinfo_t *", "struct sock *", "sk", NULL \
		} \
	}

static const struct dt_derived ip[] = {
	{ .prov = "ip", .name = "send", OUT, .when = OUT_IP, .args = IP_ARGS("out", "__outip[out]") },
	{ .prov = "ip", .name = "receive", IN, .when = IN_IP, .args = IP_ARGS("in", "__inip[in]") },
	{ .name = NULL },
};

static const struct dt_derived tcp[] = {
	{ .prov = "tcp",
	  .name = "connect-request",
	  OUT,
	  .when = OUT_OF("6") " && (" OUT_TCP "->flags & 0x12) == 0x02",
	  .args = TCP_ARGS("out", "__outip[out]") },
	/* The answer to a segment without an acknowledgement has sequence number 0. */
	{ .prov = "tcp",
	  .name = "accept-refused",
	  OUT,
	  .when = OUT_OF("6") " && (" OUT_TCP "->flags & 0x14) == 0x14 && " OUT_TCP "->seq == 0",
	  .args = TCP_ARGS("out", "__outip[out]") },
	{ .prov = "tcp",
	  .name = "send",
	  OUT,
	  .when = OUT_OF("6"),
	  .args = TCP_ARGS("out", "__outip[out]") },
	{ .prov = "tcp", .name = "receive", IN, .when = IN_OF("6"), .args = TCP_ARGS("in", "__inip[in]") },
	{ .prov = "tcp",
	  .name = "state-change",
	  STATE,
	  .when = CONNECTION,
	  .args = { VALUE("void *", "NULL"),
		    { "csinfo_t *", "struct sock *", "sk", NULL },
		    VALUE("void *", "NULL"),
		    { "tcpsinfo_t *", "struct sock *", "sk", NULL },
		    VALUE("void *", "NULL"),
		    { "tcplsinfo_t *", "int", "oldstate", NULL } } },
	{ .prov = "tcp",
	  .name = "connect-established",
	  STATE,
	  .when = CONNECTION " && oldstate == TCP_STATE_SYN_SENT && newstate == TCP_STATE_ESTABLISHED",
	  .args = SOCK_ARGS },
	{ .prov = "tcp",
	  .name = "accept-established",
	  STATE,
	  .when = CONNECTION
	  " && oldstate == TCP_STATE_SYN_RECEIVED && newstate == TCP_STATE_ESTABLISHED",
	  .args = SOCK_ARGS },
	{ .prov = "tcp",
	  .name = "connect-refused",
	  TP("tcp_receive_reset", "struct sock *sk"),
	  .when = "sk->__sk_common.skc_state == TCP_STATE_SYN_SENT",
	  .args = SOCK_ARGS },
	{ .name = NULL },
};

static const struct dt_derived udp[] = {
	{ .prov = "udp",
	  .name = "send",
	  OUT,
	  .when = OUT_OF("17"),
	  .args = UDP_ARGS("out", "__outip[out]") },
	{ .prov = "udp", .name = "receive", IN, .when = IN_OF("17"), .args = UDP_ARGS("in", "__inip[in]") },
	{ .name = NULL },
};

DT_DERIVED_PROVIDER(ip, "ip", ip);
DT_DERIVED_PROVIDER(tcp, "tcp", tcp);
DT_DERIVED_PROVIDER(udp, "udp", udp);
