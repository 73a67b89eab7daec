import { composeLibrary } from '../document/compose.ts';

/**
 * What judges the bytes of a backup on a host, for a runner: one code, so that both say the same. The build puts the text
 * itself here: the bundle has no `host/`.
 */
export const verifyScript: string = composeLibrary(
  ['library/data.sh', 'library/verify.sh'],
  ['manifest_problem', 'unpack_database', 'unpack_archive', 'judge', 'control_passes'],
);
