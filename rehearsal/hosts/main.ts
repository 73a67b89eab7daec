/**
 * The hosts of a local cloud: boots, stops, cuts and copies real systemd machines.
 *
 *     node rehearsal/hosts/main.ts --name NAME --state DIR --socket FILE --base DIR [--agent DIR] [--waits real]
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cloudName, repositoryFolder } from '../ground/places.ts';
import { Hosts } from './hosts.ts';
import { serveHosts } from './server.ts';

const { values } = parseArgs({
  options: {
    name: { type: 'string' },
    state: { type: 'string' },
    socket: { type: 'string' },
    base: { type: 'string' },
    agent: { type: 'string' },
    waits: { type: 'string', default: 'short' },
    region: { type: 'string', default: 'us-east-2' },
  },
});
const { name, state, socket, base } = values;
if (name === undefined || state === undefined || socket === undefined || base === undefined) {
  throw new Error(
    'usage: hosts --name NAME --state DIR --socket FILE --base DIR [--agent DIR] [--waits real]',
  );
}
if (!cloudName.test(name)) throw new Error(`a cloud's name is like ${cloudName.source}, not "${name}"`);

const hosts = new Hosts({
  cloud: name,
  folder: state,
  base,
  agent: values.agent ?? join(repositoryFolder, 'rehearsal', 'agent'),
  waits: values.waits === 'real' ? 'real' : 'short',
  region: values.region,
  log: (line) => process.stderr.write(`${new Date().toISOString()} ${line}\n`),
});
await hosts.mend();
const server = serveHosts(hosts);
rmSync(socket, { force: true });
server.listen(socket, () => process.stdout.write(`ready ${JSON.stringify({ socket })}\n`));

process.on('SIGTERM', () => {
  server.close();
  void hosts.close().finally(() => process.exit(0));
});
