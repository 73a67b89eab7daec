import type { Variant } from '../../tests/host/app.ts';

// As small as a server can be that keeps every promise: it takes both sockets, tells when it is ready, and ends when it
// is told to, with no request half-answered. gunicorn took a third of all the processor's time that a row needs.
export const server = (version: string): string => `#!/usr/bin/python3
import json, os, select, signal, socket, sqlite3
wake, waker = os.pipe()
os.set_blocking(waker, False)
signal.set_wakeup_fd(waker)
signal.signal(signal.SIGTERM, lambda *_: None)
database = sqlite3.connect(os.path.join(os.environ['UNDERSTUDY_SHARED'], 'app.db'), timeout=20)
database.execute('PRAGMA journal_mode = wal')
database.execute('CREATE TABLE IF NOT EXISTS notes (note)')
listeners = [socket.socket(fileno=3 + index) for index in range(int(os.environ['LISTEN_FDS']))]
for one in listeners:
    one.setblocking(False)

def answer(client):
    client.settimeout(5)
    asked = b''
    while b'\\r\\n\\r\\n' not in asked:
        more = client.recv(65536)
        if not more:
            return
        asked += more
    path = asked.split(b' ')[1].decode()
    if path.startswith('/add?'):
        with database:
            database.execute('INSERT INTO notes VALUES (?)', [path[5:]])
    body = json.dumps({'version': '${version}'}).encode()
    head = b'HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n'
    client.sendall(head % len(body) + body)

notify = os.environ['NOTIFY_SOCKET']
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
    systemd.connect('\\0' + notify[1:] if notify[0] == '@' else notify)
    systemd.send(b'READY=1')
while True:
    ready, _, _ = select.select([wake, *listeners], [], [])
    if wake in ready:
        break
    for one in ready:
        try:
            client, _ = one.accept()
        except BlockingIOError:
            continue
        with client:
            try:
                answer(client)
            except OSError:
                pass
`;

/** A release of the shop; its number is its version, and what its migration leaves in the database. */
export function numbered(number: number): Variant {
  const statement = `PRAGMA user_version = ${number}`;
  const migrate = `sqlite3 -cmd '.timeout 20000' "$UNDERSTUDY_SHARED/app.db" '${statement}'`;
  return { version: String(number), server: server(String(number)), migrate };
}
