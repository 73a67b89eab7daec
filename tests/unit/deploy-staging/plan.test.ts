import { describe, expect, test } from '@jest/globals';
import { describePlan, planDeploy } from '../../../actions/deploy-staging/plan.ts';
import { readJob } from '../../../src/action/job.ts';
import { parseConfig } from '../../../src/config/parse.ts';

const job = readJob({
  ...{
    GITHUB_REPOSITORY: 'acme/isso',
    GITHUB_REPOSITORY_ID: '42',
    GITHUB_RUN_ID: '100',
    GITHUB_RUN_ATTEMPT: '2',
  },
  ...{ GITHUB_EVENT_NAME: 'push', GITHUB_REF: 'refs/heads/main' },
});
const config = parseConfig(
  `app: isso
region: us-east-2
environments:
  staging:
    bucket: isso-understudy
    role-arn: arn:aws:iam::111122223333:role/isso-staging-ci
    url: https://staging.example.org
    rollout: {concurrency: 2, errors: 1}
  bare: {bucket: isso-understudy}
service: {listen: 8080, switch: overlap, start-timeout: 30s}
checks:
  - {path: /info, type: application/json, timeout: 5s}
  - {path: /slow, timeout: 25s}
`,
  'understudy.yml',
);
const release = { id: 'a'.repeat(64), commit: 'c'.repeat(40), path: 'release.tar.gz', size: 7 };
const asked = { environment: 'staging', 'role-arn': undefined };

describe('the plan of a deploy', () => {
  const plan = planDeploy(asked, job, config, release);

  test('holds all that will be done, from values alone', () => {
    expect(plan.operation).toEqual({
      ...{
        id: '42-100-2-deploy-staging',
        action: 'deploy',
        document: 'deploy',
        app: 'isso',
        region: 'us-east-2',
        environment: 'staging',
      },
      ...{ bucket: 'isso-understudy', roleArn: 'arn:aws:iam::111122223333:role/isso-staging-ci' },
      ...{ rollout: { concurrency: 2, errors: 1 }, repository: 'acme/isso', run: '100', attempt: 2 },
    });
    expect(plan).toMatchObject({ release, switch: 'overlap', url: 'https://staging.example.org' });
  });

  test('gives the host time for three starts with every check, and ten minutes', () => {
    expect(plan.timeout).toBe(600 + 3 * (30 + 5 + 25));
    expect(String(plan.timeout)).toMatch(/^[1-9][0-9]{1,4}$/);
  });

  test('gives the host the time that the config says, and its agent as well', () => {
    const written = `app: isso
region: us-east-2
environments: {staging: {bucket: isso-understudy, rollout: {delivery: 30s, timeout: 90s}}}
service: {listen: 8080}
checks: [{path: /info}]
`;
    const hurried = planDeploy(asked, job, parseConfig(written, 'understudy.yml'), release);
    expect(hurried).toMatchObject({ delivery: 30, timeout: 90 });
    expect(plan.delivery).toBe(120);
  });

  test('prints itself, and no account', () => {
    const lines = describePlan(plan);
    expect(lines).toContain(`release     ${'a'.repeat(64)}`);
    expect(lines).toContain(
      'rollout     2 at once, 1 may fail, 120 s to take the command, 780 s each; partial: take-back',
    );
    expect(lines).toContain('check       /info answers 200 application/json');
    expect(lines.join('\n')).not.toContain('111122223333');
  });
});

describe('the role', () => {
  const other = 'arn:aws:iam::111122223333:role/other';
  test.each([
    ['staging', other, other],
    ['staging', undefined, 'arn:aws:iam::111122223333:role/isso-staging-ci'],
    ['bare', undefined, undefined],
    ['bare', other, other],
  ])('in %s with the input %s is %s', (environment, input, role) => {
    expect(planDeploy({ environment, 'role-arn': input }, job, config, release).operation.roleArn).toBe(role);
  });
});

test('production is refused, whatever understudy.yml says of it: it is promoted to', () => {
  const { environments } = config;
  const staging = environments.get('staging');
  if (!staging) throw new Error('The test has no staging.');
  const production = new Map([...environments, ['production', { ...staging, name: 'production' }]]);
  const plan = () =>
    planDeploy(
      { ...asked, environment: 'production' },
      job,
      { ...config, environments: production },
      release,
    );
  expect(plan).toThrow(
    expect.objectContaining({
      reason: 'bad-input',
      what: expect.stringContaining('promoted to, never deployed to directly'),
    }),
  );
});

test('an environment that understudy.yml does not describe is refused with those that it does', () => {
  const plan = () => planDeploy({ ...asked, environment: 'prod' }, job, config, release);
  expect(plan).toThrow(/no environment "prod".+staging, bare/);
});
