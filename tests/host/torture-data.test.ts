// Some of the faults of backups and restores; `npm run torture -- backup` and `-- restore` play all, at every step.
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { dataSample } from '../../rehearsal/torture/data/matrix.ts';
import { type DataStage, playData, raiseDataStage } from '../../rehearsal/torture/data/trial.ts';
import { nameOf } from '../../rehearsal/torture/journal.ts';
import { lowerHost, raiseHost } from './ground.ts';

jest.setTimeout(240_000);

let stage: DataStage;

beforeAll(async () => {
  const { cloud, host } = await raiseHost();
  stage = await raiseDataStage(cloud, host);
}, 120_000);

afterAll(lowerHost, 60_000);

test.each(
  dataSample.map(
    ({ operation, fault, point }) => [operation, fault.name, nameOf(point), fault, point] as const,
  ),
)(
  'a %s: %s, at %s: told as it is, nothing lost, the next backup good',
  async (operation, _, __, fault, point) => {
    const { problems } = await playData(stage, operation, fault, point);
    if (problems.length > 0) stage = await raiseDataStage(stage.cloud);
    expect(problems).toEqual([]);
  },
);
