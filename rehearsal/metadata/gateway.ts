import { request } from 'node:http';

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
  const instances = (await ask(socket, '/_cloud/instances')) as Instance[];
  return instances.find((instance) => instance.ip === ip);
}

/** The role's credentials, or undefined for an instance without a profile. */
export async function findCredentials(socket: string, instanceId: string): Promise<Credentials | undefined> {
  return (await ask(socket, `/_cloud/credentials/${instanceId}`)) as Credentials | undefined;
}

/** GET over the gateway's Unix socket: parsed JSON, or undefined for a 404. */
function ask(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, timeout: 10_000 }, async (answer) => {
      try {
        const body = (await answer.toArray()).join('');
        if (answer.statusCode === 404) return resolve(undefined);
        if (answer.statusCode !== 200)
          return reject(new Error(`the gateway answered ${answer.statusCode} to ${path}: ${body}`));
        resolve(JSON.parse(body));
      } catch (cause) {
        reject(cause);
      }
    });
    asked.on('timeout', () => asked.destroy(new Error(`the gateway did not answer ${path} within 10 s`)));
    asked.on('error', reject);
    asked.end();
  });
}
