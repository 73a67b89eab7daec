import { describe, expect, test } from '@jest/globals';
import type { ElasticIp } from '../../../src/instance/address.ts';
import type { Listed } from '../../../src/instance/find.ts';
import type { Operation } from '../../../src/operation/operation.ts';
import { readStanding, stackOf } from '../../../src/rollback/standing.ts';

const operation: Operation = {
  ...{ id: '7-42-2-rollback-image-production', action: 'rollback-image', document: 'restore', app: 'shop' },
  ...{ region: 'us-east-2', environment: 'production', bucket: 'b', repository: 'acme/shop' },
  ...{ run: '42', attempt: 2, rollout: { concurrency: 1, errors: 0 } },
};

const instance = (id: string, Stack = '', state = 'running'): Listed => ({
  ...{ id, state, address: '', tags: { App: 'shop', Environment: 'production', Stack } },
});

const address = (at = ''): ElasticIp => ({
  ...{ id: 'eipalloc-1', address: '203.0.113.7', instance: at, association: at && 'eipassoc-1' },
});

const read = (listed: Listed[], addresses: ElasticIp[]) => readStanding(listed, addresses, operation);

describe('how an environment stands', () => {
  test('the stack is named by run and attempt', () => {
    expect(stackOf(operation)).toBe('shop-production-image-42-2');
  });

  test('its one instance is the old one, whoever launched it', () => {
    expect(read([instance('i-1')], [address('i-1')])).toMatchObject({ old: { id: 'i-1' }, moved: undefined });
    const before = instance('i-1', 'shop-production-image-41-1');
    expect(read([before], [address('i-1')])).toMatchObject({ old: { id: 'i-1' }, moved: undefined });
  });

  test('where none is left it is gone', () => {
    expect(read([], [address()])).toMatchObject({ old: undefined, moved: undefined });
  });

  test('what an earlier attempt launched is not the old one, and has taken its place where it has the address', () => {
    const ours = instance('i-2', 'shop-production-image-42-1');
    expect(read([instance('i-1'), ours], [address('i-1')])).toMatchObject({
      ...{ old: { id: 'i-1' }, moved: undefined },
    });
    expect(read([instance('i-1'), ours], [address('i-2')])).toMatchObject({
      ...{ old: { id: 'i-1' }, moved: { id: 'i-2' } },
    });
  });

  test.each<[string, Listed[], ElasticIp[], RegExp]>([
    [
      'two instances',
      [instance('i-1'), instance('i-2')],
      [address('i-1')],
      /has 2 instances: i-1 \(running\), i-2/,
    ],
    [
      'one that another run launched beside it',
      [instance('i-1'), instance('i-2', 'shop-production-image-41-1')],
      [address('i-1')],
      /has 2 instances/,
    ],
    ['no address', [instance('i-1')], [], /No Elastic IP has the tags App=shop and Environment=production/],
    ['two addresses', [instance('i-1')], [address('i-1'), address()], /2 Elastic IPs have the tags/],
    [
      'an address that leads elsewhere',
      [instance('i-1')],
      [address('i-9')],
      /leads to i-9, which is no instance/,
    ],
  ])('%s: refused', (_, listed, addresses, sentence) => {
    expect(() => read(listed, addresses)).toThrow(sentence);
  });
});
