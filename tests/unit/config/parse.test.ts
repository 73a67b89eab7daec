import { posix } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parse, stringify } from 'yaml';
import { ConfigurationError } from '../../../src/action/errors.ts';
import type { Config, Environment } from '../../../src/config/config.ts';
import { findEnvironment, openConfig, parseConfig } from '../../../src/config/parse.ts';
import { faultsInParameters } from '../../../src/document/parameters.ts';

const smallest = `app: isso
region: us-east-2
environments:
  staging: {bucket: isso-understudy}
service: {listen: 8080}
checks:
  - {path: /info}
`;

const whole = `app: chatmrpt
region: us-east-2
environments:
  staging:
    bucket: chatmrpt-understudy
    role-arn: arn:aws:iam::111122223333:role/chatmrpt-staging-ci
    url: https://staging.example.org
    rollout: {concurrency: 2, errors: 1, partial: keep, delivery: 30s, timeout: 20m}
    backups: chatmrpt-understudy-backups
  production: {bucket: chatmrpt-production, soak: 2h, bake: 0s, proof: 7d}
service: {listen: 8080, user: app, switch: overlap, notify: false, start-timeout: 90s}
workers: [scheduler]
checks:
  - {path: /health, status: 204, type: application/json, json: {status: ok, ready: true, errors: 0, note: null}, timeout: 10s}
data: {databases: [app.db], include: [uploads, "über uns/a b's.csv"], exclude: [logs], newest: {app.db: [users.created, "a_1.b"]}, busy-timeout: 10s}
backup: {local: 3d}
keep: 3
`;

function errorOf(text: string): ConfigurationError {
  try {
    parseConfig(text, 'understudy.yml');
  } catch (error) {
    if (error instanceof ConfigurationError) {
      return error;
    }
    throw error;
  }
  throw new Error('It was accepted.');
}

describe('reading understudy.yml', () => {
  test('fills in what was left out', () => {
    expect(parseConfig(smallest, 'understudy.yml')).toEqual({
      app: 'isso',
      region: 'us-east-2',
      environments: new Map([
        [
          'staging',
          {
            name: 'staging',
            bucket: 'isso-understudy',
            rollout: { concurrency: 1, errors: 0, partial: 'take-back', deliveryMs: 120_000 },
            soakMs: 86_400_000,
            bakeMs: 600_000,
            proofMs: 129_600_000,
          },
        ],
      ]),
      service: { listen: 8080, user: 'isso', switch: 'pause', notify: true, startTimeoutMs: 60_000 },
      workers: [],
      checks: [{ path: '/info', status: 200, timeoutMs: 5_000 }],
      data: { databases: [], include: [], exclude: [], newest: {}, busyTimeoutMs: 5_000 },
      backup: { localMs: 604_800_000, staleMs: 2_592_000_000 },
      keep: 5,
    });
  });

  test('keeps all that was said', () => {
    const config = parseConfig(whole, 'understudy.yml');
    expect(config.environments.get('staging')).toEqual({
      name: 'staging',
      bucket: 'chatmrpt-understudy',
      roleArn: 'arn:aws:iam::111122223333:role/chatmrpt-staging-ci',
      url: 'https://staging.example.org',
      rollout: { concurrency: 2, errors: 1, partial: 'keep', deliveryMs: 30_000, timeoutMs: 1_200_000 },
      backups: 'chatmrpt-understudy-backups',
      soakMs: 86_400_000,
      bakeMs: 600_000,
      proofMs: 129_600_000,
    });
    expect(config.environments.get('production')).toMatchObject({
      soakMs: 7_200_000,
      bakeMs: 0,
      proofMs: 604_800_000,
    });
    expect(config.service).toEqual({
      listen: 8080,
      user: 'app',
      switch: 'overlap',
      notify: false,
      startTimeoutMs: 90_000,
    });
    expect(config.checks).toEqual([
      {
        path: '/health',
        status: 204,
        type: 'application/json',
        json: { status: 'ok', ready: true, errors: 0, note: null },
        timeoutMs: 10_000,
      },
    ]);
    expect(config.data.include).toEqual(['uploads', "über uns/a b's.csv"]);
    expect(config.data.newest).toEqual({ 'app.db': ['users.created', 'a_1.b'] });
    expect(config.data.busyTimeoutMs).toBe(10_000);
    expect([config.workers, config.backup.localMs, config.keep]).toEqual([['scheduler'], 259_200_000, 3]);
  });

  test('takes a value that is said twice by an alias', () => {
    const text = smallest
      .replace('staging: {', 'staging: &same {')
      .replace('service:', '  production: *same\nservice:');
    expect([...parseConfig(text, 'understudy.yml').environments.keys()]).toEqual(['staging', 'production']);
  });
});

