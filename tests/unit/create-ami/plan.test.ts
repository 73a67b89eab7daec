import { describe, expect, test } from '@jest/globals';
import { describePlan, planImage } from '../../../actions/create-ami/plan.ts';
import { readJob } from '../../../src/action/job.ts';
import { parseConfig } from '../../../src/config/parse.ts';

const job = readJob({
  ...{ GITHUB_REPOSITORY: 'acme/isso', GITHUB_REPOSITORY_ID: '42', GITHUB_RUN_ID: '100' },
  ...{ GITHUB_RUN_ATTEMPT: '2', GITHUB_EVENT_NAME: 'schedule', GITHUB_REF: 'refs/heads/main' },
});
const config = parseConfig(
  `app: isso
region: us-east-2
environments:
  staging:
    bucket: isso-understudy
    backups: isso-understudy-backups
    role-arn: arn:aws:iam::111122223333:role/isso-staging-ci
  bare: {bucket: isso-understudy}
service: {listen: 8080}
checks: [{path: /info}]
`,
  'understudy.yml',
);
const proofRole = 'arn:aws:iam::111122223333:role/isso-staging-drill';
const asked: Parameters<typeof planImage>[0] = {
  ...{ environment: 'staging', instance: undefined, image: undefined, prove: 'true', reboot: 'false' },
  ...{ 'back-up-first': 'true', keep: 5, 'keep-months': 12, 'deprecate-after': 90, timeout: 3600 },
  ...{ 'role-arn': undefined, 'proof-role-arn': proofRole },
};
const plan = (change: Partial<typeof asked> = {}) => planImage({ ...asked, ...change }, job, config);

describe('the plan of an image', () => {
  test('holds all that will be done, with a name that every attempt of the run has', () => {
    expect(plan()).toMatchObject({
      ...{ name: 'isso-staging-100', given: '', instance: '', backups: 'isso-understudy-backups' },
      ...{ prove: true, reboot: false, backUp: true, proofRole, rules: { last: 5, months: 12 } },
      operation: { id: '42-100-2-create-ami-staging' },
    });
    expect(describePlan(plan()).join('\n')).toContain('isso-staging-100 of the instance, which serves on');
  });

  test('keeps every image where it is told so', () => {
    expect(plan({ keep: 'all' }).rules).toBeUndefined();
  });

  test('makes nothing where an image is given, and takes no backup for it', () => {
    const given = plan({ image: 'ami-0123456789abcdef0' });
    expect(given).toMatchObject({ given: 'ami-0123456789abcdef0', backUp: false });
    expect(describePlan(given).join('\n')).not.toContain('isso-staging-100');
  });

  test.each([
    ['no work', { image: 'ami-0123456789abcdef0', prove: 'false' }, 'there is nothing to do'],
    ['no bucket', { environment: 'bare' }, 'environments.bare.backups'],
    ['no role that proves', { 'proof-role-arn': undefined }, `proof-role-arn: ${proofRole}`],
  ] as const)('refuses %s, and says what to do', (_, change, what) => {
    expect(() => plan(change)).toThrow(what);
  });

  test('needs no bucket of backups and no other role where nothing is proven nor backed up', () => {
    const bare = { environment: 'bare', prove: 'false', 'back-up-first': 'false' } as const;
    expect(plan({ ...bare, 'proof-role-arn': undefined })).toMatchObject({ backups: '', prove: false });
  });
});
