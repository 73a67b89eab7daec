// A restore that only verifies, on a real host: what it proves, what it finds, and when it cannot tell.
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import type { Cloud } from '../../rehearsal/cloud/cloud.ts';
import { addFault, clearFaults } from '../../rehearsal/cloud/fault.ts';
import { type Host, lowerHost, type Result } from './ground.ts';
import { type Request, type Restores, raiseRestores, shared, type With } from './restores.ts';

jest.setTimeout(180_000);

let cloud: Cloud;
let host: Host;
let restores: Restores;
let live: string;
let backup: Result;

beforeAll(async () => {
  ({ cloud, host, restores, live, backup } = await raiseRestores());
}, 180_000);

afterAll(lowerHost, 60_000);

test('proves a good backup up to level 4, and changes nothing', async () => {
  const before = await host.shell(`find ${shared} | sort`);
  const request = await restores.request(backup, ['databases', 'files', 'code']);
  const result = await restores.verify(request, { control: 'on' });
  expect(result).toMatchObject({
    result: 'done',
    reason: 'verified',
    code: 0,
    level: 4,
    rows: 1,
    databases: 1,
  });
  const { levels, control } = await restores.details(result);
  expect(levels.map(({ level, verdict }) => [level, verdict])).toEqual([
    [2, 'passed'],
    [3, 'passed'],
    [4, 'passed'],
  ]);
  expect(levels.at(-1)?.evidence).toContain('1 rows in 1 tables');
  expect(control).toBe('refused');
  expect(await host.shell(`find ${shared} | sort`)).toBe(before);
  expect(result).not.toHaveProperty('healthy'); // nothing was started
  expect(await host.units()).toEqual([`shop@${live}.service`]);
  expect(await host.sql('SELECT group_concat(note) FROM notes')).toBe('kept');
  expect(await restores.leftBehind()).toBe('');
});

test('of files alone has another digest refused, where there is no database to damage', async () => {
  const result = await restores.verify(await restores.request(backup, ['files']), { control: 'on' });
  expect(result).toMatchObject({ result: 'done', reason: 'verified' });
  expect((await restores.details(result)).control).toBe('refused');
});

// More of them: tests/unit/host/verify.test.ts. Nothing that a fault does may be told as a good backup, nor as the wrong one of the two reds.
const flip = (at: number) => (bytes: Buffer) => {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
};
const database = 'database-0.sqlite.zst';
const spoilt = async (
  object: string,
  change: (bytes: Buffer) => Uint8Array,
  parts: With[] = ['databases'],
) => {
  const url = await restores.spoil(backup, object, change);
  return restores.request(backup, parts, ({ urls }) => ({ urls: { ...urls, [object]: url } }));
};
const lie = (change: (database: Request['manifest']['databases'][number]) => object) =>
  restores.request(backup, ['databases'], ({ manifest }) => ({
    manifest: { ...manifest, databases: manifest.databases.map((one) => ({ ...one, ...change(one) })) },
  }));
const bad: [fault: string, level: number, words: string, () => Promise<object>][] = [
  [
    'a flipped bit in the database',
    2,
    'the SHA-256 of its packed bytes is',
    () => spoilt(database, flip(100)),
  ],
  ['one byte short', 2, 'packed bytes, not', () => spoilt(database, (bytes) => bytes.subarray(0, -1))],
  [
    'a flipped bit in the code',
    2,
    'code.tar.zst: the SHA-256',
    () => spoilt('code.tar.zst', flip(200), ['code']),
  ],
  [
    'two objects swapped',
    2,
    `${database}: it has`,
    () =>
      restores.request(backup, ['databases'], ({ urls }) => ({
        urls: { ...urls, [database]: urls['code.tar.zst'] },
      })),
  ],
  [
    'an object that is not there',
    2,
    'is not there (404)',
    async () => {
      const [gone] = await restores.presign(['gone']);
      return restores.request(backup, ['databases'], ({ urls }) => ({
        urls: { ...urls, [database]: gone },
      }));
    },
  ],
  [
    'a row more in the manifest',
    4,
    'table notes has 1 rows, not 2',
    () => lie(() => ({ tables: { notes: 2 } })),
  ],
  [
    'another number of files in the manifest',
    4,
    'members, not 7',
    () =>
      restores.request(backup, ['files'], ({ manifest }) => ({
        manifest: { ...manifest, files: { ...manifest.files, count: 7 } },
      })),
  ],
];

