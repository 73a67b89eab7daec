// Staging and production of one app in one account, whose deploys and promotions are played by the bundles themselves.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DescribeAddressesCommand, DescribeImagesCommand, EC2Client } from '@aws-sdk/client-ec2';
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { ListCommandsCommand, SSMClient } from '@aws-sdk/client-ssm';
import { git } from '../../../rehearsal/cloud/caller.ts';
import { type Cloud, onHost, operatorClient } from '../../../rehearsal/cloud/cloud.ts';
import { ensureHosts } from '../../../rehearsal/cloud/enrol.ts';
import { provision } from '../../../rehearsal/cloud/provision.ts';
import { type RecordedCall, readCalls } from '../../../rehearsal/gateway/record.ts';
import { Job, type Started, type Step } from '../../../rehearsal/runner/step.ts';
import { app, makeRepository, sickFile, writeVersion } from './app.ts';

const repository = `acme/${app}`;

/** A commit with its packed release and its tag. */
export interface Packed {
  readonly id: string;
  readonly archive: string;
  readonly commit: string;
  readonly tag: string;
}

export interface Told {
  readonly result: string;
  readonly reason: string;
  readonly sentence: string;
  readonly todo: string;
}

export const toldBy = ({ outputs }: Step): Told => JSON.parse(outputs['result'] ?? '{}');

/** What a promotion is asked. */
export interface Asked {
  readonly inputs?: Record<string, string>;
  readonly env?: Record<string, string>;
  readonly run?: number;
  readonly attempt?: number;
}

export class Stage {
  readonly cloud: Cloud;
  readonly staging: string;
  readonly production: string;
  readonly folder: string;
  readonly s3: S3Client;
  readonly #deploys: Job;
  readonly #promotions: Job;
  #version = 0;
  #run = 1000;

