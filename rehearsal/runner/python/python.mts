import { spawnSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';

// Plays actions/setup-python: a Python of the wanted version must be on this machine already.
const wanted = (process.env['INPUT_PYTHON-VERSION'] ?? '').trim();

function versionOf(python: string): string | undefined {
  const asked = ['-c', 'import platform, venv; print(platform.python_version())'];
  const { status, stdout } = spawnSync(python, asked, { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

function fits(version: string | undefined): version is string {
  return version !== undefined && `${version}.`.startsWith(`${wanted}.`);
}

/** Puts another Python than the first on PATH first, for this and all later steps. */
function put(python: string): void {
  const folder = join(process.env['RUNNER_TEMP'] ?? '', 'python');
  spawnSync(python, ['-m', 'venv', folder], { stdio: 'inherit' });
  appendFileSync(process.env['GITHUB_PATH'] ?? '', `${join(folder, 'bin')}\n`);
}

const candidates = ['python3', `python${wanted}`, `/usr/bin/python${wanted}`, '/usr/bin/python3'];
const found = candidates.find((python) => fits(versionOf(python)));
if (found === undefined) {
  console.log(
    `::error title=setup-python::Python ${wanted} is wanted, and this machine has ${versionOf('python3')}. ` +
      'The local runner downloads none. Wheels with compiled parts must be built by the Python that the hosts have.',
  );
  process.exit(1);
}
if (found !== 'python3') put(found);
const version = versionOf(found);
appendFileSync(process.env['GITHUB_OUTPUT'] ?? '', `python-version=${version}\n`);
console.log(`Python ${version}`);
