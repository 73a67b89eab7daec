import { DescribeSnapshotsCommand } from '@aws-sdk/client-ec2';
import { OperationError } from '../action/errors.ts';
import { inSpan, say } from '../action/log.ts';
import { jitter } from '../aws/time.ts';
import { findImage, type ImageFacts, type ImageServices } from './image.ts';

/** Right after it was asked for, EC2 may not know an image yet. */
const unseenMs = 60_000;
const firstWaitMs = 1_000;
const longestWaitMs = 60_000;

/**
 * Follows an image until it is available, however long that takes: a large one takes an hour, and only the job's own time
 * limit ends the wait. `onProgress` is told whole percents of its snapshots, each once.
 *
 * @throws OperationError image-failed for every other end of it
 */
export async function awaitImage(
  services: ImageServices,
  id: string,
  onProgress: (percent: number) => void = (percent) => say(`${id}  ${percent} %`),
  signal?: AbortSignal,
): Promise<ImageFacts> {
  const { sleep, now } = services;
  const started = now();
  let seen = false;
  let told = -1;
  for (let wait = firstWaitMs; ; wait = Math.min(wait * 1.3, longestWaitMs)) {
    const found = await findImage(services, 'image-id', id);
    if (found?.state === 'available') return found;
    if (found ? !isOnItsWay(found) : seen || now() - started > unseenMs)
      throw ended(id, found, now() - started);
    seen ||= found !== undefined;
    const percent = found ? await progressOf(services, found) : 0;
    if (percent !== told) onProgress(percent);
    told = percent;
    await sleep(jitter(wait), signal);
  }
}

const isOnItsWay = ({ state }: ImageFacts): boolean => state === 'pending' || state === 'transient';

/** How far its snapshots are, a large disk counting more than a small one. */
async function progressOf({ clients }: ImageServices, { snapshots }: ImageFacts): Promise<number> {
  if (snapshots.length === 0) return 0;
  const { Snapshots = [] } = await clients.ec2.send(
    new DescribeSnapshotsCommand({ Filters: [{ Name: 'snapshot-id', Values: [...snapshots] }] }),
  );
  const sizes = Snapshots.map(({ VolumeSize = 1, Progress }) => ({
    size: VolumeSize,
    done: (VolumeSize * (Number.parseFloat(Progress ?? '') || 0)) / 100,
  }));
  const whole = sizes.reduce((sum, { size }) => sum + size, 0);
  const done = sizes.reduce((sum, each) => sum + each.done, 0);
  return whole === 0 ? 0 : Math.floor((100 * done) / whole);
}

const meanings: Readonly<Record<string, string>> = {
  failed: 'EC2 could not make it',
  error: 'EC2 met an error with it',
  invalid: 'EC2 calls it invalid',
  deregistered: 'somebody deregistered it meanwhile',
  disabled: 'somebody disabled it meanwhile',
};

function ended(id: string, found: ImageFacts | undefined, ms: number): OperationError {
  const state = found?.state ?? 'gone';
  const gone = 'EC2 does not know it: somebody deregistered it, or it was never made';
  const meaning = found ? (meanings[state] ?? `EC2 says a word that is not known here, ${state}`) : gone;
  const why = found?.why ? `: ${found.why}` : '';
  return new OperationError({
    ...{ reason: 'image-failed', outcome: found && !(state in meanings) ? 'unknown' : 'failed' },
    happened: `The image ${id} is ${state} after ${inSpan(ms)}: ${meaning}${why}.`,
    stateNow: 'The instance was not changed, and there is no image to go back to.',
    todo: 'Run the job again: it removes what is left of this image, and makes it anew.',
  });
}