  private constructor(cloud: Cloud, folder: string, hosts: readonly string[], jobs: readonly [Job, Job]) {
    this.cloud = cloud;
    this.folder = folder;
    [this.staging = '', this.production = ''] = hosts;
    [this.#deploys, this.#promotions] = jobs;
    this.s3 = new S3Client({ ...operatorClient(cloud), forcePathStyle: true });
  }

  /** Provisions both environments, with a host each; production watches for so long. */
  static async open(cloud: Cloud, bake = '2s'): Promise<Stage> {
    const folder = await makeRepository(cloud, bake);
    await writeVersion(folder, 0);
    const hosts: string[] = [];
    for (const environment of ['staging', 'production']) {
      const place = { app, environment, folder };
      await provision(cloud, { ...place, repository });
      hosts.push(...(await ensureHosts(cloud, place)));
    }
    const jobs = [
      await Job.open(cloud, repository),
      await Job.open(cloud, repository, 'promote.yml', 'production'),
    ] as const;
    const stage = new Stage(cloud, folder, hosts, jobs);
    const file = '/etc/amazon/ssm/amazon-ssm-agent.json';
    const hurry = `jq '.Agent.PollPauseSeconds = 0' ${file} > /tmp/c && cp /tmp/c ${file} && systemctl restart amazon-ssm-agent`;
    for (const host of hosts) await stage.ask(host, hurry);
    return stage;
  }

  /** Runs a line on a host, as somebody would who sits before it. */
  async ask(host: string, line: string): Promise<string> {
    const { code, stdout, stderr } = await onHost(this.cloud, host, ['bash', '-c', line]);
    if (code !== 0) throw new Error(`"${line}" ended with ${code}: ${stderr}`);
    return stdout.trim();
  }

  /** Commits the next version of the app, tags and packs it. */
  async pack(): Promise<Packed> {
    this.#version += 1;
    await writeVersion(this.folder, this.#version);
    return this.packHead(`v1.${this.#version}.0`);
  }

  async packHead(tag: string): Promise<Packed> {
    await git(this.folder, 'tag', tag);
    const archive = join(this.cloud.state, `${tag}.tar.gz`);
    const commit = (await git(this.folder, 'rev-parse', 'HEAD')).trim();
    const { outputs } = await this.#deploys.run('pack-release', { path: this.folder, archive, commit });
    return { id: outputs['release'] ?? '', archive, commit, tag };
  }

  /** Deploys to staging, whose log of checks then tells of so many hours: nobody waits for a day here. */
  async soak(packed: Packed, hours = 25): Promise<Packed> {
    const told = await this.deploy(packed);
    if (told.result !== 'done') throw new Error(`${told.reason}: ${told.sentence}`);
    await this.writeLog([packed, hours]);
    return packed;
  }

  /**
   * Writes the log of checks anew: of each release in its turn a line each minute, for so many hours, the last until now.
   */
  async writeLog(...spans: readonly (readonly [Packed, hours: number])[]): Promise<void> {
    let left = spans.reduce((sum, [, hours]) => sum + hours, 0);
    const lines = spans.map(([{ id }, hours]) => {
      const short = id.slice(0, 12);
      const from = left;
      left -= hours;
      const fields = `release: "${short}", digest: "${id}", $invocation, restarts: 0, ok: true, problem: ""`;
      return `invocation=$(systemctl show --property InvocationID --value ${app}@${short}.service)
      jq -nc --arg invocation "$invocation" --argjson now "$now" \
        'range($now - ${from} * 3600; $now - ${left} * 3600 + 1; 60) | {t: ., ${fields}}'`;
    });
    const folder = `/var/lib/understudy/${app}/checks`;
    await this.ask(
      this.staging,
      `now=$(date +%s); install -d -m 0700 ${folder}; rm -f ${folder}/*
      { ${lines.join('\n')}
      } >"${folder}/$(date -u +%F).jsonl"`,
    );
  }

  async deploy({ archive, id }: Packed): Promise<Told> {
    const inputs = {
      archive,
      release: id,
      environment: 'staging',
      excerpts: 'auto',
      'github-token': 'ghs_x',
    };
    this.#run += 1;
    return toldBy(await this.#deploys.run('deploy-staging', inputs, { GITHUB_RUN_ID: String(this.#run) }));
  }

  nextRun(): number {
    this.#run += 1;
    return this.#run;
  }

  /** Plays the main step of a promotion, with GitHub told of the attempt. */
  async promote(packed: Packed, asked: Asked = {}): Promise<Step> {
    const run = asked.run ?? this.nextRun();
    const step = await (await this.start(packed, { ...asked, run })).ended;
    await this.tellGitHub(run, asked.attempt ?? 1, 'completed');
    return step;
  }

  async start(packed: Packed, asked: Asked): Promise<Started> {
    await this.tellGitHub(asked.run ?? 1, asked.attempt ?? 1, 'in_progress');
    return this.#promotions.start('promote', this.#inputsOf(asked), this.#envOf(packed, asked));
  }

  /** Plays the post step, with what main saved for it. */
  post(packed: Packed, { state }: Step, asked: Asked): Promise<Step> {
    const saved = Object.entries(state).map(([name, value]) => [`STATE_${name}`, value]);
    const env = this.#envOf(packed, { ...asked, env: Object.fromEntries(saved) });
    return this.#promotions.run('promote', this.#inputsOf(asked), env);
  }

  #inputsOf({ inputs = {} }: Asked): Record<string, string> {
    return { config: join(this.folder, 'understudy.yml'), 'github-token': 'ghs_x', ...inputs };
  }

  #envOf({ tag, commit }: Packed, { run = 1, attempt = 1, env = {} }: Asked): Record<string, string> {
    const attempted = { GITHUB_RUN_ID: String(run), GITHUB_RUN_ATTEMPT: String(attempt) };
    return { GITHUB_REF: `refs/tags/${tag}`, GITHUB_SHA: commit, ...attempted, ...env };
  }

  async tellGitHub(id: number, attempt: number, status: 'in_progress' | 'completed'): Promise<void> {
    await this.#github('PUT', '/_cloud/runs', { repository, id, run_attempt: attempt, status });
  }

  /** Makes the ruleset that keeps version tags from being moved; gives its id. */
  async protectTags(): Promise<number> {
    const conditions = { ref_name: { include: ['refs/tags/v*'], exclude: [] } };
    const rules = [{ type: 'update' }, { type: 'deletion' }];
    const ruleset = { name: 'versions', target: 'tag', enforcement: 'active', conditions, rules };
    const made = await this.#github('POST', `/repos/${repository}/rulesets`, ruleset);
    return (made as { id: number }).id;
  }

  async unprotectTags(id: number): Promise<void> {
    await this.#github('DELETE', `/repos/${repository}/rulesets/${id}`);
  }

  /** Makes a release of GitHub's for a tag. */
  async publish(tag: string, body: string): Promise<void> {
    await this.#github('POST', `/repos/${repository}/releases`, { tag_name: tag, body });
  }

  async notesOf(tag: string): Promise<string> {
    return ((await this.#github('GET', `/repos/${repository}/releases/tags/${tag}`)) as { body: string })
      .body;
  }

  async #github(method: string, path: string, body?: unknown): Promise<unknown> {
    const headers = { 'content-type': 'application/json' };
    const sent = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) };
    const text = await (await fetch(this.cloud.githubUrl + path, sent)).text();
    return text === '' ? undefined : JSON.parse(text);
  }

  /** The first 12 digits of the release that is live on a host. */
  async live(host: string): Promise<string> {
    return (await this.ask(host, `readlink -f /srv/${app}/current || true`)).split('/').at(-1) ?? '';
  }

  /** Resolves when nothing is at work on production any more, or on its way there, as after a runner that died. */
  async idle(): Promise<void> {
    const ssm = new SSMClient(operatorClient(this.cloud));
    for (;;) {
      const { Commands = [] } = await ssm.send(new ListCommandsCommand({ InstanceId: this.production }));
      if (Commands.every(({ Status = '' }) => !['Pending', 'InProgress'].includes(Status))) break;
      await new Promise((next) => setTimeout(next, 100));
    }
  }

