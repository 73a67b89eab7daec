// The ground of tests of drills: an app's account and calling workflow, on a cloud of their own.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { callerRepository } from '../../rehearsal/cloud/caller.ts';
import { type Cloud, operatorClient, startCloud, stopCloud } from '../../rehearsal/cloud/cloud.ts';
import { provision } from '../../rehearsal/cloud/provision.ts';
import { type RecordedCall, readCalls } from '../../rehearsal/gateway/record.ts';
import { type DeniedCall, findDeniedCalls } from '../../rehearsal/policies/calls.ts';
import { holdersIn } from '../../rehearsal/policies/foundation.ts';
import { Job, type Step } from '../../rehearsal/runner/step.ts';

export interface Told {
  readonly result: string;
  readonly reason: string;
  readonly sentence: string;
  readonly todo: string;
}

export const toldBy = ({ outputs }: Step): Told => JSON.parse(outputs['result'] ?? '{}');

interface Of {
  readonly app: string;
  readonly environment: string;
  readonly repository: string;
  /** The backup bucket. */
  readonly Bucket: string;
}

export class Drills {
  readonly cloud: Cloud;
  readonly job: Job;
  readonly s3: S3Client;
  /** The calling repository. */
  readonly folder: string;
  /** A folder that goes with the ground. */
  readonly work: string;
  readonly #of: Of;

  private constructor(cloud: Cloud, job: Job, folder: string, work: string, of: Of) {
    this.cloud = cloud;
    this.job = job;
    this.s3 = new S3Client({ ...operatorClient(cloud), forcePathStyle: true });
    this.folder = folder;
    this.work = work;
    this.#of = of;
  }

  /** `callerIn` gives the folder of the calling repository, which it may make in a folder of the ground's. */
  static async raise(
    name: string,
    of: Of,
    callerIn: (work: string) => string | Promise<string>,
  ): Promise<Drills> {
    const { app, environment, repository } = of;
    const cloud = await startCloud({ name });
    const work = await mkdtemp(join(tmpdir(), 'understudy-drills-'));
    const folder = await callerRepository(cloud, app, await callerIn(work));
    await provision(cloud, { app, environment, folder, repository });
    return new Drills(cloud, await Job.open(cloud, repository, 'verify-backup.yml'), folder, work, of);
  }

  async lower(): Promise<void> {
    await stopCloud(this.cloud.name);
    await rm(this.work, { recursive: true, force: true });
  }

  /** What every drill is given. */
  get inputs(): Record<string, string> {
    const { app, environment } = this.#of;
    const config = join(this.folder, 'understudy.yml');
    const role = `arn:aws:iam::${this.cloud.account}:role/${app}-${environment}-drill`;
    return { environment, config, 'role-arn': role, 'github-token': 'ghs_x' };
  }

  /** The receipt that a drill wrote, as JSON. */
  async receiptOf({ outputs }: Step): Promise<string> {
    const Key = outputs['receipt'] ?? '';
    const { Body } = await this.s3.send(new GetObjectCommand({ Bucket: this.#of.Bucket, Key }));
    return (await Body?.transformToString()) ?? '';
  }

  /** The calls of principals whose names begin with that of the role of drills. */
  get calls(): RecordedCall[] {
    const { app, environment } = this.#of;
    const own = `role/${app}-${environment}-drill`;
    return readCalls(join(this.cloud.state, 'calls.jsonl')).filter(({ principal }) =>
      principal.startsWith(own),
    );
  }

  /** Those of the calls that infra/drill.yaml does not allow. */
  async denied(calls: RecordedCall[]): Promise<DeniedCall[]> {
    const { app, environment, repository, Bucket } = this.#of;
    const workflow = `understudy-actions/understudy/.github/workflows/verify-backup.yml@${'0'.repeat(40)}`;
    const parameters = {
      ...{ App: app, Environment: environment, Repository: repository, RepositoryId: '1' },
      ...{ WorkflowRefs: [workflow], OidcProviderArn: 'arn:aws:iam::123456789012:oidc-provider/x' },
      ...{ StateBucketName: `${app}-understudy`, BackupBucketName: Bucket },
    };
    const { account, region } = this.cloud;
    return findDeniedCalls(calls, holdersIn({ account, region, parameters }, 'drill'));
  }
}
