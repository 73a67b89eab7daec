import type { IncomingHttpHeaders } from 'node:http';

/** Bucket and key of a path-style request, decoded. */
export function splitPath(path: string): { bucket: string; key: string } {
  const [, bucket = '', ...rest] = path.split('/');
  return { bucket: decodeURIComponent(bucket), key: decodeURIComponent(rest.join('/')) };
}

/** Sub-resources of a bucket or an object, and the word that S3's operation names have for them. */
const subresources: Record<string, string> = {
  acl: 'Acl',
  'object-lock': 'ObjectLockConfiguration',
  cors: 'Cors',
  encryption: 'Encryption',
  lifecycle: 'LifecycleConfiguration',
  location: 'Location',
  logging: 'Logging',
  notification: 'NotificationConfiguration',
  ownershipControls: 'OwnershipControls',
  policy: 'Policy',
  policyStatus: 'PolicyStatus',
  publicAccessBlock: 'PublicAccessBlock',
  replication: 'Replication',
  tagging: 'Tagging',
  versioning: 'Versioning',
  website: 'Website',
  'legal-hold': 'LegalHold',
  retention: 'Retention',
  attributes: 'Attributes',
};

const verbs: Record<string, string> = {
  GET: 'Get',
  HEAD: 'Head',
  PUT: 'Put',
  DELETE: 'Delete',
  POST: 'Post',
};

/** The operation's name in S3's API, such as `PutObject`, by which tests look for a call. */
export function nameS3Action(
  method: string,
  path: string,
  query: URLSearchParams,
  headers: IncomingHttpHeaders,
): string {
  const { bucket, key } = splitPath(path);
  const verb = verbs[method] ?? method;
  if (bucket === '') return 'ListBuckets';
  for (const [name, word] of Object.entries(subresources)) {
    if (query.has(name)) return `${verb}${key === '' ? 'Bucket' : 'Object'}${word}`;
  }
  return key === '' ? nameBucketAction(method, verb, query) : nameObjectAction(method, verb, query, headers);
}

function nameBucketAction(method: string, verb: string, query: URLSearchParams): string {
  if (method === 'PUT') return 'CreateBucket';
  if (method === 'HEAD' || method === 'DELETE') return `${verb}Bucket`;
  if (method === 'POST') return query.has('delete') ? 'DeleteObjects' : 'PostObject';
  if (query.has('versions')) return 'ListObjectVersions';
  if (query.has('uploads')) return 'ListMultipartUploads';
  return query.get('list-type') === '2' ? 'ListObjectsV2' : 'ListObjects';
}

function nameObjectAction(
  method: string,
  verb: string,
  query: URLSearchParams,
  headers: IncomingHttpHeaders,
): string {
  const isCopy = headers['x-amz-copy-source'] !== undefined;
  if (query.has('uploadId')) {
    if (method === 'PUT') return isCopy ? 'UploadPartCopy' : 'UploadPart';
    if (method === 'POST') return 'CompleteMultipartUpload';
    return method === 'DELETE' ? 'AbortMultipartUpload' : 'ListParts';
  }
  if (method === 'POST') return query.has('uploads') ? 'CreateMultipartUpload' : 'PostObject';
  return method === 'PUT' && isCopy ? 'CopyObject' : `${verb}Object`;
}
