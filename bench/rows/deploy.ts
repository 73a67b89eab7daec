import { join } from 'node:path';
import { pythonTools } from '../../rehearsal/ground/places.ts';
import { run } from '../../rehearsal/ground/run.ts';
import { atMost, type Figure, ours, peer, seconds } from '../figure.ts';
import type { Deployed, Grounds } from '../grounds.ts';
import type { Play, Row } from '../row.ts';
import { median } from '../statistics.ts';

const rounds = 10;

/** What one deploy costs beside the host's own work: by our action, and by the AWS CLI with the same document. */
export const deploy: Row = {
  name: 'deploy',
  title: 'One deploy',
  async play(play) {
    const grounds = await play.grounds();
    await grounds.take({ switch: 'overlap', loadSeconds: 0 });
    const deploys: Measured[] = [];
    const byCli: number[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      play.stop.throwIfAborted();
      const one = await measureDeploy(grounds);
      deploys.push(one);
      byCli.push(await overheadOfCli(grounds));
      play.say(
        `deploy ${round} of ${rounds}: ${seconds(one.overhead)} over the host's ${seconds(one.script)}; by the AWS CLI ${seconds(byCli.at(-1) ?? 0)}`,
      );
    }
    const startSeconds = await startOf(grounds, play);
    return [overheadFigure(deploys, byCli), callsFigure(deploys), ...scriptFigures(deploys, startSeconds)];
  },
};

interface Measured {
  /** Seconds from sending until the runner knew the end, less those of the host's script. */
  readonly overhead: number;
  /** Seconds that the agent ran the script. */
  readonly script: number;
  readonly deployed: Deployed;
}

export async function measureDeploy(grounds: Grounds): Promise<Measured> {
  const deployed = await grounds.deploy(await grounds.pack());
  const script = await grounds.scriptSeconds(deployed.command);
  return { overhead: secondsUntilKnown(deployed.calls) - script, script, deployed };
}

/** Seconds from sending the deploy until the runner had the answer that told its end. */
export function secondsUntilKnown(calls: Deployed['calls']): number {
  const sent = calls.findIndex(
    ({ action, resource }) => action === 'SendCommand' && resource.endsWith('-deploy'),
  );
  const last = calls.findLast(({ action }) => action === 'ListCommandInvocations');
  // From the answer before it: what sending itself takes is ours to answer for.
  return (Date.parse(last?.time ?? '') - Date.parse(calls[sent - 1]?.time ?? '')) / 1000;
}

/** The same document by `aws ssm send-command` and `aws ssm wait command-executed`, less the host's script. */
async function overheadOfCli(grounds: Grounds): Promise<number> {
  const release = await grounds.storeAsOperator(await grounds.pack());
  const parameters = JSON.stringify({
    ...{
      app: ['bench'],
      environment: ['staging'],
      operation: [`operator-${Date.now()}-deploy`],
      timeout: ['300'],
    },
    ...{ release: [release], fence: [String(await grounds.fence())], excerpts: ['on'] },
  });
  const aws = (...words: string[]): Promise<string> =>
    run([join(pythonTools(), 'aws'), 'ssm', ...words], {
      env: { ...grounds.cloud.operatorEnv, PATH: '/usr/bin:/bin' },
    });
  const started = performance.now();
  const sending = [
    '--document-name',
    'bench-deploy',
    '--instance-ids',
    grounds.instanceId,
    '--parameters',
    parameters,
  ];
  const command = (
    await aws('send-command', ...sending, '--query', 'Command.CommandId', '--output', 'text')
  ).trim();
  await aws('wait', 'command-executed', '--command-id', command, '--instance-id', grounds.instanceId);
  const known = (performance.now() - started) / 1000;
  return known - (await grounds.scriptSeconds(command));
}

function overheadFigure(deploys: readonly Measured[], byCli: readonly number[]): Figure {
  const [own, cli] = [median(deploys.map(({ overhead }) => overhead)), median(byCli)];
  return atMost(own, 1, seconds, {
    name: "overhead of a deploy: from sending until the runner knows the end, less the host's own script",
    note: `median of ${rounds}, in turn with \`aws ssm send-command\` and \`aws ssm wait command-executed\` of the same document; the script ran ${seconds(median(deploys.map(({ script }) => script)))}`,
    bars: [ours('deploy-staging', own, seconds(own)), peer('aws ssm send-command + wait', cli, seconds(cli))],
  });
}

/** How often each API was called, the most frequent first: `ListCommandInvocations 12, PutObject 5`. */
export function countCalls(calls: Deployed['calls']): string {
  const counts = new Map<string, number>();
  for (const { action } of calls) counts.set(action, (counts.get(action) ?? 0) + 1);
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([action, count]) => `${action} ${count}`)
    .join(', ');
}

function callsFigure(deploys: readonly Measured[]): Figure {
  const sorted = deploys.map(({ deployed }) => deployed).toSorted((a, b) => a.calls.length - b.calls.length);
  const typical = sorted[Math.ceil(sorted.length / 2) - 1];
  if (typical === undefined) throw new Error('nothing was deployed');
  const [least, most] = [sorted[0]?.calls.length, sorted.at(-1)?.calls.length];
  return atMost(typical.calls.length, 40, String, {
    name: 'API calls of one deploy to one instance, with its polls',
    note: `median of ${rounds}, ${least} to ${most}: ${countCalls(typical.calls)}`,
  });
}

/** Seconds that the app itself needs from its start until it answers. */
async function startOf(grounds: Grounds, { say }: Play): Promise<number> {
  say('starting the app alone, five times');
  const start = `from=$(date +%s%N); systemctl restart "bench@$(basename "$(readlink /srv/bench/current)")"
    until curl --silent --fail --output /dev/null http://127.0.0.1:8080/health; do sleep 0.02; done
    echo $((($(date +%s%N) - from) / 1000000))`;
  const starts: number[] = [];
  for (let round = 0; round < 5; round += 1) starts.push(Number(await grounds.shell(start)) / 1000);
  return median(starts);
}

/** Times that `overlap` starts the new release: alone in its rehearsal, and beside the old one. */
const startsOfOverlap = 2;

function scriptFigures(deploys: readonly Measured[], startSeconds: number): Figure[] {
  const whole = median(deploys.map(({ script }) => script));
  const told = deploys.flatMap(({ deployed }) => deployed.details ?? []);
  const names = told[0]?.steps.map(({ name }) => name) ?? [];
  const steps = names.map((name) => {
    const times = told.flatMap((details) => details.steps.filter((step) => step.name === name));
    return [name, median(times.map(({ started, ended }) => ((ended ?? started) - started) / 1000))] as const;
  });
  const watched = steps.find(([name]) => name === 'watch')?.[1] ?? 0;
  const added = whole - startsOfOverlap * startSeconds - watched;
  const list = steps.map(([name, time]) => `${name} ${time.toFixed(2)}`).join(', ');
  return [
    atMost(added, 2, seconds, {
      name: 'what the host script adds to a deploy, without the hooks',
      note: `an app without hooks, by \`overlap\`, median of ${rounds}: ${seconds(whole)} in all, less two starts of the app of ${seconds(startSeconds)} each, and less ${seconds(watched)} in which the live release is watched under its users. Its steps in seconds: ${list}`,
      bars: steps.map(([name, time]) => ours(name, time, seconds(time))),
    }),
  ];
}
