/* SPDX-License-Identifier: Apache-2.0 */
/* tcp.d - flags and states of TCP */

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
