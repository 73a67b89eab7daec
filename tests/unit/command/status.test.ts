import type { CommandInvocation } from '@aws-sdk/client-ssm';
import { describe, expect, test } from '@jest/globals';
import { commandHasEnded, hasEnded, type Standing, standingOf } from '../../../src/command/status.ts';

const seen = (Status: string, StatusDetails: string, plugin?: string): CommandInvocation =>
  ({ Status, StatusDetails, ...(plugin && { CommandPlugins: [{ Status: plugin }] }) }) as CommandInvocation;

describe('where an instance stands', () => {
  test.each<[string, string, string | undefined, Standing]>([
    ['Pending', 'Pending', undefined, 'pending'],
    ['Delayed', 'Delayed', undefined, 'pending'],
    ['InProgress', 'InProgress', undefined, 'delivered'],
    ['InProgress', 'InProgress', 'Pending', 'delivered'],
    ['InProgress', 'In Progress', 'InProgress', 'running'],
    ['InProgress', 'InProgress', 'InProgress', 'running'],
    ['Cancelling', 'Cancelling', 'InProgress', 'running'],
    ['Success', 'Success', 'Success', 'succeeded'],
    ['Failed', 'Failed', 'Failed', 'failed'],
    ['Failed', 'Undeliverable', undefined, 'never-ran'],
    ['Failed', 'Terminated', undefined, 'never-ran'],
    ['Failed', 'AccessDenied', undefined, 'never-ran'],
    ['Failed', 'InvalidPlatform', undefined, 'never-ran'],
    ['TimedOut', 'ExecutionTimedOut', 'TimedOut', 'timed-out'],
    ['TimedOut', 'Execution Timed Out', 'TimedOut', 'timed-out'],
    ['TimedOut', 'DeliveryTimedOut', undefined, 'never-ran'],
    ['TimedOut', 'Delivery Timed Out', undefined, 'never-ran'],
    ['Cancelled', 'Cancelled', 'Cancelled', 'cancelled'],
    ['Failed', 'SomethingNew', undefined, 'failed'],
    ['SomethingNew', 'SomethingNew', undefined, 'unknown'],
  ])('%s (%s), step %s: %s', (status, details, plugin, standing) => {
    expect(standingOf(seen(status, details, plugin))).toBe(standing);
  });

  test.each<[Standing, boolean]>([
    ['pending', false],
    ['delivered', false],
    ['running', false],
    ['unknown', false],
    ['succeeded', true],
    ['failed', true],
    ['timed-out', true],
    ['cancelled', true],
    ['never-ran', true],
  ])('%s is an end: %s', (standing, end) => {
    expect(hasEnded(standing)).toBe(end);
  });
});

test.each([
  ['Pending', false],
  ['InProgress', false],
  ['Cancelling', false],
  [undefined, false],
  ['Success', true],
  ['Failed', true],
  ['TimedOut', true],
  ['Cancelled', true],
])('a command that is %s is handed to nobody else: %s', (status, ended) => {
  expect(commandHasEnded(status)).toBe(ended);
});
