/**
 * The local cloud by hand.
 *
 *     npm run cloud -- up [--hosts N] [--agent DIR] [--name NAME]
 *     npm run cloud -- status [--json] [--name NAME]
 *     npm run cloud -- shell HOST [--name NAME]
 *     npm run cloud -- push --repo DIR [--environment NAME] [--name NAME]
 *     npm run cloud -- down [--name NAME]
 */
import { parseArgs } from 'node:util';
import { bringDown, bringUp, openShell, pushRepository, showStatus } from './commands.ts';
import { usualName } from './record.ts';

const usage = `usage: npm run cloud -- COMMAND [--name NAME]

  up [--hosts N] [--agent DIR]     start a cloud with N hosts (1), or mend and fill up the one that is there;
                                   --agent: run the real amazon-ssm-agent's binaries of that folder on the hosts
  status [--json]                  what runs, and where
  shell HOST                       a shell on a host (its instance id, the beginning of it, or its address)
  push --repo DIR [--environment NAME]
                                   play a push to main of a git repository that holds an understudy.yml; prepares
                                   the account and enrols a host of the environment (staging) if there is none
  down                             stop the cloud and remove all that it made
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      name: { type: 'string', default: usualName },
      hosts: { type: 'string' },
      agent: { type: 'string' },
      json: { type: 'boolean', default: false },
      repo: { type: 'string' },
      environment: { type: 'string', default: 'staging' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const [command, host] = positionals;
  const { name } = values;
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  if (command === 'up') return bringUp({ name, hosts: hostCount(values.hosts), agent: values.agent });
  if (command === 'status') return showStatus(name, values.json);
  if (command === 'shell' && host !== undefined) return openShell(name, host);
  if (command === 'push' && values.repo !== undefined)
    return pushRepository(name, values.repo, values.environment);
  if (command === 'down') return bringDown(name);
  process.stderr.write(usage);
  return 2;
}

function hostCount(given: string | undefined): number {
  if (given === undefined) return 1;
  if (/^\d{1,2}$/.test(given)) return Number(given);
  throw new Error(`--hosts is a number from 0 to 99, for example 2, not "${given}"`);
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
