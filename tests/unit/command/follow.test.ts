import {
  type CommandInvocation,
  ListCommandInvocationsCommand,
  type ListCommandInvocationsCommandOutput,
  ListCommandsCommand,
  SSMClient,
} from '@aws-sdk/client-ssm';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { mockClient } from 'aws-sdk-client-mock';
import { followCommand, type Invocation } from '../../../src/command/follow.ts';

const ssm = mockClient(SSMClient);
beforeEach(() => {
  ssm.reset();
  ssm.rejects(new Error('a call that nobody expected'));
});

const invocation = (
  InstanceId: string,
  Status: string,
  StatusDetails = Status,
  Output = '',
): CommandInvocation =>
  ({ InstanceId, Status, StatusDetails, CommandPlugins: [{ Status, Output }] }) as CommandInvocation;

/** Each look at the command gives the next of these; the last one stays. */
function looks(...pages: CommandInvocation[][]): void {
  let at = 0;
  ssm.on(ListCommandInvocationsCommand).callsFake(async () => {
    const CommandInvocations = pages[Math.min(at, pages.length - 1)] ?? [];
    at += 1;
    return { CommandInvocations };
  });
}

function follow(expected: string[], more: { limitMs?: number; signal?: AbortSignal } = {}) {
  const clock = { now: 0, waits: [] as number[] };
  const changes: string[] = [];
  const followed = followCommand({
    ssm: new SSMClient({ region: 'us-east-2' }),
    command: 'c-1',
    expected,
    limitMs: more.limitMs ?? 600_000,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      clock.waits.push(ms);
      clock.now += ms;
    },
    now: () => clock.now,
    ...(more.signal && { signal: more.signal }),
    onChange: ({ instance, standing }: Invocation) => changes.push(`${instance} ${standing}`),
  });
  return { followed, clock, changes };
}

const standings = (invocations: readonly Invocation[]): string[] =>
  invocations.map(({ instance, standing }) => `${instance} ${standing}`);

