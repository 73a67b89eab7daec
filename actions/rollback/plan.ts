import { ConfigurationError } from '../../src/action/errors.ts';
import type { Job } from '../../src/action/job.ts';
import { secondsOfRollback } from '../../src/config/allowance.ts';
import type { Config } from '../../src/config/config.ts';
import { findBackedUp, withoutRole } from '../../src/config/parse.ts';
import { describeOperation, type Operation } from '../../src/operation/operation.ts';
import { type Wish as BackupWish, readWish } from '../../src/rollback/backups.ts';
import { type ReleaseWish, readReleaseWish } from '../../src/rollback/releases.ts';

/** What goes back, and to which: an image by its id, empty for the newest golden one. */
export type Wish =
  | { readonly backup: BackupWish }
  | { readonly release: ReleaseWish }
  | { readonly image: string };

/** Refused where it has another schema than the release ran on; taken as it is; or brought back, to a backup of that release. */
export type WhichData = 'same' | 'keep' | 'restore';

/** What will be done, decided before anything is. */
export interface Plan {
  readonly operation: Operation;
  /** The backup bucket. */
  readonly backups: string;
  readonly wish: Wish;
  /** How an earlier release may meet today's data. */
  readonly data: WhichData;
  /** Whether it is only told. */
  readonly dry: boolean;
  /** Whether what an instance wrote that does not answer may be lost. */
  readonly confirmed: boolean;
  readonly service: Config['service'];
  readonly workers: Config['workers'];
  /** Seconds that one instance may take to go back to a release. */
  readonly timeout: number;
  /** Seconds that the agent of an instance may take to take a command. */
  readonly delivery: number;
}

interface Asked {
  readonly environment: string;
  readonly what: 'release' | 'data' | 'image';
  readonly to: string;
  readonly data: WhichData;
  readonly plan: 'true' | 'false';
  readonly confirm: 'true' | 'false';
  readonly 'role-arn': string | undefined;
}

/** Plans a rollback from values alone. */
export function planRollback(asked: Asked, job: Job, config: Config): Plan {
  const environment = findBackedUp(config, asked.environment, 'with a backup to go back to');
  const { backups } = environment;
  const wish = readWishOf(asked);
  const { app, region, service, workers } = config;
  const document = asked.what === 'release' && asked.data !== 'restore' ? 'rollback' : 'restore';
  const described = { action: `rollback-${asked.what}`, document, app, region } as const;
  return {
    operation: describeOperation(job, {
      ...{ ...described, roleArn: asked['role-arn'] },
      environment: withoutRole(environment),
    }),
    ...{ backups, wish, data: asked.data, dry: asked.plan === 'true', service, workers },
    confirmed: asked.confirm === 'true',
    timeout: secondsOfRollback(config, environment),
    delivery: environment.rollout.deliveryMs / 1000,
  };
}

function readWishOf({ what, to, data }: Asked): Wish {
  const where = to === 'default' ? undefined : to;
  if (what === 'release') return { release: readReleaseWish(where) };
  if (data !== 'same') {
    throw new ConfigurationError({
      where: 'input data',
      what: `${data} says what an earlier release meets; with what: ${what}, the data goes back by itself.`,
      how: 'Leave it out, or ask for what: release.',
    });
  }
  return what === 'image' ? { image: readImageWish(where) } : { backup: readWish(where) };
}

function readImageWish(to: string | undefined): string {
  if (to === undefined || to === 'newest-golden') return '';
  if (/^ami-[0-9a-f]{8,17}$/.test(to)) return to;
  throw new ConfigurationError({
    where: 'input to',
    what: `It must be newest-golden, or the id of an image, not ${JSON.stringify(to)}.`,
    how: 'Example: to: newest-golden',
  });
}

/** The plan in lines, as it is printed. */
export function describePlan({ operation, backups, dry }: Plan): string[] {
  return [
    `operation   ${operation.id}`,
    `of          ${operation.app} in ${operation.environment}, region ${operation.region}`,
    `from        ${backups}`,
    ...(dry ? ['plan        it is told, and nothing is changed'] : []),
  ];
}
