import { EC2Client } from '@aws-sdk/client-ec2';
import { S3Client } from '@aws-sdk/client-s3';
import { SSMClient } from '@aws-sdk/client-ssm';
import { STSClient } from '@aws-sdk/client-sts';
import { type Credentials, roleCredentials } from './credentials.ts';
import { tellRefusals } from './errors.ts';
import { type Clock, watchClock } from './time.ts';

/** How long one call may take, from the first byte sent to the last received. */
export const callTimeoutMs = 30_000;

interface ClientSettings {
  readonly region: string;
  readonly userAgentAppId: string;
  readonly maxAttempts: number;
  readonly retryMode: string;
  readonly requestHandler: {
    connectionTimeout: number;
    requestTimeout: number;
    throwOnRequestTimeout: boolean;
  };
}

/** The settings of every client of ours. The endpoint comes from AWS_ENDPOINT_URL, which the SDK reads. */
function clientSettings(region: string, maxAttempts = 3): ClientSettings {
  return {
    region,
    userAgentAppId: 'understudy',
    maxAttempts,
    retryMode: 'standard',
    // Without throwOnRequestTimeout the SDK only warns and waits on.
    requestHandler: { connectionTimeout: 5000, requestTimeout: callTimeoutMs, throwOnRequestTimeout: true },
  };
}

export interface Clients {
  readonly s3: S3Client;
  /** S3's own time. */
  readonly s3Now: Clock;
  readonly ssm: SSMClient;
  /** For calls that must not be repeated blindly: SendCommand has no client token. */
  readonly ssmOnce: SSMClient;
  readonly ec2: EC2Client;
}

export interface ClientOptions {
  readonly region: string;
  /** Assumed with the job's token; without it the ambient credentials are used. */
  readonly roleArn: string | undefined;
  readonly identityToken: () => Promise<string>;
  /** Names us in CloudTrail: 2 to 64 characters of `\w+=,.@-`. */
  readonly sessionName: string;
}

/**
 * The settings of one more client beside those of a run, of the same region and session: for a service that few actions
 * call, so that the bundles of the others do not carry it.
 */
export function settingsBeside({ s3 }: Pick<Clients, 's3'>) {
  const { region, credentials } = s3.config;
  return { ...clientSettings(''), region, credentials }; // its region is a function of the SDK's
}

/** Makes every client of a run, all with the same credentials. */
export function createClients({ region, roleArn, identityToken, sessionName }: ClientOptions): Clients {
  const own: { credentials?: Credentials } = {};
  if (roleArn) {
    const sts = new STSClient(clientSettings(region));
    own.credentials = roleCredentials({ sts, roleArn, sessionName, identityToken, now: watchClock(sts) });
  }
  const settings = { ...clientSettings(region), ...own };
  const clients = {
    s3: new S3Client(settings),
    ssm: new SSMClient(settings),
    ssmOnce: new SSMClient({ ...clientSettings(region, 1), ...own }),
    ec2: new EC2Client(settings),
  };
  for (const client of Object.values(clients)) tellRefusals(client);
  return { s3Now: watchClock(clients.s3), ...clients };
}
