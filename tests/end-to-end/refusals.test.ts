import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { callerRepository, git } from '../../rehearsal/cloud/caller.ts';
import { type Cloud, operatorClient, startCloud, stopCloud } from '../../rehearsal/cloud/cloud.ts';
import { ensureHosts } from '../../rehearsal/cloud/enrol.ts';
import { provision } from '../../rehearsal/cloud/provision.ts';
import { readCalls } from '../../rehearsal/gateway/record.ts';
import { repositoryFolder } from '../../rehearsal/ground/places.ts';
import { Job, type Step } from '../../rehearsal/runner/step.ts';

const name = `f${process.pid.toString(36)}`;
const [app, environment, repository] = ['chatmrpt', 'staging', 'acme/chatmrpt'];
let cloud: Cloud;
let job: Job;
let work: string;
let archive: string;
let release: string;

beforeAll(async () => {
  cloud = await startCloud({ name });
  work = await mkdtemp(join(tmpdir(), 'understudy-refusals-'));
  const folder = await callerRepository(cloud, app, join(repositoryFolder, 'examples', app));
  await provision(cloud, { app, environment, folder, repository });
  await ensureHosts(cloud, { app, environment, folder });
  job = await Job.open(cloud, repository);
  archive = join(work, 'release.tar.gz');
  const commit = (await git(folder, 'rev-parse', 'HEAD')).trim();
  const packed = await job.run('pack-release', { path: folder, archive, commit });
  release = packed.outputs['release'] ?? '';
}, 120_000);

afterAll(async () => {
  await stopCloud(name);
  await rm(work, { recursive: true, force: true });
}, 60_000);

function deploy(inputs: Record<string, string> = {}, more: Record<string, string> = {}): Promise<Step> {
  const given = { archive, release, environment, excerpts: 'auto', 'github-token': 'ghs_x', ...inputs };
  return job.run('deploy-staging', given, more);
}

/** Documents that the CI role has sent so far. */
function sent(): string[] {
  const calls = readCalls(join(cloud.state, 'calls.jsonl'));
  const own = calls.filter(({ action, principal }) => action === 'SendCommand' && principal !== 'operator');
  return own.map(({ resource }) => resource.split('/').at(-1) ?? '');
}

/** What every refusal has in common; gives its one sentence. */
function expectRefusal(step: Step, reason: string): string {
  expect(step.code).toBe(1);
  expect(step.outputs).toMatchObject({ reason });
  expect(JSON.parse(step.outputs['result'] ?? '{}')).toMatchObject({ result: 'refused', reason });
  expect(step.errors).toHaveLength(1);
  expect(sent()).not.toContain(`${app}-deploy`);
  const message = step.errors[0]?.message ?? '';
  expect(message).toMatch(new RegExp(`^refused \\(${reason}\\): .+ What to do: .+`));
  expect(step.summary).toMatch(/: refused\n[\s\S]+What to do next/);
  return message;
}

describe('the bundle refuses, and sends no deploy', () => {
  test('a pull request', async () => {
    const step = await deploy(
      {},
      { GITHUB_EVENT_NAME: 'pull_request', GITHUB_REF: 'refs/pull/7/merge', GITHUB_EVENT_PATH: '/dev/null' },
    );
    const message = expectRefusal(step, 'pull-request');
    expect(message).toContain('event pull_request, ref refs/pull/7/merge');
    expect(message).toContain('Merge it');
  });

  test('an archive with another digest than the build job told', async () => {
    const message = expectRefusal(await deploy({ release: 'a'.repeat(64) }), 'bad-digest');
    expect(message).toContain(archive);
    expect(message).toContain(release);
    expect(message).toContain('What to do: Give the digest that the build job put out');
  });

  test('an environment that understudy.yml does not have', async () => {
    const message = expectRefusal(await deploy({ environment: 'stagging' }), 'bad-config');
    expect(message).toContain('understudy.yml: environments: has no environment "stagging".');
    expect(message).toContain('It describes staging');
  });

  test('while a run that still works holds the lease', async () => {
    await seedRun(77, 'in_progress');
    await writeLease(77);
    const message = expectRefusal(await deploy(), 'lease-held');
    expect(message).toContain(`The lease of staging is held by attempt 1 of run 77 of ${repository}`);
    expect(message).toContain('That attempt is still running.');
    expect(message).toContain('What to do: Wait until that run has ended');
    expect(sent()).toEqual([]);
  }, 30_000);
});

async function seedRun(id: number, status: string): Promise<void> {
  await fetch(`${cloud.githubUrl}/_cloud/runs`, {
    method: 'PUT',
    body: JSON.stringify({ repository, id, run_attempt: 1, status }),
    headers: { 'content-type': 'application/json' },
  });
}

async function writeLease(run: number): Promise<void> {
  const lease = {
    ...{ schema: 1, state: 'held', fence: 3, repository, run: String(run), attempt: 1 },
    ...{ operation: `1-${run}-1-deploy-staging`, nonce: 'theirs' },
    expires: new Date(Date.now() + 600_000).toISOString(),
  };
  const s3 = new S3Client({ ...operatorClient(cloud), forcePathStyle: true });
  const place = { Bucket: `${app}-understudy`, Key: `leases/${app}/${environment}.json` };
  await s3.send(new PutObjectCommand({ ...place, Body: JSON.stringify(lease) }));
}
