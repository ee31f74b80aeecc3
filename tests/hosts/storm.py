"""Random failures of hosts and of the store they share.

A seed fixes the random numbers: the order of the store's failures, and the draws for the hosts'.
Which moment a failure meets depends on the machine as well: a re-run is a storm of the same kind,
and no replay. Run a suspicious seed several times.
"""

import time

from attrs import define

LEASE = 2.0


@define
class Storm:
    """Kills hosts and replaces them, pauses them past their leases, and cuts the store off.

    Args:
        hosts: the host processes.
        shared: their store.
        random: a seeded ``random.Random``.
    """

    hosts: object
    shared: object
    random: object
    restarts: int = 0
    cuts: int = 0

    def run(self, seconds):
        """Inject failures for so long; at the end every cut is mended and every host goes on."""
        begin = time.monotonic()
        scheduled = self._schedule(begin, seconds)
        ends = {}
        while (now := time.monotonic()) < begin + seconds or ends or scheduled:
            for thing in [thing for thing, end in ends.items() if end <= now]:
                del ends[thing]
                self.shared.mend() if thing is self.shared else self.hosts.resume(thing)
            if scheduled and scheduled[0][0] <= now and self.shared not in ends:
                self._fail_store(scheduled.pop(0)[1], ends, now)
            if now < begin + seconds:
                self._fail_a_host(ends, now)
            time.sleep(self.random.uniform(0.05, 0.4))

    def _schedule(self, begin, seconds):
        """Every kind of restart and of cut of the store, in random order, at equal intervals."""
        kinds = ["stop", "kill", *self.shared.cuts, "stop", "kill"]
        self.random.shuffle(kinds)
        step = seconds / (len(kinds) + 1)
        return [(begin + step * n, kind) for n, kind in enumerate(kinds, 1)]

    def _fail_store(self, kind, ends, now):
        if kind in {"stop", "kill"}:
            self.restarts += self.shared.restart(killed=kind == "kill")
        else:
            self.shared.cut(kind)
            self.cuts += 1
            ends[self.shared] = now + self.random.uniform(0.5, 2.5) * LEASE

    def _fail_a_host(self, ends, now):
        name = self.random.choice(sorted(self.hosts.pids))
        if name in ends:
            return
        if self.random.random() < 0.5:
            self.hosts.kill(name)
            self.hosts.start(name)
        else:
            self.hosts.pause(name)
            ends[name] = now + self.random.uniform(0.5, 2.0) * LEASE
