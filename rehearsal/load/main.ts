import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { applyLoad, warmUp } from './load.ts';
import { type Users, usersByChecks, usersOf } from './users.ts';

// Bounds of every load, whatever is asked for: a rehearsal must not become an attack on its own machine.
const MOST_RATE = 300;
const MOST_SECONDS = 900;
// Just below what a socket of a host lets wait (Backlog=2048): beyond it the kernel makes users try again.
const CONCURRENCY = 2_000;
const PATIENCE_MS = 60_000;

const USAGE = `node rehearsal/load/main.ts --url URL (--kind ${Object.keys(usersOf).join('|')} | --checks JSON) --rate N
  (--seconds N | --until-stdin-closes) --out FILE
--checks: users that ask what the checks of an app ask, [{"path": "/health", "status": 200, "type": "text/html"}, …]`;

function readUsers(kind: string | undefined, checks: string | undefined): Users {
  const users = checks === undefined ? usersOf[kind ?? '']?.() : usersByChecks(JSON.parse(checks));
  if (users === undefined) throw new Error(USAGE);
  return users;
}

function number(name: string, text: string | undefined, most: number): number {
  const value = Number(text);
  if (!(value > 0 && value <= most))
    throw new Error(`--${name} wants a number up to ${most}, as 60\n${USAGE}`);
  return value;
}

function onlyOnThisMachine(url: string): string {
  const { protocol, hostname } = new URL(url);
  if (protocol === 'http:' && /^(127\.|198\.18\.)/.test(hostname)) return url;
  throw new Error(
    `--url ${url} is refused: the load goes to this machine and its fabric (198.18.0.0/16) alone`,
  );
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      url: { type: 'string' },
      kind: { type: 'string' },
      checks: { type: 'string' },
      rate: { type: 'string' },
      seconds: { type: 'string' },
      'until-stdin-closes': { type: 'boolean' },
      out: { type: 'string' },
    },
  });
  if (values.url === undefined || values.out === undefined) throw new Error(USAGE);
  const users = readUsers(values.kind, values.checks);
  const stop = new AbortController();
  const plan = {
    url: onlyOnThisMachine(values.url),
    rate: number('rate', values.rate, MOST_RATE),
    stop: stop.signal,
    concurrency: CONCURRENCY,
    patience: PATIENCE_MS,
  };
  const untilStdin = values['until-stdin-closes'] === true;
  const seconds = untilStdin ? MOST_SECONDS : number('seconds', values.seconds, MOST_SECONDS);
  await warmUp(plan, users);
  const timer = setTimeout(() => stop.abort(), seconds * 1000);
  if (untilStdin) process.stdin.once('end', () => stop.abort()).resume();
  process.once('SIGTERM', () => stop.abort());
  console.log(`ready ${JSON.stringify({ url: plan.url, rate: plan.rate })}`);
  const report = await applyLoad(plan, users);
  clearTimeout(timer);
  await writeFile(values.out, `${JSON.stringify(report)}\n`);
}

main().then(
  () => process.exit(0),
  (error: Error) => {
    console.error(error.message);
    process.exit(2);
  },
);
