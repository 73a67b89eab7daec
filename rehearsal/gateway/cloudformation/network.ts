import type { Moto } from '../moto.ts';
import { elementsNamed, itemsOf, textAt } from '../xml.ts';

/** A resource that moto made for a stack. */
export interface MadeResource {
  readonly logicalId: string;
  readonly physicalId: string;
  readonly type: string;
}

/** What moto has made for a stack. */
export async function resourcesMadeFor(moto: Moto, stack: string): Promise<MadeResource[]> {
  const listed = await moto.query('cloudformation', 'DescribeStackResources', { StackName: stack });
  return elementsNamed(listed, 'StackResources')
    .flatMap(itemsOf)
    .map((item) => ({
      logicalId: textAt(item, 'LogicalResourceId') ?? '',
      physicalId: textAt(item, 'PhysicalResourceId') ?? '',
      type: textAt(item, 'ResourceType') ?? '',
    }));
}

/** Removes what moto's DeleteStack leaves: addresses, gateways, endpoints, and route tables, over which it breaks off half-way. */
export async function clearNetwork(moto: Moto, resources: readonly MadeResource[]): Promise<void> {
  const ids = (type: string) =>
    resources.filter((each) => each.type === type).map(({ physicalId }) => physicalId);
  for (const PublicIp of ids('AWS::EC2::EIP')) await moto.query('ec2', 'ReleaseAddress', { PublicIp });
  for (const InternetGatewayId of ids('AWS::EC2::InternetGateway')) {
    for (const VpcId of ids('AWS::EC2::VPC'))
      await moto.query('ec2', 'DetachInternetGateway', { InternetGatewayId, VpcId });
    await moto.query('ec2', 'DeleteInternetGateway', { InternetGatewayId });
  }
  for (const id of ids('AWS::EC2::VPCEndpoint'))
    await moto.query('ec2', 'DeleteVpcEndpoints', { 'VpcEndpointId.1': id });
  for (const RouteTableId of ids('AWS::EC2::RouteTable')) {
    const table = await moto.query('ec2', 'DescribeRouteTables', { 'RouteTableId.1': RouteTableId });
    for (const { text: AssociationId } of elementsNamed(table, 'routeTableAssociationId'))
      await moto.query('ec2', 'DisassociateRouteTable', { AssociationId });
    await moto.query('ec2', 'DeleteRouteTable', { RouteTableId });
  }
}
