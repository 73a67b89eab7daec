"""A small app in the shape of ChatMRPT: people upload tables, and go on working with them in their session."""

import csv
import io
import os
import sqlite3
import time
from pathlib import Path

from flask import Flask, Response, g, jsonify, request, session

import database

SHARED = Path(os.environ.get("UNDERSTUDY_SHARED", "shared"))
UPLOADS = SHARED / "uploads"
SELF_CHECK = b"ward,cases\nAlbarka,12\nGarki,7\n"

# Stands for the first user's imports (pandas, geopandas, a language model): a worker needs 5 seconds to load.
time.sleep(float(os.environ.get("CHATMRPT_LOAD_SECONDS", "5")))


class Table:
    """What the app keeps of an upload: its columns and rows."""

    def __init__(self, text: str):
        self.columns, *self.rows = list(csv.reader(io.StringIO(text))) or [[]]


app = Flask(__name__)
app.secret_key = database.session_key(SHARED)
app.config["MAX_CONTENT_LENGTH"] = 16 * 1024 * 1024


def connection() -> sqlite3.Connection:
    if "connection" not in g:
        g.connection = database.connect(SHARED)
    return g.connection


@app.teardown_appcontext
def close_connection(_error):
    opened = g.pop("connection", None)
    if opened is not None:
        opened.close()


@app.get("/")
def index():
    return jsonify(app="chatmrpt", release=os.environ.get("UNDERSTUDY_RELEASE", "none"))


@app.get("/health")
def health():
    connection().execute("SELECT count(*) FROM uploads").fetchone()
    return jsonify(status="ok", release=os.environ.get("UNDERSTUDY_RELEASE", "none"))


@app.post("/upload")
def upload():
    """Keeps one CSV file, and answers its size; `?keep=no` does everything but keep it."""
    if "file" not in request.files:
        return jsonify(error="send the table as the form's field 'file'"), 400
    name = request.files["file"].filename or "table.csv"
    text = request.files["file"].read().decode("utf-8", "replace")
    table = Table(text)
    keep = request.args.get("keep") != "no"
    number = database.add_upload(connection(), name, len(table.rows), len(table.columns), keep)
    if keep:
        UPLOADS.mkdir(exist_ok=True)
        (UPLOADS / f"{number}.csv").write_text(text)
    remember(number, table)
    return jsonify(id=number, name=name, rows=len(table.rows), columns=len(table.columns))


def remember(number: int, table: Table):
    """Keeps for the session's next requests what they need."""
    session["upload"] = {"id": number, "rows": len(table.rows), "columns": table.columns}


@app.get("/session")
def current():
    return jsonify(upload=session.get("upload"))


@app.get("/self-check")
def self_check():
    """Uploads a small table as a user would, keeps nothing, and passes the answer on as it is."""
    sent = {"file": (io.BytesIO(SELF_CHECK), "self-check.csv")}
    answer = app.test_client().post("/upload?keep=no", data=sent)
    return Response(answer.data, answer.status_code, content_type=answer.content_type)
