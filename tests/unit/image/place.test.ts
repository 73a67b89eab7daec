import { expect, test } from '@jest/globals';
import { placeIn, placeTags } from '../../../src/image/place.ts';

const place = { type: 't3.medium', subnet: 'subnet-0123456789abcdef0', groups: ['sg-1', 'sg-2'] };

test('an image tells where its instance ran', () => {
  expect(placeIn({ tags: placeTags(place) })).toEqual(place);
});

test('what a tag cannot hold whole is not told at all: fewer groups would be another firewall', () => {
  const groups = Array.from({ length: 16 }, (_, index) => `sg-0123456789abcde${index.toString(16)}0`);
  expect(placeTags({ ...place, groups })['Groups']).toBe('');
  expect(placeIn({ tags: placeTags({ ...place, groups }) })).toBeUndefined();
  expect(placeIn({ tags: { InstanceType: 't3.medium' } })).toBeUndefined();
});
