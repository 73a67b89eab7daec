import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Cloud, startCloud, stopCloud } from '../../rehearsal/cloud/cloud.ts';
import { scenes } from '../../rehearsal/scenes/index.ts';
import { Staging } from '../../rehearsal/scenes/staging.ts';

const name = `e${process.pid.toString(36)}`;
let cloud: Cloud;
let isso: Staging;
let chatmrpt: Staging;

beforeAll(async () => {
  cloud = await startCloud({ name });
  isso = await Staging.open(cloud, 'isso');
  chatmrpt = await Staging.open(cloud, 'chatmrpt');
}, 180_000);

afterAll(async () => {
  await stopCloud(name);
}, 60_000);

// The scenes carry their assertions; a rehearsal and this test play the very same ones.
describe('a push reaches staging through the workflow', () => {
  test.each(scenes.map((scene) => [scene.name, scene] as const))(
    '%s',
    async (_, scene) => {
      await expect(scene.play({ cloud, isso, chatmrpt, say: () => {} })).resolves.toBeDefined();
    },
    300_000,
  );

  test('the emulator never failed by itself while the scenes played', async () => {
    const calls = (await readFile(join(cloud.state, 'calls.jsonl'), 'utf8')).trim().split('\n');
    expect(calls.length).toBeGreaterThan(50);
    expect(calls.filter((line) => JSON.parse(line).error === 'emulator')).toEqual([]);
  });
});
