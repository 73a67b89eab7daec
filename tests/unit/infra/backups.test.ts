import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { repositoryFolder } from '../../../rehearsal/ground/places.ts';
import { type Resource, resourcesOf, type Value } from '../../../rehearsal/policies/template.ts';

const read = (file: string) => readFileSync(join(repositoryFolder, 'infra', file), 'utf8');

/** The resources of a template, as a stack of isso's staging makes them. */
function made(file: string, parameters: Record<string, Value> = {}): readonly Resource[] {
  const named = { App: 'isso', Environment: 'staging', BackupBucketName: 'isso-backups' };
  const where = { account: '123456789012', region: 'us-east-2' };
  return resourcesOf(read(file), { ...where, parameters: { ...named, ...parameters } });
}

function only<Properties>(file: string, type: string, parameters: Record<string, Value> = {}): Properties {
  const found = made(file, parameters).filter((resource) => resource.type === type);
  return found.at(-1)?.properties as Properties;
}

interface Rule {
  readonly Id: string;
  readonly Prefix: string;
  readonly ExpirationInDays?: number;
  readonly Transitions?: readonly { readonly StorageClass: string; readonly TransitionInDays: number }[];
  readonly NoncurrentVersionExpiration?: { readonly NoncurrentDays: number };
}

const dayMs = 86_400_000;
const tiers = ['daily', 'weekly', 'monthly'] as const;
const parameters: Record<string, { MinValue?: number; MaxValue?: number; Default?: number }> = parse(
  read('foundation.yaml'),
  { logLevel: 'error' },
).Parameters;
const names = ['BackupDailyDays', 'BackupWeeklyDays', 'BackupMonthlyDays'];
const all = (bound: 'MinValue' | 'MaxValue' | 'Default') =>
  Object.fromEntries(names.map((name) => [name, parameters[name]?.[bound] ?? Number.NaN]));

function rulesWith(days: Record<string, number>): readonly Rule[] {
  const bucket = only<{ LifecycleConfiguration: { Rules: readonly Rule[] } }>(
    'foundation.yaml',
    'AWS::S3::Bucket',
    { StateBucketName: 'isso-understudy', WorkflowRefs: [], ...days },
  );
  return bucket.LifecycleConfiguration.Rules;
}

const rulesOf = (rules: readonly Rule[], key: string) => rules.filter(({ Prefix }) => key.startsWith(Prefix));
const keyOf = (tier: string) => `backups/isso/staging/${tier}/20261123T020000Z-scheduled/manifest.json`;

/** When S3 expires what was made then: so many days later, at the next midnight UTC. */
function goneAt(rules: readonly Rule[], key: string, made: number): number {
  const days = rulesOf(rules, key).flatMap(({ ExpirationInDays: after }) => after ?? []);
  return Math.ceil((made + Math.min(...days) * dayMs) / dayMs) * dayMs;
}

/** As the host names tiers: the first good backup of a UTC month is monthly, else of an ISO week weekly, else daily. */
function* backupsEachDay(from: number, days: number): Generator<{ made: number; tier: string }> {
  let [month, week] = [-1, -1];
  for (let made = from; made < from + days * dayMs; made += dayMs) {
    const date = new Date(made);
    // 1 January 1970 was a Thursday.
    const thisWeek = Math.floor((made / dayMs + 3) / 7);
    const first = date.getUTCMonth() !== month;
    yield { made, tier: first ? 'monthly' : thisWeek === week ? 'daily' : 'weekly' };
    [month, week] = [date.getUTCMonth(), thisWeek];
  }
}

