"""Ending early without losing what is done."""

import signal
from types import FrameType


class Stop:
    """Records Ctrl-C or SIGTERM, for the program to act on when it is ready.

    A second signal ends the process at once.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None  # the signal received, if any
        self.before: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> "Stop":
        for number in (signal.SIGINT, signal.SIGTERM):
            # A process started in the background may have been told to ignore Ctrl-C; that is respected.
            if signal.getsignal(number) != signal.SIG_IGN:
                self.before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        for known in self.before:
            signal.signal(known, signal.SIG_DFL)

    @property
    def exit_code(self) -> int:
        return 0 if self.signal is None else 128 + self.signal
