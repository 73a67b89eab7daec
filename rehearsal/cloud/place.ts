import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../src/config/config.ts';
import { parseConfig } from '../../src/config/parse.ts';

/** What an operator prepares: one environment of one app. */
export interface Place {
  readonly app: string;
  readonly environment: string;
  /** The repository's folder, with understudy.yml. */
  readonly folder: string;
}

/** The app's own understudy.yml. Throws with file and line where it cannot be read, or describes another app. */
export function readPlace(place: Place): Config {
  const file = join(place.folder, 'understudy.yml');
  const config = parseConfig(readFileSync(file, 'utf8'), file);
  if (config.app !== place.app) throw new Error(`${file} describes the app ${config.app}, not ${place.app}`);
  return config;
}
