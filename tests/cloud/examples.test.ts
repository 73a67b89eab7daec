import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { parse } from 'yaml';
import { cacheFolder, pythonTools, repositoryFolder } from '../../rehearsal/ground/places.ts';
import { run } from '../../rehearsal/ground/run.ts';

jest.setTimeout(180_000);

const folder = mkdtempSync(join(tmpdir(), 'understudy-examples-'));
const serving: ChildProcess[] = [];

/** A release of an example as a host would have it: built, prepared, and started on two sockets. */
interface Release {
  readonly folder: string;
  readonly shared: string;
}

function environmentOf(shared: string): Record<string, string> {
  return {
    ...(process.env as Record<string, string>),
    PATH: `${pythonTools()}:${process.env['PATH']}`,
    PIP_CACHE_DIR: join(cacheFolder(), 'pip'),
    UNDERSTUDY_SHARED: shared,
    CHATMRPT_LOAD_SECONDS: '0',
  };
}

async function makeRelease(app: string, name: string, ...patches: string[]): Promise<Release> {
  const release = { folder: join(folder, name), shared: join(folder, `${app}-shared`) };
  cpSync(join(repositoryFolder, 'examples', app), release.folder, { recursive: true });
  mkdirSync(release.shared, { recursive: true });
  const options = { cwd: release.folder, env: environmentOf(release.shared) };
  for (const patch of patches) await run(['patch', '--strip=1', '--silent', `--input=${patch}`], options);
  await run(['./build.sh'], options);
  await run(['.understudy/hooks/prepare'], options);
  return release;
}

/** A port that nobody listens on just now. */
async function freePort(): Promise<number> {
  const server = createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  await once(server.close(), 'close');
  return port;
}

/** Migrates and starts a release; resolves once it answers on its second socket, as a probe does. */
async function start({ folder: release, shared }: Release): Promise<string> {
  const env = environmentOf(shared);
  await run(['.understudy/hooks/migrate'], { cwd: release, env });
  const [port, probe] = [await freePort(), await freePort()];
  const sockets = ['--listen', `127.0.0.1:${port}`, '--listen', `127.0.0.1:${probe}`];
  const names = [
    '--fdname',
    'public:probe',
    '--setenv',
    'UNDERSTUDY_SHARED',
    '--setenv',
    'CHATMRPT_LOAD_SECONDS',
  ];
  const child = spawn('systemd-socket-activate', [...sockets, ...names, '.understudy/run'], {
    cwd: release,
    env,
    stdio: 'ignore',
  });
  serving.push(child);
  for (let tries = 0; tries < 100; tries += 1) {
    const answer = await fetch(`http://127.0.0.1:${probe}/`).catch(() => undefined);
    if (answer) return `http://127.0.0.1:${port}`;
    await sleep(100);
  }
  throw new Error(`${release} did not answer on its second socket`);
}

/** What the configured checks of a release are answered with on `url`, as `path status type`. */
async function askChecks(release: Release, url: string): Promise<string[]> {
  const { checks } = parse(readFileSync(join(release.folder, 'understudy.yml'), 'utf8'));
  return Promise.all(
    checks.map(
      async ({ path, status, type, json }: { path: string; status: number; type: string; json?: object }) => {
        const response = await fetch(url + path);
        const text = await response.text();
        const asPromised = response.status === status && response.headers.get('content-type') === type;
        if (asPromised && json) expect(JSON.parse(text)).toMatchObject(json);
        return `${path} ${asPromised ? 'as promised' : `${response.status} ${text.split('\n')[0]}`}`;
      },
    ),
  );
}

afterEach(async () => {
  for (const child of serving.splice(0)) {
    const ended = once(child, 'exit');
    child.kill();
    await ended;
  }
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('examples/chatmrpt', () => {
  let good: Release;

  beforeAll(async () => {
    good = await makeRelease('chatmrpt', 'good');
  });

  async function uploads(): Promise<string> {
    return (await run(['sqlite3', join(good.shared, 'app.db'), 'SELECT name FROM uploads'])).trim();
  }

  test('answers its checks as promised, and keeps uploads, but not those of its check', async () => {
    const url = await start(good);
    expect(await askChecks(good, url)).toEqual(['/health as promised', '/self-check as promised']);
    const form = new FormData();
    form.set('file', new Blob(['ward,cases\nGarki,7\n']), 'mine.csv');
    const answer = await fetch(`${url}/upload`, { method: 'POST', body: form });
    expect(await answer.json()).toMatchObject({ rows: 1, columns: 2, name: 'mine.csv' });
    expect(await uploads()).toBe('mine.csv');
  });

  test('answers HTML to its check, and to that one alone, once the incident is in it', async () => {
    const bad = await makeRelease('chatmrpt', 'bad', 'incident.patch');
    expect(await askChecks(bad, await start(bad))).toEqual([
      '/health as promised',
      '/self-check 500 <!doctype html>',
    ]);
  });
});

describe('examples/isso', () => {
  test('0.13.2 goes on on the schema that 0.14.0 leaves, so the switch may overlap', async () => {
    const old = await makeRelease('isso', 'old');
    const next = await makeRelease('isso', 'next', 'upgrade.patch');
    const version = () => run(['sqlite3', join(old.shared, 'comments.db'), 'PRAGMA user_version']);
    const comment = async (url: string, text: string) => {
      const answer = await fetch(`${url}/new?uri=/page/`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ text, title: 'A page' }),
      });
      return answer.status;
    };
    const oldUrl = await start(old);
    expect(await askChecks(old, oldUrl)).toEqual(['/info as promised', '/?uri=/ as promised']);
    expect(await comment(oldUrl, 'by the old, before')).toBe(201);
    expect(await version()).toBe('3\n');
    const nextUrl = await start(next);
    expect(await askChecks(next, nextUrl)).toEqual(['/info as promised', '/?uri=/ as promised']);
    expect(await version()).toBe('5\n');
    expect(await comment(oldUrl, 'by the old, after')).toBe(201);
    expect(await comment(nextUrl, 'by the new')).toBe(201);
    for (const url of [oldUrl, nextUrl]) {
      const page = (await (await fetch(`${url}/?uri=/page/`)).json()) as { replies: { text: string }[] };
      expect(page.replies.map(({ text }) => text.replace(/<\/?p>|\n/g, ''))).toEqual([
        'by the old, before',
        'by the old, after',
        'by the new',
      ]);
    }
  });
});