describe('an error', () => {
  test('names line, column and key, what was there, what was expected, and an example', () => {
    const { where, what, how, reason } = errorOf(smallest.replace('8080', 'eighty'));
    expect(where).toBe('understudy.yml:5:19');
    expect(what).toBe('service.listen is "eighty".');
    expect(how).toBe(
      'The port that users reach: a whole number from 1024 to 65535. For example: listen: 8080',
    );
    expect(reason).toBe('bad-config');
  });

  test('points at a key that is not known, and tells those that are', () => {
    const { where, what, how } = errorOf(smallest.replace('listen', 'listne'));
    expect(where).toBe('understudy.yml:5:11');
    expect(what).toBe('service.listne is not a key that Understudy knows.');
    expect(how).toContain('Known here: listen, user, switch, notify, start-timeout.');
  });

  test('points at the map in which a key is missing', () => {
    const { where, what } = errorOf(smallest.replace('{bucket: isso-understudy}', '{}'));
    expect([where, what]).toEqual(['understudy.yml:4:12', 'environments.staging.bucket is missing.']);
  });

  test('tells every problem at once', () => {
    const { how } = errorOf(`${smallest.replace('8080', '80').replace('/info', 'info')}keep: 1\n`);
    expect(how).toContain('understudy.yml:7:12: checks[0].path is "info".');
    expect(how).toContain('understudy.yml:8:7: keep is 1.');
  });

  test('shows an example that would be accepted, for every key', () => {
    const { how } = errorOf('{}');
    expect(how).toContain('For example: app: chatmrpt');
    const examples = [...how.matchAll(/For example: (.+)/g)].map(([, example]) => example ?? '');
    expect(() => parseConfig(examples.join('\n'), 'understudy.yml')).not.toThrow();
  });
});

