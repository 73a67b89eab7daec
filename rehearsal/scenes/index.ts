import { firstDeploy } from './first-deploy.ts';
import { incident } from './incident.ts';
import { samePushAgain } from './same-push-again.ts';
import type { Scene } from './scene.ts';
import { upgradeByOverlap } from './upgrade-by-overlap.ts';
import { upgradeByPause } from './upgrade-by-pause.ts';

/** The scenes in the order in which they play: later ones build on what earlier ones left. */
export const scenes: readonly Scene[] = [
  firstDeploy,
  upgradeByOverlap,
  upgradeByPause,
  incident,
  samePushAgain,
];
