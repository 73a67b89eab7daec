import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { sendToEach } from '../../../src/backup/take.ts';
import type { Held } from '../../../src/operation/hold.ts';
import type { InstanceOutcome } from '../../../src/operation/outcome.ts';
import { operation as deploying, Fleet, instances } from '../operation/fleet.ts';

const operation = { ...deploying, action: 'backup', document: 'backup' } as const;
const order = { parameters: { fence: '1', tier: 'auto', excerpts: 'off' }, delivery: 120, timeout: 3600 };

beforeEach(() => {
  jest.spyOn(process.stdout, 'write').mockReturnValue(true);
});
afterEach(() => {
  jest.restoreAllMocks();
});

function send(fleet: Fleet): Promise<InstanceOutcome[]> {
  const work = { services: fleet.services, operation, instances, checks: [] };
  const { signal } = new AbortController();
  const held: Held = {
    fence: 1,
    signal,
    confirm: async () => {},
    requireTime: () => {},
    leave: () => {},
    onSent: () => {},
    settled: () => {},
  };
  return sendToEach(work, order, instances, held);
}

describe('instances are backed up', () => {
  test('one after the other, each by a command of its own', async () => {
    const fleet = new Fleet();
    fleet.answers.set('backup', () => ({ result: 'done', reason: 'backed-up' }));
    const outcomes = await send(fleet);
    expect(fleet.asked).toEqual(['send backup', 'send backup']);
    expect(outcomes.map(({ instance, result }) => [instance, result])).toEqual([
      ['i-1', 'done'],
      ['i-2', 'done'],
    ]);
  });

  test('also when an earlier one gave no result', async () => {
    const fleet = new Fleet();
    fleet.answers.set('backup', (instance) =>
      instance === 'i-2' ? { result: 'done', reason: 'backed-up' } : undefined,
    );
    expect(await send(fleet)).toMatchObject([
      { instance: 'i-1', result: 'unknown', open: true },
      { instance: 'i-2', result: 'done' },
    ]);
  });
});
