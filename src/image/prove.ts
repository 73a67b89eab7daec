import { CreateTagsCommand } from '@aws-sdk/client-ec2';
import { OperationError, sentenceOf } from '../action/errors.ts';
import { inSeconds, say } from '../action/log.ts';
import { isNamed } from '../aws/errors.ts';
import type { HostState } from '../command/result-line.ts';
import type { Config } from '../config/config.ts';
import { withDrillHost } from '../drill/launch.ts';
import { probe } from '../operation/command.ts';
import { enrol } from '../operation/enrol.ts';
import type { Operation, Services } from '../operation/operation.ts';
import { golden, type ImageFacts } from './image.ts';

/** The environment of an instance that is there for a proof alone: nothing of the app gets out of it. */
const environment = 'drill';

interface Wish {
  readonly services: Services;
  readonly operation: Operation;
  /** The backup bucket, which the template of the drill host names. */
  readonly backups: string;
  readonly image: ImageFacts;
  readonly config: Pick<Config, 'service' | 'workers'>;
  readonly signal: AbortSignal;
}

/** What was seen of the app on an instance that was booted from an image. */
export interface Proof {
  readonly instance: string;
  /** The first 12 digits. */
  readonly release: string;
  /** Of all tables of its databases. */
  readonly rows: number;
  /** From the first call until Systems Manager had its agent, and from there until the app was healthy. */
  readonly launchMs: number;
  readonly healthyMs: number;
}

/**
 * Boots an instance from an image, cut off from everything, and sees whether the app is healthy there, on databases that come
 * up as after a power cut. Then the image is golden, and tagged so. The instance is gone afterwards.
 *
 * @throws OperationError image-unproven
 */
export function proveImage(wish: Wish): Promise<Proof> {
  const { services, operation, backups, image, signal } = wish;
  const drill = { services, operation, backups, image: image.id, signal, purpose: 'image' };
  return withDrillHost(drill, async (launch) => {
    const { instance, launchMs } = await trying(wish, launch);
    const started = services.now();
    await trying(wish, () => enrolForProof(wish, instance));
    const proof = await judge(wish, instance);
    const healthyMs = services.now() - started;
    await tag(wish);
    say(
      `${image.id} is golden: release ${proof.release} was healthy on ${instance} after ${inSeconds(healthyMs)}, on databases of ${proof.rows} rows`,
    );
    return { ...proof, instance, launchMs, healthyMs };
  });
}

/** What goes wrong before the app could be asked says nothing about the image. */
async function trying<Value>({ image, signal }: Wish, work: () => Promise<Value>): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    signal.throwIfAborted();
    throw unproven(image, 'unknown', `Whether it boots could not be tried: ${sentenceOf(error)}`, error);
  }
}

async function enrolForProof({ services, operation, config, signal }: Wish, instance: string): Promise<void> {
  const host = { services, operation, instance, environment, signal };
  const { service, workers } = config;
  await enrol(host, { id: `${operation.id}-prepare`, service, workers });
}

async function judge({ services, operation, image, config, signal }: Wish, instance: string) {
  const limitMs = 15_000 + 2 * config.service.startTimeoutMs;
  const seen = await awaitHealthy({
    ...{ services, instance, limitMs, signal },
    operation: { ...operation, environment },
  });
  const { healthy, live = '', rows } = seen ?? {};
  const failed = (why: string): OperationError => unproven(image, 'failed', `On ${instance}, ${why}`);
  if (!seen) throw unproven(image, 'unknown', `${instance} does not tell how the app is there.`);
  if (!healthy) throw failed(`${live || 'no release'} was live and not healthy after ${inSeconds(limitMs)}.`);
  if (image.release !== '' && live !== image.release)
    throw failed(`release ${live} came up, and not ${image.release}, of which the image was made.`);
  if (rows === undefined || rows === null)
    throw failed('the app answered its checks, and its databases cannot be read.');
  return { release: live, rows };
}

function unproven(
  { id }: ImageFacts,
  outcome: 'failed' | 'unknown',
  happened: string,
  cause?: unknown,
): OperationError {
  return new OperationError({
    ...{ reason: 'image-unproven', outcome, happened: `${id} is not golden. ${happened}`, cause },
    stateNow: 'The instance that it was made of was not touched.',
    todo: `Mend what this names; then prove it again: image: ${id}.`,
  });
}

async function tag({ services, image }: Wish): Promise<void> {
  const Tags = [{ Key: golden.key, Value: golden.value }];
  await services.clients.ec2.send(new CreateTagsCommand({ Resources: [image.id], Tags }));
}

interface Patient {
  readonly services: Services;
  readonly operation: Operation;
  readonly instance: string;
  readonly limitMs: number;
  readonly signal: AbortSignal;
}

/** What an instance says of itself once its app is healthy, or last of all; undefined where it never answered. */
export async function awaitHealthy(patient: Patient): Promise<HostState | undefined> {
  const { services, limitMs, signal } = patient;
  let seen: HostState | undefined;
  for (const started = services.now(); ; await services.sleep(2000, signal)) {
    seen = (await askState(patient)) ?? seen;
    if (seen?.healthy || services.now() - started > limitMs) return seen;
  }
}

async function askState({ services, operation, instance, signal }: Patient): Promise<HostState | undefined> {
  try {
    return (await probe(services, operation, [instance], { ask: 'kept' }, signal)).get(instance);
  } catch (error) {
    // It is down for the moment.
    if (isNamed(error, 'InvalidInstanceId')) return undefined;
    throw error;
  }
}
