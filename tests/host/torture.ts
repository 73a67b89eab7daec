import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { type Manner, nameOf } from '../../rehearsal/torture/journal.ts';
import { onceEach } from '../../rehearsal/torture/matrix.ts';
import { play, raiseStage, replace, type Stage } from '../../rehearsal/torture/trial.ts';
import { lowerHost, raiseHost } from './ground.ts';

/** Tests of half of the faults, each once; `npm run torture` plays all of them at every step, by both. */
export function testFaults(manner: Manner): void {
  jest.setTimeout(240_000);
  let stage: Stage;

  beforeAll(async () => {
    const { cloud, host } = await raiseHost();
    stage = await raiseStage(cloud, manner, host);
  }, 120_000);

  afterAll(lowerHost, 60_000);

  const places = onceEach(manner).map(
    ({ fault, point }) => [fault.name, nameOf(point), fault, point] as const,
  );

  test.each(places)('%s, at %s: healthy, once old or once new, nothing lost', async (_, __, fault, point) => {
    const { problems, requests } = await play(stage, fault, point);
    if (problems.length > 0) await replace(stage);
    expect(problems).toEqual([]);
    expect(requests).toBeGreaterThan(10);
  });
}
