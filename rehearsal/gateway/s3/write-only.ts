import type { Call } from '../call.ts';
import { ServiceError } from '../errors.ts';
import type { Principal } from '../principals.ts';
import { splitPath } from './operations.ts';

const kept = /^(backups|proven|drills)\//;

/**
 * Holds instances to what their role may do to backups (infra/foundation.yaml): add one below `backups/` that is not
 * there yet. Policies are compared with the record afterwards; that a host can read no backup has to show at once.
 *
 * @throws ServiceError AccessDenied
 */
export function refuseReaders({ action, path, headers }: Call, { instanceId }: Principal): void {
  if (instanceId === undefined) return;
  const { key } = splitPath(path);
  const adds = action === 'PutObject' && key.startsWith('backups/') && headers['if-none-match'] === '*';
  const lists = /^List(Objects|ObjectsV2|ObjectVersions|MultipartUploads)$/.test(action);
  if (!lists && (!kept.test(key) || adds)) return;
  throw new ServiceError('AccessDenied', `The role of ${instanceId} may not do s3:${action} here.`, 403);
}
