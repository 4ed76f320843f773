"""The schema of an index file. It is apart from what opens the file and from what reads its vectors, which both need
it."""

FORMAT = 2
"""The version of the schema. It is stored in the file, and a file of another version is refused."""
REMOVALS_KEPT = 100_000
"""The number of removals that the file remembers. A process that has missed more reads all vectors again."""

# The narrow columns stand first, so that SQLite filters and sorts without reading texts and vectors. Rows are never
# changed, only added and removed. AUTOINCREMENT numbers both the additions and the removals, which a trigger records
# whoever makes them. So any process learns from the last two numbers whether it has seen every change, and from the
# rows above the numbers that it has seen which changes it has missed. The terms of a text are stored with blanks
# between them: the tokenizer only has to split there.
SCHEMA = """
CREATE TABLE space (model TEXT NOT NULL, dimensions INTEGER NOT NULL);
CREATE TABLE removed (number INTEGER PRIMARY KEY AUTOINCREMENT, row INTEGER NOT NULL);
CREATE TABLE entries (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    document TEXT NOT NULL,
    generation INTEGER NOT NULL,
    build INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    id TEXT NOT NULL AS (document || ':' || generation || ':' || build || ':' || ordinal) VIRTUAL,
    first_page INTEGER NOT NULL,
    last_page INTEGER NOT NULL,
    breaks TEXT NOT NULL,
    paged INTEGER NOT NULL,
    hash TEXT NOT NULL,
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    section TEXT NOT NULL,
    metadata TEXT NOT NULL,
    vector BLOB CHECK (length(vector) = {vector_bytes}),
    text TEXT NOT NULL,
    terms TEXT NOT NULL,
    UNIQUE (document, generation, build, ordinal)
);
CREATE INDEX entries_by_hash ON entries (hash) WHERE vector IS NOT NULL;
CREATE INDEX entries_by_source ON entries (source);
CREATE VIRTUAL TABLE words USING fts5 (
    terms, content = 'entries', content_rowid = 'row', tokenize = "ascii tokenchars '~-._/:+#@'"
);
CREATE TRIGGER entry_added AFTER INSERT ON entries BEGIN
    INSERT INTO words (rowid, terms) VALUES (new.row, new.terms);
END;
CREATE TRIGGER entry_removed AFTER DELETE ON entries BEGIN
    INSERT INTO words (words, rowid, terms) VALUES ('delete', old.row, old.terms);
    INSERT INTO removed (row) VALUES (old.row);
    DELETE FROM removed WHERE number <= (SELECT max(number) FROM removed) - {removals_kept};
END;
"""