describe('what is refused', () => {
  const cases: [string, string, string][] = [
    ['an empty file', '', 'understudy.yml:1:1: the file is empty.'],
    ['a list', '- a', 'understudy.yml:1:1: the file is a list.'],
    [
      'a key given twice',
      `${smallest}app: other\n`,
      'understudy.yml:8:1: this key stands here for the second time.',
    ],
    ['a second document', `${smallest}---\na: 1\n`, 'understudy.yml:8:1: a second document begins.'],
    ['a tag', `${smallest}x: !!js/function f\n`, 'understudy.yml:8:4: a tag (!…) is not understood.'],
    ['a key that is no string', `${smallest}? [a]\n: b\n`, 'understudy.yml:8:3: a key is not a string.'],
    ['broken YAML', `${smallest}x: [\n`, 'understudy.yml:9:1: is not YAML'],
    ['a key of every object', `${smallest}__proto__: {a: 1}\n`, 'understudy.yml:8:1: __proto__ is not a key'],
    [
      'an environment called otherwise',
      smallest.replace('staging', 'Staging'),
      'understudy.yml:4:3: "Staging" cannot be',
    ],
    [
      'no environment',
      smallest
        .replace('  staging: {bucket: isso-understudy}\n', '')
        .replace('environments:', 'environments: {}'),
      'environments is a map of keys, and must name at least one.',
    ],
    [
      'an environment that is called as the hosts of drills are',
      smallest.replace('staging:', 'drill:'),
      'not drill, which the hosts of drills are',
    ],
    ['no check', smallest.replace(/checks:\n.*\n/, 'checks: []\n'), 'understudy.yml:6:9: checks is a list'],
    ['root', smallest.replace('listen: 8080', 'listen: 8080, user: root'), 'service.user is "root".'],
    [
      'a duration without a unit',
      smallest.replace('listen: 8080', 'listen: 8080, start-timeout: 60'),
      'service.start-timeout is 60.',
    ],
    [
      'a duration that is too long',
      smallest.replace('listen: 8080', 'listen: 8080, start-timeout: 2h'),
      'is "2h", and must be from 1s to 15m.',
    ],
    ['a worker named twice', `${smallest}workers: [a, a]\n`, 'must not name the same twice'],
    [
      'a path out of the shared folder',
      `${smallest}data: {databases: [../app.db]}\n`,
      'data.databases[0] is "../app.db".',
    ],
    [
      'an absolute path',
      `${smallest}data: {databases: [/etc/passwd]}\n`,
      'data.databases[0] is "/etc/passwd".',
    ],
    ['a path that is an option', `${smallest}data: {databases: [-rf]}\n`, 'data.databases[0] is "-rf".'],
    [
      'a path through a folder and out',
      `${smallest}data: {include: [a/../../b]}\n`,
      'data.include[0] is "a/../../b".',
    ],
    ['a newline in a path', `${smallest}data: {include: ["a\\nb"]}\n`, 'data.include[0] is "a\\nb".'],
    ['a check with a space', smallest.replace('/info', '/in fo'), 'checks[0].path is "/in fo".'],
    [
      'a media type with parameters',
      smallest.replace('/info', '/info, type: text/html; charset=utf-8'),
      'checks[0].type is',
    ],
    [
      'a nested JSON field',
      smallest.replace('/info', '/info, json: {a: {b: 1}}'),
      'checks[0].json.a is a map of keys.',
    ],
    [
      'a newest row of a database that is not named',
      `${smallest}data: {databases: [app.db], newest: {other.db: [a.b]}}\n`,
      'understudy.yml:8:48: data.newest["other.db"] is a list, and must be one of databases.',
    ],
    [
      'a newest row that is no column',
      `${smallest}data: {databases: [app.db], newest: {app.db: ["a.b; DROP TABLE a"]}}\n`,
      'data.newest["app.db"][0] is "a.b; DROP TABLE a".',
    ],
    [
      'a newest row below a path that is none',
      `${smallest}data: {newest: {../app.db: [a.b]}}\n`,
      '"../app.db" cannot be a name below data.newest. A path below the shared folder',
    ],
    [
      'backups beside the state',
      smallest.replace('isso-understudy', 'isso-understudy, backups: isso-understudy'),
      'environments.staging.backups is "isso-understudy", and must be another bucket than `bucket`.',
    ],
    ['copies kept for ever', `${smallest}backup: {local: 91d}\n`, 'must be from 1d to 90d'],
    [
      'a bucket with a dot',
      smallest.replace('isso-understudy', 'isso.understudy'),
      'bucket is "isso.understudy".',
    ],
    [
      'a role that is no ARN',
      smallest.replace('isso-understudy', 'isso-understudy, role-arn: admin'),
      'role-arn is "admin".',
    ],
    ['a region that is none', smallest.replace('us-east-2', 'moon'), 'region is "moon".'],
  ];

  test.each(cases)('%s', (_, text, message) => {
    expect(errorOf(text).message).toContain(message);
  });

  test('a bomb of aliases', () => {
    const levels = ['a0: &a0 [x, x, x, x, x, x, x, x, x]'];
    for (let level = 1; level < 9; level += 1) {
      const alias = `*a${level - 1}`;
      levels.push(`a${level}: &a${level} [${Array(9).fill(alias).join(', ')}]`);
    }
    expect(errorOf(levels.join('\n')).message).toContain('uses YAML aliases without bounds.');
  });

  test('an alias of itself', () => {
    expect(errorOf('a: &a [*a]')).toBeInstanceOf(ConfigurationError);
  });

  test('thousands of brackets', () => {
    expect(errorOf('['.repeat(60_000)).message).toContain('is nested too deeply.');
  });

  test('more than 64 KiB', () => {
    expect(errorOf(`# ${'x'.repeat(65_536)}\n${smallest}`).message).toContain('is larger than 64 KiB.');
  });
});

describe('any text at all', () => {
  const takesOrRefuses = (text: string): boolean => {
    try {
      parseConfig(text, 'understudy.yml');
    } catch (error) {
      return (
        error instanceof ConfigurationError && error.where.startsWith('understudy.yml') && error.how !== ''
      );
    }
    return true;
  };

  test('is read or refused in words', () => {
    const yamlish = fc.string({
      unit: fc.constantFrom(...'[]{}:,-&*!|>%@#\'"? \nab01~<=\\'.split('')),
      maxLength: 200,
    });
    fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), yamlish), takesOrRefuses), {
      numRuns: 2_000,
    });
  });

  test('that nearly is a configuration is read or refused in words', () => {
    const change = fc.tuple(fc.nat(whole.length), fc.nat(12), fc.string({ unit: 'binary', maxLength: 6 }));
    const changed = fc
      .array(change, { maxLength: 4 })
      .map((changes) =>
        changes.reduce((text, [at, length, put]) => text.slice(0, at) + put + text.slice(at + length), whole),
      );
    fc.assert(fc.property(changed, takesOrRefuses), { numRuns: 1_000 });
  });

  test('never brings in a key that is not known', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.jsonValue(), (key, value) => {
        fc.pre(
          ![
            'app',
            'region',
            'environments',
            'service',
            'workers',
            'checks',
            'data',
            'backup',
            'keep',
          ].includes(key),
        );
        return errorOf(smallest + stringify({ [key]: value })).message.includes('is not a key');
      }),
      { numRuns: 300 },
    );
  });
});

