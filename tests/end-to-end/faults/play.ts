// Plays one case of the matrix, and judges it by what is true on the host and in the bucket.
import { addFault, clearFaults, listFaults } from '../../../rehearsal/cloud/fault.ts';
import type { Case } from './cases.ts';
import type { Deploy, Packed, Staging } from './staging.ts';

/** What a case came to; without problems when all is as it must be. */
export interface Row {
  readonly name: string;
  readonly told: string;
  /** What the next attempt told; empty when there was none. */
  readonly again: string;
  readonly problems: readonly string[];
}

/**
 * Plays a deploy that meets the fault from its first call to the end of its post step, and then, with the fault gone,
 * the next attempt of the same run: always, or only after a deploy that did not end well.
 * @param live the release that is live
 */
export async function play(
  staging: Staging,
  played: Case,
  live: Packed,
  again: 'always' | 'when needed' = 'always',
): Promise<Row & { live: Packed }> {
  const { spot, manner, name } = played;
  const packed = spot.fresh ? await staging.pack() : live;
  if (!spot.fresh) await staging.forgetStored(packed);
  const before = await staging.live();
  const attempt = staging.nextRun();
  await addFault(staging.cloud, { ...spot.call, ...manner.how });
  const struck = await staging.deploy(packed, attempt);
  const [fault] = await listFaults(staging.cloud);
  await clearFaults(staging.cloud);
  const problems = await judge(staging, struck, { ...played, before, packed });
  if (!fault?.met) problems.push('it never met its fault');
  const row = { name, told: tellingOf(struck), again: '', problems, live: packed };
  if (again === 'when needed' && isWell(struck) && (await staging.lease()).state === 'released') return row;
  const second = await staging.deploy(packed, { ...attempt, attempt: 2 });
  problems.push(...(await judgeAgain(staging, second, packed)));
  if (second.operation === struck.operation) problems.push('again: it was the same operation');
  return { ...row, again: tellingOf(second) };
}

const tellingOf = ({ result }: Deploy): string => `${result.result}/${result.reason}`;
const isWell = ({ result }: Deploy): boolean => ['done', 'unchanged'].includes(result.result);

interface Expected extends Pick<Case, 'told' | 'spot' | 'manner'> {
  readonly before: string;
  readonly packed: Packed;
}

async function judge(staging: Staging, struck: Deploy, expected: Expected): Promise<string[]> {
  const { told, before, packed } = expected;
  const well = isWell(struck);
  const problems = [...(await findTwice(staging, struck)), ...unclear(struck)];
  const check = (holds: boolean, problem: string): unknown => holds || problems.push(problem);
  check(tellingOf(struck) === told, `it told ${tellingOf(struck)}, not ${told}: ${struck.result.sentence}`);
  const live = await staging.live();
  check(live === (well ? packed.id.slice(0, 12) : before), `${live} is live, not what the verdict says`);
  const steps = await staging.stepsOf(struck.operation);
  check(struck.result.result !== 'refused' || !('switch' in steps), 'it was refused, and switched');
  const entries = await staging.ledger(struck.operation);
  const mayLack = !well || expected.spot.name === 'writing the ledger';
  check(
    entries.length === 1 || (entries.length === 0 && mayLack),
    `the ledger has ${entries.length} entries`,
  );
  return problems;
}

/** A verdict that is no success says what happened and what to do, and fails the step; a success does not. */
function unclear(deploy: Deploy): string[] {
  const { code, errors } = deploy.main;
  if (isWell(deploy)) return code === 0 ? [] : [`a success that ended with ${code}`];
  const sentence = errors[0]?.message ?? '';
  const expected = deploy.result.result === 'unknown' ? 4 : 1;
  const isClear = code === expected && errors.length === 1 && / What to do: .+/.test(sentence);
  return isClear ? [] : [`no clear sentence, code ${code}: ${sentence}`];
}

async function findTwice(staging: Staging, { operation }: Deploy): Promise<string[]> {
  const steps = Object.entries(await staging.stepsOf(operation)).filter(([, times]) => times > 1);
  const sent = await staging.commandsOf(operation);
  return [
    ...steps.map(([step, times]) => `step ${step} was taken ${times} times`),
    ...(sent > 1 ? [`the deploy was sent ${sent} times`] : []),
  ];
}

async function judgeAgain(staging: Staging, again: Deploy, packed: Packed): Promise<string[]> {
  const problems = await findTwice(staging, again);
  const check = (holds: boolean, problem: string): unknown => holds || problems.push(`again: ${problem}`);
  check(isWell(again) && again.main.code === 0, `${tellingOf(again)}: ${again.result.sentence}`);
  check((await staging.live()) === packed.id.slice(0, 12), 'the release is not live');
  check((await staging.lease()).state === 'released', 'the lease was not given back');
  check((await staging.ledger(again.operation)).length === 1, 'the ledger has not one entry');
  return problems;
}
