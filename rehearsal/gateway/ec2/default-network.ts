import type { Moto } from '../moto.ts';
import { elementsNamed, itemsOf, textAt } from '../xml.ts';

/**
 * A launch that names no network goes to the default one, and says so of the instance afterwards: subnet and security group,
 * which moto leaves out.
 */
export async function withDefaultNetwork(moto: Moto, form: URLSearchParams): Promise<URLSearchParams> {
  const names = [...form.keys()];
  if (names.some((name) => /^(SubnetId|NetworkInterface|LaunchTemplate)\b/.test(name))) return form;
  const [subnet, group] = await Promise.all([
    moto.query('ec2', 'DescribeSubnets', filter('default-for-az', 'true')),
    moto.query('ec2', 'DescribeSecurityGroups', filter('group-name', 'default')),
  ]);
  const found = new URLSearchParams(form);
  found.set('SubnetId', firstOf(subnet, 'subnetSet', 'subnetId'));
  if (!names.some((name) => name.startsWith('SecurityGroup')))
    found.set('SecurityGroupId.1', firstOf(group, 'securityGroupInfo', 'groupId'));
  return found;
}

const filter = (name: string, value: string) => ({ 'Filter.1.Name': name, 'Filter.1.Value.1': value });

function firstOf(document: Parameters<typeof elementsNamed>[0], list: string, name: string): string {
  return textAt(elementsNamed(document, list).flatMap(itemsOf)[0], name) ?? '';
}
