import { onHost } from '../rehearsal/cloud/cloud.ts';
import type { Grounds } from './grounds.ts';

const user = 'bench';
export const path = `/srv/${user}/shared/big.db`;

/** As users and their messages are kept: a kilobyte a message, three indexes, and text that packs to its half. */
const statements = `
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
CREATE TABLE users (id INTEGER PRIMARY KEY, mail TEXT UNIQUE);
CREATE TABLE messages (id INTEGER PRIMARY KEY, user INTEGER REFERENCES users (id), created TEXT, body TEXT);
INSERT INTO users WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
  SELECT i, hex(randomblob(8)) || '@example.com' FROM n;
INSERT INTO messages WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 470000)
  SELECT i, i * 7919 % 20000 + 1, datetime(1700000000 + i * 7, 'unixepoch'), hex(randomblob(480)) FROM n;
CREATE INDEX messages_by_user ON messages (user, created);
CREATE INDEX messages_by_time ON messages (created);
PRAGMA synchronous = FULL; PRAGMA journal_mode = WAL;
`;

/** Sees to it that the app of the bench has a database of 500 MB, in WAL mode, and no other. */
export async function takeBigDatabase(grounds: Grounds): Promise<void> {
  await grounds.take({ switch: 'overlap', loadSeconds: 0, database: 'big.db' });
  if ((await grounds.shell(`if [ -s ${path} ]; then echo there; fi`)) === 'there') {
    await setJournal(grounds, 'wal');
    return;
  }
  await asUser(grounds, ['sqlite3', path], statements);
}

export async function setJournal(grounds: Grounds, mode: 'wal' | 'delete'): Promise<void> {
  await asUser(grounds, ['sqlite3', path, `PRAGMA journal_mode = ${mode};`]);
}

/** Runs a program on the host, as the app's user, that must succeed; gives its output. */
async function asUser(grounds: Grounds, argv: readonly string[], input = ''): Promise<string> {
  const { code, stdout, stderr } = await onHost(grounds.cloud, grounds.instanceId, argv, { input, user });
  if (code !== 0) throw new Error(`"${argv.join(' ')}" ended with ${code}: ${stderr}${stdout}`);
  return stdout;
}

/** What somebody met who writes a row a transaction. */
export interface Written {
  readonly perSecond: number;
  /** The longest that one of the writes took. */
  readonly longestMs: number;
}

const enough = '/run/bench-written-enough';

/** Each write is due at its time, whether or not the earlier ones were late: 100 a second. */
const writer = `
import json, os, sqlite3, time
connection = sqlite3.connect('${path}', timeout=90, isolation_level=None)
connection.execute('PRAGMA synchronous = NORMAL')
waits, begun = [], time.monotonic()
while not os.path.exists('${enough}'):
    time.sleep(max(0, begun + len(waits) / 100 - time.monotonic()))
    started = time.monotonic()
    connection.execute("INSERT INTO messages (user, created, body) VALUES (?, datetime('now'), hex(randomblob(480)))", (len(waits) % 20000 + 1,))
    waits.append(time.monotonic() - started)
print(json.dumps({'perSecond': len(waits) / (time.monotonic() - begun), 'longestMs': max(waits) * 1000}))
`;

/** Does something while somebody writes to the database: from a second before it to its end. */
export async function underWrites<Done>(
  grounds: Grounds,
  work: () => Promise<Done>,
): Promise<{ done: Done; written: Written }> {
  const writing = asUser(grounds, ['python3', '-c', writer]);
  // Who waits for it meets its end in any case.
  writing.catch(() => undefined);
  try {
    await grounds.shell('sleep 1');
    const done = await work();
    await grounds.shell(`touch ${enough}`);
    return { done, written: JSON.parse(await writing) as Written };
  } finally {
    await grounds.shell(`touch ${enough}`);
    await writing.catch(() => undefined);
    await grounds.shell(`rm ${enough}`);
  }
}

/** Seconds that a command takes on the host, by the host's clock. */
export async function timedOnHost(grounds: Grounds, command: string): Promise<number> {
  const told = await grounds.shell(
    `began=$(date +%s%N); { ${command}; } >&2; echo $((($(date +%s%N) - began) / 1000000))`,
  );
  return Number(told.split('\n').at(-1)) / 1000;
}
