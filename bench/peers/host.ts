import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Cloud, hostRoot, launchHost, onHost } from '../../rehearsal/cloud/cloud.ts';
import { baseFolder, cacheFolder, repositoryFolder } from '../../rehearsal/ground/places.ts';
import { run } from '../../rehearsal/ground/run.ts';

/** One way in which others exchange an app, on a host that is equal to ours. */
export interface Peer {
  readonly label: string;
  /** Words for a shell on the host: what makes the app run so, and what exchanges it. */
  readonly raise: string;
  readonly exchange: string;
  readonly lower: string;
}

/** A host with the app of the bench on it, and with Capistrano and an SSH server, but nothing of ours. */
export class PeerHost {
  readonly #cloud: Cloud;
  readonly #id: string;
  readonly url: string;

  private constructor(cloud: Cloud, { instanceId, ip }: { instanceId: string; ip: string }) {
    this.#cloud = cloud;
    this.#id = instanceId;
    this.url = `http://${ip}:8080`;
  }

  static async launch(cloud: Cloud, say: (line: string) => void): Promise<PeerHost> {
    const layer = await layLayer(say);
    const host = new PeerHost(cloud, await launchHost(cloud, { tags: { Name: 'peer' } }));
    const root = await hostRoot(cloud, host.#id);
    await run(['cp', '--archive', `${layer}/.`, `${root}/`]);
    cpSync(join(repositoryFolder, 'bench/app'), join(root, 'srv/source'), { recursive: true });
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(join(root, path, '..'), { recursive: true });
      writeFileSync(join(root, path), content);
    }
    await host.shell(setUp);
    return host;
  }

  /** Makes the app one that loads for so long, and has it run in the peer's way. */
  async raise({ raise }: Peer, loadSeconds: number): Promise<void> {
    await this.shell(`echo ${loadSeconds} >/srv/source/load-seconds
      cd /srv/source && git add --all && git commit --quiet --allow-empty --message "Load ${loadSeconds}" && git push --quiet origin main
      ${raise}
      until curl --silent --fail --output /dev/null http://127.0.0.1:8080/health; do sleep 0.1; done`);
  }

  /** Exchanges the app, and waits until it answers again. */
  async exchange({ exchange }: Peer): Promise<void> {
    await this.shell(exchange);
    await this.shell(
      'until curl --silent --fail --output /dev/null http://127.0.0.1:8080/health; do sleep 0.1; done',
    );
  }

  async lower({ lower }: Peer): Promise<void> {
    await this.shell(lower);
  }

  async shell(command: string): Promise<void> {
    const { code, stdout, stderr } = await onHost(this.#cloud, this.#id, ['bash', '-ec', command]);
    if (code !== 0)
      throw new Error(`"${command}" on the peers' host ended with ${code}:\n${stdout}${stderr}`);
  }
}

/** Fetches the peers' packages over the hosts' root, once for each base and list; gives the folder. */
async function layLayer(say: (line: string) => void): Promise<string> {
  const script = join(import.meta.dirname, 'build.sh');
  const digest = createHash('sha256')
    .update(readFileSync(script))
    .update(basename(baseFolder()))
    .digest('hex');
  const folder = join(cacheFolder(), `bench-${digest.slice(0, 12)}`);
  if (existsSync(folder)) return folder;
  say('fetching Capistrano and an SSH server for the host of the peers (about 25 MB, half a minute)');
  rmSync(`${folder}.part`, { recursive: true, force: true });
  await run(['bash', script, folder, baseFolder()]);
  return folder;
}

const service = (name: string, more: string): string => `[Unit]
Description=The app, ${name}
StartLimitIntervalSec=0
[Service]
Type=notify
WorkingDirectory=/srv/source
ExecStart=/srv/source/.understudy/run
KillMode=mixed
TimeoutStopSec=30
${more}`;

const files: Readonly<Record<string, string>> = {
  'etc/systemd/system/plain.service': service('on a port of its own', 'Environment=BIND=0.0.0.0:8080\n'),
  'etc/systemd/system/held.service': service('on a socket that systemd holds', ''),
  'etc/systemd/system/held.socket': '[Socket]\nListenStream=0.0.0.0:8080\nBacklog=2048\n',
  'etc/systemd/system/cap.service': service(
    'as Capistrano deploys it',
    'WorkingDirectory=/srv/cap/current\nExecStart=\nExecStart=/srv/cap/current/.understudy/run\nEnvironment=BIND=0.0.0.0:8080\n',
  ),
  'srv/capistrano/Capfile': `require 'capistrano/setup'
require 'capistrano/deploy'
require 'capistrano/scm/git'
install_plugin Capistrano::SCM::Git
`,
  'srv/capistrano/config/deploy.rb': `set :application, 'bench'
set :repo_url, '/srv/bench.git'
set :branch, 'main'
set :deploy_to, '/srv/cap'
set :keep_releases, 3
namespace :deploy do
  task :restart do
    on(roles(:app)) { execute :systemctl, 'restart', 'cap.service' }
  end
  after :publishing, :restart
end
`,
  'srv/capistrano/config/deploy/production.rb': `server '127.0.0.1', user: 'root', roles: %w[app],
  ssh_options: { keys: %w[/root/.ssh/id_rsa], auth_methods: %w[publickey], verify_host_key: :never }
`,
};

const setUp = `systemctl daemon-reload
# PEM: Debian 12's net-ssh cannot read OpenSSH's own form of RSA keys (OpenSSL 3).
ssh-keygen -q -m PEM -t rsa -b 2048 -N '' -f /root/.ssh/id_rsa </dev/null
cp /root/.ssh/id_rsa.pub /root/.ssh/authorized_keys
chmod 700 /root/.ssh
systemctl start ssh
git config --global user.name Ada
git config --global user.email ada@example.com
git init --quiet --bare --initial-branch=main /srv/bench.git
cd /srv/source
git init --quiet --initial-branch=main
git remote add origin /srv/bench.git`;

const deployByCapistrano =
  'cd /srv/capistrano && cap production deploy >/tmp/cap.log 2>&1 || { tail -n 30 /tmp/cap.log; exit 1; }';

/** Goes back to the release before; each time there must be one. */
export const rollback: Peer = {
  label: 'Capistrano, deploy:rollback',
  raise: deployByCapistrano,
  exchange: deployByCapistrano.replace(' deploy ', ' deploy:rollback '),
  lower: 'systemctl stop cap.service',
};

export const peers: readonly Peer[] = [
  {
    label: 'systemctl restart, the app binds its port',
    raise: 'systemctl start plain.service',
    exchange: 'systemctl restart plain.service',
    lower: 'systemctl stop plain.service',
  },
  {
    label: 'systemctl restart, systemd holds the socket',
    raise: 'systemctl start held.socket held.service',
    exchange: 'systemctl restart held.service',
    lower: 'systemctl stop held.socket held.service',
  },
  {
    label: 'Capistrano over SSH',
    raise: deployByCapistrano,
    exchange: deployByCapistrano,
    lower: 'systemctl stop cap.service',
  },
];
