import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { git } from '../cloud/caller.ts';
import { type Cloud, describeHost } from '../cloud/cloud.ts';
import { ensureHosts } from '../cloud/enrol.ts';
import { provision } from '../cloud/provision.ts';
import { repositoryFolder } from '../ground/places.ts';
import { gather } from '../load/crowd.ts';
import type { LoadReport } from '../load/load.ts';
import { type Run, runWorkflow } from '../runner/runner.ts';
import { Host } from './host.ts';
import type { CallerRepository } from './repository.ts';
import type { Staging } from './staging.ts';
import { type ActionResult, assertConclusion, resultOf } from './verdict.ts';

const REQUESTS_A_SECOND = 30;
/** Seconds between two lines of the log of checks on the staging host: nobody waits for minutes here. */
const BEAT = 10;
/** So many seconds of soak are wanted. */
const SOAK = 20;

/** A promotion as it was played. */
export interface Promotion {
  readonly run: Run;
  readonly result: ActionResult;
}

/** The production environment beside a staging one: its host, and the way there by tags. */
export class Production {
  readonly staging: Staging;
  readonly host: Host;

  private constructor(staging: Staging, host: Host) {
    this.staging = staging;
    this.host = host;
  }

  /** Prepares the account and a host, has GitHub keep tags from being moved, and brings the first release there. */
  static async open(staging: Staging, say: (line: string) => void): Promise<Production> {
    const { cloud, app, repository } = staging;
    say('preparing production beside staging');
    for (const name of ['backup', 'verify-backup']) await writeForProduction(staging, name);
    await repository.commit('Back production up, and prove it');
    const place = { app, environment: 'production', folder: repository.folder };
    await provision(cloud, { ...place, repository: repository.name });
    const [id = ''] = await ensureHosts(cloud, place);
    const view = await describeHost(cloud, id);
    const production = new Production(staging, new Host(cloud, view, { app, port: 8080, stop: undefined }));
    await production.protectTags();
    await staging.host.ask('bash', '-c', `echo ${BEAT} >/etc/understudy/beat-seconds`);
    await staging.enrol();
    say('the first release soaks on staging, and is promoted');
    await production.release('v1.0.0');
    assertConclusion((await production.promote('v1.0.0')).run, 'success');
    return production;
  }

  /** Pushes what is committed, waits until it has soaked on staging, and tags it. */
  async release(tag: string): Promise<void> {
    assertConclusion(await this.staging.push(), 'success');
    await this.soak();
    await this.tag(tag);
  }

  async tag(tag: string, commit = 'HEAD'): Promise<void> {
    await git(this.staging.repository.folder, 'tag', '--force', tag, commit);
  }

  /** Waits until staging's own log tells of a soak that is long enough. */
  async soak(): Promise<void> {
    const { host, app } = this.staging;
    const live = await host.liveRelease();
    await host.until(`((
      $(jq --slurp '[.[] | select(.release == "${live}" and .ok) | .t] | if length == 0 then 0 else max - min end' \
        /var/lib/understudy/${app}/checks/*.jsonl) >= ${SOAK} ))`);
  }

  /** Plays the push of a tag, or a press on "Run workflow". */
  async promote(tag: string, inputs?: Readonly<Record<string, string>>): Promise<Promotion> {
    const run = await this.#run(`refs/tags/${tag}`, 'promote.yml', inputs);
    return { run, result: resultOf(run, 'promote') };
  }

  /** The same, while users of production keep asking. */
  async promoteUnderLoad(tag: string): Promise<Promotion & { load: LoadReport }> {
    const url = `http://${this.host.address}:8080`;
    const asks = [{ path: '/health', status: 200, type: 'application/json' }];
    const crowd = await gather(this.staging.cloud, { url, asks, rate: REQUESTS_A_SECOND });
    try {
      const promotion = await this.promote(tag);
      // Some come after it, too.
      await sleep(1_000);
      return { ...promotion, load: await crowd.leave() };
    } finally {
      await crowd.end();
    }
  }

