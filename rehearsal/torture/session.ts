/** How every torture ends: with its clouds gone, what was played written down, and the count of it. */
import { stopCloud } from '../cloud/cloud.ts';

interface Session<Place, Row> {
  /** What ended early, should it. */
  readonly what: string;
  readonly clouds: readonly string[];
  readonly places: readonly Place[];
  /** What is known of the places that were played; it grows while they are. */
  readonly rows: ReadonlyMap<Place, Row>;
  readonly play: () => Promise<unknown>;
  /** Rejects when somebody stops us: what is under way is left to itself, and taken away with its cloud. */
  readonly stopped: Promise<never>;
  readonly write: (played: readonly Row[]) => Promise<void>;
}

/** Whether all places were played and are as they must be. */
export async function playToTheEnd<Place, Row extends { readonly problems: readonly string[] }>(
  session: Session<Place, Row>,
): Promise<boolean> {
  const { what, clouds, places, rows, play, stopped, write } = session;
  try {
    await Promise.race([play(), stopped]);
  } catch (error) {
    console.error(`\n${what} ended early: ${error instanceof Error ? error.message : error}`);
  } finally {
    console.log('Cleaning up …');
    await Promise.all(clouds.map((cloud) => stopCloud(cloud)));
  }
  const played = places.flatMap((place) => rows.get(place) ?? []);
  const failed = played.filter(({ problems }) => problems.length > 0).length;
  if (played.length > 0) await write(played);
  console.log(`\n${played.length} of ${places.length} rows played, ${failed} not as they must be`);
  return failed === 0 && played.length === places.length;
}
