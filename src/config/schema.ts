import * as z from 'zod/mini';
import { durationPattern, toMilliseconds } from './durations.ts';

// Without a locale every message of zod/mini reads "Invalid input".
z.config(z.locales.en());

/** What a person is told about a key: in the editor, and when its value is wrong. */
type Guidance = { readonly description: string; readonly examples: readonly unknown[] };

/** The guidance of each schema below; `expectationAt` reads it for errors, the JSON Schema for editors. */
export const guidance = z.registry<Guidance>();

function key<Schema extends z.core.$ZodType>(
  schema: Schema,
  description: string,
  ...examples: unknown[]
): Schema {
  guidance.add(schema, { description, examples });
  return schema;
}

const matching = (pattern: RegExp) => z.string().check(z.regex(pattern));
const wholeNumber = (from: number, to: number) => z.int().check(z.minimum(from), z.maximum(to));

/** A duration between two others, in milliseconds once parsed. */
function duration(from: string, to: string) {
  const [least, most] = [toMilliseconds(from) ?? 0, toMilliseconds(to) ?? Infinity];
  return z.pipe(
    matching(durationPattern),
    z.transform((written: string, context) => {
      const milliseconds = toMilliseconds(written) ?? Number.NaN;
      if (milliseconds < least || milliseconds > most) {
        context.issues.push({ code: 'custom', input: written, message: `must be from ${from} to ${to}` });
      }
      return milliseconds;
    }),
  );
}

/** Lists in which the same thing twice could only be a slip. */
function distinct<Element extends z.core.SomeType>(element: Element, atMost: number) {
  return z.array(element).check(
    z.maxLength(atMost),
    z.refine((list: unknown[]) => new Set(list).size === list.length, {
      error: 'must not name the same twice',
    }),
  );
}

