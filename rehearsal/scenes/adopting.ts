import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  AllocateAddressCommand,
  AssociateAddressCommand,
  DescribeAddressesCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { CreateOpenIDConnectProviderCommand, IAMClient } from '@aws-sdk/client-iam';
import { type Cloud, hostRoot, launchHost, onHost, operatorClient } from '../cloud/cloud.ts';
import { closeBucket } from '../cloud/provision.ts';
import { baseImage } from '../gateway/ec2/images.ts';
import { repositoryFolder } from '../ground/places.ts';
import { openRepository } from '../runner/github.ts';
import { type Run, runWorkflow } from '../runner/runner.ts';
import { CallerRepository } from './repository.ts';
import type { Scene } from './scene.ts';
import { assertConclusion, jobOf } from './verdict.ts';

const app = 'workshop';
const home = `/home/admin/${app}`;

/** A block of commands of the page, and where it says that they run. */
interface Block {
  readonly where: string;
  readonly section: string;
  readonly commands: string;
}

/**
 * Plays docs/adopting.md: its commands, in their order, as they stand there. The page begins with an instance that somebody
 * made by hand, and ends with its data in the care of a production that is enrolled; until its last section the old one is
 * only read.
 */
export const adopting: Scene = {
  key: 'adopting',
  name: 'Adopting: an instance made by hand comes to releases and backups, untouched until the last hour',
  roles: [],
  later: true,
  async play({ cloud, say }) {
    const old = await handMade(cloud);
    const [repository, values] = await ownValues(cloud, old.id);
    const operator = await operatorShell(cloud, values);
    const before = await old.run('identify');
    const last = async (number: number): Promise<Run> => {
      const run = await push(cloud, repository);
      assertConclusion(run, 'success');
      say(`push ${number} is live on its staging`);
      return run;
    };
    let run: Run | undefined;
    for (const block of blocksOf('1', '7')) {
      say(block.section);
      if (block.section.startsWith('5.') && run === undefined) run = await last(1);
      await playBlock({ cloud, operator, old }, block);
      if (block.section.startsWith('2.')) await closeBuckets(cloud, 'understudy', 'understudy-backups');
      if (block.commands.includes('aws cloudformation deploy --stack-name "$APP-production"'))
        await closeBuckets(cloud, 'production-understudy', 'production-backups');
    }
    await repository.write('README.md', 'Adopted.\n');
    await repository.commit('Tell that it is adopted');
    const second = await last(2);
    const staging = await operator.shellOn('STAGING');
    assert.equal(await staging.run(names('/srv/workshop/shared')), 'somebody');
    assert.equal(await old.run('identify'), before, 'the old instance was touched before the last hour');
    const started = performance.now();
    let down = 0;
    for (const block of blocksOf('8', '8')) {
      say(block.section);
      await playBlock({ cloud, operator, old }, block);
      if (block.where === 'new') down = performance.now() - started;
    }
    const next = await operator.shellOn('NEW');
    assert.equal(await next.run(names('/srv/workshop/shared')), 'ada@example.org');
    assert.match(await next.run('curl --fail --silent http://127.0.0.1:8080/health'), /"visits": 1/);
    assert.equal(await addressOf(cloud), next.id, 'the address is not that of the new instance');
    const note = `${blocksOf('1', '8').length} blocks of the page; the old instance untouched until the hour, of which users waited ${(down / 1000).toFixed(0)} s for the data`;
    const summary = jobOf(second, 'deploy').summary;
    return { requests: 0, lost: 0, worstLatencyMs: null, apiCalls: 0, summary, note };
  },
};

const names = (folder: string): string => `sqlite3 -readonly ${folder}/visits.db 'SELECT name FROM visits'`;

const page = readFileSync(join(repositoryFolder, 'docs/adopting.md'), 'utf8');

