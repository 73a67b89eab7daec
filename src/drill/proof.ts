import { inSeconds } from '../action/log.ts';
import type { Reason } from '../action/reasons.ts';
import type { Step } from '../command/details.ts';
import type { Told } from '../operation/summary.ts';
import type { Unpacked } from './climb.ts';
import type { Control, Level, Phase } from './ladder.ts';

/** What keeps a backup that is sound from coming up on an instance of its own. */
export type Hindrance = string;

interface Asked {
  readonly upTo: number;
  /** What went before the restore. */
  readonly before: readonly Phase[];
  readonly hindrance?: Hindrance;
}

/** The steps of host/restore.sh by what a person waits for. */
const phasesOf: Readonly<Record<string, readonly string[]>> = {
  fetch: ['lock', 'request', 'fits', 'room', 'fetch'],
  prove: ['integrity', 'content', 'control'],
  exchange: ['code', 'ready', 'copy', 'stop', 'exchange'],
  start: ['start'],
  checks: ['check', 'settle'],
};

/** What is wrong with the app on the data, and not with the host. */
const appFailed: readonly Reason[] = ['start-failed', 'check-failed'];

/**
 * What the drill host's word comes to on the ladder: from its own levels, of which it tells 2 to 4 together, its steps,
 * and how it ended.
 */
export function readProof(told: Told, { upTo, before, hindrance }: Asked): Unpacked {
  const { more } = told;
  const steps = more?.steps ?? [];
  const phases = [...before, ...toPhases(steps)];
  const levels: Level[] = [...(more?.levels ?? [])];
  const next = levels.length + 2;
  if (levels.every(({ verdict }) => verdict === 'passed')) {
    if (next <= 4) levels.push(missing(next, told));
    else if (upTo > 4) levels.push(...(hindrance ? [bad(6, hindrance)] : restored(told, steps)));
  }
  return { levels, phases, ...controlOf(told) };
}

function controlOf({ reason, more }: Told): { control?: Control } {
  if (reason === 'control-passed') return { control: 'passed' };
  return more?.control === 'refused' ? { control: 'refused' } : {};
}

/** Levels 6 and 7: the script put it in place, and the app answered. */
function restored(told: Told, steps: readonly Step[]): Level[] {
  const { reason, sentence, instance, release } = told;
  const inPlace: Level = {
    ...{ level: 6, verdict: 'passed', ms: spent(steps, phasesOf['exchange']) },
    evidence: `data and code are in place on ${instance}, put there by host/restore.sh`,
  };
  const ms = spent(steps, [...(phasesOf['start'] ?? []), ...(phasesOf['checks'] ?? [])]);
  if (reason === 'restored') {
    const asked = (told.more?.checks ?? []).filter(({ where }) => where === 'public').map(({ path }) => path);
    const evidence = `release ${release} answered ${asked.join(', ')} ${inSeconds(ms)} after it was started`;
    return [inPlace, { level: 7, verdict: 'passed', ms, evidence }];
  }
  if (appFailed.includes(reason)) return [inPlace, { ...bad(7, sentence), ms }];
  if (reason === 'bad-release') return [bad(6, sentence)];
  return [missing(6, told)];
}

const bad = (level: number, evidence: string): Level => ({ level, verdict: 'failed', ms: 0, evidence });

const missing = (level: number, { instance, sentence }: Told): Level => ({
  ...{ level, verdict: 'could-not-run', ms: 0, evidence: `${instance}: ${sentence}` },
});

/** A backup of which nothing could be tried. */
export function couldNotRun(evidence: string, ms: number): Unpacked {
  return { levels: [{ level: 2, verdict: 'could-not-run', ms: Math.round(ms), evidence }] };
}

function toPhases(steps: readonly Step[]): Phase[] {
  return Object.entries(phasesOf).flatMap(([name, parts]) => {
    const there = steps.some((step) => parts.includes(step.name));
    return there ? [{ name, ms: spent(steps, parts) }] : [];
  });
}

function spent(steps: readonly Step[], names: readonly string[] = []): number {
  const meant = steps.filter(({ name }) => names.includes(name));
  return meant.reduce((sum, { started, ended }) => sum + Math.max(0, (ended ?? started) - started), 0);
}
