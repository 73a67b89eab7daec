import { createHash } from 'node:crypto';
import { cp, link, mkdtemp, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateTagsCommand, DeleteTagsCommand, EC2Client } from '@aws-sdk/client-ec2';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { callerRepository, git } from '../../rehearsal/cloud/caller.ts';
import { type Cloud, onHost, operatorClient, startCloud, stopCloud } from '../../rehearsal/cloud/cloud.ts';
import { ensureHosts } from '../../rehearsal/cloud/enrol.ts';
import { provision } from '../../rehearsal/cloud/provision.ts';
import { tellRun } from '../../rehearsal/cloud/runs.ts';
import { readCalls } from '../../rehearsal/gateway/record.ts';
import { repositoryFolder } from '../../rehearsal/ground/places.ts';
import { run } from '../../rehearsal/ground/run.ts';
import { Job, type Step } from '../../rehearsal/runner/step.ts';
import { toldBy } from './drills.ts';
import { ledgerOf } from './ledger.ts';

const name = `f${process.pid.toString(36)}`;
const [app, environment, repository] = ['chatmrpt', 'staging', 'acme/chatmrpt'];
let cloud: Cloud;
let job: Job;
let work: string;
/** The caller's repository: what is packed. */
let folder: string;
let commit: string;
let archive: string;
let release: string;
let host: string;
/** What a deploy came to when no instance was there yet. */
let tooEarly: Step;
/** And a backup. */
let nothingToBackUp: Step;

beforeAll(async () => {
  cloud = await startCloud({ name });
  work = await mkdtemp(join(tmpdir(), 'understudy-refusals-'));
  folder = await callerRepository(cloud, app, join(repositoryFolder, 'examples', app));
  await provision(cloud, { app, environment, folder, repository });
  job = await Job.open(cloud, repository);
  commit = (await git(folder, 'rev-parse', 'HEAD')).trim();
  archive = join(work, 'release.tar.gz');
  release = (await pack(folder, archive)).outputs['release'] ?? '';
  tooEarly = await deploy();
  nothingToBackUp = await job.run('backup', {
    ...{ environment, config: join(folder, 'understudy.yml'), tier: 'auto', timeout: '1h' },
    ...{ excerpts: 'auto', 'github-token': 'ghs_x' },
  });
  [host = ''] = await ensureHosts(cloud, { app, environment, folder });
}, 120_000);

afterAll(async () => {
  await stopCloud(name);
  await rm(work, { recursive: true, force: true });
}, 60_000);

function pack(path: string, into: string): Promise<Step> {
  return job.run('pack-release', { path, archive: into, commit }, { SOURCE_DATE_EPOCH: '1795392000' });
}

function deploy(inputs: Record<string, string> = {}, more: Record<string, string> = {}): Promise<Step> {
  const given = { archive, release, environment, excerpts: 'auto', 'github-token': 'ghs_x', ...inputs };
  return job.run('deploy-staging', given, more);
}

const readOnly = /^(AssumeRole|Describe|Get|Head|List)/;

/** What the CI role has called so far that may change anything; a probe changes nothing, and the ledger only tells. */
function changes(): string[] {
  return readCalls(join(cloud.state, 'calls.jsonl'))
    .filter(({ principal }) => principal === `role/${app}-${environment}-ci`)
    .filter(({ action }) => !readOnly.test(action))
    .map(({ action, resource }) => `${action} ${resource.split(':').at(-1)}`)
    .filter((call) => !call.endsWith(`/${app}-probe`) && !call.includes('-understudy/ledger/'));
}

/** What every refusal has in common; gives its one sentence. */
function expectRefusal(step: Step, reason: string, changed: readonly string[] = []): string {
  expect(step.errors).toHaveLength(1);
  const message = step.errors[0]?.message ?? '';
  expect(message).toMatch(new RegExp(`^refused \\(${reason}\\): .+`));
  expect(step.code).toBe(1);
  expect(changes()).toEqual(changed);
  return message;
}

/** Of a deploy, which tells it in outputs and summary as well. */
function expectRefusedDeploy(step: Step, reason: string, changed?: readonly string[]): string {
  const message = expectRefusal(step, reason, changed);
  expect(step.outputs).toMatchObject({ reason });
  expect(JSON.parse(step.outputs['result'] ?? '{}')).toMatchObject({ result: 'refused', reason });
  expect(message).toMatch(/ What to do: .+/);
  expect(step.summary).toMatch(/: refused\n[\s\S]+What to do next/);
  return message;
}

