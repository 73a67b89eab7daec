import { describe, expect, test } from '@jest/globals';
import type { Ruleset } from '../../../src/github/tags.ts';
import type { Ground } from '../../../src/promotion/gate.ts';
import { protects, requireUnmoved, tagKey } from '../../../src/promotion/tag.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';

const good: Ruleset = {
  ...{ name: 'versions', enforcement: 'active', rules: ['update', 'deletion'] },
  ...{ include: ['refs/tags/v*'], exclude: [] },
};

describe('a ruleset keeps a tag from being moved', () => {
  test.each<[string, Partial<Ruleset>, boolean]>([
    ['when it restricts updates and deletions of it', {}, true],
    ['when it does so for every tag', { include: ['~ALL'] }, true],
    ['not when it is only tried', { enforcement: 'evaluate' }, false],
    ['not when the tag may be made anew', { rules: ['update'] }, false],
    ['not when it may be moved forward', { rules: ['deletion', 'non_fast_forward'] }, false],
    ['not when it is of others', { include: ['refs/tags/release-*'] }, false],
    ['not when the tag is left out', { exclude: ['refs/tags/v1.*'] }, false],
  ])('%s', (_, change, expected) => {
    expect(protects({ ...good, ...change }, 'v1.4.0')).toBe(expected);
  });
});

describe('the commit of a tag', () => {
  const groundOf = (bucket: MemoryBucket, planned = false): Ground =>
    ({
      goal: { services: { bucket }, operation: { app: 'isso' } },
      tag: 'v1.4.0',
      planned,
    }) as unknown as Ground;

  test('is written down once, also when the answer is lost, and never changed', async () => {
    const bucket = new MemoryBucket();
    bucket.answersToLose = 1;
    await requireUnmoved(groundOf(bucket), 'c'.repeat(40));
    await requireUnmoved(groundOf(bucket), 'c'.repeat(40));
    await expect(requireUnmoved(groundOf(bucket), 'd'.repeat(40))).rejects.toMatchObject({
      reason: 'tag-moved',
      happened:
        'The tag v1.4.0 is commit dddddddddddd, and was cccccccccccc when it was first seen here: it was moved.',
    });
    expect(JSON.parse(String(bucket.objects.get(tagKey('isso', 'v1.4.0'))))).toEqual({
      schema: 1,
      commit: 'c'.repeat(40),
    });
  });

  test('is that of another run which was quicker', async () => {
    const bucket = new MemoryBucket();
    bucket.intruder = () => {
      bucket.objects.set(tagKey('isso', 'v1.4.0'), Buffer.from(JSON.stringify({ schema: 1, commit: 'e' })));
    };
    await expect(requireUnmoved(groundOf(bucket), 'c'.repeat(40))).rejects.toMatchObject({
      reason: 'tag-moved',
    });
  });

  test('is not written down by a plan', async () => {
    const bucket = new MemoryBucket();
    await requireUnmoved(groundOf(bucket, true), 'c'.repeat(40));
    expect(bucket.objects.size).toBe(0);
  });
});
