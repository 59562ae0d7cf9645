# SPDX-License-Identifier: Apache-2.0
"""The ip, tcp and udp providers: traffic between sockets of ours over the loopback device."""

from __future__ import annotations

import contextlib
import os
import socket
import struct

import pytest

pytestmark = pytest.mark.kernel

FAMILIES = [
    pytest.param(socket.AF_INET, "127.0.0.1", id="ipv4"),
    pytest.param(socket.AF_INET6, "::1", id="ipv6"),
]
SYN, ACK, RST = 2, 16, 4


def udp_pair(family: int, address: str) -> tuple[socket.socket, socket.socket]:
    pair = []
    for _ in range(2):
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.settimeout(20)
        try:
            s.bind((address, 0))
        except OSError as e:
            pytest.skip(f"no address {address}: {e}")
        pair.append(s)
    return pair[0], pair[1]


def listener(family: int, address: str) -> socket.socket:
    s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(20)
    try:
        s.bind((address, 0))
    except OSError as e:
        pytest.skip(f"no address {address}: {e}")
    s.listen()
    return s


def port(s: socket.socket) -> int:
    return s.getsockname()[1]


@pytest.mark.parametrize(("family", "address"), FAMILIES)
def test_ip_send_and_receive(trace, family, address):
    a, b = udp_pair(family, address)
    t = trace(
        "ip:::send, ip:::receive /args[1]->sport == $1 && args[1]->dport == $2/"
        "{ trace(args[2]->ip_ver); trace(args[2]->ip_saddr); trace(args[2]->ip_daddr);"
        " trace(args[2]->ip_plength); trace(args[3]->if_name); trace(args[3]->if_local);"
        " trace(args[0]->pkt_addr != 0); }",
        port(a),
        port(b),
    )
    for n in (1, 10, 100):
        a.sendto(b"x" * n, b.getsockname())
        assert len(b.recv(1000)) == n
    t.finish()
    version = 4 if family == socket.AF_INET else 6
    expected = [[version, address, address, 8 + n, "lo", 1, 1] for n in (1, 10, 100)]
    for name in "send", "receive":
        assert [f.data for f in t.firings if f.probe["name"] == name] == expected
    a.close()
    b.close()


@pytest.mark.parametrize(("family", "address"), FAMILIES)
def test_headers_of_ip(trace, family, address):
    a, b = udp_pair(family, address)
    t = trace(
        "ip:::send /args[1]->sport == $1 && pid == $2/"
        "{ trace(args[4]->ipv4_ver); trace(args[4]->ipv4_ihl); trace(args[4]->ipv4_length);"
        " trace(args[4]->ipv4_ttl); trace(args[4]->ipv4_protocol); trace(args[4]->ipv4_protostr);"
        " trace(args[4]->ipv4_saddr); trace(args[4]->ipv4_src); trace(args[4]->ipv4_offset); }"
        "ip:::send /args[1]->sport == $1 && pid == $2/"
        "{ trace(args[5]->ipv6_ver); trace(args[5]->ipv6_plen); trace(args[5]->ipv6_hlim);"
        " trace(args[5]->ipv6_nexthdr); trace(args[5]->ipv6_nextstr); trace(args[5]->ipv6_daddr);"
        " trace(args[5]->ipv6_tclass); }",
        port(a),
        os.getpid(),
    )
    a.sendto(b"x" * 20, b.getsockname())
    t.finish()
    number = struct.unpack("=I", socket.inet_aton("127.0.0.1"))[0]
    v4, v6 = (f.data for f in t.firings)
    if family == socket.AF_INET:
        assert v4 == [4, 20, 48, 64, 17, "UDP", address, number, 0]
        assert v6 == [0, 0, 0, 0, "<null>", "<null>", 0]
    else:
        assert v4 == [0, 0, 0, 0, 0, "<null>", "<null>", 0, 0]
        assert v6 == [6, 28, 64, 17, "UDP", address, 0]
    a.close()
    b.close()


def test_packets_with_the_time_between_them(trace):
    """A well-known one-liner, as it stands."""
    a, b = udp_pair(socket.AF_INET, "127.0.0.1")
    t = trace(
        'dtrace:::BEGIN { printf(" %10s %30s %-5s    %30s %-5s %6s  %5s %8s %6s", "DELTA(us)",'
        ' "SOURCE", "PORT", "DEST", "PORT", "INT", "BYTES", "COMMAND", "PID"); last = timestamp; }'
        ' ip:::send { this->elapsed = (timestamp - last) / 1000; printf(" %10d %30s %-5d -> %30s'
        ' %-5d %6s  %5d %8s %6d", this->elapsed, args[2]->ip_saddr, args[1]->sport, args[2]->ip_daddr,'
        " args[1]->dport, args[3]->if_name, args[2]->ip_plength, execname, pid); last = timestamp; }"
    )
    a.sendto(b"x" * 20, b.getsockname())
    t.finish()
    lines = [str(f.data[0]).split() for f in t.firings]
    assert lines[0][:2] == ["DELTA(us)", "SOURCE"]
    ports = [str(port(a)), "->", "127.0.0.1", str(port(b)), "lo", "28"]
    (mine,) = [line for line in lines if line[2:8] == ports]
    assert int(mine[0]) >= 0
    assert mine[1] == "127.0.0.1"
    assert mine[-1] == str(os.getpid())
    a.close()
    b.close()


