import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CloudFormationClient,
  CreateStackCommand,
  DescribeStackEventsCommand,
  DescribeStacksCommand,
  ListStackResourcesCommand,
  type Stack,
  type StackResourceSummary,
  UpdateStackCommand,
} from '@aws-sdk/client-cloudformation';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { parseDocument } from 'yaml';
import { repositoryFolder } from '../ground/places.ts';
import { type Cloud, operatorClient } from './handle.ts';

/** A stack as it ought to be. */
export interface StackPlan {
  readonly name: string;
  /** File of the template, from the repository's root. */
  readonly template: string;
  readonly parameters: Readonly<Record<string, string>>;
  /** Where templates go that are larger than a call may carry. */
  readonly bucket: string;
}

/** A resource that a stack ought to have made. */
export interface Resource {
  readonly logicalId: string;
  readonly type: string;
  /** Its name in its service; undefined when CloudFormation lists no such resource at all. */
  readonly physicalId: string | undefined;
}

/** Bytes of a template that CreateStack takes inline; a larger one goes by TemplateURL. */
const inlineLimit = 51_200;
const patience = 60_000;

/** Creates the stack, or updates the one of that name; waits until it is done. Throws with CloudFormation's reasons. */
export async function raiseStack(cloud: Cloud, plan: StackPlan): Promise<void> {
  const client = new CloudFormationClient(operatorClient(cloud));
  const request = {
    StackName: plan.name,
    ...(await templateOf(cloud, plan)),
    Capabilities: ['CAPABILITY_NAMED_IAM' as const],
    Parameters: Object.entries(plan.parameters).map(([key, value]) => ({
      ParameterKey: key,
      ParameterValue: value,
    })),
  };
  const known = await describeStack(client, plan.name);
  if (known === undefined) await client.send(new CreateStackCommand(request));
  else if (!(await update(client, request))) return;
  await awaitDone(client, plan.name);
}

async function update(
  client: CloudFormationClient,
  request: ConstructorParameters<typeof UpdateStackCommand>[0],
): Promise<boolean> {
  try {
    await client.send(new UpdateStackCommand(request));
    return true;
  } catch (error) {
    if (error instanceof Error && error.message.includes('No updates are to be performed')) return false;
    throw error;
  }
}

async function templateOf(
  cloud: Cloud,
  plan: StackPlan,
): Promise<{ TemplateBody: string } | { TemplateURL: string }> {
  const text = readTemplate(plan.template);
  if (Buffer.byteLength(text) <= inlineLimit) return { TemplateBody: text };
  const key = `templates/${plan.name}.yaml`;
  await store(cloud, plan.bucket, key, text);
  return { TemplateURL: `https://s3.${cloud.region}.amazonaws.com/${plan.bucket}/${key}` };
}

/** Stores a template of infra/ where CI may ask for it, and cannot change it. */
export function storeTemplate(cloud: Cloud, bucket: string, name: string): Promise<void> {
  return store(cloud, bucket, `templates/${name}.yaml`, readTemplate(`infra/${name}.yaml`));
}

async function store(cloud: Cloud, Bucket: string, Key: string, Body: string): Promise<void> {
  const s3 = new S3Client({ ...operatorClient(cloud), forcePathStyle: true });
  await s3.send(new PutObjectCommand({ Bucket, Key, Body }));
}

async function describeStack(client: CloudFormationClient, name: string): Promise<Stack | undefined> {
  try {
    return (await client.send(new DescribeStacksCommand({ StackName: name }))).Stacks?.[0];
  } catch (error) {
    if (error instanceof Error && error.message.includes('does not exist')) return undefined;
    throw error;
  }
}

async function awaitDone(client: CloudFormationClient, name: string): Promise<void> {
  const until = Date.now() + patience;
  for (;;) {
    const status = (await describeStack(client, name))?.StackStatus ?? 'gone';
    if (['CREATE_COMPLETE', 'UPDATE_COMPLETE'].includes(status)) return;
    if (!status.endsWith('_IN_PROGRESS') || Date.now() > until) {
      throw new Error(`the stack ${name} is ${status}:\n${await reasons(client, name)}`);
    }
    await sleep(200);
  }
}

async function reasons(client: CloudFormationClient, name: string): Promise<string> {
  const { StackEvents: events = [] } = await client.send(new DescribeStackEventsCommand({ StackName: name }));
  const told = events.filter((event) => event.ResourceStatusReason !== undefined);
  return told.map((event) => `  ${event.LogicalResourceId}: ${event.ResourceStatusReason}`).join('\n');
}

/** Every resource that the template asks for under these conditions, with what CloudFormation lists for it. */
export async function listResources(
  cloud: Cloud,
  plan: StackPlan,
  conditions: Readonly<Record<string, boolean>> = {},
): Promise<Resource[]> {
  const client = new CloudFormationClient(operatorClient(cloud));
  const listed: StackResourceSummary[] = [];
  let NextToken: string | undefined;
  do {
    const page = await client.send(
      new ListStackResourcesCommand({ StackName: plan.name, ...(NextToken && { NextToken }) }),
    );
    listed.push(...(page.StackResourceSummaries ?? []));
    NextToken = page.NextToken;
  } while (NextToken);
  return wantedResources(readTemplate(plan.template), conditions).map(([logicalId, type]) => ({
    logicalId,
    type,
    physicalId: listed.find((each) => each.LogicalResourceId === logicalId)?.PhysicalResourceId,
  }));
}

/** Logical id and type of each resource of a template; those under a condition that is false are left out. */
export function wantedResources(
  template: string,
  conditions: Readonly<Record<string, boolean>>,
): (readonly [logicalId: string, type: string])[] {
  // CloudFormation's own tags (!Ref, !Sub, …) are unknown to YAML: their values do not matter here.
  const { Resources: resources } = parseDocument(template, { logLevel: 'silent' }).toJS() as {
    Resources: Record<string, { Type: string; Condition?: string }>;
  };
  return Object.entries(resources)
    .filter(([, { Condition: condition }]) => condition === undefined || conditions[condition] !== false)
    .map(([logicalId, { Type }]) => [logicalId, Type]);
}

function readTemplate(file: string): string {
  return readFileSync(join(repositoryFolder, file), 'utf8');
}
