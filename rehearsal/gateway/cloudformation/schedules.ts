import type { Clock } from '../clock.ts';
import { ServiceError } from '../errors.ts';
import type { StackSchedule } from './read.ts';

/**
 * The schedules of stacks: EventBridge Scheduler, as far as ours need it. They fire by the clock, and when somebody asks
 * for it.
 */
export class Schedules {
  readonly #clock: Clock;
  readonly #fire: (schedule: StackSchedule) => Promise<void>;
  /** By the stack that has them. */
  readonly #kept = new Map<string, readonly StackSchedule[]>();

  /** @param fire does what a schedule is for. */
  constructor(clock: Clock, fire: (schedule: StackSchedule) => Promise<void>) {
    this.#clock = clock;
    this.#fire = fire;
  }

  of(stack: string): readonly StackSchedule[] {
    return this.#kept.get(stack) ?? [];
  }

  keep(stack: string, schedules: readonly StackSchedule[]): void {
    if (schedules.length === 0) return;
    this.#kept.set(stack, schedules);
    for (const schedule of schedules.filter(({ enabled }) => enabled))
      this.#await(stack, schedule, schedule.first - this.#clock.now());
  }

  drop(stack: string): void {
    this.#kept.delete(stack);
  }

  /** Fires a stack's schedules now. @throws ServiceError when it has none, or one may not do what it is for */
  async expire(stack: string): Promise<void> {
    const schedules = this.of(stack).filter(({ enabled }) => enabled);
    if (schedules.length === 0)
      throw new ServiceError('NotFound', `There is no stack ${stack} with a schedule.`, 404);
    for (const schedule of schedules) await this.#fire(schedule);
  }

  #await(stack: string, schedule: StackSchedule, milliseconds: number): void {
    this.#clock.after(Math.max(0, milliseconds), () => {
      if (!this.of(stack).includes(schedule)) return;
      this.#fire(schedule).catch((cause: unknown) => {
        console.error(`gateway: the schedule ${schedule.name} did not do its work:`, cause);
      });
      if (schedule.every !== undefined) this.#await(stack, schedule, schedule.every);
    });
  }
}