test.each(bad)('%s is a bad backup, at level %i', async (_, level, words, damage) => {
  const result = await restores.verify(await damage());
  expect(result).toMatchObject({ result: 'failed', reason: 'backup-bad', code: 20 });
  expect(result.sentence).toContain(`at level ${level}`);
  expect(result.sentence).toContain(words);
  expect((await restores.details(result)).levels.at(-1)).toMatchObject({ level, verdict: 'failed' });
  expect(await restores.leftBehind()).toBe('');
});

test('a verification that lets a damaged copy pass proves nothing', async () => {
  // As if sqlite3 found every database sound.
  await host.shell(`cat >/usr/local/bin/sqlite3 <<'END'
#!/bin/sh
case "$*" in *integrity_check*) echo ok ;; *) exec /usr/bin/sqlite3 "$@" ;; esac
END
chmod 755 /usr/local/bin/sqlite3`);
  const result = await restores.verify(await restores.request(backup), { control: 'on' });
  await host.shell('rm /usr/local/bin/sqlite3');
  expect(result).toMatchObject({ result: 'failed', reason: 'control-passed', code: 22 });
  expect(result.sentence).toContain('level 3 passed');
});

test.each([
  [
    'a URL that has expired',
    'has expired',
    async (request: Request) => {
      const name = 'database-0.sqlite.zst';
      const [url = ''] = await restores.presign([request.manifest_key.replace('manifest.json', name)], 1);
      await host.shell('sleep 2');
      return { ...request, urls: { [name]: url } };
    },
  ],
  [
    'a request that is none',
    'is not as it should be: with',
    async (request: Request) => ({ ...request, with: ['all'] }),
  ],
  [
    'a manifest of another app',
    'of the app blog',
    async (request: Request) => ({ ...request, manifest: { ...request.manifest, app: 'blog' } }),
  ],
  [
    'a manifest whose database lies elsewhere',
    'is not as it should be: manifest: databases',
    async (request: Request) => ({
      ...request,
      manifest: {
        ...request.manifest,
        databases: [{ ...request.manifest.databases[0], name: '../app.db' }],
      },
    }),
  ],
  [
    'a URL in the clear that is not of the store',
    'could not be fetched',
    async (request: Request) => ({
      ...request,
      urls: { 'database-0.sqlite.zst': 'http://198.18.0.1:8001/x' },
    }),
  ],
  [
    'a store that nobody answers at',
    'could not be fetched: curl: (7)',
    async (request: Request) => ({
      ...request,
      urls: { 'database-0.sqlite.zst': 'https://198.18.0.1:9/x' },
    }),
  ],
  [
    'no room',
    'MiB free, and this backup needs',
    async (request: Request) => ({
      ...request,
      manifest: {
        ...request.manifest,
        databases: request.manifest.databases.map((one) => ({ ...one, raw: { ...one.raw, size: 9e14 } })),
      },
    }),
  ],
])('%s is a drill that could not run', async (_, words, change) => {
  const request = await change(await restores.request(backup));
  const result = await restores.verify(request, { timeout: '16' });
  expect(result['reason']).toBe('drill-could-not-run');
  expect(result.code).toBe(21);
  expect(result.sentence).toContain(words);
  expect(await restores.leftBehind()).toBe('');
});

test('a store that answers 503 and cuts the line for a while is asked again', async () => {
  const resource = 'arn:aws:s3:::shop-backups/*';
  const request = await restores.request(backup);
  await addFault(cloud, { action: 's3:GetObject', kind: 'error', times: 2, resource });
  await addFault(cloud, { action: 's3:GetObject', kind: 'lost', times: 1, resource });
  const result = await restores.verify(request);
  await clearFaults(cloud);
  expect(result).toMatchObject({ result: 'done', reason: 'verified' });
});
