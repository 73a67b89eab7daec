import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseConfig } from '../../src/config/parse.ts';
import { expectStart, runWorkflow, type Trigger } from '../runner/runner.ts';
import { callerRepository } from './caller.ts';
import { openCloud } from './cloud.ts';
import { ensureHosts } from './enrol.ts';
import { provision } from './provision.ts';
import { say } from './say.ts';

/** Where an event is played: a repository of an app, on one environment of a cloud. */
export interface Occasion {
  readonly name: string;
  /** Folder with an understudy.yml. */
  readonly repo: string;
  readonly environment: string;
}

/** Plays a push to main of a repository, or of one of its tags. */
export async function playPush(occasion: Occasion, tag?: string): Promise<number> {
  const ref = tag === undefined ? 'refs/heads/main' : `refs/tags/${tag}`;
  return play(occasion, { event: 'push', ref });
}

/** Plays a person's press on "Run workflow", on main. Each pair is `key=value`. */
export async function playDispatch(
  occasion: Occasion,
  workflow: string,
  pairs: readonly string[],
): Promise<number> {
  const inputs = Object.fromEntries(pairs.map(readPair));
  return play(occasion, { event: 'workflow_dispatch', ref: 'refs/heads/main', workflow, inputs });
}

function readPair(pair: string): [key: string, value: string] {
  const at = pair.indexOf('=');
  if (at > 0) return [pair.slice(0, at), pair.slice(at + 1)];
  throw new Error(`an input is key=value, for example environment=staging, not "${pair}"`);
}

/** Plays the moment at which a workflow's schedule comes round, on main. */
export async function playSchedule(occasion: Occasion, workflow: string): Promise<number> {
  return play(occasion, { event: 'schedule', ref: 'refs/heads/main', workflow });
}

type Event = Pick<Trigger, 'event' | 'ref' | 'workflow' | 'inputs'>;

/** A tag promotes, and whoever promotes needs where it comes from: every environment that understudy.yml names. */
function environmentsOf(folder: string, environment: string, ref: string): readonly string[] {
  if (environment === 'staging' && !ref.startsWith('refs/tags/')) return [environment];
  const file = join(folder, 'understudy.yml');
  return [...parseConfig(readFileSync(file, 'utf8'), file).environments.keys()];
}

/** Plays an event of a repository, on an account that is prepared for it; 1 when the run did not succeed. */
async function play({ name, repo, environment }: Occasion, event: Event): Promise<number> {
  const cloud = openCloud(name);
  const tell = (step: string): void => say(`  ${step}`);
  const file = join(resolve(repo), 'understudy.yml');
  if (!existsSync(file)) {
    throw new Error(`there is no ${file}: --repo is the folder of an app, for example examples/isso`);
  }
  const { app } = parseConfig(readFileSync(file, 'utf8'), file);
  const folder = await callerRepository(cloud, app, resolve(repo), { ref: event.ref, tell });
  const repository = `acme/${app}`;
  // Before anything is prepared: what starts no run needs no account.
  await expectStart({ ...event, repository, folder });
  for (const each of environmentsOf(folder, environment, event.ref)) {
    const place = { app, environment: each, folder };
    await provision(cloud, { ...place, repository, onStep: tell });
    const hosts = await ensureHosts(cloud, place);
    say(`  enrolled for ${each}: ${hosts.join(', ')}`);
  }
  const ended = await runWorkflow(cloud, { ...event, repository, folder, onLine: say });
  for (const job of ended.jobs) if (job.summary !== '') say(`\n${job.summary}`);
  say(`${ended.conclusion} in ${ended.seconds.toFixed(1)} s`);
  return ended.conclusion === 'success' ? 0 : 1;
}