  /** A version answers errors on a host from now on. */
  async sicken(host: string, version: string): Promise<void> {
    await this.ask(host, `printf %s "${version}" > ${sickFile}`);
  }

  /** How often a release was begun to be made live on production. */
  async timesLive({ id }: Packed): Promise<number> {
    const journals = `/var/lib/understudy/${app}/operations/*-promote-production`;
    const found = await this.ask(
      this.production,
      `grep --files-with-matches --recursive '"step":"switch"' ${journals} | xargs --no-run-if-empty dirname | sort -u |
      while read -r folder; do grep --quiet --recursive ${id.slice(0, 12)} "$folder" && echo "$folder"; done | wc -l`,
    );
    return Number(found);
  }

  /** Another run holds production's lease. */
  async holdLease(run: number): Promise<void> {
    const key = `leases/${app}/production.json`;
    const bucket = `${app}-production-understudy`;
    const expires = new Date(Date.now() + 600_000).toISOString();
    const { fence } = JSON.parse(await this.read(bucket, key)) as { fence: number };
    const operation = `1-${run}-1-promote-production`;
    const holder = { repository, run: String(run), attempt: 1, operation, nonce: 'another' };
    await this.put(bucket, key, { schema: 1, state: 'held', fence, expires, ...holder });
  }

  /** Puts the archive of a release where it was. */
  async restoreArchive(key: string, { archive }: Packed): Promise<void> {
    await this.put(`${app}-understudy`, key, await readFile(archive));
  }

  get version(): string {
    return String(this.#version);
  }

  async put(Bucket: string, Key: string, body: unknown): Promise<void> {
    const Body = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
    await this.s3.send(new PutObjectCommand({ Bucket, Key, Body }));
  }

  async keys(Bucket: string, Prefix: string): Promise<string[]> {
    const { Contents = [] } = await this.s3.send(new ListObjectsV2Command({ Bucket, Prefix }));
    return Contents.map(({ Key = '' }) => Key);
  }

  async read(Bucket: string, Key: string): Promise<string> {
    const { Body } = await this.s3.send(new GetObjectCommand({ Bucket, Key }));
    return (await Body?.transformToString()) ?? '';
  }

  async ledger(operation: string): Promise<readonly Record<string, unknown>[]> {
    const bucket = `${app}-production-understudy`;
    const keys = await this.keys(bucket, `ledger/${app}/production/`);
    const all = await Promise.all(keys.map(async (key) => JSON.parse(await this.read(bucket, key))));
    return all.filter((entry) => entry.operation === operation);
  }

  /** A proof that a backup of production restores. */
  async prove(hoursAgo: number, verdict = 'verified', reached = 7): Promise<string> {
    const drilled = new Date(Date.now() - hoursAgo * 3_600_000).toISOString();
    const key = `drills/${app}/production/${drilled.replace(/[-:]|\.\d+/g, '')}.json`;
    await this.put(`${app}-production-backups`, key, {
      ...{ schema: 1, app, environment: 'production', operation: 'o', run: 'r', drilled, verdict },
      ...{ where: 'drill-host', level: { asked: 7, reached }, backup: 'b', restorable: 'b', levels: [] },
      ...{ control: 'refused', rpo: null, rto: { ms: 1, phases: [] }, size: null },
    });
    return key;
  }

  /** The images of production, by EC2's word. */
  async images(): Promise<string[]> {
    const ec2 = new EC2Client(operatorClient(this.cloud));
    const Filters = ['App', 'Environment'].map((tag, at) => ({
      ...{ Name: `tag:${tag}`, Values: [[app, 'production'][at] ?? ''] },
    }));
    const { Images = [] } = await ec2.send(new DescribeImagesCommand({ Owners: ['self'], Filters }));
    return Images.map(({ Name = '' }) => Name);
  }

  /** The addresses of the account. */
  async addresses(): Promise<string[]> {
    const ec2 = new EC2Client(operatorClient(this.cloud));
    const { Addresses = [] } = await ec2.send(new DescribeAddressesCommand({}));
    return Addresses.map(({ PublicIp = '' }) => PublicIp);
  }

  /** Whether somebody holds production's lease, as it is written. */
  async lease(): Promise<'held' | 'released'> {
    const key = `leases/${app}/production.json`;
    return JSON.parse(await this.read(`${app}-production-understudy`, key)).state;
  }

  /** The keys of the manifests of production's backups. */
  async backups(): Promise<string[]> {
    const keys = await this.keys(`${app}-production-backups`, 'backups/');
    return keys.filter((key) => key.endsWith('manifest.json'));
  }

  /** All calls of AWS so far, whoever made them. */
  calls(): RecordedCall[] {
    return readCalls(join(this.cloud.state, 'calls.jsonl'));
  }
}
