import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../src/config/config.ts';
import { findEnvironment, parseConfig } from '../../src/config/parse.ts';
import { calledWorkflows, findWorkflow } from '../runner/workflow.ts';
import type { Scene } from './scene.ts';
import { assertConclusion, assertNothingLost, deployResult, outcomeOf } from './verdict.ts';

/** Another app, in a repository of its own, as `npm run rehearse -- --app DIR` plays with it. */
export interface OwnApp {
  readonly folder: string;
  readonly config: Config;
}

/** Reads an app's folder. Throws a sentence where something is missing that a deploy needs. */
export function readOwnApp(folder: string): OwnApp {
  const need = (file: string, why: string): void => {
    if (!existsSync(join(folder, file))) throw new Error(`there is no ${join(folder, file)}: ${why}`);
  };
  need('understudy.yml', '--app is the folder of an app, for example examples/isso');
  const config = parseConfig(
    readFileSync(join(folder, 'understudy.yml'), 'utf8'),
    join(folder, 'understudy.yml'),
  );
  findEnvironment(config, 'staging');
  need('.understudy/run', 'it says how the app starts; examples/isso has one');
  need(
    '.github/workflows',
    'a workflow there calls deploy-staging.yml on a push to main; examples/isso has one',
  );
  if (!calledWorkflows(folder).some((called) => called.includes('/deploy-staging.yml@')))
    throw new Error(
      `no workflow of ${folder} calls a reusable workflow deploy-staging.yml; examples/isso has one`,
    );
  const push = { repository: `acme/${config.app}`, event: 'push', ref: 'refs/heads/main', inputs: {} };
  findWorkflow(folder, push);
  return { folder, config };
}

/** The first deploy, the same push again, and an upgrade under a load that asks what the app's own checks ask. */
export function scenesOf({ config: { app, service } }: OwnApp): readonly Scene[] {
  return [
    {
      key: 'first-deploy',
      name: `First deploy: ${app} to an empty host`,
      roles: ['own'],
      async play({ own }) {
        const run = await own.push();
        assertConclusion(run, 'success');
        assert.equal(deployResult(run).result, 'done');
        const note = `release ${await own.host.liveRelease()} is live`;
        return outcomeOf({ run, apiCalls: (await own.account.callsSince()).length, note });
      },
    },
    {
      key: 'same-push',
      name: 'The same push again: unchanged',
      roles: ['own'],
      async play({ own }) {
        const invocation = await own.host.liveInvocation();
        const run = await own.rerun();
        assertConclusion(run, 'success');
        assert.equal(deployResult(run).result, 'unchanged');
        assert.equal(await own.host.liveInvocation(), invocation, 'the live release was restarted');
        return outcomeOf({
          run,
          apiCalls: (await own.account.callsSince()).length,
          note: 'nothing was restarted',
        });
      },
    },
    {
      key: 'upgrade',
      name: `Upgrade under load: ${app} by ${service.switch}`,
      roles: ['own'],
      async play({ own, say }) {
        const live = await own.host.liveRelease();
        await own.repository.write('understudy-rehearsal.txt', 'The next release differs by this file.\n');
        await own.repository.commit('The next release');
        say('push to main while users ask what the checks ask');
        const { run, load } = await own.pushUnderLoad();
        assertConclusion(run, 'success');
        assert.equal(deployResult(run).result, 'done');
        assert.notEqual(await own.host.liveRelease(), live);
        // Where a server cannot take a socket, nobody answers for a moment: told, and no fault.
        if (service.switch !== 'restart') assertNothingLost(load);
        const note = `release ${await own.host.liveRelease()} took over from ${live}`;
        return outcomeOf({ run, load, apiCalls: (await own.account.callsSince()).length, note });
      },
    },
  ];
}
