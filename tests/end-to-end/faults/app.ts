// The smallest app that can be deployed: a release is made and switched to in moments, without a build.
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { commitAll } from '../../../rehearsal/cloud/caller.ts';
import type { Cloud } from '../../../rehearsal/cloud/cloud.ts';
import { repositoryFolder } from '../../../rehearsal/ground/places.ts';
import { run } from '../../../rehearsal/ground/run.ts';

export const app = 'tally';

/** A caller's git repository with the app in it. */
export async function makeRepository(cloud: Cloud): Promise<string> {
  const folder = join(cloud.state, 'repositories', app);
  await mkdir(folder, { recursive: true });
  await run(['git', '-C', folder, 'init', '--quiet', '--initial-branch=main']);
  const workflow = await readFile(
    join(repositoryFolder, 'examples/isso/.github/workflows/deploy.yml'),
    'utf8',
  );
  await put(folder, '.github/workflows/deploy.yml', workflow.replaceAll('isso', app));
  await put(folder, 'understudy.yml', config(cloud.account));
  await put(folder, 'app.py', program);
  await put(folder, '.understudy/run', runner);
  await put(folder, '.understudy/hooks/prepare', hook);
  await writeVersion(folder, 0);
  return folder;
}

/** While this file is missing on a host, the `prepare` hook of the release that comes there does not end. */
export const goAhead = `/run/${app}-go-ahead`;

/** Commits the app's next version. */
export async function writeVersion(folder: string, version: number): Promise<void> {
  await put(folder, 'version', String(version));
  await commitAll(folder, `Version ${version}`);
}

async function put(folder: string, name: string, text: string): Promise<void> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
  await chmod(path, text.startsWith('#!') ? 0o755 : 0o644);
}

const config = (account: string): string => `app: ${app}
region: us-east-2
environments:
  staging:
    bucket: ${app}-understudy
    role-arn: arn:aws:iam::${account}:role/${app}-staging-ci
service: {listen: 8080, user: ${app}, switch: overlap, notify: true}
checks:
  - {path: /, status: 200, type: application/json, timeout: 5s}
data: {databases: [app.db]}
keep: 3
`;

const runner = `#!/bin/sh
exec /usr/bin/python3 -m gunicorn --workers 1 --threads 4 app:application
`;

const hook = `#!/bin/sh
until [ -e ${goAhead} ]; do sleep 0.1; done
`;

const program = `import json, os, sqlite3
connection = sqlite3.connect(os.path.join(os.environ['UNDERSTUDY_SHARED'], 'app.db'), timeout=20)
with connection:
    connection.execute('CREATE TABLE IF NOT EXISTS notes (note)')
connection.close()
version = open('version').read()

def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps({'version': version}).encode()]
`;
