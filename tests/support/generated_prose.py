"""Generated prose. It is seeded, so that a test can change one place of it and compare the results."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

_SYLLABLES = re.findall(
    r"\w+",
    "ba ce di fo gu la me ni po ru sa te vi wo xu ka le mi no pu ra se ti vo zu an el in or us ter val mon gate "
    "flow pipe weir dam sluice head race turb rock bed",
)


class Prose:
    """Words with the frequencies of a natural language, in sentences and paragraphs, optionally under headings."""

    def __init__(
        self, seed: int, *, sentences: tuple[int, int] = (2, 9), headings: int = 6, wrap: int = 0, gap: str = "\n\n"
    ) -> None:
        """
        Args:
            sentences: the minimum and the maximum number of sentences of a paragraph.
            headings: the number of paragraphs under each heading. With 0 there are no headings.
            wrap: the line length in characters. With 0 lines are not broken.
            gap: the text between paragraphs.
        """
        self._random = random.Random(seed)
        self._sentences, self._headings, self._wrap, self._gap = sentences, headings, wrap, gap
        self._words = ["".join(self._random.choices(_SYLLABLES, k=self._random.randint(1, 3))) for _ in range(4000)]
        self._weights = [1 / (rank + 5) for rank in range(len(self._words))]

    def words(self, count: int) -> str:
        return " ".join(self._random.choices(self._words, self._weights, k=count))

    def sentence(self) -> str:
        return self.words(self._random.randint(5, 28)).capitalize() + self._random.choice("....?!")

    def paragraph(self) -> str:
        text = " ".join(self.sentence() for _ in range(self._random.randint(*self._sentences)))
        return "\n".join(_lines(text, self._wrap)) if self._wrap else text

    def text(self, size: int) -> str:
        """Text of at least `size` characters."""
        parts: list[str] = []
        written = 0
        while written < size:
            if self._headings and len(parts) % (self._headings + 1) == 0:
                parts.append("# " + self.words(4).capitalize())
            parts.append(self.paragraph())
            written += len(parts[-1]) + 2
        return self._gap.join(parts) + "\n"

    def edited(self, text: str) -> str:
        """The text with one edit at a random place: a word, sentence or paragraph is inserted, deleted or replaced."""
        unit: Callable[[], str]
        unit, ends = self._random.choice(
            [(lambda: self.words(1), " "), (self.sentence, ". "), (lambda: self.paragraph() + self._gap, self._gap)]
        )
        place = self._random.randrange(len(text))
        start = text.rfind(ends, 0, place)
        start = 0 if start < 0 else start + len(ends)
        end = text.find(ends, start)
        end = len(text) if end < 0 else end + len(ends)
        new = unit() + ("" if ends == self._gap else " ")
        match self._random.choice(["insert", "delete", "replace"]):
            case "insert":
                return text[:start] + new + text[start:]
            case "delete":
                return text[:start] + text[end:]
            case _:
                return text[:start] + new + text[end:]


def _lines(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return lines
