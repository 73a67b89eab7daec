/**
 * One runner of many that want the same lease: it takes it so many times, and writes down from when until when it believed to
 * have it. Run with `mortal`, it dies with the last one in its hands.
 */
import { appendFileSync } from 'node:fs';
import { OperationError } from '../../../src/action/errors.ts';
import { openBucket } from '../../../src/aws/bucket.ts';
import { createClients } from '../../../src/aws/clients.ts';
import { sleep } from '../../../src/aws/time.ts';
import { type Lease, takeLease } from '../../../src/lease/lease.ts';
import { isAlive } from './contest.ts';

const [bucketName = '', diary = '', wanted = '0', end = ''] = process.argv.slice(2);
const clients = createClients({
  ...{ region: 'us-east-2', roleArn: undefined, sessionName: 'contender' },
  identityToken: () => Promise.reject(new Error('it takes no role')),
});
const bucket = openBucket(clients, bucketName);
const run = String(process.pid);

/** As a job that is refused, and run again until it is not. */
async function takeInTheEnd(): Promise<Lease> {
  for (;;) {
    try {
      return await takeLease({
        ...{ bucket, app: 'relay', environment: 'production', sleep },
        holder: { repository: 'acme/relay', run, attempt: 1, operation: `1-${run}-1-promote-production` },
        mayTakeOver: async (other) => !isAlive(other.run) || 'That attempt is still running.',
      });
    } catch (error) {
      if (!(error instanceof OperationError && error.reason === 'lease-held')) throw error;
      await sleep(100 + Math.random() * 200);
    }
  }
}

// One small write at the end of a file is never torn or overtaken by another's.
const note = (what: 'took' | 'gave', { fence }: Lease): void =>
  appendFileSync(diary, `${JSON.stringify({ what, run, fence })}\n`);

for (let taken = 1; taken <= Number(wanted); taken += 1) {
  const lease = await takeInTheEnd();
  note('took', lease);
  await sleep(5);
  if (end === 'mortal' && taken === Number(wanted)) process.kill(process.pid, 'SIGKILL');
  note('gave', lease);
  await lease.release();
}
