"""RTF layout: paragraphs, tables, notes, headers and footers of an RTF document, each written out when it ends."""

from __future__ import annotations

from penstock.reading.text.flow import Flow


class Layout:
    """Collects the open paragraph and the open table rows, and writes each of them to the flow when it ends.

    A table may stand in a cell of another table. The depth of the outermost table is 1, that of a table in one of its
    cells is 2, and so on.
    """

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self.level = 0
        """The heading level of the open paragraph. It is 0 for a paragraph that is no heading."""
        self.depth = 0
        """The depth of the table that the open paragraph stands in. It is 0 outside of tables."""
        self._text: list[str] = []
        """The text of the open paragraph."""
        self._cells: dict[int, list[str]] = {}
        """The text of the open cell by the depth of its table, without the text of the open paragraph."""
        self._rows: dict[int, list[str]] = {}
        """The finished cells of the open row, by the depth of its table."""
        self._notes: list[str] = []
        """The notes that are written after the open paragraph or row."""
        self._margins: dict[str, list[str]] = {"header": [], "footer": []}
        """The headers and the footers, each text once."""
        self._after_row = False
        """Whether the last thing written was a table row."""

    def write(self, text: str) -> None:
        """Append text to the open paragraph."""
        self._text.append(text)

    def note(self, text: str) -> None:
        self._notes.append(text)

    def margin(self, side: str, text: str) -> None:
        """Take a header or footer. Headers are written at once, and footers at the end of the document."""
        if text and text not in self._margins[side]:
            self._margins[side].append(text)
            if side == "header":
                self._flow.block(text)

    def end_line(self) -> None:
        """End the paragraph. Within a table it is only a line of its cell."""
        if self.depth:
            self._text.append("\n")
        else:
            self.end_paragraph()

    def end_paragraph(self) -> None:
        open_cells = [part for depth in sorted(self._cells) for part in self._cells[depth]]
        self._cells = {}
        text, self._text = "".join([*open_cells, *self._text]), []
        if self._after_row and text.strip():
            self._flow.close_table()
            self._after_row = False
        if self.level:
            self._flow.heading(self.level, text)
        else:
            self._flow.block(text)
        self._write_notes()

    def enter(self, depth: int) -> None:
        """Let the text that follows stand in the table of this depth."""
        if self.depth != depth:
            self._keep_in_cell()
            self.depth = depth

    def end_cell(self, depth: int) -> None:
        text = "".join([*self._cells.pop(depth, []), *self._text])
        self._text = []
        self._rows.setdefault(depth, []).append(" ".join(text.split()))

    def end_nested_row(self, depth: int) -> None:
        """End a row of a table in a cell. The row becomes a line of that cell."""
        cells = self._rows.pop(depth, [])
        self._cells.setdefault(depth - 1, []).append("\n" + " | ".join(cells) + "\n")

    def end_row(self) -> None:
        """End a row of the outermost table, with all of its cells and the tables in them that have not ended."""
        self._keep_in_cell()
        for depth in range(max([1, *self._rows, *self._cells]), 0, -1):
            if left := " ".join("".join(self._cells.pop(depth, [])).split()):
                self._rows.setdefault(depth, []).append(left)
            if depth > 1 and depth in self._rows:
                self.end_nested_row(depth)
        self._flow.row(self._rows.pop(1, []))
        self._after_row = True
        self._write_notes()

    def finish(self) -> None:
        """Write what is still open at the end of the document, then the footers."""
        self.end_paragraph()
        if self._rows:
            self.end_row()
        for text in self._margins["footer"]:
            self._flow.block(text)

    def _keep_in_cell(self) -> None:
        """Move the text of the open paragraph to the open cell, if it stands in a table."""
        if self.depth and self._text:
            self._cells.setdefault(self.depth, []).extend(self._text)
            self._text = []

    def _write_notes(self) -> None:
        for note in self._notes:
            self._flow.block(note)
        self._notes = []
