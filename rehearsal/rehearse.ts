import { Listr, type ListrTask, PRESET_TIMER } from 'listr2';
import { type Cloud, startCloud, stopCloud } from './cloud/cloud.ts';
import { resultTable, type ScenePlayed, writeReport } from './report.ts';
import { scenes } from './scenes/index.ts';
import type { Recording } from './scenes/recording.ts';
import type { Scene, Stage } from './scenes/scene.ts';
import { Staging } from './scenes/staging.ts';

interface Rehearsal {
  cloud?: Cloud;
  isso?: Staging;
  chatmrpt?: Staging;
}

// A name of its own for each process, so that two rehearsals do not disturb each other.
const cloudName = `r${process.pid.toString(36)}`;
const played: ScenePlayed[] = [];
const stop = new AbortController();

function opened<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('the stage is not set: an earlier step did not end well');
  return part;
}

/** What all that a scene played on has recorded. */
function recorded({ isso, chatmrpt }: Stage): Recording {
  const parts = [isso, chatmrpt].map((staging) => staging.takeRecording());
  return {
    requests: parts.flatMap(({ requests }) => requests),
    deploys: parts.flatMap(({ deploys }) => deploys),
  };
}

async function play(scene: Scene, stage: Stage): Promise<void> {
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  try {
    const outcome = await scene.play(stage);
    played.push({
      name: scene.name,
      passed: true,
      seconds: seconds(),
      ...outcome,
      recording: recorded(stage),
    });
    stage.say(outcome.note);
  } catch (error) {
    // What a scene says that was stopped in the middle is no news.
    stop.signal.throwIfAborted();
    const note = error instanceof Error ? error.message : String(error);
    const nothing = { requests: 0, lost: 0, worstLatencyMs: null, apiCalls: 0, summary: '' };
    const seen = { ...nothing, note, recording: recorded(stage) };
    played.push({ name: scene.name, passed: false, seconds: seconds(), ...seen });
    throw error;
  }
}

function sceneTask(scene: Scene): ListrTask<Rehearsal> {
  return {
    title: scene.name,
    skip: () => stop.signal.aborted,
    task: async ({ cloud, isso, chatmrpt }, task) => {
      const say = (line: string) => {
        task.output = line;
      };
      const sayStopping = () => say('stopping: the run under way is cancelled');
      stop.signal.addEventListener('abort', sayStopping);
      await play(scene, { cloud: opened(cloud), isso: opened(isso), chatmrpt: opened(chatmrpt), say });
      stop.signal.removeEventListener('abort', sayStopping);
    },
    rendererOptions: { persistentOutput: true },
  };
}

const timer = { ...PRESET_TIMER, field: (ms: number) => `${(ms / 1000).toFixed(1)} s` };

const tasks = new Listr<Rehearsal>(
  [
    {
      title: 'Raise the local cloud',
      task: async (rehearsal, task) => {
        const onStep = (step: string) => {
          task.output = step;
        };
        rehearsal.cloud = await startCloud({ name: cloudName, onStep });
      },
    },
    {
      title: 'Prepare the account, and a staging host for each app',
      task: (_, task) =>
        task.newListr<Rehearsal>(
          (['isso', 'chatmrpt'] as const).map((app) => ({
            title: `staging for ${app}`,
            skip: () => stop.signal.aborted,
            task: async (rehearsal, subtask) => {
              const staging = await Staging.open(opened(rehearsal.cloud), app, stop.signal);
              rehearsal[app] = staging;
              subtask.output = `not exercised, since the emulator skips them: ${staging.notExercised.join(', ')}`;
            },
            rendererOptions: { persistentOutput: true },
          })),
        ),
    },
    {
      title: 'Play the scenes',
      // A scene that fails does not hide what the next one would show.
      task: (_, task) => task.newListr<Rehearsal>(scenes.map(sceneTask), { exitOnError: false }),
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
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // Not once: Ctrl-C comes twice, from the terminal and from npm, and the second must not end the cleaning up.
    process.on(signal, () => {
      const reason = new Error(`stopped by ${signal}`);
      stop.abort(reason);
      setTimeout(() => reject(reason), stopLimitMs).unref();
    });
  }
});
try {
  await Promise.race([tasks.run({}), stuck]);
  stop.signal.throwIfAborted();
} catch (error) {
  console.error(`\nThe rehearsal ended early: ${error instanceof Error ? error.message : error}`);
} finally {
  console.log('Cleaning up …');
  await stopCloud(cloudName);
}
console.log(
  `\n${resultTable(played)}\n\nThe report, to be opened in a browser: ${await writeReport(played)}`,
);
for (const { name, note } of played.filter(({ passed }) => !passed)) console.error(`\n${name}\n${note}`);
const everyScenePassed = played.length === scenes.length && played.every(({ passed }) => passed);
// The load generator or the runner may still hold a pipe after an interruption.
process.exit(everyScenePassed ? 0 : 1);
