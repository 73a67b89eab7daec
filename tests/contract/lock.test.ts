import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { type Lock, mendLock } from '../../scripts/mend-lock.ts';

const text = readFileSync(join(import.meta.dirname, '../../package-lock.json'), 'utf8');
const lock = JSON.parse(text) as Lock;

describe('package-lock.json', () => {
  test('names the packages of every platform, or npm ci refuses it there (npm run mend-lock)', () => {
    expect(Object.keys(mendLock(lock).packages)).toEqual(Object.keys(lock.packages));
  });

  test('holds no place to fetch from, so that any registry serves', () => {
    const placed = Object.entries(lock.packages).filter(([, { resolved }]) => resolved !== undefined);
    expect(placed).toEqual([]);
  });

  test('has an integrity hash for all that this machine installs', () => {
    const bare = Object.entries(lock.packages).filter(
      ([path, entry]) => path !== '' && !('integrity' in entry) && entry.optional !== true,
    );
    expect(bare.map(([path]) => path)).toEqual([]);
  });
});

describe('mending a lock', () => {
  const wanting = (name: string, version: string): Lock => ({
    packages: {
      'node_modules/tool': { version: '1.0.0', dev: true, optionalDependencies: { [name]: version } },
    },
  });

  test.each([
    ['@x/cli-darwin-arm64', { os: ['darwin'], cpu: ['arm64'] }],
    ['@x/cli-win32-ia32-msvc', { os: ['win32'], cpu: ['ia32'] }],
    ['@x/binding-linux-x64-musl', { os: ['linux'], cpu: ['x64'], libc: ['musl'] }],
    ['@x/binding-linux-arm-gnueabihf', { os: ['linux'], cpu: ['arm'], libc: ['glibc'] }],
    ['@x/binding-wasm32-wasi', { cpu: ['wasm32'] }],
  ])('reads the platform out of %s', (name, platform) => {
    const mended = mendLock(wanting(name, '1.2.3'));
    expect(mended.packages[`node_modules/${name}`]).toEqual({
      version: '1.2.3',
      dev: true,
      optional: true,
      ...platform,
    });
  });

  test('finds a package that is nested below the one that wants it, as Node does', () => {
    const nested: Lock = {
      packages: {
        'node_modules/a/node_modules/b': { optionalDependencies: { 'c-linux-x64-gnu': '1.0.0' } },
        'node_modules/a/node_modules/c-linux-x64-gnu': { version: '1.0.0' },
      },
    };
    expect(mendLock(nested)).toBe(nested);
  });

  test('refuses a name that tells no platform, and a range', () => {
    expect(() => mendLock(wanting('fast-thing', '1.0.0'))).toThrow(
      /does not tell one system and one processor/,
    );
    expect(() => mendLock(wanting('x-linux-x64-gnu', '^1.0.0'))).toThrow(/range/);
  });
});
