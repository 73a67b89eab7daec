/**
 * The rehearsal: every scene, or those that are named by number or name.
 *
 *     npm run rehearse
 *     npm run rehearse -- SCENE…
 *     npm run rehearse -- --app DIR     the first deploy, a re-run and an upgrade of another app
 */
import { Listr, type ListrTask, type ListrTaskWrapper, PRESET_TIMER } from 'listr2';
import { type Cloud, startCloud, stopCloud } from './cloud/cloud.ts';
import { untilStopped } from './ground/stop.ts';
import { resultTable, type ScenePlayed, writeReport } from './report.ts';
import { Cast, type Role } from './scenes/cast.ts';
import type { Recording } from './scenes/recording.ts';
import type { Stage } from './scenes/scene.ts';
import type { Staging } from './scenes/staging.ts';
import { Turns } from './scenes/turns.ts';
import { type Numbered, readProgramme } from './words.ts';

interface Rehearsal {
  cloud?: Cloud;
  cast?: Cast;
}

const programme = readProgramme(process.argv.slice(2), (sentence) => {
  console.error(sentence);
  process.exit(2);
});
// A name of its own for each process, so that two rehearsals do not disturb each other.
const cloudName = `r${process.pid.toString(36)}`;
const played: ScenePlayed[] = [];
const turns = new Turns(programme.scenes);
const stop = untilStopped();
const stopped = new Promise((resolve) => stop.addEventListener('abort', resolve));

function opened<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('the stage is not set: an earlier step did not end well');
  return part;
}

/** What all that a scene played on has recorded. */
function recorded(stagings: readonly Staging[]): Recording {
  const parts = stagings.map((staging) => staging.takeRecording());
  return {
    requests: parts.flatMap(({ requests }) => requests),
    deploys: parts.flatMap(({ deploys }) => deploys),
  };
}

async function play(scene: Numbered, stage: Stage, stagings: readonly Staging[]): Promise<void> {
  const { number, name } = scene;
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  try {
    const outcome = await scene.play(stage);
    played.push({
      number,
      name,
      passed: true,
      seconds: seconds(),
      ...outcome,
      recording: recorded(stagings),
    });
    stage.say(outcome.note);
  } catch (error) {
    // What a scene says that was stopped in the middle is no news.
    stop.throwIfAborted();
    const note = error instanceof Error ? error.message : String(error);
    const nothing = { requests: 0, lost: 0, worstLatencyMs: null, apiCalls: 0, summary: '' };
    const seen = { ...nothing, note, recording: recorded(stagings) };
    played.push({ number, name, passed: false, seconds: seconds(), ...seen });
    throw error;
  }
}

/** Opens what a scene plays on, one after the other. */
async function setStage(
  scene: Numbered,
  { cloud, cast }: Rehearsal,
  say: Stage['say'],
): Promise<{ stage: Stage; stagings: Staging[] }> {
  const open: Partial<Record<Role, Staging>> = {};
  for (const role of scene.roles) {
    say(`preparing the account and a host of ${role}`);
    open[role] = await opened(cast).get(role);
  }
  // A scene names every role that it plays with.
  const stage = { ...open, cloud: opened(cloud), say } as Stage;
  return { stage, stagings: Object.values(open) };
}

async function playTask(scene: Numbered, rehearsal: Rehearsal, say: Stage['say']): Promise<void> {
  const sayStopping = () => say('stopping: the run under way is cancelled');
  stop.addEventListener('abort', sayStopping);
  try {
    await Promise.race([turns.toBegin(scene), stopped]);
    stop.throwIfAborted();
    const { stage, stagings } = await setStage(scene, rehearsal, say);
    await Promise.race([turns.toMeasure(scene), stopped]);
    stop.throwIfAborted();
    await play(scene, stage, stagings);
  } finally {
    stop.removeEventListener('abort', sayStopping);
    turns.ended(scene);
  }
}

function sceneTask(scene: Numbered): ListrTask<Rehearsal> {
  return {
    title: `${scene.number}. ${scene.name}`,
    skip: () => stop.aborted,
    task: (rehearsal, task) => playTask(scene, rehearsal, sayer(task)),
    rendererOptions: { persistentOutput: true },
  };
}

function sayer<T extends Pick<ListrTaskWrapper<Rehearsal, never, never>, 'output'>>(task: T): Stage['say'] {
  return (line) => {
    task.output = line;
  };
}

const timer = { ...PRESET_TIMER, field: (ms: number) => `${(ms / 1000).toFixed(1)} s` };

const tasks = new Listr<Rehearsal>(
  [
    {
      title: 'Raise the local cloud',
      task: async (rehearsal, task) => {
        const cloud = await startCloud({ name: cloudName, onStep: sayer(task) });
        rehearsal.cloud = cloud;
        rehearsal.cast = new Cast(cloud, { stop, own: programme.own });
      },
    },
    {
      title: 'The rehearsal',
      // A scene that fails does not hide what the others would show.
      task: (_, task) =>
        task.newListr<Rehearsal>(programme.scenes.map(sceneTask), { concurrent: true, exitOnError: false }),
    },
  ],
  {
    rendererOptions: { collapseSubtasks: false, timer },
    fallbackRenderer: 'simple',
    fallbackRendererOptions: { timer },
    registerSignalListeners: false,
  },
);

/** The longest that a stopped run may take to end by itself: GitHub's own patience, and the post step's work. */
const stopLimitMs = 30_000;

/** Rejects when the rehearsal was stopped and does not come to its end. */
const stuck = new Promise<never>((_, reject) => {
  stop.addEventListener('abort', () => setTimeout(() => reject(stop.reason as Error), stopLimitMs).unref());
});
try {
  await Promise.race([tasks.run({}), stuck]);
  stop.throwIfAborted();
} catch (error) {
  console.error(`\nThe rehearsal ended early: ${error instanceof Error ? error.message : error}`);
} finally {
  console.log('Cleaning up …');
  await stopCloud(cloudName);
}
played.sort((a, b) => a.number - b.number);
console.log(
  `\n${resultTable(played)}\n\nThe report, to be opened in a browser: ${await writeReport(played)}`,
);
for (const { name, note } of played.filter(({ passed }) => !passed)) console.error(`\n${name}\n${note}`);
const everyScenePassed = played.length === programme.scenes.length && played.every(({ passed }) => passed);
// The load generator or the runner may still hold a pipe after an interruption.
process.exit(everyScenePassed ? 0 : 1);
