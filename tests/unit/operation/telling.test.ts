import { describe, expect, test } from '@jest/globals';
import { resultOf } from '../../../src/action/result.ts';
import { sha256 } from '../../../src/aws/bucket.ts';
import { detailsKey } from '../../../src/command/details.ts';
import type { CheckAnswer } from '../../../src/health/answer.ts';
import type { Services } from '../../../src/operation/operation.ts';
import { type InstanceOutcome, instanceOutcome } from '../../../src/operation/outcome.ts';
import { believe, readTold } from '../../../src/operation/telling.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';
import { operation } from './fleet.ts';

const done = (instance: string, details = ''): InstanceOutcome => ({
  ...instanceOutcome(instance, resultOf({ outcome: 'done', reason: 'deployed' }), false),
  details,
});
const answer = (where: string, path: string, ok = true): CheckAnswer => ({
  where,
  path,
  ok,
  status: ok ? 200 : 500,
});
const told = (...checks: CheckAnswer[]) => ({
  ...done('i-1'),
  more: { steps: [], checks, log: [], parameters: {} },
});
const promised = [{ path: '/health' }, { path: '/info' }];

describe('a host that says done is believed', () => {
  test('when every check was answered as promised on the public port', () => {
    const host = told(
      answer('rehearsal', '/health', false),
      answer('public', '/health'),
      answer('public', '/info'),
    );
    expect(believe(host, promised, 'isso')).toBe(host);
  });

  test('when it could not write its answers down: its line is what counts', () => {
    const host = { ...done('i-1'), more: undefined };
    expect(believe(host, promised, 'isso')).toBe(host);
  });

  test.each<[string, CheckAnswer[], string]>([
    [
      'one was not asked there',
      [answer('public', '/health'), answer('probe', '/info')],
      '/info was not asked',
    ],
    [
      'one was answered otherwise',
      [answer('public', '/health'), answer('public', '/info', false)],
      '/info answered 500',
    ],
  ])('and not when %s', (_, checks, why) => {
    expect(believe(told(...checks), promised, 'isso')).toMatchObject({
      ...{ result: 'unknown', reason: 'no-result', sentence: expect.stringContaining(why) },
    });
  });

  test('one that says reverted is not asked for answers of the new release', () => {
    const back = instanceOutcome('i-1', resultOf({ outcome: 'reverted', reason: 'check-failed' }), false);
    const host = {
      ...back,
      more: { steps: [], checks: [answer('rehearsal', '/health', false)], log: [], parameters: {} },
    };
    expect(believe(host, promised, 'isso')).toBe(host);
  });
});

test('of a large fleet, what is told beside is read of three that are well and of all others', async () => {
  const bucket = new MemoryBucket();
  const bytes = Buffer.from(JSON.stringify({ log: ['x'] }));
  const hosts = Array.from({ length: 8 }, (_, at) => done(`i-${at}`, sha256(bytes)));
  const bad = {
    ...instanceOutcome('i-8', resultOf({ outcome: 'failed', reason: 'start-failed' }), false),
    details: sha256(bytes),
  };
  for (const { instance } of [...hosts, bad]) {
    bucket.objects.set(detailsKey('isso', 'staging', operation.id, instance), bytes);
  }
  const read = await readTold({ bucket } as unknown as Services, operation, [...hosts, bad]);
  expect(read.filter(({ more }) => more).map(({ instance }) => instance)).toEqual([
    'i-0',
    'i-1',
    'i-2',
    'i-8',
  ]);
});
