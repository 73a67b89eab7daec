import { ask } from '../ground/socket.ts';

/** An instance as the gateway's `GET /_cloud/instances` tells it. */
export interface Instance {
  readonly instanceId: string;
  readonly ip: string;
  readonly imageId: string;
  readonly availabilityZone: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly instanceType?: string;
  /** ISO 8601 */
  readonly launchTime?: string;
  /** Whether InstanceMetadataTags is enabled. */
  readonly metadataTags?: boolean;
}

/** Credentials of an instance's role, as `GET /_cloud/credentials/<instanceId>` tells them. */
export interface Credentials {
  readonly roleName: string;
  readonly AccessKeyId: string;
  readonly SecretAccessKey: string;
  readonly Token: string;
  readonly Expiration: string;
}

/** The instance at this address, or undefined when there is none. */
export async function findInstance(socket: string, ip: string): Promise<Instance | undefined> {
  const instances = (await get(socket, '/_cloud/instances')) as Instance[];
  return instances.find((instance) => instance.ip === ip);
}

/** The role's credentials, or undefined for an instance without a profile. */
export async function findCredentials(socket: string, instanceId: string): Promise<Credentials | undefined> {
  return (await get(socket, `/_cloud/credentials/${instanceId}`)) as Credentials | undefined;
}

/** GET over the gateway's Unix socket: parsed JSON, or undefined for a 404. */
async function get(socket: string, path: string): Promise<unknown> {
  const { status, body } = await ask(socket, 'GET', path);
  if (status === 404) return undefined;
  if (status !== 200) throw new Error(`the gateway answered ${status} to ${path}: ${JSON.stringify(body)}`);
  return body;
}
