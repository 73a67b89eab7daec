/**
 * The local cloud by hand.
 *
 *     npm run cloud -- up [--hosts N] [--agent DIR] [--name NAME]
 *     npm run cloud -- status [--json] [--name NAME]
 *     npm run cloud -- shell HOST [--name NAME]
 *     npm run cloud -- push --repo DIR [--environment NAME] [--name NAME]
 *     npm run cloud -- fault [ACTION KIND | clear] [--times N] … [--name NAME]
 *     npm run cloud -- down [--name NAME]
 */
import { parseArgs } from 'node:util';
import { bringDown, bringUp, openShell, orderFault, pushRepository, showStatus } from './commands.ts';
import { usualName } from './record.ts';

const usage = `usage: npm run cloud -- COMMAND [--name NAME]

  up [--hosts N] [--agent DIR]     start a cloud with N hosts (1), or mend and fill up the one that is there;
                                   --agent: run the real amazon-ssm-agent's binaries of that folder on the hosts
  status [--json]                  what runs, and where
  shell HOST                       a shell on a host (its instance id, the beginning of it, or its address)
  push --repo DIR [--environment NAME]
                                   play a push to main of a git repository that holds an understudy.yml; prepares
                                   the account and enrols a host of the environment (staging) if there is none
  fault ACTION KIND [--resource ARN] [--principal NAME] [--times N|always] [--after N] [--seconds N]
                                   make calls go wrong: see rehearsal/faults; 'fault' lists, 'fault clear' clears
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
      resource: { type: 'string' },
      principal: { type: 'string' },
      times: { type: 'string' },
      after: { type: 'string' },
      seconds: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const [command, host, kind] = positionals;
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
  if (command === 'fault') return orderFault(name, host, { ...faultOf(values), ...(kind && { kind }) });
  if (command === 'down') return bringDown(name);
  process.stderr.write(usage);
  return 2;
}

/** What of a fault was given, numbers as numbers: the program that keeps the book judges it. */
function faultOf(given: Readonly<Record<string, string | boolean | undefined>>): object {
  const fields = ['resource', 'principal', 'times', 'after', 'seconds'];
  return Object.fromEntries(
    fields.flatMap((field) => {
      const value = given[field];
      if (value === undefined) return [];
      return [[field, /^-?[0-9.]+$/.test(String(value)) ? Number(value) : value]];
    }),
  );
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
