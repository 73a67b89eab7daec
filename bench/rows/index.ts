import type { Row } from '../row.ts';
import { backup } from './backup.ts';
import { deploy } from './deploy.ts';
import { drill } from './drill.ts';
import { fleet } from './fleet.ts';
import { losses } from './losses.ts';
import { memory } from './memory.ts';
import { packing } from './packing.ts';
import { promotionCalls } from './promotion-calls.ts';
import { rollback } from './rollback.ts';
import { start } from './start.ts';

/** The rows in the order in which they play: first those that want the machine for themselves. */
export const rows: readonly Row[] = [
  start,
  packing,
  deploy,
  fleet,
  memory,
  losses,
  rollback,
  promotionCalls,
  backup,
  drill,
];
