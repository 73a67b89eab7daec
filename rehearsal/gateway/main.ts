import { rmSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { Gateway } from './gateway.ts';

const usage = `usage: node rehearsal/gateway/main.ts --moto URL --record FILE [--listen HOST:PORT] [--socket PATH]
  [--door PATH] [--hosts PATH] [--jwks URL] [--region NAME]
  [--account ID] [--speed N] [--online-seconds N]
--socket serves AWS's APIs and /_cloud/; --door AWS's APIs alone: the way in for hosts.
--speed 100 makes the services' time-outs pass a hundred times faster; for tests.`;

/** Reads the flags. @throws Error with the usage */
function readFlags(argv: string[]) {
  const { values } = parseArgs({
    args: argv,
    options: {
      moto: { type: 'string' },
      record: { type: 'string' },
      listen: { type: 'string', default: '127.0.0.1:0' },
      socket: { type: 'string' },
      door: { type: 'string' },
      hosts: { type: 'string' },
      jwks: { type: 'string' },
      region: { type: 'string', default: 'us-east-2' },
      account: { type: 'string', default: '123456789012' },
      speed: { type: 'string', default: '1' },
      'online-seconds': { type: 'string', default: '300' },
    },
  });
  if (values.moto === undefined || values.record === undefined) throw new Error(usage);
  return { ...values, moto: values.moto, record: values.record };
}

async function main(): Promise<void> {
  const flags = readFlags(process.argv.slice(2));
  const gateway = new Gateway({
    moto: new URL(flags.moto),
    record: flags.record,
    region: flags.region,
    account: flags.account,
    hosts: flags.hosts,
    jwks: flags.jwks,
    speed: positive('--speed', flags.speed),
    onlineSeconds: positive('--online-seconds', flags['online-seconds']),
  });
  await gateway.prepare();
  const tcp = gateway.serve('aws');
  const [host = '127.0.0.1', port = '0'] = flags.listen.split(':');
  const address = (await listen(tcp, { host, port: Number(port) })) as AddressInfo;
  const sockets = [
    await listenOn(flags.socket, gateway.serve('admin')),
    await listenOn(flags.door, gateway.serve('aws')),
  ];
  process.on('SIGTERM', () => {
    for (const server of [tcp, ...sockets]) {
      // Closing removes a Unix socket's file.
      server.close();
      server.closeAllConnections();
    }
    process.exit(0);
  });
  console.log(`ready ${JSON.stringify({ url: `http://${address.address}:${address.port}` })}`);
}

function positive(flag: string, text: string): number {
  const number = Number(text);
  if (!(number > 0)) throw new Error(`${flag} ${text}: a number above 0, such as 100\n${usage}`);
  return number;
}

async function listenOn(path: string | undefined, server: Server): Promise<Server> {
  if (path === undefined) return server;
  // What a killed gateway left behind.
  rmSync(path, { force: true });
  await listen(server, { path });
  return server;
}

function listen(server: Server, where: { host: string; port: number } | { path: string }) {
  return new Promise<ReturnType<Server['address']>>((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => resolve(server.address()));
  });
}

await main().catch((cause: unknown) => {
  console.error(cause instanceof Error ? cause.message : cause);
  process.exit(1);
});
