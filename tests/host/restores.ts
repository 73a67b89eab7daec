// What the tests of restores share: a request as the runner or an operator makes it, and backups that were damaged.
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { type Cloud, operatorClient } from '../../rehearsal/cloud/cloud.ts';
import { server } from '../../rehearsal/torture/shop.ts';
import { Backups, type Manifest, type Parameters } from './backups.ts';
import { type Details, type Host, type Result, raiseHost } from './ground.ts';

export const shared = '/srv/shop/shared';

export interface Level {
  readonly level: number;
  readonly verdict: 'passed' | 'failed' | 'could-not-run';
  readonly ms: number;
  readonly evidence: string;
}

export type RestoreDetails = Details & { readonly levels: readonly Level[]; readonly control: string };

export type With = 'databases' | 'files' | 'code';

/** What the runner asks of the host. */
export interface Request {
  readonly schema: number;
  readonly manifest: Manifest;
  readonly manifest_key: string;
  readonly urls: Readonly<Record<string, string>>;
  readonly with: readonly With[];
}

/** Shell that runs as the app's user before each start of it; none where it is empty. */
export async function atStart(host: Host, command: string): Promise<void> {
  const folder = '/run/systemd/system/shop@.service.d';
  await host.shell(
    command === ''
      ? `rm -r ${folder}; systemctl daemon-reload`
      : `mkdir -p ${folder}; cat >/run/at-start <<'END'\n${command}\nEND\nprintf '[Service]\\nExecStartPre=/bin/sh /run/at-start\\n' >${folder}/at-start.conf; systemctl daemon-reload`,
  );
}

/** The restores of the host's app. */
export class Restores {
  readonly #host: Host;
  readonly #backups: Backups;
  readonly #s3: S3Client;
  readonly #signed = new Map<string, readonly string[]>();
  #spoilt = 0;

  constructor({ host, cloud }: { host: Host; cloud: Cloud }, backups: Backups) {
    this.#host = host;
    this.#backups = backups;
    this.#s3 = new S3Client({ ...operatorClient(cloud), forcePathStyle: true });
  }

  /** A good request for a backup, as `change` makes it. */
  async request(
    backup: Result,
    parts: readonly With[] = ['databases'],
    change: (request: Request) => object = (request) => request,
  ): Promise<Request> {
    const key = String(backup['manifest']);
    const manifest = await this.#backups.manifest(backup);
    const packed = [...manifest.databases, manifest.files, manifest.code];
    const names = packed.flatMap((one) => one?.object ?? []);
    const urls =
      this.#signed.get(key) ?? (await this.presign(names.map((name) => key.replace('manifest.json', name))));
    this.#signed.set(key, urls);
    const byName = Object.fromEntries(names.map((name, index) => [name, urls[index] ?? '']));
    const request = { schema: 1, manifest, manifest_key: key, urls: byName, with: parts };
    return { ...request, ...change(request) };
  }

  /** URLs for an hour, by the AWS CLI, with the operator's credentials: the host may not read them itself. */
  async presign(keys: readonly string[], seconds = 3600): Promise<string[]> {
    const as = 'AWS_ACCESS_KEY_ID=operator AWS_SECRET_ACCESS_KEY=operator';
    const each = keys.map((key) => `'s3://${this.#backups.bucket}/${key}'`).join(' ');
    const printed = await this.#host.shell(
      `for one in ${each}; do ${as} aws s3 presign "$one" --expires-in ${seconds}; done`,
    );
    return printed.split('\n');
  }

  /** Stores the request, and sends the document. */
  async run(request: object, parameters: Parameters = {}): Promise<Result> {
    const operation = parameters['operation'] ?? this.#host.operation();
    const Key = `requests/shop/staging/${operation}.json`;
    await this.#s3.send(
      new PutObjectCommand({ Bucket: 'shop-understudy', Key, Body: JSON.stringify(request) }),
    );
    const defaults = { fence: 'none', excerpts: 'on', mode: 'restore', control: 'off' };
    return this.#host.run('restore', { ...defaults, ...parameters, operation });
  }

  verify(request: object, parameters: Parameters = {}): Promise<Result> {
    return this.run(request, { mode: 'verify', ...parameters });
  }

  async details(result: Result): Promise<RestoreDetails> {
    return (await this.#host.details(result)) as RestoreDetails;
  }

  /** The URL of an object of a backup with other bytes. */
  async spoil(backup: Result, object: string, change: (bytes: Buffer) => Uint8Array): Promise<string> {
    const key = String(backup['manifest']).replace('manifest.json', object);
    const Body = change(await this.#backups.get(key));
    this.#spoilt += 1;
    const Key = `spoilt/${this.#spoilt}-${object}`;
    await this.#s3.send(new PutObjectCommand({ Bucket: this.#backups.bucket, Key, Body }));
    const [url = ''] = await this.presign([Key]);
    return url;
  }

  /** What a restore that is over may not leave: nothing but the old set, where there is one. */
  async leftBehind(): Promise<string> {
    return this.#host.shell(
      `find /srv/shop/shared \\( -name '*.new' -o -name '*.refused' \\) ; ls -A /var/lib/understudy/shop/restoring 2>/dev/null; find /var/lib/understudy/shop/operations -name ballast; grep -ls X-Amz /var/lib/understudy/shop/operations/*/request.json || true`,
    );
  }
}

/** A host with a live release, and a good backup of one note and one file. */
export async function raiseRestores(): Promise<{
  cloud: Cloud;
  host: Host;
  backups: Backups;
  restores: Restores;
  live: string;
  backup: Result;
}> {
  const ground = await raiseHost();
  const { host } = ground;
  await host.prepare({ switch: 'pause' });
  const backups = await Backups.raise(ground);
  const { release } = await host.deploy({ version: 'live', server: server('live') });
  await host.sql("INSERT INTO notes VALUES ('kept')");
  await host.shell(
    `mkdir ${shared}/uploads; echo first >'${shared}/uploads/a "b'\\''ü'; chown -R shop: ${shared}/uploads`,
  );
  await backups.describe('.data.include = ["uploads"]');
  const backup = await backups.make();
  if (backup.reason !== 'backed-up') throw new Error(`no backup to restore was made: ${backup.sentence}`);
  return { ...ground, backups, restores: new Restores(ground, backups), live: release, backup };
}
