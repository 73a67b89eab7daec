import { describe, expect, test } from '@jest/globals';
import { declaration } from '../../../actions/launch-staging/declaration.ts';
import { describePlan, planLaunch } from '../../../actions/launch-staging/plan.ts';
import { readJob } from '../../../src/action/job.ts';
import { parseConfig } from '../../../src/config/parse.ts';

const job = readJob({
  ...{ GITHUB_REPOSITORY: 'acme/isso', GITHUB_REPOSITORY_ID: '42' },
  ...{ GITHUB_RUN_ID: '100', GITHUB_RUN_ATTEMPT: '2' },
  ...{ GITHUB_EVENT_NAME: 'workflow_dispatch', GITHUB_REF: 'refs/heads/main' },
});
const config = parseConfig(
  `app: isso
region: us-east-2
environments:
  staging: {bucket: isso-understudy, role-arn: "arn:aws:iam::111122223333:role/isso-staging-ci"}
service: {listen: 8080, start-timeout: 30s}
checks: [{path: /info, timeout: 5s}, {path: /slow, timeout: 25s}]
`,
  'understudy.yml',
);
const day = 86_400_000;
const asked = {
  environment: 'staging',
  from: 'production',
  image: undefined,
  disk: 40,
  life: 7 * day,
  'at-end': 'remove',
  access: undefined,
  address: 'any',
  type: 't3.medium',
  'role-arn': 'arn:aws:iam::111122223333:role/isso-staging-launcher',
} as const;

describe('the plan of a launch', () => {
  const plan = planLaunch(asked, job, config);

  test('holds all that will be done, from values alone', () => {
    expect(plan).toMatchObject({
      stack: 'isso-staging-launched-100-2',
      ...{ from: 'production', image: '', disk: 40, lifeMs: 7 * day, atEnd: 'remove', access: '' },
      healthyMs: 120_000 + 30_000 + 5000 + 25_000,
    });
    expect(plan.operation).toMatchObject({
      ...{ id: '42-100-2-launch-staging-staging', bucket: 'isso-understudy' },
      roleArn: 'arn:aws:iam::111122223333:role/isso-staging-launcher',
    });
  });

  test('does not take the role that deploys, which may launch nothing', () => {
    expect(planLaunch({ ...asked, 'role-arn': undefined }, job, config).operation).not.toHaveProperty(
      'roleArn',
    );
  });

  test('refuses production', () => {
    expect(() => planLaunch({ ...asked, environment: 'production' }, job, config)).toThrow(
      /never launched beside itself/,
    );
  });

  test('is printed before anything is done', () => {
    const stays = describePlan(planLaunch({ ...asked, life: undefined, address: 'elastic' }, job, config));
    expect(describePlan(plan).join('\n')).toMatch(
      /the newest golden image of production[\s\S]+168 h, then remove[\s\S]+nobody but Session Manager/,
    );
    expect(stays.join('\n')).toMatch(/an Elastic IP[\s\S]+stays until it is replaced/);
  });
});

describe('the inputs', () => {
  const { life, disk, access } = declaration.inputs;

  test.each([
    ['1h', 3_600_000],
    ['90d', 90 * day],
    ['none', undefined],
  ])('a life of %s is taken', (text, ms) => {
    expect(life.parse(text)).toBe(ms);
  });

  test.each(['59m', '91d', '0', '7', 'd', '-1d', '7 d'])('a life of %j is refused', (text) => {
    expect(() => life.parse(text)).toThrow('It must be none, or from 1h to 90d');
  });

  test.each(['7', '1025', '40.5', '4e1', '0x28', ' 40'])('a disk of %j is refused', (text) => {
    expect(() => disk.parse(text)).toThrow('from 8 to 1024');
  });

  test.each(['203.0.113.7/32', '0.0.0.0/0'])('access for %s is taken', (text) => {
    expect(access.parse(text)).toBe(text);
  });

  test.each(['203.0.113.7', '256.0.0.1/8', '10.0.0.0/33', '::/0', 'all'])(
    'access for %j is refused',
    (text) => {
      expect(() => access.parse(text)).toThrow('a block of IPv4 addresses');
    },
  );
});
