"""Monarch: a synchronous call of an endpoint of one actor in a process of its own: two numbers in, one out.

Takes one round for each line it reads, prints it as one line of JSON, ends with its input. Run by `ray_monarch`.
"""

import json
import statistics
import sys
import time

from monarch.actor import Actor, endpoint, this_host

CALLS = 5000


class Adder(Actor):
    @endpoint
    async def add(self, a, b):
        return a + b


def round_of(adder, calls):
    taken = []
    for i in range(calls):
        begun = time.perf_counter()
        if adder.add.call_one(float(i), 2.0).get() != i + 2:
            sys.exit(4)
        taken.append((time.perf_counter() - begun) * 1e6)
    return statistics.median(taken)


def main():
    procs = this_host().spawn_procs(per_host={"procs": 1})
    adder = procs.spawn("adder", Adder)
    for _ in sys.stdin:
        round_of(adder, CALLS // 10)
        line = {"peer": "Monarch endpoint", "p50_us": round_of(adder, CALLS), "calls": CALLS}
        print(json.dumps(line, separators=(",", ":")), flush=True)
    procs.stop().get()


if __name__ == "__main__":
    main()
