/**
 * The local cloud by hand.
 *
 *     npm run cloud -- up [--hosts N] [--agent DIR] [--name NAME]
 *     npm run cloud -- status [--json] [--name NAME]
 *     npm run cloud -- shell HOST [--name NAME]
 *     npm run cloud -- logs HOST [--follow] [--name NAME]
 *     npm run cloud -- cut|heal|reboot HOST [--name NAME]
 *     npm run cloud -- push --repo DIR [--tag NAME] [--environment NAME] [--name NAME]
 *     npm run cloud -- dispatch WORKFLOW [KEY=VALUE…] --repo DIR [--environment NAME] [--name NAME]
 *     npm run cloud -- schedule WORKFLOW --repo DIR [--environment NAME] [--name NAME]
 *     npm run cloud -- night APP [--environment NAME] [--name NAME]
 *     npm run cloud -- expire STACK [--name NAME]
 *     npm run cloud -- fault [ACTION KIND | clear] [--times N] … [--name NAME]
 *     npm run cloud -- down [--name NAME]
 */
import { parseArgs } from 'node:util';
import { bringDown, bringUp, orderFault, showStatus } from './commands.ts';
import { expireStackOf } from './expire.ts';
import { playNightOf } from './night.ts';
import { type Occasion, playDispatch, playPush, playSchedule } from './occasions.ts';
import { usualName } from './record.ts';
import { cutHost, healHost, openShell, rebootHost, showLogs } from './visit.ts';

const usage = `usage: npm run cloud -- COMMAND [--name NAME]

  up [--hosts N] [--agent DIR]     start a cloud with N hosts (1), or mend and fill up the one that is there;
                                   --agent: run the real amazon-ssm-agent's binaries of that folder on the hosts
  status [--json]                  what runs, and where
  shell HOST                       a shell on a host (its instance id, the beginning of it, or its address)
  logs HOST [--follow]             the last 200 lines of a host's journal; --follow: and those that come
  cut HOST, heal HOST              take a host's network away, and give it back
  reboot HOST                      reboot a host in an orderly way, and wait until it is up
  push --repo DIR [--tag NAME]     play a push to main of a git repository that holds an understudy.yml, or of a tag,
                                   for which every environment is prepared
  dispatch WORKFLOW [KEY=VALUE…] --repo DIR
                                   play a press on "Run workflow": WORKFLOW is the name of its file, on main
  schedule WORKFLOW --repo DIR     play the moment at which its schedule comes round
                                   these three prepare the account, and enrol a host of the environment
                                   ([--environment NAME], staging) if there is none
  night APP                        run the schedule in AWS of an app's backups once, now, without GitHub
  expire STACK                     end the time to live of a stack now: its schedule in AWS fires, without GitHub
  fault ACTION KIND [--resource ARN] [--principal NAME] [--times N|always] [--after N] [--seconds N] [--state WORD]
                                   make calls go wrong: see rehearsal/faults; 'fault' lists, 'fault clear' clears
  down                             stop the cloud and remove all that it made
`;

const options = {
  name: { type: 'string', default: usualName },
  hosts: { type: 'string' },
  agent: { type: 'string' },
  json: { type: 'boolean', default: false },
  follow: { type: 'boolean', short: 'f', default: false },
  repo: { type: 'string' },
  tag: { type: 'string' },
  environment: { type: 'string', default: 'staging' },
  resource: { type: 'string' },
  principal: { type: 'string' },
  times: { type: 'string' },
  after: { type: 'string' },
  seconds: { type: 'string' },
  state: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

const readWords = (words: string[]) => parseArgs({ args: words, allowPositionals: true, options });

type Flags = ReturnType<typeof readWords>['values'];
/** Undefined where a word is missing that the command cannot do without. */
type Command = (flags: Flags, words: readonly string[]) => Promise<number> | undefined;

const toHost =
  (act: (name: string, host: string, flags: Flags) => Promise<number>): Command =>
  (flags, [host]) =>
    host === undefined ? undefined : act(flags.name, host, flags);

const ofRepository =
  (play: (occasion: Occasion, flags: Flags, words: readonly string[]) => ReturnType<Command>): Command =>
  (flags, words) =>
    flags.repo === undefined ? undefined : play({ ...flags, repo: flags.repo }, flags, words);

const commands: Readonly<Record<string, Command>> = {
  up: ({ name, hosts, agent }) => bringUp({ name, hosts: hostCount(hosts), agent }),
  status: ({ name, json }) => showStatus(name, json),
  shell: toHost(openShell),
  logs: toHost((name, host, { follow }) => showLogs(name, host, follow)),
  cut: toHost(cutHost),
  heal: toHost(healHost),
  reboot: toHost(rebootHost),
  push: ofRepository((occasion, { tag }) => playPush(occasion, tag)),
  dispatch: ofRepository((occasion, _, [workflow, ...pairs]) =>
    workflow === undefined ? undefined : playDispatch(occasion, workflow, pairs),
  ),
  schedule: ofRepository((occasion, _, [workflow]) =>
    workflow === undefined ? undefined : playSchedule(occasion, workflow),
  ),
  night: ({ name, environment }, [app]) =>
    app === undefined ? undefined : playNightOf(name, { app, environment }),
  expire: ({ name }, [stack]) => (stack === undefined ? undefined : expireStackOf(name, stack)),
  fault: (flags, [action, kind]) =>
    orderFault(flags.name, action, { ...faultOf(flags), ...(kind && { kind }) }),
  down: ({ name }) => bringDown(name),
};

async function main(): Promise<number> {
  const { values, positionals } = readWords(process.argv.slice(2));
  const [command = '', ...words] = positionals;
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const ended = Object.hasOwn(commands, command) ? commands[command]?.(values, words) : undefined;
  if (ended !== undefined) return ended;
  process.stderr.write(usage);
  return 2;
}

/** What of a fault was given, numbers as numbers: the program that keeps the book judges it. */
function faultOf(given: Readonly<Record<string, string | boolean | undefined>>): object {
  const fields = ['resource', 'principal', 'times', 'after', 'seconds', 'state'];
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