describe.each([
  ['least', all('MinValue')],
  ['usual', all('Default')],
  ['most', all('MaxValue')],
])('with the %s days that may be asked for', (_, days) => {
  const rules = rulesWith(days);

  test.each(tiers)('%s backups end', (tier) => {
    const ends = rulesOf(rules, keyOf(tier)).flatMap(({ ExpirationInDays: end }) => end ?? []);
    expect(ends).toEqual([days[`Backup${tier[0]?.toUpperCase()}${tier.slice(1)}Days`]]);
  });

  test('no tier loses its last one as long as backups are made, and none grows for ever', () => {
    const start = Date.UTC(2026, 0, 1, 2);
    const kept: { made: number; tier: string }[] = [];
    const counts: Record<string, number>[] = [];
    for (const backup of backupsEachDay(start, Math.max(1100, 2.2 * (days['BackupMonthlyDays'] ?? 0)))) {
      kept.push(backup);
      const now = backup.made + dayMs - 1;
      const left = kept.filter(({ made: at, tier }) => goneAt(rules, keyOf(tier), at) > now);
      kept.splice(0, kept.length, ...left);
      counts.push(
        Object.fromEntries(tiers.map((tier) => [tier, left.filter((one) => one.tier === tier).length])),
      );
    }
    // Every tier has had its turn after some weeks.
    for (const tier of tiers) {
      const ever = counts.slice(14).map((count) => count[tier] ?? 0);
      expect(Math.min(...ever)).toBeGreaterThanOrEqual(1);
      const [first, second] = [ever.slice(0, ever.length / 2), ever.slice(ever.length / 2)];
      // Years of 366 days, months of 28: one more or less.
      expect(Math.max(...second)).toBeLessThanOrEqual(Math.max(...first) + 1);
    }
  });

  test('S3 would take them: Infrequent Access from the 30th day on, and for 30 days at least', () => {
    for (const { Transitions = [], ExpirationInDays: end = 0 } of rules) {
      for (const { StorageClass, TransitionInDays } of Transitions) {
        expect([StorageClass, TransitionInDays >= 30]).toEqual(['STANDARD_IA', true]);
        expect(end - TransitionInDays).toBeGreaterThanOrEqual(30);
      }
    }
  });
});

describe('with the usual days', () => {
  const rules = rulesWith({});

  test('daily backups stay for 30 days, weekly for 90, monthly for a year', () => {
    expect(tiers.map((tier) => rules.find(({ Id }) => Id === tier)?.ExpirationInDays)).toEqual([30, 90, 365]);
  });

  test.each(['proven/isso/staging/1/manifest.json', 'drills/isso/staging/1.json'])('%s has no end', (key) => {
    expect(rulesOf(rules, key).flatMap(({ ExpirationInDays: end }) => end ?? [])).toEqual([]);
  });

  test('what expired leaves for good after a while', () => {
    const [every] = rulesOf(rules, keyOf('daily')).filter((rule) => rule.NoncurrentVersionExpiration);
    expect(every?.NoncurrentVersionExpiration?.NoncurrentDays).toBe(90);
  });

  test('weekly and monthly backups go to Infrequent Access', () => {
    const moved = rules.filter(({ Transitions }) => Transitions).map(({ Id }) => Id);
    expect(moved).toEqual(['weekly', 'monthly']);
  });
});

describe('the schedule', () => {
  const schedule = only<Record<string, unknown>>('backup.yaml', 'AWS::SSM::Association');

  test('runs at two in the morning, and at no other time', () => {
    expect(schedule).toMatchObject({
      ScheduleExpression: 'cron(0 2 * * ? *)',
      ApplyOnlyAtCronInterval: true,
    });
  });

  test('backs instances up one after the other, whatever becomes of one', () => {
    expect(schedule).toMatchObject({ MaxConcurrency: '1', MaxErrors: '100%' });
  });

  test('asks the instances of the environment for what the host document takes', () => {
    expect(schedule['Name']).toBe('isso-backup');
    expect(schedule['Targets']).toEqual([
      { Key: 'tag:App', Values: ['isso'] },
      { Key: 'tag:Environment', Values: ['staging'] },
    ]);
    expect(schedule['Parameters']).toEqual({
      app: ['isso'],
      environment: ['staging'],
      operation: ['scheduled'],
      timeout: [3600],
    });
  });
});

