import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { gatewayAddress, metadataAddress } from '../fabric/fabric.ts';

/** What is laid on every host of a cloud, beside the base: the agent, and where AWS is. */
export interface Furniture {
  /** Our agent's folder, or one with the binaries of the real amazon-ssm-agent. */
  readonly agent: string;
  readonly region: string;
  readonly waits: AgentWaits;
}

/** How long the agent waits after a reboot or a lost command, and before it sends a reply again. */
export type AgentWaits = 'short' | 'real';

// What is a minute, or five, on the real agent; ours reads these settings, the real one does not know them.
const shortWaits = { RebootDelaySeconds: 2, LostCommandSeconds: 2, ResendSeconds: 2 };

const gateway = `http://${gatewayAddress}:8000`;
const unitFolder = 'etc/systemd/system';
const unitName = 'amazon-ssm-agent.service';

/** Builds the layer that all hosts share, once for each content; gives its folder. */
export function buildSharedLayer(wanted: Furniture, folder: string): string {
  const furniture = { ...wanted, agent: findAgent(wanted.agent) };
  const layer = join(folder, `shared-${fingerprint(furniture)}`);
  if (existsSync(layer)) return layer;
  const part = `${layer}.part`;
  rmSync(part, { recursive: true, force: true });
  for (const [path, content] of Object.entries(sharedFiles(furniture))) put(part, path, content);
  layAgent(part, furniture.agent);
  renameSync(part, layer);
  return layer;
}

function sharedFiles({ region, waits }: Furniture): Record<string, string> {
  const endpoint = { Endpoint: gateway };
  const settings = { Region: region, ...(waits === 'short' && shortWaits) };
  const agent = { Agent: settings, Ssm: endpoint, Mds: endpoint, S3: endpoint };
  return {
    'etc/amazon/ssm/amazon-ssm-agent.json': `${JSON.stringify(agent, null, 2)}\n`,
    [`${unitFolder}/${unitName}.d/metadata.conf`]: `[Service]\nEnvironment=AWS_EC2_METADATA_SERVICE_ENDPOINT=http://${metadataAddress}\n`,
    'root/.aws/config': `[default]\nregion = ${region}\nendpoint_url = ${gateway}\ns3 =\n    addressing_style = path\n`,
    'etc/resolv.conf': '',
  };
}

// Binaries of the real agent carry no unit when they come from a build: this is the package's.
const realUnit = `[Unit]
Description=amazon-ssm-agent
After=network-online.target

[Service]
Type=simple
WorkingDirectory=/usr/bin/
ExecStart=/usr/bin/amazon-ssm-agent
KillMode=process
Restart=always
RestartSec=90

[Install]
WantedBy=multi-user.target
`;

function layAgent(layer: string, agent: string): void {
  for (const name of agentFiles(agent)) {
    put(layer, join(agentFolder(name), name), readFileSync(join(agent, name)), 0o755);
  }
  // Ours is a Python program among its modules; the real one is a handful of binaries, one of that very name.
  if (existsSync(join(agent, 'agent.py'))) {
    mkdirSync(join(layer, 'usr/bin'), { recursive: true });
    symlinkSync('../lib/amazon-ssm-agent/agent.py', join(layer, 'usr/bin/amazon-ssm-agent'));
  }
  const unit = join(agent, unitName);
  put(layer, join(unitFolder, unitName), existsSync(unit) ? readFileSync(unit) : realUnit);
  const wants = join(layer, unitFolder, 'multi-user.target.wants');
  mkdirSync(wants, { recursive: true });
  symlinkSync(`/${unitFolder}/${unitName}`, join(wants, unitName));
}

const agentFolder = (name: string): string => (name.endsWith('.py') ? 'usr/lib/amazon-ssm-agent' : 'usr/bin');

/** The folder itself, or where a package or the agent's own build keep its binaries; refuses one without an agent. */
function findAgent(folder: string): string {
  const places = ['.', 'usr/bin', 'bin', 'bin/linux_amd64'].map((place) => join(folder, place));
  const found = places.find((place) =>
    ['agent.py', 'amazon-ssm-agent'].some((name) => existsSync(join(place, name))),
  );
  if (found === undefined) throw new Error(`${folder} holds no amazon-ssm-agent: build it there first`);
  return found;
}

function agentFiles(folder: string): string[] {
  const names = readdirSync(folder).filter((name) => statSync(join(folder, name)).isFile());
  return names.filter((name) => name.endsWith('.py') || !name.includes('.')).sort();
}

function fingerprint(furniture: Furniture): string {
  const hash = createHash('sha256').update(JSON.stringify(sharedFiles(furniture)));
  for (const name of [...agentFiles(furniture.agent), unitName]) {
    if (!existsSync(join(furniture.agent, name))) continue;
    hash.update(name).update(readFileSync(join(furniture.agent, name)));
  }
  return hash.digest('hex').slice(0, 12);
}

/** What is a new host's own: its name and, on a host from the base, the machine's id. */
export function nameHost(root: string, host: { ip: string; region: string; fresh: boolean }): void {
  const name = `ip-${host.ip.replaceAll('.', '-')}`;
  const full = `${name}.${host.region}.compute.internal`;
  put(root, 'etc/hostname', `${name}\n`);
  put(root, 'etc/hosts', `127.0.0.1 localhost\n${host.ip} ${full} ${name}\n`);
  // An instance launched from an image of another wakes up with that one's machine id, as in EC2.
  if (host.fresh) put(root, 'etc/machine-id', `${randomBytes(16).toString('hex')}\n`, 0o444);
}

function put(root: string, path: string, content: string | Uint8Array, mode = 0o644): void {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  // Never through a link that the base or an image holds there: its target counts from our own root, not the host's.
  rmSync(file, { force: true });
  writeFileSync(file, content);
  chmodSync(file, mode);
}