  /** Backs production up, and proves that the backup restores: both by their workflows, unless it was done. */
  async ensureProven(): Promise<void> {
    if ((await this.keys('backups', 'drills/')).length > 0) return;
    const main = 'refs/heads/main';
    assertConclusion(await this.#run(main, 'backup-production.yml', {}), 'success');
    assertConclusion(await this.#run(main, 'verify-backup-production.yml', { level: '5' }), 'success');
  }

  #run(ref: string, workflow: string, inputs?: Readonly<Record<string, string>>): Promise<Run> {
    const { cloud, repository } = this.staging;
    const event = inputs === undefined ? 'push' : 'workflow_dispatch';
    return runWorkflow(cloud, {
      ...{ repository: repository.name, folder: repository.folder, ref, workflow, event },
      ...(inputs !== undefined && { inputs }),
    });
  }

  /** The keys of an object store of production's that begin so. */
  async keys(bucket: 'understudy' | 'backups', prefix: string): Promise<string[]> {
    const Bucket = `${this.staging.app}-production-${bucket}`;
    const asked = new ListObjectsV2Command({ Bucket, Prefix: prefix });
    const { Contents = [] } = await this.staging.account.s3.send(asked);
    return Contents.map(({ Key = '' }) => Key);
  }

  async read(Key: string): Promise<string> {
    const Bucket = `${this.staging.app}-production-understudy`;
    const { Body } = await this.staging.account.s3.send(new GetObjectCommand({ Bucket, Key }));
    return (await Body?.transformToString()) ?? '';
  }

  async protectTags(): Promise<void> {
    const { cloud, repository } = this.staging;
    const conditions = { ref_name: { include: ['refs/tags/v*'], exclude: [] } };
    const rules = [{ type: 'update' }, { type: 'deletion' }];
    const body = { name: 'versions', target: 'tag', enforcement: 'active', conditions, rules };
    const answer = await fetch(`${cloud.githubUrl}/repos/${repository.name}/rulesets`, {
      ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
      body: JSON.stringify(body),
    });
    assert.equal(answer.status, 201);
  }
}

/** Has an app promote: production in its understudy.yml, the promoter's role beside it, and the workflow of its tags. */
export async function addProduction(repository: CallerRepository, { account }: Cloud): Promise<void> {
  const { app } = repository;
  const role = (name: string): string => `arn:aws:iam::${account}:role/${app}-${name}`;
  await repository.edit('understudy.yml', (text) =>
    text.replace(
      /^service:/m,
      `    promoter-arn: ${role('staging-promoter')}
  production:
    bucket: ${app}-production-understudy
    backups: ${app}-production-backups
    role-arn: ${role('production-ci')}
    soak: ${SOAK}s # a day, for anybody who is not a scene
    bake: 15s
service:`,
    ),
  );
  const workflow = '.github/workflows/promote.yml';
  const text = await readFile(join(repositoryFolder, 'examples/isso', workflow), 'utf8');
  await repository.write(workflow, text.replaceAll('isso', app));
  await repository.commit('Promote by tags');
}

/** The same workflow for production, as a team would add it. */
async function writeForProduction({ repository, app }: Staging, name: string): Promise<void> {
  const text = await repository.read(`.github/workflows/${name}.yml`);
  const own = text
    .replace(`app: ${app}\n`, `app: ${app}\n      environment: production\n`)
    .replaceAll(`${app}-staging-`, `${app}-production-`);
  await repository.write(`.github/workflows/${name}-production.yml`, own);
}

const opened = new WeakMap<Staging, Promise<Production>>();

/** Plays on the production of a staging environment, which is opened for the first who comes. */
export async function onProduction<Value>(
  staging: Staging,
  say: (line: string) => void,
  play: (production: Production) => Promise<Value>,
): Promise<Value> {
  const production = opened.get(staging) ?? Production.open(staging, say);
  opened.set(staging, production);
  return play(await production);
}
