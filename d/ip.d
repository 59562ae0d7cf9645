/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip.d - packets of IP, their headers, and where they go.
 *
 * An event that calls the packet `in` sees it before its layers are known: its data begin with the IP header.  Elsewhere
 * the headers of all layers are there.
 */

inline int IPPROTO_IP = 0;
inline int IPPROTO_ICMP = 1;
inline int IPPROTO_IGMP = 2;
inline int IPPROTO_IPIP = 4;
inline int IPPROTO_TCP = 6;
inline int IPPROTO_EGP = 8;
inline int IPPROTO_UDP = 17;
inline int IPPROTO_IPV6 = 41;
inline int IPPROTO_ROUTING = 43;
inline int IPPROTO_FRAGMENT = 44;
inline int IPPROTO_GRE = 47;
inline int IPPROTO_ESP = 50;
inline int IPPROTO_AH = 51;
inline int IPPROTO_ICMPV6 = 58;
inline int IPPROTO_NONE = 59;
inline int IPPROTO_DSTOPTS = 60;
inline int IPPROTO_OSPF = 89;
inline int IPPROTO_ENCAP = 98;
inline int IPPROTO_PIM = 103;
inline int IPPROTO_SCTP = 132;
inline int IPPROTO_UDPLITE = 136;
inline int IPPROTO_RAW = 255;

inline int TCP_HEADER_MIN = 20;

/* Headers as they are sent. */
struct __ip4 {
	uint8_t vhl;
	uint8_t tos;
	uint16_t len;
	uint16_t id;
	uint16_t off;
	uint8_t ttl;
	uint8_t proto;
	uint16_t sum;
	uint8_t src[4];
	uint8_t dst[4];
};

struct __ip6 {
	uint32_t flow;
	uint16_t plen;
	uint8_t next;
	uint8_t hlim;
	uint8_t src[16];
	uint8_t dst[16];
};

struct __ports {
	uint16_t src;
	uint16_t dst;
};

inline struct __ip4 *__outip[struct sk_buff *S] =
	(struct __ip4 *)((uintptr_t)((struct sk_buff *)(uintptr_t)S)->head +
	((struct sk_buff *)(uintptr_t)S)->network_header);
inline struct __ip4 *__inip[struct sk_buff *S] = (struct __ip4 *)(uintptr_t)S->data;
inline struct __ip4 *__ipof[struct sk_buff *S] = __first(__inip[__event_in], __outip[S]);
inline int __isip4[struct __ip4 *H] = H->vhl >> 4 == 4;
/* Is it a packet of that protocol, and has its header?  Extension headers of IPv6 are not followed. */
inline int __carries[struct __ip4 *H, int proto] =
	__isip4[H] ? H->proto == proto && !(ntohs(H->off) & 0x1fff) : ((struct __ip6 *)(uintptr_t)H)->next == proto;
inline uintptr_t __payload[struct __ip4 *H] = (uintptr_t)H + (__isip4[H] ? 4 * (H->vhl & 0xf) : 40);
inline int __hasports[struct __ip4 *H] = __carries[H, 6] || __carries[H, 17];
inline struct __ports *__portsof[struct __ip4 *H] = (struct __ports *)__payload[H];
/* IP in skb->protocol: 0x0800, 0x86dd, as sent */
inline int __ethip[int proto] = proto == 0x0008 || proto == 0xdd86;
inline string __ipsrc[struct __ip4 *H] =
	__isip4[H] ? inet_ntoa(&H->src) : inet_ntoa6(&((struct __ip6 *)(uintptr_t)H)->src);
inline string __ipdst[struct __ip4 *H] =
	__isip4[H] ? inet_ntoa(&H->dst) : inet_ntoa6(&((struct __ip6 *)(uintptr_t)H)->dst);

typedef struct pktinfo {
	uintptr_t pkt_addr;
} pktinfo_t;

typedef struct csinfo {
	uintptr_t cs_addr;
	uint64_t cs_cid;
	pid_t cs_pid;
	int cs_zoneid;
	uint16_t sport;
	uint16_t dport;
} csinfo_t;

typedef struct ipinfo {
	uint8_t ip_ver;
	uint32_t ip_plength;
	string ip_saddr;
	string ip_daddr;
} ipinfo_t;

typedef struct ifinfo {
	string if_name;
	int8_t if_local;
	uint64_t if_ipstack;
	uintptr_t if_addr;
} ifinfo_t;

typedef struct ipv4info {
	uint8_t ipv4_ver;
	uint8_t ipv4_ihl;
	uint8_t ipv4_tos;
	uint16_t ipv4_length;
	uint16_t ipv4_ident;
	uint8_t ipv4_flags;
	uint16_t ipv4_offset;
	uint8_t ipv4_ttl;
	uint8_t ipv4_protocol;
	string ipv4_protostr;
	uint16_t ipv4_checksum;
	uint32_t ipv4_src;
	uint32_t ipv4_dst;
	string ipv4_saddr;
	string ipv4_daddr;
	struct iphdr *ipv4_hdr;
} ipv4info_t;

typedef struct ipv6info {
	uint8_t ipv6_ver;
	uint8_t ipv6_tclass;
	uint32_t ipv6_flow;
	uint16_t ipv6_plen;
	uint8_t ipv6_nexthdr;
	string ipv6_nextstr;
	uint8_t ipv6_hlim;
	struct in6_addr *ipv6_src;
	struct in6_addr *ipv6_dst;
	string ipv6_saddr;
	string ipv6_daddr;
	struct ipv6hdr *ipv6_hdr;
} ipv6info_t;

