"""A fixed window over datagrams: what is under way and when to send it again; what came early and what is missing.

`Outgoing` keeps every DATA datagram, as it was sent, until it is acknowledged. It sends one again when later ones have
arrived (three of them, and a round trip has passed), or when its time is up, which is doubled each time. `Incoming`
puts datagrams in order, drops those it has had, and takes none beyond the window: so a replayed datagram is nothing,
and what it holds is bounded.
"""

from drvs.cluster.session.identity import Settings
from drvs.cluster.wire.datagrams import MAP_BITS
from drvs.cluster.wire.frames import FrameError

NEVER = float("inf")

#: Datagrams that arrived later than one which has not, until that counts as lost.
REORDERED = 3
#: Datagrams sent again at one time at most.
BURST = 16


class Flight:
    """One datagram under way."""

    __slots__ = ("data", "first_at", "sent_at", "tries")

    def __init__(self, data: bytes, now: float) -> None:
        self.data = data
        self.first_at = self.sent_at = now
        self.tries = 1


class Outgoing:
    """The sender's end of the window."""

    def __init__(self, settings: Settings) -> None:
        self.next = 0
        self.bytes = 0
        self.sent_again = 0
        self._settings = settings
        self._flights: dict[int, Flight] = {}  # in order of their numbers
        self._acked = 0
        self._smooth = 0.0
        self._jitter = 0.0

    @property
    def room(self) -> int:
        """How many bytes may be sent now."""
        if self.next - self._acked >= min(self._settings.window, MAP_BITS):
            return 0
        return self._settings.window_bytes - self.bytes

    def sent(self, data: bytes, now: float) -> None:
        """Note that `data` is sent as number `next`."""
        self._flights[self.next] = Flight(data, now)
        self.next += 1
        self.bytes += len(data)

    def acknowledged(self, following: int, arrived: int, now: float) -> list[bytes]:
        """Take an acknowledgement; return what should be sent again because of it.

        Raises:
            FrameError: It is of datagrams that were never sent.
        """
        if following > self.next or (arrived and following + arrived.bit_length() >= self.next):
            raise FrameError(f"an acknowledgement of datagram {following} and {arrived:#x}; {self.next} were sent")
        for number in range(self._acked, following):
            self._arrived(number, now)
        self._acked = max(self._acked, following)
        if not arrived or following < self._acked:
            return []
        for bit in range(arrived.bit_length()):
            if arrived >> bit & 1:
                self._arrived(following + 1 + bit, now)
        return self._overtaken(following + arrived.bit_length(), now)

    def _arrived(self, number: int, now: float) -> None:
        flight = self._flights.pop(number, None)
        if flight is None:
            return
        self.bytes -= len(flight.data)
        if flight.tries == 1:
            self._measure(now - flight.sent_at)

    def _measure(self, trip: float) -> None:
        """Smooth the round trip as TCP does (RFC 6298)."""
        if self._smooth == 0.0:
            self._smooth, self._jitter = trip, trip / 2
        else:
            self._jitter += (abs(trip - self._smooth) - self._jitter) / 4
            self._smooth += (trip - self._smooth) / 8

    def _overtaken(self, highest: int, now: float) -> list[bytes]:
        again: list[bytes] = []
        for number, flight in self._flights.items():
            if number > highest - REORDERED or len(again) == BURST:
                break
            if now - flight.sent_at >= self._smooth + 4 * self._jitter:
                again.append(self._again(flight, now))
        return again

    def _again(self, flight: Flight, now: float) -> bytes:
        flight.sent_at = now
        flight.tries += 1
        self.sent_again += 1
        return flight.data

    def _due(self, flight: Flight) -> float:
        settings = self._settings
        first = settings.retry_s if self._smooth == 0.0 else self._smooth + 4 * self._jitter + settings.datagram_ack_s
        wait = max(first, settings.retry_min_s) * 2.0 ** min(flight.tries - 1, 10)
        return flight.sent_at + min(wait, settings.retry_max_s)

    @property
    def deadline(self) -> float:
        """When the oldest datagram's time is up."""
        for flight in self._flights.values():
            return self._due(flight)
        return NEVER

    def overdue(self, now: float) -> list[bytes]:
        """Return what should be sent again because its time is up."""
        again: list[bytes] = []
        for flight in self._flights.values():
            if self._due(flight) > now or len(again) == BURST:
                break
            again.append(self._again(flight, now))
        return again


class Incoming:
    """The receiver's end of the window."""

    def __init__(self, settings: Settings) -> None:
        self.next = 0
        self.held_bytes = 0
        self._window = min(settings.window, MAP_BITS)
        self._held: dict[int, bytes] = {}

    def wants(self, number: int) -> bool:
        """Say whether a datagram is within the window and has not come yet."""
        return self.next <= number < self.next + self._window and number not in self._held

    def take(self, number: int, body: bytes) -> list[bytes]:
        """Take a datagram that `wants` wants; return the bodies that are in order now."""
        if number != self.next:
            self._held[number] = body
            self.held_bytes += len(body)
            return []
        ready = [body]
        self.next += 1
        while self._held and (body_after := self._held.pop(self.next, None)) is not None:
            self.held_bytes -= len(body_after)
            ready.append(body_after)
            self.next += 1
        return ready

    @property
    def gap(self) -> bool:
        """Whether something is missing before what has arrived."""
        return bool(self._held)

    @property
    def arrived(self) -> int:
        """The map of what has arrived beyond `next`."""
        bits = 0
        for number in self._held:
            bits |= 1 << (number - self.next - 1)
        return bits