describe('pack-release refuses', () => {
  const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]', ...'bcdefg'.split('').map(bombLine)].join('\n');

  function bombLine(letter: string): string {
    const before = String.fromCharCode(letter.charCodeAt(0) - 1);
    return `${letter}: &${letter} [${Array(9).fill(`*${before}`).join(', ')}]`;
  }

  const configs: [string, (text: string) => string, string, string][] = [
    ['an unknown key', (text) => `${text}lissen: 1\n`, 'lissen is not a key', 'Known here: app, region'],
    ['a wrong type', (text) => text.replace('8080', "'no port'"), 'service.listen is "no port"', 'from 1024'],
    ['a bad region', (text) => text.replace('us-east-2', 'ohio'), 'region is "ohio"', 'region: us-east-2'],
    ['a duplicate key', (text) => `${text}keep: 7\n`, 'for the second time', 'Keep one of the two'],
    ['a bomb of aliases', (text) => `${text}${bomb}\n`, 'aliases without bounds', 'Write the values out'],
    ['the name of a worker of another', (text) => text.replace('chatmrpt', 'shop-worker'), 'app is', 'nor'],
  ];
  test.each(configs)('an understudy.yml with %s', async (_, change, what, how) => {
    await packing(async (copy) => {
      const file = join(copy, 'understudy.yml');
      await writeFile(file, change(await readFile(file, 'utf8')));
      const message = expectRefusal(await pack(copy, join(work, 'bad.tar.gz')), 'bad-config');
      expect(message).toMatch(/understudy\.yml(:\d+:\d+)?: /);
      expect(message).toContain(what);
      expect(message).toContain(how);
    });
  });

  const trees: [string, (copy: string) => Promise<unknown>, string][] = [
    ['no understudy.yml', (copy) => rm(join(copy, 'understudy.yml')), '"understudy.yml": is missing.'],
    ['no file', (copy) => rm(copy, { recursive: true }).then(() => run(['mkdir', copy])), 'holds no file'],
    ['over 5 GB', (copy) => truncateTo(join(copy, 'huge'), 5_000_000_001), 'is larger than 5 GB'],
    ['a link out', (copy) => symlink('/etc/passwd', join(copy, 'out')), '"out": is a link that leads out'],
    ['a device', (copy) => run(['mknod', join(copy, 'null'), 'c', '1', '3']), '"null": is a device'],
    ['a setuid bit', (copy) => run(['chmod', 'u+s', join(copy, 'app.py')]), '"app.py": has the setuid'],
    ['a name twice by case', (copy) => writeFile(join(copy, 'APP.py'), ''), 'are one name'],
    [
      'a name twice by composition',
      (copy) => Promise.all(['a\u0308', '\u00e4'].map((each) => writeFile(join(copy, each), ''))),
      'are one name',
    ],
  ];
  test.each(trees)('a folder with %s', async (_, change, what) => {
    await packing(async (copy) => {
      await change(copy);
      const message = expectRefusal(await pack(copy, join(work, 'bad.tar.gz')), 'bad-release');
      expect(message).toContain(what);
    });
  });

  test('nothing for names with quotes, spaces, newlines and letters of all the world', async () => {
    await packing(async (copy) => {
      const names = ['it\'s "quoted"', ' a  space ', 'two\nlines', 'größe', '数据', '-rf', '$(reboot)', '*'];
      for (const each of names) await writeFile(join(copy, each), each);
      const step = await pack(copy, join(work, 'odd.tar.gz'));
      expect(step.code).toBe(0);
      const listed = await run(['tar', '-tzf', join(work, 'odd.tar.gz'), '--quoting-style=literal']);
      for (const each of names) expect(listed).toContain(each);
    });
  });
});

