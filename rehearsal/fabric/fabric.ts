import { run } from '../ground/run.ts';

/** The hosts' gateway, where the door to the cloud's API stands. */
export const gatewayAddress = '198.18.0.1';
export const metadataAddress = '169.254.169.254';
/** Hosts have the addresses from here on. 198.18.0.0/15 is kept for benchmarks (RFC 2544): nobody routes it. */
const firstHost = 10;

/** The network namespace that is a cloud's fabric. */
export function fabricNamespace(cloud: string): string {
  return `us-${cloud}`;
}

/** The network namespace of a cloud's n-th host (n from 0). */
export function hostNamespace(cloud: string, index: number): string {
  return `us-${cloud}-${index}`;
}

/** The address of a cloud's n-th host. */
export function hostAddress(index: number): string {
  const number = firstHost + index;
  return `198.18.${number >> 8}.${number & 255}`;
}

const port = (index: number): string => `h${index}`;

/** The names of all network namespaces that belong to a cloud. */
export async function listNamespaces(cloud: string): Promise<string[]> {
  const names = (await run(['ip', 'netns', 'list'])).split('\n').map((line) => line.split(' ')[0] ?? '');
  const own = new RegExp(`^us-${cloud}(-[0-9]+)?$`);
  return names.filter((name) => own.test(name));
}

/** Makes the fabric: a namespace with a bridge, and no way out of it. Does nothing when it is there already. */
export async function layFabric(cloud: string): Promise<void> {
  const namespace = fabricNamespace(cloud);
  if ((await listNamespaces(cloud)).includes(namespace)) return;
  await run(['ip', 'netns', 'add', namespace]);
  await batch(namespace, [
    'link set lo up',
    'link add br0 type bridge forward_delay 0',
    `address add ${gatewayAddress}/16 dev br0`,
    `address add ${metadataAddress}/32 dev br0`,
    'link set br0 up',
  ]);
}

/** Gives a host a network of its own, plugged into the fabric. Replaces what an earlier try left. */
export async function plugHost(cloud: string, index: number): Promise<void> {
  await unplugHost(cloud, index);
  const namespace = hostNamespace(cloud, index);
  await run(['ip', 'netns', 'add', namespace]);
  await batch(fabricNamespace(cloud), [
    `link add ${port(index)} type veth peer name eth0 netns ${namespace}`,
    `link set ${port(index)} master br0 up`,
  ]);
  await batch(namespace, [
    'link set lo up',
    `address add ${hostAddress(index)}/16 dev eth0`,
    'link set eth0 up',
    `route add default via ${gatewayAddress}`,
  ]);
}

/** Takes a host's network away, as far as there is one. */
export async function unplugHost(cloud: string, index: number): Promise<void> {
  const namespace = hostNamespace(cloud, index);
  if (!(await listNamespaces(cloud)).includes(namespace)) return;
  // The pair goes with the namespace, but only once its last process is gone: take it out by name, now.
  await run(['ip', '-n', namespace, 'link', 'delete', 'eth0']).catch(() => undefined);
  await run(['ip', 'netns', 'delete', namespace]);
}

/** Cuts or heals the wire between a host and the fabric. */
export async function setWire(cloud: string, index: number, state: 'up' | 'down'): Promise<void> {
  await batch(fabricNamespace(cloud), [`link set ${port(index)} ${state}`]);
}

async function batch(namespace: string, commands: readonly string[]): Promise<void> {
  await run(['ip', '-n', namespace, '-batch', '-'], { input: `${commands.join('\n')}\n` });
}