translator pktinfo_t < struct sk_buff *S > {
	pkt_addr = (uintptr_t)S;
};

translator csinfo_t < struct sk_buff *S > {
	cs_addr = (uintptr_t)S->sk;
	cs_cid = (uintptr_t)S->sk;
	cs_pid = 0;
	cs_zoneid = 0;
	sport = __hasports[__ipof[S]] ? ntohs(__portsof[__ipof[S]]->src) : 0;
	dport = __hasports[__ipof[S]] ? ntohs(__portsof[__ipof[S]]->dst) : 0;
};

/* Of a socket, as the other end's packets have it. */
translator csinfo_t < struct sock *S > {
	cs_addr = (uintptr_t)S;
	cs_cid = (uintptr_t)S;
	cs_pid = 0;
	cs_zoneid = 0;
	sport = S->__sk_common.skc_num;
	dport = ntohs(S->__sk_common.skc_dport);
};

translator ipinfo_t < struct __ip4 *H > {
	ip_ver = H->vhl >> 4;
	ip_plength = __isip4[H] ? ntohs(H->len) - 4 * (H->vhl & 0xf) : ntohs(((struct __ip6 *)(uintptr_t)H)->plen);
	ip_saddr = __ipsrc[H];
	ip_daddr = __ipdst[H];
};

inline string __sklocal[struct sock *S] = S->__sk_common.skc_family == 2 ?
	inet_ntoa(&S->__sk_common.skc_rcv_saddr) : inet_ntoa6(&S->__sk_common.skc_v6_rcv_saddr);
inline string __skremote[struct sock *S] = S->__sk_common.skc_family == 2 ?
	inet_ntoa(&S->__sk_common.skc_daddr) : inet_ntoa6(&S->__sk_common.skc_v6_daddr);

/* A packet from the other end. */
translator ipinfo_t < struct sock *S > {
	ip_ver = S->__sk_common.skc_family == 2 ? 4 : 6;
	ip_plength = TCP_HEADER_MIN;
	ip_saddr = __skremote[S];
	ip_daddr = __sklocal[S];
};

translator ifinfo_t < struct net_device *D > {
	if_name = D ? stringof(D->name) : "<null>";
	if_local = D ? (D->flags & 0x8 ? 1 : 0) : 0;
	if_ipstack = D ? D->nd_net.net->ns.inum : 0;
	if_addr = (uintptr_t)D;
};

inline string __protostr[int P] = P == 6 ? "TCP" : P == 17 ? "UDP" : P == 1 ? "ICMP" : P == 2 ? "IGMP" :
	P == 58 ? "ICMPV6" : P == 41 ? "IPV6" : P == 43 ? "ROUTE" : P == 44 ? "FRAGMENT" : P == 47 ? "GRE" :
	P == 50 ? "ESP" : P == 51 ? "AH" : P == 89 ? "OSPF" : P == 132 ? "SCTP" : P == 255 ? "RAW" : lltostr(P);

/* Of a packet of the other version all is 0. */
translator ipv4info_t < struct __ip4 *H > {
	ipv4_ver = H ? H->vhl >> 4 : 0;
	ipv4_ihl = H ? 4 * (H->vhl & 0xf) : 0;
	ipv4_tos = H ? H->tos : 0;
	ipv4_length = H ? ntohs(H->len) : 0;
	ipv4_ident = H ? ntohs(H->id) : 0;
	ipv4_flags = H ? ntohs(H->off) >> 12 & 0xe : 0;
	ipv4_offset = H ? ntohs(H->off) & 0x1fff : 0;
	ipv4_ttl = H ? H->ttl : 0;
	ipv4_protocol = H ? H->proto : 0;
	ipv4_protostr = H ? __protostr[H->proto] : "<null>";
	ipv4_checksum = H ? ntohs(H->sum) : 0;
	ipv4_src = H ? *(uint32_t *)(uintptr_t)&H->src : 0;
	ipv4_dst = H ? *(uint32_t *)(uintptr_t)&H->dst : 0;
	ipv4_saddr = H ? inet_ntoa(&H->src) : "<null>";
	ipv4_daddr = H ? inet_ntoa(&H->dst) : "<null>";
	ipv4_hdr = (struct iphdr *)(uintptr_t)H;
};

translator ipv6info_t < struct __ip6 *H > {
	ipv6_ver = H ? ntohl(H->flow) >> 28 : 0;
	ipv6_tclass = H ? ntohl(H->flow) >> 20 & 0xff : 0;
	ipv6_flow = H ? ntohl(H->flow) & 0xfffff : 0;
	ipv6_plen = H ? ntohs(H->plen) : 0;
	ipv6_nexthdr = H ? H->next : 0;
	ipv6_nextstr = H ? __protostr[H->next] : "<null>";
	ipv6_hlim = H ? H->hlim : 0;
	ipv6_src = (struct in6_addr *)(H ? (uintptr_t)&H->src : 0);
	ipv6_dst = (struct in6_addr *)(H ? (uintptr_t)&H->dst : 0);
	ipv6_saddr = H ? inet_ntoa6(&H->src) : "<null>";
	ipv6_daddr = H ? inet_ntoa6(&H->dst) : "<null>";
	ipv6_hdr = (struct ipv6hdr *)(uintptr_t)H;
};
