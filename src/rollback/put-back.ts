import * as z from 'zod/mini';
import { messageOf } from '../action/errors.ts';
import { say, warn } from '../action/log.ts';
import { state } from '../action/state.ts';
import { moveAddress, readAddress } from '../instance/address.ts';
import { removeHost } from '../instance/host-stack.ts';
import { startInstance } from '../instance/power.ts';
import { enrol } from '../operation/enrol.ts';
import { type Operation, type Services, savedAccount } from '../operation/operation.ts';

const savedEnrolment = z.object({
  service: z.object({
    ...{ listen: z.number(), user: z.string(), notify: z.boolean() },
    switch: z.enum(['pause', 'overlap', 'restart']),
  }),
  workers: z.array(z.string()),
  backups: z.exactOptional(z.string()),
});

/** What a move to a new instance has changed so far, as main leaves it for post. No secret is in it. */
export const savedMove = z.object({
  account: savedAccount,
  stack: z.string(),
  /** The Elastic IP, by its id. */
  address: z.string(),
  /** The new instance; empty before it is known. */
  instance: z.string(),
  /** The old one, empty where there is none; and what was done to it. */
  old: z.string(),
  was: z.enum(['untouched', 'retired', 'stopped']),
  enrolment: savedEnrolment,
});

export type Move = z.infer<typeof savedMove>;

export function saveMove(move: Move | undefined): void {
  state.stack.save(move ? JSON.stringify(move) : '');
}

export function readMove(): Move | undefined {
  const text = state.stack.read();
  return text === '' ? undefined : savedMove.parse(JSON.parse(text));
}

/** What became of a move that could not be carried through. */
export interface PutBack {
  /** Whether users have the old instance again, or never lost it. */
  readonly whole: boolean;
  /** Whether the address had come to the new instance already: then nothing was put back. */
  readonly moved: boolean;
  /** The state now, in sentences. */
  readonly sentence: string;
}

/** Puts back what a move changed: users first, then what costs. Never throws: says what could not be put back. */
export async function putBack(
  services: Services,
  operation: Operation,
  move: Move,
  limitMs: number,
): Promise<PutBack> {
  const { old, instance, stack } = move;
  const address = await readAddress(services.clients.ec2, move.address).catch(() => undefined);
  if (address && instance !== '' && address.instance === instance)
    return {
      whole: false,
      moved: true,
      sentence: `${address.address} leads to ${instance} already, the new instance.`,
    };
  const problems: string[] = [];
  const told: string[] = [];
  const attempt = async (what: string, done: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
      say(done);
      told.push(done);
    } catch (error) {
      problems.push(`${what}: ${messageOf(error)}`);
      warn(`${what}: ${messageOf(error)}`);
    }
  };
  if (old !== '' && move.was === 'stopped')
    await attempt(`${old} could not be started again`, `${old} was started again.`, () =>
      startInstance(services.clients.ec2, old),
    );
  if (old !== '' && move.was === 'retired')
    await attempt(`${old} could not be brought back into service`, `${old} is in service again.`, () =>
      enrolAgain(services, operation, move),
    );
  if (old !== '' && address && address.instance !== old)
    await attempt(
      `${address.address} could not be given back to ${old}`,
      `${address.address} leads to ${old} again.`,
      () => moveAddress(services.clients.ec2, move.address, old, async () => {}),
    );
  const whole = problems.length === 0;
  const why = await removeHost(services, stack, limitMs);
  if (why === undefined)
    told.push(
      instance === '' ? `The stack ${stack} is gone.` : `The new instance, ${instance}, is removed again.`,
    );
  else
    told.push(
      `The stack ${stack} is not gone, and costs (${why}): aws cloudformation delete-stack --stack-name ${stack}.`,
    );
  if (old !== '' && move.was === 'untouched') told.push(`${old} goes on as it was.`);
  return { whole, moved: false, sentence: [...problems.map((one) => `${one}.`), ...told].join(' ') };
}

/** What was retired wakes up. */
async function enrolAgain(services: Services, operation: Operation, move: Move): Promise<void> {
  const { old, enrolment } = move;
  const { backups, ...known } = enrolment;
  const signal = new AbortController().signal; // whoever undoes is not cut off
  const host = { services, operation, instance: old, environment: operation.environment, signal };
  await enrol(host, {
    ...{ ...known, id: `${operation.id}-back` },
    ...(backups !== undefined && { backups }),
  });
}
