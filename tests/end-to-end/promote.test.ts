import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { git } from '../../rehearsal/cloud/caller.ts';
import { startCloud, stopCloud } from '../../rehearsal/cloud/cloud.ts';
import { findDeniedCalls } from '../../rehearsal/policies/calls.ts';
import { attach, holdersIn } from '../../rehearsal/policies/foundation.ts';
import type { Step } from '../../rehearsal/runner/step.ts';
import { app } from './promotion/app.ts';
import { dyingAt, halfWay } from './promotion/deaths.ts';
import { type Packed, Stage, toldBy } from './promotion/stage.ts';

// A release's way from staging to production, by the bundle: what keeps it back, what is done, and what becomes of it there.

const name = `p${process.pid.toString(36)}`;
const [stateBucket, goalBucket] = [`${app}-understudy`, `${app}-production-understudy`];
let stage: Stage;
/** What production has from the beginning. */
let first: Packed;
/** What staging has proven since. */
let next: Packed;
let ruleset: number;
let firstPromotion: Step;

beforeAll(async () => {
  stage = await Stage.open(await startCloud({ name }));
  first = await stage.soak(await stage.pack());
  ruleset = await stage.protectTags();
  await stage.publish(first.tag, 'What is new.');
  firstPromotion = await stage.promote(first);
  next = await stage.soak(await stage.pack());
}, 240_000);

afterAll(() => stopCloud(name), 60_000);

const readOnly = /^(AssumeRole|Describe|Get|Head|List)/;

/** What promotions have changed, or might have, since so many calls; a probe changes nothing. */
function changes(since: number): string[] {
  return stage
    .calls()
    .slice(since)
    .filter(({ principal }) =>
      [`${app}-production-ci`, `${app}-staging-promoter`].some((role) => principal === `role/${role}`),
    )
    .filter(({ action }) => !readOnly.test(action))
    .map(({ action, resource }) => `${action} ${resource.split(':').at(-1)}`)
    .filter((call) => !call.endsWith(`/${app}-probe`));
}

const isRecord = (call: string): boolean =>
  [`PutObject ${goalBucket}/ledger/${app}/production/`, `PutObject ${goalBucket}/tags/${app}/`].some(
    (record) => call.startsWith(record),
  );

test('the first release of all goes to production, where nothing is yet that could be backed up or lost', async () => {
  expect(toldBy(firstPromotion)).toMatchObject({ result: 'done', reason: 'promoted' });
  expect(await stage.live(stage.production)).toBe(first.id.slice(0, 12));
  expect(await stage.notesOf(first.tag)).toMatch(/^What is new\.\n\n.+\n\*\*production: done\*\*/);
  expect(firstPromotion.log).toContain('nothing is live there yet, so there is nothing to back up');
});

interface Refusal {
  readonly name: string;
  readonly reason: string;
  readonly says: RegExp;
  /** Makes the world so; gives what is promoted, when it is another release. */
  readonly when: () => Promise<Packed | undefined>;
  /** Puts the world right again. */
  readonly mend?: () => Promise<unknown>;
}

/** The world alone is made so: what is promoted is the release that staging has proven. */
const only = (work: Promise<unknown>): Promise<undefined> => work.then(() => undefined);

const soaked = () => stage.writeLog([next, 25]);

