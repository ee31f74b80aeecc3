"""What may befall hosts and what they share, at random, but the same for the same seed."""

import time

from attrs import define

LEASE = 2.0


@define
class Storm:
    """Kills hosts and replaces them, lets them stand still past their leases, and cuts them off.

    Args:
        crew: the hosts.
        place: what they share.
        chance: whence all decisions come.
    """

    crew: object
    place: object
    chance: object
    restarts: int = 0
    cuts: int = 0

    def rage(self, seconds):
        """For so long; what was cut is mended, and who stood still goes on, when it is over."""
        begin = time.monotonic()
        troubles = self._troubles(begin, seconds)
        ends = {}
        while (now := time.monotonic()) < begin + seconds or ends or troubles:
            for thing in [thing for thing, end in ends.items() if end <= now]:
                del ends[thing]
                self.place.mend() if thing is self.place else self.crew.resume(thing)
            if troubles and troubles[0][0] <= now and self.place not in ends:
                self._befall(troubles.pop(0)[1], ends, now)
            if now < begin + seconds:
                self._meddle(ends, now)
            time.sleep(self.chance.uniform(0.05, 0.4))

    def _troubles(self, begin, seconds):
        """When the place is restarted, by either way, and cut off, by every way; in turn."""
        kinds = ["stop", "kill", *self.place.cuts, "stop", "kill"]
        self.chance.shuffle(kinds)
        step = seconds / (len(kinds) + 1)
        return [(begin + step * n, kind) for n, kind in enumerate(kinds, 1)]

    def _befall(self, kind, ends, now):
        if kind in {"stop", "kill"}:
            self.restarts += self.place.restart(killed=kind == "kill")
        else:
            self.place.cut(kind)
            self.cuts += 1
            ends[self.place] = now + self.chance.uniform(0.5, 2.5) * LEASE

    def _meddle(self, ends, now):
        name = self.chance.choice(sorted(self.crew.pids))
        if name in ends:
            return
        if self.chance.random() < 0.5:
            self.crew.kill(name)
            self.crew.start(name)
        else:
            self.crew.pause(name)
            ends[name] = now + self.chance.uniform(0.5, 2.0) * LEASE
