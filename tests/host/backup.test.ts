// A backup on a real host: what is in it, what it is called, what is refused, and what stays on the host.
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Backups } from './backups.ts';
import { type Host, lowerHost, raiseHost } from './ground.ts';

jest.setTimeout(180_000);

let host: Host;
let backups: Backups;

beforeAll(async () => {
  const ground = await raiseHost();
  host = ground.host;
  await host.prepare();
  expect(await host.run('backup', { fence: 'none', tier: 'auto', excerpts: 'on' })).toMatchObject({
    result: 'refused',
    reason: 'backup-precondition',
    code: 13,
  });
  backups = await Backups.raise(ground);
  expect(await backups.make()).toMatchObject({ result: 'refused', reason: 'backup-precondition' });
  await host.deploy({ version: 'live' });
  await host.sql("INSERT INTO notes VALUES ('first')");
}, 120_000);

afterAll(lowerHost, 60_000);

test('holds the database and the code, and its manifest says what is in them', async () => {
  const result = await backups.make();
  expect(result).toMatchObject({
    result: 'done',
    reason: 'backed-up',
    code: 0,
    databases: 1,
    rows: 1,
    hold_ms: 0,
  });
  const manifest = await backups.manifest(result);
  expect(manifest).toMatchObject({ tier: 'monthly', databases: [{ name: 'app.db', tables: { notes: 1 } }] });
  const [database] = manifest.databases;
  if (database === undefined) throw new Error('no database');
  expect(await backups.ask(result, database, 'SELECT note FROM notes')).toEqual([{ note: 'first' }]);
  expect((await backups.unpacked(result, manifest.code)).length).toBeGreaterThan(1000);
  expect(await backups.leftBehind()).toBe('');
});
