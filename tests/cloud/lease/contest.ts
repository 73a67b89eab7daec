/** What a runner wrote down of a lease. */
export interface Note {
  readonly what: 'took' | 'gave';
  readonly run: string;
  readonly fence: number;
}

/** Whether a process is still there, as GitHub tells it of an attempt. */
export function isAlive(run: string): boolean {
  try {
    return process.kill(Number(run), 0);
  } catch {
    return false;
  }
}

/**
 * Where more than one had the lease at a time, or a fencing number did not rise.
 * @param mortals the runs that died with a lease in their hands
 */
export function judgeContest(notes: readonly Note[], mortals: readonly string[]): string[] {
  const problems: string[] = [];
  let holder: Note | undefined;
  let highest = 0;
  for (const note of notes) {
    const { what, run, fence } = note;
    if (what === 'gave') {
      if (holder?.run !== run || holder.fence !== fence)
        problems.push(`${run} gave ${fence} back, and had it not`);
      holder = undefined;
      continue;
    }
    if (holder && !mortals.includes(holder.run))
      problems.push(`${run} took ${fence} while ${holder.run} had ${holder.fence}`);
    if (fence <= highest) problems.push(`${fence} came after ${highest}`);
    [holder, highest] = [note, Math.max(highest, fence)];
  }
  return problems;
}
