import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { repositoryFolder } from '../../../rehearsal/ground/places.ts';
import { eachStep, operations } from '../../../rehearsal/torture/data/journal.ts';
import { nameOf } from '../../../rehearsal/torture/journal.ts';
import { placesOf } from '../../../rehearsal/torture/matrix.ts';
import { tellTorture } from '../../../rehearsal/torture/table.ts';
import type { Row } from '../../../rehearsal/torture/trial.ts';

const places = [...placesOf('pause'), ...placesOf('overlap')];

function row(index: number, change: Partial<Row> = {}): Row {
  const place = places[index];
  if (!place) throw new Error(`there is no place ${index}`);
  const { manner, fault, point } = place;
  return {
    ...{ manner, fault: fault.name, point: nameOf(point), verdict: 'reverted (interrupted)', live: 'old' },
    ...{
      requests: 700,
      lost: 0,
      dataLost: 0,
      machineGoes: false,
      next: 'deployed',
      seconds: 40,
      problems: [],
    },
    ...change,
  };
}

test('rows that are played again replace those in the table, and the others stay', () => {
  const first = tellTorture([row(0), row(1, { problems: ['it lost data'] }), row(2)], places, '');
  expect(first).toContain('2 as they must be, 1 not; 2100 requests');
  expect(first).toContain(': it lost data');
  const second = tellTorture([row(1, { requests: 5 })], places, first);
  expect(second).toContain(
    `3 of ${places.length} rows, 1 of them in the last run; 3 as they must be, 0 not; 1405 requests`,
  );
  expect(second).not.toContain('it lost data');
  expect(second.match(/^\| (?!fault|---).*/gm)).toHaveLength(3);
  expect(tellTorture([], places, second).replace(/0 of them/, '1 of them')).toBe(second);
});

// A restore makes a negative control only where it is asked for: drills do.
const optional = ['control'];

test.each(operations)('every step that a %s journals is struck', (operation) => {
  const script = readFileSync(join(repositoryFolder, 'host', `${operation}.sh`), 'utf8');
  const steps = [...script.matchAll(/^ .*\bstep (\w+) (?:safely )?\w+/gm)].map(([, name]) => name);
  expect(steps).toContain('copy');
  const struck = eachStep(operation, 'lock').map(({ step }) => step);
  expect(struck).toEqual(steps.filter((name) => !optional.includes(name ?? '')));
});
