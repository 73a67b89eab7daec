import { describe, expect, test } from '@jest/globals';
import { describePlan, planPromotion } from '../../../actions/promote/plan.ts';
import { readJob } from '../../../src/action/job.ts';
import { parseConfig } from '../../../src/config/parse.ts';

const jobOf = (more: Record<string, string>) =>
  readJob({
    ...{ GITHUB_REPOSITORY: 'acme/isso', GITHUB_REPOSITORY_ID: '42', GITHUB_RUN_ID: '100' },
    ...{ GITHUB_RUN_ATTEMPT: '2', GITHUB_SHA: 'c'.repeat(40), GITHUB_EVENT_NAME: 'push', ...more },
  });
const onTag = jobOf({ GITHUB_REF: 'refs/tags/v1.4.0' });
const byHand = jobOf({ GITHUB_REF: 'refs/heads/main', GITHUB_EVENT_NAME: 'workflow_dispatch' });

const written = `app: isso
region: us-east-2
environments:
  staging:
    bucket: isso-understudy
    role-arn: arn:aws:iam::111122223333:role/isso-staging-ci
    promoter-arn: arn:aws:iam::111122223333:role/isso-staging-promoter
  production:
    bucket: isso-production-understudy
    backups: isso-production-backups
    role-arn: arn:aws:iam::111122223333:role/isso-production-ci
    soak: 48h
service: {listen: 8080, start-timeout: 30s}
checks: [{path: /info, timeout: 5s}]
`;
const config = parseConfig(written, 'understudy.yml');
const asked = {
  ...{ tag: undefined, confirm: undefined, environment: 'production', from: 'staging' },
  ...({ plan: 'false', 'role-arn': undefined } as const),
};

describe('the plan of a promotion', () => {
  test('takes the tag that the workflow runs on, and two roles: one for each side', () => {
    const plan = planPromotion(asked, onTag, config);
    expect(plan).toMatchObject({ tag: 'v1.4.0', told: 'c'.repeat(40), confirmed: false, planned: false });
    expect(plan.operation).toMatchObject({
      ...{ id: '42-100-2-promote-production', action: 'promote', document: 'deploy' },
      ...{ roleArn: 'arn:aws:iam::111122223333:role/isso-production-ci', backups: 'isso-production-backups' },
    });
    expect(plan.origin).toMatchObject({
      ...{ environment: 'staging', document: 'probe', bucket: 'isso-understudy' },
      roleArn: 'arn:aws:iam::111122223333:role/isso-staging-promoter',
    });
    expect(describePlan(plan).join('\n')).toContain(
      'wants       48 h of soak, a proven backup of the last 36 h',
    );
  });

  test('believes no event about a tag that a person named', () => {
    const plan = planPromotion({ ...asked, tag: 'v1.4.0', confirm: 'v1.4.0' }, byHand, config);
    expect(plan).toMatchObject({ tag: 'v1.4.0', told: undefined, confirmed: true });
  });

  test('takes a confirmation from a person alone: a push could bring one in its workflow', () => {
    expect(planPromotion({ ...asked, confirm: 'v1.4.0' }, onTag, config).confirmed).toBe(false);
  });

  test.each([
    ['no tag', asked, byHand, written, /input tag: .+ runs on refs\/heads\/main, which is no tag/],
    [
      'another confirmation',
      { ...asked, confirm: 'v1.3.0' },
      onTag,
      written,
      /It is "v1\.3\.0", and the tag is v1\.4/,
    ],
    ['one side alone', { ...asked, from: 'production' }, onTag, written, /from production to production/],
    [
      'no promoter',
      asked,
      onTag,
      written.replace(/ +promoter-arn.+\n/, ''),
      /staging\.promoter-arn: is missing/,
    ],
    ['no backups', asked, onTag, written.replace(/ +backups.+\n/, ''), /production\.backups: is missing/],
  ])('refuses %s', (_, inputs, job, text, says) => {
    expect(() => planPromotion(inputs, job, parseConfig(text, 'understudy.yml'))).toThrow(says);
  });
});
