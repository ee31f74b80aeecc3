"""The fate of every grant: the gateway's ledger against what the hosts noted and stored."""

from collections import Counter, defaultdict

from attrs import field, frozen
from storm import LEASE


@frozen(kw_only=True)
class Case:
    """The evidence.

    Attributes:
        ledger: the refreshes that were presented.
        live: seller to the refresh token that the gateway takes.
        stored: seller to what the store has in the end.
        notes: of all hosts, in order.
        killed: process id to when.
        pauses: process id, begin and end of a process' standing still.
    """

    ledger: list = field(repr=False)
    live: dict = field(repr=False)
    stored: dict = field(repr=False)
    notes: list = field(repr=False)
    killed: dict = field(repr=False)
    pauses: list = field(repr=False)

    def of(self, *kinds):
        return [note for note in self.notes if note["kind"] in kinds]


def count(case):
    """All that is to be told."""
    lost, again = losses(case), presented_again(case)
    alarmed = {
        seller
        for seller, one in case.stored.items()
        if one["state"] != "live" or one["is_refused"]  # refused once is believed a minute later
    }
    times = Counter(entry.token for entry in case.ledger)
    told = Counter(note["kind"] for note in case.notes)
    return {
        "presented": len(case.ledger),
        "probed": sum(count - 1 for count in times.values()),
        "kills": len(case.killed),
        "stops": len(case.pauses),
        "alarms on the way": told["ambiguous"] + told["reauthorize"],
        "reported lost": len(lost & alarmed),
        "false alarms": len(alarmed - lost),
        "silently lost": len(lost - alarmed),
        "lost without a kill": len([seller for seller in lost if not _died_with(case, seller)]),
        "answers that crossed a probe": len(presented_again(case, is_strict=True)) - len(again),
        "spent tokens presented again": len(again),
    }


def losses(case):
    """The sellers of whom the store does not have what the gateway takes."""
    return {seller for seller, token in case.live.items() if case.stored[seller]["token"] != token}


def _died_with(case, seller):
    """True where a process that was killed had the seller's newest pair, and nobody else did.

    It had presented the token before it, and no write that held the pair was acknowledged.
    """
    if any(case.live[seller] in _usable(note) for note in case.of("put")):
        return False
    spent = [entry for entry in case.ledger if entry.seller == seller and entry.accepted][-1]
    senders = {
        note["pid"]: note["at"]
        for note in case.of("sending")
        if note["token"] == spent.token and note["at"] <= spent.at.timestamp()
    }
    # the request goes its way also where its sender does not live to see it arrive
    return any(case.killed.get(pid, 0.0) >= begun for pid, begun in senders.items())


def _usable(note):
    """The refresh tokens that whoever reads a record may present."""
    return [*([note["token"]] if note["state"] == "live" else []), *note["aside"]]


def presented_again(case, *, is_strict=False):
    """Refreshes begun with a token that the store was known not to hold as good any more.

    Known is what was acknowledged before the process asked the store for the last time, which a
    probe does right before it is sent; or, strictly, before it gave the request to its network.
    A process that stood still after that gave it when it went on. What began to be written
    meanwhile counts for the store as well: it may be there although nobody was told.
    """
    sendings = defaultdict(list)
    for note in case.notes:
        if note["kind"] == "sending":
            sendings[note["token"]].append(note)
        elif note["kind"] == "unsent":
            mine = [one for one in sendings[note["token"]] if one["pid"] == note["pid"]]
            sendings[note["token"]].remove(mine[-1])
    written, looks = defaultdict(list), defaultdict(list)
    for note in case.of("put", "putting"):
        written[note["seller"]].append(note)
    for note in [] if is_strict else case.of("looking", "put"):
        looks[note["pid"], note["seller"]].append(note)
    guilty = []
    for entry in case.ledger:
        at = entry.at.timestamp()
        open_ones = [note for note in sendings[entry.token] if note["at"] <= at]
        moments = {
            _moment(case, note, looks[note["pid"], entry.seller], at): note for note in open_ones
        }
        innocent = [m for m in moments if not _is_spent(entry.token, written[entry.seller], m, at)]
        if innocent:
            sendings[entry.token].remove(moments[min(innocent)])
        else:
            guilty.append(entry)
    return guilty


def _moment(case, note, looks, at):
    """When a process last could know better than to send what the gateway saw at a time."""
    last = max((look for look in looks if look["at"] <= note["at"]), key=_at, default=note)
    has_looked = last["kind"] == "looking"
    begin = last if has_looked else note
    ends = [
        stop[2]
        for stop in case.pauses
        if stop[0] == note["pid"]
        and begin["at"] < stop[2] <= at
        # one who looked, and slept for less than its lease, may go on with what it saw
        and not (has_looked and stop[2] - stop[1] < LEASE)
    ]
    return max([begin["at"], *ends])


def _at(note):
    return note["at"]


def _is_spent(token, written, moment, at):
    """True where the newest write acknowledged before a moment has not this token as good."""
    known = [note for note in written if note["kind"] == "put" and note["at"] < moment]
    if not known:
        return False
    newest = max(known, key=lambda note: note["revision"])
    maybe = [note for note in written if note["at"] < at and note["revision"] > newest["revision"]]
    return not any(token in _usable(note) for note in [newest, *maybe])