describe('any value at any place', () => {
  const nasty = fc.constantFrom(
    ...[
      '',
      'a\nb',
      "a'b",
      '$(id)',
      '`id`',
      '../x',
      '/etc',
      '-rf',
      'root',
      'a b',
      'ä',
      '\u0000',
      'x'.repeat(300),
    ],
    ...['understudy', 'a-worker', '0', '80', '1e9', '{{ x }}', '${{ x }}', 'us-east-2', 'a'],
  );
  const value = fc.oneof(nasty, fc.integer(), fc.double(), fc.constant(null), fc.jsonValue({ maxDepth: 2 }));
  const places = placesIn(parse(whole));

  test('is refused, or fits what goes to the host', () => {
    let taken = 0;
    fc.assert(
      fc.property(fc.constantFrom(...places), value, (place, put) => {
        const file = parse(whole);
        setAt(file, place, put);
        let config: Config;
        try {
          config = parseConfig(stringify(file), 'understudy.yml');
        } catch (error) {
          return error instanceof ConfigurationError && error.reason === 'bad-config';
        }
        taken += 1;
        return [...config.environments.values()].every((environment) => fits(config, environment));
      }),
      { numRuns: 1_500 },
    );
    expect(taken).toBeGreaterThan(20);
  });
});

/** Every place of a value, as the keys that lead there. */
function placesIn(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [path];
  const inner = Object.entries(value).flatMap(([key, each]) =>
    placesIn(each, [...path, Array.isArray(value) ? Number(key) : key]),
  );
  return path.length === 0 ? inner : [path, ...inner];
}

function setAt(value: unknown, path: (string | number)[], put: unknown): void {
  const last = path.at(-1) ?? '';
  const inside = path.slice(0, -1).reduce((at, key) => Reflect.get(at as object, key), value);
  Reflect.set(inside as object, last, put);
}

/** What the documents, the host and S3 would take: by their own words, not by the schema's. */
function fits(
  { app, region, service, workers, checks, data, backup, keep }: Config,
  environment: Environment,
): boolean {
  const values = {
    ...{ app, environment: environment.name, operation: '1-2-3-deploy-x', user: service.user },
    ...{ port: String(service.listen), switch: service.switch, notify: String(service.notify) },
    ...{ workers: workers.join(',') || 'none', bucket: environment.bucket, region },
    backups: environment.backups ?? 'none',
  };
  const times = [service.startTimeoutMs, environment.soakMs, environment.bakeMs, environment.proofMs];
  const counts = [
    ...times,
    data.busyTimeoutMs,
    backup.localMs,
    keep,
    environment.rollout.errors,
    ...checks.map(({ timeoutMs }) => timeoutMs),
  ];
  const paths = [...data.databases, ...data.include, ...data.exclude];
  return (
    faultsInParameters('prepare-host', values).length === 0 &&
    !/^understudy(-|$)|-(probe|rehearse|worker|pause)$/.test(app) &&
    service.listen >= 1024 &&
    service.listen <= 65_535 &&
    counts.every((count) => Number.isSafeInteger(count) && count >= 0) &&
    environment.rollout.concurrency >= 1 &&
    checks.every(({ path }) => /^\/[!-~]*$/.test(path)) &&
    Object.entries(data.newest).every(
      ([of, columns]) => data.databases.includes(of) && columns.every((column) => /^\w+\.\w+$/.test(column)),
    ) &&
    paths.every((path) => posix.join('/shared', path).startsWith('/shared/') && !/^-|\p{Cc}/u.test(path))
  );
}

test('a file that is not there is said to be so, with what to do', async () => {
  await expect(openConfig('/nowhere/understudy.yml')).rejects.toThrow(
    /^\/nowhere\/understudy\.yml: It cannot be read: .*ENOENT.* Check the repository out first/,
  );
});

describe('an environment', () => {
  const config = parseConfig(whole, 'understudy.yml');

  test('is found by its name', () => {
    expect(findEnvironment(config, 'production').bucket).toBe('chatmrpt-production');
  });

  test.each(['prod', 'constructor', ''])('%p is refused, naming those there are', (name) => {
    expect(() => findEnvironment(config, name)).toThrow('It describes staging, production');
  });
});
