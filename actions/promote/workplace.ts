import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InputsOf } from '../../src/action/declaration.ts';
import type { Job } from '../../src/action/job.ts';
import { phase } from '../../src/action/log.ts';
import { openBucket } from '../../src/aws/bucket.ts';
import { requireBucket } from '../../src/aws/require-bucket.ts';
import type { Pace } from '../../src/command/follow.ts';
import { type GitHub, openGitHub, readExcerpts } from '../../src/github/github.ts';
import { openReleases, type Releases } from '../../src/github/releases.ts';
import { openTags } from '../../src/github/tags.ts';
import { connect } from '../../src/operation/operation.ts';
import type { Report } from '../../src/operation/report.ts';
import type { Ground } from '../../src/promotion/gate.ts';
import type { Evidence } from '../../src/promotion/gates.ts';
import type { declaration } from './declaration.ts';
import type { Plan } from './plan.ts';

interface Opening {
  readonly plan: Plan;
  readonly job: Job;
  readonly archive: string;
  readonly report: Report;
  readonly signal: AbortSignal;
}

/** What a promotion works with, from its gates to its record. */
export interface Workplace extends Omit<Opening, 'archive'> {
  readonly ground: Ground;
  readonly github: GitHub;
  readonly releases: Releases;
  readonly excerpts: 'on' | 'off';
  /** The gates that were passed. */
  readonly evidence: Evidence[];
  /** Seconds that each part took. */
  readonly spent: Record<string, number>;
}

/** A promotion takes minutes, of which nobody waits for a second: it asks seldom, and stays far from SSM's limits. */
const pace: Pace = { first: 2000, growth: 1.6, longest: 15_000 };

type Inputs = InputsOf<typeof declaration.inputs>;

/** Opens both accounts and GitHub, and sees that the buckets are there and closed. */
export async function openWorkplace(
  inputs: Inputs,
  { plan, job, archive, report, signal }: Opening,
): Promise<Workplace> {
  const { operation, origin, backups, environment } = plan;
  const [goalServices, originServices] = [
    { ...connect(operation), pace },
    { ...connect(origin), pace },
  ];
  const asking = { ...job, token: inputs['github-token'] };
  const github = openGitHub(asking);
  const excerpts = await readExcerpts(inputs.excerpts, github);
  await phase('Look at the buckets', async () => {
    for (const bucket of [operation.bucket, backups])
      await requireBucket(goalServices.clients.s3, { bucket, region: operation.region });
  });
  const ground: Ground = {
    origin: { services: originServices, operation: origin },
    goal: { services: goalServices, operation },
    ...{ github, tags: openTags(asking), archive, signal },
    ...{ tag: plan.tag, told: plan.told, confirmed: plan.confirmed, planned: plan.planned },
    ...{ soakMs: environment.soakMs, proofMs: environment.proofMs },
    backups: openBucket(goalServices.clients, backups),
  };
  const releases = openReleases(asking);
  return {
    ...{ plan, job, report, signal, ground, github, releases, excerpts },
    ...{ evidence: [], spent: {} },
  };
}

/** Works with a place for an archive that is gone afterwards; nothing of it is secret. */
export async function inScratch<Value>(work: (archive: string) => Promise<Value>): Promise<Value> {
  const folder = await mkdtemp(join(process.env['RUNNER_TEMP'] || tmpdir(), 'understudy-promote-'));
  try {
    return await work(join(folder, 'release.tar.gz'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
