import { AutoScalingClient, paginateDescribeLaunchConfigurations } from '@aws-sdk/client-auto-scaling';
import {
  paginateDescribeInstances,
  paginateDescribeLaunchTemplates,
  paginateDescribeLaunchTemplateVersions,
} from '@aws-sdk/client-ec2';
import { settingsBeside } from '../aws/clients.ts';
import { tellRefusals } from '../aws/errors.ts';
import type { ImageServices } from './image.ts';

type Account = Pick<ImageServices, 'clients'>;

/** Who would miss images. */
export interface Usage {
  /** By the id of an image: who uses it, in words. */
  readonly users: ReadonlyMap<string, string>;
  /** Launch templates that name their image by a parameter of the account's own: which image that is, they do not tell. */
  readonly untold: readonly string[];
}

/**
 * Who uses which image. An Auto Scaling group launches by a launch template, of which any version may be the one, or by a
 * launch configuration: so all of them are looked at, and the groups need not be.
 */
export async function findUsage(services: Account): Promise<Usage> {
  const [instances, templates, configurations] = await Promise.all([
    byInstances(services),
    byTemplates(services),
    byConfigurations(services),
  ]);
  const named = [...configurations, ...templates, ...instances];
  return {
    users: new Map(named.filter(({ image }) => image.startsWith('ami-')).map(({ image, by }) => [image, by])),
    untold: [...new Set(named.filter(({ image }) => isOwnParameter(image)).map(({ by }) => by))],
  };
}

/** A parameter of AWS's own, below /aws/service/, names an image of AWS. */
const isOwnParameter = (image: string): boolean => /^resolve:ssm:(?!\/aws\/service\/)/.test(image);

interface Use {
  /** The image's id, or `resolve:ssm:<parameter>`. */
  readonly image: string;
  readonly by: string;
}

async function byInstances({ clients }: Account): Promise<Use[]> {
  const alive = ['pending', 'running', 'stopping', 'stopped'];
  const asked = { MaxResults: 1000, Filters: [{ Name: 'instance-state-name', Values: alive }] };
  const uses: Use[] = [];
  for await (const { Reservations = [] } of paginateDescribeInstances({ client: clients.ec2 }, asked)) {
    for (const { ImageId = '', InstanceId = '' } of Reservations.flatMap(({ Instances = [] }) => Instances))
      uses.push({ image: ImageId, by: `the instance ${InstanceId}` });
  }
  return uses;
}

async function byTemplates({ clients }: Account): Promise<Use[]> {
  const client = clients.ec2;
  const uses: Use[] = [];
  for await (const { LaunchTemplates = [] } of paginateDescribeLaunchTemplates(
    { client },
    { MaxResults: 200 },
  )) {
    for (const { LaunchTemplateId, LaunchTemplateName } of LaunchTemplates) {
      const asked = { LaunchTemplateId, MaxResults: 200 };
      for await (const page of paginateDescribeLaunchTemplateVersions({ client }, asked)) {
        for (const { LaunchTemplateData, VersionNumber } of page.LaunchTemplateVersions ?? [])
          uses.push({
            image: LaunchTemplateData?.ImageId ?? '',
            by: `the launch template ${LaunchTemplateName}, version ${VersionNumber}`,
          });
      }
    }
  }
  return uses;
}

async function byConfigurations({ clients }: Account): Promise<Use[]> {
  const client = new AutoScalingClient(settingsBeside(clients));
  tellRefusals(client);
  const uses: Use[] = [];
  for await (const { LaunchConfigurations = [] } of paginateDescribeLaunchConfigurations({ client }, {})) {
    for (const { ImageId = '', LaunchConfigurationName } of LaunchConfigurations)
      uses.push({
        image: ImageId,
        by: `the launch configuration ${LaunchConfigurationName} of Auto Scaling`,
      });
  }
  return uses;
}
