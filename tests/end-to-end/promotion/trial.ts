// Plays one trouble of a promotion with the attempt after it, and judges both by what is true in the account.
import { addFault, clearFaults, listFaults } from '../../../rehearsal/cloud/fault.ts';
import type { Step } from '../../../rehearsal/runner/step.ts';
import { dyingAt } from './deaths.ts';
import { type Packed, type Stage, toldBy } from './stage.ts';
import type { Trouble } from './troubles.ts';

/** What a trouble came to; without problems when all is as it must be. */
export interface Row {
  readonly name: string;
  readonly told: string;
  /** What the next attempt told. */
  readonly again: string;
  readonly problems: readonly string[];
}

export async function playTrouble(stage: Stage, trouble: Trouble): Promise<Row> {
  const packed = await stage.soak(await stage.pack());
  await stage.publish(packed.tag, 'What is new.');
  const run = stage.nextRun();
  const there = await count(stage);
  const problems: string[] = [];
  const struck =
    'deaths' in trouble
      ? await die(stage, packed, run, trouble.deaths, problems)
      : await meet(stage, packed, run, trouble.fault, problems);
  await stage.idle();
  const attempt = 'deaths' in trouble ? trouble.deaths.length + 1 : 2;
  const again = await stage.promote(packed, { run, attempt });
  const well = isWell(again) && again.code === 0;
  const check = (holds: boolean, problem: string): unknown => holds || problems.push(problem);
  check(well, `again: ${tellingOf(again)}: ${toldBy(again).sentence}`);
  check((await stage.live(stage.production)) === packed.id.slice(0, 12), 'again: it is not live');
  const times = await stage.timesLive(packed);
  check(times === 1, `it was made live ${times} times`);
  const now = await count(stage);
  const wanted = { ...there, images: there.images + 1, backups: there.backups + 1 };
  const differs = JSON.stringify(now) !== JSON.stringify(wanted);
  check(!differs, `there are ${JSON.stringify(now)}, not ${JSON.stringify(wanted)}`);
  check((await stage.lease()) === 'released', 'the lease is held');
  const entries = await stage.ledger(again.outputs['operation'] ?? '');
  check(entries.length > 0, 'again: the ledger has no entry');
  for (const step of [struck, again]) problems.push(...(await twiceIn(stage, step)));
  return { name: trouble.name, told: tellingOf(struck), again: tellingOf(again), problems };
}

const isWell = (step: Step): boolean => ['done', 'unchanged'].includes(toldBy(step).result);
const tellingOf = (step: Step): string =>
  step.code === -1 ? 'died' : `${toldBy(step).result}/${toldBy(step).reason}`;

async function count(stage: Stage) {
  const [images, backups, addresses] = await Promise.all([
    stage.images(),
    stage.backups(),
    stage.addresses(),
  ]);
  return { images: images.length, backups: backups.length, addresses: addresses.length };
}

async function die(
  stage: Stage,
  packed: Packed,
  run: number,
  deaths: Extract<Trouble, { deaths: unknown }>['deaths'],
  problems: string[],
): Promise<Step> {
  let last: Step | undefined;
  for (const [index, death] of deaths.entries()) {
    last = await stage.promote(packed, { run, attempt: index + 1, env: dyingAt(death) });
    if (last.code !== -1) problems.push(`it did not come to where it dies: ${death.name}`);
  }
  if (!last) throw new Error('nobody dies');
  return last;
}

/** From its first call to the end of its post step, where it has something to do. */
async function meet(
  stage: Stage,
  packed: Packed,
  run: number,
  fault: Extract<Trouble, { fault: unknown }>['fault'],
  problems: string[],
): Promise<Step> {
  const before = await stage.live(stage.production);
  await addFault(stage.cloud, fault);
  const main = await stage.promote(packed, { run });
  if (main.state['ended'] !== 'all') await stage.post(packed, main, { run });
  const [met] = await listFaults(stage.cloud);
  await clearFaults(stage.cloud);
  if (!met?.met) problems.push('it never met its fault');
  const live = await stage.live(stage.production);
  const { result } = toldBy(main);
  if (isWell(main) && live !== packed.id.slice(0, 12))
    problems.push(`it told ${result}, and ${live} is live`);
  if (result === 'refused' && live !== before) problems.push(`it was refused, and ${live} is live`);
  const sentence = main.errors[0]?.message ?? '';
  const clear = main.errors.length === 1 && / What to do: .+/.test(sentence);
  if (!isWell(main) && !clear) problems.push(`no clear sentence: ${sentence}`);
  return main;
}

/** The ledger has one entry an operation, and none where it died before it wrote one. */
async function twiceIn(stage: Stage, { outputs }: Step): Promise<string[]> {
  const operation = outputs['operation'] ?? '';
  const entries = await stage.ledger(operation);
  return entries.length > 1 ? [`the ledger has ${entries.length} entries of ${operation}`] : [];
}