/** The blocks of some sections, the first one first. */
function blocksOf(from: string, to: string): Block[] {
  return page
    .split(/^## /m)
    .slice(1)
    .filter(([number = '']) => number >= from && number <= to)
    .flatMap((text) => {
      const section = text.split('\n', 1)[0] ?? '';
      return [...text.matchAll(/^```sh (\w+)\n([\s\S]*?)^```$/gm)].map(
        ([, where = '', commands = '']): Block => ({ where, section, commands }),
      );
    });
}

/** A shell that somebody has on a host, which keeps what was set in it. */
class Shell {
  readonly cloud: Cloud;
  readonly id: string;
  readonly #before: string;

  constructor(cloud: Cloud, id: string, before: string) {
    this.cloud = cloud;
    this.id = id;
    this.#before = before;
  }

  /** Runs commands, and gives what they printed; fails when one of them does. */
  async run(commands: string): Promise<string> {
    const input = `set -euo pipefail -o allexport
[[ ! -e /root/session ]] || . /root/session
${this.#before}
${commands}
{ export -p; declare -f; } >/root/session
`;
    const { code, stdout, stderr } = await onHost(this.cloud, this.id, ['bash', '-s'], { input });
    assert.equal(code, 0, `on ${this.id}:\n${commands}\n${stdout}${stderr}`);
    return stdout.trim();
  }

  /** A root shell on the instance whose id a variable of this one holds. */
  async shellOn(variable: string): Promise<Shell> {
    return new Shell(this.cloud, await this.run(`echo "$${variable}"`), `APP=${app}`);
  }

  async file(path: string): Promise<string> {
    return join(await hostRoot(this.cloud, this.id), path);
  }
}

/** The instance that serves today: gunicorn in a home folder, its database beside the code, an Elastic IP. */
async function handMade(cloud: Cloud): Promise<Shell> {
  const { instanceId } = await launchHost(cloud, { tags: { Name: 'the old one' } });
  const before = `sudo() { "$@"; }
DATABASE=visits.db UPLOADS= SERVICE=${app}.service
identify() { systemctl show --property=InvocationID,NRestarts ${app}.service; (cd ${home} && sha256sum app.py visits.db); ls ${home}; }
cd ${home}`;
  const kiosk = readFileSync(join(repositoryFolder, 'rehearsal/scenes/kiosk/app.py'), 'utf8');
  const setUp = new Shell(cloud, instanceId, '');
  await setUp.run(`mkdir -p ${home}
cat >${home}/app.py <<'END'
${kiosk}
END
cat >/etc/systemd/system/${app}.service <<'END'
[Service]
WorkingDirectory=${home}
Environment=UNDERSTUDY_SHARED=${home} PYTHONDONTWRITEBYTECODE=1
ExecStart=/usr/bin/python3 -m gunicorn --bind 0.0.0.0:8080 app:application
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl enable --now --quiet ${app}.service
curl --fail --silent --retry 20 --retry-delay 1 --retry-all-errors http://127.0.0.1:8080/health
sqlite3 ${home}/visits.db "INSERT INTO visits VALUES ('ada@example.org')"`);
  const ec2 = new EC2Client(operatorClient(cloud));
  const { AllocationId } = await ec2.send(new AllocateAddressCommand({ Domain: 'vpc' }));
  await ec2.send(new AssociateAddressCommand({ AllocationId, InstanceId: instanceId }));
  return new Shell(cloud, instanceId, before);
}

/** The team's repository, after section 1, and what the page begins with, of this cloud. */
async function ownValues(cloud: Cloud, old: string): Promise<[CallerRepository, string]> {
  const source = join(repositoryFolder, 'rehearsal/scenes/kiosk');
  const repository = await CallerRepository.copyOf(source, app, cloud, 'kiosk');
  await repository.write(
    '.understudy/hooks/scrub',
    `#!/bin/bash\nset -euo pipefail\nsqlite3 "$UNDERSTUDY_SHARED/visits.db" "UPDATE visits SET name = 'somebody'"\n`,
  );
  await repository.commit('Scrub what people wrote');
  const { id } = await openRepository(cloud, repository.name, repository.folder);
  const iam = new IAMClient(operatorClient(cloud));
  const url = 'token.actions.githubusercontent.com';
  // Another app may have made it before.
  await iam
    .send(
      new CreateOpenIDConnectProviderCommand({ Url: `https://${url}`, ClientIDList: ['sts.amazonaws.com'] }),
    )
    .catch(() => undefined);
  const values = `APP=${app} REPOSITORY=${repository.name} REPOSITORY_ID=${id} AWS_REGION=${cloud.region}
UNDERSTUDY=understudy-actions/understudy/.github/workflows SHA=${'0'.repeat(40)}
OIDC=arn:aws:iam::${cloud.account}:oidc-provider/${url} DEBIAN=${baseImage} OLD=${old}
export AWS_ACCESS_KEY_ID=operator AWS_SECRET_ACCESS_KEY=operator AWS_DEFAULT_REGION=${cloud.region}`;
  return [repository, values];
}

/** A shell with the AWS CLI, the rights of an administrator and a checkout: that of a host of its own. */
async function operatorShell(cloud: Cloud, values: string): Promise<Shell> {
  const { instanceId } = await launchHost(cloud, { tags: { Name: 'the operator' } });
  const shell = new Shell(cloud, instanceId, `${values}\nmkdir -p /root/understudy && cd /root/understudy`);
  const checkout = await shell.file('root/understudy/infra');
  mkdirSync(checkout, { recursive: true });
  cpSync(join(repositoryFolder, 'infra'), checkout, { recursive: true });
  return shell;
}

interface Hands {
  readonly cloud: Cloud;
  readonly operator: Shell;
  readonly old: Shell;
}

async function playBlock({ operator, old }: Hands, { where, commands }: Block): Promise<void> {
  if (where === 'operator') await operator.run(commands);
  else if (where === 'staging' || where === 'new')
    await (await operator.shellOn(where.toUpperCase())).run(commands);
  else if (where === 'old') {
    await old.run(commands);
    // "Bring it to your shell."
    cpSync(await old.file('tmp/data.tar.gz'), await operator.file('root/understudy/data.tar.gz'));
  } else throw new Error(`The page says of a block that it runs on ${where}.`);
}

function push(cloud: Cloud, { name, folder }: CallerRepository): Promise<Run> {
  return runWorkflow(cloud, {
    ...{ repository: name, folder, ref: 'refs/heads/main', event: 'push' },
    signal: new AbortController().signal,
  });
}

/** The emulator makes a template's bucket without its PublicAccessBlockConfiguration. */
async function closeBuckets(cloud: Cloud, ...called: readonly string[]): Promise<void> {
  for (const name of called) await closeBucket(cloud, `${app}-${name}`);
}

async function addressOf(cloud: Cloud): Promise<string | undefined> {
  const { Addresses = [] } = await new EC2Client(operatorClient(cloud)).send(
    new DescribeAddressesCommand({}),
  );
  return Addresses[0]?.InstanceId;
}
