# SPDX-License-Identifier: Apache-2.0
"""The benchmarks' programs in bcc: what floor.c does, with the same arguments and answers.

begin | syscalls SECONDS | time begin|syscalls ROUNDS
run count|execname|quantize|trace|printf | file OUT | callback | callback-perf | keys
"""

import json
import os
import select
import sys
import time

from bcc import BPF

BEGIN = "int begin(void *ctx) { return 0; }"
SYSCALLS = """
BPF_HASH(calls, u32, u64, 1024);
RAW_TRACEPOINT_PROBE(sys_enter) { u32 id = ctx->args[1]; calls.increment(id); return 0; }
"""
COUNT = """
BPF_ARRAY(counts, u64, 1);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid) { counts.increment(0); return 0; }
"""
EXECNAME = """
struct comm { char text[16]; };
BPF_HASH(counts, struct comm, u64);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid) {
    struct comm c = {};
    bpf_get_current_comm(&c, sizeof(c));
    counts.increment(c);
    return 0;
}
"""
QUANTIZE = """
BPF_HISTOGRAM(counts);
TRACEPOINT_PROBE(syscalls, sys_enter_read) {
    counts.increment(bpf_log2l(args->count));
    return 0;
}
"""
TRACE = """
struct event { u64 value; };
BPF_RINGBUF_OUTPUT(events, 4096);
TRACEPOINT_PROBE(syscalls, sys_enter_read) {
    struct event e = { args->fd };
    events.ringbuf_output(&e, sizeof(e), BPF_RB_NO_WAKEUP);
    return 0;
}
"""
TRACE_PERF = """
struct event { u64 value; };
BPF_PERF_OUTPUT(events);
TRACEPOINT_PROBE(syscalls, sys_enter_read) {
    struct event e = { args->fd };
    events.perf_submit(args, &e, sizeof(e));
    return 0;
}
"""
PRINTF = """
struct event { u32 pid; char comm[16]; u64 value; };
BPF_RINGBUF_OUTPUT(events, 4096);
TRACEPOINT_PROBE(syscalls, sys_enter_read) {
    struct event e = {};
    e.pid = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(e.comm, sizeof(e.comm));
    e.value = args->count;
    events.ringbuf_output(&e, sizeof(e), BPF_RB_NO_WAKEUP);
    return 0;
}
"""
KEYS = """
BPF_HASH(sizes, u64, u64, 131072);
TRACEPOINT_PROBE(syscalls, sys_enter_read) { u64 n = args->count; sizes.increment(n); return 0; }
"""
PROGRAMS = {
    "count": COUNT,
    "execname": EXECNAME,
    "quantize": QUANTIZE,
    "trace": TRACE,
    "printf": PRINTF,
}


def start_stop(what, seconds):
    if what == "begin":
        b = BPF(text=BEGIN)
        b.load_func("begin", BPF.RAW_TRACEPOINT)
    else:
        b = BPF(text=SYSCALLS)
        time.sleep(seconds)
        rows = [(k.value, v.value) for k, v in b["calls"].items()]
        if seconds:
            print(len(rows))
    b.cleanup()


def time_rounds(what, rounds):
    taken = []
    for _ in range(rounds):
        start = time.monotonic_ns()
        start_stop(what, 0)
        taken.append(time.monotonic_ns() - start)
        time.sleep(0.05)
    print(json.dumps(taken))


def wait_for_end(drain=None):
    """Until standard input ends; `drain` says whether it found anything."""
    print("ready", flush=True)
    busy = False
    while not select.select([0], [], [], 0 if busy else 0.01 if drain else None)[0]:
        busy = drain()


def run(what, on_event=None):
    b = BPF(text=PROGRAMS[what])
    seen = 0
    if what in ("trace", "printf"):
        events = b["events"]

        def callback(_ctx, data, _size):
            nonlocal seen
            event = events.event(data)
            seen += 1
            if on_event:
                on_event(event)

        def drain():
            before = seen
            b.ring_buffer_consume()
            return seen > before

        events.open_ring_buffer(callback)
        wait_for_end(drain)
        drain()
    else:
        wait_for_end()
        seen = sum(v.value for v in b["counts"].values())
    print(json.dumps({"seen": seen}))


def run_perf():
    """Through a perf buffer, as most of bcc's tools do it."""
    b = BPF(text=TRACE_PERF)
    events = b["events"]
    seen = value = 0

    def callback(_cpu, data, _size):
        nonlocal seen, value
        value = events.event(data).value
        seen += 1

    def drain():
        before = seen
        b.perf_buffer_poll(timeout=0)
        return seen > before

    events.open_perf_buffer(callback, page_cnt=4096, lost_cb=lambda lost: None)
    wait_for_end(drain)
    drain()
    print(json.dumps({"seen": seen}))


def run_file(path):
    with open(path, "w") as out:
        run("trace", lambda event: out.write(f"{event.value}\n"))


def plain(x):
    """Batches come as numbers, single look-ups as ctypes objects."""
    return getattr(x, "value", x)


def run_keys():
    """Both ways that bcc has to read a table; the faster one counts."""
    b = BPF(text=KEYS)
    wait_for_end()
    result = {}
    for name in ("items_lookup_batch", "items"):
        start = time.monotonic()
        rows = [(plain(k), plain(v)) for k, v in getattr(b["sizes"], name)()]
        seconds = time.monotonic() - start
        result[name] = seconds
        result["rows"] = len(rows)
        result["seen"] = sum(v for _, v in rows)
    result["seconds"] = min(result["items_lookup_batch"], result["items"])
    print(json.dumps(result))


def main():
    mode, *rest = sys.argv[1:]
    if mode == "begin":
        start_stop("begin", 0)
    elif mode == "syscalls":
        start_stop("syscalls", float(rest[0]))
    elif mode == "time":
        time_rounds(rest[0], int(rest[1]))
    elif mode == "run":
        run(rest[0])
    elif mode == "callback":
        run("trace", lambda event: event.value)
    elif mode == "callback-perf":
        run_perf()
    elif mode == "file":
        run_file(rest[0])
    elif mode == "keys":
        run_keys()
    sys.stdout.flush()
    os._exit(0)  # bcc's own tear-down at exit is not what is measured


main()
