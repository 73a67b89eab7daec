import * as z from 'zod/mini';
import { sentenceOf } from '../action/errors.ts';
import { say } from '../action/log.ts';
import type { Bucket } from '../aws/bucket.ts';
import type { Manifest } from '../backup/manifest.ts';
import { putRequest, restoreSeconds } from '../backup/request.ts';
import type { Config } from '../config/config.ts';
import type { LaunchedHost } from '../instance/host-stack.ts';
import { enrol } from '../operation/enrol.ts';
import type { Operation, Services } from '../operation/operation.ts';
import { sendToOne } from '../operation/send-to-one.ts';
import type { Told } from '../operation/summary.ts';
import type { Unpack, Unpacked } from './climb.ts';
import type { Phase } from './ladder.ts';
import { couldNotRun, type Hindrance, readProof } from './proof.ts';

/** The environment of every drill host, which no environment of understudy.yml may be called. */
const environment = 'drill';

/** What a drill host restores with. */
export interface Stage {
  readonly services: Services;
  /** The drill's. */
  readonly operation: Operation;
  /** The backup bucket. */
  readonly backups: Bucket;
  readonly config: Pick<Config, 'service' | 'workers'>;
  /** What `rollout.timeout` says of the environment, in ms. */
  readonly limitMs: number | undefined;
  /** Whether log lines and answers of the app may be told. */
  readonly excerpts: 'on' | 'off';
  readonly launch: () => Promise<LaunchedHost>;
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
  const part = { ...scene.operation, environment, id: idOf(scene) };
  const parts = ['databases', 'files', 'code'] as const;
  await putRequest(scene.services, part, { bucket: scene.backups.name, key, manifest, stored, parts });
  const timeout = restoreSeconds(manifest, scene.config.service, scene.limitMs);
  const told = await sendToOne(
    { ...scene, environment },
    {
      ...{ document: 'restore', id: idOf(scene), timeout },
      parameters: { fence: 'none', excerpts: scene.excerpts, mode, control: 'on' },
      checks: mode === 'restore' ? release.checks : [],
    },
  );
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

async function prepare(scene: Scene, { service, workers }: Release): Promise<void> {
  const { config } = scene;
  await enrol(
    { ...scene, environment },
    { id: idOf(scene, '-prepare'), service: service ?? config.service, workers: workers ?? config.workers },
  );
}
