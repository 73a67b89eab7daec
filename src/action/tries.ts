import { setTimeout as delay } from 'node:timers/promises';

/** Tries up to three times, one second and then two apart; what is final is not tried again. Throws the last error. */
export async function tryThrice<Value>(
  work: () => Promise<Value>,
  isFinal: (error: unknown) => boolean = () => false,
): Promise<Value> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt === 3 || isFinal(error)) throw error;
      await delay(attempt * 1000);
    }
  }
}
