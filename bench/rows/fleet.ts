import { atMost, seconds } from '../figure.ts';
import { Fleet } from '../fleet.ts';
import type { Row } from '../row.ts';
import { countCalls, measureDeploy } from './deploy.ts';

const instances = 20;
const nothing = { steps: [], checks: [], log: [], parameters: {} };

/** What a deploy to many instances asks of AWS. */
export const fleet: Row = {
  name: 'fleet',
  title: 'A fleet',
  async play({ grounds, say }) {
    const held = await grounds();
    await held.take({ switch: 'overlap', loadSeconds: 0 });
    say('a deploy to the one real host, as the example for the fleet');
    const { script, deployed } = await measureDeploy(held);
    say(`a deploy to ${instances} instances without machines, each as long as that: ${seconds(script)}`);
    const raised = await Fleet.raise(held.cloud);
    try {
      const calls = await raised.deploy(instances, {
        details: deployed.details ?? nothing,
        scriptSeconds: script,
      });
      return [
        atMost(calls.length, 45, String, {
          name: `API calls of one deploy to ${instances} instances`,
          note: `to stand-ins for instances: each has an agent that speaks the protocol, runs nothing, and answers what the one real host did, after as long a time (${seconds(script)}); all ${instances} at once. ${countCalls(calls)}`,
        }),
      ];
    } finally {
      await raised.lower();
    }
  },
};
