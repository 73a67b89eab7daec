import type { Command, Invocation } from './command.ts';
import { isOver } from './command.ts';
import { seconds } from './pages.ts';
import { detailsOf } from './replies.ts';
import { readRate } from './rollout.ts';
import { commandState, isError, statusOf } from './statuses.ts';

/** Characters that the service keeps of what the agent sends (facts-aws.md). */
const cuts = { standardOutput: 24_000, standardError: 8_000, pluginOutput: 2_500 };

/** `Command` as SendCommand and ListCommands answer it. */
export function showCommand(command: Command, region: string): object {
  const details = command.invocations.map((each) => each.details);
  const maxErrors = readRate('maxErrors', command.rate.maxErrors, command.invocations.length, 0);
  return {
    CommandId: command.id,
    ...showRequest(command),
    ExpiresAfter: seconds(command.requested) + command.deliverySeconds + command.executionSeconds,
    Parameters: command.given,
    InstanceIds: command.targets.instanceIds,
    Targets: command.targets.targets,
    ...commandState(details, { maxErrors, cancelAsked: command.cancelAsked }),
    ...outputPlace(command, region),
    MaxConcurrency: command.rate.maxConcurrency,
    MaxErrors: command.rate.maxErrors,
    TargetCount: command.invocations.length,
    CompletedCount: command.invocations.filter(isOver).length,
    ErrorCount: details.filter(isError).length,
    DeliveryTimedOutCount: details.filter((each) => each === 'DeliveryTimedOut').length,
    TimeoutSeconds: command.deliverySeconds,
  };
}

/** `CommandInvocation` as ListCommandInvocations answers it. */
export function showInvocation(invocation: Invocation, withPlugins: boolean, region: string): object {
  const { command } = invocation;
  const steps = command.document.content.mainSteps;
  return {
    CommandId: command.id,
    InstanceId: invocation.instanceId,
    InstanceName: invocation.instanceName,
    ...showRequest(command),
    Status: statusOf(invocation.details),
    StatusDetails: invocation.details,
    TraceOutput: invocation.trace,
    StandardOutputUrl: outputUrl(invocation, steps[0]?.name, 'stdout', region),
    StandardErrorUrl: outputUrl(invocation, steps[0]?.name, 'stderr', region),
    CommandPlugins: withPlugins ? steps.map((step) => showPlugin(invocation, step.name, region)) : [],
  };
}

/** GetCommandInvocation's answer for one step; `step` undefined when the document has several. */
export function showStep(invocation: Invocation, step: string | undefined, region: string): object {
  const { command } = invocation;
  // Nothing of a step is shown before its invocation has ended.
  const result = step !== undefined && isOver(invocation) ? invocation.results.get(step) : undefined;
  const details = detailsOf(result?.status ?? '') ?? invocation.details;
  return {
    CommandId: command.id,
    InstanceId: invocation.instanceId,
    Comment: command.comment,
    DocumentName: command.documentName,
    DocumentVersion: command.askedVersion,
    PluginName: step ?? '',
    ResponseCode: result?.code ?? -1,
    ...showTimes(invocation),
    Status: statusOf(details),
    StatusDetails: details,
    StandardOutputContent: (result?.standardOutput ?? '').slice(0, cuts.standardOutput),
    StandardOutputUrl: outputUrl(invocation, step, 'stdout', region),
    StandardErrorContent: (result?.standardError ?? '').slice(0, cuts.standardError),
    StandardErrorUrl: outputUrl(invocation, step, 'stderr', region),
    CloudWatchOutputConfig: showLog(command),
  };
}

function showTimes({ started, ended }: Invocation): object {
  const iso = (moment: number | undefined) => (moment === undefined ? '' : new Date(moment).toISOString());
  const elapsed = started === undefined || ended === undefined ? '' : `PT${(ended - started) / 1000}S`;
  return {
    ExecutionStartDateTime: iso(started),
    ExecutionElapsedTime: elapsed,
    ExecutionEndDateTime: iso(ended),
  };
}

function showPlugin(invocation: Invocation, step: string, region: string): object {
  const result = invocation.results.get(step);
  const details = detailsOf(result?.status ?? '') ?? invocation.details;
  return {
    Name: step,
    Status: statusOf(details),
    StatusDetails: details,
    ResponseCode: result?.code ?? -1,
    ...dateField('ResponseStartDateTime', result?.startDateTime),
    ...dateField('ResponseFinishDateTime', result?.endDateTime),
    Output: (result?.output ?? '').slice(0, cuts.pluginOutput),
    StandardOutputUrl: outputUrl(invocation, step, 'stdout', region),
    StandardErrorUrl: outputUrl(invocation, step, 'stderr', region),
    ...outputPlace(invocation.command, region),
  };
}

function showRequest(command: Command): object {
  return {
    DocumentName: command.documentName,
    DocumentVersion: command.askedVersion,
    Comment: command.comment,
    RequestedDateTime: seconds(command.requested),
    ServiceRole: '',
    NotificationConfig: { NotificationArn: '', NotificationEvents: [], NotificationType: '' },
    CloudWatchOutputConfig: showLog(command),
  };
}

function showLog({ log }: Command): object {
  return { CloudWatchLogGroupName: log.group, CloudWatchOutputEnabled: log.enabled };
}

function outputPlace({ output }: Command, region: string): object {
  return { OutputS3Region: region, OutputS3BucketName: output.bucket, OutputS3KeyPrefix: output.prefix };
}

/** Where the agent puts the full text; empty without a bucket. */
function outputUrl(invocation: Invocation, step: string | undefined, stream: string, region: string): string {
  const { bucket, prefix } = invocation.command.output;
  if (bucket === '' || step === undefined) return '';
  const action =
    invocation.command.document.content.mainSteps.find((each) => each.name === step)?.action ?? '';
  const folder = [
    prefix,
    invocation.command.id,
    invocation.instanceId,
    action.replace(':', ''),
    step,
    stream,
  ];
  return `https://s3.${region}.amazonaws.com/${bucket}/${folder.filter((each) => each !== '').join('/')}`;
}

function dateField(name: string, iso: string | undefined): object {
  const moment = Date.parse(iso ?? '');
  return Number.isNaN(moment) ? {} : { [name]: seconds(moment) };
}
