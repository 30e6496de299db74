"""Does the time of a refusal tell whether an image is there?
gate_times.py SOCKET ROUNDS UNKNOWN GUARDED DEEP

Asks, as root but as a user, for an image that does not exist, one behind one password file, and
one behind several, each time with a wrong password and for a requester of its own. In each round
two of each kind are asked at once, in random order, so that whatever else happens on the machine
happens to all. A rank test (Mann and Whitney, exact) then compares each two kinds: should the kinds
not differ, it says so wrongly in one run of ten thousand; should each answer of one kind come before
each of the other, in all. Prints the medians and the probabilities; the status is 1 when two kinds
differ, or when an answer differs in more than the image's name."""
import concurrent.futures
import itertools
import random
import statistics
import sys
import time

import web

LEAST = 1e-4


def ask(path, number):
    """How long the answer took, ms, and the answer."""
    address = "10.66.%d.%d" % divmod(number, 250)
    values = {"user": ["guesser%d" % number], "images": [path], "image_passwords": ["wrong"],
              "clients": [address], "requester": [address], "protocols": ["http"],
              "seconds": ["60"], "flags": ["2"]}
    start = time.monotonic()
    answer = list(web.ask(sys.argv[1], "SHARE_CREATE", values))[-1]
    return (time.monotonic() - start) * 1000, answer


def probability(first, second):
    """Two-sided, of ranks at least so far apart when both are of one kind."""
    n, m = len(first), len(second)
    wins = sum((a > b) + (a == b) / 2 for a, b in itertools.product(first, second))
    # How many orders of n and m values have so many wins: Mann and Whitney's recursion.
    counts = {(0, j): [1] for j in range(m + 1)} | {(i, 0): [1] for i in range(n + 1)}
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            row = [0] * (i * j + 1)
            for u, c in enumerate(counts[i - 1, j]):
                row[u + j] += c
            for u, c in enumerate(counts[i, j - 1]):
                row[u] += c
            counts[i, j] = row
    extreme = int(min(wins, n * m - wins))
    return min(1, 2 * sum(counts[n, m][:extreme + 1]) / sum(counts[n, m]))


def main():
    kinds = dict(zip(("unknown", "guarded", "deep"), sys.argv[3:6]))
    times = {kind: [] for kind in kinds}
    sentences = set()
    number = 0
    threads = concurrent.futures.ThreadPoolExecutor(6)
    for _ in range(int(sys.argv[2])):
        batch = list(kinds) * 2
        random.shuffle(batch)
        asked = []
        for kind in batch:
            asked.append((kind, threads.submit(ask, kinds[kind], number)))
            number += 1
        for kind, future in asked:
            took, answer = future.result()
            sentences.add(str(answer).replace(kinds[kind], "PATH"))
            times[kind].append(took)
    for kind, values in times.items():
        print("%s: median %.2f ms, %.2f to %.2f" % (kind, statistics.median(values), min(values),
                                                    max(values)))
    failed = len(sentences) != 1
    print("\n".join(sentences))
    for first, second in itertools.combinations(times, 2):
        p = probability(times[first], times[second])
        print("%s against %s: p = %.2g" % (first, second, p))
        failed |= p < LEAST
    sys.exit(failed)


main()
