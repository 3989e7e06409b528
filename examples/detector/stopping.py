"""Ending early without losing what is done."""

import signal
from types import FrameType


class Stop:
    """Notes Ctrl-C and SIGTERM, for the program to look at when it suits it. A second one ends the process at once."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None  # the one that came
        self.before: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> "Stop":
        for number in (signal.SIGINT, signal.SIGTERM):
            # Who started this process in the background may have it ignore Ctrl-C.
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
