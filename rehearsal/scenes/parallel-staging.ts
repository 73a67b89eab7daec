import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EC2Client, StopInstancesCommand } from '@aws-sdk/client-ec2';
import { CopyObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { type Cloud, onHost, operatorClient } from '../cloud/cloud.ts';
import { ensureHosts, sendAndAwait } from '../cloud/enrol.ts';
import { expireStack } from '../cloud/expire.ts';
import { listHosts } from '../cloud/host.ts';
import { provision } from '../cloud/provision.ts';
import { readCalls } from '../gateway/record.ts';
import { repositoryFolder } from '../ground/places.ts';
import type { Run } from '../runner/runner.ts';
import { CallerRepository } from './repository.ts';
import type { Scene } from './scene.ts';
import { Staging } from './staging.ts';
import { assertConclusion, jobOf, resultOf } from './verdict.ts';

const app = 'gallery';
const names = `sqlite3 -readonly /srv/${app}/shared/visits.db "SELECT name FROM visits"`;

/**
 * A new staging is launched from production's golden image, beside it: on a bigger disk, without what people wrote there,
 * and without a call that changes anything of production. The next launch takes its place; its time to live ends that one.
 */
export const parallelStaging: Scene = {
  key: 'parallel',
  name: 'Parallel staging: launched from the golden image of production, scrubbed, replaced by the next, and ended by AWS',
  roles: [],
  later: true,
  async play({ cloud, say }) {
    const repository = await ownRepository(cloud);
    const staging = await Staging.open(cloud, repository);
    const production = await liveProduction(cloud, staging);
    say('production is live; an image of it is made, and proven');
    const imaged = await staging.dispatch('create-ami.yml', { inputs: { prove: 'true', reboot: 'false' } });
    assertConclusion(imaged, 'success');
    const before = readCalls(join(cloud.state, 'calls.jsonl')).length;
    const [first, run] = await launch(staging);
    say(`${first} is launched`);
    const shell = (script: string) => ask(cloud, first, script);
    assert.ok(
      Number(await shell('df --output=size -BG / | tail -n 1 | tr -dc 0-9')) >= 39,
      'its disk has not 40 GiB',
    );
    assert.match(await shell('curl --fail --silent http://127.0.0.1:8080/health'), /"status": "ok"/);
    assert.equal(await shell(names), 'somebody', 'what people wrote in production is on staging');
    assert.equal(await ask(cloud, production, names), 'ada@example.org', 'production was scrubbed');
    const [second] = await launch(staging);
    say(`${second} took its place`);
    const stateOf = async (id: string) => (await listHosts(cloud)).find((host) => host.id === id)?.state;
    assert.equal(await stateOf(first), 'terminated', 'the one before is still there');
    assert.deepEqual(writesOn(cloud, before, production), [], 'something of production was changed');
    await expireStack(cloud, stackOf(cloud, before));
    for (const until = Date.now() + 30_000; (await stateOf(second)) !== 'terminated' && Date.now() < until; )
      await sleep(200);
    assert.equal(await stateOf(second), 'terminated', 'its time was over, and it is still there');
    const note =
      '40 GiB, scrubbed, healthy on 8080; replaced once the next was healthy; ended by AWS; no call changed production';
    return {
      requests: 0,
      lost: 0,
      worstLatencyMs: null,
      apiCalls: 0,
      summary: jobOf(run, 'launch').summary,
      note,
    };
  },
};

/** The kiosk, with a production, whose images are made, and a hook that scrubs. */
async function ownRepository(cloud: Cloud): Promise<CallerRepository> {
  const source = join(repositoryFolder, 'rehearsal/scenes/kiosk');
  const repository = await CallerRepository.copyOf(source, app, cloud, 'kiosk');
  const role = `arn:aws:iam::${cloud.account}:role/${app}-production-ci`;
  await repository.edit('understudy.yml', (text) =>
    text.replace(
      /^service:/m,
      `  production: {bucket: ${app}-production, backups: ${app}-production-backups, role-arn: "${role}"}\nservice:`,
    ),
  );
  await repository.edit('.github/workflows/create-ami.yml', (text) =>
    text
      .replace(`app: ${app}`, `app: ${app}\n      environment: production`)
      .replace('-staging-drill', '-production-drill'),
  );
  await repository.write(
    '.understudy/hooks/scrub',
    `#!/bin/bash\nset -euo pipefail\nsqlite3 "$UNDERSTUDY_SHARED/visits.db" "UPDATE visits SET name = 'somebody'"\n`,
  );
  await repository.commit('Have a production, and a hook that scrubs');
  return repository;
}

/** Production with the release that a staging made by hand has, and what somebody wrote. That staging is stopped. */
async function liveProduction(cloud: Cloud, staging: Staging): Promise<string> {
  const { folder, name } = staging.repository;
  const place = { app, environment: 'production', folder };
  await staging.ensureLive();
  await provision(cloud, { ...place, repository: name });
  const [host = ''] = await ensureHosts(cloud, place);
  const { s3 } = staging.account;
  const from = { Bucket: `${app}-understudy`, Prefix: `releases/${app}/staging/` };
  const [{ Key = '' } = {}] = (await s3.send(new ListObjectsV2Command(from))).Contents ?? [];
  const release = /([0-9a-f]{64})\.tar\.gz$/.exec(Key)?.[1] ?? '';
  const to = { Bucket: `${app}-production`, Key: `releases/${app}/production/${release}.tar.gz` };
  await s3.send(new CopyObjectCommand({ ...to, CopySource: `${from.Bucket}/${Key}` }));
  const values = {
    ...{ app, environment: 'production', operation: 'operator-deploy-production', timeout: '300' },
    ...{ release, fence: '1' },
  };
  const parameters = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, [value]]));
  await sendAndAwait(cloud, host, `${app}-deploy`, parameters);
  await ask(
    cloud,
    host,
    `sqlite3 -cmd '.timeout 10000' /srv/${app}/shared/visits.db "INSERT INTO visits VALUES ('ada@example.org')"`,
  );
  await new EC2Client(operatorClient(cloud)).send(
    new StopInstancesCommand({ InstanceIds: [staging.host.id] }),
  );
  return host;
}

