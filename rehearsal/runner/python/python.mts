import { execFileSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';

// Plays actions/setup-python: the Python of the wanted version must be on this machine already.
const wanted = (process.env['INPUT_PYTHON-VERSION'] ?? '').trim();
const found = execFileSync('python3', ['-c', 'import platform; print(platform.python_version())'], {
  encoding: 'utf8',
}).trim();
if (!`${found}.`.startsWith(`${wanted}.`)) {
  console.log(
    `::error title=setup-python::Python ${wanted} is wanted, and this machine has ${found}. ` +
      'The local runner downloads none: wheels for the hosts are built with their Python.',
  );
  process.exit(1);
}
appendFileSync(process.env['GITHUB_OUTPUT'] ?? '', `python-version=${found}\n`);
console.log(`Python ${found}`);
