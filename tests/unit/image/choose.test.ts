import { expect, test } from '@jest/globals';
import { problemWith } from '../../../src/image/choose.ts';

const image = {
  ...{ id: 'ami-1', state: 'available', tags: { App: 'isso' } },
  root: { device: '/dev/xvda', sizeGiB: 20 },
};
const choice = { app: 'isso', disk: 40 };

test.each([
  ['that is available, of the app, and smaller than the disk', image, undefined],
  ['that is as large as the disk', { ...image, root: { device: '/dev/xvda', sizeGiB: 40 } }, undefined],
  ['that is not made yet', { ...image, state: 'pending' }, 'ami-1 is pending'],
  ['of another app', { ...image, tags: { App: 'shop' } }, 'its tag App says shop'],
  ['of nobody', { ...image, tags: {} }, 'its tag App says nothing'],
  [
    'that is larger than the disk',
    { ...image, root: { device: '/dev/xvda', sizeGiB: 41 } },
    '41 GiB, more than the 40',
  ],
  [
    'whose root disk nobody tells',
    { ...image, root: { device: '', sizeGiB: 0 } },
    'does not tell the root disk',
  ],
])('an image %s', (_, given, problem) => {
  const found = problemWith(given, choice);
  if (problem === undefined) expect(found).toBeUndefined();
  else expect(found).toContain(problem);
});