interface Pattern {
  readonly [field: string]: Pattern | readonly (string | { readonly wildcard: string })[];
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

/**
 * As EventBridge matches (its user guide, eb-create-pattern): each field that the pattern names must be in the event, at
 * the same depth and in the same letters, with one of the values; other fields are not looked at.
 */
function matches(pattern: Pattern, event: Record<string, unknown>): boolean {
  return Object.entries(pattern).every(([field, wanted]) => {
    const found = event[field];
    if (!Array.isArray(wanted)) return isRecord(found) && matches(wanted as Pattern, found);
    return wanted.some((value) => (typeof value === 'string' ? value === found : isLike(value, found)));
  });
}

function isLike(condition: Record<string, string>, found: unknown): boolean {
  const { wildcard, ...others } = condition;
  if (wildcard === undefined || Object.keys(others).length > 0)
    throw new Error(`this test does not know the condition ${JSON.stringify(condition)}`);
  const parts = wildcard.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return typeof found === 'string' && new RegExp(`^${parts.join('.*')}$`).test(found);
}

describe('the alarm', () => {
  const rule = only<{ Name: string; EventPattern: Pattern }>('backup.yaml', 'AWS::Events::Rule');
  const alarm = (given: Record<string, Value> = {}) =>
    only<Record<string, unknown>>('backup.yaml', 'AWS::CloudWatch::Alarm', given);

  /** Whether the rule hears what S3 tells EventBridge: the whole event, as AWS documents it (S3 user guide, ev-events). */
  const hears = (bucket: string, key: string, type = 'Object Created'): boolean =>
    matches(rule.EventPattern, {
      ...{ version: '0', id: '17793124-05d4-b198-2fde-7ededc63b103', 'detail-type': type, source: 'aws.s3' },
      ...{ account: '123456789012', time: '2026-11-23T02:00:11Z', region: 'us-east-2' },
      resources: [`arn:aws:s3:::${bucket}`],
      detail: {
        ...{ version: '0', bucket: { name: bucket } },
        object: {
          ...{ key, size: 2345, etag: 'b1946ac92492d2347c6235b4d2611184', sequencer: '617f08299329d189' },
          'version-id': 'IYV3p45BT0ac8hjHg1houSdS1a.Mro8e',
        },
        ...{ 'request-id': 'N4N7GDK58NMKJ12R', requester: '123456789012', 'source-ip-address': '192.0.2.3' },
        reason: type === 'Object Created' ? 'PutObject' : 'Lifecycle Expiration',
      },
    });

  test.each([
    ['a new manifest', true, 'isso-backups', keyOf('daily')],
    ['a manifest of another tier', true, 'isso-backups', keyOf('monthly')],
    ['a database', false, 'isso-backups', keyOf('daily').replace('manifest.json', 'database-0.sqlite.zst')],
    ["production's manifest", false, 'isso-backups', keyOf('daily').replace('staging', 'production')],
    ['a manifest among the proven', false, 'isso-backups', keyOf('daily').replace('backups', 'proven')],
    ['a manifest in another bucket', false, 'other-backups', keyOf('daily')],
    ['the receipt of a drill', false, 'isso-backups', 'drills/isso/staging/20261123T040000Z.json'],
    ['what only begins with its name', false, 'isso-backups', `${keyOf('daily')}.part`],
    ["another app's manifest", false, 'isso-backups', keyOf('daily').replace('isso', 'isso2')],
  ])('%s: %s', (_, heard, bucket, key) => {
    expect(hears(bucket, key)).toBe(heard);
  });

  test('does not take a manifest that expired for a new one', () => {
    expect(hears('isso-backups', keyOf('daily'), 'Object Deleted')).toBe(false);
  });

  test('counts what that rule heard, and takes silence for a failure', () => {
    expect(alarm()).toMatchObject({
      Namespace: 'AWS/Events',
      Dimensions: [{ Name: 'RuleName', Value: rule.Name }],
      ComparisonOperator: 'LessThanThreshold',
      Threshold: 1,
      TreatMissingData: 'breaching',
      EvaluationPeriods: 26,
      Period: 3600,
    });
  });

  test('mails whoever is to be told, and is red for nobody as well', () => {
    expect(alarm()['AlarmActions']).toBeNull();
    expect(alarm({ AlarmEmail: 'you@example.org' })['AlarmActions']).toEqual([
      expect.stringContaining('no-backup'),
    ]);
  });

  test('is for nothing unless the bucket tells EventBridge of its objects', () => {
    const bucket = only<Record<string, unknown>>('foundation.yaml', 'AWS::S3::Bucket', { WorkflowRefs: [] });
    expect(bucket['NotificationConfiguration']).toEqual({
      EventBridgeConfiguration: { EventBridgeEnabled: true },
    });
  });
});
