/* SPDX-License-Identifier: Apache-2.0 */
/* pcap.d - kinds of links, as files of captured packets number them */

inline int PCAP_NONE = 0;
inline int PCAP_ETHERNET = 1;
inline int PCAP_PPP = 9;
inline int PCAP_IP = 12;
inline int PCAP_WIFI = 105;
inline int PCAP_INFINIBAND = 247;