// Instances of drills bear the tag Environment=drill, and roles go by it.
const environmentName = /^(?!drill$)[a-z][a-z0-9-]{1,19}$/;
// The units of such an app would be those of another, or ours: prepare-host refuses it as well.
const appName = /^(?!understudy(-|$))(?!.*-(probe|rehearse|worker|pause)$)[a-z][a-z0-9-]{1,19}$/;
const userName = /^(?!root$|understudy-build$|.*-rehearse$)[a-z][a-z0-9-]{0,30}$/;
const workerName = /^[a-z][a-z0-9-]{0,19}$/;
const bucketName = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/;
const regionName = /^[a-z]{2}(-[a-z]+)+-[0-9]$/;
const roleArn = /^arn:aws[a-z-]*:iam::[0-9]{12}:role\/[A-Za-z0-9+=,.@_/-]{1,500}$/;
const webAddress = /^https?:\/\/[A-Za-z0-9[\]:._~-]+(\/[!-~]*)?$/;
const requestPath = /^\/[!-~]{0,500}$/;
const mediaType = /^[a-z0-9][a-z0-9!#$&^_.+-]*\/[a-z0-9][a-z0-9!#$&^_.+-]*$/;
// Below the shared folder: no way up or out, nothing that a program could take for an option, no control characters.
const pathBelow = /^(?![-/])(?!(.*\/)?\.{0,2}(\/|$))[^\p{Cc}\\]{1,255}$/u;

const rollout = z.strictObject({
  concurrency: key(
    z.prefault(wholeNumber(1, 50), 1),
    'How many instances take the release at the same time: a whole number from 1 to 50.',
    1,
  ),
  errors: key(
    z.prefault(wholeNumber(0, 50), 0),
    'How many instances may fail before no further one is asked: a whole number from 0 to 50.',
    0,
  ),
  partial: key(
    z.prefault(z.enum(['take-back', 'keep']), 'take-back'),
    'What the instances do that took a release which more than `errors` others did not take: take-back (they get the release back that they had before, where the data still fits it) or keep.',
    'take-back',
  ),
  delivery: key(
    z.prefault(duration('30s', '1h'), '2m'),
    'How long the agent of an instance may take to take the command, before the instance counts as unreachable: a duration from 30s to 1h.',
    '2m',
  ),
  timeout: key(
    z.optional(duration('1m', '4h')),
    'How long one instance may take over a deploy or a restore: a duration from 1m to 4h. Without it, ten minutes, and as long as its starts, its checks and its data may take.',
    '15m',
  ),
});

const environmentKeys = z.strictObject({
  bucket: key(
    matching(bucketName),
    'The state bucket: the name of an S3 bucket, without dots.',
    'chatmrpt-understudy',
  ),
  backups: key(
    z.optional(matching(bucketName)),
    'The backup bucket, another than the state bucket: the name of an S3 bucket, without dots. Without it there are no backups.',
    'chatmrpt-understudy-backups',
  ),
  'role-arn': key(
    z.optional(matching(roleArn)),
    "The role that the job takes by its OIDC token: the ARN of an IAM role. Without it the job's own credentials are used.",
    'arn:aws:iam::111122223333:role/chatmrpt-staging-ci',
  ),
  'promoter-arn': key(
    z.optional(matching(roleArn)),
    'The role that a promotion from here takes to read what was proven here: the ARN of an IAM role of infra/foundation.yaml. Without it nothing is promoted from here.',
    'arn:aws:iam::111122223333:role/chatmrpt-staging-promoter',
  ),
  url: key(
    z.optional(matching(webAddress)),
    'Where people reach this environment, shown in summaries: an http or https address.',
    'https://staging.example.org',
  ),
  rollout: key(z.prefault(rollout, {}), 'How a fleet takes a release.', { concurrency: 1, errors: 0 }),
  soak: key(
    z.prefault(duration('0s', '30d'), '24h'),
    'How long a release must have been healthy in staging before it may come here: a duration up to 30d.',
    '24h',
  ),
  bake: key(
    z.prefault(duration('0s', '6h'), '10m'),
    'How long a promoted release is watched before it counts as good: a duration up to 6h.',
    '10m',
  ),
  proof: key(
    z.prefault(duration('1h', '30d'), '36h'),
    'How old the newest proof that a backup restores may be: a duration from 1h to 30d.',
    '36h',
  ),
});

// Where backups go must outlive what can be done to the state.
const environment = environmentKeys.check(
  z.refine(({ bucket, backups }) => bucket !== backups, {
    path: ['backups'],
    error: 'must be another bucket than `bucket`',
  }),
);

const service = z.strictObject({
  listen: key(
    wholeNumber(1024, 65_535),
    'The port that users reach: a whole number from 1024 to 65535.',
    8080,
  ),
  user: key(
    z.optional(matching(userName)),
    'The system user that the app runs as, never root nor one of ours (understudy-build, -rehearse): lower-case letters, digits and hyphens. Without it, the name of the app.',
    'chatmrpt',
  ),
  switch: key(
    z.prefault(z.enum(['pause', 'overlap', 'restart']), 'pause'),
    'How a new release takes over: pause (requests wait), overlap (both serve for a moment: sessions and assets must be compatible, with no background work in the web process) or restart (for servers that cannot take a socket).',
    'pause',
  ),
  notify: key(
    z.prefault(z.boolean(), true),
    'Whether the server tells systemd that it is ready (gunicorn does): true or false.',
    true,
  ),
  'start-timeout': key(
    z.prefault(duration('1s', '15m'), '60s'),
    'How long the app may take to start: a duration from 1s to 15m.',
    '60s',
  ),
});

const check = z.strictObject({
  path: key(matching(requestPath), 'What is asked: a path on the app, beginning with a slash.', '/health'),
  status: key(
    z.prefault(wholeNumber(100, 599), 200),
    'The HTTP status that it must answer: a whole number from 100 to 599.',
    200,
  ),
  type: key(
    z.optional(matching(mediaType)),
    'The content type that it must answer: a media type without parameters, in lower case.',
    'application/json',
  ),
  json: key(
    z.optional(
      z.record(
        z.string().check(z.minLength(1), z.maxLength(100)),
        z.union([z.string().check(z.maxLength(1000)), z.number(), z.boolean(), z.null()]),
      ),
    ),
    'Fields that the answer must hold at its top level, as JSON: names with a string, number, boolean or null each.',
    { status: 'ok' },
  ),
  timeout: key(
    z.prefault(duration('1s', '2m'), '5s'),
    'How long the answer may take: a duration from 1s to 2m.',
    '5s',
  ),
});

const path = key(
  matching(pathBelow),
  'A path below the shared folder ($UNDERSTUDY_SHARED): relative, without "." or ".." in it.',
  'app.db',
);

const column = /^[A-Za-z_]\w{0,63}\.[A-Za-z_]\w{0,63}$/;

const dataKeys = z.strictObject({
  databases: key(z.prefault(distinct(path, 20), []), 'The SQLite databases: a list of paths.', ['app.db']),
  include: key(z.prefault(distinct(path, 50), []), 'What else a backup holds: a list of paths.', ['uploads']),
  exclude: key(z.prefault(distinct(path, 50), []), 'What a backup leaves out: a list of paths.', ['logs']),
  newest: key(
    z.prefault(
      z.record(
        path,
        key(
          distinct(key(matching(column), 'A column, as table.column.', 'users.created'), 20),
          'The columns of one of `databases`: a list of table.column.',
          ['users.created'],
        ),
      ),
      {},
    ),
    'The columns that tell when the newest row was written, by database: a backup notes the greatest value of each, and a drill tells when it is too old.',
    { 'app.db': ['users.created'] },
  ),
  'busy-timeout': key(
    z.prefault(duration('1s', '5m'), '5s'),
    'How long the app waits for a database that is locked (its busy_timeout). A backup that would hold writers for more than half of it is refused: a duration from 1s to 5m.',
    '5s',
  ),
});

const data = dataKeys.check(
  z.superRefine(({ databases, newest }, context) => {
    for (const database of Object.keys(newest).filter((name) => !databases.includes(name))) {
      context.addIssue({
        code: 'custom',
        path: ['newest', database],
        input: newest[database],
        message: 'must be one of databases',
      });
    }
  }),
);

const backup = z.strictObject({
  local: key(
    z.prefault(duration('1d', '90d'), '7d'),
    'How long copies of backups stay on the host, and what restores set aside there; the newest always does: a duration from 1d to 90d.',
    '7d',
  ),
  stale: key(
    z.prefault(duration('1h', '365d'), '30d'),
    'How old the newest row that `data.newest` names may be when a backup was made, before a drill fails: a duration from 1h to 365d.',
    '30d',
  ),
});

/** understudy.yml as it is written; what parsing gives back has every default and milliseconds for durations. */
export const schema = key(
  z.strictObject({
    app: key(
      matching(appName),
      'The name of the app: 2 to 20 lower-case letters, digits and hyphens, beginning with a letter; not understudy nor beginning with understudy-, nor ending in -probe, -rehearse, -worker or -pause, which units of ours have.',
      'chatmrpt',
    ),
    region: key(matching(regionName), 'The AWS region: its code.', 'us-east-2'),
    environments: key(
      z
        .record(
          key(
            matching(environmentName),
            'The name of an environment: 2 to 20 lower-case letters, digits and hyphens, beginning with a letter; not drill, which the hosts of drills are.',
            'staging',
          ),
          key(environment, 'An environment: the instances with the tags App and Environment.', {
            bucket: 'chatmrpt-understudy',
          }),
        )
        .check(
          z.refine((environments) => Object.keys(environments).length > 0, {
            error: 'must name at least one',
          }),
        ),
      'The environments: at least one, each with the name that the tag Environment has.',
      { staging: { bucket: 'chatmrpt-understudy' } },
    ),
    service: key(service, 'How the app serves.', { listen: 8080 }),
    workers: key(
      z.prefault(distinct(key(matching(workerName), 'The name of a worker.', 'scheduler'), 8), []),
      'Background programs with a unit of their own: up to 8 names, each with an executable .understudy/workers/<name>.',
      ['scheduler'],
    ),
    checks: key(
      z
        .array(key(check, 'A request that a healthy app answers.', { path: '/health' }))
        .check(z.minLength(1), z.maxLength(20)),
      'What a healthy app answers: a list of 1 to 20 requests.',
      [{ path: '/health', type: 'application/json', json: { status: 'ok' } }],
    ),
    data: key(z.prefault(data, {}), 'What outlives releases, below $UNDERSTUDY_SHARED.', {
      databases: ['app.db'],
    }),
    backup: key(z.prefault(backup, {}), 'What is kept of backups on the host, and expected of their data.', {
      local: '7d',
    }),
    keep: key(
      z.prefault(wholeNumber(2, 50), 5),
      'How many releases stay on a host: a whole number from 2 to 50.',
      5,
    ),
  }),
  'What Understudy must know of an app.',
  { app: 'chatmrpt', region: 'us-east-2' },
);

export type Written = z.infer<typeof schema>;
