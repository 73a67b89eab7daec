import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, jest, test } from '@jest/globals';

// Each runs programs, of a machine that may have much else to do.
jest.setTimeout(60_000);

import { documentLimit } from '../../../src/document/compose.ts';
import { pack, unpack } from '../../../src/document/pack.ts';
import { content } from '../../../src/document/template.ts';

const script = `#!/bin/bash
set -euo pipefail
app='shop'
about='none'
say() { printf '%s %s %s\\n' "$app" "$about" "\${1:-watch}"; }
cp "$0" "$0.copy"
case \${1:-watch} in
watch) say && exec /bin/bash "$0.copy" work ;;
work) say work && cat && exit 7 ;;
esac
`;

function run(text: string): { code: unknown; stdout: string } {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-pack-'));
  try {
    writeFileSync(join(folder, 'script'), text, { mode: 0o755 });
    const stdout = execFileSync('sh', ['-c', join(folder, 'script')], { input: 'stdin', encoding: 'utf8' });
    return { code: 0, stdout };
  } catch (error) {
    const { status, stdout } = error as { status: unknown; stdout: string };
    return { code: status, stdout };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('a packed script runs as the one it was made of: parameters, arguments, its copy, its stdin, its code', () => {
  expect(run(pack(script))).toEqual(run(script));
  expect(run(pack(script))).toEqual({ code: 7, stdout: 'shop none watch\nshop none work\nstdin' });
});

test('its parameters stay where they can be read and replaced, and the rest can be had back', () => {
  expect(pack(script)).toMatch(
    /^#!\/bin\/bash\nset -euo pipefail\napp='shop'\nabout='none'\n# What follows is packed/,
  );
  expect(unpack(pack(script))).toBe(script);
  const indented = (text: string) => text.replaceAll(/^(?=.)/gm, '    ');
  expect(unpack(indented(pack(script)))).toContain("say() { printf '%s");
});

test('only what is too large to be read is packed', () => {
  const text = (operation: Parameters<typeof content>[0]) => JSON.stringify(content(operation));
  expect(text('probe')).not.toContain('What follows is packed');
  expect(text('restore')).toContain('What follows is packed');
  expect(text('restore').length).toBeLessThan(documentLimit);
});