const refusals: readonly Refusal[] = [
  {
    name: 'of a commit that never ran on staging',
    reason: 'never-on-staging',
    says: /never ran in staging: it has no release there/,
    when: () => stage.pack(),
  },
  {
    name: 'that soaked too short',
    reason: 'not-soaked',
    says: /was healthy there for 2 h in a row, where understudy\.yml wants 24 h \(soak\)/,
    when: () => only(stage.writeLog([next, 2])),
    mend: soaked,
  },
  {
    name: 'whose log has a gap in the middle',
    reason: 'not-soaked',
    says: /was healthy there for .+ in a row, where understudy\.yml wants 24 h/,
    when: async () => {
      await soaked();
      await stage.ask(stage.staging, `sed -i 700,710d /var/lib/understudy/${app}/checks/*.jsonl`);
      return undefined;
    },
    mend: soaked,
  },
  {
    name: 'that staging reverted',
    reason: 'taken-back-on-staging',
    says: /came to staging, and has no receipt: it was taken back there, or never seen healthy/,
    when: async () => {
      const bad = await stage.pack();
      await stage.sicken(stage.staging, stage.version);
      expect(await stage.deploy(bad)).toMatchObject({ result: 'reverted' });
      return bad;
    },
    mend: soaked,
  },
  {
    name: 'with the receipt of another release',
    reason: 'bad-receipt',
    says: /\.json says commit [0-9a-f]{40}, not [0-9a-f]{40}\./,
    when: async () => {
      const [of] = await stage.keys(stateBucket, `receipts/${app}/staging/${first.commit}/`);
      const forged = JSON.parse(await stage.read(stateBucket, of ?? ''));
      return only(stage.put(stateBucket, forgedKey(), forged));
    },
    mend: () => stage.s3.send(new DeleteObjectCommand({ Bucket: stateBucket, Key: forgedKey() })),
  },
  {
    name: 'without a proof that a backup restores',
    reason: 'no-proof',
    says: /is not proven: no drill has brought one to level 5 yet/,
    when: async () => undefined,
  },
  {
    name: 'whose newest proof is too old',
    reason: 'no-proof',
    says: /the newest proof is 40 h old, where understudy\.yml wants one each 36 h \(proof\)/,
    when: () => only(stage.prove(40)),
  },
  {
    name: 'after a drill that found the backup bad',
    reason: 'no-proof',
    says: /the newest drill, at .+, found it bad/,
    when: () => only(stage.prove(2, 'backup-bad')),
    mend: () => stage.prove(1),
  },
  {
    name: 'while another run holds the lease',
    reason: 'lease-held',
    says: /The lease of production is held by attempt 1 of run 77 .+ That attempt is still running/,
    when: async () => {
      await stage.tellGitHub(77, 1, 'in_progress');
      return only(stage.holdLease(77));
    },
    mend: () => stage.tellGitHub(77, 1, 'completed'),
  },
  {
    name: 'whose bytes differ from what its name promises',
    reason: 'bad-digest',
    says: /has the SHA-256 [0-9a-f]{64}, not [0-9a-f]{64}/,
    when: () => only(stage.put(stateBucket, archiveKey(next), Buffer.from('other bytes'))),
    mend: () => stage.restoreArchive(archiveKey(next), next),
  },
  {
    name: 'of a tag that is not on the default branch',
    reason: 'tag-off-branch',
    says: /The tag v9\.0\.0 is commit [0-9a-f]{12}, which is not on main/,
    when: async () => {
      await git(stage.folder, 'checkout', '--quiet', '-b', 'side');
      await stage.pack();
      const commit = (await git(stage.folder, 'rev-parse', 'HEAD')).trim();
      await git(stage.folder, 'tag', 'v9.0.0');
      await git(stage.folder, 'checkout', '--quiet', 'main');
      return { ...next, commit, tag: 'v9.0.0' };
    },
  },
  {
    name: 'of a tag that was moved',
    reason: 'tag-moved',
    says: /is commit [0-9a-f]{12}, and was [0-9a-f]{12} when it was first seen here: it was moved/,
    when: async () => {
      await git(stage.folder, 'tag', '--force', first.tag, next.commit);
      return { ...next, tag: first.tag };
    },
    mend: () => git(stage.folder, 'tag', '--force', first.tag, first.commit),
  },
  {
    name: 'of a tag that was moved while its run waited',
    reason: 'tag-moved',
    says: /was [0-9a-f]{12} when it was pushed: it was moved/,
    when: async () => ({ ...next, commit: first.commit }),
  },
  {
    name: 'of a tag that anybody can move',
    reason: 'tag-unprotected',
    says: /no active ruleset restricts updates and deletions of it, and no reviewer must approve/,
    when: () => only(stage.unprotectTags(ruleset)),
  },
];

const archiveKey = ({ id }: Packed): string => `releases/${app}/staging/${id}.tar.gz`;
const forgedKey = (): string => `receipts/${app}/staging/${next.commit}/${next.id}/20991231T000000Z.json`;

describe('a promotion is refused, and nothing is changed,', () => {
  test.each(refusals.map((one) => [one.name, one] as const))(
    '%s',
    async (_, { reason, says, when, mend }) => {
      const packed = (await when()) ?? next;
      const since = stage.calls().length;
      const step = await stage.promote(packed);
      const told = toldBy(step);
      const changed = changes(since);
      await mend?.();
      expect(told).toMatchObject({ result: 'refused', reason });
      expect(told.sentence).toMatch(says);
      expect(step.errors).toHaveLength(1);
      expect(step.errors[0]?.message).toMatch(/ What to do: .+/);
      expect(changed.filter((call) => !isRecord(call))).toEqual([]);
      expect(await stage.ledger(step.outputs['operation'] ?? '')).toMatchObject([
        { result: 'refused', reason },
      ]);
      expect(await stage.live(stage.production)).toBe(first.id.slice(0, 12));
    },
    60_000,
  );
});

