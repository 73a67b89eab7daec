import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { leaseKey } from '../../../src/lease/lease.ts';
import { holdingLease } from '../../../src/operation/hold.ts';
import { type Judged, judge } from '../../../src/operation/judge.ts';
import type { Work } from '../../../src/operation/operation.ts';
import type { Report } from '../../../src/operation/report.ts';
import { sendToFleet } from '../../../src/operation/send.ts';
import { deployed, Fleet, instances, job, kept, operation, probed } from './fleet.ts';

let fleet: Fleet;
let printed = '';

beforeEach(() => {
  fleet = new Fleet();
  printed = '';
  delete process.env['GITHUB_STATE'];
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
});
afterEach(() => {
  jest.restoreAllMocks();
});

const key = leaseKey('isso', 'staging');
const order = {
  parameters: { release: 'a'.repeat(64), fence: '1', excerpts: 'off' },
  delivery: 120,
  timeout: 900,
};
const failure = (name: string, message: string): Error => Object.assign(new Error(message), { name });

/** Sends under the lease and judges, as an action does. */
function deploy(signal = new AbortController().signal): Promise<Judged> {
  const release = { id: 'a'.repeat(64), commit: 'c'.repeat(40) };
  const work: Work = { services: fleet.services, operation, instances, release, checks: [] };
  const report: Report = { title: '', started: 0, facts: [], instances: [], known: {} };
  const github = { attemptHasEnded: async () => false };
  return holdingLease({ ...work, job, github, signal }, async (held) =>
    judge(work, await sendToFleet(work, order, held), report, held.signal),
  );
}

function leftToPost(): boolean {
  return fleet.bucket.json(key)['state'] === 'held' && !printed.includes('name=ended::all');
}

test('a command is sent to the fleet, its id kept for post, and each instance told by its own line', async () => {
  fleet.answers.set('deploy', () => deployed);
  const { result, instances: told } = await deploy();
  expect(result).toMatchObject({ result: 'done', reason: 'deployed' });
  expect(told.map(({ instance }) => instance)).toEqual(instances);
  expect(printed).toContain('name=command::deploy');
  expect(leftToPost()).toBe(false);
});

describe('once a command is sent, an error does not make it undone', () => {
  const lost = [
    ['the network is gone', failure('TimeoutError', 'connect ETIMEDOUT')],
    ['IAM refuses to tell', failure('AccessDeniedException', 'not authorized to list')],
  ] as const;

  test.each(lost)('%s: every instance is unknown, and post looks after them', async (_, error) => {
    for (const document of ['deploy', 'probe']) {
      fleet.answers.set(document, () => {
        throw error;
      });
    }
    const { result, instances: told } = await deploy();
    expect(told).toHaveLength(2);
    for (const one of told) expect(one).toMatchObject({ result: 'unknown', reason: 'no-result', open: true });
    expect(result).toMatchObject({ result: 'unknown', reason: 'no-result' });
    expect(result.sentence).toMatch(
      new RegExp(`^i-1: .+followed: ${error.message}\\. .+asked: ${error.message}\\. Of 2`),
    );
    expect(result.todo).toContain('`isso-probe` about this operation');
    expect(leftToPost()).toBe(true);
  });

  test('a host that can be asked tells what became of it', async () => {
    fleet.answers.set('deploy', () => {
      throw failure('TimeoutError', 'connect ETIMEDOUT');
    });
    fleet.answers.set('probe', (instance, time) => {
      if (time === 1) throw failure('TimeoutError', 'once more');
      return probed(kept(instance, 'done', 'deployed'));
    });
    await expect(deploy()).resolves.toMatchObject({ result: { result: 'done' }, open: false });
    expect(leftToPost()).toBe(false);
  });

  test('a host that has not begun it is not taken for one that never will', async () => {
    fleet.answers.set('deploy', () => {
      throw failure('TimeoutError', 'connect ETIMEDOUT');
    });
    fleet.answers.set('probe', () => probed({ state: 'unknown' }));
    const { result } = await deploy();
    expect(result).toMatchObject({ result: 'unknown' });
    expect(result.sentence).toContain('may still be handed it');
    expect(leftToPost()).toBe(true);
  });

  test('a command that SSM may have taken counts as sent', async () => {
    fleet.refuses('deploy', failure('TimeoutError', 'socket hang up'));
    fleet.answers.set('probe', () => undefined);
    await expect(deploy()).resolves.toMatchObject({ result: { result: 'unknown', reason: 'no-result' } });
    expect(leftToPost()).toBe(true);
  });
});

test('a command that SSM refuses is not sent: the lease is given back', async () => {
  const refusal = { name: 'InvalidTarget', $metadata: { httpStatusCode: 400 } };
  fleet.refuses('deploy', Object.assign(new Error('no'), refusal));
  await expect(deploy()).rejects.toThrow('no');
  expect(fleet.bucket.json(key)).toMatchObject({ state: 'released' });
  expect(printed).toContain('name=ended::all');
});

test('a job that is cancelled meanwhile says so at once, and leaves the hosts to post', async () => {
  const job = new AbortController();
  fleet.answers.set('deploy', () => {
    job.abort(new Error('cancelled'));
    return undefined;
  });
  await expect(deploy(job.signal)).rejects.toThrow('cancelled');
  expect(fleet.asked).toEqual(['send deploy']);
  expect(leftToPost()).toBe(true);
});

test('nothing is sent when less of the lease is left than a call may take', async () => {
  fleet.answers.set('deploy', () => deployed);
  const taking = fleet.bucket.create.bind(fleet.bucket);
  fleet.bucket.create = async (...given) => {
    const etag = await taking(...given);
    fleet.bucket.time += 14.6 * 60_000;
    return etag;
  };
  await expect(deploy()).rejects.toMatchObject({ reason: 'lease-lost', outcome: 'refused' });
  expect(fleet.asked).toEqual([]);
  expect(leftToPost()).toBe(true);
});