@pytest.mark.parametrize(("family", "address"), FAMILIES)
def test_udp(trace, family, address):
    a, b = udp_pair(family, address)
    t = trace(
        "udp:::send, udp:::receive /args[4]->udp_sport == $1/"
        "{ trace(args[4]->udp_dport); trace(args[4]->udp_length); trace(args[1]->sport);"
        " trace(args[3]->udps_lport); trace(args[3]->udps_rport); trace(args[3]->udps_laddr);"
        " trace(args[3]->udps_raddr); trace(args[2]->ip_daddr); }"
        "tcp:::send, tcp:::receive /args[4]->tcp_sport == $1/ { trace(0); }",
        port(a),
    )
    a.sendto(b"x" * 20, b.getsockname())
    assert len(b.recv(100)) == 20
    t.finish()
    pa, pb = port(a), port(b)
    tail = [address, address, address]
    assert {f.probe["name"]: f.data for f in t.firings} == {
        "send": [pb, 28, pa, pa, pb, *tail],
        "receive": [pb, 28, pa, pb, pa, *tail],
    }
    assert len(t.firings) == 2
    a.close()
    b.close()


@pytest.mark.parametrize(("family", "address"), FAMILIES)
def test_a_connection_of_tcp(trace, family, address):
    server = listener(family, address)
    t = trace(
        "tcp:::connect-request /args[4]->tcp_dport == $1/"
        "{ trace(args[4]->tcp_flags & (TH_SYN | TH_ACK | TH_RST)); trace(args[2]->ip_daddr); }"
        "tcp:::connect-established /args[3]->tcps_rport == $1/"
        "{ trace(args[4]->tcp_sport); trace(args[2]->ip_saddr); trace(args[3]->tcps_raddr); }"
        "tcp:::accept-established /args[3]->tcps_lport == $1/"
        "{ trace(args[4]->tcp_dport); trace(args[2]->ip_daddr); trace(args[3]->tcps_laddr); }"
        "tcp:::connect-refused, tcp:::accept-refused"
        "/args[4]->tcp_sport == $1 || args[4]->tcp_dport == $1/ { trace(-1); }",
        port(server),
    )
    client = socket.create_connection((address, port(server)))
    peer, _ = server.accept()
    t.finish()
    found = {f.probe["name"]: f.data for f in t.firings}
    assert found == {
        "connect-request": [SYN, address],
        "connect-established": [port(server), address, address],
        "accept-established": [port(server), address, address],
    }
    for s in client, peer, server:
        s.close()


def test_segments_of_tcp(trace):
    server = listener(socket.AF_INET, "127.0.0.1")
    client = socket.create_connection(server.getsockname())
    peer, _ = server.accept()
    t = trace(
        "tcp:::send, tcp:::receive /args[4]->tcp_sport == $1 && args[4]->tcp_dport == $2/"
        "{ @[probename] = sum(args[2]->ip_plength - args[4]->tcp_offset); @n[probename] = count(); }"
        "tcp:::send /args[4]->tcp_sport == $1 && args[4]->tcp_dport == $2/"
        "{ trace(args[4]->tcp_flags & TH_ACK); trace(args[3]->tcps_state == TCP_STATE_ESTABLISHED);"
        " trace(args[3]->tcps_lport); trace(args[3]->tcps_mss > 0); trace(args[3]->tcps_cwnd > 0);"
        " trace(args[3]->tcps_snxt - args[3]->tcps_suna <= 100000); trace(args[3]->tcps_local);"
        " trace(args[4]->tcp_window > 0); }",
        port(client),
        port(server),
    )
    sent = 0
    for n in (10, 200, 3000):
        client.sendall(b"x" * n)
        sent += n
        got = 0
        while got < n:
            got += len(peer.recv(n))
    t.finish()
    found = t.aggregations()
    assert found[1] == {"send": sent, "receive": sent}
    assert found[2]["send"] >= 3
    assert t.firings[0].data == [ACK, 1, port(client), 1, 1, 1, 1, 1]
    for s in client, peer, server:
        s.close()


@pytest.mark.parametrize(("family", "address"), FAMILIES)
def test_refused(trace, family, address):
    server = listener(family, address)
    closed = port(server)
    server.close()
    t = trace(
        "tcp:::connect-refused /args[3]->tcps_rport == $1/"
        "{ trace(args[4]->tcp_sport); trace(args[4]->tcp_flags & TH_RST); trace(args[3]->tcps_raddr);"
        " trace(args[3]->tcps_state == TCP_STATE_SYN_SENT); }"
        "tcp:::accept-refused /args[4]->tcp_sport == $1/"
        "{ trace(args[4]->tcp_sport); trace(args[4]->tcp_flags & TH_RST); trace(args[2]->ip_saddr); }",
        closed,
    )
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection((address, closed)).close()
    t.finish()
    assert {f.probe["name"]: f.data for f in t.firings} == {
        "connect-refused": [closed, RST, address, 1],
        "accept-refused": [closed, RST, address],
    }


def test_states(trace):
    server = listener(socket.AF_INET, "127.0.0.1")
    t = trace(
        "tcp:::state-change /args[3]->tcps_rport == $1/"
        "{ trace(args[5]->tcps_state); trace(args[3]->tcps_state); trace(args[1]->dport); }",
        port(server),
    )
    client = socket.create_connection(server.getsockname())
    peer, _ = server.accept()
    client.close()
    peer.close()
    t.until(lambda: len(t.firings) >= 4, "the states of the client")
    t.finish()
    closed, sent, up, wait1, wait2 = 7, 2, 1, 4, 5
    steps = [(f.data[0], f.data[1]) for f in t.firings]
    assert steps[:4] == [(closed, sent), (sent, up), (up, wait1), (wait1, wait2)]
    assert {f.data[2] for f in t.firings} == {port(server)}
    server.close()
