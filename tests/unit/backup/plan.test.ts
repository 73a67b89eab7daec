import { describe, expect, test } from '@jest/globals';
import { describePlan, planBackup } from '../../../actions/backup/plan.ts';
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
  production: {bucket: isso-understudy, backups: isso-backups, rollout: {concurrency: 5, errors: 0, delivery: 1m}}
  bare: {bucket: isso-understudy}
service: {listen: 8080}
checks: [{path: /info}]
data: {databases: [comments.db]}
`,
  'understudy.yml',
);
const asked = { environment: 'production', tier: 'auto', timeout: 3600, 'role-arn': undefined };

describe('the plan of a backup', () => {
  test('holds all that will be done, from values alone', () => {
    const plan = planBackup(asked, job, config);
    expect(plan.operation).toMatchObject({
      ...{ id: '42-100-2-backup-production', action: 'backup', document: 'backup' },
      ...{ bucket: 'isso-understudy', backups: 'isso-backups' },
    });
    expect(plan).toMatchObject({ backups: 'isso-backups', tier: 'auto', delivery: 60, timeout: 3600 });
  });

  test('backs instances up one after the other, and goes on when one fails', () => {
    expect(planBackup(asked, job, config).operation.rollout).toEqual({ concurrency: 1, errors: 50 });
  });

  test('says what it is in lines', () => {
    expect(describePlan(planBackup(asked, job, config))).toEqual([
      'operation   42-100-2-backup-production',
      'of          isso in production, region us-east-2',
      'to          isso-backups, tier auto',
      'databases   comments.db',
      'time        60 s to take the command, 3600 s each',
    ]);
  });

  test('refuses an environment without a backup bucket, and says how to name one', () => {
    expect(() => planBackup({ ...asked, environment: 'bare' }, job, config)).toThrow(
      'understudy.yml: environments.bare.backups: is missing: there is no bucket to back up to. Name the backup bucket',
    );
  });
});
