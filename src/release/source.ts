import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ConfigurationError } from '../action/errors.ts';

/**
 * When a commit was made: what `SOURCE_DATE_EPOCH` says (https://reproducible-builds.org/specs/source-date-epoch/),
 * or git. Every file of the release gets this time.
 *
 * @param folder - where git is asked
 * @param epoch - the variable `SOURCE_DATE_EPOCH`: seconds since 1970
 */
export async function commitTime(folder: string, commit: string, epoch: string | undefined): Promise<Date> {
  return toDate(epoch?.trim() || (await askGit(folder, commit)));
}

async function askGit(folder: string, commit: string): Promise<string> {
  // The checkout may belong to another user, as in a container.
  const command = [
    '-c',
    'safe.directory=*',
    '-C',
    folder,
    'show',
    '--no-patch',
    '--format=%ct',
    commit,
    '--',
  ];
  try {
    const { stdout } = await promisify(execFile)('git', command);
    return stdout.trim();
  } catch (cause) {
    throw new ConfigurationError({
      where: 'SOURCE_DATE_EPOCH',
      what: `is not set, and git does not know when ${commit} was made.`,
      how: 'Set it to the seconds of the commit: SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)',
      cause,
    });
  }
}

function toDate(seconds: string): Date {
  // The largest time that a tar header holds in digits.
  if (!/^[0-9]{1,11}$/.test(seconds) || Number(seconds) > 0o77777777777) {
    throw new ConfigurationError({
      where: 'SOURCE_DATE_EPOCH',
      what: `is ${JSON.stringify(seconds)}, not whole seconds since 1970.`,
      how: 'For example: SOURCE_DATE_EPOCH=1795392000',
    });
  }
  return new Date(Number(seconds) * 1000);
}
