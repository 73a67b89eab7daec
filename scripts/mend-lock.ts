/**
 * Completes package-lock.json: `npm run mend-lock`, after each change of dependencies.
 *
 * npm writes only those optional packages into the lock that its registry hands out. Where a registry serves no
 * binaries for other platforms, the lock lacks them, and `npm ci` then refuses it wherever the registry does
 * ("Missing: @biomejs/cli-darwin-arm64@2.6.8 from lock file"). Their names and exact versions stand in the packages
 * that want them, and their names tell the platform; an integrity hash is not to be had without the package.
 */
import { readFileSync, writeFileSync } from 'node:fs';

interface LockedPackage {
  readonly version?: string;
  readonly resolved?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** The part of a package-lock.json (version 3) that mending needs. */
export interface Lock {
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

const SYSTEMS = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const PROCESSORS: readonly (readonly [word: string, cpu: string])[] = [
  ['arm64', 'arm64'],
  ['arm', 'arm'],
  ['x64', 'x64'],
  ['ia32', 'ia32'],
  ['loong64', 'loong64'],
  ['ppc64', 'ppc64'],
  ['riscv64', 'riscv64'],
  ['s390x', 's390x'],
  ['wasm32', 'wasm32'],
];

function platformOf(name: string): Pick<LockedPackage, 'os' | 'cpu' | 'libc'> {
  const words = name.split(/[/-]/);
  const os = SYSTEMS.filter((system) => words.includes(system));
  const cpu = PROCESSORS.filter(([word]) => words.includes(word)).map(([, processor]) => processor);
  if (cpu.length !== 1 || (os.length !== 1 && cpu[0] !== 'wasm32')) {
    throw new Error(
      `${name}: its name does not tell one system and one processor; teach scripts/mend-lock.ts`,
    );
  }
  const musl = words.some((word) => word.startsWith('musl'));
  const glibc = words.some((word) => word.startsWith('gnu') || word === 'glibc');
  return {
    cpu,
    ...(os.length === 1 ? { os } : {}),
    ...(os[0] === 'linux' && (musl || glibc) ? { libc: [musl ? 'musl' : 'glibc'] } : {}),
  };
}

/** Node's own search: the package's folder, then each folder above it. */
function isLocked(lock: Lock, from: string, name: string): boolean {
  for (let folder = from; ; folder = folder.slice(0, Math.max(folder.lastIndexOf('node_modules/') - 1, 0))) {
    if (`${folder === '' ? '' : `${folder}/`}node_modules/${name}` in lock.packages) return true;
    if (folder === '') return false;
  }
}

/** The lock with every optional package that one of its packages names; the same object when nothing is missing. */
export function mendLock<T extends Lock>(lock: T): T {
  const missing: Record<string, LockedPackage> = {};
  for (const [from, wanting] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(wanting.optionalDependencies ?? {})) {
      if (isLocked(lock, from, name)) continue;
      if (!/^\d+\.\d+\.\d+[\w.+-]*$/.test(version)) {
        throw new Error(`${from} wants ${name} ${version}: a range cannot be locked without the registry`);
      }
      const dev = wanting.dev === true ? { dev: true } : {};
      missing[`node_modules/${name}`] = { version, ...dev, optional: true, ...platformOf(name) };
    }
  }
  if (Object.keys(missing).length === 0) return lock;
  const packages = Object.entries({ ...lock.packages, ...missing });
  packages.sort(([a], [b]) => a.localeCompare(b, 'en'));
  return { ...lock, packages: Object.fromEntries(packages) };
}

if (import.meta.main) {
  const path = new URL('../package-lock.json', import.meta.url);
  const lock = JSON.parse(readFileSync(path, 'utf8')) as Lock;
  const mended = mendLock(lock);
  writeFileSync(path, `${JSON.stringify(mended, null, 2)}\n`);
  const added = Object.keys(mended.packages).length - Object.keys(lock.packages).length;
  console.log(`package-lock.json: ${added} packages of other platforms added`);
}