test('a plan looks at every gate, tells every step with its usual time, and writes nothing', async () => {
  const since = stage.calls().length;
  const confirmed = { plan: 'true', tag: next.tag, confirm: next.tag };
  const step = await stage.promote(next, {
    inputs: confirmed,
    env: { GITHUB_EVENT_NAME: 'workflow_dispatch', GITHUB_REF: 'refs/heads/main' },
  });
  expect(toldBy(step)).toMatchObject({ result: 'unchanged', reason: 'planned' });
  expect(changes(since)).toEqual([]);
  expect(step.summary).toMatch(/\| deploy \| to i-\w+ \| \d/);
  expect(step.log).toContain('a person confirmed it by its name');
  await stage.protectTags();
}, 60_000);

describe('a runner that dies', () => {
  let run: number;
  let attempt = 0;
  let before: { images: number; backups: number };

  beforeAll(async () => {
    run = stage.nextRun();
    await stage.prove(1);
    await stage.publish(next.tag, 'What is new.');
    before = { images: (await stage.images()).length, backups: (await stage.backups()).length };
  });

  test.each(halfWay.map((death) => [death.name, death] as const))(
    '%s leaves nothing twice',
    async (_, death) => {
      attempt += 1;
      const killed = await stage.promote(next, { env: dyingAt(death), run, attempt });
      expect(killed.code).toBe(-1);
      await stage.idle();
      expect((await stage.backups()).length).toBeLessThanOrEqual(before.backups + 1);
      expect((await stage.images()).length).toBeLessThanOrEqual(before.images + 1);
    },
    60_000,
  );

  test('is followed by an attempt that finds all done once, says so in the ledger, and gives the lease back', async () => {
    expect(await stage.lease()).toBe('held');
    const step = await stage.promote(next, { run, attempt: attempt + 1 });
    expect(toldBy(step)).toMatchObject({ result: 'unchanged', reason: 'already-live' });
    expect(await stage.live(stage.production)).toBe(next.id.slice(0, 12));
    expect(await stage.backups()).toHaveLength(before.backups + 1);
    expect(await stage.images()).toHaveLength(before.images + 1);
    expect(await stage.timesLive(next)).toBe(1);
    expect(await stage.lease()).toBe('released');
    expect(await stage.ledger(step.outputs['operation'] ?? '')).toMatchObject([
      { result: 'unchanged', release: next.id },
    ]);
    expect(await stage.notesOf(next.tag)).toMatch(/\*\*production: done\*\*/);
  }, 60_000);
});

test('the release before is refused, also where its proof still counts: a promotion never goes back', async () => {
  await stage.writeLog([first, 25], [next, 1]);
  expect(toldBy(await stage.promote(first))).toMatchObject({ result: 'refused', reason: 'not-descendant' });
}, 60_000);

test('a release that degrades while it is watched is taken back, and told so', async () => {
  const bad = await stage.soak(await stage.pack());
  const sick = stage.version;
  const main = await stage.start(bad, { run: stage.nextRun() });
  let over = false;
  const ended = main.ended.finally(() => {
    over = true;
  });
  while (!over && !main.log().includes('::group::Watch')) await new Promise((next) => setTimeout(next, 50));
  await stage.sicken(stage.production, sick);
  const step = await ended;
  expect(toldBy(step)).toMatchObject({ result: 'reverted', reason: 'degraded' });
  expect(toldBy(step).sentence).toContain('it does not answer its checks as promised');
  expect(await stage.live(stage.production)).toBe(next.id.slice(0, 12));
  expect(await stage.keys(goalBucket, `receipts/${app}/production/${bad.commit}/`)).toEqual([]);
}, 120_000);

test('all that was called is allowed by the policies that are shipped', async () => {
  const { account, region } = stage.cloud;
  const holdersOf = (environment: string, StateBucketName: string) => {
    const bucket = { StateBucketName, BackupBucketName: `${app}-${environment}-backups` };
    const refs = { Repository: `acme/${app}`, RepositoryId: '1', WorkflowRefs: [], PromotesTo: 'production' };
    const parameters = { App: app, Environment: environment, ...refs, ...bucket };
    return [
      ...holdersIn({ account, region, parameters }),
      ...holdersIn({ account, region, parameters }, 'images'),
    ];
  };
  const holders = new Map([...holdersOf('staging', stateBucket), ...holdersOf('production', goalBucket)]);
  const own = [`role/${app}-production-ci`, `role/${app}-staging-promoter`];
  const calls = stage.calls().filter(({ principal }) => own.includes(principal));
  expect(new Set(calls.map(({ principal }) => principal))).toEqual(new Set(own));
  expect(await findDeniedCalls(calls, attach(holders))).toEqual([]);
});
