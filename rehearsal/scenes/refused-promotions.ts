import assert from 'node:assert/strict';
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { git } from '../cloud/caller.ts';
import { tellRun } from '../cloud/runs.ts';
import { onProduction, type Production } from './production.ts';
import type { Scene } from './scene.ts';
import { jobOf } from './verdict.ts';

interface Refusal {
  readonly what: string;
  readonly reason: string;
  readonly says: RegExp;
  /** Makes it so; gives the tag that is pushed, and what puts it right again. */
  readonly make: (production: Production) => Promise<{ tag: string; mend?: () => Promise<unknown> }>;
}

const refusals: readonly Refusal[] = [
  {
    what: 'that never ran on staging',
    reason: 'never-on-staging',
    says: /never ran in staging/,
    async make(production) {
      await change(production, 'never');
      await production.tag('v2.0.0');
      return { tag: 'v2.0.0' };
    },
  },
  {
    what: 'that soaked too short',
    reason: 'not-soaked',
    says: /was healthy there for .+ in a row, where understudy\.yml wants 20\.0 s \(soak\)|was never seen healthy/,
    async make(production) {
      const { staging } = production;
      await staging.push();
      await production.tag('v2.1.0');
      return { tag: 'v2.1.0', mend: () => production.soak() };
    },
  },
  {
    what: 'that staging reverted',
    reason: 'taken-back-on-staging',
    says: /came to staging, and has no receipt/,
    async make(production) {
      const { repository } = production.staging;
      const before = await repository.read('app.py');
      await repository.edit('app.py', (text) => text.replace('"200 OK" if', '"500 Error" if'));
      await repository.commit('A release that is sick');
      assert.equal((await production.staging.push()).conclusion, 'failure');
      await production.tag('v2.2.0');
      await repository.write('app.py', before);
      await repository.commit('Take it back');
      return { tag: 'v2.2.0' };
    },
  },
  {
    what: 'without a young proof that a backup restores',
    reason: 'no-proof',
    says: /the newest proof is 40 h old, where understudy\.yml wants one each 36 h \(proof\)/,
    async make(production) {
      const { s3 } = production.staging.account;
      const Bucket = `${production.staging.app}-production-backups`;
      const keys = await production.keys('backups', 'drills/');
      const newest = { Bucket, Key: keys.at(-1) ?? '' };
      const { Body } = await s3.send(new GetObjectCommand(newest));
      const drill = JSON.parse((await Body?.transformToString()) ?? '');
      const drilled = new Date(Date.now() - 40 * 3_600_000).toISOString();
      for (const Key of keys) await s3.send(new DeleteObjectCommand({ Bucket, Key }));
      const put = (of: object) => s3.send(new PutObjectCommand({ ...newest, Body: JSON.stringify(of) }));
      await put({ ...drill, drilled });
      return { tag: 'v2.1.0', mend: () => put(drill) };
    },
  },
  {
    what: 'while another run holds the lease',
    reason: 'lease-held',
    says: /The lease of production is held by attempt 1 of run 77 .+ That attempt is still running/,
    async make(production) {
      const { staging } = production;
      const place = {
        Bucket: `${staging.app}-production-understudy`,
        Key: `leases/${staging.app}/production.json`,
      };
      const before = await production.read(place.Key);
      const { cloud, repository } = staging;
      const tell = (status: string) => tellRun(cloud, { repository: repository.name, id: 77, status });
      const put = (Body: string) => staging.account.s3.send(new PutObjectCommand({ ...place, Body }));
      const expires = new Date(Date.now() + 600_000).toISOString();
      const holder = {
        repository: staging.repository.name,
        run: '77',
        attempt: 1,
        operation: 'of-run-77-held',
      };
      await tell('in_progress');
      await put(JSON.stringify({ ...JSON.parse(before), ...holder, state: 'held', expires, nonce: 'n' }));
      return { tag: 'v2.1.0', mend: () => put(before) };
    },
  },
  {
    what: 'whose bytes differ',
    reason: 'bad-digest',
    says: /has the SHA-256 [0-9a-f]{64}, not [0-9a-f]{64}/,
    async make({ staging }) {
      const { account, app, host } = staging;
      const Bucket = `${app}-understudy`;
      const live = await host.liveRelease();
      const keys = await account.storedReleases();
      const Key = keys.find((key) => key.includes(`/staging/${live}`)) ?? '';
      const { Body } = await account.s3.send(new GetObjectCommand({ Bucket, Key }));
      const bytes = Buffer.from((await Body?.transformToByteArray()) ?? []);
      const put = (body: Buffer) => account.s3.send(new PutObjectCommand({ Bucket, Key, Body: body }));
      await put(Buffer.concat([bytes, Buffer.from('more')]));
      return { tag: 'v2.1.0', mend: () => put(bytes) };
    },
  },
  {
    what: 'whose tag is not on the default branch',
    reason: 'tag-off-branch',
    says: /The tag v2\.3\.0 is commit [0-9a-f]{12}, which is not on main/,
    async make(production) {
      const { folder } = production.staging.repository;
      await git(folder, 'checkout', '--quiet', '-b', 'side');
      await change(production, 'aside');
      await production.tag('v2.3.0');
      await git(folder, 'checkout', '--quiet', 'main');
      return { tag: 'v2.3.0' };
    },
  },
  {
    what: 'whose tag was moved',
    reason: 'tag-moved',
    says: /is commit [0-9a-f]{12}, and was [0-9a-f]{12} when it was first seen here/,
    async make(production) {
      const { folder } = production.staging.repository;
      const was = (await git(folder, 'rev-parse', 'v1.0.0')).trim();
      await production.tag('v1.0.0', 'v2.1.0');
      return { tag: 'v1.0.0', mend: () => production.tag('v1.0.0', was) };
    },
  },
];

/** Each promotion that must not be is refused with its own sentence, and nothing is changed. */
export const refusedPromotions: Scene = {
  key: 'refused-promotions',
  name: 'Refused promotions: eight that must not be, each with its sentence, and nothing changed',
  roles: ['market'],
  play: ({ market, say }) =>
    onProduction(market, say, async (production) => {
      await production.ensureProven();
      const live = await production.host.liveRelease();
      const invocation = await production.host.liveInvocation();
      const summaries: string[] = [];
      for (const { what, reason, says, make } of refusals) {
        say(`a promotion ${what}`);
        const { tag, mend } = await make(production);
        const { run, result } = await production.promote(tag);
        await mend?.();
        assert.deepEqual([result.result, result.reason], ['refused', reason], `${what}: ${result.sentence}`);
        assert.match(result.sentence, says);
        assert.equal(await production.host.liveRelease(), live);
        summaries.push(jobOf(run, 'promote').summary);
      }
      assert.equal(await production.host.liveInvocation(), invocation, 'production was restarted');
      const note = `${refusals.length} refusals, each with its sentence; production was not touched`;
      return {
        ...{ requests: 0, lost: 0, worstLatencyMs: null, apiCalls: 0 },
        summary: summaries.join('\n'),
        note,
      };
    }),
};

/** Commits something that no release had before. */
async function change({ staging }: Production, what: string): Promise<void> {
  await staging.repository.write('NOTE', `${what}\n`);
  await staging.repository.commit(`Note: ${what}`);
}
