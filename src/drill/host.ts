import * as z from 'zod/mini';
import { OperationError, sentenceOf } from '../action/errors.ts';
import { say } from '../action/log.ts';
import { succeeded } from '../action/result.ts';
import { type Bucket, toJson } from '../aws/bucket.ts';
import { presignRead } from '../aws/presign.ts';
import { type Manifest, promisedBy, totalsOf } from '../backup/manifest.ts';
import { prefixOf } from '../backup/place.ts';
import type { Config } from '../config/config.ts';
import type { DocumentName } from '../document/parameters.ts';
import { judge } from '../operation/judge.ts';
import { connect, type Operation, type Services, type Work } from '../operation/operation.ts';
import { sendToFleet } from '../operation/send.ts';
import type { Told } from '../operation/summary.ts';
import type { Unpack, Unpacked } from './climb.ts';
import type { Phase } from './ladder.ts';
import type { DrillHost } from './launch.ts';
import { couldNotRun, type Hindrance, readProof } from './proof.ts';

/** The environment of every drill host, which no environment of understudy.yml may be called. */
const environment = 'drill';
const mostSeconds = 3600;
const prepareSeconds = 300;

/** A host that falls silent is not waited for as long as one that is at work: 4 MB of data a second are slow. */
function secondsFor(manifest: Manifest, { service }: Stage['config']): number {
  const data = totalsOf(manifest).raw / 4_000_000;
  return Math.min(mostSeconds, Math.ceil(600 + data + (2 * service.startTimeoutMs) / 1000));
}

/** What a drill host restores with. */
export interface Stage {
  readonly services: Services;
  /** The drill's. */
  readonly operation: Operation;
  /** The backup bucket. */
  readonly backups: Bucket;
  readonly config: Pick<Config, 'service' | 'workers'>;
  /** Whether log lines and answers of the app may be told. */
  readonly excerpts: 'on' | 'off';
  readonly launch: () => Promise<DrillHost>;
  readonly signal: AbortSignal;
  /** Told what the host said of each backup. */
  readonly onTold: (told: Told) => void;
}

/**
 * Levels 2 to 4, 6 and 7 on an instance of the drill's own, by the script that an emergency restores with. The runner sees
 * verdicts and counts; the host, which may read no backup, gets addresses of the objects of this one, for an hour.
 */
export function restoreOnHost(stage: Stage): Unpack {
  let tries = 0;
  return async (key, manifest, upTo) => {
    const started = performance.now();
    tries += 1;
    try {
      const host = await stage.launch();
      const launched: Phase[] = tries === 1 ? [{ name: 'launch', ms: host.launchMs }] : [];
      const scene = { ...stage, instance: host.instance, tries, launched };
      return await restoreOne(scene, { key, manifest, upTo });
    } catch (error) {
      stage.signal.throwIfAborted();
      return couldNotRun(sentenceOf(error), performance.now() - started);
    }
  };
}

interface Scene extends Omit<Stage, 'launch'> {
  readonly instance: string;
  /** Which try of the drill this is: each has an operation of its own. */
  readonly tries: number;
  readonly launched: readonly Phase[];
}

interface Asked {
  readonly key: string;
  readonly manifest: Manifest;
  readonly upTo: number;
}

async function restoreOne(scene: Scene, { key, manifest, upTo }: Asked): Promise<Unpacked> {
  const { instance, launched } = scene;
  const stored = JSON.parse((await scene.backups.read(key))?.bytes.toString('utf8') ?? '{}') as unknown;
  const release = describeRelease(stored, manifest);
  const hindrance = upTo > 4 ? release.hindrance : undefined;
  const mode = upTo > 4 && hindrance === undefined ? 'restore' : 'verify';
  const started = performance.now();
  say(`prepares ${instance}`);
  await prepare(scene, release);
  const prepared: Phase = { name: 'prepare', ms: Math.round(performance.now() - started) };
  say(`${mode === 'restore' ? 'restores' : 'verifies'} on ${instance}`);
  await putRequest(scene, key, manifest, stored);
  const told = await send(scene, {
    ...{ document: 'restore', id: idOf(scene), timeout: secondsFor(manifest, scene.config) },
    parameters: { fence: 'none', excerpts: scene.excerpts, mode, control: 'on' },
    checks: mode === 'restore' ? release.checks : [],
  });
  scene.onTold(told);
  const proof = readProof(told, { upTo, before: [...launched, prepared], ...(hindrance && { hindrance }) });
  for (const { level, verdict, evidence } of proof.levels) say(`  level ${level}  ${verdict}: ${evidence}`);
  return proof;
}

