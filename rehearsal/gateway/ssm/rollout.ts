import { ServiceError } from '../errors.ts';

/** How far a command has gone through its fleet. */
export interface Progress {
  readonly total: number;
  /** Invocations that were sent, whatever became of them. */
  readonly sent: number;
  /** Of those, the ones that the instance has acknowledged or that have ended. */
  readonly answered: number;
  /** Of those, the ones that have not ended. */
  readonly active: number;
}

/**
 * How many invocations may be sent now. With targets SSM first sends one, and then twice as many each time the
 * last ones are acknowledged, until MaxConcurrency is reached ("Run commands at scale").
 */
export function countToSend(progress: Progress, maxConcurrency: number, ramps: boolean): number {
  const free = maxConcurrency - progress.active;
  const left = progress.total - progress.sent;
  const ramp = ramps ? rampLimit(progress.answered) - progress.sent : left;
  return Math.max(0, Math.min(free, left, ramp));
}

/** 1 before anybody answered, 3 after one did, 7 after three did, … */
function rampLimit(answered: number): number {
  let limit = 1;
  while (answered >= limit) limit = limit * 2 + 1;
  return limit;
}

/** `MaxConcurrency` and `MaxErrors`: a number, or a percentage of the targets. @throws ServiceError */
export function readRate(name: string, text: string, targets: number, least: number): number {
  const [, digits, percent] = /^(\d{1,7})(%?)$/.exec(text) ?? [];
  const number = Number(digits);
  if (digits === undefined || (percent === '%' && number > 100) || (percent === '' && number < least)) {
    throw new ServiceError(
      'ValidationException',
      `Value '${text}' at '${name}' is neither a number nor a percentage.`,
    );
  }
  if (percent !== '%') return number;
  return Math.max(least, Math.floor((number * targets) / 100));
}
