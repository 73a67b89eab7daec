// An app that is made in moments, and sick where a file says so, with staging and production.
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { commitAll } from '../../../rehearsal/cloud/caller.ts';
import type { Cloud } from '../../../rehearsal/cloud/cloud.ts';
import { repositoryFolder } from '../../../rehearsal/ground/places.ts';
import { run } from '../../../rehearsal/ground/run.ts';

export const app = 'relay';

/** On a host: the version that answers errors from now on. */
export const sickFile = `/run/${app}-sick`;

/** A caller's git repository with the app in it, which is watched for so long when it went live in production. */
export async function makeRepository(cloud: Cloud, bake: string): Promise<string> {
  const folder = join(cloud.state, 'repositories', app);
  await mkdir(folder, { recursive: true });
  await run(['git', '-C', folder, 'init', '--quiet', '--initial-branch=main']);
  for (const name of ['deploy', 'promote']) {
    const file = `.github/workflows/${name}.yml`;
    const text = await readFile(join(repositoryFolder, 'examples/isso', file), 'utf8');
    await put(folder, file, text.replaceAll('isso', app));
  }
  await put(folder, 'understudy.yml', configOf(cloud.account, bake));
  await put(folder, 'app.py', program);
  await put(folder, '.understudy/run', runner);
  return folder;
}

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

const configOf = (account: string, bake: string): string => `app: ${app}
region: us-east-2
environments:
  staging:
    bucket: ${app}-understudy
    role-arn: arn:aws:iam::${account}:role/${app}-staging-ci
    promoter-arn: arn:aws:iam::${account}:role/${app}-staging-promoter
  production:
    bucket: ${app}-production-understudy
    backups: ${app}-production-backups
    role-arn: arn:aws:iam::${account}:role/${app}-production-ci
    bake: ${bake}
service: {listen: 8080, user: ${app}, switch: overlap, notify: true}
checks:
  - {path: /, status: 200, type: application/json, timeout: 5s}
data: {databases: [app.db]}
keep: 3
`;

const runner = `#!/bin/sh
exec /usr/bin/python3 -m gunicorn --workers 1 --threads 4 app:application
`;

const program = `import json, os, sqlite3
connection = sqlite3.connect(os.path.join(os.environ['UNDERSTUDY_SHARED'], 'app.db'), timeout=20)
with connection:
    connection.execute('CREATE TABLE IF NOT EXISTS notes (note)')
connection.close()
version = open('version').read()

def is_sick():
    try:
        return open('${sickFile}').read().strip() == version
    except OSError:
        return False

def application(environ, start_response):
    sick = is_sick()
    start_response('500 Internal Server Error' if sick else '200 OK', [('Content-Type', 'application/json')])
    return [json.dumps({'version': version, 'sick': sick}).encode()]
`;