const idOf = ({ operation, tries }: Scene, what = ''): string => `${operation.id}${what}-${tries}`;

/** What a release says of itself, as far as its host must know it. */
const described = z.object({
  service: z.object({
    ...{ listen: z.int(), user: z.string(), notify: z.boolean() },
    switch: z.enum(['pause', 'overlap', 'restart']),
  }),
  workers: z.prefault(z.array(z.string()), []),
  checks: z.prefault(z.array(z.object({ path: z.string() })), []),
});

interface Release extends Partial<Omit<z.infer<typeof described>, 'checks'>> {
  readonly checks: readonly { readonly path: string }[];
  /** Why it cannot come up from the backup alone. */
  readonly hindrance?: Hindrance;
}

/** By the backup's own word; understudy.yml may have changed since. */
function describeRelease(stored: unknown, { code }: Manifest): Release {
  const parsed = z.safeParse(z.object({ release_description: described }), stored);
  if (code === null) return { checks: [], hindrance: 'it holds no code: nothing could run on its data' };
  if (!parsed.success)
    return { checks: [], hindrance: 'it does not say how the release that it holds is run' };
  return parsed.data.release_description;
}

/** @throws OperationError when the instance cannot be made a host of the app */
async function prepare(scene: Scene, release: Release): Promise<void> {
  const { operation, config } = scene;
  const { listen, user, notify, switch: manner } = release.service ?? config.service;
  const workers = release.workers ?? config.workers;
  const { instance, reason, result, sentence, todo } = await send(scene, {
    ...{ document: 'prepare-host', id: idOf(scene, '-prepare'), timeout: prepareSeconds, checks: [] },
    parameters: {
      ...{ user, port: String(listen), switch: manner, notify: String(notify) },
      workers: workers.join(',') || 'none',
      ...{ bucket: operation.bucket, region: operation.region },
    },
  });
  if (succeeded({ result })) return;
  const happened = `The drill host could not be prepared: ${sentenceOf(sentence)}`;
  throw new OperationError({ reason, outcome: result, happened, instance, stateNow: '', todo });
}

/** Signed by a session of its own: no address outlives the session, and that of the drill may be nearly over. */
async function putRequest(scene: Scene, key: string, manifest: Manifest, stored: unknown): Promise<void> {
  const { services, operation, backups } = scene;
  const { s3 } = connect(operation).clients;
  const urls = await Promise.all(
    promisedBy(manifest).map(async ({ object }): Promise<[string, string]> => {
      const wanted = { bucket: backups.name, key: prefixOf(key) + object, seconds: mostSeconds };
      return [object, await presignRead(s3, wanted)];
    }),
  );
  const parts = { databases: manifest.databases.length > 0, files: manifest.files, code: manifest.code };
  const request = {
    ...{ schema: 1, manifest: stored, manifest_key: key, urls: Object.fromEntries(urls) },
    with: Object.entries(parts).flatMap(([part, there]) => (there ? [part] : [])),
  };
  const name = `requests/${operation.app}/${environment}/${idOf(scene)}.json`;
  await services.bucket.create(name, toJson(request));
}

interface Command {
  readonly document: DocumentName;
  readonly id: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly timeout: number;
  readonly checks: Work['checks'];
}

/** Sends a document to the drill host, and gives what it came to, as any operation on a fleet of one. */
async function send(
  { services, operation, instance, signal }: Scene,
  { document, id, parameters, timeout, checks }: Command,
): Promise<Told> {
  const work: Work = {
    ...{ services, instances: [instance], checks },
    operation: { ...operation, environment, document, id, rollout: { concurrency: 1, errors: 0 } },
  };
  const order = { parameters, delivery: 60, timeout };
  const unleased = { signal, onSent: () => {}, requireTime: () => {} };
  const outcomes = await sendToFleet(work, order, unleased);
  const report = { title: '', started: 0, facts: [], instances: [], known: {} };
  const [told] = (await judge(work, outcomes, report, signal)).instances;
  if (!told) throw new Error(`Bug: nothing is known of ${instance}.`);
  return told;
}