/** Presses the button, and gives the instance that came of it. */
async function launch(staging: Staging): Promise<[string, Run]> {
  const inputs = { life: '1d', 'at-end': 'remove', disk: '40' };
  const run = await staging.dispatch('launch-staging.yml', { inputs });
  assertConclusion(run, 'success');
  const { result, reason } = resultOf(run, 'launch');
  assert.deepEqual([result, reason], ['done', 'launched']);
  return [jobOf(run, 'launch').outputs['instance'] ?? '', run];
}

async function ask(cloud: Cloud, id: string, script: string): Promise<string> {
  const { code, stdout, stderr } = await onHost(cloud, id, ['bash', '-c', script]);
  assert.equal(code, 0, `${script} on ${id}: ${stderr}`);
  return stdout.trim();
}

const reads = /^(Describe|Get|List|Head|AssumeRole)/;

/** The calls since then that changed something of production, as far as a call names it. */
function writesOn(cloud: Cloud, since: number, instance: string): string[] {
  return readCalls(join(cloud.state, 'calls.jsonl'))
    .slice(since)
    .filter(({ principal }) => principal.startsWith(`role/${app}-staging-`))
    .filter(
      ({ action, resource }) =>
        !reads.test(action) && [instance, `${app}-production`].some((one) => resource.includes(one)),
    )
    .map(({ action, resource }) => `${action} ${resource}`);
}

/** The stack that was made last. */
function stackOf(cloud: Cloud, since: number): string {
  const made = readCalls(join(cloud.state, 'calls.jsonl'))
    .slice(since)
    .filter(
      ({ action, resource }) => action === 'CreateStack' && resource.includes(`${app}-staging-launched-`),
    );
  return /stack\/([^/]+)/.exec(made.at(-1)?.resource ?? '')?.[1] ?? '';
}
