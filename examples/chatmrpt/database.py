"""The app's database: one SQLite file in WAL mode, below $UNDERSTUDY_SHARED. Run alone, it makes the schema."""

import os
import secrets
import sqlite3
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS uploads (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    rows INTEGER NOT NULL,
    columns INTEGER NOT NULL,
    uploaded TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
"""


def connect(shared: Path) -> sqlite3.Connection:
    opened = sqlite3.connect(shared / "app.db", timeout=5, isolation_level=None)
    opened.execute("PRAGMA journal_mode = WAL")
    opened.execute("PRAGMA synchronous = NORMAL")
    return opened


def migrate(shared: Path):
    with connect(shared) as opened:
        opened.executescript(SCHEMA)


def add_upload(opened: sqlite3.Connection, name: str, rows: int, columns: int, keep: bool) -> int:
    opened.execute("BEGIN IMMEDIATE")
    number = opened.execute(
        "INSERT INTO uploads (name, rows, columns) VALUES (?, ?, ?)", (name, rows, columns)
    ).lastrowid
    opened.execute("COMMIT" if keep else "ROLLBACK")
    return number


def session_key(shared: Path) -> str:
    """The key that signs sessions: from the environment (Parameter Store), else made once and kept."""
    if "SECRET_KEY" in os.environ:
        return os.environ["SECRET_KEY"]
    with connect(shared) as opened:
        made = ("session-key", secrets.token_hex(32))
        opened.execute("INSERT OR IGNORE INTO settings (name, value) VALUES (?, ?)", made)
        return opened.execute("SELECT value FROM settings WHERE name = 'session-key'").fetchone()[0]


if __name__ == "__main__":
    migrate(Path(os.environ["UNDERSTUDY_SHARED"]))
