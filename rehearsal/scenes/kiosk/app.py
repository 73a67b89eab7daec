"""The smallest app that a scene can play with: it counts visits in SQLite, and knows a secret that it never tells."""

import hashlib
import json
import os
import sqlite3
from wsgiref.simple_server import make_server


def database():
    opened = sqlite3.connect(os.path.join(os.environ["UNDERSTUDY_SHARED"], "visits.db"), timeout=10)
    opened.execute("CREATE TABLE IF NOT EXISTS visits (name)")
    return opened


def health():
    with database() as opened:
        return {"status": "ok", "visits": opened.execute("SELECT count(*) FROM visits").fetchone()[0]}


def key():
    return {"digest": hashlib.sha256(os.environ.get("API_KEY", "").encode()).hexdigest()}


def application(environ, start_response):
    answer = {"/health": health, "/key": key}.get(environ["PATH_INFO"])
    status = "200 OK" if answer else "404 Not Found"
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(answer() if answer else {"error": "not found"}).encode()]


if __name__ == "__main__":
    make_server("0.0.0.0", int(os.environ["PORT"]), application).serve_forever()
