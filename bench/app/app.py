"""The app of the bench: one small read of SQLite for each request, and as long a load as the file `load-seconds` says."""

import json
import os
import sqlite3
import time
from pathlib import Path

HERE = Path(__file__).parent
DATABASE = Path(os.environ.get("UNDERSTUDY_SHARED", HERE)) / "app.db"

time.sleep(float((HERE / "load-seconds").read_text()))


def connect():
    connection = sqlite3.connect(DATABASE, timeout=20)
    connection.execute("CREATE TABLE IF NOT EXISTS visits (day TEXT)")
    connection.commit()
    return connection


connect().close()


def application(environ, start_response):
    connection = sqlite3.connect(DATABASE, timeout=20)
    visits = connection.execute("SELECT count(*) FROM visits").fetchone()[0]
    connection.close()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"status": "ok", "visits": visits}).encode()]