describe('deploy-staging refuses, before it has asked anything of the account,', () => {
  test('a pull request', async () => {
    const event = { GITHUB_EVENT_NAME: 'pull_request', GITHUB_REF: 'refs/pull/7/merge' };
    const message = expectRefusedDeploy(
      await deploy({}, { ...event, GITHUB_EVENT_PATH: '/dev/null' }),
      'pull-request',
    );
    expect(message).toContain('event pull_request, ref refs/pull/7/merge');
    expect(message).toContain('Merge it');
  });

  test.each([
    ['environment', 'staging; reboot'],
    ['environment', '$(reboot)'],
    ['environment', 'stag\ning'],
    ['environment', '${{ inputs.environment }}'],
    ['release', '`id`'],
    ['release', `${'a'.repeat(63)}\n`],
    ['archive', 'a\n::set-output name=x::y'],
    ['role-arn', 'arn:aws:iam::123456789012:role/x;id'],
    ['role-arn', '${{ secrets.ROLE }}'],
    ['excerpts', 'on && off'],
    ['github-token', 'ghs_x\nAuthorization: other'],
  ])('the input %s: %j', async (input, value) => {
    const message = expectRefusedDeploy(await deploy({ [input]: value }), 'bad-input');
    expect(message).toMatch(new RegExp(`input ${input}: It must be .+ Example: ${input}: `));
  });

  test('an archive with another digest than the build job told', async () => {
    const message = expectRefusedDeploy(await deploy({ release: 'a'.repeat(64) }), 'bad-digest');
    expect(message).toContain(archive);
    expect(message).toContain(release);
    expect(message).toContain('What to do: Give the digest that the build job put out');
  });

  test('an environment that understudy.yml does not have', async () => {
    const message = expectRefusedDeploy(await deploy({ environment: 'stagging' }), 'bad-config');
    expect(message).toContain('understudy.yml: environments: has no environment "stagging".');
    expect(message).toContain('It describes staging');
  });

  test.each([
    ['an absolute path', ['--absolute-names', '/etc/hostname']],
    ['a hard link that leads out', ['--absolute-names', '--transform=s,inside,/etc/passwd,h', 'inside', 'b']],
    ['a path that goes up', ['--absolute-names', '../release.tar.gz']],
    ['a device', ['--absolute-names', '/dev/null']],
  ])('an archive of another program, with %s', async (_, words) => {
    const place = await mkdtemp(join(work, 'tar-'));
    await writeFile(join(place, 'inside'), 'x');
    await link(join(place, 'inside'), join(place, 'b'));
    const made = join(place, 'made.tar.gz');
    await run(['tar', '--create', '--gzip', '--file', made, '--directory', place, ...words]);
    const digest = createHash('sha256')
      .update(await readFile(made))
      .digest('hex');
    const message = expectRefusedDeploy(await deploy({ archive: made, release: digest }), 'bad-release');
    expect(message).toContain('pack-release');
  });
});

describe('deploy-staging refuses, before it changes anything in the account,', () => {
  test('an environment without an instance', () => {
    const message = expectRefusedDeploy(tooEarly, 'no-instances');
    expect(message).toContain('No running instance has the tags App=chatmrpt and Environment=staging.');
    expect(message).toContain('give it these two tags');
  });

  test('what it refuses stands in the ledger, as does what a backup refuses', async () => {
    const refused = { result: 'refused', reason: 'no-instances', instances: [] };
    const place = { bucket: `${app}-understudy`, app, environment };
    expect(await ledgerOf(cloud, place, tooEarly)).toMatchObject([
      { ...refused, action: 'deploy', release, commit },
    ]);
    expect(toldBy(nothingToBackUp)).toMatchObject({ result: 'refused', reason: 'no-instances' });
    expect(await ledgerOf(cloud, place, nothingToBackUp)).toMatchObject([{ ...refused, action: 'backup' }]);
  });

  test('a role that does not take the token, and tells what the token carried', async () => {
    const role = 'arn:aws:iam::123456789012:role/chatmrpt-staging-host';
    const message = expectRefusedDeploy(await deploy({ 'role-arn': role }), 'role-refused');
    expect(message).toContain(`sub=repo:${repository}:environment:staging`);
    expect(message).toContain('trust policy (infra/foundation.yaml, parameter of the prefix of `sub`)');
  });

  test.each([
    ['is missing', 'chatmrpt-missing', undefined, 'There is no bucket chatmrpt-missing.'],
    ['is in another region', 'chatmrpt-far', 'eu-west-1', 'is in eu-west-1, not in us-east-2'],
    ['may be public', 'chatmrpt-open', 'us-east-2', 'put-public-access-block --bucket chatmrpt-open'],
  ] as const)('a bucket that %s', async (_, bucket, region, told) => {
    if (region) {
      await new S3Client({ ...operatorClient(cloud), region, forcePathStyle: true }).send(
        new CreateBucketCommand({
          Bucket: bucket,
          CreateBucketConfiguration: { LocationConstraint: region },
        }),
      );
    }
    await packing(async (copy) => {
      const file = join(copy, 'understudy.yml');
      await writeFile(file, (await readFile(file, 'utf8')).replace('chatmrpt-understudy', bucket));
      const other = join(work, `${bucket}.tar.gz`);
      const { outputs } = await pack(copy, other);
      const step = await deploy({ archive: other, release: outputs['release'] ?? '' });
      expect(expectRefusedDeploy(step, 'bad-bucket')).toContain(told);
    });
  });

  test('an instance that another tag calls production', async () => {
    const ec2 = new EC2Client(operatorClient(cloud));
    const tag = { Resources: [host], Tags: [{ Key: 'environment', Value: 'production' }] };
    await ec2.send(new CreateTagsCommand(tag));
    const step = await deploy();
    await ec2.send(new DeleteTagsCommand(tag));
    const message = expectRefusedDeploy(step, 'wrong-environment');
    expect(message).toContain(`${host}: Its tags say environment=production, not App=chatmrpt and Env`);
    expect(message).toContain('correct its tags');
  });

  test('an agent that is too old', async () => {
    const file = '/usr/lib/amazon-ssm-agent/agent.py';
    const told = (version: string) =>
      onHost(cloud, host, [
        ...['bash', '-c'],
        `sed -i "s/^NAME, VERSION = .*/NAME, VERSION = 'amazon-ssm-agent', '${version}'/" ${file}
         systemctl restart amazon-ssm-agent`,
      ]);
    await holdLease(); // until the news has come, there is nothing else to refuse
    await told('3.1.1080.0');
    const message = expectRefusedDeploy(await untilRefusedAs('agent-too-old'), 'agent-too-old');
    expect(message).toContain(`${host}: Its agent is version 3.1.1080.0; 3.2.1377.0 is the oldest`);
    expect(message).toContain('AWS-UpdateSSMAgent');
    await told('3.3.1142.0');
    await untilRefusedAs('lease-held');
  }, 60_000);
});

