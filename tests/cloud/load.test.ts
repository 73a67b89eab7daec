import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { applyLoad, type LoadReport, percentile, warmUp } from '../../rehearsal/load/load.ts';
import { usersByChecks, usersOf } from '../../rehearsal/load/users.ts';

const PROGRAM = join(import.meta.dirname, '../../rehearsal/load/main.ts');

let answer: RequestListener;
let server: Server;
let url: string;
let connections = 0;

beforeEach(async () => {
  answer = (request, response) => {
    request.resume();
    response.writeHead(request.method === 'POST' ? 201 : 200, { 'content-type': 'application/json' });
    response.end('{}');
  };
  connections = 0;
  server = createServer((request, response) => answer(request, response));
  server.on('connection', () => {
    connections += 1;
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

/** Applies load until the server has seen `count` requests. */
async function load(
  count: number,
  more: { concurrency?: number; patience?: number } = {},
): Promise<LoadReport> {
  const stop = new AbortController();
  const behave = answer;
  let seen = 0;
  answer = (request, response) => {
    seen += 1;
    if (seen >= count) stop.abort();
    behave(request, response);
  };
  const users = usersOf['isso']?.();
  if (!users) throw new Error('the generator knows no isso');
  return applyLoad({ url, rate: 200, stop: stop.signal, concurrency: 50, patience: 5_000, ...more }, users);
}

describe('the load generator', () => {
  test('asks over a new connection each time, and counts what was answered as promised', async () => {
    const began = Date.now();
    const report = await load(12);
    expect(report.lost).toBe(0);
    expect(report.requests).toBe(connections);
    expect(report.samples.map(([, , ok]) => ok)).toEqual(Array(connections).fill(1));
    expect(report.samples.every(([start]) => start >= began && start <= Date.now())).toBe(true);
    expect(report.acknowledged.length).toBe(Math.floor(report.requests / 3));
    expect(new Set(report.acknowledged).size).toBe(report.acknowledged.length);
  });

  test.each<[string, RequestListener, RegExp]>([
    ['a 500', (_, response) => response.writeHead(500).end(), /status 500/],
    [
      'an HTML page',
      (q, r) => r.writeHead(q.method === 'POST' ? 201 : 200, { 'content-type': 'text/html' }).end(),
      /text\/html/,
    ],
    ['a reset', (request) => request.socket.resetAndDestroy(), /ECONNRESET|hang up/],
    ['silence', () => undefined, /no answer in 200 ms/],
    [
      'an answer that breaks off',
      (request, response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
        response.write('{', () => request.socket.destroy());
      },
      /broke off/,
    ],
  ])('counts %s as a loss, and acknowledges nothing', async (_, behave, problem) => {
    answer = behave;
    const report = await load(3, { patience: 200 });
    expect(report.lost).toBe(report.requests);
    expect(new Set(report.samples.map(([, , ok]) => ok))).toEqual(new Set([0]));
    expect(report.acknowledged).toEqual([]);
    expect(report.failures[0]?.problem).toMatch(problem);
  });

  test('counts a refused connection as a loss', async () => {
    server.close();
    const stop = AbortSignal.timeout(100);
    const users = usersOf['chatmrpt']?.();
    if (!users) throw new Error('the generator knows no chatmrpt');
    const plan = { url: 'http://127.0.0.1:1', rate: 100, stop, concurrency: 50, patience: 1_000 };
    const report = await applyLoad(plan, users);
    expect(report.requests).toBeGreaterThan(0);
    expect(report.lost).toBe(report.requests);
    await expect(warmUp(plan, users)).rejects.toThrow('ECONNREFUSED');
  });

  test('never has more on the way than it may, and awaits what is', async () => {
    const held: (() => void)[] = [];
    let most = 0;
    const release = () => {
      for (const answerOne of held.splice(0)) answerOne();
    };
    answer = (_, response) => {
      held.push(() => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
      most = Math.max(most, held.length);
      // Long enough for a dozen more at this rate.
      if (held.length === 4) setTimeout(release, 60);
    };
    const report = await load(8, { concurrency: 4 });
    expect(most).toBe(4);
    expect(report.requests).toBe(8);
  });

  test('asks what the checks of an app ask, and takes what they promise', async () => {
    const checks = [
      { path: '/page', status: 200, type: 'text/html' },
      { path: '/any', status: 404 },
    ];
    answer = ({ url: path = '' }, response) => {
      response.writeHead(path === '/page' ? 200 : 404, { 'content-type': 'text/html; charset=utf-8' });
      response.end();
      if (connections >= 6) stop.abort();
    };
    const stop = new AbortController();
    const plan = { url, rate: 200, stop: stop.signal, concurrency: 50, patience: 5_000 };
    expect(await applyLoad(plan, usersByChecks(checks))).toMatchObject({ lost: 0 });
    const other = usersByChecks([{ path: '/page', status: 200, type: 'application/json' }]);
    await expect(warmUp(plan, other)).rejects.toThrow('content type text/html');
    expect(() => usersByChecks([])).toThrow('nothing to ask');
  });

  test('runs as a program until its input closes, and writes its report', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'understudy-load-test-'));
    const out = join(folder, 'load.json');
    const flags = ['--url', url, '--kind', 'isso', '--rate', '100', '--until-stdin-closes', '--out', out];
    const program = spawn(process.execPath, [PROGRAM, ...flags], { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(program, 'exit');
    const [line] = await once(createInterface(program.stdout), 'line');
    expect(line).toMatch(/^ready \{/);
    while (connections < 10) await once(server, 'connection');
    program.stdin.end();
    expect(await ended).toEqual([0, null]);
    const report: LoadReport = JSON.parse(readFileSync(out, 'utf8'));
    expect(report.requests).toBeGreaterThan(0);
    // The warm-up makes the page, and is no part of the load.
    expect(report.requests).toBe(connections - 1);
    rmSync(folder, { recursive: true });
  });

  test.each([
    ['another machine', ['--url', 'http://192.0.2.1:80', '--rate', '60'], 'is refused'],
    ['too high a rate', ['--url', 'http://127.0.0.1:1', '--rate', '5000'], '--rate wants a number up to 300'],
  ])('refuses %s', async (_, flags, sentence) => {
    const rest = ['--kind', 'isso', '--seconds', '1', '--out', '/dev/null'];
    const program = spawn(process.execPath, [PROGRAM, ...flags, ...rest], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const [said, [code]] = await Promise.all([program.stderr.toArray(), once(program, 'exit')]);
    expect(code).toBe(2);
    expect(said.join('')).toContain(sentence);
  });
});

test.each([
  [[], 0.5, 0],
  [[7], 0.99, 7],
  [[1, 2, 3, 4], 0.5, 2],
  [Array.from({ length: 100 }, (_, index) => index + 1), 0.99, 99],
])('of %p, share %p do not exceed %p', (sorted, share, expected) => {
  expect(percentile(sorted, share)).toBe(expected);
});
