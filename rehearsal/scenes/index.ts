import { adopting } from './adopting.ts';
import { backupUnderWrites } from './backup-under-writes.ts';
import { badPromotions } from './bad-promotions.ts';
import { badReleasesUnderLoad } from './bad-releases.ts';
import { theButtonData, theButtonRelease } from './buttons.ts';
import { theBadDay, theDrill } from './drills.ts';
import { firstDeploy } from './first-deploy.ts';
import { fleet } from './fleet.ts';
import { theButtonImage } from './image-button.ts';
import { incident } from './incident.ts';
import { interruptedRuns } from './interrupted-runs.ts';
import { lostInstance } from './lost-instance.ts';
import { nightWithoutGitHub } from './night.ts';
import { parallelStaging } from './parallel-staging.ts';
import { refusedPromotions } from './refused-promotions.ts';
import { releaseDay } from './release-day.ts';
import { restartWithSecrets } from './restart-with-secrets.ts';
import { restoreByHand } from './restore-by-hand.ts';
import { samePushAgain } from './same-push-again.ts';
import type { Scene } from './scene.ts';
import { upgradeByOverlap } from './upgrade-by-overlap.ts';
import { upgradeByPause } from './upgrade-by-pause.ts';

/** The scenes, each at its number; those that play one after the other play in this order. */
export const scenes: readonly Scene[] = [
  firstDeploy,
  upgradeByOverlap,
  upgradeByPause,
  incident,
  samePushAgain,
  badReleasesUnderLoad,
  lostInstance,
  fleet,
  interruptedRuns,
  restartWithSecrets,
  backupUnderWrites,
  nightWithoutGitHub,
  restoreByHand,
  theButtonRelease,
  theButtonData,
  theDrill,
  theBadDay,
  parallelStaging,
  adopting,
  releaseDay,
  refusedPromotions,
  badPromotions,
  theButtonImage,
];
