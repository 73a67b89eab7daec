import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { inBytes, inSeconds, mask, phase, warn } from '../../../src/action/log.ts';
import { writeOutputs, writeResult } from '../../../src/action/outputs.ts';
import { resultOf } from '../../../src/action/result.ts';
import { run } from '../../../src/action/run.ts';
import { writeSummary } from '../../../src/action/summary.ts';

let printed = '';

beforeEach(() => {
  printed = '';
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
});
afterEach(() => {
  jest.restoreAllMocks();
});

test.each([
  [0, '0 ms'],
  [999, '999 ms'],
  [1000, '1.0 s'],
  [59_949, '59.9 s'],
  [59_950, '1 min 0 s'],
  [125_400, '2 min 5 s'],
])('%d ms is %s', (ms, text) => {
  expect(inSeconds(ms)).toBe(text);
});

describe('a phase', () => {
  test('is a group of its own, and tells what it took', async () => {
    await expect(phase('Store', async () => 7)).resolves.toBe(7);
    expect(printed).toMatch(/::group::Store\n::endgroup::\n {2}Store: took \d+ ms/);
  });

  test('that fails closes its group and passes the error on', async () => {
    await expect(phase('Store', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(printed).toMatch(/::endgroup::\n {2}Store: failed after/);
  });
});

test('a masked value gets neither into an output, which GitHub would drop, nor into the summary', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-log-'));
  const [outputs, summary] = [join(folder, 'outputs'), join(folder, 'summary')];
  process.env['GITHUB_OUTPUT'] = outputs;
  try {
    writeFileSync(outputs, '');
    mask('123456789012\n\nsecond');
    writeResult(
      resultOf({ outcome: 'refused', reason: 'role-refused', sentence: 'arn:aws:iam::123456789012:role/x' }),
    );
    writeOutputs({ url: { description: '' } }, { url: 'https://123456789012.example' });
    await writeSummary('second arn:aws:iam::123456789012:role/x', summary);
    const told = readFileSync(outputs, 'utf8') + readFileSync(summary, 'utf8');
    expect(told).toContain('arn:aws:iam::***:role/x');
    expect(told).toContain('https://***.example');
    expect(told).not.toMatch(/123456789012|second/);
    expect(printed).toContain('::add-mask::123456789012');
  } finally {
    delete process.env['GITHUB_OUTPUT'];
    rmSync(folder, { recursive: true });
  }
});

test('the account of an ARN is told nowhere, though nobody masked it: not in outputs, nor in the log', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-log-'));
  const file = join(folder, 'outputs');
  process.env['GITHUB_OUTPUT'] = file;
  const refusal =
    'User: arn:aws:sts::210987654321:assumed-role/isso-staging-ci/understudy-1-1 is not authorized to perform: ssm:SendCommand on resource: arn:aws:ssm:us-east-2:210987654321:document/isso-deploy';
  try {
    writeFileSync(file, '');
    const result = resultOf({ outcome: 'refused', reason: 'access-denied', sentence: refusal });
    writeResult(result, { instances: [{ sentence: refusal }] });
    warn(refusal);
    await run(async () => result);
    const told = readFileSync(file, 'utf8');
    expect(told).toContain('arn:aws:sts::***:assumed-role/isso-staging-ci');
    expect(JSON.parse(/^\{.*\}$/m.exec(told)?.[0] ?? '')).toMatchObject({ reason: 'access-denied' });
    expect(told + printed).not.toContain('210987654321');
  } finally {
    delete process.env['GITHUB_OUTPUT'];
    delete process.env['STATE_is-post'];
    process.exitCode = 0;
    rmSync(folder, { recursive: true });
  }
});

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [1_500_000, '1.4 MiB'],
  [2 * 1024 ** 3, '2.0 GiB'],
])('%d bytes are %j', (bytes, text) => {
  expect(inBytes(bytes)).toBe(text);
});