describe('following a command', () => {
  test('tells each change once, and ends when every instance has ended', async () => {
    looks(
      [],
      [invocation('i-1', 'InProgress')],
      [invocation('i-1', 'InProgress'), invocation('i-2', 'Pending')],
      [invocation('i-1', 'Success', 'Success', 'out'), invocation('i-2', 'InProgress')],
      [invocation('i-1', 'Success', 'Success', 'out'), invocation('i-2', 'Failed')],
    );
    ssm.on(ListCommandsCommand).resolves({ Commands: [{ Status: 'InProgress' }] });
    const { followed, changes } = follow(['i-1', 'i-2']);
    const invocations = await followed;
    expect(standings(invocations)).toEqual(['i-1 succeeded', 'i-2 failed']);
    expect(invocations[0]?.output).toBe('out');
    expect(changes).toEqual(['i-1 running', 'i-1 succeeded', 'i-2 running', 'i-2 failed']);
  });

  test('asks soon at first, then less often, and never less than every 1.5 s', async () => {
    looks(...Array.from({ length: 15 }, () => [invocation('i-1', 'InProgress')]), [
      invocation('i-1', 'Success'),
    ]);
    const { followed, clock } = follow(['i-1']);
    await followed;
    expect(clock.waits[0]).toBeLessThan(320);
    expect(clock.waits.slice(8).every((ms) => ms > 890 && ms < 1510)).toBe(true);
  });

  test('reads every page of a fleet', async () => {
    const page = (instance: string, NextToken?: string) =>
      ({
        CommandInvocations: [invocation(instance, 'Success')],
        NextToken,
      }) as ListCommandInvocationsCommandOutput;
    ssm.on(ListCommandInvocationsCommand).resolves(page('i-1', 'next'));
    ssm.on(ListCommandInvocationsCommand, { NextToken: 'next' }).resolves(page('i-2'));
    const invocations = await follow(['i-1', 'i-2']).followed;
    expect(standings(invocations)).toEqual(['i-1 succeeded', 'i-2 succeeded']);
    expect(ssm.calls()[0]?.args[0].input).toMatchObject({ CommandId: 'c-1', Details: true });
  });

  test('does not believe a command that says Success: an instance that it never listed never ran', async () => {
    looks([invocation('i-1', 'Success')]);
    ssm.on(ListCommandsCommand).resolves({ Commands: [{ Status: 'Success', TargetCount: 1 }] });
    const invocations = await follow(['i-1', 'i-2']).followed;
    expect(standings(invocations)).toEqual(['i-1 succeeded', 'i-2 never-ran']);
  });

  test('never says of a target that SSM hides that it never ran, however long the command has ended', async () => {
    const hidden = Object.assign(new Error('not yet'), { name: 'InvocationDoesNotExist' });
    ssm.on(ListCommandInvocationsCommand).rejects(hidden);
    ssm.on(ListCommandsCommand).resolves({ Commands: [{ Status: 'Success', TargetCount: 1 }] });
    const { followed, clock } = follow(['i-1']);
    const [only] = await followed;
    expect(only).toMatchObject({ standing: 'failed', statusDetails: 'not listed', output: '' });
    expect(clock.now).toBeLessThan(30_000);
  });

  test('goes on looking for a target that SSM shows only seconds after the command has ended', async () => {
    looks(...Array.from({ length: 8 }, () => []), [invocation('i-1', 'Success', 'Success', 'out')]);
    ssm.on(ListCommandsCommand).resolves({ Commands: [{ Status: 'Success', TargetCount: 1 }] });
    await expect(follow(['i-1']).followed).resolves.toMatchObject([{ standing: 'succeeded', output: 'out' }]);
  });

  test('waits for an instance that SSM lists late, though the command looks ended for a moment', async () => {
    looks([], [], [invocation('i-1', 'InProgress')], [invocation('i-1', 'Success')]);
    ssm.on(ListCommandsCommand).resolves({ Commands: [{ Status: 'Success' }] });
    const invocations = await follow(['i-1']).followed;
    expect(standings(invocations)).toEqual(['i-1 succeeded']);
  });

  test('counts an instance that nobody expected', async () => {
    looks([invocation('i-1', 'Success'), invocation('i-9', 'Failed')]);
    const invocations = await follow(['i-1']).followed;
    expect(standings(invocations)).toEqual(['i-1 succeeded', 'i-9 failed']);
  });

  test('takes an end for an end', async () => {
    looks(
      [invocation('i-1', 'Success'), invocation('i-2', 'InProgress')],
      [invocation('i-1', 'InProgress'), invocation('i-2', 'Success')],
    );
    const invocations = await follow(['i-1', 'i-2']).followed;
    expect(standings(invocations)).toEqual(['i-1 succeeded', 'i-2 succeeded']);
  });

  test('gives up at its limit, and says where each stands', async () => {
    looks([invocation('i-1', 'InProgress')]);
    const { followed, clock } = follow(['i-1'], { limitMs: 30_000 });
    const invocations = await followed;
    expect(standings(invocations)).toEqual(['i-1 running']);
    expect(clock.now).toBeLessThan(33_000);
  });

  test('tolerates that SSM does not know the command yet', async () => {
    const unknown = Object.assign(new Error('not yet'), { name: 'InvocationDoesNotExist' });
    ssm
      .on(ListCommandInvocationsCommand)
      .rejectsOnce(unknown)
      .resolves({ CommandInvocations: [invocation('i-1', 'Success')] });
    ssm.on(ListCommandsCommand).resolves({ Commands: [{ Status: 'Pending' }] });
    await expect(follow(['i-1']).followed).resolves.toMatchObject([{ standing: 'succeeded' }]);
  });

  test('takes a refusal by IAM as final', async () => {
    const refusal = Object.assign(new Error('no'), { name: 'AccessDeniedException' });
    ssm.on(ListCommandInvocationsCommand).rejects(refusal);
    await expect(follow(['i-1']).followed).rejects.toThrow('no');
    expect(ssm.calls()).toHaveLength(1);
  });

  test('stops at once when the job is cancelled', async () => {
    looks([invocation('i-1', 'InProgress')]);
    const signal = AbortSignal.abort(new Error('cancelled'));
    await expect(follow(['i-1'], { signal }).followed).rejects.toThrow('cancelled');
    expect(ssm.calls()).toHaveLength(0);
  });
});
