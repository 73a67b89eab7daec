/** A workflow command, `::error title=…::message`, as GitHub's own runner reads it. */
export interface WorkflowCommand {
  readonly name: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly message: string;
}

function unescapeMessage(text: string): string {
  return text.replaceAll('%0D', '\r').replaceAll('%0A', '\n').replaceAll('%25', '%');
}

function unescapeProperty(text: string): string {
  return unescapeMessage(text.replaceAll('%3A', ':').replaceAll('%2C', ','));
}

/**
 * Reads one line of a step's output.
 *
 * act takes the last `::` of the line for the end of the command's name, so that a message with an ARN in it is no
 * command at all to act (0.2.89); GitHub takes the first.
 */
export function readWorkflowCommand(line: string): WorkflowCommand | undefined {
  const match = /^::([\w-]+)(?: (.*?))?::(.*)$/s.exec(line.trimEnd());
  if (!match) return undefined;
  const [, name = '', properties = '', message = ''] = match;
  const pairs = properties
    .split(',')
    .map((pair) => pair.trim().split(/=(.*)/s, 2))
    .map(([key = '', value = '']) => [key, unescapeProperty(value)] as const)
    .filter(([key, value]) => key !== '' && value !== '');
  return { name, properties: Object.fromEntries(pairs), message: unescapeMessage(message) };
}
