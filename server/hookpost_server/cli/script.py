"""What the sink answers: a small language, "500,500,200", played from its start for each delivery."""

from __future__ import annotations

from dataclasses import dataclass

WORDS = ("slow", "hang", "reset", "redirect")
Step = int | str  # a status code, or one of WORDS
_LONGEST = 100


@dataclass(frozen=True, slots=True)
class Script:
    """Steps, one for each attempt; the last one repeats."""

    steps: tuple[Step, ...]

    @classmethod
    def parse(cls, text: str) -> Script:
        """Reads "500,500,200" or "slow,hang,reset,redirect". Raises ValueError."""
        steps = tuple(_step(item.strip().lower()) for item in text.split(","))
        if len(steps) > _LONGEST:
            raise ValueError(f"at most {_LONGEST} steps")
        return cls(steps)

    def step(self, attempt: int) -> Step:
        """The answer to the given attempt, counted from 0."""
        return self.steps[min(attempt, len(self.steps) - 1)]

    def __str__(self) -> str:
        return ",".join(map(str, self.steps))


def _step(item: str) -> Step:
    if item in WORDS:
        return item
    if item.isascii() and item.isdigit() and 200 <= int(item) <= 599:
        return int(item)
    raise ValueError(f'"{item}" is neither a status from 200 to 599 nor one of {", ".join(WORDS)}')


ALWAYS_OK = Script((200,))