describe('deploy-staging refuses, having asked the hosts alone,', () => {
  /** Taken and given back. */
  const lease = Array(2).fill(`PutObject chatmrpt-understudy/leases/${app}/${environment}.json`);

  test('while a run that still works holds the lease', async () => {
    await holdLease();
    const message = expectRefusedDeploy(await deploy(), 'lease-held');
    expect(message).toContain(`The lease of staging is held by attempt 1 of run 77 of ${repository}`);
    expect(message).toContain('That attempt is still running.');
    expect(message).toContain('What to do: Wait until that run has ended');
  }, 30_000);

  test('a production instance that was given the tags of staging', async () => {
    await tellRun(cloud, { repository, id: 77, status: 'completed' });
    const settings = `/etc/understudy/${app}.json`;
    await onHost(cloud, host, [
      'sed',
      '-i',
      's/"environment": *"staging"/"environment":"production"/',
      settings,
    ]);
    const step = await deploy();
    const message = expectRefusedDeploy(step, 'wrong-host', lease);
    expect(message).toContain(`${host}: This host was prepared for chatmrpt in production, not in staging.`);
    expect(message).toContain('correct its tags');
  }, 60_000);
});

/** Gives a copy of the app's folder to what may spoil it. */
async function packing(use: (copy: string) => Promise<void>): Promise<void> {
  const place = await mkdtemp(join(work, 'pack-'));
  const copy = join(place, 'app');
  await cp(folder, copy, { recursive: true, filter: (path) => !path.endsWith('/.git') });
  await use(copy);
  await rm(place, { recursive: true });
}

async function truncateTo(file: string, bytes: number): Promise<void> {
  await writeFile(file, '');
  await truncate(file, bytes);
}

/** The agent tells its version a moment after it started. */
async function untilRefusedAs(reason: string): Promise<Step> {
  for (let tries = 0; ; tries += 1) {
    const step = await deploy();
    if (step.outputs['reason'] === reason || tries === 40) return step;
  }
}

async function holdLease(): Promise<void> {
  await tellRun(cloud, { repository, id: 77, status: 'in_progress' });
  await writeLease(77);
}

async function writeLease(run: number): Promise<void> {
  const lease = {
    ...{ schema: 1, state: 'held', fence: 3, repository, run: String(run), attempt: 1 },
    ...{ operation: `1-${run}-1-deploy-staging`, nonce: 'theirs' },
    expires: new Date(Date.now() + 600_000).toISOString(),
  };
  const s3 = new S3Client({ ...operatorClient(cloud), forcePathStyle: true });
  const place = { Bucket: `${app}-understudy`, Key: `leases/${app}/${environment}.json` };
  await s3.send(new PutObjectCommand({ ...place, Body: JSON.stringify(lease) }));
}
