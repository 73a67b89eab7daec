import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, GetObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { leaseKey } from '../../src/lease/lease.ts';
import { Ground, region } from './gateway/ground.ts';
import { judgeContest, type Note } from './lease/contest.ts';

// attacks.md 13: many runs want one environment, and some of them die while they have it.

const Bucket = 'relay-understudy';
const [runners, leasesEach, mortals] = [20, 10, 3];
let ground: Ground;
const folder = mkdtempSync(join(tmpdir(), 'lease-'));
const diary = join(folder, 'diary.jsonl');

beforeAll(async () => {
  ground = await Ground.open();
  await ground.s3.send(new CreateBucketCommand({ Bucket }));
});

afterAll(async () => {
  await ground.close();
  rmSync(folder, { recursive: true });
});

function contend(mortal: boolean): ChildProcess {
  const program = join(import.meta.dirname, 'lease/contender.ts');
  const argv = [program, Bucket, diary, String(leasesEach), mortal ? 'mortal' : ''];
  const env = {
    ...{ PATH: process.env['PATH'] ?? '', AWS_ENDPOINT_URL: ground.url, AWS_REGION: region },
    ...{ AWS_ACCESS_KEY_ID: 'operator', AWS_SECRET_ACCESS_KEY: 'operator' },
  };
  return spawn(process.execPath, argv, { env, stdio: ['ignore', 'ignore', 'inherit'] });
}

test('20 runners that fight for 200 leases never hold two at a time, and none is stuck', async () => {
  const children = Array.from({ length: runners }, (_, index) => contend(index < mortals));
  const ends = await Promise.all(children.map((child) => once(child, 'exit')));
  expect(ends.map(([, signal]) => signal)).toEqual(
    children.map((_, index) => (index < mortals ? 'SIGKILL' : null)),
  );
  expect(ends.map(([code]) => code).filter((code) => code !== null)).toEqual(
    Array(runners - mortals).fill(0),
  );
  const lines = readFileSync(diary, 'utf8').trimEnd().split('\n');
  const notes = lines.map((line) => JSON.parse(line) as Note);
  const died = children.slice(0, mortals).map(({ pid }) => String(pid));
  expect(judgeContest(notes, died)).toEqual([]);
  expect(notes.filter(({ what }) => what === 'took').map(({ fence }) => fence)).toEqual(
    Array.from({ length: runners * leasesEach }, (_, index) => index + 1),
  );
  const { Body } = await ground.s3.send(
    new GetObjectCommand({ Bucket, Key: leaseKey('relay', 'production') }),
  );
  expect(JSON.parse((await Body?.transformToString()) ?? '')).toMatchObject({ fence: runners * leasesEach });
}, 60_000);
