// A small WSGI app under gunicorn with a SQLite database, in the variants that the tests need.
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

export interface Variant {
  readonly version: string;
  readonly switch?: 'pause' | 'overlap' | 'restart';
  /** Shell that runs before the server is started. */
  readonly atStart?: string;
  /** Python that runs when the app is imported. */
  readonly atImport?: string;
  /** What /health answers: the promised JSON, or an HTML page everywhere, once live, on the public port alone, or once there were many users. */
  readonly health?: 'json' | 'html' | 'html when live' | 'html for users' | 'html under load';
  /** A server in place of gunicorn: the whole text of `.understudy/run`. */
  readonly server?: string;
  readonly prepare?: string;
  readonly migrate?: string;
  readonly gunicornWorkers?: number;
  readonly startTimeoutMs?: number;
  readonly check?: string;
  readonly workers?: readonly string[];
  /** Further members of the archive, made by a shell command in its folder. */
  readonly also?: string;
  readonly listen?: number;
}

/** The release's archive. */
export async function packApp(variant: Variant): Promise<Uint8Array> {
  const folder = await mkdtemp(join(tmpdir(), 'understudy-app-'));
  try {
    await writeApp(join(folder, 'app'), { ...variant, described: true });
    const shell = promisify(execFile);
    await shell('sh', ['-c', variant.also ?? 'true'], { cwd: join(folder, 'app') });
    const archive = join(folder, 'release.tar.gz');
    const deterministic = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
    await shell('tar', [...deterministic, '-czf', archive, '-C', join(folder, 'app'), '.']);
    return await readFile(archive);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Writes the app's files; `described`, with the description that `pack-release` would make. */
export async function writeApp(folder: string, variant: Variant & { described: boolean }): Promise<void> {
  const description = { '.understudy/release.json': JSON.stringify(manifest(variant)) };
  const files = { ...filesOf(variant), ...(variant.described && description) };
  for (const [name, text] of Object.entries(files)) await put(join(folder, name), text);
}

async function put(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
  await chmod(path, text.startsWith('#!') ? 0o755 : 0o644);
}

function filesOf(variant: Variant): Record<string, string> {
  const hooks = { prepare: variant.prepare, migrate: variant.migrate, check: variant.check };
  return {
    'app.py': program(variant),
    '.understudy/run': variant.server ?? run(variant),
    ...Object.fromEntries(
      Object.entries(hooks).flatMap(([name, text]) =>
        text === undefined ? [] : [[`.understudy/hooks/${name}`, `#!/bin/bash\nset -e\n${text}\n`]],
      ),
    ),
    ...Object.fromEntries(
      (variant.workers ?? []).map((name) => [
        `.understudy/workers/${name}`,
        '#!/bin/sh\nexec sleep infinity\n',
      ]),
    ),
  };
}

function manifest(variant: Variant) {
  const promised = { version: variant.version };
  return {
    schema: 1,
    app: 'shop',
    commit: 'a'.repeat(40),
    committed: '2026-11-23T00:00:00Z',
    service: {
      listen: variant.listen ?? 8080,
      user: 'shop',
      switch: variant.switch ?? 'pause',
      notify: true,
      start_timeout_ms: variant.startTimeoutMs ?? 30_000,
    },
    workers: variant.workers ?? [],
    checks: [{ path: '/health', status: 200, type: 'application/json', json: promised, timeout_ms: 5000 }],
    data: { databases: ['app.db'], include: [], exclude: [] },
    keep: 3,
  };
}

function run(variant: Variant): string {
  const bind = variant.switch === 'restart' ? `--bind "0.0.0.0:$PORT" ` : '';
  return `#!/bin/sh
${variant.atStart ?? ':'}
exec /usr/bin/python3 -m gunicorn ${bind}--workers ${variant.gunicornWorkers ?? 1} --threads 4 app:application
`;
}

function program(variant: Variant): string {
  const html = {
    json: 'False',
    html: 'True',
    'html when live': 'not rehearsal',
    'html for users': "environ['REMOTE_ADDR']",
    'html under load': 'number > 100',
  }[variant.health ?? 'json'];
  return `import itertools, json, os, signal, sqlite3, threading, time, urllib.request
rehearsal = 'UNDERSTUDY_REHEARSAL' in os.environ
shared = os.environ['UNDERSTUDY_SHARED']

def change(statement, *values):
    connection = sqlite3.connect(os.path.join(shared, 'app.db'), timeout=20)
    with connection:
        connection.execute(statement, values)
    connection.close()

${variant.atImport ?? ''}
change('PRAGMA journal_mode = wal')
change('CREATE TABLE IF NOT EXISTS notes (note)')

def metadata():
    try:
        return urllib.request.urlopen('http://169.254.169.254/latest/meta-data/', timeout=3).read().decode()
    except Exception as error:
        return f'no: {error}'

requests = itertools.count(1)

def application(environ, start_response):
    number = next(requests)
    path = environ['PATH_INFO']
    if path == '/health' and ${html}:
        start_response('200 OK', [('Content-Type', 'text/html; charset=utf-8')])
        return [f"<html>Error, said {os.environ.get('SECRET', 'nobody')}</html>".encode()]
    if path == '/add':
        change('INSERT INTO notes VALUES (?)', environ['QUERY_STRING'])
    answer = {'version': '${variant.version}'}
    if path == '/metadata':
        answer['metadata'] = metadata()
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps(answer).encode()]
`;
}

/** A migrate hook that adds a table, on whichever data it is given. */
export function addTable(name: string): string {
  return `python3 - <<'END'
import os, sqlite3
connection = sqlite3.connect(os.path.join(os.environ['UNDERSTUDY_SHARED'], 'app.db'))
connection.execute('CREATE TABLE IF NOT EXISTS ${name} (x)')
connection.commit()
END`;
}
