import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Cloud, operatorClient, startCloud, stopCloud } from '../../rehearsal/cloud/cloud.ts';
import { readCalls } from '../../rehearsal/gateway/record.ts';
import { ask } from '../../rehearsal/ground/socket.ts';
import { findDeniedCalls } from '../../rehearsal/policies/calls.ts';
import { type Holder, holdersIn } from '../../rehearsal/policies/foundation.ts';
import { Cast } from '../../rehearsal/scenes/cast.ts';
import { scenes } from '../../rehearsal/scenes/index.ts';
import type { Stage } from '../../rehearsal/scenes/scene.ts';
import type { Staging } from '../../rehearsal/scenes/staging.ts';
import { assertConclusion, deployResult, jobOf } from '../../rehearsal/scenes/verdict.ts';

const name = `e${process.pid.toString(36)}`;
let cloud: Cloud;
let isso: Staging;
let chatmrpt: Staging;
let stage: Stage;

beforeAll(async () => {
  cloud = await startCloud({ name });
  const cast = new Cast(cloud);
  isso = await cast.get('isso');
  chatmrpt = await cast.get('chatmrpt');
  const kiosk = await cast.get('kiosk');
  const open: Partial<Stage> = { cloud, isso, chatmrpt, kiosk, say: () => {} };
  stage = open as Stage;
}, 180_000);

afterAll(async () => {
  await stopCloud(name);
}, 60_000);

// The scenes carry their assertions; a rehearsal and this test play the very same ones.
describe('a push reaches staging through the workflow', () => {
  // The others take minutes, and play in the rehearsal alone.
  const played = ['first-deploy', 'overlap', 'pause', 'incident', 'same-push', 'interrupted', 'restart'];
  played.push('backup', 'night', 'by-hand', 'drill');
  test.each(scenes.filter(({ key }) => played.includes(key)).map((scene) => [scene.name, scene] as const))(
    '%s',
    async (_, scene) => {
      const { requests } = await scene.play(stage);
      const recordings = [isso, chatmrpt, stage.kiosk].map((staging) => staging.takeRecording());
      expect(recordings.flatMap((recording) => recording.requests)).toHaveLength(requests);
      const deploys = recordings.flatMap((recording) => recording.deploys);
      // One that is refused, or whose runner dies, tells no step of its host.
      expect(deploys.length === 0 || deploys.some(({ steps }) => steps.length > 0)).toBe(true);
    },
    300_000,
  );
});

describe('a run that is cancelled while the host is at work', () => {
  test('is brought to its end by the post step, and leaves the old release healthy', async () => {
    await chatmrpt.repository.edit('README.md', (text) => `${text}\nAnother line.\n`);
    await chatmrpt.repository.commit('The release after the incident');
    const live = await chatmrpt.host.liveRelease();
    const invocation = await chatmrpt.host.liveInvocation();
    await chatmrpt.account.callsSince();

    const cancel = new AbortController();
    const running = chatmrpt.push({ cancel: cancel.signal });
    await Promise.race([rehearsalBegins(chatmrpt), running]);
    cancel.abort();
    const run = await running;

    assertConclusion(run, 'cancelled');
    expect(run.jobs.map(({ conclusion }) => conclusion)).toEqual(['success', 'cancelled']);
    expect(jobOf(run, 'deploy').summary).toContain('after it was stopped');
    expect(run.log).toMatch(new RegExp(`${chatmrpt.host.id} {2}reverted \\(cancelled\\): .+`));
    expect(run.log).toContain('the lease of staging is given back');
    const asked = (await chatmrpt.account.callsSince()).map(({ action, resource }) =>
      action === 'SendCommand' ? resource.split('/').at(-1) : action,
    );
    // Asks SSM, asks the host, then looks: in this order, after the deploy was sent.
    const order = ['chatmrpt-deploy', 'CancelCommand', 'chatmrpt-cancel', 'chatmrpt-probe'];
    const since = asked.slice(asked.indexOf('chatmrpt-deploy')).filter((one) => order.includes(one ?? ''));
    expect([...new Set(since)]).toEqual(order);
    expect(await chatmrpt.account.lease()).toBe('released');
    expect(await chatmrpt.host.liveRelease()).toBe(live);
    expect(await chatmrpt.host.liveInvocation()).toBe(invocation);
    expect(JSON.parse(await chatmrpt.host.get('/health'))).toMatchObject({ status: 'ok' });
    expect(await rehearsals(chatmrpt)).toBe('');
  }, 120_000);

  test('does not keep the next push from deploying', async () => {
    const before = await chatmrpt.host.liveRelease();
    const run = await chatmrpt.push();
    assertConclusion(run, 'success');
    expect(deployResult(run)).toMatchObject({ result: 'done', reason: 'deployed' });
    expect(await chatmrpt.host.liveRelease()).not.toBe(before);
  }, 120_000);
});

/** Units of releases that are alone on a copy of the data now. */
function rehearsals(staging: Staging): Promise<string> {
  const units = `${staging.app}-rehearse@*.service`;
  return staging.host.ask('systemctl', 'list-units', '--no-legend', '--state=activating,active', units);
}

async function rehearsalBegins(staging: Staging): Promise<void> {
  while ((await rehearsals(staging)) === '') await sleep(100);
}

describe('what was called meanwhile', () => {
  const calls = () => readCalls(join(cloud.state, 'calls.jsonl'));

  test('never failed by the emulator itself', async () => {
    const { body } = await ask(join(cloud.run, 'gateway.sock'), 'GET', '/_cloud/calls');
    expect(body).toMatchObject({ emulatorErrors: 0 });
  });

  test('is all allowed by the policies that are shipped', async () => {
    const apps = ['isso', 'chatmrpt', 'kiosk'];
    const holders = new Map((await Promise.all(apps.map(holdersOf))).flatMap((held) => [...held]));
    const judged = calls().filter(({ principal }) => principal.startsWith('role/'));
    expect(judged.length).toBeGreaterThan(200);
    expect(new Set(judged.map(({ principal }) => principal))).toEqual(
      new Set([
        ...apps.flatMap((app) => [`role/${app}-staging-ci`, `role/${app}-staging-host`]),
        'role/chatmrpt-staging-drill',
        'role/chatmrpt-staging-drill-host',
      ]),
    );
    expect(await findDeniedCalls(judged, holders)).toEqual([]);
  }, 60_000);
});

/** The roles and policies of the app's stacks, with the parameters that these were made with. */
async function holdersOf(app: string): Promise<Map<string, Holder>> {
  const foundation = await holdersOfStack(`${app}-staging`, 'foundation');
  return new Map([...foundation, ...(await holdersOfStack(`${app}-staging-drill`, 'drill'))]);
}

async function holdersOfStack(
  StackName: string,
  template: 'foundation' | 'drill',
): Promise<Map<string, Holder>> {
  const client = new CloudFormationClient(operatorClient(cloud));
  const { Stacks: stacks } = await client.send(new DescribeStacksCommand({ StackName }));
  const given = stacks?.[0]?.Parameters ?? [];
  const lists = ['WorkflowRefs', 'Refs'];
  const parameters = given.map(({ ParameterKey: key = '', ParameterValue: value = '' }) => {
    return [key, lists.includes(key) ? value.split(',') : value] as const;
  });
  const made = { account: cloud.account, region: cloud.region, parameters: Object.fromEntries(parameters) };
  return holdersIn(made, template);
}
